"""What an adapter's tensors make of a model, before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from blocks.errors import CheckpointError
from blocks.hub.keys import Mapped
from blocks.hub.match import listed
from blocks.hub.peft.experts import split_experts
from blocks.hub.peft.settings import Settings
from blocks.hub.peft.table import PREFIX, Table, cut, moves_rows
from blocks.models.adapters import Adapter
from blocks.wiring.dora import DoRA
from blocks.wiring.lora import LoRA

__all__: list[str] = []

_KINDS = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "rows_b",
    ".lora_embedding_B": "rows_a",
    ".lora_magnitude_vector": "lengths",
    ".lora_magnitude_vector.weight": "lengths",
}
_PAIRS = ({"a", "b"}, {"rows_a", "rows_b"})


@dataclass
class Plan:
    """What an adapter makes of a model.

    Attributes:
        wanted: by the address of a matrix.
        given: tensors by address.
        ties: which of them are one.
        trained: addresses of whole tensors that have been trained.
        wrong: what doesn't fit.
    """

    table: Table
    settings: Settings
    wanted: dict[str, Adapter] = field(default_factory=dict)
    given: dict[str, Tensor] = field(default_factory=dict)
    ties: list[tuple[str, str]] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, tensors: Mapping[str, Tensor], settings: Settings, table: Table, place: str
    ) -> Plan:
        plan = cls(table, settings)
        small: dict[str, dict[str, Tensor]] = {}
        whole: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            path, kind = _parted(name)
            if kind:
                small.setdefault(path, {})[kind] = tensor
            elif ".original_module." not in name:  # of which PEFT itself makes no use
                whole[path] = tensor
        small = split_experts(small, settings, table)
        head = _missing_head([*small, *(n.rpartition(".")[0] for n in whole)], table)
        for path, parts in small.items():
            plan._add(head + path, parts)
        for name, tensor in whole.items():
            plan._replace(head + name, tensor)
        plan._check_targets({head + path for path in small})
        plan._raise(place)
        return plan

    def _add(self, path: str, parts: dict[str, Tensor]) -> None:
        mapped = self.table.known.get(f"{path}.weight") or self.table.known.get(path)
        if mapped is None:
            self.unknown.append(path)
            return
        fault = self._fault(path, mapped, parts)
        if fault:
            self.wrong.append(f"{path} {fault}")
            return
        shapes = self.table.shapes_of(mapped)
        scale, lengths = self.settings.scale_of(path), None
        if "rows_a" in parts:
            a, pieces = parts["rows_a"].t(), cut(mapped, parts["rows_b"].t(), shapes)
        else:
            a, pieces = parts["a"], cut(mapped, parts["b"], shapes)
        if "lengths" in parts:
            lengths = cut(mapped, parts["lengths"], shapes)
        kind = LoRA if lengths is None else DoRA
        homes = [address.removesuffix(".weight") for address in mapped.ours]
        each = len(homes) if a.dim() == 2 else len(homes) // len(a)  # that share an A
        for n, (home, b) in enumerate(zip(homes, pieces, strict=True)):
            one = a if a.dim() == 2 else a[n // each]
            self.wanted[home] = Adapter(kind, len(one), scale, self.settings.dropout)
            self.given[f"{home}.a.weight"] = one.contiguous()
            self.given[f"{home}.b.weight"] = b.contiguous()
            if lengths is not None:
                self.given[f"{home}.magnitude"] = lengths[n].contiguous()
            if n % each:
                self.ties.append((f"{home}.a.weight", f"{homes[n - n % each]}.a.weight"))

    def _fault(self, path: str, mapped: Mapped, parts: dict[str, Tensor]) -> str | None:
        """Why these can't be an adapter of what is there."""
        pair = parts.keys() - {"lengths"}
        if pair not in _PAIRS:
            return f"has {' and '.join(sorted(parts))} alone"
        if self.settings.lengths != ("lengths" in parts):
            return "has lengths of rows" if "lengths" in parts else "has no lengths of rows"
        homes = [address.removesuffix(".weight") for address in mapped.ours]
        others = [home for home in homes if home not in self.table.matrices]
        if others:
            return f"holds {listed(others)}, which can't have an adapter"
        if not moves_rows(mapped.rule) or ("rows_a" in parts and len(homes) > 1):
            return f"is stored by a rule ({type(mapped.rule).__name__}) that can't be split"
        outs = sum(self.table.matrices[home][0] for home in homes)
        ins = {self.table.matrices[home][1] for home in homes}
        names = ("rows_a", "rows_b") if "rows_a" in parts else ("a", "b")
        a, b = (parts[one].t() if one[:4] == "rows" else parts[one] for one in names)
        rank, first = self.settings.rank_of(path), ()
        if a.dim() == 3:
            first, outs = (len(a),), outs // len(a)
        if len(ins) != 1 or tuple(a.shape) != (*first, rank, *ins):
            return f"has an A of {list(a.shape)}, not {[*first, rank, *ins]}"
        if tuple(b.shape) != (*first, outs, rank):
            return f"has a B of {list(b.shape)}, not {[*first, outs, rank]}"
        if "lengths" in parts and tuple(parts["lengths"].shape) != (outs,):
            return f"has lengths of {list(parts['lengths'].shape)}, not {[outs]}"
        return None

    def _replace(self, name: str, tensor: Tensor) -> None:
        mapped = self.table.known.get(name)
        if mapped is None:
            self.unknown.append(name)
            return
        shapes = self.table.shapes_of(mapped)
        if tuple(tensor.shape) != mapped.rule.shape(shapes):
            wanted = list(mapped.rule.shape(shapes))
            self.wrong.append(f"{name} is {list(tensor.shape)}, not {wanted}")
            return
        parts = mapped.rule.load(tensor, shapes)
        self.given.update(zip(mapped.ours, [part.contiguous() for part in parts], strict=True))
        path, _, kind = name.rpartition(".")
        whole = any(path == one or path.endswith(f".{one}") for one in self.settings.whole)
        if whole or (kind == "bias" and self.settings.bias != "none"):
            self.trained += mapped.ours

    def _check_targets(self, found: set[str]) -> None:
        """The config and the tensors name the same matrices."""
        for path in sorted(found):
            stacked = any(path.endswith(one) for one in self.settings.parameters)
            if self.settings.targeted(path) is False and not stacked:
                self.wrong.append(f"{path} is none of target_modules, so that PEFT leaves it out")
        for mapped in self.table.usual:
            path = mapped.theirs.removesuffix(".weight")
            homes = [address.removesuffix(".weight") for address in mapped.ours]
            if path == mapped.theirs or any(home not in self.table.matrices for home in homes):
                continue
            if self.settings.targeted(path) and not self.wanted.keys() & {*homes}:
                self.wrong.append(f"{path} is one of target_modules, and has no tensors")

    def _raise(self, place: str) -> None:
        wrong = list(self.wrong)
        if self.unknown:
            wrong.insert(0, f"the model has no {listed(self.unknown)}")
        if not self.wanted and not wrong:
            wrong.append("it has no A and B")
        if wrong:
            base = self.settings.base
            raise CheckpointError(
                f"the adapter doesn't fit this model: {listed(wrong, 6)}",
                file=place,
                hint=f"it was made for {base!r}" if base else None,
            )


def _parted(name: str) -> tuple[str, str]:
    """The path of a module and what of an adapter it is; for a whole tensor its name and ""."""
    path = name.removeprefix(PREFIX)
    for part in (".default", ".modules_to_save"):
        path = path.replace(f"{part}.", ".").removesuffix(part)
    for end, kind in _KINDS.items():
        if path.endswith(end):
            return path.removesuffix(end), kind
    return path.replace(".base_layer.", "."), ""


def _missing_head(paths: list[str], table: Table) -> str:
    """What all names lack of an adapter that was made for a model without its head."""
    known = {name.rpartition(".")[0] for name in table.known} | table.known.keys()
    if any(path in known for path in paths):
        return ""
    starts = dict.fromkeys(f"{name.partition('.')[0]}." for name in table.known)
    for start in starts:
        if all(start + path in known for path in paths):
            return start
    return ""
