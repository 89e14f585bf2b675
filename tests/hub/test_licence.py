"""The licence is what README.md or LICENSE say, whatever else they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.hub.licence import licence_of
from blocks.hub.source import resolve

APACHE = " " * 33 + "Apache License\n" + " " * 27 + "Version 2.0, January 2004\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nlicense: apache-2.0\ntags:\n- a\n---\n# Model", "apache-2.0"),
        ('---\nlanguage: en\nlicense: "mit"  # as it was\n---\n', "mit"),
        ("---\r\nlicense: cc-by-4.0\r\n---\r\n", "cc-by-4.0"),
        ("---\nlicense:\n- gpl-3.0\n- 'mit'\ntags: []\n---\n", "gpl-3.0, mit"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\nlicense: other\nlicense_name: my-own\nlicense_link: x\n---\n", "my-own"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nmodel-index:\n- license: no\n  license: no\n---\n", None),
        ("---\ntags: []\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("", None),
        ("---\nlicense: \x1b[31mred\n---\n", "\\x1b[31mred"),
        ("---\nlicense: " + "x" * 1_000 + "\n---\n", "x" * 1_000),
        ("---\n" + "a: b\n" * 100_000 + "license: mit\n---\n", None),
    ],
)
def test_front_matter(text: str, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(text.encode())
    found = licence_of(resolve(tmp_path))
    if expected and len(expected) > 200:
        assert found and len(found) < 200 and found.startswith("xxx")
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LICENSE", APACHE, "apache-2.0"),
        ("LICENSE.txt", "MIT License\n\nCopyright (c) 2026", "mit"),
        ("LICENSE.md", "# LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nVersion", None),
        ("COPYING", "  GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "gpl-3.0"),
        ("LICENSE", "\n\n", None),
    ],
)
def test_the_title_of_a_licence(name: str, text: str, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    title = "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT" if "LLAMA" in text else expected
    assert licence_of(resolve(tmp_path)) == title


def test_the_card_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(APACHE)
    assert licence_of(resolve(tmp_path)) == "apache-2.0"
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert licence_of(resolve(tmp_path)) == "mit"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("---\nlicense: mit\n---\n")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "README.md").symlink_to(outside)
    assert licence_of(resolve(tmp_path / "model")) is None
