"""No dead knob: each keyword of each public block changes its parameters or its output."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import Encoder, GenerationError, Step, generate
from blocks.models.places import addresses
from blocks.testing.subject import cast, disturb, run
from tests.blocks.table import TABLE, build
from tests.blocks.values import VALUES


def keywords(name: str) -> dict[str, Any]:
    kind = getattr(blocks, name)
    star = [p.name for p in inspect.signature(kind).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints = get_type_hints(kind.__init__)
    return {option: hints[option] for option in star}


def choices(hint: Any) -> tuple[Any, ...]:
    """Every value of a bool or a literal."""
    if hint is bool:
        return (False, True)
    return get_args(hint) if get_origin(hint) is Literal else ()


FRESH = {"dt", "init"}  # which show in fresh parameters

KNOBS = [
    pytest.param(name, option, id=f"{name}.{option}") for name in TABLE for option in keywords(name)
]


def test_every_keyword_has_a_value_and_every_value_a_keyword() -> None:
    for name in TABLE:
        needed = {option for option, hint in keywords(name).items() if not choices(hint)}
        assert set(VALUES.get(name, ())) == needed, f"{name}: edit values.py"


def outputs(module: nn.Module, name: str, option: str) -> tuple[Tensor, ...]:
    """What the module gives where the option must show: dropout in training, roundings in bf16."""
    torch.manual_seed(1)
    if option == "context":
        if not hasattr(module, "init_state") or isinstance(module, Encoder):
            return (torch.tensor(module.context or 0),)  # those who read texts to it ask for that
        start = {"start": [1, 2, 3]} if name == "EncoderDecoder" else {}
        try:
            return (generate(module, [1, 2, 3], max_new_tokens=8, **start),)
        except GenerationError as error:
            assert error.field == "max_new_tokens"
            return ()
    x = TABLE[name].x()
    if name == "Save":  # whose name shows to others alone
        step = Step.plain(x[0])
        module(x[0], step)
        return (torch.tensor("skip" in step.saved),)
    module.train(option == "dropout")
    return run(module, cast(x, torch.bfloat16) if option == "cast" else x)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {place: tuple(tensor.shape) for place, tensor in addresses(module).items()}


def shared(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def differ(a: nn.Module, b: nn.Module, name: str, option: str) -> bool:
    """Whether two modules have other parameters, or with the same ones another output."""
    if shapes(a) != shapes(b) or shared(a) != shared(b):
        return True
    if option in FRESH:
        pairs = zip(a.parameters(), b.parameters(), strict=True)
        return any(not torch.equal(one, other) for one, other in pairs)
    disturb(a)
    b.load_state_dict(a.state_dict())
    with torch.no_grad():
        one, other = outputs(a, name, option), outputs(b, name, option)
    return len(one) != len(other) or any(
        p.shape != q.shape or not torch.equal(p, q) for p, q in zip(one, other, strict=True)
    )


def made(name: str, /, **options: Any) -> nn.Module:
    torch.manual_seed(2)
    return build(name, **options)


@pytest.mark.parametrize(("name", "option"), KNOBS)
def test_a_keyword_shows(name: str, option: str) -> None:
    every = choices(keywords(name)[option])
    if every:
        for one, other in combinations(every, 2):
            pair = [made(name, **{option: value}) for value in (one, other)]
            assert differ(*pair, name, option), f"{option}={one!r} is as good as {other!r}"
        return
    value, base = VALUES[name][option], {}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
        value, base = value
    first, second = made(name, **base), made(name, **base, **{option: value})
    assert differ(first, second, name, option), f"{option}={value!r} changes nothing"
    assert not differ(made(name, **base), made(name, **base), name, option)
