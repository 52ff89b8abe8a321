"""A catalog to test in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from webapp.chat.catalog import Catalog


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield opened
    await opened.aclose()
