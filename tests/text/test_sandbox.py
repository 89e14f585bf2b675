"""Hostile templates: none runs for long, fills the memory, or reaches Python."""

from __future__ import annotations

import time

import pytest

from blocks.errors import TokenizerError
from blocks.text.template import render

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
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_stopped(name: str) -> None:
    start = time.thread_time()
    with pytest.raises(TokenizerError, match="chat template"):
        render(HOSTILE[name], {"messages": [{"role": "user", "content": "x"}]})
    assert time.thread_time() - start < 3
