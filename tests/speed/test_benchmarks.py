"""The benchmarks run at toy size, and say what they found in one form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from blocks.speed.measuring import Spread, peak, product_rate, read_rate

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "benchmarks"
FEW = ["--rounds", "1", "--toy"]
SHORT = [*FEW, "--context", "8", "--tokens", "2", "--no-compile"]

OTHERS = {
    "decode": ["litgpt", "x-transformers", "llama"],
    "mixture": ["litgpt", "llama"],
    "load": ["llama"],
}
SIDES = {"llama": "llama.cpp"}


def ran(script: Path, *arguments: str) -> str:
    """What a script prints."""
    there = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=there, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "ratio"),
    [
        ("decode", [*SHORT, "--batches", "1,2"], "decode, batch 2: int8 / transformers"),
        ("mixture", SHORT, "decode, batch 1: plain / transformers"),
        ("load", FEW, "first token: blocks / transformers"),
    ],
)
def test_a_benchmark_says_what_it_found(
    name: str, arguments: list[str], ratio: str, tmp_path: Path
) -> None:
    """With the libraries that are installed; the others are named."""
    file = tmp_path / f"{name}.json"
    text = ran(FOLDER / f"{name}.py", *arguments, "--json", str(file))
    found = json.loads(file.read_text())
    rows = {row["what"]: row for row in found["rows"]}
    assert rows[ratio]["ratio"] and rows[ratio]["least"] <= rows[ratio]["median"]
    assert all(row["median"] > 0 for row in found["rows"] if "beyond" not in row["what"])
    assert {"shape", "dtype", "threads", "torch"} <= set(found["about"])
    assert ratio in text
    for library in OTHERS[name]:
        there = any(f"/ {SIDES.get(library, library)}" in what for what in rows)
        assert there == present(library) != (f"{library}: left out" in text)
    ran(FOLDER / "report.py", str(file), "--into", str(tmp_path))
    assert f"| {ratio} | **" in (tmp_path / "performance.md").read_text()


def present(library: str) -> bool:
    """Whether a library is installed here or a variable names the Python that has it."""
    module = {"llama": "llama_cpp"}.get(library, library.replace("-", "_"))
    return bool(find_spec(module) or os.environ.get(f"{module.upper()}_PYTHON"))


@pytest.mark.slow
def test_long_texts(tmp_path: Path) -> None:
    short = "--contexts 32,64 --window 16 --piece 16 --tokens 2".split()
    file = tmp_path / "long.json"
    ran(FOLDER / "long_context.py", *FEW, *short, "--json", str(file))
    rows = [row for row in json.loads(file.read_text())["rows"] if "context" in row]
    assert {row["context"] for row in rows} == {32, 64}
    assert {row["measure"] for row in rows} == {"reading", "writing after", "memory for"}
    ratio = "blocks in pieces, window 16 / transformers, window 16"
    assert sum(row["side"] == ratio for row in rows) == 6
    ran(FOLDER / "report.py", str(file), "--into", str(tmp_path))
    page = (tmp_path / "performance.md").read_text()
    assert "| memory for, MiB | 32 tokens | 64 tokens |" in page
    assert page.count(f"| {ratio} | **") == 3


def test_a_side_that_ends_says_why() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from _served import Served\n"
        "Served('llama.cpp', '_llama.py', {'shape': {}})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "RuntimeError: llama.cpp ended with code 1: TypeError" in result.stderr


@pytest.mark.slow
def test_a_training_step(tmp_path: Path) -> None:
    short = "--dim 32 --layers 1 --heads 2 --kv-heads 1 --hidden 32 --vocab 64 --tokens 8".split()
    file = tmp_path / "train.json"
    ran(FOLDER / "train_step.py", *short, "--rounds", "1", "--json", str(file))
    ratios = {row["what"] for row in json.loads(file.read_text())["rows"] if row.get("ratio")}
    assert {"as fast: blocks / transformers", "memory: checkpointed / transformers"} <= ratios
    for library in ("litgpt", "x-transformers"):
        there = {f"as fast: blocks / {library}", f"memory: blocks / {library}"}
        assert there & ratios == (there if present(library) else set())


@pytest.mark.slow
def test_the_scan_of_a_state_space_model() -> None:
    short = "--layers 1 --tokens 16 --rounds 1 --steps 2 --contexts 8,16 --dtype float32".split()
    text = ran(FOLDER / "state_space.py", "mamba", *short)
    assert "reading 16 tokens, as fast: blocks / transformers" in text
    assert "a token after 16, of one after 8" in text


@pytest.mark.slow
def test_the_lesson_of_the_roofline(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "roofline.svg"
    text = ran(
        ROOT / "examples" / "roofline.py", "--side", "40", "--repeats", "1", "--plot", str(file)
    )
    assert "| Python | 40² |" in text
    assert "| torch | 40² |" in text
    assert "Python" in file.read_text()


def test_limits_and_spreads() -> None:
    import torch

    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert f"{Spread(2.0, 1.0, 3.0):.1f}" == "2.0 (1.0 to 3.0)"
    for found in (read_rate(2, 1000), product_rate(torch.float32, 2, 16)):
        assert 0 < found.least <= found.median <= found.most
    assert (peak() or 1 << 30) > 1 << 20


def test_a_model_is_loaded_and_asked_without_torchs_compiler() -> None:
    code = (
        "import sys, torch, blocks\n"
        "model = blocks.from_pretrained(blocks.packaged())\n"
        "with torch.no_grad(): model(torch.arange(4)[None], state=model.init_state(1, 8))\n"
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)
