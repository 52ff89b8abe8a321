"""What is about conversations: chats, people, accepted messages, grants, cached snapshots."""

from webapp.chat.catalog.catalog import Catalog, Chat, token_hash
from webapp.chat.catalog.database import CatalogTooNew, CatalogUnusable

__all__ = ["Catalog", "CatalogTooNew", "CatalogUnusable", "Chat", "token_hash"]
