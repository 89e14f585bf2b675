"""All tensors of a checkpoint: which files belong to it, and whether they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from blocks.errors import CheckpointError, HubError, printable
from blocks.hub.headers import Entry, Header, read_header
from blocks.hub.index import Index, read_index

if TYPE_CHECKING:
    from blocks.hub.source import Source

# The two names the Hub's tools write: for language and vision models, and for parts of a pipeline.
STEMS = ("model", "diffusion_pytorch_model")
# Bytes that a header says of a tensor beside its name, and of the file, at most as a rule.
_LINE, _FRAME = 96, 256
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".joblib")


@dataclass(frozen=True)
class Checkpoint:
    """Every tensor of a checkpoint, with all its files at hand.

    Attributes:
        entries: by tensor name, over all files, in the order of the files.
        headers: by file; `headers[path].stamp` tells whether a file has changed since.
        total: the bytes the index claims, None if it doesn't say.
        notes: what is odd about it but does no harm.
    """

    decodes: ClassVar[bool] = False  # tensors are not in the file as they are read

    entries: dict[str, Entry]
    headers: dict[Path, Header]
    total: int | None
    notes: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The weight files, in order."""
        return tuple(self.headers)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(entry.nbytes for entry in self.entries.values())

    def opened(self, file: Path, dtype: Any = None) -> Any:
        """A file to get tensors from: a context with `get_tensor`.

        Args:
            file: one of `files`.
            dtype: what is decoded may be made of this at once.
        """
        from safetensors import safe_open  # who only looks at headers needs none of it

        del dtype  # these are as they are
        try:
            return safe_open(file, framework="pt")
        except RuntimeError as error:  # of torch, which maps the file
            raise OSError(str(error)) from error

    def shard_of(self, tensor: str) -> Path:
        """The file that holds `tensor`."""
        file = self.entries[tensor].file
        assert file is not None  # every entry of a Checkpoint was read from a file
        return file


@dataclass(frozen=True)
class Peek:
    """The tensors of a checkpoint as far as they can be known without fetching its weights.

    Attributes:
        entries: by tensor name; None where only the index is there and tells just the name.
        files: names of the weight files.
        total: the bytes the index claims, None if it doesn't say.
    """

    entries: dict[str, Entry | None]
    files: tuple[str, ...]
    total: int | None


def open_checkpoint(source: Source) -> Checkpoint:
    """Fetch the weight files of `source` and check that they are whole and agree.

    The files are those that `model.safetensors.index.json` names, else `model.safetensors`;
    nothing else in the folder is looked at.

    Errors:
        CheckpointError: no weights, only pickles, two checkpoints, a damaged file, or an index
            that doesn't agree with its files.
    """
    if source.foreign:
        return source.foreign.checkpoint()
    index, name = _index(source)
    paths = {file: _fetch(source, file, name) for file in (index.files if index else (name,))}
    headers = {file: read_header(path) for file, path in paths.items()}
    if index:
        _check_agreement(index, headers, name)
    entries = {name: entry for header in headers.values() for name, entry in header.entries.items()}
    total = index.total if index else None
    held = sum(entry.nbytes for entry in entries.values())
    notes = (
        () if total in (None, held) else (f"{name} claims {total} bytes, its files hold {held}",)
    )
    return Checkpoint(entries, {paths[file]: headers[file] for file in headers}, total, notes)


def weight_files(source: Source) -> tuple[str, ...]:
    """The names of the files that hold the weights, and of their index."""
    if source.foreign:
        return tuple(source.files() or ())
    index, name = _index(source)
    return (name, *index.files) if index else (name,)


def peek_checkpoint(source: Source) -> Peek:
    """What `open_checkpoint` would find, without fetching weights.

    Headers of files that are not at hand are read by range requests; where not even that can be
    (a folder with an index and no shards, or offline), tensors are known by name only.
    """
    if source.foreign:
        return source.foreign.peek()
    index, name = _index(source)
    files = index.files if index else (name,)
    sizes: dict[str, int] = {} if index is None else _expected(index)
    with ThreadPoolExecutor(8) as pool:
        headers = pool.map(source.header, files, map(sizes.get, files))
        found = dict(zip(files, headers, strict=True))
    headers = {file: header for file, header in found.items() if header}
    if index is None:
        if not headers:
            raise CheckpointError("its header can't be had offline", file=name)
        return Peek(dict(headers[name].entries), files, None)
    _check_agreement(index, headers, name)
    entries = {
        tensor: headers[file].entries[tensor] if file in headers else None
        for tensor, file in index.weight_map.items()
    }
    return Peek(entries, files, index.total)


def _expected(index: Index) -> Counter[str]:
    """About how many bytes the header of each file takes, by the names that it holds."""
    sizes = Counter(dict.fromkeys(index.files, _FRAME))
    for tensor, file in index.weight_map.items():
        sizes[file] += len(tensor) + _LINE
    return sizes


def _index(source: Source) -> tuple[Index | None, str]:
    """The index and its name, or None and the name of the single weight file."""
    name, single = choose_weights(source)
    if name is None:
        assert single is not None  # choose_weights gives at least one
        return None, single
    index = read_index(source.need(name))
    if single and single not in index.files:
        raise CheckpointError(
            f"holds two checkpoints: {single}, and the shards that {name} names",
            file=source.name,
            hint=f"one is stale; remove {single} or {name}",
        )
    return index, name


def _fetch(source: Source, file: str, index: str) -> Path:
    path = source.find(file)
    if path is None:
        raise CheckpointError(
            f"is missing although {index} names it", file=file, hint="download the missing file"
        )
    return path


def _check_agreement(index: Index, headers: Mapping[str, Header], name: str) -> None:
    wrong: list[tuple[str, str]] = []
    for file, header in headers.items():
        for tensor in header.entries:
            home = index.weight_map.get(tensor)
            if home is None:
                wrong.append((tensor, f"is in {file} but not in the index"))
            elif home != file:
                wrong.append((tensor, f"is in {file} although the index says {home}"))
    for tensor, file in index.weight_map.items():
        if file in headers and tensor not in headers[file].entries:
            wrong.append((tensor, f"is not in {file}, where the index says it is"))
    if wrong:
        shown = "; ".join(f"{printable(tensor, 80)} {what}" for tensor, what in wrong[:8])
        more = f"; and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise CheckpointError(
            f"doesn't agree with its files: {shown}{more}",
            file=name,
            tensor=wrong[0][0],
            hint="index and shards are of different checkpoints; download all of them again",
        )


def choose_weights(source: Source) -> tuple[str | None, str | None]:
    """The names of the index and of the single weight file in `source`; one may be None.

    Errors:
        CheckpointError: neither is there; says what is there instead and what to try.
    """
    found = [
        (stem, tail)
        for stem in STEMS
        for tail in (".safetensors.index.json", ".safetensors")
        if source.has(stem + tail)
    ]
    if not found:
        raise _nothing(source)
    if len({stem for stem, _ in found}) > 1:
        names = " and ".join(stem + tail for stem, tail in found)
        raise CheckpointError(
            f"holds two checkpoints: {names}",
            file=source.name,
            hint="keep the one that is meant in a folder of its own",
        )
    stem, tails = found[0][0], [tail for _, tail in found]
    index, single = (
        stem + tail if tail in tails else None
        for tail in (".safetensors.index.json", ".safetensors")
    )
    return index, single


def _nothing(source: Source) -> CheckpointError:
    names = source.files()
    if names is None:
        return CheckpointError(
            f"no weights of commit {source.commit} are in the local cache",
            file=source.name,
            hint="load it once while the Hub can be reached",
        )
    others = [name for name in names if name.endswith(".safetensors")]
    pickles = [name for name in names if name.endswith(PICKLES) and "/" not in name]
    if others:
        return CheckpointError(
            f"has neither model.safetensors nor an index of shards, but {_some(others)}",
            file=source.name,
            hint="fetch the missing index, or give the folder or repository the weights belong to",
        )
    if pickles:
        return CheckpointError(
            f"has its weights only as pickles ({_some(pickles)}), which are never opened because "
            "a pickle can run any code",
            file=source.name,
            hint=_where_safe(source),
        )
    return CheckpointError(
        f"has no weights; it holds {_some(names) or 'nothing'}",
        file=source.name,
        hint="blocks reads model.safetensors, the shards that its index names, or a GGUF file",
    )


def _where_safe(source: Source) -> str:
    if source.commit is None:
        return "save it as safetensors with the tool that wrote it, then load that"
    try:
        revisions = source.safe_revisions()
    except HubError:
        revisions = []
    if revisions:
        return "these revisions have safetensors: " + ", ".join(
            f'revision="{revision}"' for revision in revisions
        )
    return (
        'pull requests often hold a converted copy: try revision="refs/pr/N"; '
        'the space "safetensors/convert" on the Hub makes one'
    )


def _some(names: list[str], most: int = 6) -> str:
    shown = ", ".join(printable(name, 80) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
