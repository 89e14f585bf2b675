"""What fields of config.json may hold, by their names and whatever the family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__: list[str] = []

# Of what changes the computation: the first pattern that fits the name, and the interval.
_RANGES = tuple(
    (re.compile(pattern), interval)
    for pattern, interval in (
        (r"(?<!jitter_)eps(ilon)?$", "(0, 1)"),  # beyond 1 it is no guard against zero any more
        (r"drop", "[0, 1)"),
        (r"theta$|rotary_emb(edding)?_base$|_base_freq$", "(1, 1e15]"),  # at 1 all turn alike
        (r"^factor$", "[1, 1e6]"),  # by which a RoPE is stretched
        (r"partial_rotary|rotary_pct$|_fraction$", "[0, 1]"),
    )
)

# Fields that change no logit: bookkeeping, training, defaults of generation. Never here: anything
# that names an activation, a bias, a norm or a position, even where most models agree.
HARMLESS = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _commit_hash _flash_attn_2_enabled
    _name_or_path _sliding_window_pattern architectures attn_implementation auto_map bad_words_ids
    begin_suppress_tokens bos_token_id cache_implementation chunk_size_feed_forward
    classifier_dropout cls_token_id decoder_start_token_id deterministic_flash_attn
    diversity_penalty do_sample dtype early_stopping embedding_initializer_range
    encoder_no_repeat_ngram_size eod_token_id eos_token_id exponential_decay_length_penalty
    finetuning_task forced_bos_token_id forced_decoder_ids forced_eos_token_id
    gradient_checkpointing id2label init_std initializer_cutoff_factor initializer_factor
    initializer_range label2id length_penalty max_length min_length model_max_length model_type
    name_or_path no_repeat_ngram_size num_beam_groups num_beams num_return_sequences
    output_attentions output_hidden_states output_past output_router_logits output_scores
    pad_token_id prefix pretraining_tp problem_type reference_compile remove_invalid_values
    repad_logits_with_grad repetition_penalty return_dict return_dict_in_generate
    router_aux_loss_coef sep_token_id sparse_pred_ignore_index sparse_prediction summary_activation
    summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens
    task_specific_params temperature tf_legacy_loss tie_word_embeddings tokenizer_class top_k top_p
    torch_dtype torchscript transformers.js_config transformers_version typical_p unk_token_id
    unsloth_fixed unsloth_version use_bfloat16 use_cache z_loss_coefficient
    """.split()
)

# Fields that change no logit while they have one of these values.
INERT: Mapping[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "is_decoder": (False, True),
    "is_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
    "quantization_config": (None,),
    "tie_encoder_decoder": (False,),
}

# What some of them must be all the same: else the file is damaged.
_FLAGS = frozenset(
    """
    do_sample gradient_checkpointing output_attentions output_hidden_states output_past
    output_router_logits output_scores remove_invalid_values return_dict return_dict_in_generate
    tie_word_embeddings torchscript use_bfloat16 use_cache
    """.split()
)
_NUMBERS = {
    "embedding_initializer_range": "[0, inf)",
    "init_std": "[0, inf)",
    "initializer_factor": "[0, inf)",
    "initializer_range": "[0, inf)",
    "min_p": "[0, 1]",
    "num_beams": "[1, inf)",
    "pretraining_tp": "[1, inf)",
    "repetition_penalty": "(0, inf)",
    "temperature": "[0, inf)",
    "top_k": "[-1, inf)",
    "top_p": "[0, 1]",
    "typical_p": "[0, 1]",
}
_DTYPES = frozenset("auto bfloat16 float16 float32 float64 float8_e4m3fn float8_e5m2".split())


def out_of_range(name: str, value: float) -> str | None:
    """The interval that a field must lie in, if `value` doesn't.

    Example:
        >>> out_of_range("rms_norm_eps", 1e3), out_of_range("rms_norm_eps", 1e-6)
        ('(0, 1)', None)
    """
    interval = next((text for pattern, text in _RANGES if pattern.search(name)), None)
    return None if interval is None or _within(value, interval) else interval


def implausible(name: str, value: Any) -> str | None:
    """What a field that changes no logit must be, if it isn't; null always passes.

    Example:
        >>> implausible("use_cache", "no"), implausible("use_cache", None)
        ('true or false', None)
    """
    if value is None:
        return None
    if name in _FLAGS:
        return None if isinstance(value, bool) else "true or false"
    if name in ("dtype", "torch_dtype"):
        word = value.removeprefix("torch.") if isinstance(value, str) else ""
        return None if word in _DTYPES else "one of " + ", ".join(sorted(_DTYPES))
    if name not in _NUMBERS:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if number and _within(value, _NUMBERS[name]) else f"in {_NUMBERS[name]}"


def _within(value: float, interval: str) -> bool:
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    return above and (value <= high if interval[-1] == "]" else value < high)
