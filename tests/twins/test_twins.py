"""Each block gives what its formula gives, with every option."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.twins.combine import few
from tests.twins.harness import check_twin
from tests.twins.table import ENTRIES


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_a_block_is_its_formula(name: str) -> None:
    check_twin(name, ENTRIES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in sorted(ENTRIES) if not few(ENTRIES[name].grid)])
def test_more_combinations_of_chance(name: str) -> None:
    """Some of which are worse conditioned: small denominators, norms of two channels."""
    entry = ENTRIES[name]
    loose = replace(entry, double=10 * entry.double, single=10 * entry.single)
    check_twin(name, loose, more=60)
