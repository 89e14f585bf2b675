"""Storage: how a checkpoint stores its matrices, put between a family's table and the file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from blocks.errors import CheckpointError
from blocks.hub.config import Config
from blocks.hub.keys import FLOATS, Keys, Mapped, Rule, Shape, Stack, Transpose
from blocks.hub.quantised.format import ANY, Format
from blocks.hub.quantised.naming import Names

if TYPE_CHECKING:
    from torch import Tensor

    from blocks.hub.match import Misfit

__all__: list[str] = []

FIELD = "quantization_config"
_WEIGHT = ".weight"
# Factors for activations, which a chip that multiplies in few bits needs and floats don't.
ACTIVATIONS = frozenset(
    """
    activation_scale input_global_scale input_scale input_zero_point k_scale k_zero_point
    output_scale output_zero_point q_scale v_scale v_zero_point
    """.split()
)

Rules = tuple[tuple[Names, tuple[Format, ...]], ...]


@dataclass(frozen=True)
class Storage:
    """What `quantization_config` says: which format for which modules.

    Attributes:
        method: as the config names it.
        rules: names of modules and the formats that they may have, in the order in which they are
            tried; no format where they stay as they are.
        plain: names of modules that are said to be left as they are.
        where: the field that says so.
    """

    method: str
    rules: Rules
    plain: Names = field(default_factory=lambda: Names(()))
    where: str = ""

    @classmethod
    def of_all(
        cls, method: str, *formats: Format, plain: Iterable[str] = (), where: str = ""
    ) -> Storage:
        """The same formats for all modules."""
        return cls(method, ((Names(("*",)), formats),), Names(plain), where)

    def formats(self, module: str) -> tuple[Format, ...]:
        """The formats that a module may have."""
        return next((formats for names, formats in self.rules if names.of(module)), ())

    def check(self, found: Iterable[Mapped], config: Config) -> None:
        """Refuses a file whose tensors deny what its config says.

        Args:
            found: the tensors that are to be read.
            config: the reader of config.json.

        Errors:
            ConfigError: nothing is quantised, or a module that should have been left as it is.
        """
        if denied := self.contradiction(found):
            raise config.error(FIELD, denied)

    def contradiction(self, found: Iterable[Mapped]) -> str | None:
        """What the tensors deny of the config; None if nothing."""
        stored = [(mapped, mapped.rule) for mapped in found if isinstance(mapped.rule, Stored)]
        for mapped, rule in stored:
            if (name := self.plain.of(rule.module)) is not None:
                return f"{self.where} leaves {name!r} as it is, and the file holds {mapped.theirs}"
        return None if stored else f"says {self.method}, and no tensor is stored so"

    @property
    def told(self) -> tuple[str, ...]:
        """What was done to the weights, for their provenance."""
        forms = dict.fromkeys(form.title for _, forms in self.rules for form in forms[:1])
        return tuple(f"dequantised from {title}" for title in forms)


@dataclass(frozen=True)
class Stored(Rule):
    """A matrix that a rule of the family reads, and that the file stores in another format.

    What the format gives is the matrix [outputs, inputs] of the layer; where the family's own file
    has it the other way round, it is turned, and the family's rule does the rest.

    Attributes:
        plain: the family's rule.
        format: how it is stored.
        module: the name of what holds it, in the file.
        others: names of the tensors beside the values, by role.
    """

    plain: Rule
    format: Format
    module: str
    others: Mapping[str, str]

    def _matrix(self, ours: Sequence[Shape]) -> Shape:
        shape = self.plain.shape(ours)
        return (*shape[:-2], shape[-1], shape[-2]) if self._turned else shape

    @property
    def _turned(self) -> bool:
        return isinstance(self.plain, Transpose) or getattr(self.plain, "transposed", False)

    def shape(self, ours: Sequence[Shape]) -> Shape:
        return self.forms(ours)[0][0]

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        return self.plain.load(theirs, ours)

    def beside(self, theirs: str) -> tuple[str, ...]:
        return tuple(self.others.values())

    def wrong(self, ours: Sequence[Shape]) -> str | None:
        shape = self._matrix(ours)
        if len(shape) != 2 and not (len(shape) == 3 and self.format.stacked):
            return f"{list(shape)} is no matrix that {self.format.title} could hold"
        return self.format.wrong(shape)

    def forms(self, ours: Sequence[Shape]) -> tuple[tuple[Shape, tuple[str, ...]], ...]:
        parts = self.format.parts(self._matrix(ours))
        return tuple(parts[role] for role in (self.format.values, *self.others))

    def fits(self, wanted: Shape, held: Shape) -> bool:
        if ANY in wanted:
            return len(wanted) == len(held)
        want, have = ([size for size in shape if size != 1] for shape in (wanted, held))
        return want == have

    def whole(self, theirs: Sequence[Tensor], ours: Sequence[Shape]) -> Tensor:
        shape = self._matrix(ours)
        roles = (self.format.values, *self.others)
        parts = self.format.parts(shape)
        given = {
            role: tensor if ANY in parts[role].shape else tensor.reshape(parts[role].shape)
            for role, tensor in zip(roles, theirs, strict=True)
        }
        try:
            found = self.format.decode(shape, given)
        except CheckpointError as error:
            name = self.others.get(error.tensor or "")
            raise CheckpointError(error.reason, tensor=name, hint=error.hint) from None
        return found.transpose(-1, -2) if self._turned else found


class StoredKeys(Keys):
    """A family's table for a file that stores matrices in another format.

    Args:
        plain: the family's table.
        storage: how the file stores them.

    Example:
        >>> from blocks.hub.quantised.gptq import Gptq
        >>> plain = Keys(("h.{i}.up.weight", "layers.{i}.mlp.up.weight"))
        >>> keys = StoredKeys(plain, Storage.of_all("gptq", Gptq(4, 128)))
        >>> file = dict.fromkeys(("h.0.up.qweight", "h.0.up.qzeros", "h.0.up.scales"))
        >>> keys.chosen(["layers.0.mlp.up.weight"], file)[0].theirs
        'h.0.up.qweight'
    """

    def __init__(self, plain: Keys, storage: Storage):
        self.__dict__.update(plain.__dict__)
        self.storage = storage

    def candidates(
        self, ours: Sequence[str], file: Mapping[str, Any] | None = None
    ) -> list[Mapped]:
        plain = super().candidates(ours)
        if not file:
            return plain
        taken = {mapped.theirs for mapped in plain}
        return [form for mapped in plain for form in self._forms(mapped, file, taken)]

    def _forms(
        self, mapped: Mapped, file: Mapping[str, Any], taken: Collection[str]
    ) -> list[Mapped]:
        """The ways in which a file with these names may hold what a rule reads."""
        weight = mapped.theirs
        module = weight.removesuffix(_WEIGHT)
        found: tuple[int, Format, dict[str, str], set[str]] | None = None
        for form in self._possible(mapped.rule, module, weight):
            names = {r: n.format(w=weight, m=module) for r, n in form.names.items()}
            there = {role for role, name in names.items() if name in file and name not in taken}
            beside = len(there - form.optional - {form.values})
            if found is None or beside > found[0]:  # of two, what has more of its tensors there
                found = beside, form, names, there
        if found is None or found[2][found[1].values] not in file:
            return [mapped]
        beside, form, names, there = found
        values = names[form.values]
        if values == weight and not beside:  # nothing tells of it but its dtype
            entry = file[weight]
            if entry is None or entry.dtype in FLOATS:
                return [mapped]
        roles = (role for role in names if role in there or role not in form.optional)
        others = {role: names[role] for role in roles if role != form.values}
        rule = Stored(values, mapped.rule.ours, mapped.rule, form, module, others)
        stored = Mapped(rule, values, mapped.ours)
        return [stored] if values == weight else [stored, mapped]

    def _possible(self, rule: Rule, module: str, weight: str) -> tuple[Format, ...]:
        """The formats that what a rule reads may have: a matrix, or those of all experts."""
        if not isinstance(rule, Stack):
            return self.storage.formats(module) if module != weight else ()
        forms = (form for form in self.storage.formats(module) if form.stacked)
        return tuple(form for form in forms if form.turned or not rule.transposed)

    def ignored(self, theirs: str, file: Collection[str] = ()) -> bool:
        end = theirs.rpartition(".")[2]
        return end in ACTIVATIONS or super().ignored(theirs, file)


def stored_otherwise(misfits: Iterable[Misfit]) -> str | None:
    """A hint for matrices that don't fit what the config says of their storage; None if all do."""
    for misfit in misfits:
        if isinstance(rule := misfit.mapped.rule, Stored):
            return f"{FIELD} says {rule.format.title}"
    return None
