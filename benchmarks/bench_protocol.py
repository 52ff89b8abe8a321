"""The stream server over HTTP, side by side with the protocol's reference server on Node and a bare loop.

Each server runs in a process of its own and so does the load (``http_load``). The reference server comes from
npm (``npm ci``); without it only ours is measured. Ours syncs every append to disk before it acknowledges it;
the reference server's file mode keeps streams on disk.

Machines are noisy, so the servers take turns at each case; of several ``--rounds`` the median counts.
``--write`` puts the tables into docs/benchmarks.md and every figure into docs/benchmarks.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.node_streams import SCRIPT
from tests.support.server import ROOT, clean_environ
from tests.support.waiting import eventually, free_port

OURS, MEMORY, NODE_FILE, NODE_MEMORY, BARE = "ours", "ours, memory", "Node file", "Node memory", "bare loop"
SERVERS = (OURS, MEMORY, NODE_FILE, NODE_MEMORY, BARE)
SECONDS = 3
PATIENCE = 30
DOCS = ROOT / "docs"

Results = dict[str, dict[str, dict[str, float]]]
"""Figures by case, server and name."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a scenario of ``http_load``, and which of its figures is compared."""

    title: str
    scenario: str
    options: tuple[str, ...]
    figure: str = "per second"
    wanted: str = ""
    """What we set out for, in words."""


_FAN_OUT = {
    1: "",
    100: "all 20,000, p50 ≤ 8 ms, p99 ≤ 40 ms, ≥ 15 × file",
    500: "all 100,000, ≥ 3 × memory",
}
CASES = (
    *(
        Case(
            f"appends/s, {n} connections",
            "appends",
            (f"connections={n}", f"seconds={SECONDS}"),
            wanted=wanted,
        )
        for n, wanted in ((1, ""), (32, "≥ 6 × file, ≥ 0.6 × memory"))
    ),
    *(
        Case(
            f"appends/s, 32 connections, one stream after {n:,}",
            "appends",
            ("connections=32", f"seconds={SECONDS}", "shared=1", f"earlier={n}"),
            wanted=wanted,
        )
        for n, wanted in ((0, ""), (20_000, "no slower than an empty one"))
    ),
    *(
        Case(
            f"delivered/s, {n} readers × 200/s",
            "fan-out",
            (f"readers={n}", f"seconds={SECONDS}"),
            wanted=wanted,
        )
        for n, wanted in _FAN_OUT.items()
    ),
    *(
        Case(f"catch-up MB/s, {n} readers", "catch-up", (f"readers={n}",), "MB per second", "≥ 3 × both")
        for n in (1, 8)
    ),
    Case("kB per idle reader, 1,000 readers", "idle", ("readers=990",), "kB per reader", "≤ 12"),
    *(
        Case(f"fork of {n:,} messages, ms", "fork", (f"messages={n}",), "p50 ms", wanted)
        for n, wanted in ((100, ""), (100_000, "as for 100"))
    ),
)


@contextmanager
def running(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Start server ``name``; its port and process id."""
    port = free_port()
    data_dir = folder / name.replace(" ", "-")
    ours = [sys.executable, "-m", "webapp", "streams", "--port", str(port), "--data-dir", str(data_dir)]
    js = ["node", str(SCRIPT), str(port)]
    command = {
        OURS: ours,
        MEMORY: [*ours, "--store", "memory"],
        NODE_FILE: [*js, str(data_dir)],
        NODE_MEMORY: js,
        BARE: [sys.executable, "-m", "benchmarks.bare_server", str(port)],
    }[name]
    with (folder / "log").open("ab") as log:
        # In a session of its own, because a launcher may not pass the signal on to Node.
        process = subprocess.Popen(
            command, cwd=ROOT, env=clean_environ(), stdout=log, stderr=log, start_new_session=True
        )
        try:
            eventually(lambda: _accepts(port), timeout=30, what=f"the server {name}")
            yield port, process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def _accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def measure(case: Case, port: int, pid: int) -> dict[str, float]:
    line = [sys.executable, "-m", "benchmarks.http_load", case.scenario, str(port), str(pid), *case.options]
    try:
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        print(f"  not done in {PATIENCE} s", flush=True)
        return {}
    if done.returncode:
        print(f"  failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
        return {}
    result: dict[str, float] = json.loads(done.stdout)
    return result


def measured(servers: Sequence[str], cases: Sequence[Case], *, rounds: int) -> Results:
    """Medians of ``rounds``. Each measurement has a server of its own, so none starts with another's data."""
    results: Results = {}
    for case in cases:
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            for name in servers:
                if name == BARE and case.scenario != "fan-out":
                    continue
                with tempfile.TemporaryDirectory() as folder, running(name, Path(folder)) as (port, pid):
                    figures = measure(case, port, pid)
                found.setdefault(name, []).append(figures)
                told = ", ".join(f"{key} {value:,.1f}" for key, value in figures.items())
                print(f"{case.title}; {name}: {told}", flush=True)
        results[case.title] = {name: _medians(each) for name, each in found.items()}
    return results


def _medians(found: Sequence[dict[str, float]]) -> dict[str, float]:
    done = [figures for figures in found if figures]
    return {key: statistics.median(figures[key] for figures in done) for key in (done[0] if done else ())}


def markdown(results: Results, servers: Sequence[str]) -> Iterator[str]:
    """The compared figures as a table, and the details of the fan-out as another."""
    against = [name for name in (NODE_FILE, NODE_MEMORY) if name in servers]
    yield "| | " + " | ".join([*servers, *(f"ours / {name}" for name in against), "wanted"]) + " |"
    yield "|---" + "|--:" * (len(servers) + len(against)) + "|---|"
    for case in CASES:
        by_server = results.get(case.title)
        if by_server is None:
            continue
        figures = [by_server.get(name, {}).get(case.figure) for name in servers]
        ours = by_server.get(OURS, {}).get(case.figure)
        others = [by_server.get(name, {}).get(case.figure) for name in against]
        ratios = [f"{ours / other:.2f} ×" if ours and other else "–" for other in others]
        cells = ["–" if figure is None else f"{figure:,.1f}" for figure in figures]
        yield f"| {case.title} | " + " | ".join([*cells, *ratios, case.wanted]) + " |"
    yield ""
    yield "| | server | delivered/s | missing | p50 ms | p99 ms | server CPU % |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for case in CASES:
        if case.scenario != "fan-out":
            continue
        for name, found in results.get(case.title, {}).items():
            columns = ("per second", "missing", "p50 ms", "p99 ms", "cpu %")
            cells = [f"{found[key]:,.1f}" if key in found else "–" for key in columns]
            yield f"| {case.title} | {name} | " + " | ".join(cells) + " |"


def write(results: Results, table: str, *, rounds: int) -> None:
    """Replace the figures in docs/benchmarks.md, which lie between two comments, and docs/benchmarks.json."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    machine = (
        f"Python {platform.python_version()}, Node {node.removeprefix('v')}, {os.cpu_count()} cores, "
        f"{platform.system()}; medians of {rounds}."
    )
    page = DOCS / "benchmarks.md"
    text = page.read_text()
    figures = f"<!-- figures -->\n{machine}\n\n{table}\n<!-- end of figures -->"
    page.write_text(
        re.sub(r"<!-- figures -->.*<!-- end of figures -->", lambda _: figures, text, flags=re.DOTALL)
    )
    (DOCS / "benchmarks.json").write_text(json.dumps(results, indent=2) + "\n")


def has_reference() -> bool:
    return (ROOT / "node_modules" / "@durable-streams" / "server").is_dir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="measure the cases whose title contains this")
    parser.add_argument("--servers", default="", help="measure these servers, separated by semicolons")
    parser.add_argument("--rounds", type=int, default=1, help="measure so often and take the medians")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks.md and .json")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    servers = options.servers.split(";") if options.servers else list(SERVERS)
    if not has_reference():
        print("@durable-streams/server is not installed: only our own server is measured")
        servers = [name for name in servers if name not in (NODE_FILE, NODE_MEMORY)]
    cases = [case for case in CASES if options.only in case.title]
    results = measured(servers, cases, rounds=options.rounds)
    table = "\n".join(markdown(results, servers))
    print(f"\n{table}")
    if options.write:
        write(results, table, rounds=options.rounds)


if __name__ == "__main__":
    main()
