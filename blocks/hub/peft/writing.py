"""save_adapter: the adapters of a model in the format of PEFT."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blocks.arguments import check_text
from blocks.errors import CheckpointError
from blocks.hub.folder import writing
from blocks.hub.frozen import trains_json
from blocks.hub.keys import Mapped, Stack
from blocks.hub.match import listed
from blocks.hub.peft.experts import INNER, stacks_of
from blocks.hub.peft.settings import NAME, PICKLE, WEIGHTS
from blocks.hub.peft.table import PREFIX, Table, is_turned, joined, moves_rows, table_of
from blocks.hub.shards import safetensors_bytes
from blocks.models.adapters import adapted_matrices
from blocks.models.causal import CausalLM
from blocks.models.encoder_decoder import EncoderDecoder
from blocks.models.places import addresses
from blocks.ops.check import check_module
from blocks.wiring.added import Added, AddedRows

__all__ = ["save_adapter"]

_TASKS = {CausalLM: "CAUSAL_LM", EncoderDecoder: "SEQ_2_SEQ_LM"}


def save_adapter(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    base: str | None = None,
    family: str | None = None,
) -> None:
    """Writes adapter_config.json and adapter_model.safetensors, for PEFT and for `load_adapter`.

    What is written is what trains: A and B, lengths of rows, and whole blocks or biases that train
    beside them. Where the family's files hold several of our matrices as one, their adapters become
    one: with the same A if they share it, else with A below A and B in blocks, which computes the
    same with a larger rank.

    Args:
        model: one with adapters.
        folder: where to; an older adapter in it is replaced, other files stay.
        base: the repository or folder of the base model, which the config names; by default what
            the model was loaded from, of a folder its name.
        family: whose names to use; by default what the model was loaded as.

    Errors:
        CheckpointError: no adapter is there, or what PEFT's format can't say.

    Example:
        >>> import blocks, os, tempfile
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> folder = tempfile.mkdtemp()
        >>> blocks.save_adapter(blocks.add_adapter(model, rank=2), folder)
        >>> {"adapter_config.json", "adapter_model.safetensors"} <= set(os.listdir(folder))
        True
    """
    if not adapted_matrices(check_module(model, error=CheckpointError)):
        raise CheckpointError(f"this {type(model).__name__} has no adapter", field="model")
    table = table_of(model, family)
    draft = _Written.of(model, table)
    told = getattr(model, "provenance", None)
    source, commit = getattr(told, "source", None), getattr(told, "commit", None)
    if base is not None:
        check_text(base, "base", CheckpointError)
    if base is None and source is not None:
        base = source if commit else Path(source).name
    data = {"base_model_name_or_path": base, "revision": None if commit is None else commit}
    data |= {"task_type": _TASKS.get(type(model)), **draft.config()}
    with writing(folder, (NAME, WEIGHTS, PICKLE), model=False) as files:
        files.add(WEIGHTS, safetensors_bytes(draft.tensors))
        files.json(NAME, dict(sorted(data.items())))


@dataclass
class _Written:
    """An adapter as PEFT has it.

    Attributes:
        tensors: by the names in its file.
        ranks, scales: by path.
        stacked: A and B of tensors that hold all experts, by their names.
        whole: paths of modules that train whole.
        bias: which biases train.
    """

    table: Table
    adapters: dict[str, Added]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    stacked: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    whole: list[str] = field(default_factory=list)
    bias: str = "none"

    @classmethod
    def of(cls, model: Any, table: Table) -> _Written:
        found = cls(table, adapted_matrices(model))
        lengths = {part.magnitude is not None for part in found.adapters.values()}
        if len(lengths) > 1 or len({part.rate for part in found.adapters.values()}) > 1:
            raise CheckpointError(
                "PEFT's config says LoRA or DoRA, and a rate of dropout, once for all matrices",
                field="model",
            )
        left = dict.fromkeys(found.adapters)
        stacks = stacks_of(table)
        stacked = {address for mapped in stacks for address in mapped.ours}
        single = [mapped for mapped in table.usual if not stacked & {*mapped.ours}]
        for mapped in (*stacks, *single):
            homes = [address.removesuffix(".weight") for address in mapped.ours]
            if found.adapters.keys() & {*homes}:
                found._add(mapped, homes)
                for home in homes:
                    left.pop(home, None)
        found._nest()
        twins = {id(part) for home, part in found.adapters.items() if home not in left}
        lost = [home for home in left if id(found.adapters[home]) not in twins]
        if lost:
            raise CheckpointError(f"{table.family.model_type} has no name for {listed(lost)}")
        found._add_whole(model)
        return found

    def _add(self, mapped: Mapped, homes: Sequence[str]) -> None:
        path = mapped.theirs.removesuffix(".weight")
        parts = [self.adapters.get(home) for home in homes]
        some = [part for part in parts if part is not None]
        if not moves_rows(mapped.rule):
            kind = type(mapped.rule).__name__
            raise CheckpointError(f"is stored by a rule ({kind}) that can't be split", tensor=path)
        if isinstance(some[0], AddedRows):
            if len(parts) > 1:
                raise CheckpointError("several tables in one have no adapter", tensor=path)
            self._put(path, ".lora_embedding_A", some[0].b.weight.t())
            self._put(path, ".lora_embedding_B", some[0].a.weight.t())
            self._note(path, len(some[0].a.weight), some[0].factor)
            return
        rows = [self.table.shapes[address][0] for address in mapped.ours]
        if isinstance(mapped.rule, Stack):
            self._add_experts(mapped, parts, rows)
            return
        a, each, scale = fused(parts, rows)
        self._put(path, ".lora_A.weight", a)
        self._put(path, ".lora_B.weight", joined(mapped, each))
        if some[0].magnitude is not None:
            self._put(path, ".lora_magnitude_vector", joined(mapped, self._lengths(homes, parts)))
        self._note(path, len(a), scale)

    def _lengths(self, homes: Sequence[str], parts: Sequence[Added | None]) -> list[Tensor]:
        """Lengths of rows; those of a matrix without an adapter are W's."""
        lacking = [home for home, part in zip(homes, parts, strict=True) if part is None]
        if lacking:
            reason = "is one matrix with those that have one, and has no adapter"
            raise CheckpointError(reason, tensor=lacking[0], hint="a DoRA is of all of them")
        return [part.magnitude for part in parts if part is not None]

    def _add_experts(
        self, mapped: Mapped, parts: Sequence[Added | None], rows: Sequence[int]
    ) -> None:
        """One A [X·r in] and one B [out r·X] of all experts."""
        width = len(mapped.rule.ours)
        groups = [slice(n, n + width) for n in range(0, len(parts), width)]
        some = [fused(parts[at], rows[at]) for at in groups if any(parts[at])]
        (rank, scale), *others = {(len(a), scale) for a, _, scale in some}
        if others or any(part is not None and part.magnitude is not None for part in parts):
            reason = "experts in one tensor have LoRAs of one rank and scale, as PEFT has them"
            raise CheckpointError(reason, tensor=mapped.theirs)
        like = some[0][0]
        none = like.new_zeros(like.shape), [like.new_zeros(count, rank) for count in rows[:width]]
        each = [fused(parts[at], rows[at])[:2] if any(parts[at]) else none for at in groups]
        b = mapped.rule.save([piece for _, pieces in each for piece in pieces])
        b = b.mT if is_turned(mapped.rule) else b  # X out r
        self.stacked[mapped.theirs] = (
            torch.cat([a for a, _ in each]),
            b.permute(1, 2, 0).flatten(1),
        )
        self._note(mapped.theirs, rank, scale)

    def _nest(self) -> None:
        """Adapters of several tensors of one module: the first is the inmost."""
        homes = Counter(name.rpartition(".")[0] for name in self.stacked)
        for name, (a, b) in self.stacked.items():
            home = name.rpartition(".")[0]
            homes[home] -= 1
            path = home + INNER * homes[home]
            self._put(path, ".lora_A.weight", a)
            self._put(path, ".lora_B.weight", b)

    def _add_whole(self, model: Any) -> None:
        """What trains beside the adapters."""
        wanted = set(trains_json(model))
        held = addresses(model)
        usual = [m for m in self.table.usual if wanted & {*m.ours}]
        covered = {address for mapped in usual for address in mapped.ours}
        if odd := [
            address for address in (*wanted - covered, *covered - wanted) if address in held
        ]:
            reason = f"{self.table.family.model_type} has no module of just these parameters"
            raise CheckpointError(f"{reason}: {listed(sorted(odd))}", field="model")
        paths = {m.theirs.rpartition(".")[0] for m in usual if not m.theirs.endswith(".bias")}
        biases = {m.theirs for m in usual if m.theirs.rpartition(".")[0] not in paths}
        self.whole = sorted(paths)
        every = {m.theirs for m in self.table.usual if m.theirs.endswith(".bias")}
        adapted = {name for name in every if name.removesuffix(".bias") in self.ranks}
        ends = {m.theirs for m in self.table.usual if m.theirs.rpartition(".")[0] in paths}
        if biases:
            if biases not in (every - ends, adapted - ends):
                reason = f"{listed(sorted(biases))} train, which are neither all biases nor those"
                raise CheckpointError(f"{reason} of the adapted matrices", field="model")
            self.bias = "lora_only" if biases == adapted - ends else "all"
        for mapped in usual:
            tensor = mapped.rule.save([held[address].detach() for address in mapped.ours])
            path, _, kind = mapped.theirs.rpartition(".")
            inside = path in self.ranks  # where PEFT has the matrix one level further in
            self._put(f"{path}{INNER}.{kind}" if inside else mapped.theirs, "", tensor)

    def _put(self, path: str, end: str, tensor: Tensor) -> None:
        self.tensors[f"{PREFIX}{path}{end}"] = tensor.detach().cpu().contiguous()

    def _note(self, path: str, rank: int, scale: float) -> None:
        self.ranks[path], self.scales[path] = rank, scale

    def config(self) -> dict[str, Any]:
        """The fields that say how it is computed."""
        rank = Counter(self.ranks.values()).most_common(1)[0][0]
        alphas = {path: _whole(self.scales[path] * self.ranks[path]) for path in self.ranks}
        alpha = Counter(a for p, a in alphas.items() if self.ranks[p] == rank).most_common(1)[0][0]
        first = next(iter(self.adapters.values()))
        turned = [m for m in self.table.usual if m.theirs.removesuffix(".weight") in self.ranks]
        return {
            "peft_type": "LORA",
            "inference_mode": True,
            "r": rank,
            "lora_alpha": alpha,
            "lora_dropout": first.rate,
            "rank_pattern": {p: r for p, r in self.ranks.items() if r != rank},
            "alpha_pattern": {p: a for p, a in alphas.items() if a != alpha},
            "target_modules": self._targets([p for p in self.ranks if p not in self.stacked]),
            "target_parameters": [*self.stacked] or None,
            "modules_to_save": self.whole or None,
            "bias": self.bias,
            "fan_in_fan_out": bool(turned) and all(is_turned(m.rule) for m in turned),
            "use_dora": first.magnitude is not None,
            "use_rslora": False,
            "init_lora_weights": True,
        }

    def _targets(self, paths: list[str]) -> list[str]:
        """Last names where all matrices of that name have one, else whole paths."""
        every = [m.theirs.removesuffix(".weight") for m in self.table.usual]
        ends = {path.rpartition(".")[2] for path in paths}
        short = {
            end
            for end in ends
            if all(path in paths for path in every if path.rpartition(".")[2] == end)
        }
        long = [path for path in paths if path.rpartition(".")[2] not in short]
        return sorted(short) + long


def fused(parts: Sequence[Added | None], rows: Sequence[int]) -> tuple[Tensor, list[Tensor], float]:
    """One A [r in] for several matrices, each one's B [out r], and the scale.

    Matrices that share A keep it; else A lies below A, and each B has columns of its own.
    """
    some = [part for part in parts if part is not None]
    like, scale = some[0].b.weight, some[0].factor
    shared: list[Tensor] = []
    for part in some:
        if not any(part.a.weight is a or torch.equal(part.a.weight, a) for a in shared):
            shared.append(part.a.weight)
    starts = [sum(len(a) for a in shared[:n]) for n in range(len(shared))]
    each = []
    for part, count in zip(parts, rows, strict=True):
        b = like.new_zeros(count, sum(map(len, shared)))
        if part is not None:
            n = next(n for n, a in enumerate(shared) if torch.equal(part.a.weight, a))
            weight = part.b.weight if part.factor == scale else part.b.weight * part.factor / scale
            b[:, starts[n] : starts[n] + weight.shape[1]] = weight
        each.append(b.detach())
    return torch.cat(shared), each, scale


def _whole(number: float) -> float | int:
    """α as PEFT's configs have it: a whole number where it is one."""
    near = round(number)
    return near if abs(number - near) < 1e-9 * max(1.0, abs(number)) else number
