"""The catalog's tables.

Owns names, columns and constraints. Must not know what any of it is used for, nor how it is reached.

Times are seconds since the epoch as floats; a lease and a clock that jumps are compared nowhere else.
Secrets are stored as SHA-256 digests only.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import (
    DDL,
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    literal_column,
)

SCHEMA_VERSION = 10
RUN_ID_LENGTH = 128
INTERRUPT = "interrupt"
"""The outcome of a run that has paused."""

STEPS: Mapping[int, str | tuple[str, ...]] = {
    2: "ALTER TABLE runs ADD COLUMN tools JSON",
    3: "ALTER TABLE runs ADD COLUMN resume JSON",
    4: "ALTER TABLE runs ADD COLUMN continues VARCHAR(128)",
    5: "UPDATE runs SET continues = parent_run_id WHERE resume IS NOT NULL",
    6: "ALTER TABLE runs ADD COLUMN steered INTEGER NOT NULL DEFAULT 0",
    7: "CREATE INDEX runs_of_participant_by_time ON runs (participant_id, accepted_at)",
    8: "CREATE INDEX runs_of_chat_by_time ON runs (chat_id, accepted_at)",
    9: (
        "ALTER TABLE participants ADD COLUMN hue INTEGER",
        "ALTER TABLE participants ADD COLUMN guest INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE chats ADD COLUMN message_count INTEGER NOT NULL DEFAULT 0",
        "UPDATE chats SET message_count = -1",
        "ALTER TABLE chats ADD COLUMN parent_id VARCHAR(64)",
        "ALTER TABLE chats ADD COLUMN fork_message_id VARCHAR(128)",
        "ALTER TABLE chats ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE chats ADD COLUMN indexed_at FLOAT",
        "ALTER TABLE grants ADD COLUMN from_message_id VARCHAR(128)",
        "ALTER TABLE grants ADD COLUMN from_offset TEXT",
        "ALTER TABLE grants ADD COLUMN expires_at FLOAT",
        "ALTER TABLE links ADD COLUMN from_message_id VARCHAR(128)",
        "ALTER TABLE links ADD COLUMN from_offset TEXT",
        "ALTER TABLE links ADD COLUMN expires_at FLOAT",
        "ALTER TABLE links ADD COLUMN revoked_at FLOAT",
        "ALTER TABLE links ADD COLUMN opened INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE chats ADD COLUMN purged_at FLOAT",
        "CREATE INDEX chats_of_parent ON chats (parent_id)",
        "CREATE INDEX chats_to_purge ON chats (deleted_at) WHERE purged_at IS NULL",
        "INSERT INTO arrivals (chat_id, participant_id, link_hash, role, created_at, barred)"
        " SELECT chat_id, participant_id, link_hash, role, created_at, 0 FROM grants",
    ),
    10: "CREATE INDEX runs_paused ON runs (chat_id) WHERE outcome = 'interrupt'",
}
"""What brings a database from the version before to this one. Tables that are new need no step."""

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

participants = Table(
    "participants",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hue", Integer),
    Column("guest", Integer, nullable=False, server_default="1"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

# A one-time link that makes another browser the same person.
device_links = Table(
    "device_links",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("participant_id", String(128), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

# ``message_count`` is -1 for a chat that comes from a version which did not count.
chats = Table(
    "chats",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("title", Text),
    Column("owner_id", String(128), nullable=False, index=True),
    Column("message_count", Integer, nullable=False, server_default="0"),
    Column("parent_id", String(64)),
    Column("fork_message_id", String(128)),
    Column("frozen", Integer, nullable=False, server_default="0"),
    Column("indexed_at", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("deleted_at", Float),
    Column("purged_at", Float),
    Index("chats_of_parent", "parent_id"),
)
not_purged = chats.c.purged_at.is_(None)
Index("chats_to_purge", chats.c.deleted_at, sqlite_where=not_purged, postgresql_where=not_purged)

# One participant's own view of one chat: where it stands in their list, how far they have read, and what they
# have begun to write.
views = Table(
    "views",
    metadata,
    Column("chat_id", String(64), ForeignKey("chats.id"), primary_key=True),
    Column("participant_id", String(128), primary_key=True, index=True),
    Column("pinned_at", Float),
    Column("archived_at", Float),
    Column("read_count", Integer, nullable=False, server_default="0"),
    Column("read_message_id", String(128)),
    Column("draft", Text),
    Column("draft_at", Float),
)

# The inbox. ``seq`` is the order of acceptance. ``events`` holds a message only between its acceptance and
# its append: afterwards the stream is the one truth. ``owner``, ``epoch`` and ``lease_until`` say who may
# write.
runs = Table(
    "runs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(RUN_ID_LENGTH), nullable=False, unique=True),
    Column("chat_id", String(64), ForeignKey("chats.id"), nullable=False),
    Column("message_id", String(128), nullable=False),
    Column("agent_id", String(128), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("participant_id", String(128), nullable=False),
    Column("content_hash", LargeBinary(32), nullable=False),
    Column("events", JSON(none_as_null=True)),
    Column("data", JSON(none_as_null=True)),
    Column("tools", JSON(none_as_null=True)),
    Column("resume", JSON(none_as_null=True)),
    Column("parent_run_id", String(128)),
    Column("continues", String(128)),
    Column("steered", Integer, nullable=False, server_default="0"),
    Column("status", String(16), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("accepted_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("outcome", String(64)),
    Column("offset", Text),
    UniqueConstraint("chat_id", "message_id", "agent_id", "attempt"),
    Index("runs_unfinished", "status", "lease_until"),
    Index("runs_of_participant", "participant_id", "status"),
    Index("runs_of_participant_by_time", "participant_id", "accepted_at"),
    Index("runs_of_chat_by_time", "chat_id", "accepted_at"),
    sqlite_autoincrement=True,
)
# Written out: SQLite asks a partial index only where it can read the condition.
paused = runs.c.outcome == literal_column(f"'{INTERRUPT}'")
Index("runs_paused", runs.c.chat_id, sqlite_where=paused, postgresql_where=paused)

# What people have answered to runs that paused: the first answer to a question is the one that counts.
# ``events`` are what has still to be told of it in the stream.
answers = Table(
    "answers",
    metadata,
    Column("chat_id", String(64), ForeignKey("chats.id"), primary_key=True),
    Column("interrupt_id", String(256), primary_key=True),
    Column("run_id", String(128), nullable=False, index=True),
    Column("participant_id", String(128), nullable=False),
    Column("answer", JSON(none_as_null=True), nullable=False),
    Column("events", JSON(none_as_null=True)),
    Column("answered_at", Float, nullable=False),
)
untold = answers.c.events.is_not(None)
Index("answers_untold", answers.c.answered_at, sqlite_where=untold, postgresql_where=untold)

# Which version of a message or answer one participant looks at, where several exist (``group``). ``pin`` is
# what was pinned for everybody when they chose: once that changes, the choice is void.
choices = Table(
    "choices",
    metadata,
    Column("chat_id", String(64), ForeignKey("chats.id"), primary_key=True),
    Column("participant_id", String(128), primary_key=True),
    Column("group", String(300), primary_key=True),
    Column("version", String(128), nullable=False),
    Column("pin", String(128)),
)

# What one participant may do in one chat: the sum of the ways by which they came in (``arrivals``), of which
# ``link_hash`` is the one that gave the role. Kept by ``links.settle`` alone.
grants = Table(
    "grants",
    metadata,
    Column("chat_id", String(64), ForeignKey("chats.id"), primary_key=True),
    Column("participant_id", String(128), primary_key=True, index=True),
    Column("role", Integer, nullable=False),
    Column("link_hash", LargeBinary(32)),
    Column("from_message_id", String(128)),
    Column("from_offset", Text),
    Column("expires_at", Float),
    Column("created_at", Float, nullable=False),
)

links = Table(
    "links",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("chat_id", String(64), ForeignKey("chats.id"), nullable=False, index=True),
    Column("role", Integer, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("from_message_id", String(128)),
    Column("from_offset", Text),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("opened", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
)

# One way by which somebody came into a chat: a link that they opened, or (without ``link_hash``) a person who
# let them in by hand. It ends with its link, with its time, or when it is overruled by hand; a link whose
# arrival is ``barred`` does not let the same person in again.
arrivals = Table(
    "arrivals",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("chat_id", String(64), ForeignKey("chats.id"), nullable=False),
    Column("participant_id", String(128), nullable=False),
    Column("link_hash", LargeBinary(32), index=True),
    Column("role", Integer, nullable=False),
    Column("from_message_id", String(128)),
    Column("from_offset", Text),
    Column("expires_at", Float),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("barred", Integer, nullable=False, server_default="0"),
    Index("arrivals_of_person", "chat_id", "participant_id"),
    sqlite_autoincrement=True,
)
lasting = arrivals.c.ended_at.is_(None) & arrivals.c.expires_at.is_not(None)
Index("arrivals_with_an_end", arrivals.c.expires_at, sqlite_where=lasting, postgresql_where=lasting)

# What somebody has lost in a chat (nobody in particular: everybody), in order, for whoever still serves them.
losses = Table(
    "losses",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("chat_id", String(64), nullable=False),
    Column("participant_id", String(128)),
    Column("code", String(32), nullable=False),
    Column("at", Float, nullable=False),
    sqlite_autoincrement=True,
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("chat_id", String(64), ForeignKey("chats.id"), nullable=False),
    Column("participant_id", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
)

# What can be searched for: the text of each message, and under no message id the title. ``digest`` tells
# whether a text is another by now. ``chats.indexed_at`` says that a chat has been looked through at all.
texts = Table(
    "texts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("chat_id", String(64), ForeignKey("chats.id"), nullable=False),
    Column("message_id", String(128), nullable=False),
    Column("name", Text, nullable=False),
    Column("said_at", Float),
    Column("digest", LargeBinary(16), nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("chat_id", "message_id"),
)
# The index itself, which each database has in its own way. SQLite's keeps no copy of the text; triggers keep
# it equal to the table.
_INDEXES = {
    "sqlite": (
        """CREATE VIRTUAL TABLE texts_index USING fts5(text, content='texts', content_rowid='id',
            tokenize='unicode61 remove_diacritics 2', prefix='2 3')""",
        """CREATE TRIGGER texts_inserted AFTER INSERT ON texts BEGIN
            INSERT INTO texts_index(rowid, text) VALUES (new.id, new.text); END""",
        """CREATE TRIGGER texts_deleted AFTER DELETE ON texts BEGIN
            INSERT INTO texts_index(texts_index, rowid, text) VALUES ('delete', old.id, old.text); END""",
    ),
    "postgresql": ("CREATE INDEX texts_index ON texts USING gin (to_tsvector('simple', text))",),
}
for _dialect, _statements in _INDEXES.items():
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(texts, "after_create", _ddl.execute_if(dialect=_dialect))

# A fold of a stream up to ``offset``, kept to spare the replay. It may be deleted at any time.
snapshots = Table(
    "snapshots",
    metadata,
    Column("path", String(256), primary_key=True),
    Column("offset", Text, nullable=False),
    Column("reducer_version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
