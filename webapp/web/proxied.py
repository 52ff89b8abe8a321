"""Who an authenticating proxy says somebody is: read from a header that nobody but the proxy may set.

Owns the reading, and when it is believed: only what has come to us through a proxy that the settings name,
which the server marks (``webapp.web.server``). Served by anything else, the app believes nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from webapp.chat.messages import Participant, one_line
from webapp.settings import SecuritySettings
from webapp.web.guest_names import NAME_LENGTH, guest_name

VIA_PROXY = "durable-chat.via-proxy"
"""Key of an ASGI scope: the peer is one of the proxies we believe."""

MAX_IDENTITY = 1024


def identity_told(scope: Mapping[str, Any], security: SecuritySettings) -> Participant | None:
    """The person the proxy names; None if it names nobody, or several at once, or is not the proxy.

    Their id is a digest: what they are called elsewhere, often a mail address, is in no event of a chat.
    """
    if not scope.get(VIA_PROXY):
        return None
    told = _values(scope, security.identity_header)
    identity = told[0] if len(told) == 1 else b""
    if not identity or len(identity) > MAX_IDENTITY:
        return None
    # Of the bytes as they came: as text, two that cannot be read would be one.
    participant_id = "proxied-" + hashlib.sha256(identity).hexdigest()[:32]
    names = _values(scope, security.identity_name_header) if security.identity_name_header else []
    shown = names[0] if names else identity.partition(b"@")[0]
    name = one_line(shown.decode(errors="replace"), most=NAME_LENGTH)
    return Participant(participant_id, name or guest_name(participant_id), guest=False)


def _values(scope: Mapping[str, Any], header: str) -> list[bytes]:
    return [value.strip() for name, value in scope["headers"] if name == header.encode()]
