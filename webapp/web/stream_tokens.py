"""The tokens that guard our own stream server, mounted in the chat or alone."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.settings import Secret, StreamSettings
from webapp.web.identity import bearer_token

_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class StreamTokens:
    """The write token reads too; the read token only reads. Where there is neither, nothing is guarded."""

    read: Secret
    write: Secret

    @classmethod
    def of(cls, settings: StreamSettings) -> StreamTokens:
        return cls(settings.server_read_token, settings.server_write_token)

    def __bool__(self) -> bool:
        return bool(self.read or self.write)

    def admit(self, method: str, authorization: str | None) -> bool:
        """Whether a request of ``method`` with this ``Authorization`` header is served."""
        if not self:
            return True
        token = Secret(bearer_token(authorization) or "")
        accepted = [self.write, self.read] if method in _READS else [self.write]
        return bool(token) and token in accepted
