"""`blocks swap`: a block as one types it, in a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import blocks
from blocks import MLP, Chain, GQAttention, Mamba, Residual, RMSNorm, RoPE, Spec, SpecError, Window
from blocks.cli.typed import read_new, where_of
from tests.cli.test_commands import fails, run

LAYER = Spec(Chain, steps={"mlp": Spec(Residual, inner=Spec(MLP, hidden=8), norm_in=RMSNorm)})


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("Mamba", Spec(Mamba)),
        ("Mamba()", Spec(Mamba)),
        ("None", None),
        (" MLP( hidden = 8, bias=False )\n", Spec(MLP, hidden=8, bias=False)),
        ("GQAttention(heads=4, mask=Window(64))", Spec(GQAttention, heads=4, mask=Window(64))),
        (
            "GQAttention(heads=4, qk=[RoPE(theta=1e4)])",
            Spec(GQAttention, heads=4, qk=(Spec(RoPE),)),
        ),
        (
            "Chain(steps={'mlp': Residual(inner=MLP(hidden=8), norm_in=RMSNorm)})",
            LAYER,
        ),
        (repr(LAYER), LAYER),
        (json.dumps(blocks.to_json(LAYER)), LAYER),
    ],
)
def test_what_is_typed_is_a_spec(text: str, spec: Any) -> None:
    assert read_new(text) == spec


def test_some_options_of_the_old_one() -> None:
    old = Spec(GQAttention, heads=4)
    assert read_new("replace(kv_heads=2)")(old) == Spec(GQAttention, heads=4, kv_heads=2)
    assert where_of("GQAttention") is GQAttention and where_of("layers.*.mlp") == "layers.*.mlp"


@pytest.mark.parametrize(
    "text",
    [
        "GQAtention(heads=8)",
        "GQAttention(8)",
        "GQAttention(heads=8, kv_head=2)",
        "GQAttention(**{'heads': 8})",
        "replace(8)",
        "Window(64)",
        "from_pretrained('x')",
        "__import__('os').system('true')",
        "MLP(hidden=().__class__)",
        "MLP(hidden=[n for n in (8,)][0])",
        "(lambda: 3)()",
        "MLP(hidden=" + "(" * 5_000,
        '{"block": "os.system", "options": {}}',
        '{"block": "MLP"',
        "",
        "3",
        "x" * 20_000,
    ],
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(SpecError):
        read_new(text)


def test_swap(checkpoint: Path, tmp_path: Path) -> None:
    given = [checkpoint, "layers.*.attention", "replace(kv_heads=1)", "--out", tmp_path / "one"]
    result = run("swap", *given, "--probe", "Once upon a time")
    assert result.exit_code == 0, result.output
    assert "mean of 2 heads" in result.stdout and "KL" in result.stdout
    model = blocks.from_pretrained(tmp_path / "one")
    assert blocks.at(model.spec, "layers.0.attention").keywords["kv_heads"] == 1
    assert "swapped" in model.provenance.changes[0]
    assert blocks.Tokenizer.from_pretrained(tmp_path / "one").encode("a")
    data = json.loads(run("swap", *given, "--json").stdout)
    assert len(data["converted"]) == 6 and data["change"] is None


def test_swap_refused(checkpoint: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "none"]
    fails(run("swap", checkpoint, "layers.*.attn", "Mamba", *out), "layers.2.attention")
    fails(run("swap", checkpoint, "layers.0.mlp", "Pooler", *out), "Pooler can't stand here")
    fails(run("swap", checkpoint, "layers.0.mlp", "Mampa", *out), "Mamba")
    assert not (tmp_path / "none").exists()
    assert run("swap", checkpoint, "layers.0.mlp", "Mamba").exit_code == 2


WRITERS = {
    "swap": ("layers.0.mlp", "Mamba"),
    "export": (),
    "eject": (),
}


@pytest.mark.parametrize("command", WRITERS)
def test_where_it_goes_is_said_alike(command: str, checkpoint: Path, tmp_path: Path) -> None:
    given = (command, checkpoint, *WRITERS[command])
    for way in ([tmp_path / "last"], ["--out", tmp_path / "option"]):
        result = run(*given, *way)
        assert result.exit_code == 0 and str(way[-1]) in result.stdout, result.output
        assert (way[-1] / "config.json").is_file()
    for wrong in ([], [tmp_path / "a", "--out", tmp_path / "b"]):
        fails(run(*given, *wrong), "Give one FOLDER", code=2)
