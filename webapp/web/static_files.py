"""Static files over HTTP: from memory, addressed by content, kept by browsers for good."""

from __future__ import annotations

from litestar import Response
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from webapp.assets import Assets
from webapp.web.bodies import ChatRequest
from webapp.web.reads import read

FOR_EVER = "public, max-age=31536000, immutable"


@read("/static/{version:str}/{path:path}")
async def static_file(version: FromPath[str], path: FromPath[str], request: ChatRequest) -> Response[bytes]:
    """A page of an earlier release gets today's file under its old address, and must not keep it."""
    assets: Assets = request.app.state["assets"]
    asset = assets.get(path.lstrip("/"))
    if asset is None:
        raise NotFoundException
    headers = {
        "Cache-Control": FOR_EVER if version == assets.version else "no-cache",
        "Vary": "Accept-Encoding",
    }
    body = asset.body
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = asset.gzipped
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=asset.media_type, headers=headers)


ROUTES = [static_file]
