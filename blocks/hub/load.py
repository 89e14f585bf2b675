"""from_pretrained: a public checkpoint as a model of ours, every tensor and field accounted for."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace as replace_fields
from typing import Any

import torch

from blocks.edit import replace
from blocks.errors import CheckpointError, ConfigError
from blocks.hub.adapter import check_adapter
from blocks.hub.amount import held, ordered
from blocks.hub.changed import rewritten
from blocks.hub.checkpoint import Checkpoint, open_checkpoint, weight_files
from blocks.hub.checksums import verify_source
from blocks.hub.defaults import read_generation
from blocks.hub.diagnose import depth_field, depths, suggestion
from blocks.hub.fill import assign, check_target, initialise, read_tensors
from blocks.hub.frozen import settle_adapters
from blocks.hub.gguf.place import chosen
from blocks.hub.match import Match, listed, match
from blocks.hub.outline import Outline, Whole, read_outline
from blocks.hub.packing import check_scales, check_ties, put_packed
from blocks.hub.provenance import Provenance
from blocks.hub.quantised.storage import Stored, stored_otherwise
from blocks.hub.source import Source, resolve
from blocks.models.packing import packed_ties
from blocks.models.places import addresses, buffers, spread, tie
from blocks.ops.shapeless import on_meta
from blocks.spec import Spec, building

__all__ = ["from_pretrained"]

_TORCH = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


def from_pretrained(
    repo_or_dir: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    rewrite: Callable[[Spec], Spec] | None = None,
    strict: bool = True,
    copy: bool = False,
    check_finite: bool = False,
    verify: bool = False,
    blocks: Iterable[type] = (),
) -> Any:
    """Loads a model from a folder or a Hub repository; nothing in it is ever executed.

    The files are mapped into memory, not copied, where dtype and device stay the same: loading is
    quick and takes no memory of its own, but a file that is rewritten in place under a live model
    changes it. Pass `copy=True` if that may happen.

    Args:
        repo_or_dir: a folder, a repository such as "HuggingFaceTB/SmolLM2-135M", or a GGUF file.
        revision: a branch, tag, commit or pull request ("refs/pr/7").
        token: for private and gated repositories; True takes the one that `hf auth login` saved.
        cache_dir: another cache folder than the Hub client's.
        local_files_only: don't ask the Hub.
        force_download: fetch files again that are in the cache.
        dtype: convert the weights; by default they stay as they are in the file, and quantised
            ones become bfloat16, or float16 where the others are. Buffers always stay.
        device: where to put them; the CPU by default.
        rewrite: a function from the family's Spec to the one that is wanted. Weights are carried
            over as `swap` does it, the rest is initialised by the blocks' own rule;
            `model.provenance` lists both.
        strict: with False, missing tensors are initialised and extra ones left out, with a warning.
        copy: read the files into memory of their own.
        check_finite: refuse weights that hold NaN or infinity (reads every byte).
        verify: compare the files with their SHA-256 (reads every byte).
        blocks: classes of your own that a saved Spec names.

    Returns:
        The model in evaluation mode, with `.spec`, `.provenance` and `.generation`.

    Errors:
        HubError: no such folder, repository or revision.
        ConfigError: a config.json that can't be read, or of an unknown family.
        SpecError: a dtype or device that can't be had.
        CheckpointError: weights that are missing, extra, misshapen, damaged or unsafe; all that
            is wrong is listed at once, with the config field that disagrees.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> model.provenance.family
        'llama'
    """
    check_target(dtype, device)
    place = resolve(
        repo_or_dir,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        force_download=force_download,
    )
    source = chosen(place)
    with source.settled():
        check_adapter(source, strict)
        outline = read_outline(source, blocks)
        checkpoint = open_checkpoint(source)
        for note in checkpoint.notes:
            warnings.warn(note, stacklevel=2)
        if verify:
            verify_source(source, weight_files(source))
        outline = outline.fitted(checkpoint.entries)
        _check_depth(outline, checkpoint)
        with on_meta():
            model = outline.build()
        shapes = {address: tuple(tensor.shape) for address, tensor in addresses(model).items()}
        pairs = {tie: spread(tie, shapes) for tie in packed_ties(model, outline.ties)}
        each = [pair for parts in pairs.values() for pair in parts]
        found = match(outline.table(model), shapes, checkpoint.entries, outline.sharable(each))
        _check(found, outline, checkpoint, strict)
        if outline.storage is not None:
            outline.storage.check(found.found, outline.config)
        generation = read_generation(source)
        kind = dtype or _common_dtype(checkpoint, found)
        options: dict[str, Any] = {"dtype": kind, "device": device}
        reading = {"buffers": buffers(model), "copy": copy, "check_finite": check_finite}
        tensors = read_tensors(checkpoint, found.found, shapes, **reading, **options)
        shared = {*found.ties, *_equal(each, tensors)}
        for tie in [t for t in each if outline.tied and t[0] == "head.weight"]:
            if tie not in shared and {*tie} <= tensors.keys():
                both = f"{tie[0]} and {tie[1]} differ: both are kept"
                warnings.warn(f"tie_word_embeddings is true, but {both}", stacklevel=2)
        spec = outline.spec
        if outline.packed:
            check_ties(each, shared, outline.config)
        else:
            spec = replace(spec, ties=_ties(pairs, shared))
        with building() as made, on_meta():
            model = spec()
        put_packed(model, outline.packed)
        model.provenance = _provenance(source, outline)
        _settle(model, made, tensors, found, options)
        settle_adapters(model, outline.config, model.provenance.initialised)
        if check_finite:
            check_scales(model, checkpoint.files[0])
        if rewrite is not None:
            model = rewritten(model, rewrite, outline.packed, **options)
        model.generation = generation
        model.source_config = outline.config.data
        # Where its tokenizer is: what the files themselves say of their origin is never followed.
        home = repo_or_dir if source.folder is None else source.folder.resolve()
        model.origin = {"repo_or_dir": home, "revision": source.commit}
        model.origin |= {"cache_dir": cache_dir, "local_files_only": local_files_only}
    return model.eval()


def _provenance(source: Source, outline: Outline) -> Provenance:
    """Where the model is from; a saved composition remembers where its weights first came from."""
    if outline.family is not None:
        decoded = () if outline.storage is None else outline.storage.told
        return Provenance(source.name, source.commit, outline.model_type, changes=decoded)
    told = Provenance.from_json(outline.config.data.get("provenance"))
    return replace_fields(
        told,
        source=told.source or source.name,
        commit=told.commit if told.source else source.commit,
    )


def _settle(model: Any, made: Any, tensors: Any, found: Match, options: Any) -> None:
    """Fills the model, draws what the file doesn't hold, and ties what is shared."""
    wanted = addresses(model)
    kept = {a: t for a, t in tensors.items() if a in wanted and t.shape == wanted[a].shape}
    ties = packed_ties(model, model.spec.keywords["ties"])
    shared = {place for pair in ties for place, _ in spread(pair, wanted)}
    new = [a for a in wanted if a not in kept and a not in shared]
    assign(model, kept)
    initialise(model, made, new, **options)
    tie(model, ties)
    left = [a for a, tensor in addresses(model).items() if tensor.is_meta]
    if left:
        raise CheckpointError(f"nothing filled {listed(left)}", tensor=left[0])
    told = model.provenance
    told.initialised = tuple(dict.fromkeys((*told.initialised, *new)))
    told.left_out += (*found.extra, *found.apart, *(a for a in tensors if a not in kept))


def _check_depth(outline: Outline, checkpoint: Checkpoint) -> None:
    """A config may not order more layers than the file has tensors: that would be built first."""
    if not checkpoint.entries:
        raise CheckpointError("holds no tensors", file=checkpoint.files[0])
    for half, depth in depths(outline.spec).items():
        if depth > len(checkpoint.entries):
            raise ConfigError(
                f"asks for {depth} layers, the weights are {len(checkpoint.entries)} tensors",
                file=outline.config.file,
                field=depth_field(outline.config, depth, half),
            )
    if (count := ordered(outline.spec)) > held(checkpoint.entries.values()):
        raise ConfigError(
            f"asks for {count} parts, the weights are {len(checkpoint.entries)} tensors",
            file=outline.config.file,
        )


def _check(found: Match, outline: Outline, checkpoint: Checkpoint, strict: bool) -> None:
    wrong = []
    if found.misfits:
        wrong.append("wrong shape: " + listed([str(misfit) for misfit in found.misfits]))
    lost = [one.theirs for one in found.missing if isinstance(one.rule, Whole)]
    if found.missing and (strict or lost):
        wrong.append("missing: " + listed([mapped.theirs for mapped in found.missing]))
    if found.unmapped and strict:
        wrong.append("the family has no name for: " + listed(found.unmapped))
    if found.extra and strict:
        wrong.append("not used by the model: " + listed(found.extra))
    if wrong:
        hint = None if outline.storage is None else stored_otherwise(found.misfits)
        if outline.family is not None and hint is None:
            hint = suggestion(outline.family, outline.config, found, outline.spec)
        names = [*(m.mapped.theirs for m in found.misfits), *(m.theirs for m in found.missing)]
        first = (names or found.unmapped or found.extra)[0]
        home = checkpoint.files[0] if len(checkpoint.files) == 1 else checkpoint.files[0].parent
        raise CheckpointError(
            f"the weights don't fit {outline.config.file}: " + "; ".join(wrong),
            file=checkpoint.shard_of(first) if first in checkpoint.entries else home,
            tensor=first,
            hint=hint or ("strict=False initialises what is missing" if not lost else None),
        )
    if found.missing or found.unmapped or found.extra:
        initialised = [*(m.theirs for m in found.missing), *found.unmapped]
        warnings.warn(
            f"initialised: {listed(initialised) or 'nothing'}; "
            f"left out: {listed(found.extra) or 'nothing'}",
            stacklevel=3,
        )


def _common_dtype(checkpoint: Checkpoint, found: Match) -> torch.dtype | None:
    """The dtype that most bytes have; None without weights. Quantised ones become BF16, but F16
    beside plain ones of F16: else these would lose digits.

    F16 beside BF16 is refused: neither can hold the other, and a header that says one where it is
    the other makes other numbers of the same bytes.
    """
    count: Counter[str] = Counter()
    first: dict[str, str] = {}
    quantised = 0
    for mapped in found.found:
        if isinstance(mapped.rule, Whole):
            continue
        entry = checkpoint.entries[mapped.theirs]
        if isinstance(mapped.rule, Stored) or entry.dtype not in _TORCH:
            quantised += entry.nbytes  # its scales are no weights
            continue
        count[entry.dtype] += entry.nbytes
        first.setdefault(entry.dtype, mapped.theirs)
    if {"F16", "BF16"} <= first.keys():
        many, few = sorted(("F16", "BF16"), key=lambda kind: -count[kind])
        raise CheckpointError(
            f"is {few} beside tensors of {many}, and neither can hold the other's values",
            file=checkpoint.shard_of(first[few]),
            tensor=first[few],
            hint="if both are meant, dtype=torch.float32 holds them all",
        )
    if quantised:
        count["F16" if "F16" in first else "BF16"] += quantised
    return _TORCH[count.most_common(1)[0][0]] if count else None


def _ties(
    pairs: Mapping[tuple[str, str], list[tuple[str, str]]], shared: set[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The ties that hold: a block's where all its tensors are shared, else those of tensors."""
    found: list[tuple[str, str]] = []
    for pair, parts in pairs.items():
        whole = bool(parts) and shared.issuperset(parts)
        found += [pair] if whole else [part for part in parts if part in shared]
    return found


def _equal(
    ties: Iterable[tuple[str, str]], tensors: Mapping[str, torch.Tensor]
) -> list[tuple[str, str]]:
    """Places whose tensor the file holds as a copy of another: these are shared as well."""
    return [
        (place, source)
        for place, source in ties
        if place in tensors
        and source in tensors
        and tensors[place].shape == tensors[source].shape
        and torch.equal(tensors[place][:1], tensors[source][:1])
        and torch.equal(tensors[place], tensors[source])
    ]
