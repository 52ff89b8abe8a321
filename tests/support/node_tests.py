"""Runs the tests of a JavaScript file with Node, against servers that a Python test has started."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.support.node_streams import node
from tests.support.server import ROOT


def run_node_tests(script: Path, *, passes: int, timeout: float, **env: str) -> None:
    """Exactly ``passes`` tests pass and none fails, so that none is left out unseen.

    Node ends once they are over: published clients keep connections for as long as the process lives.
    """
    done = subprocess.run(
        [node(), "--test", "--test-force-exit", "--test-reporter=tap", str(script)],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.M)
    assert passed, done.stdout
    assert int(passed[1]) == passes
