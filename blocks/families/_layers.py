"""Layers that differ inside one model: which of them see a window, and which have experts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from blocks import Causal, Mask, MoE, Spec, Window, at
from blocks.families._dialects import count, parts
from blocks.hub.config import Config

_FULL, _SLIDING = "full_attention", "sliding_attention"
_SPARSE, _DENSE = "sparse", "dense"


def read_slides(c: Config, rule: Callable[[int], bool]) -> tuple[bool, ...]:
    """For each layer whether it sees a window alone: as `layer_types` says, else by a rule.

    Args:
        c: the reader.
        rule: what a config means that doesn't list its layers, by their index.
    """
    return read_kinds(c, "layer_types", (_FULL, _SLIDING), rule)


def read_kinds(
    c: Config, name: str, kinds: tuple[str, str], rule: Callable[[int], bool]
) -> tuple[bool, ...]:
    """For each layer whether the list `name` says the second kind, else by a rule."""
    depth = count(c, "num_hidden_layers")
    listed = c.take(name, tuple[str, ...], None)
    if listed is None:
        return tuple(rule(i) for i in range(depth))
    check_depth(c, name, listed, depth)
    check_words(c, name, listed, kinds)
    return tuple(kind == kinds[1] for kind in listed)


def check_words(c: Config, name: str, listed: Sequence[str], known: Collection[str]) -> None:
    """Refuses a list with a word that is not known."""
    for word in listed:
        if word not in known:
            raise c.error(name, f"{word!r} is not known", f"known: {', '.join(known)}")


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
    """The attention of every layer that has one."""
    return parts(s.keywords["layers"], "attention")


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


def read_dense(c: Config, absent: tuple[int, ...] = ()) -> tuple[bool, ...]:
    """For each layer whether it has one MLP instead of experts: Qwen's two fields of that.

    Args:
        c: the reader.
        absent: which layers a config means that doesn't list them.
    """
    period = c.take("decoder_sparse_step", int, 1)
    dense = set(c.take("mlp_only_layers", tuple[int, ...], absent))
    depth = count(c, "num_hidden_layers")
    return tuple(i in dense or (i + 1) % period != 0 for i in range(depth))


def read_listed_dense(c: Config, absent: tuple[int, ...]) -> tuple[bool, ...]:
    """The same as `mlp_layer_types` says, else those two fields, where files may have all three.

    Args:
        c: the reader.
        absent: which layers a config means that says none.
    """
    rule, older = read_dense(c, absent), "mlp_only_layers"
    dense = read_kinds(c, "mlp_layer_types", (_SPARSE, _DENSE), rule.__getitem__)
    if dense != rule and c.data.get(older) is not None:
        raise c.error(older, "mlp_layer_types says otherwise")
    return dense


def read_first_dense(c: Config, first: int, *, older: str | None = None) -> tuple[bool, ...]:
    """The same as `mlp_layer_types` says, else the first layers: as many as DeepSeek's field says.

    Args:
        c: the reader.
        first: what a config means that says neither.
        older: the field that listed, before there was the first, which layers have experts.
    """
    flags = read_flags(c, older) if older else None
    first = c.take("first_k_dense_replace", int, first, low=0)
    rule = (lambda i: i < first) if flags is None else (lambda i: not flags[i])
    return read_kinds(c, "mlp_layer_types", (_SPARSE, _DENSE), rule)


def read_flags(c: Config, name: str) -> tuple[bool, ...] | None:
    """A list of yes or no for each layer; None where there is none."""
    listed = c.take(name, tuple[int | bool, ...], None)
    if listed is None:
        return None
    check_depth(c, name, listed, count(c, "num_hidden_layers"))
    if any(flag not in (0, 1) for flag in listed):
        raise c.error(name, "is not a list of 0 and 1")
    return tuple(map(bool, listed))


def read_between(c: Config) -> tuple[bool, ...]:
    """The same as ERNIE's three fields say: a first and a last layer with experts, and a period."""
    depth, first = count(c, "num_hidden_layers"), c.take("moe_layer_start_index", int, 1, low=0)
    last = c.take("moe_layer_end_index", int, -1, low=-1)
    period = c.take("moe_layer_interval", int, 1)
    between = range(first, depth if last == -1 else last + 1)
    return tuple(i not in between or (i + 1) % period != 0 for i in range(depth))


def moe_of(s: Spec) -> Spec:
    """The first mixture of experts among a model's layers; a KeyError where there is none."""
    return {mlp.func: mlp for mlp in reversed(_mlps(s))}[MoE]


def _mlps(s: Spec) -> list[Spec]:
    return [at(layer, "mlp") for layer in s.keywords["layers"]]


def write_dense(s: Spec) -> dict[str, Any]:
    """The fields that `read_dense` is read from, and the size of the dense MLPs."""
    dense = [i for i, mlp in enumerate(_mlps(s)) if mlp.func is not MoE]
    return {"decoder_sparse_step": 1, "mlp_only_layers": dense, **_write_size(s)}


def write_first_dense(
    s: Spec, *, listed: bool = False, name: str = "first_k_dense_replace"
) -> dict[str, Any]:
    """The fields that `read_first_dense` is read from, and the size of the dense MLPs.

    Args:
        s: the model.
        listed: whether the family lists its layers.
        name: the field of how many of the first are dense, where it doesn't.
    """
    kinds = [_SPARSE if mlp.func is MoE else _DENSE for mlp in _mlps(s)]
    if listed:
        return {"mlp_layer_types": kinds, **_write_size(s)}
    return {name: kinds.count(_DENSE), **_write_size(s)}


def write_between(s: Spec) -> dict[str, Any]:
    """The fields that `read_between` is read from, and the size of the dense MLPs."""
    sparse = [i for i, mlp in enumerate(_mlps(s)) if mlp.func is MoE]
    return {
        "moe_layer_start_index": sparse[0],
        "moe_layer_end_index": sparse[-1],
        "moe_layer_interval": sparse[1] - sparse[0] if len(sparse) > 1 else 1,
        **_write_size(s),
    }


def _write_size(s: Spec) -> dict[str, Any]:
    sizes = [mlp.keywords["hidden"] for mlp in _mlps(s) if mlp.func is not MoE]
    return {"intermediate_size": sizes[0]} if sizes else {}
