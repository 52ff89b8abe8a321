"""``python -m benchmarks [NAME …]``: run the benchmarks one after the other, each in a process of its own."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)}; default all")
    chosen = parser.parse_args().names or NAMES
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}", flush=True)
    failed = False
    for name in chosen:
        done = subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"], check=False)
        failed = failed or done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
