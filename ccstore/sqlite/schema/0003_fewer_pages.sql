-- A commit writes each page that it changes, however little. What changed with most
-- commits was in many trees: credentials in a table and an index, deadlines in three
-- indexes, names in another. Now a STORE changes three pages of a small database
-- (collections, caches, credentials) and kinit five (deadlines, and collections by owner
-- with a user's first cache).

-- The key of a credential is in the order of generations, so that those of a cache are
-- next to each other without an index. A table without rowid would need a page more for
-- each ticket of over 1,000 bytes.
ALTER TABLE credentials RENAME TO former;
CREATE TABLE credentials (
	id           INTEGER PRIMARY KEY CHECK (id > 0), -- generation and seq
	generation   INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
	seq          INTEGER GENERATED ALWAYS AS (id & 0xffffffff) VIRTUAL, -- order of storing
	uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
	sealed       INTEGER REFERENCES keys,    -- the key that data is sealed with; NULL: none
	data         BLOB    NOT NULL,           -- as the client stored it, sealed or not
	quarantined  TEXT,                       -- why it is quarantined; NULL: in use
	sum          INTEGER NOT NULL            -- of data as it is here
) STRICT;
INSERT INTO credentials (id, uuid, sealed, data, quarantined, sum)
	SELECT iif(seq BETWEEN 0 AND 0xffffffff AND generation < 0x80000000, generation << 32 | seq, 0), -- 0 is not allowed
		uuid, sealed, data, quarantined, sum FROM former ORDER BY generation, seq;
DROP TABLE former;
CREATE INDEX credentials_quarantined ON credentials (quarantined) WHERE quarantined IS NOT NULL;

-- The only writer keeps names different, and finds no cache by its name here.
DROP INDEX caches_by_name;

-- The deadlines of all caches that are not quarantined, in the place of three indexes.
DROP INDEX caches_by_expiry;
DROP INDEX caches_by_renewing;
DROP INDEX caches_by_reaping;
CREATE TABLE deadlines (
	kind         TEXT    NOT NULL,           -- the column of caches
	at           INTEGER NOT NULL,
	collection   INTEGER NOT NULL,
	cache        INTEGER NOT NULL,
	PRIMARY KEY (kind, at, collection, cache)
) STRICT, WITHOUT ROWID;
CREATE VIEW due (kind, at, collection, cache) AS
	SELECT 'expiry', expiry, collection, id FROM caches WHERE expiry IS NOT NULL AND quarantined IS NULL
	UNION ALL SELECT 'reaping', reaping, collection, id FROM caches WHERE reaping IS NOT NULL AND quarantined IS NULL
	UNION ALL SELECT 'renewing', renewing, collection, id FROM caches WHERE renewing IS NOT NULL AND quarantined IS NULL;
INSERT INTO deadlines SELECT * FROM due;
CREATE TRIGGER cache_inserted AFTER INSERT ON caches BEGIN
	INSERT INTO deadlines SELECT * FROM due WHERE collection = new.collection AND cache = new.id;
END;
CREATE TRIGGER cache_deleted AFTER DELETE ON caches BEGIN
	DELETE FROM deadlines WHERE kind = 'expiry' AND at = old.expiry AND collection = old.collection AND cache = old.id;
	DELETE FROM deadlines WHERE kind = 'reaping' AND at = old.reaping AND collection = old.collection AND cache = old.id;
	DELETE FROM deadlines WHERE kind = 'renewing' AND at = old.renewing AND collection = old.collection AND cache = old.id;
END;
CREATE TRIGGER cache_rescheduled AFTER UPDATE OF collection, id, expiry, reaping, renewing, quarantined ON caches BEGIN
	DELETE FROM deadlines WHERE kind = 'expiry' AND at = old.expiry AND collection = old.collection AND cache = old.id;
	DELETE FROM deadlines WHERE kind = 'reaping' AND at = old.reaping AND collection = old.collection AND cache = old.id;
	DELETE FROM deadlines WHERE kind = 'renewing' AND at = old.renewing AND collection = old.collection AND cache = old.id;
	INSERT INTO deadlines SELECT * FROM due WHERE collection = new.collection AND cache = new.id;
END;
