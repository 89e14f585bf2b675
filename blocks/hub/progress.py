"""The bar of long work, which obeys the hub's switch (HF_HUB_DISABLE_PROGRESS_BARS)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from tqdm.auto import tqdm

__all__: list[str] = []

Item = TypeVar("Item")


def progress(items: Collection[Item], title: str) -> Iterable[Item]:
    """The items one after another, with a bar on a terminal where there are several."""
    from huggingface_hub.utils import are_progress_bars_disabled

    silent = len(items) < 2 or are_progress_bars_disabled() or None
    return tqdm(items, title, disable=silent, leave=False)
