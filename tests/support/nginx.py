"""A real nginx in front of a server, with the configuration that the documentation gives, or worse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import pytest

from tests.support.server import ROOT
from tests.support.waiting import eventually, free_port

SITE = ROOT / "docs" / "deploy" / "nginx.conf"

# What any nginx has around its sites, kept below one directory.
WHOLE = """
daemon off;
master_process off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log {home}/access.log;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{site}
}}
"""

# A proxy by somebody who has read no documentation.
BARE = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{target};
        proxy_set_header Host $http_host;
    }}
}}
"""

# Compresses everything, and so keeps a reply until there is much of it.
HOLDS_BACK = {
    "proxy_ignore_headers": "X-Accel-Buffering",
    "gzip": "on",
    "gzip_types": "*",
    "gzip_proxied": "any",
    "gzip_min_length": "1",
}


def nginx() -> str:
    """Where nginx is. Skips without it."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found:
        return found
    pytest.skip("nginx is missing")


def site(port: int, target: int, lines: Mapping[str, str]) -> str:
    """The documented file at another address and without TLS, with these ``lines`` in its location."""
    text = SITE.read_text()
    changes = {
        r"server 127\.0\.0\.1:8000;": f"server 127.0.0.1:{target};",
        r"listen 443 ssl http2;": f"listen 127.0.0.1:{port};",
        r"ssl_certificate .*\n": "\n",
        r"ssl_certificate_key .*\n": "\n",
    }
    more = ""
    for directive, value in lines.items():
        if re.search(rf"^ *{directive} ", text, re.MULTILINE):
            changes[rf"(?m)^ *{directive} .*;"] = f"{directive} {value};"
        else:
            more += f" {directive} {value};"
    changes[r"proxy_pass .*;"] = f"proxy_pass http://durable_chat;{more}"
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new, text)
        assert count == 1, f"{pattern} is there {count} times"
    return text


class Nginx:
    """nginx before ``target``, as long as the ``with``. ``bare`` leaves the documented file out."""

    def __init__(
        self, home: Path, target: int, *, bare: bool = False, lines: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self._home = home
        text = BARE.format(port=self.port, target=target) if bare else site(self.port, target, lines or {})
        home.mkdir(parents=True)
        (home / "nginx.conf").write_text(WHOLE.format(home=home, site=text))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The requests that have ended, as the access log has them."""
        return (self._home / "access.log").read_text().splitlines()

    def __enter__(self) -> Self:
        command = [
            nginx(),
            "-p",
            str(self._home),
            "-e",
            str(self._home / "error.log"),
            "-c",
            str(self._home / "nginx.conf"),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        eventually(lambda: self._process.poll() is not None or self._answers(), what="nginx is there")
        assert self._process.poll() is None, (self._home / "error.log").read_text()
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
