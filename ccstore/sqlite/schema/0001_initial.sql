-- The caches of all owners. Names and principals are bytes of the protocol, not
-- text. Times are seconds since 1970. Each sum is a checksum of its row and of the
-- owner: SQLite itself does not notice a changed byte within a page.

CREATE TABLE keys (
	id           INTEGER PRIMARY KEY,
	salt         BLOB    NOT NULL,           -- for the derivation of keys from this one
	proof        BLOB    NOT NULL,           -- derived too: tells this key from others
	current      INTEGER UNIQUE CHECK (current = 1) -- 1: of the store; NULL: only of quarantined credentials
) STRICT;

CREATE TABLE collections (
	id           INTEGER PRIMARY KEY,
	namespace    TEXT    NOT NULL,
	uid          INTEGER NOT NULL,
	level        TEXT    NOT NULL,           -- of SELinux; empty without it
	revision     INTEGER NOT NULL,           -- counts the commits
	commits      BLOB    NOT NULL DEFAULT x'', -- ids of the last 64 commits, 16 bytes each, the latest first
	default_name BLOB,                       -- NULL: never set
	UNIQUE (namespace, uid, level)
) STRICT;

-- The credentials of a cache are those of its generation. A cache that gets the
-- credentials of another one, or loses more than one transaction deletes, gets
-- another generation. Without rowid, a change of it changes no index.
CREATE TABLE caches (
	collection   INTEGER NOT NULL REFERENCES collections,
	id           INTEGER NOT NULL,           -- order of creation
	generation   INTEGER NOT NULL,           -- never given twice
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	name         BLOB    NOT NULL,
	principal    BLOB    NOT NULL,           -- marshalled, version 4
	kdc_offset   INTEGER NOT NULL,           -- seconds
	label        TEXT    NOT NULL,           -- SELinux label of the process that created it
	changed      INTEGER NOT NULL,
	expiry       INTEGER,                    -- when its TGT ends, by the local clock; NULL: never
	reaping      INTEGER,                    -- from when it may be reaped, by the local clock; NULL: never
	renewing     INTEGER,                    -- when its TGT is to be renewed, by the local clock; NULL: never
	renewal      TEXT    NOT NULL,           -- how the renewal of its TGT goes, as JSON; empty: as planned
	quarantined  TEXT,                       -- why it is quarantined; NULL: in use
	sum          INTEGER NOT NULL,
	PRIMARY KEY (collection, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
	generation   INTEGER NOT NULL,
	seq          INTEGER NOT NULL,           -- order of storing
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	sealed       INTEGER REFERENCES keys,    -- the key that data is sealed with; NULL: none
	data         BLOB    NOT NULL,           -- as the client stored it, sealed or not
	quarantined  TEXT,                       -- why it is quarantined; NULL: in use
	sum          INTEGER NOT NULL,           -- of data as it is here
	PRIMARY KEY (generation, seq)
) STRICT;

-- Generations of no cache. Their credentials are deleted bit by bit.
CREATE TABLE discarded (
	generation   INTEGER PRIMARY KEY
) STRICT;

-- A quarantined cache does not keep its name from another one.
CREATE UNIQUE INDEX caches_by_name ON caches (collection, name) WHERE quarantined IS NULL;
CREATE INDEX caches_by_expiry ON caches (expiry) WHERE expiry IS NOT NULL AND quarantined IS NULL;
CREATE INDEX caches_by_renewing ON caches (renewing) WHERE renewing IS NOT NULL AND quarantined IS NULL;
CREATE INDEX caches_by_reaping ON caches (reaping) WHERE reaping IS NOT NULL AND quarantined IS NULL;
