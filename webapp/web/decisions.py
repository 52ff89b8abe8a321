"""Deciding an approval without JavaScript: the card is a plain form."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import post
from litestar.params import FromPath
from litestar.response import Redirect

from webapp.chat.messages import Role
from webapp.web.bodies import ChatRequest, read_form
from webapp.web.errors import MalformedBody
from webapp.web.guards import asked, enter
from webapp.web.identity import Caller, remember
from webapp.web.render import chat_url
from webapp.web.services import AppServices


@post("/chat/{chat_id:str}/decisions")
async def decide_form(
    chat_id: FromPath[str], request: ChatRequest, services: AppServices, visitor: Caller
) -> Redirect:
    admission = await enter(services, visitor, chat_id, Role.APPROVE)
    form = await read_form(request)
    answer = {"interruptId": form.get("interruptId", ""), "status": "resolved", "payload": _payload(form)}
    await services.supervisor.resume(
        chat_id=chat_id,
        participant=await remember(services, visitor),
        answers=[answer],
        may_approve=True,
        parent_run_id=await asked(services, admission, [answer], run_id=form.get("runId") or None),
    )
    return Redirect(chat_url(chat_id), status_code=303)


def _payload(form: dict[str, str]) -> dict[str, Any]:
    """Only what says so plainly approves."""
    payload: dict[str, Any] = {"approved": form.get("decision") in {"approve", "edit"}}
    if "arguments" in form:
        payload["arguments"] = form["arguments"]
    if reason := form.get("reason", "").strip():
        payload["reason"] = reason
    if form.get("decision") == "edit":
        try:
            payload["editedArgs"] = msgspec.json.decode(form.get("editedArgs", ""))
        except (msgspec.DecodeError, RecursionError):
            raise MalformedBody("The arguments are not valid JSON.") from None
    return payload


ROUTES = [decide_form]
