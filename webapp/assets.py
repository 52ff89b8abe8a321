"""Where templates and static files are, and the static files in memory, addressed by their content.

Owns the lookup (repository or wheel), the hash that is part of every static address, MIME types and gzip.
Knows nothing of HTTP. The hash covers the whole tree and is one path segment, because JavaScript modules
import each other by relative address: a changed module must change the address of every importer.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath

import rjsmin

_PACKAGE = Path(__file__).resolve().parent

MIME_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
    ".webmanifest": "application/manifest+json",
}
_IMPORT = re.compile(rb"""\b(?:import|from)\s*["'](\.{1,2}/[\w/-]+\.js)["']""")
_COMPRESSIBLE = {".css", ".js", ".json", ".svg", ".txt", ".map", ".webmanifest"}


def locate(name: str) -> Path:
    """The directory ``templates`` or ``static``: inside an installed wheel, else at the repository's root."""
    installed = _PACKAGE / "_assets" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, the same gzipped where that is smaller, and its type."""

    body: bytes
    gzipped: bytes | None
    media_type: str


class Assets:
    """Every static file below ``root``, read once. Files of unknown type, such as READMEs, are not served."""

    def __init__(self, root: Path) -> None:
        self._files = _load(root)
        digest = hashlib.sha256()
        for path, asset in sorted(self._files.items()):
            digest.update(path.encode() + b"\0" + hashlib.sha256(asset.body).digest())
        self.version = digest.hexdigest()[:12]

    def url(self, path: str) -> str:
        """The address of ``css/app.css``. It changes whenever any static file changes."""
        return f"/static/{self.version}/{path.lstrip('/')}"

    def get(self, path: str) -> Asset | None:
        """The file at ``path`` such as ``css/app.css``; None if there is none. Never touches the disk."""
        return self._files.get(path)

    def modules(self, entry: str) -> list[str]:
        """The modules that ``entry`` needs before it runs, itself first and each once.

        A page that names them all in its head saves a round trip per level of imports.
        """
        found = [entry]
        for path in found:
            names = _IMPORT.findall(self._files[path].body)
            wanted = (normpath(PurePosixPath(path).parent / name.decode()) for name in names)
            found += (one for one in dict.fromkeys(wanted) if one not in found)
        return found

    @property
    def files(self) -> Mapping[str, Asset]:
        return self._files


def _load(root: Path) -> dict[str, Asset]:
    files = {}
    for file in sorted(root.rglob("*")) if root.is_dir() else ():
        media_type = MIME_TYPES.get(file.suffix)
        if media_type is None or not file.is_file():
            continue
        body = file.read_bytes()
        if file.suffix == ".js" and "vendor" not in file.parts:
            body = rjsmin.jsmin(body)  # comments are for readers of the source
        # mtime=0: the same file gives the same bytes on every start.
        packed = gzip.compress(body, 9, mtime=0) if file.suffix in _COMPRESSIBLE else body
        path = str(PurePosixPath(file.relative_to(root)))
        files[path] = Asset(body, packed if len(packed) < len(body) else None, media_type)
    return files
