"""What an error says can be shown anywhere: texts from files are escaped, and cut where long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks import Tokenizer, from_pretrained
from blocks.errors import BlocksError, printable
from tests.gallery import sound

HOSTILE = [
    "\x1b[31m\x1b]0;title\x07",
    "\u202egnp.exe",
    "a\nError: all is well",
    "\r\x08\x9b2J",
    "\u2028\u2029\u0085",
    "\ud800",
    "\0",
    "x" * 1_000_000,
    "\x1b" * 1_000_000,
]


def fit(error: BlocksError) -> None:
    text = str(error)
    assert len(text) <= 2_000 and text.isprintable()
    text.encode()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", ["reason", "file", "tensor", "field", "hint"])
def test_hostile_names(where: str, name: str) -> None:
    fit(BlocksError(**{"reason": "is bad", where: name}))
    assert len(printable(name)) <= 200 and printable(name).isprintable()


@given(st.dictionaries(st.sampled_from(["reason", "file", "tensor", "field", "hint"]), st.text()))
def test_any_names(parts: dict[str, str]) -> None:
    fit(BlocksError(**{"reason": "is bad", **parts}))


@given(st.text(max_size=20), st.integers(1, 400))
def test_what_is_printable_stays(text: str, limit: int) -> None:
    shown = printable(text, 200)
    assert shown.isprintable() and (shown == text) == text.isprintable()
    assert len(printable(text * 50, max(limit, 5))) <= max(limit, 5)


def tensor(folder: Path, name: str) -> Any:
    data = sound.tensors()
    data[name] = data["model.norm.weight"]
    sound.write(folder, data)
    return from_pretrained(folder)


def field(folder: Path, name: str) -> Any:
    sound.edit(sound.write(folder) / "config.json", lambda data: {**data, name: 1})
    return from_pretrained(folder)


def value(folder: Path, name: str) -> Any:
    return from_pretrained(sound.write(folder, hidden_act=name))


def kind(folder: Path, name: str) -> Any:
    return from_pretrained(sound.write(folder, model_type=name))


def shard(folder: Path, name: str) -> Any:
    sound.write(folder)
    sound.shard(folder, {"weight_map": {"model.norm.weight": name}})
    return from_pretrained(folder)


def token(folder: Path, name: str) -> Any:
    sound.write(folder)
    sound.put(folder / "added_tokens.json", {name: 99})
    return Tokenizer.from_pretrained(folder)


def step(folder: Path, name: str) -> Any:
    sound.write(folder)
    change = {"normalizer": {"type": name}}
    sound.edit(folder / "tokenizer.json", lambda data: {**data, **change})
    return Tokenizer.from_pretrained(folder)


def template(folder: Path, name: str) -> Any:
    sound.write(folder)
    text = "{{ raise_exception(messages[0].content) }}"
    sound.edit(folder / "tokenizer_config.json", lambda data: {**data, "chat_template": text})
    return Tokenizer.from_pretrained(folder).render([{"role": "user", "content": name}])


@pytest.mark.parametrize("use", [tensor, field, value, kind, shard, token, step, template])
@settings(max_examples=15)
@given(name=st.sampled_from(HOSTILE[:-2]) | st.text(min_size=1) | st.just("x" * 5_000))
def test_names_in_files(use: Any, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        use(tmp_path_factory.mktemp("model"), name)
    except BlocksError as error:
        fit(error)
