"""Idempotent producers (protocol section 5.2.1): the same append, however often it is sent, is stored once.

    epoch < known           StaleEpoch: a newer writer has taken over
    epoch > known           seq must be 0; the writer takes over
    seq <= last accepted    duplicate: already stored
    seq == last + 1         accepted
    seq > last + 1          SequenceGap

Pure: stores keep the state and commit it together with the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from webapp.streams.protocol import names
from webapp.streams.protocol.errors import InvalidRequest, SequenceGap, StaleEpoch

MAX_INTEGER = 2**53 - 1

_DIGITS = re.compile(r"[0-9]{1,16}")


class ProducerTuple(msgspec.Struct, frozen=True):
    """Who appends and which append this is."""

    id: str
    epoch: int
    seq: int


def from_headers(headers: Mapping[str, str]) -> ProducerTuple | None:
    """The producer tuple of a request, or None. Raises InvalidRequest unless all three headers are good."""
    producer_id, epoch, seq = (
        headers.get(name.lower()) for name in (names.PRODUCER_ID, names.PRODUCER_EPOCH, names.PRODUCER_SEQ)
    )
    if producer_id is None and epoch is None and seq is None:
        return None
    if producer_id is None or epoch is None or seq is None:
        raise InvalidRequest("Producer-Id, Producer-Epoch and Producer-Seq go together.")
    if not producer_id:
        raise InvalidRequest("Producer-Id is empty.")
    return ProducerTuple(
        producer_id, _integer(names.PRODUCER_EPOCH, epoch), _integer(names.PRODUCER_SEQ, seq)
    )


def is_duplicate(known: ProducerTuple | None, incoming: ProducerTuple) -> bool:
    """Whether ``incoming`` was stored before; ``known`` is the last tuple accepted from this producer.

    False means it is next in line. Raises StaleEpoch, SequenceGap, or InvalidRequest (a new epoch that does
    not start at 0).
    """
    if known is None:
        if incoming.seq > 0:
            raise _gap(expected=0, received=incoming.seq)
        return False
    if incoming.epoch < known.epoch:
        raise StaleEpoch("A newer epoch of this producer has taken over.", current_epoch=known.epoch)
    if incoming.epoch > known.epoch:
        if incoming.seq > 0:
            raise InvalidRequest("A new epoch starts at sequence 0.")
        return False
    if incoming.seq > known.seq + 1:
        raise _gap(expected=known.seq + 1, received=incoming.seq)
    return incoming.seq <= known.seq


def _gap(*, expected: int, received: int) -> SequenceGap:
    return SequenceGap(
        f"Expected sequence {expected}, received {received}.", expected=expected, received=received
    )


def _integer(name: str, text: str) -> int:
    if _DIGITS.fullmatch(text) is None or int(text) > MAX_INTEGER:
        raise InvalidRequest(f"{name} is not an integer from 0 to {MAX_INTEGER}.")
    return int(text)
