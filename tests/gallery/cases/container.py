"""Weight files that are not what they say: as files, in their headers and in their numbers."""

from __future__ import annotations

from tests.gallery.cases import container_files, container_headers, container_values

CASES = [*container_files.CASES, *container_headers.CASES, *container_values.CASES]
