"""export: a model in the layout that transformers, vLLM, llama.cpp and others read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from blocks.attention.cross import CrossAttention
from blocks.attention.gq import GQAttention
from blocks.edit import replace, rewrite, walk
from blocks.errors import BlocksError, CheckpointError
from blocks.families import family_of, model_types
from blocks.hub.config import HARMLESS, Config
from blocks.hub.family import Family
from blocks.hub.folder import writing
from blocks.hub.keys import Mapped
from blocks.hub.match import listed
from blocks.hub.save import spec_of, tokenizer_files, unique_tensors, write_others
from blocks.hub.sentence import bare, write_sentence_head
from blocks.hub.shards import read_size, write_tensors
from blocks.hub.unsaid import SPEECHLESS, likest, unsaid
from blocks.models.adapters import is_adapted
from blocks.models.packing import packed_matrices
from blocks.spec import Spec, is_spec, show
from blocks.text.tokenfiles import NAMES as TOKENIZER

__all__ = ["export"]

_SHOWN = 10_000  # differences that are looked at, which fold into a few lines
_HINT = "save_pretrained keeps any composition, and eject writes it as plain PyTorch"
_NAMES = {
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float32: "float32",
    torch.float64: "float64",
}


def export(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    family: str | None = None,
    tokenizer: Any = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Writes config.json and safetensors under the reference's names.

    An untouched model gives back the tensors it was loaded from bit for bit. A model that was
    changed is written if the family, or any other, can say it; else the error lists what it
    can't say.

    Args:
        model: an assembly with a `.spec`.
        folder: where to; what happens to an older one, `save_pretrained` says.
        family: the `model_type` to write; by default the one it was loaded as, else the first
            that can say it.
        tokenizer: a `Tokenizer` to save with it.
        max_shard_size: larger checkpoints are cut into shards: "5GB", or bytes.

    Errors:
        CheckpointError: no family can express the model, or its matrices are packed or adapted.

    Example:
        >>> import blocks, tempfile
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> folder = tempfile.mkdtemp()
        >>> blocks.export(model, folder)
        >>> blocks.from_pretrained(folder).provenance.family
        'llama'
    """
    whole = spec_of(model)
    if packed := packed_matrices(model):
        raise CheckpointError(
            f"{len(packed)} of its matrices are packed, which no other layout can say",
            field="model",
            hint="export the model that was packed, or use save_pretrained",
        )
    if is_adapted(whole):
        raise CheckpointError(
            "has adapters, which no model's own layout can say",
            field="model",
            hint="merge_adapter makes plain matrices of them, save_adapter writes them alone",
        )
    spec, sentence = bare(_explicit(whole))
    chosen, fields = _expressed(model, spec, family)
    tensors = unique_tensors(model)
    parts = {}
    for mapped in _mapped(chosen, spec, list(tensors)):
        ours = [tensors[address].detach() for address in mapped.ours]
        nbytes = sum(tensor.numel() * tensor.element_size() for tensor in ours)
        parts[mapped.theirs] = (
            nbytes,
            lambda m=mapped, o=ours: m.rule.save([t.detach() for t in o]),
        )
    size = read_size(max_shard_size)
    data = _config(model, chosen, fields, next(iter(tensors.values())))
    texts = tokenizer_files(tokenizer)
    with writing(folder, TOKENIZER if texts else ()) as draft:
        write_tensors(draft, parts, size)
        draft.json("config.json", data)
        write_others(model, texts, draft)
        if sentence is not None:
            write_sentence_head(draft, sentence, spec.keywords["dim"])


def _mapped(family: Family, spec: Spec, addresses: list[str]) -> list[Mapped]:
    mapped = family.table(spec).chosen(addresses)
    covered = {address for one in mapped for address in one.ours}
    left = [address for address in addresses if address not in covered]
    if left:
        raise CheckpointError(f"{family.model_type} has no name for {listed(left)}", tensor=left[0])
    return mapped


def _config(model: Any, family: Family, fields: dict[str, Any], tensor: Tensor) -> dict[str, Any]:
    """What the source said of itself, then what the Spec says."""
    source = getattr(model, "source_config", None) or {}
    same = source.get("model_type") == family.model_type
    told = {name: value for name, value in source.items() if name in HARMLESS} if same else {}
    for newer in ("dtype", "transformers_version"):
        told.pop(newer, None)  # the older dialect is written, which every reader knows
    defaults = getattr(model, "generation", None)
    said = {} if defaults is None else defaults.to_json()
    return {
        "architectures": list(family.architectures[:1]),
        **{name: value for name, value in said.items() if name in HARMLESS},
        **told,
        **fields,
        "model_type": family.model_type,
        "torch_dtype": _NAMES[tensor.dtype],
    }


def _expressed(model: Any, spec: Spec, name: str | None) -> tuple[Family, dict[str, Any]]:
    """The family that can say this model, and its fields."""
    source = getattr(getattr(model, "provenance", None), "family", None)
    known = model_types()
    first = name or (source if source in known else None)
    for candidate in [first] if first else known:
        family = family_of(candidate)
        family = family_of(family.written or candidate)
        fields = _said(family, spec)
        if fields is not None:
            return family, fields
    nearest = family_of(family_of(first).written or first) if first else likest(spec)
    different = _unsaid(nearest, spec, getattr(model, "source_config", None) or {})
    reason, hint = f"{nearest.model_type} can't express this model: {listed(different)}", _HINT
    if not first:
        reason = f"none of {len(known)} families can express this model; of the nearest, {reason}"
        hint = f"{hint}; family= says why another can't"
    place, _, there = different[0].partition(" is ")
    raise CheckpointError(reason, field=place if there else "model", hint=hint)


def _said(family: Family, spec: Spec) -> dict[str, Any] | None:
    """The fields of config.json that make just this Spec, proven by reading them again."""
    try:
        fields = family.config(spec)
        reader = Config(fields, "config.json")
        again = family.spec(reader)
        reader.finish()
    except SPEECHLESS:
        return None
    return fields if again == replace(spec, ties=()) else None


def _unsaid(family: Family, spec: Spec, source: dict[str, Any]) -> list[str]:
    """What the family has no words for, place by place."""
    plain = replace(spec, ties=())
    try:
        reader = Config(family.config(spec))
        again = family.spec(reader)
        reader.finish()
    except SPEECHLESS as error:
        # A part stopped the writer: what differs from the source, where that is known.
        if source.get("model_type") == family.model_type:
            again = family.spec(Config(source))
            if different := list(islice(differences(again, plain), _SHOWN)):
                return different
        said = str(error) if isinstance(error, BlocksError) else "a part of it is of another kind"
        return unsaid(family, plain) or [said]
    return list(islice(differences(again, plain), _SHOWN))


def _explicit(spec: Spec) -> Spec:
    """The same model with the sizes written out that attention takes from its parent."""
    dim = spec.keywords.get("dim")

    def filled(attention: Spec) -> Spec:
        said = attention.keywords
        head_dim, kv_heads = said["head_dim"], said["kv_heads"]
        heads = said["heads"]
        return replace(attention, head_dim=head_dim or dim // heads, kv_heads=kv_heads or heads)

    there = {part.func for _, part in walk(spec)} if dim else set()
    for kind in (GQAttention, CrossAttention):
        spec = rewrite(spec, kind, filled) if kind in there else spec
    return spec


def differences(theirs: Spec, ours: Spec, address: str = "") -> Iterator[str]:
    """Where two Specs differ, address by address."""
    if theirs == ours:
        return
    at = address or "the model"
    if theirs.func is not ours.func:
        yield f"{at} is {ours.func.__name__}, not {theirs.func.__name__}"
        return
    through = getattr(ours.func, "transparent", None)
    for option, value in ours.keywords.items():
        other = theirs.keywords.get(option)
        place = address if option == through else f"{address}.{option}" if address else option
        yield from _different(other, value, place)


def _different(theirs: Any, ours: Any, place: str) -> Iterator[str]:
    if theirs == ours:
        return
    if is_spec(ours) and is_spec(theirs):
        yield from differences(theirs, ours, place)
    elif isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            yield from _different(a, b, f"{place}.{i}")
    elif hasattr(ours, "items") and hasattr(theirs, "items") and list(ours) == list(theirs):
        for name in ours:
            yield from _different(theirs[name], ours[name], f"{place.rpartition('.')[0]}.{name}")
    else:
        yield f"{place} is {show(ours)}, not {show(theirs)}"
