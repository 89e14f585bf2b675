"""What a config or file gets wrong is said at once, by name, and never by another library."""

from __future__ import annotations

import math
import re

import pytest
import torch

import blocks
from blocks import BlocksError, CheckpointError, ConfigError
from blocks.families import family_of, model_types
from blocks.hub.config import HARMLESS, INERT, Config
from blocks.hub.outline import outline_of
from tests.clock import within
from tests.families import ageing
from tests.families.reference import case_of, families, first

BAD = (0, -1, 2**46, 2**80, -0.5, 1e300, math.nan, math.inf, True, "x", "", [], [1], {}, {"a": 1})
REST = pytest.param(BAD[1::3] + BAD[2::3], marks=pytest.mark.slow)
LAST = {"clamp_len", "moe_layer_end_index", "rescale_every"}  # -1: no bound, the last, never
NORM = re.compile(r"norm_(in|out|after)\.weight$")
# Their files differ in nothing but the model_type, which alone says how channels are paired, or
# that scores are not divided.
TWINS = {("llama", "granite"), ("llama", "helium")}
TWINS |= {("helium", other) for other in ("granite", "llama", "seed_oss", "smollm3")}
TWINS |= {(a, b) for a in ("internlm3", "iquestcoder") for b in ("granite", "helium")}
TWINS |= {("helium", other) for other in ("cwm", "internlm3", "iquestcoder")}
TWINS |= {("mamba", "falcon_mamba")}  # or that there are norms inside
TWINS |= {("mt5", "t5"), ("umt5", "t5")}  # or that logits are divided
each = pytest.mark.parametrize("family", families())


def config_of(loaded, family):
    return ageing.read_config(loaded(family, first(family)).folder)


def changed(loaded, family, fields):
    """The plain config with other fields of the text model."""
    return case_of(family).put(config_of(loaded, family), fields)


def named(family, name):
    """The family's name of a field; the test is skipped where it has none."""
    own = case_of(family).field_of(name)
    if own is None:
        pytest.skip(f"{family} has no {name}")
    return own


def outcome(data):
    """What reading and building a config ends in; no error but ours may leave it."""
    try:
        outline = outline_of(Config(data))
        with torch.device("meta"):
            outline.build()
    except BlocksError as error:
        return error
    return None


@each
def test_an_unknown_field_is_named_with_the_nearest(loaded, family):
    error = outcome(changed(loaded, family, {"voab_size": 97}))
    assert isinstance(error, ConfigError)
    case = case_of(family)
    has = case.field_of("vocab_size") or "vocab_size" in case.body(case.base)
    near = "did you mean 'vocab_size'?" if has else None
    assert (error.field, error.hint) == (case.path("voab_size"), near)


@each
def test_a_missing_field_is_named(loaded, family):
    case, data = case_of(family), config_of(loaded, family)
    every = {"hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size"}
    for common in every - case.implied:
        name = named(family, common)
        left = {key: value for key, value in case.body(data).items() if key != name}
        error = outcome(case.with_body(data, left))
        assert isinstance(error, ConfigError) and error.field == case.path(name)


@each
@pytest.mark.parametrize("values", [BAD[::3], REST], ids=["third", "rest"])
def test_values_that_cannot_be(loaded, family, values):
    body = case_of(family).body(config_of(loaded, family))
    for name in body:
        for value in values:
            error = outcome(changed(loaded, family, {name: value}))
            if name not in HARMLESS | set(INERT) | {"architectures"} and error is None:
                assert type(value) in (int, float, type(body[name])), (name, value)
                possible = value != -1 or name in LAST
                assert math.isfinite(value) if isinstance(value, float) else possible, name


@each
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", -32),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", -1),
        ("num_key_value_heads", 0),
        ("vocab_size", 2**60),
        ("intermediate_size", 1.5),
        ("attention_dropout", -0.1),
        ("attention_dropout", 1.0),
        ("hidden_act", "sillu"),
        ("max_position_embeddings", 0),
        ("num_hidden_layers", "2"),
        ("hidden_size", True),
    ],
)
def test_a_bad_value_is_an_error_that_names_it(loaded, family, name, value):
    theirs = named(family, name)
    error = outcome(changed(loaded, family, {theirs: value}))
    assert isinstance(error, ConfigError) and theirs in str(error.field)


@each
def test_sizes_beyond_counting(loaded, family):
    sizes = (case_of(family).field_of(name) for name in ("hidden_size", "intermediate_size"))
    huge = {name: 2**46 for name in sizes if name}
    huge |= {"head_dim": 2**46} if case_of(family).field_of("head_dim") else {}
    huge |= case_of(family).huge
    error = outcome(changed(loaded, family, huge))
    assert isinstance(error, ConfigError) and "counted" in str(error)


@each
def test_heads_that_do_not_divide(loaded, family):
    names = (case_of(family).field_of(n) for n in ("num_attention_heads", "num_key_value_heads"))
    own = "head_dim" in case_of(family).body(config_of(loaded, family))
    for name in filter(None, names):
        error = outcome(changed(loaded, family, {name: 3} | ({"head_dim": None} if own else {})))
        assert isinstance(error, ConfigError) and "heads" in str(error)


@each
@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear"},
        {"rope_type": "linear", "factor": 0},
        {"rope_type": "linear", "factor": math.nan},
        {"rope_type": "unheard"},
        {"rope_type": "default", "rope_theta": -1.0},
        {"rope_type": "default", "rope_theta": math.inf},
        {"rope_type": "default", "beta": 1.0},
        {"rope_type": "llama3", "factor": 8.0},
        {"rope_type": "longrope", "short_factor": [1.0], "long_factor": "many"},
        {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [0.0] * 4},
        {"rope_type": "default", "partial_rotary_factor": 3.0},
        "default",
        [1],
    ],
)
def test_a_bad_rope_is_an_error(loaded, family, rope):
    error = outcome(changed(loaded, family, {"rope_parameters": rope}))
    assert isinstance(error, ConfigError)


@each
def test_two_dialects_at_once_are_an_error(loaded, family):
    scaling = {"rope_scaling": {"type": "linear", "factor": 2.0}}
    error = outcome(changed(loaded, family, scaling))
    path = case_of(family).path("rope_scaling")
    assert isinstance(error, ConfigError) and error.field == path


@each
def test_a_million_layers_are_refused_quickly(loaded, tmp_path, family):
    it = loaded(family, first(family))
    for layers in (10_000, 1_000_000, 2**46):
        more = {named(family, "num_hidden_layers"): layers}
        longer = {"config": lambda data, more=more: it.case.put(data, more)}
        folder = ageing.aged(it.folder, tmp_path / str(layers), **longer)

        def refused(folder=folder, layers=layers):
            with pytest.raises(ConfigError, match=str(layers)) as caught:
                blocks.from_pretrained(folder)
            assert caught.value.field == it.case.path(named(family, "num_hidden_layers"))

        assert within(1, refused)


@each
def test_everything_wrong_with_the_tensors_is_listed_at_once(loaded, tmp_path, family):
    it = loaded(family, first(family))
    found = [name for name in blocks.addresses(it.ours) if NORM.search(name)]
    norm = (found or ["layers.0.attention.q.weight"])[0]  # norms may be without a weight
    if it.one_layer:
        pytest.skip("all layers are one: no second one could have another shape")
    twin = norm.replace("layers.0", "layers.1")  # which a layer of another kind hasn't
    one, two = it.theirs(norm, found[-1] if found and twin not in found else twin)
    surplus = one.replace("weight", "surplus")

    def broken(tensors):
        other = {name: tensor for name, tensor in tensors.items() if name != one}
        other[surplus] = torch.ones(2)
        other[two] = torch.ones(33)
        return other

    folder = ageing.aged(it.folder, tmp_path / "broken", tensors=broken)
    with pytest.raises(CheckpointError) as caught:
        blocks.from_pretrained(folder)
    for text in (one, surplus, f"{two} is [33], not "):
        assert text in str(caught.value)


@pytest.mark.parametrize("family", [name for name in families() if case_of(name).fused])
def test_experts_in_a_third_form_are_named(loaded, tmp_path, family):
    it = loaded(family, first(family))
    name = re.compile("experts|block_sparse_moe")
    bank = {"tensors": lambda all: {name.sub("bank", n): t for n, t in all.items()}}
    with pytest.raises(CheckpointError, match=r"not used by the model: .*\bbank\b"):
        blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "bank", **bank))


@each
@pytest.mark.parametrize(
    ("name", "value"),
    [("intermediate_size", 28), ("num_hidden_layers", 1), ("vocab_size", 98)],
)
def test_the_field_that_disagrees_is_named(loaded, tmp_path, family, name, value):
    it, given = loaded(family, first(family)), name
    name = named(family, name)
    if it.one_layer and given == "num_hidden_layers":
        pytest.skip("all layers are one, so that no file tells how many there are")
    true = it.case.body(ageing.read_config(it.folder))[name]

    def wrong(data):
        lean = ageing.without_lists(it.case.body(data))  # a list would disagree first
        return it.case.with_body(data, lean | {name: value})

    folder = ageing.aged(it.folder, tmp_path / "aged", config=wrong)
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        blocks.from_pretrained(folder)
    # A family that can't do without a list of its layers says so before the file is opened.
    said = caught.value.hint or str(caught.value)
    assert name in said and str(true) in said


@each
def test_the_kv_heads_of_the_file_are_told(loaded, tmp_path, family):
    it, name = loaded(family, first(family)), named(family, "num_key_value_heads")
    addresses = list(blocks.addresses(it.ours))
    attention = next(name for name in addresses if name.endswith(".attention.q.weight"))[:-8]
    chosen = family_of(family).table(it.ours.spec).chosen(addresses)
    fused = f"{attention}k.weight" not in {one.ours[0] for one in chosen}
    true = it.case.body(ageing.read_config(it.folder))[name]
    wrong = {"config": lambda data: it.case.put(data, {name: 1})}
    folder = ageing.aged(it.folder, tmp_path / "aged", **wrong)
    with pytest.raises(CheckpointError) as caught:
        blocks.from_pretrained(folder)
    if fused:  # the width of one tensor tells no single number
        assert caught.value.tensor == it.theirs(f"{attention}q.weight")[0]
    else:
        assert f"{name} = {true}" in caught.value.hint


@each
def test_one_family_under_the_name_of_another(loaded, tmp_path, family):
    it, data = loaded(family, first(family)), config_of(loaded, family)
    for other in model_types():
        if other == family or (family, other) in TWINS:
            continue  # nothing but the model_type tells twins apart
        told = {"model_type": other, "architectures": list(family_of(other).architectures)}
        if outcome(data | told) is not None:
            continue
        named = {"config": lambda data, told=told: data | told}
        folder = ageing.aged(it.folder, tmp_path / other, **named)
        if not blocks.inspect(folder).fits:
            continue  # from_pretrained refuses what doesn't fit
        ours = blocks.from_pretrained(folder)
        # The other says the same in the same words: SmolLM3 with two layers is LLaMA.
        assert it.close(it.answer(ours, it.tokens), it.logits) <= it.case.tolerance, other


@each
def test_another_task_is_not_served(loaded, family):
    data = config_of(loaded, family) | {"architectures": ["SomethingForTokenClassification"]}
    error = outcome(data)
    assert isinstance(error, ConfigError) and error.field == "architectures"
    assert family_of(family).architectures[0] in error.hint


@pytest.mark.parametrize("name", ["lama", "mixtrall", "", "../llama", "__init__", None, 3, ["phi"]])
def test_an_unknown_model_type_lists_what_there_is(name):
    error = outcome({"model_type": name})
    assert isinstance(error, ConfigError) and error.field == "model_type"
    assert all(known in error.hint for known in model_types())
    if name == "lama":
        assert error.hint.startswith("near: llama")
