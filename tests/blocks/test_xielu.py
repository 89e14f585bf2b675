"""xIELU begins as the reference does, and gives what it gives."""

from __future__ import annotations

import torch
from transformers.activations import XIELUActivation

from blocks import MLP, XIELU, Spec


def test_it_begins_as_the_reference() -> None:
    ours, theirs = XIELU(8), XIELUActivation(dtype=torch.float32)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)


def test_it_gives_what_the_reference_gives() -> None:
    torch.manual_seed(0)
    ours, theirs = XIELU(8), XIELUActivation(dtype=torch.float32)
    for tensor in theirs.parameters():
        torch.nn.init.normal_(tensor)
    theirs.beta.fill_(0.3)
    ours.load_state_dict(theirs.state_dict())
    x = 3 * torch.randn(20, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def test_each_mlp_learns_its_own() -> None:
    one, other = (MLP(4, hidden=8, act=Spec(XIELU)) for _ in range(2))
    one(torch.randn(2, 4)).sum().backward()
    assert one.act.alpha_p.grad.abs() > 0 and one.act.alpha_p is not other.act.alpha_p
