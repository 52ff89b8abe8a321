"""``@read(path)``: a route that only reads. HEAD is the same, and the server leaves the body out."""

from __future__ import annotations

from functools import partial

from litestar import HttpMethod, route

read = partial(route, http_method=[HttpMethod.GET, HttpMethod.HEAD])
