"""Query-key norms against the models that have them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Olmo2Config, PersimmonConfig, Qwen3Config
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention, Olmo2RotaryEmbedding
from transformers.models.persimmon.modeling_persimmon import (
    PersimmonAttention,
    PersimmonRotaryEmbedding,
)
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3RotaryEmbedding

from blocks import GQAttention, LayerNorm, RMSNorm, RoPE, Spec, State, Step
from blocks.errors import SpecError
from blocks.norm.qk import QKNorm

B, T, D, H, K, E = 2, 7, 24, 4, 2, 8
MASK = torch.full((T, T), torch.finfo(torch.float32).min).triu(1)[None, None]
SIZES = {
    "hidden_size": D,
    "num_attention_heads": H,
    "num_key_value_heads": K,
    "head_dim": E,
    "attn_implementation": "eager",
}


def scrambled(module: nn.Module) -> Any:
    for name, parameter in module.named_parameters():
        nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.5)
    return module.eval()


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.detach().std().item())


def compare(theirs: Any, table: nn.Module, ours: nn.Module, names: dict[str, str]) -> None:
    found = dict(theirs.named_parameters())
    ours.load_state_dict({name: found[other] for name, other in names.items()})
    x = torch.randn(B, T, D)
    angles = table(x, torch.arange(T)[None])
    wanted = theirs(x, position_embeddings=angles, attention_mask=MASK)[0]
    close(ours(x), wanted)
    state = State.of(ours, batch=B)
    parts = [state.run(ours, part) for part in x.split([5, 1, 1], dim=1)]
    close(torch.cat(parts, 1), wanted)


NAMES = {
    "q.weight": "q_proj.weight",
    "k.weight": "k_proj.weight",
    "v.weight": "v_proj.weight",
    "out.weight": "o_proj.weight",
    "qk.0.q.weight": "q_norm.weight",
    "qk.0.k.weight": "k_norm.weight",
}


def attention(norm: Any) -> nn.Module:
    return GQAttention(D, heads=H, kv_heads=K, head_dim=E, qk=(norm, RoPE))


def test_qwen3() -> None:
    config = Qwen3Config(**SIZES, rms_norm_eps=0.1, rope_theta=1e4)
    norm = Spec(QKNorm, norm=Spec(RMSNorm, eps=0.1))
    theirs = scrambled(Qwen3Attention(config, 0))
    compare(theirs, Qwen3RotaryEmbedding(config), attention(norm), NAMES)


def test_olmo2() -> None:
    config = Olmo2Config(**SIZES, rms_norm_eps=0.1)
    norm = Spec(QKNorm, norm=Spec(RMSNorm, eps=0.1, cast="after"), over="all")
    theirs = scrambled(Olmo2Attention(config, 0))
    compare(theirs, Olmo2RotaryEmbedding(config), attention(norm), NAMES)


def test_persimmon() -> None:
    turned = {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}
    config = PersimmonConfig(
        hidden_size=H * E,
        num_attention_heads=H,
        layer_norm_eps=0.1,
        rope_parameters=turned,
        attn_implementation="eager",
    )
    theirs = scrambled(PersimmonAttention(config, 0))
    rope = Spec(RoPE, theta=100.0, rotated=0.5)
    norm = Spec(QKNorm, norm=Spec(LayerNorm, eps=0.1))
    ours = GQAttention(H * E, heads=H, bias=True, out_bias=True, qk=(norm, rope))
    state = {f"out.{kind}": getattr(theirs.dense, kind) for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        parts = getattr(theirs.query_key_value, kind).unflatten(0, (H, 3, E)).unbind(1)
        for name, part in zip("qkv", parts, strict=True):
            state[f"{name}.{kind}"] = part.flatten(0, 1)
        state[f"qk.0.q.{kind}"] = getattr(theirs.q_layernorm, kind)
        state[f"qk.0.k.{kind}"] = getattr(theirs.k_layernorm, kind)
    ours.load_state_dict(state)
    x = torch.randn(B, T, H * E)
    angles = PersimmonRotaryEmbedding(config)(x, torch.arange(T)[None])
    close(ours(x), theirs(x, position_embeddings=angles, attention_mask=MASK)[0])


def test_over_all_mixes_the_heads_of_one_token_only() -> None:
    step = Step.plain(torch.zeros(1, 2, D))
    q, k = torch.randn(1, H, 2, E), torch.randn(1, K, 2, E)
    louder = q.clone()
    louder[0, 0, 0] *= 10
    for over, others in (("head", True), ("all", False)):
        block = QKNorm(E, H, K, norm=RMSNorm, over=over)
        one, other = block(q, k, step), block(louder, k, step)
        assert torch.allclose(one[0][:, 1:, 0], other[0][:, 1:, 0], atol=1e-6) is others
        assert torch.equal(one[0][:, :, 1], other[0][:, :, 1]) and torch.equal(one[1], other[1])


def test_parameters_and_gradients() -> None:
    sizes = {over: QKNorm(E, H, K, norm=LayerNorm, over=over) for over in ("head", "all")}
    assert [p.numel() for p in sizes["head"].parameters()] == [E] * 4
    assert [p.numel() for p in sizes["all"].parameters()] == [H * E] * 2 + [K * E] * 2
    assert set(sizes["all"].state_dict()) == {"q.weight", "q.bias", "k.weight", "k.bias"}
    step = Step.plain(torch.zeros(1, 2, D))
    for block in sizes.values():
        block.double()
        leaves = [torch.randn(1, n, 2, E, dtype=torch.float64, requires_grad=True) for n in (H, K)]
        assert torch.autograd.gradcheck(lambda q, k, norm=block: norm(q, k, step), leaves)


def test_errors() -> None:
    with pytest.raises(SpecError, match="norm"):
        Spec(QKNorm)
    with pytest.raises(SpecError, match="over"):
        Spec(QKNorm, norm=RMSNorm, over="heads")
    with pytest.raises(SpecError, match="kv_heads"):
        QKNorm(E, H, 0, norm=RMSNorm)


def test_a_layer_norm_adds_its_offset_before_anything_is_rounded() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(9, 64, generator=draw).bfloat16()
    norm = LayerNorm(64, offset=1.0, bias=False).bfloat16()
    norm.weight.data = (torch.randn(64, generator=draw) * 0.01).bfloat16()
    exact = LayerNorm(64, offset=1.0, bias=False)
    exact.weight.data = norm.weight.data.float()
    rounded = torch.nn.functional.layer_norm(x, (64,), norm.weight + 1)
    assert torch.equal(norm(x), exact(x.float()).bfloat16())
    assert not torch.equal(norm(x), rounded)
