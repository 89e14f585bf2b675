"""Chat templates: the text transformers makes, and nothing that runs wild."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from blocks.errors import TokenizerError
from blocks.text.template import choose, conversation, plain, render, templates
from tests.clock import within
from tests.text.corpus import CONVERSATIONS, TEMPLATES, TOOLS
from tests.text.twins import both, ours, theirs

HUB = Path(__file__).parents[3] / "shared" / "data" / "hub"


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_own_templates_render_as_the_reference(template: str, name: str) -> None:
    for tools in (None, TOOLS):
        wanted, made = both(TEMPLATES[template], CONVERSATIONS[name], tools=tools)
        assert made == wanted


def test_the_comparison_is_of_texts() -> None:
    refused = {"private namespace", "escape", "broken", "not a method"}
    for name, template in TEMPLATES.items():
        made = [both(template, chat, tools=TOOLS)[1] for chat in CONVERSATIONS.values()]
        assert any(made) == (name not in refused), name
    assert both(TEMPLATES["raises"], CONVERSATIONS["system"]) == (None, None)


@pytest.mark.parametrize("model", ["gemma-2b", "llama-3.1-70b", "phi-3-mini"])
def test_public_templates_render_as_the_reference(model: str) -> None:
    path = HUB / model / "tokenizer_config.json"
    if not path.exists():
        pytest.skip("the public configurations are not here")
    known = templates(json.loads(path.read_text()), {})
    template = choose(known, None, tools=False)
    rendered = 0
    for chat in CONVERSATIONS.values():
        for prompt in (True, False):
            wanted, made = both(template, chat, add_generation_prompt=prompt)
            assert made == wanted
            rendered += made is not None
    assert rendered >= 4


def test_long_conversations_are_not_hostile() -> None:
    chat = [{"role": "user", "content": "word " * 200}] * 1_000
    template = (
        "{% set n = namespace(x='') %}{% for m in messages %}"
        "{% set n.x = n.x + m.role + m.content | trim %}{% endfor %}{{ n.x }}"
    )
    wanted, made = both(template, chat)
    assert made == wanted
    assert len(made or "") > 900_000


def test_deep_schemas_are_not_hostile() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        schema = {"type": "object", "properties": {"inner": schema}}
    wanted, made = both(TEMPLATES["recursive macro"], CONVERSATIONS["one"], tools=[schema])
    assert made == wanted
    assert str(made).count("inner") == 20


@pytest.mark.parametrize("name", ["qwen 3", "mistral", "thinking parts"])
def test_long_conversations_render_about_as_fast(name: str) -> None:
    turn = [
        {"role": "user", "content": "why? " * 40},
        {"role": "assistant", "content": "so. " * 40},
    ]
    chat = turn * 100 + turn[:1]
    wanted, made = both(TEMPLATES[name], chat)
    assert made == wanted  # and both have read the template
    start = time.process_time()
    theirs(TEMPLATES[name], chat)
    seconds = time.process_time() - start
    assert within(5 * seconds, lambda: ours(TEMPLATES[name], chat))


def test_a_template_cannot_change_what_it_is_given() -> None:
    chat = [{"role": "user", "content": [{"type": "text"}]}]
    with pytest.raises(TokenizerError, match="unsafe"):
        render("{{ messages.append(1) }}", {"messages": conversation(chat)})
    assert conversation(chat)[0]["content"] is not chat[0]["content"]


@pytest.mark.parametrize(
    "messages",
    [
        "hello",
        {"role": "user"},
        None,
        5,
        [],
        ["hello"],
        [{"content": "x"}],
        [{"role": 1, "content": "x"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": {"text": "x"}}],
    ],
)
def test_bad_conversations_are_named(messages: Any) -> None:
    with pytest.raises(TokenizerError) as caught:
        conversation(messages)
    assert str(caught.value).startswith("messages")


def test_nested_data_are_bounded() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(TokenizerError, match="nested"):
        conversation([{"role": "user", "content": deep}])


def test_data_are_copied_as_plain_types() -> None:
    class Part(NamedTuple):
        type: str

    class Names(list[str]):
        pass

    copied = plain({"a": Part("text"), "b": Names(["x"]), "c": OrderedDict(d=print)})
    assert copied == {"a": ("text",), "b": ["x"], "c": {"d": "<builtin_function_or_method>"}}
    assert [type(value) for value in copied.values()] == [tuple, list, dict]


def test_templates_are_chosen_by_occasion_and_name() -> None:
    config = {
        "chat_template": [
            {"name": "default", "template": "d"},
            {"name": "tool_use", "template": "t"},
            {"name": "rag", "template": "r"},
        ]
    }
    known = templates(config, {})
    assert choose(known, None, tools=False) == "d"
    assert choose(known, None, tools=True) == "t"
    assert choose(known, "rag", tools=True) == "r"
    assert choose(known, "{{ 1 }}", tools=False) == "{{ 1 }}"
    assert templates(config, {"default": "f"}) == {"default": "f"}
    assert choose({"default": "d"}, None, tools=True) == "d"
    with pytest.raises(TokenizerError, match="default, rag, tool_use"):
        choose(known, "other", tools=False)
    with pytest.raises(TokenizerError, match="rag"):
        choose({"rag": "r"}, None, tools=False)
    with pytest.raises(TokenizerError, match="no chat template.*template="):
        choose({}, None, tools=False)


@pytest.mark.parametrize("value", [5, ["x"], [{"name": "a"}], {"name": "a", "template": "b"}])
def test_damaged_template_entries_are_named(value: Any) -> None:
    with pytest.raises(TokenizerError, match="tokenizer_config.json: chat_template"):
        templates({"chat_template": value}, {})


def test_reasons_reach_the_user() -> None:
    with pytest.raises(TokenizerError, match="stopped in line 1: Nope"):
        render("{{ raise_exception('Nope') }}", {})
    with pytest.raises(TokenizerError, match="not valid in line 2"):
        render("a\n{% if %}", {})
