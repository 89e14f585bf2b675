"""Both builders make the site from one mkdocs.yml, strictly, with every page of the nav."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from index import ROOT

pytestmark = pytest.mark.slow


def leaves(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(part)


@pytest.fixture(scope="module")
def nav() -> list[str]:
    yaml = pytest.importorskip("yaml", reason="needs the extra [docs]")
    return list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))


def build(*command: str) -> None:
    pytest.importorskip(command[0], reason="needs the extra [docs]")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", params=["mkdocs", "zensical"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "mkdocs":
        there = tmp_path_factory.mktemp("site")
        build("mkdocs", "build", "--strict", "--site-dir", str(there))
        return there
    there = ROOT / "site"  # zensical builds where mkdocs.yml says
    shutil.rmtree(there, ignore_errors=True)
    build("zensical", "build", "--strict", "--clean")
    return there


def test_the_site_has_the_pages_of_the_nav(site: Path, nav: list[str]) -> None:
    folders = {page.removesuffix(".md").removesuffix("index").rstrip("/") for page in nav}
    built = {str(p.parent.relative_to(site)) for p in site.rglob("index.html")}
    assert {folder or "." for folder in folders} == built


def test_docstrings_are_in_the_pages(site: Path, nav: list[str]) -> None:
    empty = []
    for page in nav:
        wanted = re.findall(r"^::: (\S+)$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)
        folder = page.removesuffix(".md").removesuffix("index")
        text = (site / folder / "index.html").read_text(encoding="utf-8")
        empty += [f"{page}: {name}" for name in wanted if f'id="{name}"' not in text]
    assert not empty


def test_every_page_is_in_the_nav(nav: list[str]) -> None:
    docs = ROOT / "docs"
    assert {str(p.relative_to(docs)) for p in docs.rglob("*.md")} == set(nav)
