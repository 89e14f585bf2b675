"""What is written from the modules is fresh, and names never collide."""

from __future__ import annotations

from pathlib import Path

import index
import pages
import pytest

import blocks


def package(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "pack" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "pack"


def test_the_index_is_fresh() -> None:
    assert index.main(["--check"]) == 0, "run `make index`"


def test_no_public_name_is_a_file_or_folder() -> None:
    assert not index.collisions()


def test_the_pages_are_fresh() -> None:
    assert pages.main(["--check"]) == 0, "run `make index`"


@pytest.mark.parametrize("name", blocks.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in dir(blocks)
    assert getattr(blocks, name) is getattr(blocks, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="GQAttentoin"):
        blocks.GQAttentoin  # noqa: B018  # the look-up is what is tested


def test_every_public_name_has_a_docstring() -> None:
    items = [i for i in index.public().values() if i.kind != "value"]
    without = [i.name for i in items if not getattr(blocks, i.name).__doc__]
    assert not without


def test_reads_only_public_names(tmp_path: Path) -> None:
    here = package(
        tmp_path,
        a="__all__ = ['A']\nclass A: ...\nclass Hidden: ...",
        c="__all__ = ['R', 'V']\n@dataclass\nclass R: ...\n@dataclass(frozen=True)\nclass V: ...",
        sub___private="__all__ = ['No']",
        cli__main="__all__ = ['main']",
        sub__b="__all__: list[str] = ['b2', 'C']\ndef b2(): ...\nC = 1",
    )
    found = {i.name: (i.module, i.kind) for i in index.public(here).values()}
    assert found == {
        "A": ("pack.a", "class"),
        "C": ("pack.sub.b", "value"),
        "R": ("pack.c", "record"),
        "V": ("pack.c", "class"),
        "b2": ("pack.sub.b", "function"),
    }


def test_a_name_offered_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(index.IndexProblem, match=r"offered by pack\.a and pack\.b"):
        index.public(package(tmp_path, a="__all__ = ['X']", b="__all__ = ['X']"))


def test_a_computed_list_of_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(index.IndexProblem, match="not a literal list"):
        index.public(package(tmp_path, a="__all__ = [x for x in 'ab']"))


@pytest.mark.parametrize(("name", "place"), [("sub", "pack/sub"), ("b", "pack/sub/b.py")])
def test_a_name_of_a_file_or_folder_is_a_collision(tmp_path: Path, name: str, place: str) -> None:
    found = index.collisions(package(tmp_path, a=f"__all__ = ['{name}', 'fine']", sub__b=""))
    assert found == [f"'{name}' of pack.a is also the name of {place}"]


def test_a_page_without_its_block_is_stale(tmp_path: Path) -> None:
    left = tmp_path / "docs" / "blocks" / "Gone.md"
    left.parent.mkdir(parents=True)
    left.write_text("# Gone")
    assert list(pages.stale({}, tmp_path)) == [left]
