-- Streams in SQLite. One database belongs to one process.

-- AUTOINCREMENT: an id is never given out twice, and it is the generation in every offset of the stream.
CREATE TABLE streams (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    path            TEXT    NOT NULL UNIQUE,
    content_type    TEXT    NOT NULL,
    position        INTEGER NOT NULL,               -- messages or bytes up to the tail, unless chunks go further
    closed          INTEGER NOT NULL DEFAULT 0,
    closed_by_id    TEXT,                           -- the producer tuple that closed it, if one did
    closed_by_epoch INTEGER,
    closed_by_seq   INTEGER,
    writer_seq      TEXT,                           -- the last Stream-Seq
    ttl             INTEGER,                        -- seconds, sliding
    expires_at      TEXT,                           -- as it was asked for
    deadline        REAL,                           -- Unix seconds; what ttl or expires_at come to
    source_id       INTEGER REFERENCES streams (id),
    forked_from     TEXT,                           -- the source's path, as it was asked for
    fork_generation INTEGER,                        -- the fork offset, in two parts
    fork_position   INTEGER,
    fork_sub_offset INTEGER NOT NULL DEFAULT 0,
    inherited       TEXT    NOT NULL DEFAULT '',    -- generation:stop,… of the data read through the sources
    deleted         INTEGER NOT NULL DEFAULT 0      -- kept only for its forks
) STRICT;

CREATE INDEX streams_by_source ON streams (source_id) WHERE source_id IS NOT NULL;
CREATE INDEX streams_by_deadline ON streams (deadline) WHERE deadline IS NOT NULL AND NOT deleted;

-- One row is one append; position is where it ends. A JSON chunk is its messages, one per line.
CREATE TABLE chunks (
    stream_id INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    data      BLOB    NOT NULL,
    PRIMARY KEY (stream_id, position)
) STRICT;

CREATE TABLE producers (
    stream_id INTEGER NOT NULL,
    id        TEXT    NOT NULL,
    epoch     INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (stream_id, id)
) STRICT, WITHOUT ROWID;
