"""Every Python example of the README and the docs runs; a page's examples share one namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from index import ROOT

WRITTEN = {"blocks", "families"}  # pages made from docstrings, whose examples run as doctests
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [p for p in sorted(DOCS.rglob("*.md")) if p.relative_to(DOCS).parts[0] not in WRITTEN]
TRAINING = {"take-apart.md"}  # takes longer than a fast test may
FENCE = re.compile(
    r"^(?:<!-- no-run:(?P<reason>.*)-->\n)?(?P<fence>```+)python\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


def examples(text: str) -> list[tuple[int, str]]:
    """(line, code) of each example that runs; `<!-- no-run: why -->` above a fence keeps it out."""
    found = []
    for match in FENCE.finditer(text):
        if match["reason"] is None:
            found.append((text[: match.start("code")].count("\n"), match["code"]))
        else:
            assert len(match["reason"].split()) > 2, "no-run needs a reason"
    return found


def _marked(page: Path) -> object:
    return pytest.param(page, marks=pytest.mark.slow) if page.name in TRAINING else page


@pytest.mark.parametrize("page", [*map(_marked, PAGES)], ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    namespace: dict[str, object] = {"__name__": "example"}
    for line, code in examples(page.read_text(encoding="utf-8")):
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_examples_are_found() -> None:
    text = "a\n```python\nx = 1\n```\n<!-- no-run: needs the network -->\n```python\ny\n```\n"
    assert examples(text) == [(2, "x = 1\n")]
    with pytest.raises(AssertionError, match="reason"):
        examples("<!-- no-run: -->\n```python\ny\n```\n")


def test_no_example_hides_from_the_test() -> None:
    odd = re.compile(r"^```+ *(?:py|python3|pycon|Python)\b|^```+ *python[^\n]", re.MULTILINE)
    assert not [p.name for p in PAGES if odd.search(p.read_text(encoding="utf-8"))]
