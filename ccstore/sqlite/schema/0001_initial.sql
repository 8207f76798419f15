-- The caches of all owners. Names and principals are bytes of the protocol, not
-- text; times are seconds since 1970.

CREATE TABLE collections (
	id           INTEGER PRIMARY KEY,
	namespace    TEXT    NOT NULL,
	uid          INTEGER NOT NULL,
	level        TEXT    NOT NULL,           -- of SELinux; empty without it
	revision     INTEGER NOT NULL,           -- counts the commits
	default_name BLOB,                       -- NULL: nobody set one
	UNIQUE (namespace, uid, level)
) STRICT;

CREATE TABLE caches (
	collection   INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
	id           INTEGER NOT NULL,           -- order of creation
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	name         BLOB    NOT NULL,
	principal    BLOB    NOT NULL,           -- marshalled, version 4
	kdc_offset   INTEGER NOT NULL,           -- seconds
	label        TEXT    NOT NULL,           -- of SELinux, of whoever made it
	changed      INTEGER NOT NULL,
	PRIMARY KEY (collection, id),
	UNIQUE (collection, name)
) STRICT;

CREATE TABLE credentials (
	collection   INTEGER NOT NULL,
	cache        INTEGER NOT NULL,
	seq          INTEGER NOT NULL,           -- order of storing
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	data         BLOB    NOT NULL,           -- as the client stored it
	PRIMARY KEY (collection, cache, seq),
	FOREIGN KEY (collection, cache) REFERENCES caches ON DELETE CASCADE
) STRICT;
