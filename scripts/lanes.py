"""Runs the test lanes side by side and prints each lane's output whole, once it has ended.

Lanes share two cores, so the browser lane is serial in itself and the Python lane takes as many workers as
there are cores. A few tests that failed in that crowd are asked again alone, by themselves: what passes then
is named in the last lines, and is to be looked into. The exit code is 1 if any lane failed; the last line
says how each one did.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
HEARTBEAT = 60.0
WORKERS = str(max(2, os.cpu_count() or 2))
PARALLEL = ("-n", WORKERS, "--dist", "worksteal")
AGAIN = 6  # more failures than these are no accident

FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+\.py::(?:[^\s\[]+(?:\[.*?\](?= - |$))?))", re.MULTILINE)
COUNT = re.compile(r"(\d+) (?:failed|error)")

# A lane is a list of commands, run in order; the first that fails ends it.
LANES: dict[str, list[tuple[str, ...]]] = {
    "static": [
        (PYTHON, "-m", "ruff", "check", "."),
        (PYTHON, "-m", "mypy"),
        ("npm", "run", "--silent", "check"),
    ],
    "script": [("npm", "run", "--silent", "test")],
    "unit": [(PYTHON, "-m", "pytest", *PARALLEL, "tests/unit", "tests/test_architecture.py")],
    "python": [(PYTHON, "-m", "pytest", *PARALLEL, "tests")],
    "browser": [(PYTHON, "-m", "pytest", "playwright")],
    "long": [(PYTHON, "-m", "pytest", "-m", "long", "tests")],
    "browser-long": [(PYTHON, "-m", "pytest", "-m", "long", "playwright")],
}


@dataclass
class Lane:
    name: str
    code: int = 1
    seconds: float = 0.0  # 0 while it runs
    failures: list[str] = field(default_factory=list)

    def run(self, lock: threading.Lock) -> None:
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            for command in LANES[self.name]:
                output.write(f"$ {' '.join(map(shorten, command))}\n".encode())
                output.flush()
                self.code = subprocess.run(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                ).returncode
                if self.code:
                    break
            self.seconds = time.monotonic() - started
            output.seek(0)
            said = output.read()
            self.failures = failures_in(said.decode(errors="replace"))
            with lock:
                say(f"\n===== lane {self.name}: {self.verdict} =====")
                sys.stdout.buffer.write(said)
                sys.stdout.flush()

    def ask_again(self) -> None:
        """The tests that failed, now that nothing else runs."""
        if not self.code or not 0 < len(self.failures) <= AGAIN:
            return
        say(f"\n===== lane {self.name}: {len(self.failures)} again, alone =====")
        command = (PYTHON, "-m", "pytest", "-m", "", *self.failures)  # whatever they are marked with
        self.code = subprocess.run(command, cwd=ROOT, check=False).returncode

    @property
    def verdict(self) -> str:
        if not self.seconds:
            return "running"
        alone = f" ({len(self.failures)} only alone)" if self.failures and self.code == 0 else ""
        return f"{'passed' if self.code == 0 else 'FAILED'} in {self.seconds:.0f} s{alone}"


def failures_in(said: str) -> list[str]:
    """The tests that pytest says have failed; none if they are not all of what went wrong."""
    found = FAILURE.findall(said)
    counted = sum(map(int, COUNT.findall(said.rstrip().rpartition("\n")[2])))
    return sorted(set(found)) if len(found) == counted else []


def shorten(word: str) -> str:
    return "python" if word == PYTHON else word


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serial", action="store_true", help="one lane after the other")
    parser.add_argument("lanes", nargs="+", choices=LANES)
    options = parser.parse_args()

    lock = threading.Lock()
    lanes = [Lane(name) for name in options.lanes]
    threads = [threading.Thread(target=lane.run, args=(lock,), daemon=True) for lane in lanes]
    started = beat = time.monotonic()
    for thread in threads:
        thread.start()
        if options.serial:
            thread.join()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        if time.monotonic() - beat > HEARTBEAT:
            beat = time.monotonic()
            with lock:
                say(
                    f"… {beat - started:.0f} s: " + ", ".join(f"{lane.name} {lane.verdict}" for lane in lanes)
                )
    for lane in lanes:
        lane.ask_again()
    for lane in lanes:
        for test in lane.failures if lane.code == 0 else ():
            say(f"passed only alone: {test}")
    say("\n" + " · ".join(f"{lane.name} {lane.verdict}" for lane in lanes))
    return int(any(lane.code for lane in lanes))


if __name__ == "__main__":
    sys.exit(main())
