"""When a file does not fit its config: which field of the config would make it fit."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from blocks.edit import replace, rewrite, stacks_of
from blocks.errors import BlocksError
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.match import Match, Misfit
from blocks.models.places import addresses
from blocks.ops.shapeless import on_meta
from blocks.spec import Spec

_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")
_MOST = 80  # configs that are tried
_LEAST = 24  # that may take three times as long as all
_SECONDS = 1.0  # for a hint is not worth a wait, and large models take long to build

# Neither those that see a window, nor those of a model that predicts further.
_DEPTH = re.compile(r"(?<!window_)(?<!predict_)(?<!mtp_)(?<!dense_)layers?$")


def suggestion(family: Family, config: Config, found: Match, spec: Spec) -> str | None:
    """What to change, such as "the file fits num_key_value_heads = 4, config.json says 8"."""
    for half, depth in depths(spec).items():
        counted = _layer_count(found, half, depth)
        if counted is not None:
            field = depth_field(config, depth, half) or "the depth"
            return f"the file holds {counted} layers, {field} says {depth}"
    shapes = [misfit for misfit in found.misfits if misfit.held != misfit.wanted]
    if not shapes:
        return None
    best: list[tuple[int, str]] = []
    start = time.process_time()
    for tried, (field, value) in enumerate(_candidates(config, shapes)[:_MOST]):
        allowed = _SECONDS if tried >= _LEAST else 3 * _SECONDS
        late = time.process_time() - start > allowed
        if late or any(fixed == len(shapes) for fixed, _ in best):
            break
        fixed = _fixed(family, config, field, value, shapes)
        if fixed:
            said = config.body.read[field]
            text = f"the file fits {config.body.path(field)} = {value}, {config.file} says {said}"
            best.append((fixed, text))
    best.sort(key=lambda item: -item[0])
    return best[0][1] if best else None


def depths(spec: Spec) -> dict[str, int]:
    """How many layers a model has: one number, or one for each of its stacks."""
    return {address: len(layers) for address, layers in stacks_of(spec).items()}


def depth_field(config: Config, depth: int, half: str = "") -> str | None:
    """The field that says how many layers there are, in a half of the model."""
    read = config.body.read.items()
    named = sorted(
        (n for n, value in read if value == depth and _DEPTH.search(n)),
        key=lambda name: half not in name,
    )
    return config.body.path(named[0]) if named else None


def _layer_count(found: Match, half: str, depth: int) -> int | None:
    """How many layers the file has, where that is what differs."""
    numbers: set[int] = set()
    if not (found.extra or found.missing) or not found.found:
        return None
    stacks = {  # other parts of a model are counted as well
        one.theirs[: hit.start()]
        for one in found.found
        if "layers." in one.ours[0] and (hit := _LAYER.search(one.theirs))
    }
    for name in (*(m.theirs for m in found.found), *found.extra):
        hit = _LAYER.search(name)
        if hit and name[: hit.start()] in stacks and (not half or half in name.split(".")):
            numbers.add(int(hit[0]))
    count = max(numbers, default=-1) + 1
    return count if count and count != depth and count == len(numbers) else None


def _candidates(config: Config, misfits: Sequence[Misfit]) -> list[tuple[str, int]]:
    """Values of int fields that scale an axis from what was wanted to what is held."""
    tried: dict[tuple[str, int], None] = {}
    for misfit in misfits[:4]:
        for wanted, held in zip(misfit.wanted, misfit.held, strict=False):
            if wanted == held or not wanted:
                continue
            for field, value in config.body.read.items():
                if isinstance(value, int) and not isinstance(value, bool):
                    scaled, rest = divmod(value * held, wanted)
                    if not rest and scaled > 0:
                        tried[field, scaled] = None
    for field, value in config.body.read.items():  # a fused tensor scales with none of its parts
        if isinstance(value, int) and not isinstance(value, bool):
            for power in (2, 4, 8):
                tried[field, value * power] = None
                if value % power == 0:
                    tried[field, value // power] = None
    return list(tried)


def _cut(spec: Spec, depth: int) -> Spec:
    """A model of the first layers of each of its stacks."""
    for address, layers in stacks_of(spec).items():
        some = {"layers": layers[:depth]}
        if address:
            spec = rewrite(spec, address, lambda part, some=some: replace(part, **some))
        else:
            spec = replace(spec, **some)
    return spec


def _fixed(
    family: Family, config: Config, field: str, value: int, misfits: Sequence[Misfit]
) -> int:
    """How many misfits go away with another value of a field."""
    try:
        spec = family.spec(config.changed(field, value))
        numbers = [int(hit[0]) for m in misfits if (hit := _LAYER.search(m.mapped.ours[0]))]
        with on_meta():
            model = _cut(spec, min(max(numbers, default=0) + 1, 8))()
    except (BlocksError, RuntimeError, TypeError):  # the others where sizes overflow
        return 0
    shapes = {address: tuple(t.shape) for address, t in addresses(model).items()}
    fixed = 0
    for misfit in misfits:
        ours = [shapes.get(address) for address in misfit.mapped.ours]
        if all(shape is not None for shape in ours):
            fixed += misfit.mapped.rule.shape([s for s in ours if s is not None]) == misfit.held
    return fixed
