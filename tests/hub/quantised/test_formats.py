"""Each format against a twin of its definition: every value to the last bit, whatever holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blocks import CheckpointError, Join, Keys, Rename, Transpose
from blocks.hub.config import Config
from blocks.hub.headers import Entry
from blocks.hub.match import Match, match
from blocks.hub.quantised.reading import read_storage
from blocks.hub.quantised.storage import Storage, Stored, StoredKeys
from tests.hub.quantised.made import Tensors
from tests.hub.quantised.twins import TWINS

KINDS = {
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e8m0fnu: "F8_E8M0",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.bool: "BOOL",
}
UP, GATE = "layers.0.mlp.up.weight", "layers.0.mlp.gate.weight"
NAME = "h.0.up"
PLAIN = Keys(("h.{i}.up.weight", "layers.{i}.mlp.up.weight"))
each = pytest.mark.parametrize("name", TWINS)


def storage(config: Mapping[str, Any]) -> Storage:
    c = Config({"quantization_config": dict(config)})
    found = read_storage(c)
    c.finish()
    assert found is not None
    return found


def entries(tensors: Tensors) -> dict[str, Entry]:
    return {n: Entry(KINDS[t.dtype], tuple(t.shape), 0, 0, None) for n, t in tensors.items()}


def named(made: Tensors) -> Tensors:
    return {f"{NAME}{end}": tensor for end, tensor in made.items()}


def matched(keys: Keys, ours: dict[str, tuple[int, ...]], tensors: Tensors) -> Match:
    return match(keys, ours, entries(tensors))


def read(found: Match, ours: dict[str, tuple[int, ...]], tensors: Tensors) -> dict[str, Tensor]:
    """What a match gives, by address."""
    got: dict[str, Tensor] = {}
    for one in found.found:
        shapes = [ours[address] for address in one.ours]
        whole = one.rule.whole([tensors[name] for name in one.names], shapes)
        got.update(zip(one.ours, one.rule.load(whole, shapes), strict=True))
    return got


@each
@pytest.mark.parametrize(("rows", "columns"), [(32, 64), (64, 96), (40, 32)])
def test_as_its_definition(name: str, rows: int, columns: int) -> None:
    twin = TWINS[name]
    made = twin.encoded(7, rows, columns)
    if made is None:
        pytest.skip("no matrix of this shape can be stored so")
    tensors, ours = named(made[0]), {UP: (rows, columns)}
    found = matched(StoredKeys(PLAIN, storage(twin.config)), ours, tensors)
    assert not (found.missing or found.extra or found.misfits or found.unmapped)
    assert set(found.found[0].names) == set(tensors)
    got = read(found, ours, tensors)[UP].float().numpy()
    assert np.array_equal(got, made[1]), np.abs(got - made[1]).max()
    assert np.array_equal(np.signbit(got), np.signbit(made[1]) | (got == 0) & np.signbit(got))


@each
def test_it_says_what_it_is(name: str) -> None:
    found = storage(TWINS[name].config)
    assert TWINS[name].says in found.told[0]


JOINED = Keys(Join("h.{i}.up.weight", ("layers.{i}.mlp.gate.weight", "layers.{i}.mlp.up.weight")))
ALTERNATING = Keys(Join("h.{i}.up.weight", JOINED.rules[0].ours, groups=2))
TURNED = Keys(Transpose("h.{i}.up.weight", ("layers.{i}.mlp.up.weight",)))
BOTH = Keys(Join("h.{i}.up.weight", JOINED.rules[0].ours, transposed=True))
HALVES = {GATE: (16, 64), UP: (16, 64)}


def _alternating(whole: np.ndarray) -> dict[str, np.ndarray]:
    parts = whole.reshape(2, 2, 8, 64)
    return {GATE: parts[:, 0].reshape(16, 64), UP: parts[:, 1].reshape(16, 64)}


def _halves(whole: np.ndarray) -> dict[str, np.ndarray]:
    return {GATE: whole[:16], UP: whole[16:]}


@each
@pytest.mark.parametrize(
    ("plain", "ours", "meant"),
    [
        pytest.param(JOINED, HALVES, _halves, id="fused"),
        pytest.param(ALTERNATING, HALVES, _alternating, id="by turns"),
        pytest.param(TURNED, {UP: (32, 64)}, lambda whole: {UP: whole}, id="turned"),
        pytest.param(BOTH, HALVES, _halves, id="fused and turned"),
    ],
)
def test_a_familys_rule_does_the_rest(
    name: str, plain: Keys, ours: dict[str, tuple[int, ...]], meant: Callable[[np.ndarray], Any]
) -> None:
    """A layer's matrix is stored as [outputs, inputs], whatever plain files have."""
    twin = TWINS[name]
    made = twin.encoded(3, 32, 64)
    assert made is not None
    tensors = named(made[0])
    found = matched(StoredKeys(plain, storage(twin.config)), ours, tensors)
    assert not (found.missing or found.extra or found.misfits)
    got = read(found, ours, tensors)
    for address, wanted in meant(made[1]).items():
        assert np.array_equal(got[address].float().numpy(), wanted)


@each
def test_plain_floats_stay_plain(name: str) -> None:
    keys = StoredKeys(PLAIN, storage(TWINS[name].config))
    found = matched(keys, {UP: (32, 64)}, {f"{NAME}.weight": torch.zeros(32, 64)})
    assert [type(m.rule) for m in found.found] == [type(Rename("a", "b"))] and not found.misfits
    assert [m.theirs for m in keys.chosen([UP])] == [f"{NAME}.weight"]  # nothing else is written


@each
def test_names_alone_tell_it(name: str) -> None:
    """Where an index is at hand and no header."""
    twin = TWINS[name]
    made = twin.encoded(3, 32, 64)
    assert made is not None
    found = match(
        StoredKeys(PLAIN, storage(twin.config)), {UP: (32, 64)}, dict.fromkeys(named(made[0]))
    )
    assert isinstance(found.found[0].rule, Stored) and not (found.missing or found.extra)


@each
def test_whatever_is_missing_is_named(name: str) -> None:
    twin = TWINS[name]
    made = twin.encoded(3, 32, 64)
    assert made is not None
    keys = StoredKeys(PLAIN, storage(twin.config))
    for gone in made[0]:
        left = named({end: tensor for end, tensor in made[0].items() if end != gone})
        found = matched(keys, {UP: (32, 64)}, left)
        one = keys.chosen([UP], entries(named(made[0])))[0]
        optional = any(gone.endswith(end) for end in ("g_idx", "_shape", "weight_format"))
        if f"{NAME}{gone}" == one.theirs:
            assert [m.theirs for m in found.missing] == [f"{NAME}.weight"]
            continue
        assert len(found.missing) == (not optional), gone
        assert all(m.theirs.startswith(f"{NAME}{gone}") for m in found.missing), gone


@each
def test_another_shape_or_type_is_a_misfit(name: str) -> None:
    twin = TWINS[name]
    made = twin.encoded(3, 32, 64)
    assert made is not None
    keys = StoredKeys(PLAIN, storage(twin.config))
    for end, tensor in made[0].items():
        for wrong in (torch.zeros(3, 5, 7, dtype=tensor.dtype), tensor.to(torch.bool)):
            tensors = named(made[0] | {end: wrong})
            found = matched(keys, {UP: (32, 64)}, tensors)
            told = [*map(str, found.misfits), *(m.theirs for m in found.missing), *found.extra]
            assert any(f"{NAME}{end}" in one for one in told), (end, told)


DAMAGE: list[Any] = [
    ("gptq", ".g_idx", lambda t: t + 1, "names groups from 1 to 8, and there are 8"),
    ("gptq", ".g_idx", lambda t: -t, "names groups from -7 to 0"),
    ("gptq ordered", ".g_idx", lambda t: t * 0 + 8, "names groups from 8 to 8"),
    ("packed ordered", ".weight_g_idx", lambda t: t - 1, "names groups from -1"),
    ("packed", ".weight_shape", lambda t: t.flip(0), r"says \[64, 32\], not \[32, 64\]"),
    ("int8", ".weight_format", lambda t: t + 1, "stored in tiles"),
    ("nf4", ".weight.absmax", lambda t: t[1:], "holds 31 factors, 2048 values in blocks of 64"),
    ("nf4 double", ".weight.nested_absmax", lambda t: t.repeat(2), "holds 2 factors, 32 values"),
]
STATE = ".weight.quant_state.bitsandbytes__nf4"
for text, said in {
    "{": "not readable as JSON",
    "[" * 20_000: "not readable as JSON",
    "[]": "no matrix in nf4",
    '{"quant_type": "fp4"}': "no matrix in nf4",
    '{"quant_type": "nf4", "shape": [64, 32]}': r"\[64, 32\], not \[32, 64\]",
    '{"quant_type": "nf4", "shape": [32, 64], "blocksize": 0}': "blocksize is 0",
    '{"quant_type": "nf4", "shape": [32, 64], "blocksize": true}': "blocksize is True",
}.items():
    data = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    DAMAGE.append(("nf4", STATE, lambda t, data=data: data, said))


@pytest.mark.parametrize(("name", "end", "harm", "said"), DAMAGE)
def test_damaged_values_are_refused_by_name(
    name: str, end: str, harm: Callable[[Tensor], Tensor], said: str
) -> None:
    made = TWINS[name].encoded(3, 32, 64)
    assert made is not None
    tensors, ours = named(made[0]), {UP: (32, 64)}
    tensors[f"{NAME}{end}"] = harm(tensors[f"{NAME}{end}"])
    found = matched(StoredKeys(PLAIN, storage(TWINS[name].config)), ours, tensors)
    assert not found.misfits
    with pytest.raises(CheckpointError, match=said) as caught:
        read(found, ours, tensors)
    assert caught.value.tensor == f"{NAME}{end}"


def test_a_bias_of_zeros_may_stand_where_the_model_has_none() -> None:
    made = TWINS["gptq"].encoded(3, 32, 64)
    assert made is not None
    keys, ours = StoredKeys(PLAIN, storage(TWINS["gptq"].config)), {UP: (32, 64)}
    tensors = named(made[0] | {".bias": torch.zeros(32)})
    found = matched(keys, ours, tensors)
    assert not found.extra
    assert np.array_equal(read(found, ours, tensors)[UP].numpy(), made[1])
    tensors[f"{NAME}.bias"][5] = 0.5
    with pytest.raises(CheckpointError, match="holds a bias"):
        read(found, ours, tensors)


def test_a_bias_that_the_model_has_is_its_own() -> None:
    plain = Keys(("h.{i}.up.{w}", "layers.{i}.mlp.up.{w}"))
    made = TWINS["gptq"].encoded(3, 32, 64)
    assert made is not None
    tensors = named(made[0] | {".bias": torch.ones(32)})
    ours = {UP: (32, 64), UP.replace("weight", "bias"): (32,)}
    found = matched(StoredKeys(plain, storage(TWINS["gptq"].config)), ours, tensors)
    assert read(found, ours, tensors)[UP.replace("weight", "bias")].all()


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("gptq", (30, 64), "30 outputs of 4 bits fill no whole number of 32-bit words"),
        ("gptq 3", (32, 40), "40 inputs of 3 bits fill no whole number"),
        ("awq", (36, 64), "36 outputs of 4 bits"),
        ("awq", (32, 60), "group_size 8 doesn't divide 60 inputs"),
        ("awq gemv", (32, 48), "group_size 32 doesn't divide 48 inputs"),
        ("packed", (32, 60), "group_size 8 doesn't divide 60 inputs"),
        ("mxfp4 packed", (32, 48), "groups of 32 don't divide 48 inputs"),
        ("modelopt nvfp4", (32, 24), "groups of 16 don't divide 24 inputs"),
        ("nf4", (2, 32, 64), "is no matrix"),
        ("gptq", (32,), "is no matrix"),
    ],
)
def test_a_shape_that_it_cannot_hold(name: str, shape: tuple[int, ...], said: str) -> None:
    made = TWINS[name].encoded(3, 32, 64)
    assert made is not None
    found = matched(StoredKeys(PLAIN, storage(TWINS[name].config)), {UP: shape}, named(made[0]))
    assert [said in str(misfit) and NAME in str(misfit) for misfit in found.misfits] == [True]
