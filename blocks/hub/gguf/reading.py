"""The tensors of GGUF files, decoded one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blocks.hub.gguf.decode import decode
from blocks.hub.gguf.translate import Held, Piece

__all__: list[str] = []


class Opened:
    """The open files of a model, as safetensors opens one.

    Args:
        pieces: what its tensors are made of.
        dtype: of what quantised blocks stand for; float32 if None.
    """

    def __init__(self, pieces: Mapping[str, Piece], dtype: torch.dtype | None):
        self.pieces, self.dtype = pieces, dtype
        self._files: dict[Path, Tensor] = {}

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: Any) -> None:
        self._files.clear()

    def get_tensor(self, name: str) -> Tensor:
        """A tensor by the family's name."""
        piece = self.pieces[name]
        dtype = torch.float32 if piece.undo.exact else self.dtype
        return piece.undo.apply([self._decoded(held, dtype) for held in piece.held])

    def _decoded(self, held: Held, dtype: torch.dtype | None) -> Tensor:
        assert held.file is not None  # all files were fetched
        raw = held.raw
        return decode(self._mapped(held.file)[raw.start : raw.end], raw.kind, raw.shape, dtype)

    def _mapped(self, path: Path) -> Tensor:
        if path not in self._files:
            self._files[path] = torch.from_file(
                str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8
            )
        return self._files[path]
