"""The protocol's own conformance suite, from npm, against a stream server of each store."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT, ServerProcess

SUITE = Path(__file__).with_name("official-suite.test.js")
VITEST = ROOT / "node_modules" / "vitest" / "vitest.mjs"
STORES = ("sqlite", "memory")
OPTIONAL = "Reserved subscription APIs"
"""The one group of the suite that is off by default; we do not serve subscriptions."""


BY_THE_CLOCK = ("TTL Expiration Behavior",)
"""Groups whose tests sleep nearly as long as a stream lives. On a busy machine one may oversleep, and is
asked once more with nothing beside it.
"""


def run_suite(server: ServerProcess, report: Path, *, only: str = "") -> list[dict[str, Any]]:
    """Every test of the suite with its outcome, as vitest reports them. ``only``: the full name of one."""
    node = shutil.which("node")
    assert node, "Node is needed to run the suite"
    done = subprocess.run(
        [
            *(node, str(VITEST), "run", str(SUITE.relative_to(ROOT)), "--cache=false"),
            *("--reporter=json", f"--outputFile={report}"),
            *(("--testNamePattern", re.escape(only)) if only else ()),
            "--testTimeout=60000",  # vitest's own five seconds are no verdict on a busy machine
        ],
        cwd=ROOT,
        env=os.environ | {"STREAMS_URL": server.url, "CI": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    (file,) = json.loads(report.read_text())["testResults"]
    tests: list[dict[str, Any]] = file["assertionResults"]
    assert tests, file["message"]
    return tests


@pytest.mark.slow
def test_every_test_of_the_suite_passes(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """Both stores at once: much of the time of one is spent asleep, waiting for streams to expire."""
    servers = [
        start_server(
            store,
            command="streams",
            args=("--store", store),
            env={"DURABLE_CHAT_STREAMS_LONG_POLL_TIMEOUT": "0.5"},
        )
        for store in STORES
    ]
    with ThreadPoolExecutor(len(STORES)) as pool:
        runs = list(pool.map(lambda s: run_suite(s, tmp_path / f"{s.data_dir.name}.json"), servers))
    for server, tests in zip(servers, runs, strict=True):
        for test in tests:
            if test["status"] == "failed" and test["ancestorTitles"][-1] in BY_THE_CLOCK:
                alone = run_suite(server, tmp_path / "again.json", only=test["fullName"])
                test.update(next(each for each in alone if each["fullName"] == test["fullName"]))
    problems = [
        f"{store}: {test['fullName']}: {test['status']}\n{''.join(test['failureMessages'][:1])[:600]}"
        for store, tests in zip(STORES, runs, strict=True)
        for test in tests
        if test["status"] != "passed" and OPTIONAL not in test["ancestorTitles"]
    ]
    assert not problems, "\n".join(problems)
    for tests in runs:
        assert Counter(test["status"] for test in tests) == {"passed": 332, "skipped": 6}
