"""eject: a model as one readable file that needs nothing of this library."""

from __future__ import annotations

import json
import os
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from typing import Any

from torch import Tensor, nn

from blocks.errors import CheckpointError, SpecError
from blocks.hub.folder import writing
from blocks.hub.provenance import Provenance
from blocks.hub.save import spec_of
from blocks.hub.shards import safetensors_bytes
from blocks.models.places import modules
from blocks.ops.shapeless import on_meta
from blocks.surgery.ejecting.assembly import Assembly
from blocks.surgery.ejecting.book import Book
from blocks.surgery.ejecting.classes import ClassInfo
from blocks.surgery.ejecting.code import of_self
from blocks.surgery.ejecting.decoder import decoder
from blocks.surgery.ejecting.file import whole

__all__ = ["eject"]

LETTERS = (
    "B batch, T tokens, S tokens seen, D dim, H heads, K kv_heads, E head_dim, F hidden, V vocab"
)

# What has been seen to give the same bits in every family that has it; a test holds this true.
PROVEN = frozenset(
    """
    ALiBi CausalConv CausalLM Chain ClampedGLU Clip Dropout GQAttention GatedMLP LMHead
    LatentAttention LayerNorm LearnedPositions MLP Mamba MaskedHead MoE Normed OutputGate
    Parallel QKNorm QueryScale RMSNorm Residual RoPE Scale SigmoidRouter SinusoidalPositions
    SoftCap SoftmaxRouter SparseMixerRouter TokenEmbedding TopKRouter Widen XIELU
    """.split()
)


def eject(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Writes a model as one readable file of plain PyTorch, its config and its weights.

    model.py holds only what this model uses and imports torch, safetensors and the standard
    library alone: `load(folder)` in it gives the model, `generate` goes on with a text. It is
    written from the library's own source, in which the model's options decide what they can. Its
    operations are the library's in their order, so logits are the same to the last bit wherever
    the weights lie alike in memory.

    Args:
        model: a `CausalLM`, as it was built, loaded or swapped.
        folder: where model.py, config.json and model.safetensors are put.

    Errors:
        SpecError: a model, or a part of one, that can't be written so; nothing is written then.
        CheckpointError: the folder can't be written, or holds a model.py already.

    Example:
        >>> import blocks, tempfile
        >>> from pathlib import Path
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     blocks.eject(model, folder)
        ...     text = (Path(folder) / "model.py").read_text(encoding="utf-8")
        >>> "import blocks" in text, len(text.splitlines()) <= 250
        (False, True)
    """
    texts, tensors = ejected(model)
    with writing(folder, ("model.py",)) as draft:
        place = Path(folder).expanduser() / "model.py"
        if os.path.lexists(place):  # somebody may have gone on with it
            hint = "name another folder, or move it away"
            raise CheckpointError("is there already", file=place, hint=hint)
        for label, text in texts.items():
            draft.add(label, [text.encode()])
        draft.add("model.safetensors", safetensors_bytes(tensors))


def ejected(model: Any) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The texts of the files by name, and the tensors.

    Errors:
        SpecError: what can't be written so.
    """
    spec = spec_of(model)
    refuse(model, spec)
    with on_meta():
        twin = spec()
    book = Book()
    try:
        made = decoder(book, twin.eval(), spec)
        places, ties = mapped(made, model)
        text = whole(made, told(model), ties)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        reason = f"this {type(model).__name__} has code that can't be written out: {error}"
        raise SpecError(reason, field="model") from error
    held = model.state_dict()
    tensors = {label: held[path].detach().cpu().contiguous() for label, path in places.items()}
    return {"model.py": text, "config.json": json.dumps(book.config, indent=2) + "\n"}, tensors


def refuse(model: Any, spec: Any) -> None:
    """Refuses what can't be ejected, before anything is done."""
    if hasattr(model, "prepared"):
        hint = "eject the model that it was made from"
        raise SpecError("has been prepared by optimize", field="model", hint=hint)
    for label, part in modules(model):
        kind = type(part)
        if kind.__module__.startswith("torch."):
            continue
        if kind.__module__.startswith("blocks.") and kind.__name__ not in PROVEN:
            reason = f"a {kind.__name__} can't be ejected"
            hint = "blocks.export writes what other tools read, blocks.save_pretrained any model"
            raise SpecError(reason, field=label or "model", hint=hint)
        if not kind.__module__.startswith("blocks."):
            reason = f"a {kind.__name__} is not of this library, and stays where its source is"
            raise SpecError(reason, field=label or "model")
    with on_meta():
        twin = spec()
    pairs = zip_longest(modules(model), modules(twin), fillvalue=("", None))
    for (label, part), (place, wanted) in pairs:
        if (label, type(part)) != (place, type(wanted)):
            raise SpecError("is not what the model's spec says", field=label or place)
    shapes = {label: tensor.shape for label, tensor in twin.state_dict().items()}
    for label, tensor in model.state_dict().items():
        if tensor.is_meta:
            raise SpecError("has no values: it is on the meta device", field=label)
        if shapes.get(label) != tensor.shape:
            raise SpecError("is not of the shape that the model's spec says", field=label)


def told(model: Any) -> str:
    """The head of the file: what it is, where it comes from, what was done to it."""
    source = getattr(model, "provenance", None) or Provenance()
    origin = "a model that was put together"
    if source.source:
        origin = f"{source.source}@{source.commit}" if source.commit else Path(source.source).name
    head = f"{type(model).__name__} of {origin}, ejected from the library `blocks`."
    changes = [f"Changed: {change}" for change in source.changes]
    parts = [fill(part, 96) for part in (head, *changes, LETTERS)]
    return "\n\n".join(parts).replace("\\", "/").replace('"', "'")


def mapped(made: Assembly, model: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Each name in the file with its place in the model; and which of them are one tensor."""
    made.book.finish(made.info)
    found: dict[str, str] = {}
    collect(made.book, made.info, "", "", found)
    for i, label in enumerate(made.layers):
        collect(made.book, made.kinds[label][0], f"layers.{i}.", f"layers.{i}.", found)
    held = model.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    kept, ties = {}, []
    for label, path in found.items():
        source = first.setdefault(id(held[path]), label)
        if source == label:
            kept[label] = path
        else:
            ties.append((label, source))
    if any("layers." in place for tie in ties for place in tie):
        raise SpecError("layers that share weights can't be ejected", field="ties")
    return kept, ties


def collect(book: Book, info: ClassInfo, ours: str, theirs: str, found: dict[str, str]) -> None:
    """The tensors of a module, by their names in the ejected file."""
    init = book.init(info)
    own = of_self(init)
    own |= {getattr(one, "buffer", "") for one in init.body}
    tensors = info.tensors.items()
    found |= {f"{ours}{label}": f"{theirs}{path}" for label, path in tensors if label in own}
    for label, child in info.children.items():
        if label not in own:
            continue
        many = child.times is not None
        for i, one in enumerate(child.module.children() if many else [child.module]):
            at = f".{i}." if many else "."
            here, there = f"{ours}{label}{at}", f"{theirs}{child.path}{at}"
            inner = book.infos.get(id(next(child.module.children())) if many else id(one))
            if inner is not None:
                collect(book, inner, here, there, found)
            else:
                found |= {f"{here}{key}": f"{there}{key}" for key in one.state_dict()}
