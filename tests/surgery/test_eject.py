"""eject: one file, the same bits, nothing that this model does not use."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import blocks
from blocks.cli.main import main
from blocks.surgery.ejecting.writing import PROVEN, ejected
from tests.families.reference import families, first, load, steady
from tests.surgery.ejected import MAY_IMPORT, imported, in_parts, logits, twin, unused

ROOT = Path(__file__).parents[2]
COMMON = "llama mistral qwen3 gemma2 gpt2 gpt_neox phi3 mixtral mamba deepseek_v3".split()
# What these are made of the ejected file does not hold.
REFUSED = {
    "bamba": "Mamba2",
    "blt": "ByteLatentLM",
    "fuyu": "PatchEmbedding",
    "granitemoehybrid": "Mamba2",
    "mamba2": "Mamba2",
    "olmo_hybrid": "GatedDeltaNet",
    "qwen3_5_moe_text": "GatedDeltaNet",
    "qwen3_5_text": "GatedDeltaNet",
    "qwen3_next": "GatedDeltaNet",
    "recurrent_gemma": "RGLRU",
    "reformer": "ChunkAttention",
    "rwkv": "RWKV",
    "zamba2": "LowRank",
}
OTHERS = [name for name in families("decoder") if name not in {*COMMON, *REFUSED}]
FAMILIES = [*COMMON, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]


def kinds(model: nn.Module) -> set[str]:
    """The blocks that a model is made of."""
    parts = model.modules()
    return {type(p).__name__ for p in parts if type(p).__module__.startswith("blocks.")}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_gives_the_same_bits(family: str, tmp_path: Path) -> None:
    loaded = load(family, first(family), tmp_path / "there")
    module, other = twin(loaded.ours, tmp_path / "out")
    tokens = loaded.tokens
    whole = logits(loaded.ours, tokens)
    assert torch.equal(logits(other, tokens), whole)
    near = logits(module.load(tmp_path / "out"), tokens)  # where its file puts the tensors
    assert float((near - whole).abs().max() / whole.std()) < 1e-5
    most = steady(loaded.ours.spec)
    parts = in_parts(other, tokens[:, :most])
    assert float((parts - whole[:, :most]).abs().max() / whole.std()) < 1e-4
    if "mask" in other.forward.__code__.co_varnames:
        mask = torch.ones_like(tokens, dtype=torch.bool)
        mask[0, :7], mask[1, -3:] = False, False
        given = logits(loaded.ours, tokens, mask)
        assert torch.equal(logits(other, tokens, mask)[mask], given[mask])
    text = (tmp_path / "out" / "model.py").read_text()
    assert not unused(text)
    assert set(imported(ast.parse(text)).values()) <= MAY_IMPORT
    assert max(map(len, text.splitlines())) <= 100


@pytest.fixture(scope="module")
def packaged() -> blocks.CausalLM:
    return blocks.from_pretrained(blocks.packaged(), dtype=torch.float32)


def test_llama_is_one_short_file_that_a_stranger_can_run(
    packaged: blocks.CausalLM, tmp_path: Path
) -> None:
    blocks.eject(packaged, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names - {"sha256.json"} == {"model.py", "config.json", "model.safetensors"}
    assert len((tmp_path / "out" / "model.py").read_text().splitlines()) <= 250
    program = (
        "import sys, torch; sys.modules['blocks'] = None; sys.path.insert(0, 'out'); import model;"
        "found = model.generate(model.load('out'), torch.tensor([[1, 7, 30]]), 8);"
        "print(found[0].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = blocks.generate(packaged, torch.tensor([[1, 7, 30]]), max_new_tokens=8)
    assert json.loads(done.stdout) == expected[0].tolist()


def test_files_are_as_a_formatter_leaves_them(tmp_path: Path) -> None:
    for family in ("llama", "gemma2", "mixtral", "mamba"):
        loaded = load(family, first(family), tmp_path / family)
        (tmp_path / f"{family}.py").write_text(ejected(loaded.ours)[0]["model.py"])
    files = [str(path) for path in tmp_path.glob("*.py")]
    for how in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *how, "--no-cache", "--config", "pyproject.toml"]
        done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_model_gives_the_same_text(packaged: blocks.CausalLM) -> None:
    assert ejected(packaged)[0] == ejected(packaged)[0]


def test_the_page_shows_the_file_of_today(packaged: blocks.CausalLM) -> None:
    page = (ROOT / "docs" / "eject.md").read_text(encoding="utf-8")
    shown = page.rpartition("```python\n")[2].removesuffix("```\n")
    text = ejected(packaged)[0]["model.py"]
    if os.environ.get("BLOCKS_FREEZE"):
        new = page.removesuffix(f"{shown}```\n") + f"{text}```\n"
        (ROOT / "docs" / "eject.md").write_text(new, encoding="utf-8")
    else:
        assert shown == text, "BLOCKS_FREEZE=1 pytest -k the_page_shows writes it"


CHANGES = {
    "a window in some layers": (
        "layers.1.attention",
        lambda old: blocks.replace(old, mask=blocks.Window(4)),
    ),
    "experts": (
        "layers.*.mlp",
        lambda old: blocks.Spec(blocks.MoE, experts=4, top_k=2, expert=old),
    ),
    "another norm": (blocks.RMSNorm, blocks.Spec(blocks.LayerNorm)),
    "an SSM": ("layers.2.attention", blocks.Spec(blocks.Mamba)),
    "ALiBi": (
        "layers.*.attention",
        lambda old: blocks.replace(old, qk=(), scores=(blocks.Spec(blocks.ALiBi),)),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_gives_the_same_bits(
    change: str, packaged: blocks.CausalLM, tmp_path: Path
) -> None:
    changed = blocks.rewrite(packaged.spec, *CHANGES[change])()
    _, other = twin(changed.eval(), tmp_path)
    tokens = torch.randint(0, 100, (2, 17), generator=torch.Generator().manual_seed(0))
    assert torch.equal(logits(other, tokens), logits(changed, tokens))
    assert not unused((tmp_path / "model.py").read_text())


class Own(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


def small(**parts: object) -> blocks.CausalLM:
    layer = blocks.Spec(blocks.GatedMLP, hidden=8)
    options = {"vocab": 10, "dim": 8, "layers": (layer,), "norm": None, **parts}
    return blocks.CausalLM(**options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "model, words",
    [
        (lambda: small(layers=(blocks.Spec(blocks.RWKV),)), ["layers.0", "a RWKV"]),
        (lambda: small(norm=blocks.Spec(Own)), ["norm", "an Own", "not of this library"]),
        (lambda: nn.Linear(2, 2), ["no spec"]),
        (lambda: blocks.optimize(small(), compile=False), ["optimize", "it was made from"]),
    ],
    ids=["a block", "a block of one's own", "no assembly", "prepared"],
)
def test_what_cant_be_ejected_is_refused_first(model, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(blocks.BlocksError) as found:
        blocks.eject(model(), tmp_path / "out")
    assert all(word in str(found.value).replace("a Own", "an Own") for word in words)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("mine")
    with pytest.raises(blocks.CheckpointError, match="is there already.*another folder"):
        blocks.eject(small(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]
    assert (tmp_path / "model.py").read_text() == "mine"


def test_what_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    model = small()
    model.layers[0].up = nn.Linear(8, 8, bias=False)
    with pytest.raises(blocks.SpecError, match=r"layers\.0\.up.*is not what the model's spec says"):
        model.layers[0].up = nn.Identity()
        blocks.eject(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_every_block_said_to_be_proven_is_in_a_family_above(tmp_path: Path) -> None:
    found: set[str] = set()
    for family in [*COMMON, *OTHERS]:
        found |= kinds(load(family, first(family), tmp_path / family).ours)
    assert not PROVEN - found - {"Dropout", "ALiBi", "Scale"}


def test_the_command(packaged: blocks.CausalLM, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["eject", "packaged", str(tmp_path / "out"), "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.output) == {"folder": str(tmp_path / "out")}
    assert (tmp_path / "out" / "model.py").exists()
