"""The licence that a model's files name, read from the beginnings of README.md and LICENSE."""

from __future__ import annotations

import re

from blocks.errors import BlocksError, printable
from blocks.hub.source import Source

__all__: list[str] = []

_FRONT = 32_768  # bytes of README.md that its front matter may take
_TITLE = 2_048  # bytes of a licence's text that hold its title
_LONGEST = 80  # characters that are shown
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_FIELD = re.compile(r"(license|license_name)[ \t]*:[ \t]*(.*)")
# The Hub's words for the titles of licences; the first that fits, in this order.
_TITLES = (
    ("mit", r"\bMIT License\b"),
    ("agpl-3.0", r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3"),
    ("lgpl-3.0", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3"),
    ("gpl-3.0", r"GNU GENERAL PUBLIC LICENSE\s+Version 3"),
    ("gpl-2.0", r"GNU GENERAL PUBLIC LICENSE\s+Version 2"),
    ("apache-2.0", r"Apache License[\s,]+Version 2\.0"),
    ("bsd-3-clause", r"BSD 3-Clause"),
    ("cc0-1.0", r"CC0 1\.0"),
    ("cc-by-nc-4.0", r"Attribution-NonCommercial 4\.0"),
    ("cc-by-sa-4.0", r"Attribution-ShareAlike 4\.0"),
    ("cc-by-4.0", r"Attribution 4\.0"),
)


def licence_of(source: Source) -> str | None:
    """What the front matter of README.md says, else the title of the licence's own file.

    It is what the files say, in a word of the Hub's where there is one; None where they say
    nothing, or where they can't be had.
    """
    return _front_matter(_beginning(source, "README.md", _FRONT)) or _title(source)


def _beginning(source: Source, name: str, size: int) -> str:
    """The first bytes of a file as text, without fetching it all; "" where there is none."""
    try:
        found = source.part(name, 0, size) if source.has(name) else None
    except (BlocksError, OSError):
        return ""  # a note that can't be had is none
    return found[0].decode("utf-8", "replace").removeprefix("\ufeff") if found else ""


def _front_matter(text: str) -> str | None:
    """The field `license` between two lines of dashes, or the name that an "other" one has."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return None
    said: dict[str, str] = {}
    for at, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            break
        if found := _FIELD.fullmatch(line.rstrip()):
            said.setdefault(found[1], _plain(found[2]) or _items(lines[at + 1 :]))
    licence = said.get("license")
    if licence in ("", "other", None):
        return said.get("license_name") or licence or None
    return licence


def _items(lines: list[str]) -> str:
    """A list, an item a line."""
    found: list[str] = []
    for line in lines:
        if not line.lstrip().startswith("- "):
            break
        found.append(_plain(line.strip()[2:]))
    return printable(", ".join(found), _LONGEST)


def _plain(value: str) -> str:
    """A word, or several between brackets, without quotes and what is said of them."""
    value = re.sub(r"(^|\s)#.*", "", value).strip()
    words = value[1:-1].split(",") if value[:1] == "[" and value[-1:] == "]" else [value]
    return printable(", ".join(word.strip().strip("'\"") for word in words), _LONGEST)


def _title(source: Source) -> str | None:
    for name in _FILES:
        if text := _beginning(source, name, _TITLE):
            known = (word for word, title in _TITLES if re.search(title, text, re.IGNORECASE))
            lines = (line.strip("# \t") for line in text.splitlines())
            first = next((line for line in lines if line), None)
            return next(known, None) or (first and printable(first, _LONGEST))
    return None
