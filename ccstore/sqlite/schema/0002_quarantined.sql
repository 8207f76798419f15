-- The few rows that are quarantined are counted without a look at the others.

CREATE INDEX caches_quarantined ON caches (quarantined) WHERE quarantined IS NOT NULL;
CREATE INDEX credentials_quarantined ON credentials (quarantined) WHERE quarantined IS NOT NULL;
