"""Layers that differ inside one model: which of them see a window, and which have experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from blocks import Causal, Mask, MoE, Spec, Window, at
from blocks.families._dialects import count
from blocks.hub.config import Config

_FULL, _SLIDING = "full_attention", "sliding_attention"


def read_slides(c: Config, rule: Callable[[int], bool]) -> tuple[bool, ...]:
    """For each layer whether it sees a window alone: as `layer_types` says, else by a rule.

    Args:
        c: the reader.
        rule: what a config means that doesn't list its layers, by their index.
    """
    depth = count(c, "num_hidden_layers")
    listed = c.take("layer_types", tuple[str, ...], None)
    if listed is None:
        return tuple(rule(i) for i in range(depth))
    check_depth(c, "layer_types", listed, depth)
    for kind in listed:
        if kind not in (_FULL, _SLIDING):
            raise c.error("layer_types", f"{kind!r} is not known", f"known: {_FULL}, {_SLIDING}")
    return tuple(kind == _SLIDING for kind in listed)


def check_depth(c: Config, name: str, listed: Sequence[Any], depth: int) -> None:
    """Refuses a list that has not one entry a layer."""
    if len(listed) != depth:
        raise c.error("num_hidden_layers", f"{depth} layers, but {name} lists {len(listed)}")


def every(
    c: Config, name: str, absent: int, *, aliases: Sequence[str] = ()
) -> Callable[[int], bool]:
    """The rule of a pattern: all layers slide but each nth, n being the field `name`."""
    period = c.take(name, int, absent, aliases=aliases)
    return lambda i: (i + 1) % period != 0


def masks(c: Config, slides: Sequence[bool], size: int | None) -> tuple[Mask, ...]:
    """The mask of each layer, given the size of the window."""
    if size is None and any(slides):
        raise c.error("sliding_window", "is missing, and some layers see a window alone")
    return tuple(Window(size) if one and size else Causal() for one in slides)


def attentions(s: Spec) -> list[Spec]:
    """The attention of every layer."""
    return [at(layer, "attention") for layer in s.keywords["layers"]]


def write_slides(s: Spec) -> dict[str, Any]:
    """The fields that `read_slides` and `masks` are read from."""
    every_mask = [attention.keywords["mask"] for attention in attentions(s)]
    sizes = [mask.size for mask in every_mask if isinstance(mask, Window)]
    kinds = [_SLIDING if isinstance(mask, Window) else _FULL for mask in every_mask]
    # Where no layer has a window, readers still want a number.
    size = sizes[0] if sizes else s.keywords["context"]
    return {"layer_types": kinds, "sliding_window": size}


def read_switched_window(c: Config, absent: int | None) -> int | None:
    """The size of a window that `use_sliding_window` turns on."""
    size = c.take("sliding_window", int, None if "sliding_window" in c.data else absent, low=0)
    return (size or None) if c.take("use_sliding_window", bool, False) else None


def read_late_windows(c: Config) -> tuple[Mask, ...]:
    """Qwen's masks: from `max_window_layers` on a window, if `use_sliding_window` says so."""
    first = c.take("max_window_layers", int, 28, low=0)
    size = read_switched_window(c, 4096)
    return masks(c, read_slides(c, lambda i: size is not None and i >= first), size)


def write_late_windows(s: Spec) -> dict[str, Any]:
    """The fields that `read_late_windows` is read from."""
    fields = write_slides(s)
    kinds = fields["layer_types"]
    first = kinds.index(_SLIDING) if _SLIDING in kinds else len(kinds)
    return fields | {"max_window_layers": first, "use_sliding_window": _SLIDING in kinds}


def read_dense(c: Config) -> tuple[bool, ...]:
    """For each layer whether it has one MLP instead of experts: Qwen's two fields of that."""
    period = c.take("decoder_sparse_step", int, 1)
    dense = set(c.take("mlp_only_layers", tuple[int, ...], ()))
    depth = count(c, "num_hidden_layers")
    return tuple(i in dense or (i + 1) % period != 0 for i in range(depth))


def moe_of(s: Spec) -> Spec:
    """The first mixture of experts among a model's layers; a KeyError where there is none."""
    found = [at(layer, "mlp") for layer in s.keywords["layers"]]
    return {mlp.func: mlp for mlp in reversed(found)}[MoE]


def write_dense(s: Spec) -> dict[str, Any]:
    """The fields that `read_dense` is read from, and the size of the dense MLPs."""
    found = [at(layer, "mlp") for layer in s.keywords["layers"]]
    dense = [i for i, mlp in enumerate(found) if mlp.func is not MoE]
    size = {"intermediate_size": found[dense[0]].keywords["hidden"]} if dense else {}
    return {"decoder_sparse_step": 1, "mlp_only_layers": dense, **size}
