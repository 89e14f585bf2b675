"""However large a checkpoint is, its checks take milliseconds and its load a tenth of a second."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from blocks import from_pretrained
from blocks.hub.checkpoint import open_checkpoint
from blocks.hub.source import resolve
from tests.clock import within
from tests.gallery import sound
from tests.hub import craft

SIZES = {"num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 32_000}


def sparse(folder: Path, dim: int, hidden: int, layers: int) -> int:
    """A checkpoint in BF16 that takes no room on the disk, and how many bytes it says it has."""
    sizes = {**SIZES, "hidden_size": dim, "intermediate_size": hidden, "num_hidden_layers": layers}
    sound.write(folder, torch_dtype="bfloat16", **sizes)
    new = {16: dim, 8: dim, 24: hidden, 32: SIZES["vocab_size"]}
    header, start = {}, 0
    for name, shape in sound.shapes(layers).items():
        header[name] = craft.entry("BF16", [new[n] for n in shape], start)
        start = header[name]["data_offsets"][1]
    head = craft.file(header)
    path = folder / sound.MODEL
    path.write_bytes(head)
    os.truncate(path, len(head) + start)
    with path.open("r+b") as file:  # a head unlike the embedding, or they would be compared
        file.seek(len(head) + header["lm_head.weight"]["data_offsets"][0])
        file.write(b"\x80\x3f")
    return start


@pytest.mark.parametrize(
    ("dim", "hidden", "layers", "least"),
    [
        (640, 1792, 16, 200e6),
        pytest.param(2048, 5632, 16, 1.6e9, marks=pytest.mark.slow),
    ],
)
def test_a_large_checkpoint(
    dim: int, hidden: int, layers: int, least: float, tmp_path: Path
) -> None:
    held = sparse(tmp_path / "model", dim, hidden, layers)
    assert held > least and len(json.dumps(sound.shapes(layers))) > 5_000
    assert os.stat(tmp_path / "model" / sound.MODEL).st_blocks * 512 < 1e6
    checked = open_checkpoint(resolve(tmp_path / "model"))
    assert checked.nbytes == held and len(checked.entries) == 147
    assert within(0.005, lambda: open_checkpoint(resolve(tmp_path / "model")), tries=10)
    assert within(0.10, lambda: from_pretrained(tmp_path / "model"), tries=10)
