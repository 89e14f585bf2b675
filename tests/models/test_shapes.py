"""GPT-3 and PaLM, of which no weights were published: their sizes, and PaLM against another."""

from __future__ import annotations

import pytest
import torch

import blocks
from blocks import Causal, GatedMLP, GQAttention, LMHead, Window

TOKENS = torch.randint(0, 97, (2, 24), generator=torch.Generator().manual_seed(1))


def parameters(spec):
    with torch.device("meta"):
        model = spec()
    return sum(tensor.numel() for tensor in model.parameters())


def shrunk(spec, depth, **attention):
    """A published model with few and narrow layers."""
    spec = blocks.replace(spec, vocab=97, dim=32, layers=spec.keywords["layers"][:depth])
    return blocks.rewrite(spec, GQAttention, lambda part: blocks.replace(part, **attention))


@pytest.mark.parametrize(
    ("name", "millions", "digits"),
    [
        ("125M", 125, 0),
        ("760M", 760, 0),
        ("2.7B", 2700, -2),
        ("6.7B", 6700, -2),
        ("13B", 13_000, -3),
    ],
)
def test_gpt3_has_the_printed_number_of_parameters(name, millions, digits):
    assert round(parameters(blocks.gpt3(name)) / 1e6, digits) == millions


@pytest.mark.parametrize(
    ("name", "printed", "ours"),
    [("350M", 350e6, 355_871_744), ("175B", 175.0e9, 174_604_259_328)],
)
def test_gpt3_sizes_that_the_paper_rounds(name, printed, ours):
    assert parameters(blocks.gpt3(name)) == ours
    assert abs(ours / printed - 1) < 0.02


def test_gpt3_xl_has_the_printed_number_with_sixteen_heads_alone():
    spec = blocks.gpt3("1.3B")
    assert round(parameters(spec) / 1e9, 1) == 1.5
    sixteen = blocks.rewrite(spec, GQAttention, lambda part: blocks.replace(part, heads=16))
    assert round(parameters(sixteen) / 1e9, 1) == 1.3


def test_gpt3_layers_are_dense_and_banded_in_turn():
    layers = blocks.gpt3("125M", band=7).keywords["layers"]
    masks = [blocks.at(layer, "attention").keywords["mask"] for layer in layers]
    assert masks == [Causal(), Window(7)] * 6
    assert len(set(blocks.gpt3("125M", band=None).keywords["layers"])) == 1


@pytest.mark.parametrize(("last", "seen"), [(2, True), (1, False)])
def test_a_small_gpt3_looks_far_through_its_dense_layers_alone(last, seen):
    spec = shrunk(blocks.gpt3("125M", band=3), 2, heads=3, head_dim=16)
    spec = blocks.replace(spec, layers=spec.keywords["layers"][::-1][:last])
    model, other = spec().eval(), TOKENS.clone()
    other[:, 0] = (other[:, 0] + 1) % 97
    with torch.no_grad():
        moved = (model(TOKENS) - model(other)).abs()
    assert bool(moved[:, 3:].max() > 0) is seen


@pytest.mark.parametrize("spec", [blocks.gpt3("125M", band=5), blocks.palm("8B")])
def test_a_small_one_remembers(spec):
    model = shrunk(spec, 3, heads=4, head_dim=16)().eval()
    state = model.init_state(2, 24)
    with torch.no_grad():
        parts = [model(part, state=state) for part in TOKENS.split([9, 1, 14], 1)]
        whole = model(TOKENS)
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


@pytest.mark.parametrize(("name", "printed"), [("8B", 8.63), ("62B", 62.50), ("540B", 540.35)])
def test_palm_has_the_printed_number_of_parameters(name, printed):
    with torch.device("meta"):
        model = blocks.palm(name)()
    matrices = [tensor.numel() for tensor in model.parameters() if tensor.dim() > 1]
    assert round(sum(matrices) / 1e9, 2) == printed  # without the gains of norms


@pytest.mark.parametrize("sizes", [blocks.gpt3, blocks.palm])
def test_other_sizes_are_refused(sizes):
    with pytest.raises(blocks.SpecError, match="is no size of"):
        sizes("7B")


@pytest.mark.slow  # `make slow` installs the package
def test_palm_equals_an_independent_one():
    package = pytest.importorskip(
        "palm_pytorch", reason="pip install --no-deps PaLM-pytorch einops (it asks for triton)"
    )
    dim, heads, width = 32, 4, 16
    theirs = package.PaLM(dim=dim, num_tokens=97, depth=3, heads=heads, dim_head=width).eval()
    for tensor in theirs.parameters():
        scale = 1.2 / tensor.shape[-1] ** 0.5 if tensor.dim() > 1 else 0.3
        torch.nn.init.normal_(tensor, float(tensor.dim() == 1), scale)
    spec = shrunk(blocks.palm("8B"), 3, heads=heads, head_dim=width)
    # That package leaves the logits as they are.
    spec = blocks.rewrite(spec, LMHead, LMHead)
    ours = blocks.rewrite(spec, GatedMLP, blocks.Spec(GatedMLP, hidden=4 * dim))().eval()
    sizes = {"attention.q": heads * width, "attention.k": width, "attention.v": width}
    sizes |= {"mlp.up": 4 * dim, "mlp.gate": 4 * dim}
    given = {"embedding.weight": theirs[0].weight, "norm.weight": theirs[4].gamma}
    for i in range(3):
        block = theirs[i + 1].fn
        parts = block.fused_attn_ff_proj.weight.split(list(sizes.values()))
        parts = dict(zip(sizes, parts, strict=True)) | {
            "attention.out": block.attn_out.weight,
            "mlp.down": block.ff_out[1].weight,
            "norm_in": block.norm.gamma,
        }
        given |= {f"layers.{i}.{part}.weight": tensor for part, tensor in parts.items()}
    tensors = blocks.addresses(ours)
    assert set(tensors) - set(given) <= {"head.weight"}
    with torch.no_grad():
        for address, tensor in given.items():
            tensors[address].copy_(tensor)
        difference = (ours(TOKENS) - theirs(TOKENS)).abs().max()
        assert difference <= 1e-5 * theirs(TOKENS).std()
