"""One thread a worker and the same random numbers every time."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    torch.manual_seed(0)
