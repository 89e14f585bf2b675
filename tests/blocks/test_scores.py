"""Parts that change attention scores, alone and inside attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BloomConfig, FalconConfig, Gemma2Config, MptConfig
from transformers.models.bloom.modeling_bloom import BloomAttention, build_alibi_tensor
from transformers.models.falcon.modeling_falcon import FalconAttention
from transformers.models.gemma2.modeling_gemma2 import Gemma2Attention, Gemma2RotaryEmbedding
from transformers.models.mpt.modeling_mpt import MptAttention, build_mpt_alibi_tensor

from blocks import Causal, GQAttention, RoPE, Spec, State, Window
from blocks.attention.softcap import SoftCap
from blocks.errors import SpecError
from blocks.positions.alibi import ALiBi

B, T, D = 2, 7, 24
HIDDEN = torch.ones(T, T, dtype=torch.bool).triu(1)
MASK = torch.zeros(T, T).masked_fill(HIDDEN, torch.finfo(torch.float32).min)[None, None]


def scrambled(module: nn.Module) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.6)
    return module.eval()


def load(ours: nn.Module, names: dict[str, Tensor]) -> None:
    ours.load_state_dict({name: tensor.detach().clone() for name, tensor in names.items()})


def per_head(fused: Tensor, heads: int) -> list[Tensor]:
    """Fused q, k and v of each head in turn, as three."""
    return [part.flatten(0, 1) for part in fused.unflatten(0, (heads, 3, -1)).unbind(1)]


def fused(theirs: nn.Linear, out: nn.Linear, heads: int) -> dict[str, Tensor]:
    found = {"out.weight": out.weight, "out.bias": out.bias}
    for kind in ("weight", "bias"):
        parts = per_head(getattr(theirs, kind), heads)
        found |= {f"{name}.{kind}": part for name, part in zip("qkv", parts, strict=True)}
    return found


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.detach().std().item())


@pytest.mark.parametrize("heads", [4, 12])
def test_bloom(heads: int) -> None:
    config = BloomConfig(hidden_size=D, n_head=heads)
    theirs = scrambled(BloomAttention(config, 0))
    ours = GQAttention(D, heads=heads, bias=True, out_bias=True, scores=(ALiBi,))
    load(ours, fused(theirs.query_key_value, theirs.dense, heads))
    x = torch.randn(B, T, D)
    alibi = build_alibi_tensor(torch.ones(B, T), heads, torch.float32)
    wanted = theirs(x, torch.zeros_like(x), alibi, MASK)[0]
    close(ours(x), wanted)


@pytest.mark.parametrize(("heads", "max_bias"), [(4, 8), (12, 8), (12, 3)])
def test_mpt(heads: int, max_bias: int) -> None:
    theirs = scrambled(MptAttention(MptConfig(d_model=D, n_heads=heads), 0))
    ours = GQAttention(D, heads=heads, scores=(Spec(ALiBi, max_bias=float(max_bias)),))
    q, k, v = theirs.Wqkv.weight.chunk(3)
    names = {"q.weight": q, "k.weight": k, "v.weight": v, "out.weight": theirs.out_proj.weight}
    load(ours, names)
    x = torch.randn(B, T, D)
    alibi = build_mpt_alibi_tensor(heads, T, max_bias)
    close(ours(x), theirs(x, alibi, attention_mask=HIDDEN)[0])


def test_falcon() -> None:
    heads = 4
    config = FalconConfig(
        hidden_size=D,
        num_attention_heads=heads,
        alibi=True,
        bias=True,
        multi_query=False,
        new_decoder_architecture=False,
        attn_implementation="sdpa",
    )
    theirs = scrambled(FalconAttention(config, 0))
    scale = 1 / math.sqrt(D / heads)
    ours = GQAttention(D, heads=heads, bias=True, out_bias=True, scores=(Spec(ALiBi, scale=scale),))
    load(ours, fused(theirs.query_key_value, theirs.dense, heads))
    x = torch.randn(B, T, D)
    alibi = build_alibi_tensor(torch.ones(B, T), heads, torch.float32)
    mask = (alibi.view(B, heads, 1, T) * scale).masked_fill(HIDDEN, MASK.min().item())
    close(ours(x), theirs(x, alibi, attention_mask=mask)[0])


def test_gemma2() -> None:
    config = Gemma2Config(
        hidden_size=D,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        attn_logit_softcapping=0.7,
        query_pre_attn_scalar=5,
        attn_implementation="eager",
    )
    theirs = scrambled(Gemma2Attention(config, 1))
    ours = GQAttention(
        D,
        heads=4,
        kv_heads=2,
        head_dim=8,
        qk=(RoPE,),
        scores=(Spec(SoftCap, cap=0.7),),
        scale=5**-0.5,
    )
    names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "out": "o_proj"}
    load(ours, {f"{a}.weight": getattr(theirs, b).weight for a, b in names.items()})
    x, positions = torch.randn(B, T, D), torch.arange(T)[None]
    tables = Gemma2RotaryEmbedding(config)(x, positions)
    wanted = theirs(x, position_embeddings=tables, attention_mask=MASK)[0]
    close(ours(x), wanted)
    ours.scores[0].cap = 1.0
    assert (ours(x) - wanted).abs().max() > 0.01


PARTS = {
    "alibi": (ALiBi,),
    "cap": (Spec(SoftCap, cap=1.0),),
    "both": (ALiBi, Spec(SoftCap, cap=1.0)),
}


@pytest.mark.parametrize("scores", PARTS.values(), ids=PARTS.keys())
@pytest.mark.parametrize("window", [None, 3])
def test_in_parts_as_in_one(scores: tuple[Any, ...], window: int | None) -> None:
    mask = Causal() if window is None else Window(window)
    attention = scrambled(GQAttention(D, heads=6, kv_heads=2, scores=scores, mask=mask))
    x = torch.randn(B, T, D)
    state = State.of(attention, batch=B)
    found = [state.run(attention, part) for part in x.split([4, 1, 1, 1], dim=1)]
    close(torch.cat(found, 1), attention(x))
    plain = GQAttention(D, heads=6, kv_heads=2, mask=mask)
    plain.load_state_dict(attention.state_dict())
    assert (plain(x) - attention(x)).abs().max() > 0.01


def test_soft_cap_is_bounded_and_gentle() -> None:
    cap, x = SoftCap(4, cap=2.0), torch.linspace(-50, 50, 101, dtype=torch.float64)
    assert cap(x).abs().max() <= 2
    torch.testing.assert_close(cap(x * 1e-4), x * 1e-4, rtol=1e-5, atol=0)
    wanted = torch.tensor([2 * math.tanh(v / 2) for v in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(cap(x), wanted)
    assert torch.autograd.gradcheck(cap, (torch.randn(5, dtype=torch.float64, requires_grad=True),))
    with pytest.raises(SpecError, match="cap must be above zero"):
        SoftCap(4, cap=0.0)
