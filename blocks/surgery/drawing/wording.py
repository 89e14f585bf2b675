"""What is said of a block in a picture: its colour, its numbers, its parts, its mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from typing import Any

from blocks.hub.columns import counted
from blocks.spec import Spec, children, is_spec
from blocks.surgery.drawing.shapes import Chip

__all__: list[str] = []

Seen = Callable[[int, int], bool]

KINDS = {
    "attention": "attention",
    "positions": "positions",
    "norm": "norm",
    "mlp": "mlp",
    "moe": "moe",
    "ssm": "recurrent",
    "recurrent": "recurrent",
    "conv": "recurrent",
    "embedding": "ends",
    "heads": "ends",
    "wiring": "wiring",
    "models": "wiring",
}
LEGEND = {
    "ends": "embedding, head",
    "attention": "attention",
    "positions": "positions",
    "mlp": "MLP",
    "moe": "mixture of experts",
    "recurrent": "recurrence, state space, convolution",
    "norm": "norm",
    "wiring": "wiring",
}
# What no drawing needs to say, and what lines of their own say.
QUIET = frozenset(
    "eps dropout bias out_bias key_bias value_bias conv_bias dense_bias head_bias weight cast seed "
    "name inner steps layers ties context vocab dim pairing layout offset act limits dt "
    "start_bias norm_bias filled truncate".split()
)
SAID = frozenset("act chunk context dim inner layers name steps ties vocab".split())  # elsewhere
# What is said though it is the default, and words of options.
_TOLD = frozenset(("state_dim", "kernel"))
_WORDS = {"state_dim": "state", "head_dim": "head", "kv_rank": "kv"}
_OFF = {
    "both_ways": "one way",
    "gate_first": "gate after norm",
    "padded": "not padded",
    "renormalize": "weights not renormalized",
}
_MASKS: Mapping[str, tuple[Seen, str]] = {
    "Causal": (lambda q, k: k <= q, "causal"),
    "Full": (lambda q, k: True, "bidirectional"),
    "Window": (lambda q, k: q - 3 < k <= q, "causal, window {size:,}"),
    "Chunk": (lambda q, k: k <= q and k // 3 == q // 3, "causal, chunks of {size:,}"),
    "Prefix": (lambda q, k: k <= q or (q < 3 and k < 3), "causal after {size:,}"),
    "SymmetricWindow": (lambda q, k: abs(q - k) < 2, "window ± {radius:,}"),
    "NearChunks": (lambda q, k: abs(q // 3 - k // 3) < 2, "chunks of {size:,}, near ones"),
}


def name_of(spec: Spec[Any]) -> str:
    """The class or function of a Spec."""
    return getattr(spec.func, "__name__", str(spec.func))


def kind_of_block(spec: Spec[Any]) -> str:
    """Which colour a block has: by the folder it is in, or that of the class it extends."""
    homes = [getattr(b, "__module__", "") for b in getattr(spec.func, "__mro__", (spec.func,))]
    return next((kind_of_home(home) for home in homes if home.startswith("blocks.")), "wiring")


def kind_of_home(module: str) -> str:
    """The colour of what is defined in a module."""
    package, _, rest = module.partition(".")
    return KINDS.get(rest.split(".")[0], "wiring") if package == "blocks" else "wiring"


def number(value: Any) -> str:
    """A number as people write it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return f"{value:,}"


def amount(parameters: int) -> str:
    """So many parameters, in words."""
    return counted(parameters).replace("G", "B")


def act_of(spec: Spec[Any]) -> str:
    """The name of its activation."""
    act: Any = spec.keywords.get("act")
    return name_of(act) if is_spec(act) else str(act).replace("_", " ")


def numbers(spec: Spec[Any]) -> list[str]:
    """Options that differ from their defaults, as short texts."""
    defaults = signature(spec.func).parameters
    found = []
    for option, value in spec.keywords.items():
        default = defaults[option].default
        said = _WORDS.get(option, option.replace("_", " "))
        if option in _TOLD and value is not None:
            found.append(f"{said} {number(value)}")
            continue
        if option == "chunk" and kind_of_block(spec) != "attention":
            continue  # of a computation, not of what is computed
        if option in QUIET or value == default or value is None:
            continue
        if isinstance(value, bool):
            found.append(said if value else _OFF.get(option, f"no {said}"))
        elif isinstance(value, int | float):
            found.append(f"{said} {number(value)}")
        elif isinstance(value, str):
            found.append(value.replace("_", " ") if option == "merge" else f"{said}: {value}")
        elif _few(value):
            found.append(f"{said} {' · '.join(map(str, value))}")
    return found


def unlike(one: Any, other: Any) -> set[str] | None:
    """The options in which two Specs of one make differ; None where they are made otherwise."""
    if one.func is not other.func:
        return None
    found: set[str] = set()
    for option, value in one.keywords.items():
        pairs = [(value, other.keywords[option])]
        if isinstance(value, Mapping):
            if list(value) != list(pairs[0][1]):
                return None
            pairs = [(value[name], pairs[0][1][name]) for name in value]
        for mine, theirs in pairs:
            within = {option} if mine != theirs else set()
            if is_spec(mine) and is_spec(theirs):
                within = unlike(mine, theirs)
            if within is None:
                return None
            found |= within
    return found


def _few(value: Any) -> bool:
    plain = isinstance(value, tuple) and all(isinstance(v, int | float | str) for v in value)
    return plain and len(value) <= 4


def heads_of(spec: Spec[Any], dim: int) -> str:
    """Heads of an attention and how wide they are."""
    heads = spec.keywords["heads"]
    kv = spec.keywords.get("kv_heads") or heads
    each = spec.keywords.get("head_dim") or (dim // heads if dim else None)
    wide = f" × {each}" if each else ""
    many = f"{heads} head{'s' if heads > 1 else ''}"
    if kv == heads:
        return many + wide
    return f"{many}, {kv} kv head{'s' if kv > 1 else ''}{wide}"


def lines_of(spec: Spec[Any], dim: int) -> list[str]:
    """The lines of a block's card."""
    options, name = spec.keywords, name_of(spec)
    if name == "LatentAttention":
        rank = options["q_rank"]
        return [
            f"{options['heads']} heads, values {options['value_dim']}",
            f"kv latent {options['kv_rank']:,}" + (f", q latent {rank:,}" if rank else ""),
            f"keys {options['nope_dim']} + {options['rope_dim']} rotated",
        ]
    said = numbers(spec)
    lines = []
    if "heads" in options:
        lines.append(heads_of(spec, dim))
        said = [s for s in said if s.split(" ")[0] not in ("heads", "kv") and s[:5] != "head "]
    if "hidden" in options and name in ("GatedMLP", "MLP") and options["hidden"]:
        act, wide = act_of(spec), options["hidden"]
        inside = f"{act}(gate) ⊙ up" if name == "GatedMLP" else f"{act}(up)"
        lines.append(f"down( {inside} )")
        lines.append(f"{dim:,} → {wide:,} → {dim:,}" if dim else f"{wide:,} wide")
        said = [s for s in said if not s.startswith("hidden ")]
    elif "act" in options and isinstance(options["act"], str):
        said.append(options["act"].replace("_", " "))
    text = ""
    for one in said:  # two or three a line
        if text and len(text) + len(one) > 30:
            lines.append(text)
            text = one
        else:
            text = f"{text} · {one}" if text else one
    return lines + [text] * bool(text)


def _scaling(value: Any) -> str:
    kind = type(value).__name__.removesuffix("Scaling")
    factor = getattr(value, "factor", None)
    return f"{kind} scaling" + (f" × {number(factor)}" if factor else "")


def chip(spec: Spec[Any], slot: str = "") -> Chip:
    """A part of a block in a few words, with its own parts in brackets."""
    name, options = name_of(spec), spec.keywords
    said = []
    if name == "RoPE":
        said.append(f"θ {number(options['theta'])}")
        if options["rotated"] != 1:
            said.append(f"{options['rotated']:.0%} of a head")
        if options["scaling"] is not None:
            said.append(_scaling(options["scaling"]))
    else:
        said = [text for text in numbers(spec) if not text.startswith("norm")][:3]
    inner = [chip(part).text for _, _, _, part in children(spec)]
    text = " · ".join([name, *said]) + (f" ({', '.join(inner)})" if inner else "")
    # A class of another kind may fill the slot: the colour is that of the part.
    kind = kind_of_block(spec)
    return Chip(f"{slot} {text}".strip(), kind, name, repr(spec))


def chips_of(spec: Spec[Any]) -> list[Chip]:
    """A chip for each part of a block; equal ones once."""
    found: dict[str, Chip] = {}
    for _, option, _, part in children(spec):
        if option == "act":
            continue  # the lines say it
        slot = option if option in ("values", "feature", "memory") else ""
        one = chip(part, slot)
        found.setdefault(one.text, one)
    return list(found.values())


def mask_of(spec: Spec[Any]) -> tuple[Seen | None, str] | None:
    """Which places see each other in a small picture, and in words."""
    mask = spec.keywords.get("mask")
    return None if mask is None else _seen(mask)


def _seen(mask: Any) -> tuple[Seen | None, str]:
    name = type(mask).__name__
    if name == "Both":
        (one, first), (two, second) = _seen(mask.first), _seen(mask.second)
        both = (lambda q, k: one(q, k) and two(q, k)) if one and two else None
        return both, f"{first} and {second}"
    given = {f.name: getattr(mask, f.name) for f in fields(mask)} if is_dataclass(mask) else {}
    if name in _MASKS:
        seen, words = _MASKS[name]
        return seen, words.format(**given)
    told = ", ".join(f"{key} {value}" for key, value in given.items())
    return None, f"{name} {told}".strip()


def parts_named(spec: Spec[Any]) -> Iterator[str]:
    """The names of all kinds of block in a Spec."""
    yield name_of(spec)
    for _, _, _, part in children(spec):
        yield from parts_named(part)
