"""Checkpointed layers find again what they didn't keep, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blocks import (
    CausalLM,
    Chain,
    Checkpointed,
    GatedMLP,
    GQAttention,
    Load,
    RelativeBias,
    Residual,
    RMSNorm,
    RoPE,
    Save,
    Spec,
    addresses,
    from_pretrained,
    next_token_loss,
    rewrite,
    save_pretrained,
)

ATTENTION = Spec(GQAttention, heads=2, dropout=0.2, qk=(Spec(RoPE),))
LAYER = Spec(
    Chain,
    steps={
        "attention": Spec(Residual, inner=ATTENTION, norm_in=RMSNorm, dropout=0.3),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=24, dropout=0.2), norm_in=RMSNorm),
    },
)
BIASED = rewrite(LAYER, GQAttention, Spec(GQAttention, heads=2, scores=(Spec(RelativeBias),)))
TOKENS = torch.randint(50, (3, 12))


def model(*layers: Spec) -> Spec:
    return Spec(CausalLM, vocab=50, dim=16, layers=layers, norm=RMSNorm)


def checkpointed(spec: Spec, where: str = "layers.*") -> Spec:
    return rewrite(spec, where, lambda old: Spec(Checkpointed, inner=old))


def trained(module: nn.Module) -> tuple[dict[str, Tensor], int]:
    """The gradients by address, and the bytes kept for the backward pass."""
    torch.manual_seed(1)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        loss = next_token_loss(module.train(), TOKENS)  # pyright: ignore[reportArgumentType]
    loss.backward()
    return {name: p.grad for name, p in addresses(module).items() if p.grad is not None}, sum(
        kept.values()
    )


def built(spec: Spec) -> Any:
    torch.manual_seed(0)
    return spec()


CASES = {
    "dropped": model(LAYER, LAYER, LAYER),
    "a learnt bias": model(BIASED, BIASED),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_the_same_to_the_bit(name: str) -> None:
    spec = CASES[name]
    wanted, much = trained(built(spec))
    found, little = trained(built(checkpointed(spec)))
    assert list(found) == list(wanted) and len(wanted) > 10
    assert all(torch.equal(found[place], wanted[place]) for place in wanted)
    assert little < 0.6 * much


def test_a_tap_is_read_as_it_was() -> None:
    double = Spec(Load, name="skip", merge="sum")
    layers = (Spec(Save, name="skip"), LAYER, double, LAYER, Spec(Save, name="skip"), double)
    wanted, _ = trained(built(model(*layers)))
    found, _ = trained(built(checkpointed(model(*layers))))
    assert all(torch.equal(found[place], wanted[place]) for place in wanted)


def test_with_a_state_it_is_what_it_wraps() -> None:
    spec = model(LAYER, LAYER)
    plain, wrapped = (built(one).eval() for one in (spec, checkpointed(spec)))
    states = [one.init_state(3) for one in (plain, wrapped)]
    for part in TOKENS.split([7, 4, 1], 1):
        a, b = (m(part, state=s) for m, s in zip((plain, wrapped), states, strict=True))
        assert torch.equal(a, b)


def test_layers_of_a_loaded_model(tmp_path: Path) -> None:
    kept = built(model(LAYER, LAYER))
    save_pretrained(kept, tmp_path)
    new = from_pretrained(tmp_path, rewrite=checkpointed)
    assert [type(layer) for layer in new.layers] == [Checkpointed, Checkpointed]
    assert list(addresses(new)) == list(addresses(kept))
    assert all(torch.equal(t, addresses(kept)[place]) for place, t in addresses(new).items())
