"""Opening a share link: the token is traded for a grant, and the address bar never shows it again."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath
from litestar.response import Redirect

from webapp.web.identity import Caller, forbid_scoped
from webapp.web.render import chat_url
from webapp.web.services import AppServices


@get("/s/{token:str}")
async def open_link(token: FromPath[str], services: AppServices, visitor: Caller) -> Redirect:
    forbid_scoped(visitor)
    chat_id = await services.capabilities.redeem(token, visitor.participant)
    services.overview.changed(chat_id)
    return Redirect(chat_url(chat_id), status_code=303)


ROUTES = [open_link]
