-- The index of github.com/gofapi/fapi2/store/sqlstore. The table must not be UNLOGGED: a crash would empty it.
-- +goose Up
CREATE TABLE IF NOT EXISTS fapi2_entries_members (
	set_id  text COLLATE "C" NOT NULL,
	member  text COLLATE "C" NOT NULL,
	expires bigint NOT NULL, -- in milliseconds since 1970
	PRIMARY KEY (set_id, member)
);
CREATE INDEX IF NOT EXISTS fapi2_entries_members_end ON fapi2_entries_members (expires);
UPDATE fapi2_entries SET version = 2 WHERE id = 'fapi2-schema' AND version = 1;

-- +goose Down
DROP TABLE IF EXISTS fapi2_entries_members;
UPDATE fapi2_entries SET version = 1 WHERE id = 'fapi2-schema' AND version = 2;
