"""Which tests the lanes ask again alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.lanes import failures_in

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no - such luck")

@pytest.mark.parametrize("name", ["GET /a b", "c[d]", "fine"])
def test_names(name):
    assert name == "fine"

def test_needs(broken): ...

@pytest.mark.slow
def test_marked():
    assert False
"""


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    command = (sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *arguments)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_all_that_failed_is_found_and_can_be_asked_again(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -m 'not slow'\nmarkers = slow\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    _, said = run(tmp_path, "-m", "")
    failures = failures_in(said)
    assert len(failures) == 4
    code, said = run(tmp_path, "-m", "", *failures)
    assert code == 1
    assert failures_in(said) == failures
    assert failures_in(said + "\nKilled\n===== 5 failed in 3 s =====") == []


def test_what_ends_without_a_count_is_not_asked_again() -> None:
    assert failures_in("FAILED tests/test_a.py::test_b - no\nKilled") == []
