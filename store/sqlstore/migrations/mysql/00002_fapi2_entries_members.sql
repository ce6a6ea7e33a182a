-- The index of github.com/gofapi/fapi2/store/sqlstore, for MySQL and MariaDB. Members are ordered by their bytes.
-- +goose Up
CREATE TABLE IF NOT EXISTS fapi2_entries_members (
	set_id  VARCHAR(43)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	member  VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	expires BIGINT NOT NULL, -- in milliseconds since 1970
	puts    BIGINT NOT NULL, -- counts, so that each Put changes the row
	PRIMARY KEY (set_id, member),
	KEY fapi2_entries_members_end (expires)
) ENGINE = InnoDB;
UPDATE fapi2_entries SET version = 2 WHERE id = 'fapi2-schema' AND version = 1;

-- +goose Down
DROP TABLE IF EXISTS fapi2_entries_members;
UPDATE fapi2_entries SET version = 1 WHERE id = 'fapi2-schema' AND version = 2;
