"""strace, where a test may use it: it kills, fails and watches system calls of a process under test."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache

import pytest


@lru_cache
def strace() -> str:
    """Where strace is. Skips without it, or if it may not trace."""
    found = shutil.which("strace")
    if found:
        trial = subprocess.run([found, "-o", os.devnull, "true"], check=False, capture_output=True)
        if trial.returncode == 0:
            return found
    pytest.skip("strace is missing or may not trace")
