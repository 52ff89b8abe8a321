"""From an accepted message to its answer in the stream, whatever happens in between."""

from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.supervisor import Accepted, Supervisor

__all__ = ["Accepted", "RunLimits", "Supervisor"]
