"""inspect: what a checkpoint is, from config.json and headers alone; no weights are fetched."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from blocks.errors import ConfigError
from blocks.hub.adapter import check_adapter
from blocks.hub.checkpoint import Peek, peek_checkpoint
from blocks.hub.diagnose import depths
from blocks.hub.gguf.place import chosen
from blocks.hub.keys import Mapped
from blocks.hub.licence import licence_of
from blocks.hub.match import match
from blocks.hub.outline import Outline, Whole, is_of_head, read_outline
from blocks.hub.quantised.storage import Stored
from blocks.hub.report import KINDS, Inspection, Landing
from blocks.hub.source import Source, resolve
from blocks.models.packing import PackedHead, Pair, packed_ties, stood_for
from blocks.models.places import addresses, modules, spread
from blocks.ops.shapeless import on_meta
from blocks.ops.twins import twinned
from blocks.spec import building
from blocks.wiring.packed import PackedLinear

__all__ = ["inspect"]

_NAMES = {header: name for name, (header, _) in KINDS.items()}
_DEEPEST = 2_000  # layers that are built although the file holds fewer tensors


def inspect(
    repo_or_dir: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    blocks: Iterable[type] = (),
) -> Inspection:
    """Looks at a checkpoint without its weights: config.json, and the headers or the index.

    A file that doesn't fit its config is reported, in `missing`, `unmapped` and `misshapen`.
    Headers of a Hub repository are read by range requests; where only an index is at hand, tensors
    are known by name.

    Args:
        repo_or_dir: a folder, or a repository such as "HuggingFaceTB/SmolLM2-135M"; or a GGUF file,
            whose tensors are named as the family's own files name them.
        revision: a branch, tag, commit or pull request ("refs/pr/7").
        token: for private and gated repositories; True takes the one that `hf auth login` saved.
        cache_dir: another cache folder than the Hub client's.
        local_files_only: don't ask the Hub.
        blocks: classes of your own that a saved Spec names.

    Errors:
        HubError: no such folder, repository or revision.
        ConfigError: a config.json that can't be read, or of an unknown family.
        CheckpointError: no safetensors, or damaged ones.

    Example:
        >>> import blocks
        >>> report = blocks.inspect(blocks.packaged())
        >>> report.model_type, report.fits, report.missing, report.unmapped
        ('llama', True, (), ())
    """
    place = resolve(
        repo_or_dir,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
    )
    source = chosen(place)
    check_adapter(source, strict=is_alone(source))
    return inspected(source, blocks)


def is_alone(source: Source) -> bool:
    """Whether there is no whole model for an adapter's file to lie beside."""
    return source.foreign is None and not source.has("config.json")


def inspected(source: Source, blocks: Iterable[type] = ()) -> Inspection:
    """What `inspect` tells of a place that is found."""
    outline = read_outline(source, blocks)
    peek = peek_checkpoint(source)
    outline = outline.fitted(peek.entries)
    _check_depth(outline, peek)
    with building() as made, on_meta(), twinned():
        model = outline.build()
    shapes = {address: tuple(tensor.shape) for address, tensor in addresses(model).items()}
    ties = [pair for tie in packed_ties(model, outline.ties) for pair in spread(tie, shapes)]
    found = match(outline.table(model), shapes, peek.entries, outline.sharable(ties))
    owners = _owners(model, {id(module) for module, _, _ in made})
    values = {address: prod(shape) for address, shape in shapes.items()} | stood_for(model)
    twins = _twins(outline.sharable(ties), found.found, peek)
    order = {address: at for at, address in enumerate(shapes)}
    in_order = sorted(found.found, key=lambda mapped: order[mapped.ours[0]])
    rows = (_landing(mapped, shapes, values, peek, owners) for mapped in in_order)
    tensors = tuple(row._replace(twin=twins.get(row.name)) for row in rows)
    plain = {row.dtype for row in tensors if row.stored is None}
    if {"F16", "BF16"} & plain == {"F16"}:
        tensors = tuple(row._replace(decoded="F16") for row in tensors)
    denied = None if outline.storage is None else outline.storage.contradiction(found.found)
    used, ignored = {n for one in found.found for n in one.names}, outline.keys.ignored
    known = [entry for entry in peek.entries.values() if entry]
    data, body = outline.config.data, outline.config.body
    return Inspection(
        source=source.name,
        commit=source.commit,
        model_type=outline.model_type,
        architectures=tuple(data.get("architectures") or (outline.spec.func.__name__,)),
        dialect=_dialect(data),
        context=outline.spec.keywords.get("context"),
        parameters=sum(row.parameters for row in tensors if not row.twin),
        nbytes=sum(e.nbytes for e in known) if len(known) == len(peek.entries) else peek.total,
        dtype=_dtype(tensors, data),
        dtypes=dict(Counter(entry.dtype for entry in known)),
        tensors=tensors,
        unmapped=tuple(found.extra),
        missing=(*(mapped.theirs for mapped in found.missing), *found.unmapped),
        misshapen=(*(str(misfit) for misfit in found.misfits), *([denied] if denied else ())),
        ignored=tuple(n for n in peek.entries if n not in used and ignored(n, peek.entries)),
        tied=found.ties,
        assumed=outline.config.assumed | {body.path(n): v for n, v in body.assumed.items()},
        packed=dict(Counter(f"int{one.bits}" for one in outline.packed.values())),
        quantised=_quantised(tensors),
        files=peek.files,
        licence=licence_of(source),
        model=model,
    )


def _twins(ties: Iterable[Pair], found: Iterable[Mapped], peek: Peek) -> dict[str, str]:
    """Heads that a file holds beside the table of tokens with which they are one, which is where.

    Of other ties no config says whether they are meant: what the file holds counts.
    """
    names = {one.ours[0]: one.theirs for one in found if len(one.ours) == 1}
    twins: dict[str, str] = {}
    for place, source in ties:
        mine, other = names.get(place), names.get(source)
        head = is_of_head((place, source)) and mine != other
        if head and mine and other and _form(peek, mine) == _form(peek, other):
            twins[mine] = source
    return twins


def _form(peek: Peek, name: str) -> tuple[Any, ...] | None:
    entry = peek.entries[name]
    return entry and (entry.shape, entry.dtype)


def _check_depth(outline: Outline, peek: Peek) -> None:
    """Layers are built before they are matched: a config may not order any number of them."""
    depth = max(depths(outline.spec).values())
    if depth > max(len(peek.entries), _DEEPEST):
        raise ConfigError(
            f"asks for {depth} layers, the weights are {len(peek.entries)} tensors",
            file=outline.config.file,
            field="num_hidden_layers",
        )


def _owners(model: Any, built: set[int]) -> dict[str, str]:
    """The class of each block by address; what a block is made of inside is its own matter."""
    named = (PackedLinear, PackedHead)
    found = {a: m for a, m in modules(model) if id(m) in built or m is model or type(m) in named}
    return {address: type(module).__name__ for address, module in found.items()}


def _landing(
    mapped: Mapped,
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, int],
    peek: Peek,
    owners: Mapping[str, str],
) -> Landing:
    entry, place = peek.entries[mapped.theirs], mapped.ours[0]
    while place not in owners:
        place = place.rpartition(".")[0]
    whole = mapped.rule.kind if isinstance(mapped.rule, Whole) else None
    dtype = entry.dtype if entry else whole
    shape = entry.shape if entry else mapped.rule.shape([shapes[a] for a in mapped.ours])
    count = sum(values[address] for address in mapped.ours)
    stored, nbytes = None, None
    if isinstance(mapped.rule, Stored):
        stored = mapped.rule.format.title
        parts = [part.nbytes for name in mapped.names if (part := peek.entries[name])]
        nbytes = sum(parts) if len(parts) == len(mapped.names) else None
    one = (mapped.theirs, dtype, shape, mapped.ours, owners[place], count, whole is not None)
    return Landing(*one, stored, nbytes)


def _quantised(tensors: Iterable[Landing]) -> dict[str, tuple[int, float | None]]:
    """How many matrices are stored in each format, and the bits of a weight."""
    rows: dict[str, list[Landing]] = {}
    for row in tensors:
        if row.stored is not None:
            rows.setdefault(row.stored, []).append(row)
    found = {}
    for form, group in rows.items():
        sizes = [row.nbytes for row in group if row.nbytes is not None]
        bits = 8 * sum(sizes) / sum(row.parameters for row in group)
        found[form] = (len(group), bits if len(sizes) == len(group) else None)
    return found


def _dtype(tensors: Iterable[Landing], data: Mapping[str, Any]) -> str:
    count: Counter[str] = Counter()
    for row in tensors:
        if row.becomes is not None and not row.whole:
            count[_NAMES[row.becomes]] += row.parameters
    said = str(data.get("dtype") or data.get("torch_dtype"))
    return count.most_common(1)[0][0] if count else said if said in KINDS else "float32"


def _dialect(data: Mapping[str, Any]) -> str | None:
    fields = {"rope_parameters": "v5", "rope_theta": "v4", "rope_scaling": "v4"}
    fields |= {"torch_dtype": "v4", "dtype": "v5"}  # 4.56 wrote dtype beside rope_theta
    return next((dialect for name, dialect in fields.items() if name in data), None)
