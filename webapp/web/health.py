"""Health for machines: alive, and ready to serve."""

from __future__ import annotations

from litestar import Response, get

from webapp.web.guards import ANY_HOST
from webapp.web.services import AppServices


@get("/healthz", opt={ANY_HOST: True})
async def healthz() -> Response[dict[str, str]]:
    """200 while the event loop turns."""
    return Response({"status": "ok"})


@get("/readyz", opt={ANY_HOST: True})
async def readyz(services: AppServices) -> Response[dict[str, str]]:
    """200 when requests can be served; 503 while draining or without a database."""
    if services.drain.is_set():
        return Response({"status": "draining"}, status_code=503)
    try:
        await services.catalog.ping()
    except Exception:  # whatever it is, it is a reason to send no one here
        return Response({"status": "no database"}, status_code=503)
    return Response({"status": "ok"})


ROUTES = [healthz, readyz]
