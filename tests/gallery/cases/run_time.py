"""What goes wrong while models run: their arguments, their weights and their folders."""

from __future__ import annotations

from tests.gallery.cases import run_time_calls, run_time_folders

CASES = [*run_time_calls.CASES, *run_time_folders.CASES]
