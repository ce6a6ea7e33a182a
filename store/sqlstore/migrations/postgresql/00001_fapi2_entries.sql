-- The entries of github.com/gofapi/fapi2/store/sqlstore. The table must not be UNLOGGED: a crash would empty it.
-- +goose Up
CREATE TABLE IF NOT EXISTS fapi2_entries (
	id      text COLLATE "C" PRIMARY KEY,
	value   bytea  NOT NULL,
	version bigint NOT NULL,
	expires bigint NOT NULL -- in milliseconds since 1970
);
CREATE INDEX IF NOT EXISTS fapi2_entries_expires ON fapi2_entries (expires);
-- The version of this row is the version of the schema.
INSERT INTO fapi2_entries (id, value, version, expires) VALUES ('fapi2-schema', '', 1, 253402300799999)
ON CONFLICT (id) DO NOTHING;

-- +goose Down
DROP TABLE IF EXISTS fapi2_entries;
