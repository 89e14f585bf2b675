"""Chat templates that are broken, refuse what they are given, or mean harm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from blocks import HubError, TokenizerError
from tests.gallery.harness import Case, chat
from tests.gallery.sound import edit

CONFIG, FILE = "tokenizer_config.json", "chat_template.jinja"
LISTS = r"^must be a text or a list of \{name, template\}"

Damage = Callable[[Path], object]


def says(template: Any) -> Damage:
    """Another template in tokenizer_config.json."""
    return lambda folder: edit(folder / CONFIG, lambda data: {**data, "chat_template": template})


def file(content: str | bytes) -> Damage:
    """A template of its own file, which goes before the one in tokenizer_config.json."""
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / FILE).write_bytes(raw)


def unknown(folder: Path) -> None:
    edit(folder / CONFIG, lambda data: {k: v for k, v in data.items() if k != "chat_template"})


def linked(folder: Path) -> None:
    (folder.parent / "outside").write_text("{{ 1 }}")
    (folder / FILE).symlink_to(folder.parent / "outside")


def repeated(line: str) -> str:
    """A thousand turns of a line that makes what `n.x` holds larger."""
    return f"{{% set n = namespace(x='aaaa') %}}{{% for i in range(999) %}}{line}{{% endfor %}}"


refused = partial(Case, error=TokenizerError, act=chat)
broken = partial(refused, field="chat template")
entry = partial(refused, reason=LISTS, file=CONFIG, field="chat_template")

CASES = [
    # Not a template.
    entry("a number", says(5)),
    entry("a list of texts", says(["{{ 1 }}"])),
    entry("an object", says({"default": "{{ 1 }}"})),
    entry("an entry without its text", says([{"name": "default"}])),
    entry("an entry without its name", says([{"template": "{{ 1 }}"}])),
    # Not valid.
    broken(
        "an unknown tag", says("a\n{% frobnicate %}"), reason=r"^is not valid in line 2: .*frob"
    ),
    broken("not closed", says("{% for m in messages %}\n"), reason=r"^is not valid in line \d: "),
    broken("half a brace", file("\n\n{{ messages[0 }}"), reason=r"^is not valid in line 3: "),
    broken(
        "an unknown filter", says("{{ 1 | frob }}"), reason=r"line 1: there is no filter 'frob'"
    ),
    broken("an unknown test", says("{{ 1 is frob }}"), reason=r"line 1: there is no test 'frob'"),
    broken(
        "a break in no loop", says("{% break %}"), reason=r"line 1: break stands outside a loop"
    ),
    broken("too long", file("a" * 70_000), reason=r"^is longer than 65536 characters"),
    broken("too deep", says("{{ " + "(" * 5_000 + "1" + ")" * 5_000), reason=r"nested too deeply"),
    broken("too many parts", says("{{a}}" * 13_000), reason=r"too many parts"),
    # It refuses what it is given.
    broken(
        "refuses users",
        file("{% for m in messages %}\n{{ raise_exception('no ' ~ m.role) }}{% endfor %}"),
        reason=r"^stopped in line 2: no user$",
    ),
    broken("undefined", says("{{ a.b }}"), reason=r"^stopped in line 1: 'a' is undefined$"),
    broken("a text and a number", says("{{ 'a' + 1 }}"), reason=r"^stopped in line 1: TypeError"),
    broken("by zero", says("\n\n{{ 1 // 0 }}"), reason=r"^stopped in line 3: ZeroDivisionError"),
    # It runs wild.
    broken("a power", says("{{ 10 ** (10 ** 9) }}"), reason=r"larger than"),
    broken(
        "loops in loops",
        says("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
        reason=r"^stopped in line 1: the template takes too (many steps|much time)$",
    ),
    broken(
        "doubling", file(repeated("{% set n.x = n.x ~ n.x %}")), reason=r"something larger than"
    ),
    broken("nesting", file(repeated("{% set n.x = [n.x, n.x] %}")), reason=r"larger than|nests"),
    broken("a width", says("{{ '%999999999d' % 1 }}"), reason=r"something larger than"),
    broken("a field's width", says("{{ '{:999999999}'.format(1) }}"), reason=r"larger than"),
    broken("many times", says("{{ 'a' * 9999999999 }}"), reason=r"something larger than"),
    broken("range", says("{{ range(10 ** 9) | list }}"), reason=r"OverflowError"),
    broken(
        "calls itself",
        says("{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}"),
        reason=r"more than 64 deep|calls itself for ever",
    ),
    broken(
        "calls itself twice",
        says("{% macro m(n) %}{{ m(n - 1) ~ m(n - 1) if n }}{% endmacro %}{{ m(40) }}"),
        reason=r"too (many steps|much time)|larger than|too much text",
    ),
    # It reaches for Python.
    broken("a class", says("{{ ''.__class__.__mro__ }}"), reason=r"access to '__class__'"),
    broken(
        "globals",
        says("{{ cycler.__init__.__globals__.os.system('true') }}"),
        reason=r"'__init__'",
    ),
    broken("by format", says("{{ '{0.__class__.x}'.format('') }}"), reason=r"'__class__'"),
    broken("by a filter", says("{{ ('' | attr('__class__')).x }}"), reason=r"'__class__'"),
    broken("a file", file("{% include '/etc/passwd' %}"), reason=r"include is not for chat"),
    broken("an import", says("{% import 'os' as os %}{{ os }}"), reason=r"import is not for chat"),
    broken("changes the messages", says("{{ messages.clear() }}"), reason=r"'clear' of 'list'"),
    # Where the file itself is not one.
    refused("not UTF-8", file(b"\xff\xfe{{ 1 }}"), file=FILE, reason=r"UTF-8"),
    Case("a link out of the folder", linked, HubError, r"outside|link", file=FILE, act=chat),
    Case(
        "none at all",
        unknown,
        TokenizerError,
        r"has no chat template",
        field="template",
        hint=r"pass template=",
        act=chat,
    ),
]
