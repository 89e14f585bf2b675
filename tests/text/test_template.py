"""Chat templates: the text transformers makes, and nothing that runs wild."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from blocks.errors import TokenizerError
from blocks.text.template import choose, conversation, render, templates

HUB = Path(__file__).parents[3] / "shared" / "data" / "hub"
REFERENCE = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "Hello  "}],
    "system": [
        {"role": "system", "content": "Be brief.\n"},
        {"role": "user", "content": "<b>&'\"</b>"},
    ],
    "turns": [
        {"role": "user", "content": " What is 2+2?"},
        {"role": "assistant", "content": "<think>easy</think>4", "reasoning": "easy"},
        {"role": "user", "content": "Sure?"},
    ],
    "empty": [{"role": "user", "content": ""}, {"role": "assistant", "content": None}],
    "unicode": [
        {"role": "user", "content": "你好 👩‍👩‍👧 e\u0301\u200d\n\n\tنعم"},
        {"role": "assistant", "content": [{"type": "text", "text": "ß"}, {"type": "image"}]},
    ],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "It's <hot> & wet: é",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}

TEMPLATES = {
    "chatml": "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}",
    "loop variables": "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ loop.index0 }}"
    "{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.cycle('a', 'b') }}"
    "{% if loop.previtem is defined %}<{{ loop.previtem.role }}{% endif %}"
    "{% if not loop.last %}>{{ loop.nextitem.role }}{% endif %}{{ loop.changed(m.role) }}"
    "{% else %}none{% endfor %}",
    "loop controls": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
    "{{ m.role }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}",
    "filtered and nested loops": "{% for m in messages if m.role != 'user' %}{{ loop.index }}"
    "{% for k, v in m.items() %}{{ k }}:{{ v }};{% endfor %}{% endfor %}",
    "namespace": "{% set ns = namespace(found=false, n=0, text='') %}{% for m in messages %}"
    "{% if m.role == 'user' %}{% set ns.found = true %}{% set ns.n = ns.n + 1 %}"
    "{% set ns.text = ns.text ~ m.role ~ loop.index %}{% endif %}{% endfor %}"
    "{{ ns.found }} {{ ns.n }} {{ ns.text }}",
    "macros": "{% macro show(m, sep='|') -%}{{ caller() if caller else '' }}{{ m.role }}{{ sep }}"
    "{%- endmacro %}{% for m in messages %}{{ show(m) }}{{ show(m, sep='/') }}"
    "{% call show(m) %}body{% endcall %}{% endfor %}",
    "recursive macro": "{% macro walk(x) %}{% if x is mapping %}{ {%- for k in x %}{{ k }}:"
    "{{ walk(x[k]) }}{% endfor %}}{% elif x is string %}'{{ x }}'{% else %}{{ x }}{% endif %}"
    "{% endmacro %}{{ walk(tools[0]) if tools else '' }}",
    "set blocks": "{% set head %}\n[{{ messages[0].role }}]\n{% endset %}{{ head | trim }}"
    "{% set up | upper %}{{ messages[-1].role }}{% endset %}{{ up }}",
    "filters": "{{ messages | length }}{{ messages | map(attribute='role') | join(', ') }}"
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
    "{{ messages | rejectattr('content', 'undefined') | map(attribute='role') | list }}"
    "{{ (messages | last).role | capitalize }}{{ (messages | first)['role'] | upper }}"
    "{{ 'a,b' | replace(',', ' ; ') }}{{ [3, 1, 2] | sort | reverse | list }}"
    "{{ {'b': 1, 'a': 2} | dictsort }}{{ {'b': 1} | items | list }}{{ '7' | int + 1 }}"
    "{{ missing | default('none') }}{{ 'x\ny' | indent(2) }}{{ [1, 2] | sum }}"
    "{{ '%s=%d' | format('a', 3) }}{{ [1, 1, 2] | unique | list }}{{ 3.14159 | round(2) }}"
    "{{ 'ab' | center(6) }}{{ none | string }}{{ [1, 2, 3] | batch(2) | list }}{{ -3 | abs }}",
    "tests": "{% for m in messages %}{{ m.content is string }}{{ m.content is iterable }}"
    "{{ m.content is none }}{{ m.tool is defined }}{{ m is mapping }}{{ m.content is sequence }}"
    "{{ loop.index is odd }}{{ 'role' in m }}{{ loop.index is divisibleby 2 }}{% endfor %}"
    "{{ true is boolean }}{{ 1 is number }}{{ 1 is integer }}{{ none is not none }}",
    "slices": "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% else %}"
    "{% set rest = messages %}{% endif %}{% for m in rest[::-1] %}{{ m.role[:2] }}{{ m.role[-1] }}"
    "{% endfor %}{{ rest[-1]['role'] }}",
    "raises": "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('System role not supported: ' + m.role) }}{% endif %}{{ m.role }}"
    "{% endfor %}",
    "dates": "{{ strftime_now('%Y') }}{% if strftime_now is defined %}"
    "{{ strftime_now('%d %b %Y') }}{% endif %}",
    "tools": "{% if tools %}{{ tools | tojson }}{% for t in tools %}{{ t | tojson(indent=4) }}"
    "{{ t.function | tojson(ensure_ascii=true, sort_keys=true) }}"
    "{{ t.function.parameters | tojson(separators=(',', ':')) }}{% endfor %}{% endif %}"
    "{{ tools is none }}{{ documents is defined }}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
    "{% set inside = 1 %}{{ m.content }}{{ eos_token }}{% endgeneration %}"
    "{{ inside is defined }}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "blanks": "  {% if true %}\n    {{- ' a ' -}}\n   {% endif %}  \n{%- for m in messages %}\n  "
    "x {#- note -#}  \n  {%- endfor +%}\n y\n\n",
    "methods": "{% for m in messages %}{% if m.content is string %}"
    "{{ m.content.split('</think>')[-1].lstrip('\n').strip() }}{{ m.content.startswith('<') }}"
    "{{ m.content.upper() ~ m.content.title() }}{{ '{} {x}'.format(m.role, x=1) }}"
    "{{ '-'.join([m.role, 'b']) }}{{ m.get('name', 'nobody') }}{{ m.content.replace('e', '3') }}"
    "{% endif %}{% endfor %}",
    "operators": "{{ 7 // 2 }}{{ 7 % 3 }}{{ 2 ** 3 }}{{ 1 / 4 }}{{ 'ab' * 2 }}{{ '%s!' % 'a' }}"
    "{{ [1] + [2] }}{{ 1 < 2 and not false or none }}{{ 'a' if false }}{{ (1, 2) }}{{ 1.0 }}",
    "dictionaries": "{{ dict(a=1, b='x') }}{{ {'a': [1, {'b': none}]} }}{{ dict.fromkeys('ab') }}"
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "reasoning": "{% for m in messages %}{{ m.reasoning_content }}{{ m.thinking }}{% endfor %}",
    "not a method": "{{ ''.nothing }}{{ messages[0].nothing }}{{ messages[0].content.x.y }}",
    "recursive loops": "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}"
    "({{ loop(x) }}){% else %}{{ x }}{{ loop.depth }}{% endif %}{% endfor %}",
    "private namespace": "{% set ns = namespace() %}{% set ns._x = 1 %}{{ ns._x }}",
    "escape": "{{ ''.__class__ }}{{ messages.__class__ }}",
    "broken": "{% if %}",
    "filter blocks": "{% filter upper %}a{{ messages[0].role }}{% endfilter %}"
    "{% with x = 1 %}{{ x }}{% endwith %}{% raw %}{{ x }}{% endraw %}",
}


def both(template: str, messages: list[dict[str, Any]], **extra: Any) -> tuple[Any, Any]:
    """What the reference makes of it and what we do; None where a template is refused."""
    given = {"tools": None, **VARIABLES, **extra}
    try:
        theirs = REFERENCE.apply_chat_template(
            messages, chat_template=template, tokenize=False, **given
        )
    except Exception:
        theirs = None
    try:
        ours = render(template, {"messages": conversation(messages), "documents": None, **given})
    except TokenizerError:
        ours = None
    return theirs, ours


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_own_templates_render_as_the_reference(template: str, name: str) -> None:
    for tools in (None, TOOLS):
        theirs, ours = both(TEMPLATES[template], CONVERSATIONS[name], tools=tools)
        assert ours == theirs


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
            theirs, ours = both(template, chat, add_generation_prompt=prompt)
            assert ours == theirs
            rendered += ours is not None
    assert rendered >= 4


def test_long_conversations_are_not_hostile() -> None:
    chat = [{"role": "user", "content": "word " * 200}] * 1_000
    template = (
        "{% set n = namespace(x='') %}{% for m in messages %}"
        "{% set n.x = n.x + m.role + m.content | trim %}{% endfor %}{{ n.x }}"
    )
    theirs, ours = both(template, chat)
    assert ours == theirs
    assert len(ours) > 900_000


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
    with pytest.raises(TokenizerError, match="stopped: Nope"):
        render("{{ raise_exception('Nope') }}", {})
    with pytest.raises(TokenizerError, match="not valid in line 2"):
        render("a\n{% if %}", {})
