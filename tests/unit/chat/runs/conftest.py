"""Who acts in the tests of runs."""

from __future__ import annotations

import pytest

from tests.support.approvals import Sender


@pytest.fixture
def sender() -> Sender:
    return Sender()
