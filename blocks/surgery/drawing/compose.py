"""From the Spec of a layer to its shapes: every kind of wiring as it is, every block as a card."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from blocks.spec import Spec, children
from blocks.surgery.drawing.bare import bare
from blocks.surgery.drawing.flow import Branch, Fork, Reader, Series, Side
from blocks.surgery.drawing.folded import Experts
from blocks.surgery.drawing.ground import Frame
from blocks.surgery.drawing.shapes import Card, Chip, Shape
from blocks.surgery.drawing.wording import (
    act_of,
    amount,
    chip,
    chips_of,
    kind_of_block,
    lines_of,
    mask_of,
    name_of,
    number,
    numbers,
)
from blocks.surgery.tree.parts import Part, join

__all__: list[str] = []

_MERGE = {"sum": "+", "product": "×", "concat": "‖"}
_HOMES = ("attention", "recurrent", "mlp", "moe")  # kinds that are blocks of their own


class Composer:
    """Makes shapes of Specs, and knows the numbers of what is at an address.

    Args:
        parts: the Part of every address that has one.
        whole: draws a Spec of a whole model inside another.
    """

    def __init__(self, parts: Mapping[str, Part], whole: Callable[[Spec[Any], str, int], Shape]):
        self.parts, self.whole = parts, whole
        self.piped = False  # whether a line will bring the memory to a cross-attention

    def count(self, address: str) -> str:
        """Parameters at an address, in words; of what is shared, that it is."""
        part = self.parts.get(address)
        if part is None:
            return ""
        if part.parameters:
            return amount(part.parameters)
        return "tied" if part.tied or _all_tied(part) else ""

    def flow(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        """What a Spec does, from its input at the foot to its output at the head."""
        part = self.parts.get(address)
        if part is not None and name_of(spec) not in re.split(r"[()]", part.block):
            return bare(part)  # somebody put another block there since
        maker = _MAKERS.get(name_of(spec))
        if maker is not None:
            return maker(self, spec, address, dim)
        if "layers" in spec.keywords:
            return self.whole(spec, address, dim)
        return self._card(spec, address, dim)

    def norm(self, spec: Spec[Any]) -> Card:
        """A norm: its name alone."""
        said = [name_of(part) for _, _, _, part in children(spec)]
        name = name_of(spec)
        return Card(name, kind_of_block(spec), said, block=name, tip=repr(spec))

    def _named(self, spec: Spec[Any], address: str, dim: int, option: str) -> list[Shape]:
        parts: Mapping[str, Spec[Any]] = spec.keywords[option]
        return [self.flow(part, join(address, name), dim) for name, part in parts.items()]

    def _chain(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        steps = self._named(spec, address, dim, "steps")
        return steps[0] if len(steps) == 1 else Series(steps)

    def _around(self, spec: Spec[Any], inner: list[Shape]) -> list[Shape]:
        options = spec.keywords
        before = [self.norm(options["norm_in"])] if options.get("norm_in") else []
        after = [self.norm(options["norm_out"])] if options.get("norm_out") else []
        return [*before, *inner, *after]

    def _residual(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        options = spec.keywords
        inner = self.flow(options["inner"], address, dim)
        within = inner.shapes if isinstance(inner, Series) else [inner]
        shapes = self._around(spec, within)
        whole = shapes[0] if len(shapes) == 1 else Series(shapes, "wire")
        scale = "" if options["scale"] == 1 else f"× {number(options['scale'])}"
        carry = "" if options["carry"] == 1 else f"× {number(options['carry'])}"
        branch: Shape = Branch(whole, carry, scale)
        if options["norm_after"]:
            branch = Series([branch, self.norm(options["norm_after"])])
        return branch

    def _normed(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        inner = self.flow(spec.keywords["inner"], address, dim)
        shapes = self._around(spec, inner.shapes if isinstance(inner, Series) else [inner])
        return shapes[0] if len(shapes) == 1 else Series(shapes, "wire")

    def _parallel(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        branches = self._named(spec, address, dim, "branches")
        return Fork(branches, _MERGE[spec.keywords["merge"]])

    def _save(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        return Side(f"save: {spec.keywords['name']}", out=True, block="Save")

    def _load(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        options = spec.keywords
        side = Side(f"load: {options['name']}", _MERGE[options["merge"]], block="Load")
        if options["inner"] is None:
            return side
        wide = dim + (options["width"] or dim) if options["merge"] == "concat" else dim
        inner = self.flow(options["inner"], address, wide)
        within = inner.shapes if isinstance(inner, Series) else [inner]
        return Series([side, *within], "wire")

    def _weights(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        """What wraps a block to change where its matrices come from."""
        inner, rank = spec.keywords["inner"], spec.keywords["rank"]
        each = isinstance(rank, Mapping)
        told = f"on {', '.join(rank if each else spec.keywords['on'])}"
        note = told if each else f"rank {rank} {told}"
        note = note if len(note) < 48 else note[:47] + "…"
        if name_of(inner) in _MAKERS:
            return self._frame(spec, self.flow(inner, address, dim), note)
        name = name_of(spec)
        return self._card(inner, address, dim, [Chip(f"{name} {note}", "wiring", name, _tip(spec))])

    def _reversible(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        steps = self._named(spec, address, dim // 2, "steps")
        note = "two streams: y₁ = x₁ + F(x₂), y₂ = x₂ + G(y₁)"
        branches = [Branch(step) for step in steps]
        return self._frame(spec, Series(branches), note)

    def _gated_mixer(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        wide = spec.keywords["inner"] or dim
        steps = self._named(spec, address, wide, "steps")
        gate = Card(f"{act_of(spec)}(gate)", "wiring", [f"{dim:,} → {wide:,}"])
        up, down = (
            Card(text, "wiring", [f"{a:,} → {b:,}"])
            for text, a, b in (("up", dim, wide), ("down", wide, dim))
        )
        mixed = Fork([gate, Series([up, *steps], "wire")], "×")
        inside = Series([mixed, down], "wire")
        return Card(
            "GatedMixer",
            "recurrent",
            count=self.count(address),
            inside=inside,
            tip=_tip(spec),
        )

    def _moe(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        options = spec.keywords
        count, top = options["experts"], options["top_k"]
        router = options["router"]
        said = [s for s in numbers(router) if len(s) < 24][:2]
        gate = Card(
            name_of(router),
            "moe",
            [" · ".join(said)] * bool(said),
            block=name_of(router),
            tip=repr(router),
        )
        shared = options["shared"]
        name = ("gated " if options["shared_gate"] else "") + "shared"
        drawn = Experts(gate, count, top, name if shared else "")
        lines = [f"{count:,} experts, {top} a token"]
        lines += _expert("each", options["expert"], dim)
        lines += _expert("shared", shared, dim) if shared else []
        if options["scale"] != 1:
            lines.append(f"× {number(options['scale'])}")
        chips = [chip(options["expert"])] if name_of(options["expert"]) != "GatedMLP" else []
        chips = [c for c in chips if not any(c.block in line for line in lines)]
        return Card(
            "MoE", "moe", lines, chips, count=self.count(address), inside=drawn, tip=_tip(spec)
        )

    def _cross(self, spec: Spec[Any], address: str, dim: int) -> Shape:
        card = self._card(spec, address, dim)
        return Reader(card, "" if self.piped else "memory")

    def _frame(self, spec: Spec[Any], inner: Shape, note: str = "") -> Shape:
        return Frame(inner, name_of(spec), note=note, block=name_of(spec), tip=_tip(spec))

    def _card(
        self, spec: Spec[Any], address: str, dim: int, extra: list[Any] | None = None
    ) -> Shape:
        name, kind = name_of(spec), kind_of_block(spec)
        if kind == "norm":
            return self.norm(spec)
        parts = list(children(spec))
        big = [p for p in parts if _is_home(p[3])]
        if big and kind in ("wiring", "recurrent", "ends"):
            within = [self.flow(p, join(address, n), dim) for n, _, _, p in big]
            rest = [chip(p) for _, _, _, p in parts if not _is_home(p)]
            inner = within[0] if len(within) == 1 else Series(within, "wire")
            return Card(
                name,
                kind,
                lines_of(spec, 0),
                rest,
                count=self.count(address),
                inside=inner,
                tip=_tip(spec),
            )
        lines = lines_of(spec, dim)
        return Card(
            name,
            kind,
            lines,
            [*chips_of(spec), *(extra or [])],
            mask_of(spec),
            count=self.count(address),
            tip=_tip(spec),
        )


_MAKERS: Mapping[str, Callable[[Composer, Spec[Any], str, int], Shape]] = {
    "Chain": Composer._chain,
    "CrossAttention": Composer._cross,
    "GatedMixer": Composer._gated_mixer,
    "Load": Composer._load,
    "LowRank": Composer._weights,
    "LoRA": Composer._weights,
    "DoRA": Composer._weights,
    "Factored": Composer._weights,
    "MoE": Composer._moe,
    "Normed": Composer._normed,
    "Parallel": Composer._parallel,
    "Residual": Composer._residual,
    "Reversible": Composer._reversible,
    "Save": Composer._save,
}


def _is_home(spec: Spec[Any]) -> bool:
    return kind_of_block(spec) in _HOMES or "layers" in spec.keywords or "inner" in spec.keywords


def _expert(which: str, spec: Spec[Any], dim: int) -> list[str]:
    name = name_of(spec)
    act = f" {act_of(spec)}" if "act" in spec.keywords else ""
    wide = spec.keywords.get("hidden")
    return [f"{which}: {name}{act}" + (f", {dim:,} → {wide:,}" if wide else "")]


def _all_tied(part: Part) -> bool:
    inner = [p for p in part.parts if p.shapes or p.parts]
    return bool(inner) and all(p.tied or _all_tied(p) for p in inner)


def _tip(spec: Spec[Any]) -> str:
    text = repr(spec)
    return text if len(text) < 600 else text[:597] + "…"
