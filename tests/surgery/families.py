"""A tiny model of each decoder family, every parameter of it drawn anew."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import blocks
from tests.families.reference import build, case_of, families, first

DECODERS = families("decoder")
SAMPLE = ("llama", "zamba2", "reformer")  # the commonest, one that shares, one that reverses


@cache
def model_of(family: str) -> Any:
    """The family's plain variant, as the battery of families has it."""
    case = case_of(family)
    with tempfile.TemporaryDirectory() as folder:
        build(case, case.variants[first(family)]).save_pretrained(folder)
        model = blocks.from_pretrained(Path(folder), copy=True)
    return model


def tokens_of(family: str) -> Tensor:
    """What is asked."""
    draw = torch.Generator().manual_seed(2)
    return torch.randint(0, case_of(family).vocab, (2, 9), generator=draw)
