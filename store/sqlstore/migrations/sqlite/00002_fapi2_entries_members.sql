-- The index of github.com/gofapi/fapi2/store/sqlstore.
-- +goose Up
CREATE TABLE IF NOT EXISTS fapi2_entries_members (
	set_id  TEXT COLLATE BINARY NOT NULL,
	member  TEXT COLLATE BINARY NOT NULL,
	expires INTEGER NOT NULL, -- in milliseconds since 1970
	PRIMARY KEY (set_id, member)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fapi2_entries_members_end ON fapi2_entries_members (expires);
UPDATE fapi2_entries SET version = 2 WHERE id = 'fapi2-schema' AND version = 1;

-- +goose Down
DROP TABLE IF EXISTS fapi2_entries_members;
UPDATE fapi2_entries SET version = 1 WHERE id = 'fapi2-schema' AND version = 2;
