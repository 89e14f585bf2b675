"""Hostile templates: none runs for long, fills the memory, reaches Python, or is ever compiled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import TokenizerError
from blocks.text.template import render
from tests.gallery.harness import Case, found
from tests.gallery.test_gallery import linux
from tests.text.corpus import CONVERSATIONS, TEMPLATES, TOOLS, VARIABLES

HOSTILE = {
    "power": "{{ 10 ** (10 ** 9) }}",
    "squares": "{% set n = namespace(x=99999999) %}{% for a in range(99) %}"
    "{% set n.x = n.x * n.x %}{% endfor %}",
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "doubling": "{% set n = namespace(x='a' * 1000) %}{% for a in range(99) %}"
    "{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "doubling by block": "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}"
    "{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}{% endfor %}",
    "doubling by sum": "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}"
    "{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling by join": "{% set n = namespace(x='aaaa') %}{% for a in range(99) %}"
    "{% set n.x = [n.x, n.x] | join %}{% endfor %}",
    "nesting": "{% set n = namespace(x=[1]) %}{% for a in range(60) %}"
    "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "nesting dictionaries": "{% set n = namespace(x={}) %}{% for a in range(60) %}"
    "{% set n.x = dict(a=n.x, b=n.x) %}{% endfor %}{{ n.x == n.x }}",
    "times": "{{ 'a' * 10000000000 }}",
    "times list": "{{ 10000000000 * [0] }}",
    "keeping": "{% set n = namespace(x=[]) %}{% for a in range(99999) %}"
    "{% set n.x = n.x + ['a' * 1000000] %}{% endfor %}",
    "center": "{{ 'a'.center(10000000000) }}",
    "center filter": "{{ 'a' | center(10000000000) }}",
    "zfill": "{{ 'a'.zfill(10000000000) }}",
    "width": "{{ '%10000000000d' % 1 }}",
    "width filter": "{{ '%10000000000d' | format(1) }}",
    "width argument": "{{ '%*d' % (10000000000, 1) }}",
    "many widths": "{{ ('%(a)9999d' * 100000) % {'a': 1} }}",
    "many values": "{{ ('%(a)s' * 100000) % {'a': 'x' * 1000000} }}",
    "braces": "{{ '{:10000000000}'.format(1) }}",
    "braces argument": "{{ '{:{}}'.format(1, 10000000000) }}",
    "replace": "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
    "replace filter": "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
    "join": "{{ ('b' * 1000000).join('a' * 1000000) }}",
    "join filter": "{{ range(99999) | join('b' * 1000000) }}",
    "indent": "{{ ('\\n' * 1000000) | indent(1000000) }}",
    "tojson": "{{ [[1]] | tojson(indent=10000000000) }}",
    "bytes": "{{ (1).to_bytes(10000000000, 'big') }}",
    "idna": "{{ ('a' * 100000).encode('idna') }}",
    "macros": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "tree of macros": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(60) }}",
    "slicing": "{% set x = 'a' * 1000000 %}{% for a in range(99999) %}{% set y = x[1:] %}"
    "{% endfor %}",
    "summing": "{% for a in range(99999) %}{% set y = range(99999) | sum %}{% endfor %}",
    "dates": "{{ strftime_now('%c' * 100000) }}",
    "files": "{% include '/etc/passwd' %}",
    "globals": "{{ cycler.__init__.__globals__ }}",
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "blocks": "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "long": "a" * 100_000,
    # What a walk over a tree invites.
    "sum of many": "{{ " + "+".join(["messages"] * 8000) + " }}",
    "brackets": "{{ " + "[" * 20000 + "]" * 20000 + " }}",
    "nots": "{{ " + "not " * 15000 + "1 }}",
    "signs": "{{ " + "-" * 30000 + "1 }}",
    "chain of filters": "{{ 'a'" + "|upper" * 7000 + " }}",
    "chain of attributes": "{{ a" + ".b" * 7900 + " }}",
    "chain of else": "{{ " + "1 if 0 else " * 5000 + "1 }}",
    "ifs": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "macros in macros": "{% macro m() %}" * 1500 + "{% endmacro %}" * 1500,
    "many parts": "{{a}}" * 13000,
    "loop calls itself": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "loop calls itself twice": "{% for a in [1] recursive %}{{ loop([1]) }}{{ loop([1]) }}"
    "{% endfor %}",
    "caller calls back": "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}"
    "{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
    "default calls itself": "{% macro m(a=m()) %}{% endmacro %}{{ m() }}",
    "generators in generators": "{% set n = namespace(x=[1]) %}{% for a in range(9999) %}"
    "{% set n.x = n.x | map('int') %}{% endfor %}{{ n.x | list }}",
    "huge number": "{{ 0x" + "f" * 60000 + " * 2 }}",
    "huge decimal": "{{ " + "9" * 60000 + " }}",
    "huge text": "{{ ('" + "é" * 60000 + "' * 9) ~ 1 }}",
    "power of a product": "{{ (9 ** 1000) ** 1000 }}",
    "append": "{% set x = [] %}{% for a in range(9) %}{{ x.append(a) }}{% endfor %}",
    "update": "{% set x = {} %}{{ x.update({'a': x}) }}",
    "setdefault": "{{ messages[0].setdefault('a', 1) }}",
    "growing list": "{% set n = namespace(x=[1]) %}{% for a in range(99999) %}"
    "{% set n.x = n.x + n.x %}{% endfor %}",
    "growing dictionary": "{% set n = namespace(x={}) %}{% for a in range(99999) %}"
    "{% set n.x = dict(n.x, **{a | string: a}) %}{% endfor %}",
    "range": "{% for a in range(10 ** 12) %}{% endfor %}",
    "range list": "{{ range(10 ** 12) | list }}",
    "ranges": "{% set n = namespace(x=[]) %}{% for a in range(99) %}"
    "{% set n.x = n.x + [range(90000) | list] %}{% endfor %}",
    "slice of steps": "{{ range(99999)[::0] }}",
    "slices": "{{ [1] | slice(10 ** 9) | list }}",
    "batch": "{{ [1] | batch(10 ** 9, 0) | list }}",
    "sorting": "{% for a in range(999) %}{% set x = range(99999) | map('string') | sort %}"
    "{% endfor %}",
    "sum of lists": "{{ ([[1]] * 99999) | sum(start=[]) }}",
    "strip": "{{ ('a' * 250000).strip('b' * 249999 ~ 'a') }}",
    "trim": "{{ ([1] * 20000) | trim('b' * 200000 ~ '[1], ') }}",
    "rfind": "{{ ('a' * 250000).rfind('b' ~ 'a' * 100000) }}",
    "rsplit": "{{ ('a' * 250000).rsplit('b' ~ 'a' * 100000) }}",
    "pieces": "{% set n = namespace(x=[]) %}{% for a in range(999) %}"
    "{% set n.x = n.x + [('你 ' * 60000).split()] %}{% endfor %}",
    "rounding": "{{ 5 | round(-(10 ** 9)) }}",
    "floor": "{{ 5 | round(10 ** 9, 'floor') }}",
    "json of indents": "{{ [[[[1]]]] | tojson(indent='a' * 99999) }}",
    "json of separators": "{{ ([1] * 30000) | tojson(separators=('a' * 99999, '')) }}",
    "many fields": "{{ ('{0}' * 80000).format('a' * 200000) }}",
    "precision": "{{ '{:.999999999f}'.format(1.5) }}",
    "width of a width": "{{ '{:{:{}}}'.format(1, 9, 999999999) }}",
    "format of an attribute": "{{ '{0.__class__.__mro__}'.format('') }}",
    "format of an item": "{{ '{0[__class__].x}'.format('') }}",
    "format map": "{{ '{a.__class__.x}'.format_map({'a': ''}) }}",
    "safe format": "{{ ('{0.__class__.x}' | safe).format('') }}",
    "texts of lists": "{% set x = ['\\0' * 250000] %}{{ " + "x ~ " * 5000 + "1 }}",
    "joined lists": "{% set x = ['\\0' * 250000] %}"
    "{{ range(9999) | map(attribute='a', default=x) | join }}",
    "many attributes": "{{ range(999) | map(attribute='a.' * 99999, default=1) | list }}",
    "namespaces": "{% set x = dict.fromkeys(range(9999) | map('string') | list) %}"
    "{% set n = namespace(x=0) %}{% for a in range(9999) %}"
    "{% set n.x = namespace(a=n.x, **x) %}{% endfor %}",
    "searches of ranges": "{% set x = range(99999) %}{% for a in x %}"
    + "{{ 'a' in x }}" * 500
    + "{% endfor %}",
    "searches of views": "{% set x = dict.fromkeys(range(9999)).values() %}"
    "{% for a in range(99999) %}" + "{{ 'a' in x }}" * 500 + "{% endfor %}",
    "sorted characters": "{{ ('你' * 250000) | groupby(0) }}",
    "sum of texts": "{{ ['a', 'b'] | sum(start='') }}",
    "attr": "{{ ('' | attr('__class__')).__mro__ }}",
    "map of attributes": "{{ [''] | map(attribute='__class__.__mro__') | list }}",
    "sort by attributes": "{{ ['', 'a'] | sort(attribute='__class__.__mro__') }}",
    "item": "{{ ''['__class__']['__mro__'] }}",
    "function": "{{ raise_exception.__globals__.x }}",
    "method": "{{ ''.upper.__self__.x }}",
    "encoded": "{{ 'a'.encode() }}",
    "translated": "{{ 'a'.translate({97: 'b' * 99999}) }}",
    "macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "loop": "{% for a in [1] %}{{ loop._iterable.x }}{% endfor %}",
    "namespace of a class": "{% set n = namespace(__class__=1) %}",
    "text of a generator": "{{ [1] | map('string') }}",
    "text of a namespace": "{% set n = namespace() %}{% set n.n = n %}{{ [n] }}",
    "import": "{% from 'os' import system %}",
    "extends": "{% extends 'a' %}",
    "do": "{% do 1 %}",
    "dates of dates": "{% for a in range(9999) %}{{ strftime_now('%c' * 100) }}{% endfor %}",
    "equal and deep": "{% set n = namespace(x=[1], y=[1]) %}{% for a in range(99) %}"
    "{% set n.x = [n.x] %}{% set n.y = [n.y] %}{% endfor %}{{ n.x == n.y }}",
    "comparisons": "{% set x = range(30000) | list %}{% set y = range(30000) | list %}"
    "{% for a in range(99999) %}" + "{{ x == y }}" * 500 + "{% endfor %}",
    "searches": "{% set x = 'ab' * 100000 %}{% for a in range(99999) %}"
    + "{{ 'aa' in x }}" * 500
    + "{% endfor %}",
}
REASON = r"(stopped in line \d+|is not valid in line \d+|is longer than 65536 characters)"


def nothing(folder: Path) -> None: ...


def rendered(template: str) -> str:
    return render(template, {"messages": [{"role": "user", "content": "x"}]})


@linux
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_stopped(name: str, tmp_path: Path) -> None:
    case = Case(name, nothing, TokenizerError, act=lambda _: rendered(HOSTILE[name]))
    report = found(case, tmp_path)
    assert "error" in report, report
    assert "TokenizerError" in report["error"]["kinds"]
    assert report["error"]["field"] == "chat template"
    assert re.match(REASON, report["error"]["reason"]), report["error"]["reason"]
    assert report["events"] == []
    assert report["seconds"] < 1
    assert report["grown"] < 32 << 20


@linux
def test_no_template_becomes_code(tmp_path: Path) -> None:
    """The hook sees nothing while all of the corpus is parsed anew and rendered."""
    given: dict[str, Any] = {"tools": TOOLS, "documents": None, **VARIABLES}

    def every(_: Path) -> int:
        count = 0
        for template in TEMPLATES.values():
            for messages in CONVERSATIONS.values():
                try:
                    count += bool(render(template + " ", {**given, "messages": messages}))
                except TokenizerError:
                    continue
        return count

    report = found(Case("corpus", nothing, act=every), tmp_path)
    assert report["result"] > 200
    assert report["events"] == []
