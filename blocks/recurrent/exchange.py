"""Recurrent layers from torch.nn and back, with their weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from blocks.errors import SpecError
from blocks.recurrent.gru import GRU
from blocks.recurrent.lstm import LSTM
from blocks.recurrent.rnn import RNN
from blocks.recurrent.stacked import Recurrent

__all__ = ["from_torch", "to_torch"]

_KINDS: dict[type[nn.RNNBase], type[Recurrent]] = {nn.RNN: RNN, nn.LSTM: LSTM, nn.GRU: GRU}


def from_torch(module: nn.RNNBase) -> Recurrent:
    """The `RNN`, `LSTM` or `GRU` that computes what torch's module does, with its weights.

    Ours has the batch first, whatever `batch_first` says; the weights are copies.

    Errors:
        SpecError: another module, or an LSTM with a projection (`proj_size`).

    Example:
        >>> import torch
        >>> from blocks import from_torch
        >>> theirs, x = torch.nn.GRU(8, 6, batch_first=True), torch.randn(1, 5, 8)
        >>> torch.equal(from_torch(theirs)(x), theirs(x)[0])
        True
    """
    kind = _KINDS.get(type(module))
    if kind is None:
        raise SpecError(f"no block is {type(module).__name__}", hint="torch.nn.RNN, LSTM and GRU")
    if module.proj_size:
        raise SpecError(f"no block projects as proj_size={module.proj_size}", field="proj_size")
    options: dict[str, Any] = {"act": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    made = kind(
        module.input_size,
        hidden=module.hidden_size,
        depth=module.num_layers,
        direction="both" if module.bidirectional else "forward",
        bias=module.bias,
        dropout=float(module.dropout),
        **options,
    )
    return _filled(made, module)


def to_torch(block: Recurrent) -> nn.RNNBase:
    """torch's module that computes what the block does, with copies of its weights; batch first.

    Errors:
        SpecError: torch has no such: peepholes, reset before the product, backward alone.

    Example:
        >>> import torch
        >>> from blocks import LSTM, to_torch
        >>> ours, x = LSTM(8, depth=2), torch.randn(1, 5, 8)
        >>> torch.equal(to_torch(ours)(x)[0], ours(x))
        True
    """
    kind: Any = {ours: theirs for theirs, ours in _KINDS.items()}.get(type(block))
    if kind is None or block.kernel() is None or block.direction == "backward":
        raise SpecError(f"torch.nn has nothing that computes this {type(block).__name__}")
    options: dict[str, Any] = {"nonlinearity": block.act} if isinstance(block, RNN) else {}
    made = kind(
        block.dim,
        block.hidden,
        num_layers=block.depth,
        bias=block.bias,
        batch_first=True,
        dropout=block.dropout,
        bidirectional=block.direction == "both",
        **options,
    )
    return _filled(made, block)


def _filled(made: Any, like: nn.Module) -> Any:
    """With the weights, the dtype, the device and the mode of another; names are the same."""
    first = next(like.parameters())
    made.to(first).load_state_dict(like.state_dict())
    return made.train(like.training)
