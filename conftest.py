"""Rules that hold for every test, wherever it lives.

* With ``CI`` set, a skip is a failure: a test that did not run proves nothing.
* Randomness comes from one seed, printed at the top; ``TEST_SEED=…`` repeats a run.
* A test has 30 s, one in a browser 90: cut off, it would take the browser of all that follow with it.
  ``slow`` and ``long`` ones have five minutes, or what their own ``timeout`` marker says.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["tests.support.upstreams"]

# A slow machine is no counterexample.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")

SLOW_TIMEOUT = 300
BROWSER_TIMEOUT = 90
BROWSER_TESTS = Path(__file__).parent / "playwright"


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("TEST_SEED", str(secrets.randbelow(10**9)))  # workers of xdist inherit it


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: TEST_SEED={os.environ['TEST_SEED']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout"):
            continue
        if item.get_closest_marker("slow") or item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))
        elif item.path.is_relative_to(BROWSER_TESTS):
            item.add_marker(pytest.mark.timeout(BROWSER_TIMEOUT))


def _fail_skips(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"With CI set a skip is a failure. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_skips(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_skips(report)
    return report


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness of this test alone: from the run's seed and the test's name."""
    seed = f"{os.environ['TEST_SEED']}:{request.node.nodeid}"
    print(f"seed: {seed}")
    return random.Random(seed)
