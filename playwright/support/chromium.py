"""Which Chromium the tests drive: one that is installed, or else one we install.

Run as a script it makes sure that there is one: Playwright's own build, or Debian's when this is root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

# Nothing the browser does on its own account may show up as a request of the page.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def system() -> str | None:
    """The path of a Chromium or Chrome of this machine, if it has one."""
    found = (shutil.which(name) for name in NAMES)
    places = (place for place in PLACES if Path(place).exists())
    return os.environ.get("CHROMIUM") or next(filter(None, found), None) or next(places, None)


def bundled() -> str | None:
    """The path of Playwright's own build, if it was installed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def launch_options(*, headless: bool = True) -> dict[str, object]:
    """Keyword arguments for ``chromium.launch``. Chromium's sandbox does not work for root."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    options: dict[str, object] = {"args": flags, "headless": headless}
    if path := system():
        options["executable_path"] = path
    return options


def install() -> str | None:
    """Playwright's build first; where it cannot be had, Debian's."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        subprocess.run(command, check=True, timeout=600)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        script = Path(__file__).parents[2] / "scripts" / "system-package"
        subprocess.run([script, "chromium"], check=True)
    return system() or bundled()


if __name__ == "__main__":
    browser = system() or bundled() or install()
    print(f"browser: {browser or 'none'}")
    sys.exit(0 if browser else "There is no Chromium here and none could be installed.")
