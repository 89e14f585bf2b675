"""Addresses of a live model: the same names as in its Spec, `Residual` left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import Tensor, nn

from blocks.arguments import check_text, near_words
from blocks.errors import SpecError
from blocks.ops.check import check_module

__all__ = ["addresses", "find"]


def modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module with its address, parents first; a Residual and what it wraps share one."""
    left = [("", root)]
    while left:
        address, module = left.pop()
        yield address, module
        through = getattr(type(module), "transparent", None)
        start = f"{address}." if address else ""
        for name, child in reversed(module._modules.items()):  # children() leaves out shared ones
            if child is not None:
                left.append((address if name == through else start + name, child))


def addresses(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and saved buffer of a model by address; tied ones under each of theirs.

    Errors:
        SpecError: two tensors have the same address.

    Example:
        >>> from blocks import Chain, MLP, Residual, RMSNorm, Spec, addresses
        >>> layer = Spec(Chain, steps={"mlp": Spec(Residual, inner=Spec(MLP, hidden=8, bias=False),
        ...                                        norm_in=RMSNorm)})
        >>> list(addresses(layer(4)))
        ['mlp.norm_in.weight', 'mlp.up.weight', 'mlp.down.weight']
    """
    found: dict[str, Tensor] = {}
    for address, module in modules(check_module(model)):
        own = {
            **module._parameters,
            **{
                k: v
                for k, v in module._buffers.items()
                if k not in module._non_persistent_buffers_set
            },
        }
        for name, tensor in own.items():
            place = f"{address}.{name}" if address else name
            if tensor is not None:
                if place in found:
                    raise SpecError(f"two tensors have the address {place!r}")
                found[place] = tensor
    return found


def meet(one: str, other: str) -> bool:
    """Whether of two addresses one is in the other, or is it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def buffers(model: nn.Module) -> set[str]:
    """The addresses of all buffers."""
    return {
        f"{address}.{name}" if address else name
        for address, module in modules(model)
        for name in module._buffers
    }


def find(model: nn.Module, address: str) -> nn.Module:
    """The block at an address: the mixer itself, not the `Residual` around it.

    Errors:
        SpecError: there is none; the nearest addresses are shown.

    Example:
        >>> from blocks import Chain, MLP, Spec, find
        >>> find(Spec(Chain, steps={"mlp": Spec(MLP, hidden=8)})(4), "mlp.up")
        Linear(in_features=4, out_features=8, bias=True)
    """
    check_text(address, "address")
    known = dict(modules(check_module(model)))  # the wrapped block comes after its wrapper and wins
    if address not in known:
        hint = near_words(address, filter(None, known), "it has no parts")
        raise SpecError("no block there", field=address, hint=hint)
    return known[address]


def put(model: nn.Module, address: str, tensor: Tensor) -> None:
    """Places a parameter or buffer at an address, in place of the one that is there."""
    parent, _, name = address.rpartition(".")
    for place, module in modules(model):
        if place == parent and (name in module._parameters or name in module._buffers):
            kept = module._parameters if name in module._parameters else module._buffers
            kept[name] = tensor  # pyright: ignore[reportArgumentType]
            return
    raise SpecError("no tensor there", field=address)


def spread(tie: tuple[str, str], names: Collection[str]) -> list[tuple[str, str]]:
    """The pairs of tensors that a tie shares: itself, or all that lies in two blocks."""
    place, source = tie
    if place in names:
        return [tie]
    inside = [name for name in names if name.startswith(f"{place}.")]
    return [(name, source + name[len(place) :]) for name in inside]


def tie(model: nn.Module, ties: tuple[tuple[str, str], ...]) -> None:
    """Makes each (place, source) one: a parameter, or a whole block with all it holds."""
    for place, source in ties:
        known = addresses(model)
        if source in known and place in known:
            if known[place].shape != known[source].shape:
                raise SpecError(
                    f"{list(known[place].shape)} can't share {source} {list(known[source].shape)}",
                    field=place,
                )
            put(model, place, known[source])
            continue
        parent, _, name = place.rpartition(".")
        find(model, place)
        find(model, parent)._modules[name] = find(model, source)
