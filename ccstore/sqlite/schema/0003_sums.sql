-- A checksum of each row that is not sealed, over what it says and whose it is:
-- SQLite itself does not see that bytes within a page are not those that were
-- written. NULL: the row is from an older version, or sealed.

ALTER TABLE caches ADD COLUMN sum INTEGER;
ALTER TABLE credentials ADD COLUMN sum INTEGER;
