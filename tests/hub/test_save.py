"""save_pretrained and export: back bit for bit, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from blocks import (
    ALiBi,
    CausalLM,
    Chain,
    CheckpointError,
    GatedMLP,
    GQAttention,
    LayerNorm,
    LearnedPositions,
    MoE,
    Parallel,
    Residual,
    RMSNorm,
    RoPE,
    SigmoidRouter,
    Spec,
    SpecError,
    Window,
    addresses,
    at,
    export,
    from_pretrained,
    replace,
    rewrite,
    save_pretrained,
)
from blocks.hub import shards
from tests.hub.toy import tensors, write

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


class Own(nn.Module):
    """A user's block with a parameter, a saved buffer and one that isn't."""

    saved: torch.Tensor

    def __init__(self, dim: int, *, gain: float = float("inf")):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim))
        self.register_buffer("saved", torch.randn(dim))
        self.register_buffer("passing", torch.zeros(1), persistent=False)
        self.gain = gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight + self.saved


def layer(attention: Any, mlp: Any) -> Any:
    steps = {"attention": Spec(Residual, inner=attention, norm_in=RMSNorm), "mlp": mlp}
    return Spec(Chain, steps=steps)


ROPE = Spec(GQAttention, heads=4, kv_heads=1, qk=(RoPE,))
SIGMOID = Spec(MoE, experts=4, top_k=2, expert=Spec(GatedMLP, hidden=8), router=SigmoidRouter)
SLOPED = Spec(GQAttention, heads=2, scores=(ALiBi,), mask=Window(3), sinks=True, bias=True)
BOTH = Spec(Parallel, branches={"a": ROPE, "b": SLOPED})
COMPOSITIONS: dict[str, Any] = {
    "plain": {"layers": (layer(ROPE, Spec(GatedMLP, hidden=8)),) * 2},
    "mixed": {
        "layers": (layer(SLOPED, SIGMOID), layer(ROPE, Own)),
        "stem": Spec(LearnedPositions, rows=9),
    },
    "branches": {"layers": (BOTH, Own), "norm": LayerNorm, "context": 7},
    "tied": {
        "layers": (ROPE,) * 3,
        "ties": (("head.weight", "embedding.weight"), ("layers.2", "layers.0")),
    },
}


def build(name: str, dtype: torch.dtype = torch.float32) -> Any:
    model = Spec(CausalLM, **{"vocab": 32, "dim": 16, "norm": RMSNorm, **COMPOSITIONS[name]})()
    return model.to(dtype).eval()


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal but for the last bits: kernels differ with the place of a matrix in memory."""
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 if found.itemsize > 2 else 0.05)


def same(a: Any, b: Any) -> None:
    ours, theirs = addresses(a), addresses(b)
    assert list(ours) == list(theirs) and a.spec == b.spec
    for place, tensor in ours.items():
        assert tensor.dtype == theirs[place].dtype and torch.equal(tensor, theirs[place]), place
    groups = [{id(t): p for p, t in every.items()} for every in (ours, theirs)]
    assert sorted(groups[0].values()) == sorted(groups[1].values()), "what was shared still is"


@pytest.mark.parametrize("size", ["5GB", 3000, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_any_composition_comes_back(
    name: str, dtype: torch.dtype, size: Any, tmp_path: Path
) -> None:
    model = build(name, dtype)
    save_pretrained(model, tmp_path / "saved", max_shard_size=size)
    again = from_pretrained(tmp_path / "saved", blocks=(Own,))
    same(model, again)
    close(again(TOKENS[:, :7]), model(TOKENS[:, :7]))
    files = {path.name for path in (tmp_path / "saved").iterdir()}
    assert ("model.safetensors" in files) == (size == "5GB")
    assert ("model.safetensors.index.json" in files) == (size != "5GB")


@pytest.mark.parametrize("kind", [*shards._NAMES, "all"])
def test_bytes_are_those_of_the_safetensors_package(kind: str) -> None:
    """Every dtype, empty, without dimensions, turned, and under a name that must be escaped."""
    given: dict[str, torch.Tensor] = {"shape.less": torch.tensor(1.5), "none": torch.zeros(0, 3)}
    given['é"\\\n\u2028'] = torch.arange(6.0).reshape(2, 3).T.contiguous()
    for n, name in enumerate(shards._NAMES):
        if kind in (name, "all"):
            one = torch.arange(48, dtype=torch.uint8) % (2 if name == "bool" else 200)
            given[f"{n % 7}.{name}"] = one.view(getattr(torch, name)).reshape(1, -1)
    assert b"".join(map(bytes, shards.safetensors_bytes(given))) == to_bytes(
        given, {"format": "pt"}
    )


def test_a_dtype_without_a_name() -> None:
    with pytest.raises(CheckpointError, match="complex128, which can't be saved") as caught:
        shards.safetensors_bytes({"a": torch.zeros(1, dtype=torch.complex128)})
    assert caught.value.tensor == "a"


def test_a_tied_tensor_is_written_once(tmp_path: Path) -> None:
    save_pretrained(build("tied"), tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "embedding.weight" in names and "head.weight" not in names
    assert not any(name.startswith("layers.2") for name in names)


def test_an_own_block_must_be_handed_in(tmp_path: Path) -> None:
    save_pretrained(build("mixed"), tmp_path)
    with pytest.raises(ValueError, match=r"blocks=\(Own,\)"):
        from_pretrained(tmp_path)


def test_saving_over_its_own_source(tmp_path: Path) -> None:
    """The files are mapped by the very model that replaces them."""
    model = from_pretrained(write(tmp_path / "toy"))
    before = {place: tensor.clone() for place, tensor in addresses(model).items()}
    for target in (tmp_path / "toy", tmp_path / "toy"):
        save_pretrained(model, target)
        assert all(torch.equal(tensor, before[p]) for p, tensor in addresses(model).items())
        same(from_pretrained(target), model)


def test_other_files_are_kept_and_old_weights_are_not(tmp_path: Path) -> None:
    model = build("plain")
    save_pretrained(model, tmp_path / "a", max_shard_size=3000)
    (tmp_path / "a" / "tokenizer.json").write_text("{}")
    (tmp_path / "a" / "notes").mkdir()
    (tmp_path / "a" / "notes" / "one.txt").write_text("kept")
    save_pretrained(model, tmp_path / "a")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"config.json", "model.safetensors", "sha256.json", "tokenizer.json", "notes"}
    assert (tmp_path / "a" / "notes" / "one.txt").read_text() == "kept"
    same(from_pretrained(tmp_path / "a"), model)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "note.txt").write_text("kept")
    (tmp_path / "link").symlink_to("real")
    save_pretrained(build("plain"), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "note.txt").exists()
    assert from_pretrained(tmp_path / "real") is not None


def test_what_can_not_be_saved(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(CheckpointError, match="is a file"):
        save_pretrained(build("plain"), file)
    with pytest.raises(CheckpointError, match="no spec"):
        save_pretrained(nn.Linear(2, 2), tmp_path / "a")
    with torch.device("meta"):
        empty = build("plain")
    with pytest.raises(CheckpointError, match="no values"):
        save_pretrained(empty, tmp_path / "a")
    odd = rewrite(build("plain").spec, GatedMLP, lambda old: lambda dim: nn.Linear(dim, dim))
    with pytest.raises(SpecError, match="only classes"):
        save_pretrained(odd(), tmp_path / "a")
    for size in ("5", "GB", 0, -1, True, "1.5GB", None, ""):
        with pytest.raises(CheckpointError, match="max_shard_size"):
            save_pretrained(build("plain"), tmp_path / "a", max_shard_size=size)  # pyright: ignore
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_untouched_model_exports_what_it_was(tmp_path: Path) -> None:
    model = from_pretrained(write(tmp_path / "toy", tensors(torch.bfloat16)))
    export(model, tmp_path / "out")
    found: dict[str, torch.Tensor] = {}
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    wanted = tensors(torch.bfloat16)
    assert set(found) == set(wanted) and all(torch.equal(found[n], wanted[n]) for n in wanted)
    same(from_pretrained(tmp_path / "out"), model)


EDITS: list[tuple[Any, str]] = [
    (lambda s: rewrite(s, GQAttention, lambda a: replace(a, mask=Window(3))), "mask"),
    (lambda s: rewrite(s, "layers.1.mlp.norm_in", LayerNorm), "layers.1.mlp.norm_in"),
    (lambda s: replace(s, layers=(s.keywords["layers"][0], at(s, "layers.1.mlp"))), "layers.1"),
    (lambda s: rewrite(s, GatedMLP, lambda m: Spec(MoE, experts=2, top_k=1, expert=m)), ""),
]


@pytest.mark.parametrize(("edit", "words"), EDITS)
def test_export_says_what_the_layout_can_not(edit: Any, words: str, tmp_path: Path) -> None:
    model = from_pretrained(write(tmp_path / "toy"), rewrite=edit)
    with pytest.raises(CheckpointError, match="llama can't express this model") as caught:
        export(model, tmp_path / "out", family="llama")
    assert words in str(caught.value) and "save_pretrained" in str(caught.value.hint)
    assert not (tmp_path / "out").exists()
    save_pretrained(model, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "blocks"
