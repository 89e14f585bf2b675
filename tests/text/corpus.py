"""Conversations, and templates that between them use what public ones use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    "calls": [
        {"role": "user", "content": "Weather in Rome & Oslo?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call12345",
                    "type": "function",
                    "function": {"name": "weather", "arguments": {"city": "Rome", "days": [1, 2]}},
                }
            ],
        },
        {"role": "tool", "name": "weather", "tool_call_id": "call12345", "content": '{"t": 21}'},
        {"role": "assistant", "content": "21 °C"},
    ],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "It's <hot> & wet: é",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Its name", "enum": ["Rome", "Oslo"]},
                    "days": {"type": "array", "items": {"type": "integer"}},
                    "unit": {"type": ["string", "null"]},
                },
                "required": ["city"],
            },
        },
    }
]
VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}

CONSTRUCTS = {
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
    "blanks again": "{%- if true %}  \n  {{ 1 }}\n{% endif %}\n\t{% set a = 1 %}\n{{ a }}\n"
    "  {#- c -#}\n  {% raw %}{{ {% }}{% endraw %}\n{{- '\n' }} \n  {%+ if true %}kept{% endif %}"
    "\r\nx\r{{ a }}\n\n",
    "unknown in a branch": "{% if false %}{{ 1 | nothing }}{{ 1 is nothing }}{% endif %}"
    "{{ 'a' if true else (1 | nothing) }}",
}

# In the manner of public families, one to a file.
TEMPLATES = CONSTRUCTS | {
    path.stem.replace("_", " "): path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parent / "templates").glob("*.jinja"))
}
