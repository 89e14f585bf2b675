"""What inspect says of memory is what loading and answering take, in odd cases as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import blocks
from blocks import (
    Chain,
    CrossAttention,
    EncoderDecoder,
    Full,
    GQAttention,
    LayerStack,
    LearnedPositions,
    Residual,
    Spec,
    SpecError,
    explain,
)
from blocks.cli.main import main
from blocks.cli.timing import bench
from blocks.models.packing import count_weights
from tests.test_inspection import saved

WIDE = {"intermediate_size": 256, "hidden_size": 64}


def pair(**encoder: Any) -> EncoderDecoder:
    seen = Spec(Residual, inner=Spec(GQAttention, heads=4, mask=Full()))
    steps = {
        "attention": Spec(Residual, inner=Spec(GQAttention, heads=4)),
        "cross": Spec(Residual, inner=Spec(CrossAttention, heads=4, kv_heads=2)),
    }
    halves = {
        "encoder": Spec(LayerStack, layers=(seen,) * 2, **encoder),
        "decoder": Spec(LayerStack, layers=(Spec(Chain, steps=steps),) * 3),
    }
    return EncoderDecoder(vocab=50, dim=16, context=32, **halves)


def remembered(model: EncoderDecoder, batch: int, source: int, tokens: int) -> int:
    """Bytes of a state after an answer of so many tokens to such a source."""
    answers = model.given(torch.zeros(batch, source, dtype=torch.long))
    state = answers.init_state(batch, tokens)
    with torch.no_grad():
        answers(torch.zeros(batch, 1, dtype=torch.long), state=state)
    return state.nbytes


def test_keys_of_a_source_count(tmp_path: Path) -> None:
    model = pair().eval()
    blocks.save_pretrained(model, tmp_path)
    report = blocks.inspect(tmp_path)
    assert report.memory(2, 20, source=9)["state"] == remembered(model, 2, 9, 20)
    assert report.memory(2)["state"] == remembered(model, 2, 32, 32)
    with pytest.raises(SpecError, match="source"):
        report.memory(source=0)


def test_a_source_reaches_as_far_as_its_positions(tmp_path: Path) -> None:
    model = pair(stem=Spec(LearnedPositions, rows=12, offset=2)).eval()
    blocks.save_pretrained(model, tmp_path)
    assert blocks.inspect(tmp_path).memory(1, 20)["state"] == remembered(model, 1, 10, 20)


def test_a_step_reads_the_keys_of_its_source() -> None:
    model = pair()
    cross = explain(model, context=10).root
    values = 3 * 2 * 2 * 4 * 10  # layers, keys and values, heads, their width, places
    there = [part for part in model.decoder.modules() if isinstance(part, CrossAttention)]
    for part in there:
        part.kv_heads = 1  # of 2
    assert cross.bytes_read - explain(model, context=10).root.bytes_read == 4 * values // 2


def test_a_head_that_the_file_holds_beside_its_table(tmp_path: Path) -> None:
    folder = saved(tmp_path, tie_word_embeddings=True)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, folder / "model.safetensors")
    report, model = blocks.inspect(folder), blocks.from_pretrained(folder)
    held = sum(p.numel() for p in model.parameters())
    assert report.fits and report.nbytes == 2 * held + 2 * 50 * 16
    assert report.parameters == explain(folder).parameters == held
    assert report.memory()["weights"] == explain(folder).nbytes == 2 * held
    assert report.memory(dtype="float32")["weights"] == 4 * held
    assert "twice" in str(report) and "lm_head.weight" in str(report)
    # Where the config unties it, there are two.
    data = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(data))
    assert blocks.inspect(folder).parameters == held + 50 * 16


def test_memory_of_what_is_asked_for(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    asked = ["--batch", "3", "--context", "40", "--dtype", "float32"]
    found = CliRunner().invoke(main, ["inspect", str(folder), *asked, "--json"])
    expected = blocks.inspect(folder).memory(3, 40, torch.float32)
    assert json.loads(found.stdout)["memory"] == expected
    text = CliRunner().invoke(main, ["inspect", str(folder), *asked]).stdout
    assert "of 3 sequences of 40 tokens" in text and "in float32" in text


def test_a_benchmark_counts_the_weights_of_packed_matrices(tmp_path: Path) -> None:
    model = blocks.from_pretrained(saved(tmp_path / "plain", **WIDE))
    packed = blocks.optimize(model, quantize="int8", compile=False)
    blocks.save_pretrained(packed, tmp_path / "packed")
    short = ["--plain", "--context", "2", "--tokens", "1", "--rounds", "1", "--json"]
    found = CliRunner().invoke(bench, [str(tmp_path / "packed"), *short])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["parameters"] == count_weights(packed)
    assert count_weights(packed) == blocks.inspect(tmp_path / "packed").parameters
