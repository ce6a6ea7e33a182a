-- The entries of github.com/gofapi/fapi2/store/sqlstore.
-- +goose Up
CREATE TABLE IF NOT EXISTS fapi2_entries (
	id      TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	value   BLOB    NOT NULL,
	version INTEGER NOT NULL,
	expires INTEGER NOT NULL -- in milliseconds since 1970
);
CREATE INDEX IF NOT EXISTS fapi2_entries_expires ON fapi2_entries (expires);
-- The version of this row is the version of the schema.
INSERT INTO fapi2_entries (id, value, version, expires) VALUES ('fapi2-schema', x'', 1, 253402300799999)
ON CONFLICT (id) DO NOTHING;

-- +goose Down
DROP TABLE IF EXISTS fapi2_entries;
