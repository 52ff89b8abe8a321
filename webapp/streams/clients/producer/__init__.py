"""Writing to a stream so that every message arrives once and in order, however the network behaves."""

from webapp.streams.clients.producer.limits import ProducerLimits
from webapp.streams.clients.producer.pipeline import ProducerClosed
from webapp.streams.clients.producer.producer import IdempotentProducer

__all__ = ["IdempotentProducer", "ProducerClosed", "ProducerLimits"]
