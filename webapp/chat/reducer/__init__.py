"""Events in, messages out: the pure heart of the chat, the same in Python and in the browser."""

from webapp.chat.reducer.machine import Reducer, materialize
from webapp.chat.reducer.snapshot import REDUCER_VERSION, Snapshot, StaleSnapshot

__all__ = ["REDUCER_VERSION", "Reducer", "Snapshot", "StaleSnapshot", "materialize"]
