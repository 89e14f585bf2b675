"""A sound checkpoint, and what becomes of it when one of its files is damaged."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import blocks
from blocks import BlocksError, CheckpointError
from blocks.hub.checkpoint import Checkpoint, open_checkpoint
from blocks.hub.match import match
from blocks.hub.outline import Outline, read_outline
from blocks.hub.source import resolve
from blocks.models.places import addresses, spread
from tests.hub import toy

TOKENS = torch.arange(8)[None]
INDEX = "model.safetensors.index.json"
Damage = Callable[["Sound", Random], tuple[str, bytes]]


class Sound:
    """A tiny LLaMA in two files, with index and checksums, and all that is known of it.

    Args:
        place: where to write it, and to damage it.
        dtype: of its tensors.
        native: in our own format.
    """

    def __init__(self, place: Path, dtype: torch.dtype = torch.float32, native: bool = False):
        self.folder = place / "sound"
        model = blocks.from_pretrained(toy.write(place / "toy", toy.tensors(dtype)))
        save = blocks.save_pretrained if native else blocks.export
        save(model, self.folder, max_shard_size=2_800 * dtype.itemsize)
        self.files = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        self.shards = sorted(name for name in self.files if name.endswith(".safetensors"))
        assert len(self.shards) > 1 and {"config.json", "sha256.json", INDEX} < set(self.files)
        self.tensors = addresses(blocks.from_pretrained(self.folder, copy=True))
        self.logits = blocks.from_pretrained(self.folder, copy=True)(TOKENS).detach()
        self.outline, checkpoint = opened(self.folder)
        self.lie = _lie(checkpoint)

    def header(self, shard: str) -> tuple[bytes, bytes]:
        """A shard's length and header, and its data."""
        data = self.files[shard]
        size = 8 + int.from_bytes(data[:8], "little")
        return data[:size], data[size:]

    def json(self, name: str) -> Any:
        """What a file of JSON says, or a shard's header."""
        return json.loads(self.header(name)[0][8:] if name in self.shards else self.files[name])

    @contextmanager
    def damaged(self, name: str, data: bytes) -> Iterator[None]:
        """The folder with other bytes in one of its files, for a while."""
        (self.folder / name).write_bytes(data)
        yield
        (self.folder / name).write_bytes(self.files[name])

    def fits(self, outline: Outline, checkpoint: Checkpoint) -> bool:
        """Whether the tensors of a file are those of a model."""
        ours = {address: tuple(tensor.shape) for address, tensor in self.tensors.items()}
        if outline.spec != self.outline.spec:
            with torch.device("meta"):
                ours = {a: tuple(t.shape) for a, t in addresses(outline.build()).items()}
        ties = [pair for tie in outline.ties for pair in spread(tie, ours)]
        found = match(outline.keys, ours, checkpoint.entries, ties)
        return not (found.misfits or found.missing or found.extra or found.unmapped)

    def is_unchanged(self, outline: Outline, checkpoint: Checkpoint) -> bool:
        """Whether what a folder says of its tensors and its model is what the sound one says."""
        return outline.spec == self.outline.spec and _lie(checkpoint) == self.lie


def opened(folder: Path) -> tuple[Outline, Checkpoint]:
    """What the config, the index and the headers of a checkpoint say."""
    source = resolve(folder)
    outline, checkpoint = read_outline(source), open_checkpoint(source)
    return outline.fitted(checkpoint.entries), checkpoint


def _lie(checkpoint: Checkpoint) -> dict[str, tuple[Any, ...]]:
    """Where each tensor's bytes are in the data of its file, and what they mean."""
    data = {path: header.size - sum(e.nbytes for e in header.entries.values())
            for path, header in checkpoint.headers.items()}  # fmt: skip
    return {
        name: (entry.dtype, entry.shape, entry.file, entry.start - data[checkpoint.shard_of(name)])
        for name, entry in checkpoint.entries.items()
    }


def said(error: BlocksError) -> BlocksError:
    """An error that says where and why, in letters that a terminal can show."""
    assert error.reason and (error.file or error.tensor or error.field), error
    assert len(str(error)) <= 2_000 and str(error).replace("\n", "").isprintable()
    return error


def verdict(sound: Sound, thorough: bool) -> str:
    """What becomes of a damaged checkpoint: refused, unchanged, swapped or another model.

    What its config, index and headers say tells most of it; with `thorough`, and wherever
    something has changed, it is loaded as well.
    """
    try:
        outline, checkpoint = opened(sound.folder)
        fits, refused = sound.fits(outline, checkpoint), CheckpointError
    except BlocksError as error:
        fits, refused = False, type(said(error))
        outline = checkpoint = None
    if not fits or outline is None or checkpoint is None:
        if thorough:
            with pytest.raises(refused) as caught:
                blocks.from_pretrained(sound.folder)
            said(caught.value)
        return "refused"
    unchanged = sound.is_unchanged(outline, checkpoint)
    return "unchanged" if unchanged and not thorough else _loaded(sound, unchanged)


def _loaded(sound: Sound, unchanged: bool) -> str:
    try:
        model = blocks.from_pretrained(sound.folder)
    except CheckpointError as error:  # what only reading tells
        assert not unchanged and said(error).tensor and error.hint
        return "refused"
    tensors = addresses(model)
    if all(torch.equal(tensor, sound.tensors[a]) for a, tensor in tensors.items()):
        same = torch.equal(model(TOKENS), sound.logits)
        assert same or not unchanged
        return "unchanged" if same else "another model"
    assert not unchanged and tensors.keys() == sound.tensors.keys()
    held = [one.flatten() for one in sound.tensors.values()]
    for address, tensor in tensors.items():  # its numbers are another's, of the same size
        assert any(torch.equal(tensor.flatten(), one) for one in held), address
    with pytest.raises(CheckpointError, match="has the checksum"):
        blocks.verify(sound.folder)
    return "swapped"


def verdicts(sound: Sound, damage: Damage, seeds: Iterable[int]) -> Counter[str]:
    """How often each verdict falls over so many seeds."""
    count: Counter[str] = Counter()
    for seed in seeds:
        with warnings.catch_warnings(), sound.damaged(*damage(sound, Random(seed))):
            warnings.simplefilter("ignore")  # an index may claim another size than its files have
            try:
                count[verdict(sound, thorough=seed % 20 == 0)] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
    return count
