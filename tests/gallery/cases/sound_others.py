"""Odd checkpoints of other families: what their first files held beside the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.gallery.harness import Case, load
from tests.gallery.others import put
from tests.gallery.sound import MODEL


def adding(family: str, **more: torch.Tensor) -> Callable[[Path], object]:
    """A checkpoint of that family with more tensors."""

    def damage(folder: Path) -> None:
        put(folder, family)
        extra = {name.replace("__", "."): tensor for name, tensor in more.items()}
        save_file(load_file(folder / MODEL) | extra, folder / MODEL)

    return damage


def without(prefix: str, family: str) -> Callable[[Path], object]:
    """A checkpoint of that family whose names don't begin with its prefix."""

    def damage(folder: Path) -> None:
        put(folder, family)
        tensors = load_file(folder / MODEL)
        save_file({n.removeprefix(prefix): t for n, t in tensors.items()}, folder / MODEL)

    return damage


def same(family: str) -> Callable[[Path], None]:
    """It computes what the plain checkpoint does."""

    def act(folder: Path) -> None:
        logits = load(folder)
        (folder / "plain").mkdir()
        put(folder / "plain", family)
        assert logits == load(folder / "plain")

    return act


_MASK = torch.ones(1, 1, 64, 64).tril().bool()
_OLD = {
    "transformer__h__0__attn__bias": _MASK,
    "transformer__h__0__attn__masked_bias": torch.tensor(-1e4),
}
_PLACES = {"bert__embeddings__position_ids": torch.arange(64)[None]}

OTHERS = [
    Case("GPT-2 with its mask", adding("gpt2", **_OLD), None, act=same("gpt2")),
    Case("GPT-2 without a prefix", without("transformer.", "gpt2"), None, act=same("gpt2")),
    Case("BERT with its positions", adding("bert", **_PLACES), None, act=same("bert")),
    Case(
        "Mixtral with rotary tables",
        adding("mixtral", model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(2)),
        None,
        act=same("mixtral"),
    ),
]
