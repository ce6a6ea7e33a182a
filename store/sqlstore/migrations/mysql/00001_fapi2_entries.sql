-- The entries of github.com/gofapi/fapi2/store/sqlstore, for MySQL and MariaDB. Keys differ by case, so their collation is binary.
-- +goose Up
CREATE TABLE IF NOT EXISTS fapi2_entries (
	id      VARCHAR(43) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
	value   LONGBLOB NOT NULL,
	version BIGINT   NOT NULL,
	expires BIGINT   NOT NULL, -- in milliseconds since 1970
	KEY fapi2_entries_expires (expires)
) ENGINE = InnoDB;
-- The version of this row is the version of the schema.
INSERT IGNORE INTO fapi2_entries (id, value, version, expires) VALUES ('fapi2-schema', '', 1, 253402300799999);

-- +goose Down
DROP TABLE IF EXISTS fapi2_entries;
