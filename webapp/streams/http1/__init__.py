"""HTTP/1.1 for the stream server that stands alone: sockets in, replies of a ``Site`` out."""

from webapp.streams.http1.server import HttpLimits, HttpServer
from webapp.streams.http1.site import Site

__all__ = ["HttpLimits", "HttpServer", "Site"]
