"""Imports only go down: the floors of the design, walked with ``ast``."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rjsmin

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "webapp"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The longest prefix that fits decides. A module may import from its own floor or a lower one.
FLOORS = {
    "webapp.streams.wire": 0,
    "webapp.streams.protocol": 0,
    "webapp.streams.store": 1,
    "webapp.streams.limits": 1,
    "webapp.streams.signals": 1,
    "webapp.streams.live": 2,
    "webapp.streams.engine": 2,
    "webapp.streams": 3,
    "webapp.chat": 4,
    "webapp.agents": 4,
    "webapp.sharing": 4,
    "webapp.session": 4,
    "webapp": 5,
}

# Each library has its rooms, and floor 0 does no input or output at all.
ROOMS = {
    "litestar": ("webapp.web", "webapp.app", "webapp.lifespan", "webapp.cli"),
    "jinja2": ("webapp.web", "webapp.app", "webapp.lifespan"),
    "uvicorn": ("webapp.web",),
    "httptools": ("webapp.streams.http1",),
    "httpx": ("webapp.streams.clients.http",),
    "sqlite3": ("webapp.streams.store",),
    "sqlalchemy": ("webapp.chat.catalog",),
    "pydantic_ai": ("webapp.agents.pydantic_ai",),
    "ag_ui": ("webapp.agents.pydantic_ai",),
}
IO = ("asyncio", "selectors", "socket", "sqlite3", "ssl", "subprocess", "threading")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def belongs(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def floor_of(module: str) -> int:
    return FLOORS[max((prefix for prefix in FLOORS if belongs(module, prefix)), key=len)]


def imports_of(path: Path) -> Iterator[str]:
    """Every module that ``path`` imports anywhere, inside functions and under TYPE_CHECKING too."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            submodules = {name_of(module) for module in MODULES}
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in submodules else base


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_go_down(path: Path) -> None:
    module = name_of(path)
    ours = [other for other in imports_of(path) if belongs(other, "webapp")]
    up = [other for other in ours if floor_of(other) > floor_of(module)]
    assert not up, f"{module} (floor {floor_of(module)}) imports upwards: {up}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    module = name_of(path)
    strays = [
        other
        for other in imports_of(path)
        for library, rooms in ROOMS.items()
        if belongs(other, library) and not any(belongs(module, room) for room in rooms)
    ]
    assert not strays, f"{module} must not import {strays}"


@pytest.mark.parametrize("path", [path for path in MODULES if floor_of(name_of(path)) == 0], ids=name_of)
def test_the_protocol_is_sans_io(path: Path) -> None:
    assert not [other for other in imports_of(path) if any(belongs(other, library) for library in IO)]


def test_streams_could_be_published_alone() -> None:
    foreign = {
        (name_of(path), other)
        for path in MODULES
        if belongs(name_of(path), "webapp.streams")
        for other in imports_of(path)
        if belongs(other, "webapp") and not belongs(other, "webapp.streams")
    }
    assert not foreign


def test_the_session_helpers_need_neither_our_web_nor_our_catalog() -> None:
    """They are for apps of others, which have their own."""
    seen = "import sys, webapp.session; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", seen], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"litestar", "sqlalchemy", "jinja2", "uvicorn"} & set(loaded.stdout.split())


IMPORT = re.compile(r"""\b(?:import\s*\(?|(?:import|export)\b[^;"'()]*?\bfrom\s*)["']([^"']+)["']""")


def test_browser_modules_import_downwards() -> None:
    """The library needs no page, the page no lab, and none of them a package."""
    below = {"": {""}, "page": {"", "page"}, "lab": {"", "page", "lab"}}
    root = ROOT / "static" / "js"
    scripts = sorted(root.rglob("*.js"))
    assert {script.parent.relative_to(root).name for script in scripts} == below.keys()
    for script in scripts:
        code = rjsmin.jsmin(script.read_text())
        for source in IMPORT.findall(code):
            assert source.startswith("."), f"{script.name} imports {source}"
            imported = (script.parent / source).resolve()
            assert imported in scripts, f"{script.name} imports {source}"
            assert imported.parent.relative_to(root).name in below[script.parent.relative_to(root).name], (
                f"{script.name} imports {source}"
            )
