-- When caches end, what is set aside because it cannot be read, and keys that
-- credentials are sealed with. Both tables are made anew: a cache that is set
-- aside does not keep its name from another one.

CREATE TABLE keys (
	id           INTEGER PRIMARY KEY,
	salt         BLOB    NOT NULL,           -- for the derivation of keys from this one
	proof        BLOB    NOT NULL,           -- derived too: tells this key from others
	current      INTEGER UNIQUE CHECK (current = 1) -- 1: of the store; NULL: only of what is set aside
) STRICT;

ALTER TABLE caches RENAME TO caches_1;
ALTER TABLE credentials RENAME TO credentials_1;

CREATE TABLE caches (
	collection   INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
	id           INTEGER NOT NULL,           -- order of creation
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	name         BLOB    NOT NULL,
	principal    BLOB    NOT NULL,           -- marshalled, version 4
	kdc_offset   INTEGER NOT NULL,           -- seconds
	label        TEXT    NOT NULL,           -- of SELinux, of whoever made it
	changed      INTEGER NOT NULL,
	ends         INTEGER,                    -- when its tickets are of no more use; NULL: never
	aside        TEXT,                       -- why it is set aside; NULL: it is in use
	PRIMARY KEY (collection, id)
) STRICT;

CREATE TABLE credentials (
	collection   INTEGER NOT NULL,
	cache        INTEGER NOT NULL,
	seq          INTEGER NOT NULL,           -- order of storing
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	sealed       INTEGER REFERENCES keys,    -- the key that data is sealed with; NULL: none
	data         BLOB    NOT NULL,           -- as the client stored it, sealed or not
	aside        TEXT,                       -- why it is set aside; NULL: it is in use
	PRIMARY KEY (collection, cache, seq),
	FOREIGN KEY (collection, cache) REFERENCES caches ON DELETE CASCADE
) STRICT;

-- The end 0 has a cache looked at soon, and its true end stored.
INSERT INTO caches (collection, id, uuid, name, principal, kdc_offset, label, changed, ends)
	SELECT collection, id, uuid, name, principal, kdc_offset, label, changed, 0 FROM caches_1;
INSERT INTO credentials (collection, cache, seq, uuid, data)
	SELECT collection, cache, seq, uuid, data FROM credentials_1;

DROP TABLE credentials_1;
DROP TABLE caches_1;

CREATE UNIQUE INDEX caches_by_name ON caches (collection, name) WHERE aside IS NULL;
CREATE INDEX caches_by_end ON caches (ends) WHERE ends IS NOT NULL AND aside IS NULL;
