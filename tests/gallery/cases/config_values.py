"""Numbers out of their ranges, words that are not known, and tokens that are not there."""

from __future__ import annotations

from functools import partial
from math import inf, nan
from pathlib import Path
from typing import Any

from blocks import ConfigError, GenerationError
from tests.gallery.cases.config_text import refused, say, says
from tests.gallery.harness import Case, answer
from tests.gallery.sound import edit


def generation(**fields: Any) -> Any:
    """generation_config.json with other fields."""

    def damage(folder: Path) -> None:
        edit(folder / "generation_config.json", lambda data: data | fields)

    return damage


eps = partial(refused, field="rms_norm_eps")
drop = partial(refused, field="attention_dropout")
act = partial(refused, field="hidden_act", reason=r"is not known", hint=r"known: .*silu")

CASES = [
    *(
        eps(f"eps {value}", say("rms_norm_eps", value), reason=reason)
        for value, reason in (
            (0, r"^0\.0 is not in \(0, 1\)"),
            (-1e-5, r"^-1e-05 is not in \(0, 1\)"),
            (1.0, r"^1\.0 is not in \(0, 1\)"),
            (1e3, r"^1000\.0 is not in \(0, 1\)"),
            (nan, r"^nan is not float"),
            (inf, r"^inf is not a finite number"),
            (10**400, r"is not float"),
            ("1e-5", r"^'1e-5' is not float"),
            (True, r"^True is not float"),
            ([1e-5], r"is not float"),
            (None, r"^this field is missing"),
        )
    ),
    eps("eps missing", says("rms_norm_eps"), reason=r"^this field is missing"),
    *(
        drop(f"dropout {value}", say("attention_dropout", value), reason=reason)
        for value, reason in (
            (1.0, r"^1\.0 is not in \[0, 1\)"),
            (-0.1, r"^-0\.1 is not in \[0, 1\)"),
            (50, r"^50\.0 is not in \[0, 1\)"),
            (nan, r"^nan is not float"),
            ("none", r"^'none' is not float"),
        )
    ),
    refused(
        "half a rotation",
        say("partial_rotary_factor", 0.5),
        "partial_rotary_factor",
        r"0\.5 is not supported",
    ),
    *(
        act(f"activation {value!r}", say("hidden_act", value))
        for value in ("sillu", "", "SiLU", "torch.nn.functional.silu", "__class__", "os.system")
    ),
    act("activation a number", say("hidden_act", 3), reason=r"3 is not str", hint=None),
    act("activation a list", say("hidden_act", ["silu"]), reason=r"is not str", hint=None),
    refused("bias a word", say("attention_bias", "true"), "attention_bias", r"'true' is not bool"),
    refused("bias a number", say("attention_bias", 1), "attention_bias", r"1 is not bool"),
    refused(
        "tie a word",
        say("tie_word_embeddings", "no"),
        "tie_word_embeddings",
        r"'no' is not true or false",
    ),
    refused("cache a word", say("use_cache", "yes"), "use_cache", r"'yes' is not true or false"),
    *(
        refused(f"{field} {value}", say(field, value), field, r"is not one of .*float32")
        for field, value in (
            ("torch_dtype", "float7"),
            ("torch_dtype", "torch.load"),
            ("torch_dtype", 32),
            ("dtype", "__import__"),
            ("dtype", {"name": "float32"}),
        )
    ),
    *(
        refused(
            f"init {value}", say("initializer_range", value), "initializer_range", r"in \[0, inf\)"
        )
        for value in (-0.02, nan, inf, "0.02")
    ),
    refused(
        "an encoder",
        say("is_encoder_decoder", True),
        "is_encoder_decoder",
        r"not known to the family",
    ),
    refused("pruned heads", say("pruned_heads", {"0": [1]}), "pruned_heads", r"not known"),
    *(
        refused(
            f"quantised: {name}",
            say("quantization_config", value),
            r"quantization_config" + field,
            reason,
        )
        for name, (value, field, reason) in {
            "gptq": ({"quant_method": "gptq", "bits": 4}, r"\.group_size", "missing"),
            "3 bits": ({"bits": 3}, r"\.quant_method", "missing"),
            "unheard of": ({"quant_method": "float7"}, r"\.quant_method", "'float7'.*read are"),
            "nothing said": ({}, r"\.quant_method", "missing"),
            "a word": ("int4", "", "'int4' is not an object"),
            "not so": (
                {"quant_method": "fp8", "weight_block_size": [128, 128]},
                "",
                "says fp8, and no tensor is stored so",
            ),
        }.items()
    ),
    # Tokens and texts.
    *(
        Case(
            f"{field} {value}",
            generation(**{field: value}),
            ConfigError,
            reason,
            file=r"generation_config\.json",
            field=field,
        )
        for field, value, reason in (
            ("eos_token_id", "1", r"'1' is not a token id"),
            ("eos_token_id", [[1]], r"is not a token id"),
            ("eos_token_id", [1, "2"], r"is not a token id"),
            ("eos_token_id", 1.0, r"1\.0 is not a token id"),
            ("eos_token_id", True, r"True is not a token id"),
            ("eos_token_id", {"id": 1}, r"is not a token id"),
            ("bad_words_ids", [3], r"not a list of lists"),
            ("temperature", -1.0, r"-1\.0 is not in \[0, inf\)"),
            ("temperature", nan, r"nan is not in"),
            ("temperature", "hot", r"'hot' is not in"),
            ("top_p", 2.0, r"2\.0 is not in \[0, 1\]"),
            ("top_k", -5, r"-5 is not in"),
            ("min_p", -0.1, r"-0\.1 is not in"),
            ("repetition_penalty", 0, r"0 is not in \(0, inf\)"),
            ("repetition_penalty", -1.0, r"-1\.0 is not in"),
            ("num_beams", 0, r"0 is not in \[1, inf\)"),
            ("no_repeat_ngram_size", -1, r"-1 is not a number of tokens"),
            ("min_length", 2.5, r"2\.5 is not a number of tokens"),
            ("length_penalty", "long", r"'long' is not a number"),
            ("early_stopping", "soon", r"'soon' is neither true nor false"),
            ("do_sample", "yes", r"'yes' is not true or false"),
        )
    ),
    *(
        Case(
            f"{field} beyond the vocabulary",
            generation(**{field: 99}),
            GenerationError,
            r"99.* is not in the vocabulary of 32",
            field=ours,
            act=answer,
        )
        for field, ours in (
            ("forced_bos_token_id", "forced_first"),
            ("forced_eos_token_id", "forced_last"),
        )
    ),
]
