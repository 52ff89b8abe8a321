"""Health for machines: alive, and ready to serve."""

from __future__ import annotations

from litestar import Response

from webapp.web.guards import ANY_HOST
from webapp.web.reads import read
from webapp.web.services import AppServices


@read("/healthz", opt={ANY_HOST: True})
async def healthz() -> Response[dict[str, str]]:
    """200 while the event loop turns."""
    return Response({"status": "ok"})


@read("/readyz", opt={ANY_HOST: True})
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
