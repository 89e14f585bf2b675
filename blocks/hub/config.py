"""A reader of config.json that insists: every field is used, known to be harmless, or an error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from blocks.conform import conform
from blocks.errors import ConfigError, SpecError, printable

__all__: list[str] = []

REQUIRED: Any = object()
_LARGEST = 2**47  # no size of a model comes near it, and products of two such still fit torch
_FILE_LIMIT = 1 << 20  # bytes of a config.json

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
    use_bfloat16 use_cache z_loss_coefficient
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


class Config:
    """One config.json (or a dict inside it), read field by field.

    Args:
        data: the parsed JSON.
        file: where it is from, for errors.
        within: the field of the outer config that this one is, for errors.

    Example:
        >>> c = Config({"hidden_size": 64, "hiden_act": "silu"})
        >>> c.take("hidden_size", int)
        64
        >>> c.take("hidden_act", str, "silu")
        'silu'
        >>> c.finish()
        Traceback (most recent call last):
        blocks.errors.ConfigError: config.json: hiden_act: this field is not known to the family. \
Hint: did you mean 'hidden_act'?
    """

    def __init__(self, data: Mapping[str, Any], file: str | Path = "config.json", within: str = ""):
        self.data = with_infinity(data)
        self.file = file
        self.within = within
        self.body = self  # where the sizes of the layers stand
        self.read: dict[str, Any] = {}
        self.assumed: dict[str, Any] = {}
        self._inner: dict[str, Config] = {}
        self._defaults: Mapping[str, Any] = {}
        self._of_a_model = not within

    def path(self, name: str) -> str:
        """The field `name` as seen from the outermost config."""
        return f"{self.within}.{name}" if self.within else name

    def error(self, name: str, reason: str, hint: str | None = None) -> ConfigError:
        """An error about the field `name`, to be raised by the caller."""
        return ConfigError(reason, file=self.file, field=self.path(name), hint=hint)

    def take(
        self,
        name: str,
        kind: Any,
        default: Any = REQUIRED,
        *,
        aliases: Iterable[str] = (),
        low: int = 1,
    ) -> Any:
        """The value of a field, checked: null counts as absent.

        Args:
            name: the field.
            kind: a type annotation. Ints lie in [low, 2^47), floats are finite.
            default: what an absent field means; without one it must be there.
            aliases: other names of the same field; two that disagree are an error.
            low: the smallest int.
        """
        found = {n: self.data[n] for n in (name, *aliases) if self.data.get(n) is not None}
        self.read.update(dict.fromkeys((name, *aliases)))
        if not found:
            default = self._defaults.get(name, default)
            if default is REQUIRED:
                near = get_close_matches(name, [str(k) for k in self.data], n=1)
                hint = f"it has {near[0]!r}" if near else None
                raise self.error(name, "this field is missing", hint)
            self.assumed[name] = default
            return default
        if len({json.dumps(v, sort_keys=True, default=str) for v in found.values()}) > 1:
            raise self.error(name, "is said twice with different values: " + repr(found))
        at, value = next(iter(found.items()))
        try:
            value = conform(value, kind)
        except SpecError as error:
            raise self.error(at, error.reason) from None
        if isinstance(value, int) and not isinstance(value, bool) and not low <= value < _LARGEST:
            raise self.error(at, f"{value} is not between {low} and 2^47")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(at, f"{value} is not a finite number")
        self.read[name] = value
        return value

    def only(self, name: str, *allowed: Any) -> None:
        """Reads a field of which the family supports some values alone; absent is the first."""
        value = self.take(name, Any, allowed[0], low=0)
        same = (one for one in allowed if isinstance(one, bool) == isinstance(value, bool))
        if value not in same:  # True is no 1
            raise self.error(name, f"{value!r} is not supported; {allowed[0]!r} is")

    def inner(self, name: str) -> Config | None:
        """A nested dict as a reader of its own; None where it is absent or null."""
        value = self.take(name, Any, None)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(name, f"{value!r} is not an object")
        if name not in self._inner:  # one reader for all who ask, that knows what each has read
            self._inner[name] = Config(value, self.file, self.path(name))
        return self._inner[name]

    def part(self, name: str, model_type: str) -> Config:
        """The config of one of several models inside this one; an absent one says nothing.

        Args:
            name: the field.
            model_type: what it says of itself, if it does.
        """
        part = self.inner(name) or self._inner.setdefault(
            name, Config({}, self.file, self.path(name))
        )
        part._of_a_model = True
        part.only("model_type", model_type)
        return part

    def inside(self, name: str, model_type: str, **defaults: Any) -> Config:
        """The config of a model inside this one; where it is absent, its fields stand here.

        What any model's config may hold is harmless there too. Beside it, its fields may stand
        again if they say the same.

        Args:
            name: the field.
            model_type: what it says of itself, if it does.
            **defaults: what absent fields mean there, whatever the model's own family says.
        """
        self.body = self.inner(name) or self
        self.body._defaults = defaults
        if self.body is not self:
            self.body._of_a_model = True
            self.body.only("model_type", model_type)
        return self.body

    def changed(self, name: str, value: Any) -> Config:
        """A new reader of the same config, with another value of a field of its body."""
        body = {**self.body.data, name: value}
        whole = body if self.body is self else {**self.data, self.body.within: body}
        return Config(whole, self.file)

    def finish(self) -> None:
        """Refuses fields that nobody read and that are not known to be harmless."""
        for inner in self._inner.values():
            inner.finish()
        for name, value in self.data.items():
            if name in self.read or (self._of_a_model and self._harmless(name, value)):
                continue
            if self.body is not self and name in self.body.read:
                given = self.body.data.get(name)
                said = self.body.assumed.get(name) if given is None else given
                if value not in (None, said):
                    raise self.error(name, f"is {value!r} here, {said!r} in {self.body.within}")
                continue
            near = get_close_matches(name, (*self.read, *self.body.read), n=1)
            hint = f"did you mean {near[0]!r}?" if near else None
            if name == "quantization_config":
                raise self.error(name, "these weights are quantised, in a form that can't be read")
            raise self.error(name, "this field is not known to the family", hint)

    @staticmethod
    def _harmless(name: str, value: Any) -> bool:
        return name in HARMLESS or any(value == inert for inert in INERT.get(name, ()))


def read_json(path: Path, limit: int = _FILE_LIMIT) -> dict[str, Any]:
    """A JSON object from a file, with every way it can be none answered by a ConfigError."""
    try:
        if path.stat().st_size > limit:
            raise ConfigError(f"is larger than {limit} bytes", file=path)
        data = json.loads(path.read_bytes(), object_pairs_hook=_no_twins)
    except (ValueError, RecursionError, OSError) as error:
        if isinstance(error, ConfigError):
            raise ConfigError(error.reason, file=path, field=error.field) from None
        reason = f"is not readable as JSON: {printable(error)}"
        raise ConfigError(reason, file=path, hint="download the file again") from None
    if not isinstance(data, dict):
        raise ConfigError("is not a JSON object", file=path)
    return data


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ConfigError("is there twice", field=twin)
    return data


def with_infinity(value: Any) -> Any:
    """transformers 5 writes infinity as an object, older files as a bare word."""
    if isinstance(value, dict):
        if set(value) == {"__float__"} and value["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(value["__float__"])
        return {name: with_infinity(part) for name, part in value.items()}
    if isinstance(value, list):
        return [with_infinity(part) for part in value]
    return value


def without_infinity(value: Any) -> Any:
    """The inverse of what reading does to infinity, of which JSON has no word."""
    if isinstance(value, float) and math.isinf(value):
        return {"__float__": "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {name: without_infinity(part) for name, part in value.items()}
    return [without_infinity(part) for part in value] if isinstance(value, list) else value
