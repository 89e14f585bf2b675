"""The reader of config.json: every field is used, harmless or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blocks import ConfigError
from blocks.hub.config import HARMLESS, Config, read_json
from blocks.hub.ranges import implausible


def refused(config: Config, *args: Any, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.take(*args, **options)
    return caught.value


def test_take_and_finish() -> None:
    config = Config({"a": 3, "b": 1, "_name_or_path": "x"})
    assert config.take("a", int) == 3 and type(config.take("b", float)) is float
    assert config.take("c", str, "d") == "d"
    config.finish()
    assert config.read == {"a": 3, "b": 1.0, "c": None} and config.assumed == {"c": "d"}


def test_null_is_absent() -> None:
    assert Config({"a": None}).take("a", int, 5) == 5
    assert "missing" in str(refused(Config({"a": None}), "a", int))


def test_a_missing_field_shows_the_nearest() -> None:
    error = refused(Config({"hiden_size": 3}, "there/config.json"), "hidden_size", int)
    assert "hiden_size" in str(error.hint)
    assert (error.file, error.field) == ("there/config.json", "hidden_size")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "3"),
        (int, 3.0),
        (int, True),
        (int, 0),
        (int, -1),
        (int, 2**47),
        (int, 10**400),
        (int, [3]),
        (float, "1"),
        (float, True),
        (float, float("inf")),
        (float, float("nan")),
        (float, 10**400),
        (bool, 1),
        (bool, "true"),
        (str, 3),
        (tuple[int, ...], 3),
        (tuple[int, ...], [1, "2"]),
        (tuple[float, ...], {"a": 1}),
    ],
)
def test_wrong_values(kind: Any, value: Any) -> None:
    error = refused(Config({"a": value}, "c.json"), "a", kind)
    assert error.field == "a" and error.file == "c.json"


def test_low_is_the_smallest_int() -> None:
    assert Config({"a": 0}).take("a", int, low=0) == 0
    assert "between 2 and" in str(refused(Config({"a": 1}), "a", int, low=2))


def test_aliases_agree_or_are_an_error() -> None:
    config = Config({"n_embd": 3})
    assert config.take("hidden_size", int, aliases=("n_embd",)) == 3
    config.finish()
    assert Config({"a": 3, "b": 3}).take("a", int, aliases=("b",)) == 3
    assert "twice" in str(refused(Config({"a": 3, "b": 4}), "a", int, aliases=("b",)))
    assert Config({"a": None, "b": 4}).take("a", int, aliases=("b",)) == 4


def test_unread_fields_are_an_error_with_the_nearest() -> None:
    config = Config({"hidden_size": 3, "hiden_act": "silu"}, "c.json")
    config.take("hidden_size", int)
    config.take("hidden_act", str, "silu")
    with pytest.raises(ConfigError, match="'hidden_act'") as caught:
        config.finish()
    assert caught.value.field == "hiden_act" and caught.value.file == "c.json"


@given(
    st.sampled_from(sorted(HARMLESS)), st.none() | st.integers() | st.text() | st.lists(st.text())
)
def test_harmless_fields_pass_whatever_plausible_they_hold(name: str, value: Any) -> None:
    assume(implausible(name, value) is None)
    Config({name: value}).finish()


@pytest.mark.parametrize(
    "name", ["hidden_act", "attention_bias", "rope_scaling", "sliding_window", "scale"]
)
def test_what_may_change_logits_is_never_harmless(name: str) -> None:
    with pytest.raises(ConfigError):
        Config({name: None}).finish()


def test_inert_fields_pass_while_they_are() -> None:
    Config({"is_encoder_decoder": False, "pruned_heads": {}, "quantization_config": None}).finish()
    with pytest.raises(ConfigError, match="is_encoder_decoder"):
        Config({"is_encoder_decoder": True}).finish()
    with pytest.raises(ConfigError, match="quantised"):
        Config({"quantization_config": {"bits": 4}}).finish()


def test_only() -> None:
    config = Config({"a": "x"})
    config.only("a", "x", "y")
    config.only("b", None)
    config.finish()
    with pytest.raises(ConfigError, match="not supported; 'y' is"):
        Config({"a": "x"}).only("a", "y")


def test_an_inner_object_is_read_to_the_end_too() -> None:
    config = Config({"rope": {"factor": 2.0, "kind": "a"}, "none": None})
    inner = config.inner("rope")
    assert inner is not None and config.inner("none") is None and config.inner("absent") is None
    assert inner.take("factor", float) == 2.0
    with pytest.raises(ConfigError) as caught:
        config.finish()
    assert caught.value.field == "rope.kind"
    assert inner.take("kind", str) == "a"
    config.finish()
    with pytest.raises(ConfigError, match="not an object"):
        Config({"rope": 3}).inner("rope")


def test_harmless_names_are_harmful_inside() -> None:
    config = Config({"rope": {"temperature": 2.0}})
    config.inner("rope")
    with pytest.raises(ConfigError, match="temperature"):
        config.finish()


def read(folder: Path, text: str | bytes) -> dict[str, Any]:
    path = folder / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_json(path)


def test_both_forms_of_infinity(tmp_path: Path) -> None:
    text = '{"a": Infinity, "b": {"__float__": "-Infinity"}, "c": [{"__float__": "NaN"}]}'
    data = Config(read(tmp_path, text)).data
    assert data["a"] == float("inf") and data["b"] == float("-inf") and data["c"][0] != data["c"][0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[]",
        '{"a": 1',
        '{"a": 1, "a": 1}',
        '{"b": {"a": 1, "a": 2}}',
        b"\xff\xfe{",
        "[" * 100_000,
        "{}{}",
    ],
)
def test_what_is_no_json_object(tmp_path: Path, text: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.file == str(tmp_path / "config.json")


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    fill = " " * ((1 << 20) - 2)
    assert read(tmp_path, "{}" + fill) == {}
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        read(tmp_path, "{} " + fill)


@pytest.mark.parametrize("place", ["none.json", "."])
def test_a_file_that_is_not_there(place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_json(tmp_path / place)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=4), part, max_size=3)
    ),
    max_leaves=6,
)
KINDS = st.sampled_from(
    [int, float, bool, str, tuple[int, ...], tuple[float, ...], dict[str, int], Any]
)


@given(JSON, KINDS)
def test_any_value_is_taken_or_a_config_error(value: Any, kind: Any) -> None:
    try:
        taken = Config({"a": value}).take("a", kind, None)
    except ConfigError as error:
        assert error.field == "a"
        return
    if kind in (int, float, bool, str):
        assert taken is None or type(taken) is kind


def test_the_reader_needs_no_torch() -> None:
    code = "import sys, blocks.hub.config, blocks.hub.keys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_errors_never_flood_the_terminal(tmp_path: Path) -> None:
    name = "\x1b[31m" + "x" * 100_000
    (tmp_path / "config.json").write_text(json.dumps({name: 1}))
    with pytest.raises(ConfigError) as caught:
        Config(read_json(tmp_path / "config.json")).finish()
    assert len(str(caught.value)) <= 2000 and "\x1b" not in str(caught.value)


def nested(**outside: Any) -> Config:
    body = {"model_type": "words", "depth": 3, "rate": 0.0, "use_cache": True}
    return Config({"text_config": body} | outside)


def inside(config: Config, **defaults: Any) -> Config:
    """The text model's reader, with all its fields read."""
    body = config.inside("text_config", "words", **defaults)
    body.take("depth", int)
    body.take("rate", float, 0.1)
    body.take("width", int, 7)
    return body


def test_the_config_of_a_model_inside_is_read_to_the_end_and_may_hold_what_is_harmless() -> None:
    config = nested(patch=3)
    assert inside(config) is config.body and config.body.assumed == {"width": 7}
    with pytest.raises(ConfigError, match=r"patch: this field is not known"):
        config.finish()
    assert config.take("patch", int) == 3
    config.finish()
    other = Config({"text_config": {"depth": 3, "dept": 1}})
    inside(other)
    with pytest.raises(ConfigError, match=r"text_config\.dept: .*'depth'"):
        other.finish()


@pytest.mark.parametrize("same", [{"depth": 3}, {"rate": 0.0}, {"width": 7}, {"depth": None}])
def test_a_field_beside_the_inner_config_may_repeat_it(same: dict[str, Any]) -> None:
    config = nested(**same)
    inside(config)
    config.finish()


@pytest.mark.parametrize("other", [{"depth": 4}, {"rate": 0.1}, {"width": 8}])
def test_a_field_beside_the_inner_config_may_not_contradict_it(other: dict[str, Any]) -> None:
    config = nested(**other)
    inside(config)
    with pytest.raises(ConfigError, match="in text_config") as caught:
        config.finish()
    assert caught.value.field in other


def test_without_an_inner_config_its_fields_stand_outside() -> None:
    config = Config({"model_type": "both", "depth": 3})
    assert inside(config, width=9) is config.body is config
    assert config.assumed == {"text_config": None, "rate": 0.1, "width": 9}
    config.finish()


def test_defaults_of_an_inner_config_win_over_those_of_its_family() -> None:
    assumed = inside(Config({"text_config": {"depth": 3}}), width=9, rate=0.2).assumed
    assert assumed == {"model_type": "words", "rate": 0.2, "width": 9}


def test_an_inner_config_of_another_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="text_config.model_type: 'words' is not supported"):
        nested().inside("text_config", "sounds")


def test_a_changed_reader_differs_in_one_field_of_its_body() -> None:
    config = nested(patch=3)
    inside(config)
    changed = config.changed("depth", 5)
    assert inside(changed).read["depth"] == 5 and changed.data["patch"] == 3
    flat = Config({"depth": 3})
    inside(flat)
    assert flat.changed("depth", 5).data == {"depth": 5}
