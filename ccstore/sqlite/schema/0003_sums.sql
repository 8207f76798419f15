-- A checksum of each row, over what it says and whose it is: SQLite itself does not
-- see that bytes within a page are not those that were written. That of a
-- credential is over what is stored, sealed or not. NULL: the row is from an older
-- version.

ALTER TABLE caches ADD COLUMN sum INTEGER;
ALTER TABLE credentials ADD COLUMN sum INTEGER;
