"""`blocks bench`: what it measures, of a checkpoint and of a shape alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from blocks.cli.main import main
from blocks.speed import measuring
from blocks.speed.measuring import Spread

SHORT = ["--context", "6", "--tokens", "3", "--rounds", "2"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a machine that reads 1 GB and computes 10 GFLOPs a second."""
    monkeypatch.setattr(measuring, "read_rate", lambda: Spread(1e9, 1e9, 1e9))
    monkeypatch.setattr(measuring, "product_rate", lambda dtype: Spread(1e10, 1e10, 1e10))


def bench(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["bench", *arguments, *SHORT])


@pytest.mark.parametrize("way", [["--plain"], ["--no-compile"], ["--no-compile", "--batch", "2"]])
def test_rates_stand_beside_the_limits(checkpoint: Path, way: list[str]) -> None:
    result = bench(str(checkpoint), "--json", *way)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    for name in ("prefill", "decode"):
        assert 0 < found[name]["least"] <= found[name]["median"] <= found[name]["most"]
    step = found["bytes_written"] * found["decode"]["median"] / found["batch"]
    assert found["share_of_read"] == pytest.approx(step / 1e9)
    work = found["flops_read"] * found["prefill"]["median"]
    assert found["share_of_products"] == pytest.approx(work / 1e10)


def test_it_is_told_in_words(checkpoint: Path) -> None:
    text = bench(str(checkpoint), "--plain").stdout
    assert "reading 6 tokens, tokens/s" in text
    assert "limit: bytes read a second" in text
    assert "1.0 GB" in text


def test_a_shape_with_drawn_weights(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    for place in (tmp_path, tmp_path / "config.json"):
        found = json.loads(bench(str(place), "--random", "--plain", "--json").stdout)
        assert found["dtype"] == "bfloat16"


def test_what_excludes_each_other_and_what_doesnt_write(checkpoint: Path, tmp_path: Path) -> None:
    assert "--plain" in bench(str(checkpoint), "--plain", "--quantize", "int8").output
    import blocks
    from blocks import Encoder, Full, GQAttention, Residual, Spec

    layer = Spec(Residual, inner=Spec(GQAttention, heads=2, mask=Full()))
    blocks.save_pretrained(Encoder(vocab=20, dim=8, layers=(layer,)), tmp_path / "encoder")
    result = bench(str(tmp_path / "encoder"), "--plain")
    assert result.exit_code == 1
    assert "doesn't write" in result.output
