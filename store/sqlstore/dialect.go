package sqlstore

import (
	"database/sql"
	"regexp"
	"strconv"
	"strings"
)

// A Dialect is the kind of the database.
type Dialect int

const (
	// PostgreSQL is PostgreSQL 12 or later. Statements are not prepared by the
	// store, so the driver decides, and PgBouncer can pool transactions.
	PostgreSQL Dialect = iota + 1
	// MySQL is MySQL 8.0 or later, and MariaDB 10.6 or later. The store
	// prepares its statements once for each connection, because the driver
	// would prepare them for each call.
	MySQL
	// SQLite is SQLite 3.42 or later in mode WAL. The store prepares its
	// statements and writes with one connection at a time.
	SQLite
)

// String returns the name of the dialect, which is also that of its directory
// in [Migrations].
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "postgresql"
	case MySQL:
		return "mysql"
	case SQLite:
		return "sqlite"
	}
	return "unknown dialect"
}

// Statements have the parameters ?1 (key), ?2 (value), ?3 (expiry) and ?4
// (version), in the notation of SQLite.
type statements struct {
	// add inserts an entry or replaces one that has expired. It changes no row
	// if the key exists or the expiry has passed.
	add string
	// replace replaces an entry that has expired, if add only inserts.
	replace string
	get     string
	swap    string
	past    string // whether the expiry ?1 has passed
	clock   string
	schema  string // the version of the schema
	remove  string
	sweep   string
	// These are the statements of the index. Their parameters are ?1 (set), ?2
	// (member or the string after which the list begins) and ?3 (expiry or
	// limit).
	put          string
	strike       string
	list         string
	sweepMembers string
	columns      string // reads the columns and returns no row
	// inspect returns a table and a setting that makes the database unsuitable,
	// or "".
	inspect string
}

// membersSuffix is the end of the name of the table of the index.
const membersSuffix = "_members"

const (
	postgreSQLNow = `floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
	// MySQL has no clock in UTC that goes on during a statement. A statement
	// that waits for a lock compares with the time of its start.
	mySQLNow  = `(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)`
	sqliteNow = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
)

// common contains the statements that are the same in all dialects.
var common = statements{
	get: `SELECT value, version FROM {table} WHERE id = ?1 AND expires > {now}`,
	// The earlier of two expiries needs one look at the clock, and keeps MySQL
	// from estimating what the index on expires would cost.
	swap: `UPDATE {table} SET value = ?2, version = version + 1, expires = ?3
		WHERE id = ?1 AND version = ?4 AND {least}(expires, ?3) > {now}`,
	past:   `SELECT CASE WHEN ?1 > {now} THEN 0 ELSE 1 END`,
	clock:  `SELECT {now}`,
	schema: `SELECT version, value, expires FROM {table} WHERE id = '` + schemaKey + `'`,
	remove: `DELETE FROM {table} WHERE id = ?1`,
	strike: `DELETE FROM {members} WHERE set_id = ?1 AND member = ?2`,
	// A sub-query looks at the clock once, and not for each row.
	list: `SELECT member FROM {members} WHERE set_id = ?1 AND member > ?2 AND expires > (SELECT {now})
		ORDER BY member LIMIT ?3`,
	columns: `SELECT set_id, member, expires FROM {members} WHERE set_id = ''`,
}

// postgreSQL and its siblings return the statements of a dialect, and the one
// that sweeps the table {from}.
func postgreSQL() (s statements, sweep string) {
	s = common
	s.add = `INSERT INTO {table} AS e (id, value, version, expires)
		SELECT ?1::text, ?2::bytea, 1, ?3::bigint WHERE ?3::bigint > {now}
		ON CONFLICT (id) DO UPDATE SET value = excluded.value, version = 1, expires = excluded.expires
		WHERE e.expires <= {now}`
	s.put = `INSERT INTO {members} AS m (set_id, member, expires)
		SELECT ?1::text, ?2::text, ?3::bigint WHERE ?3::bigint > {now}
		ON CONFLICT (set_id, member) DO UPDATE SET expires = GREATEST(m.expires, excluded.expires)`
	s.inspect = `SELECT oid::regclass::text, CASE
		WHEN pg_is_in_recovery() THEN 'a replica, want the primary'
		WHEN relpersistence <> 'p' THEN 'an unlogged or temporary table, want a permanent one'
		ELSE '' END AS problem FROM pg_class
		WHERE oid IN (to_regclass('{table}'), to_regclass('{members}')) ORDER BY problem DESC LIMIT 1`
	// An array is computed once. A sub-query could be repeated, and would then
	// exceed its limit. A row that is locked keeps its ctid.
	return s, `WITH swept AS (DELETE FROM {from} WHERE ctid = ANY (ARRAY(
		SELECT ctid FROM {from} WHERE expires >= ?1::bigint AND expires < (SELECT {now}) - {keep}
		ORDER BY expires LIMIT {batch} FOR UPDATE SKIP LOCKED)) RETURNING expires)
		SELECT count(*), coalesce(max(expires), 0) FROM swept`
}

func mySQL() (s statements, sweep string) {
	s = common
	// The rows affected by ON DUPLICATE KEY UPDATE depend on the flag
	// clientFoundRows. Those of the two statements do not.
	s.add = `INSERT IGNORE INTO {table} (id, value, version, expires)
		SELECT ?1, ?2, 1, ?3 FROM DUAL WHERE ?3 > {now}`
	s.replace = `UPDATE {table} SET value = ?2, version = 1, expires = ?3
		WHERE id = ?1 AND expires <= {now} AND ?3 > {now}`
	// The column puts makes the rows affected independent of the flag: there
	// are none only if the expiry has passed.
	s.put = `INSERT INTO {members} (set_id, member, expires, puts)
		SELECT ?1, ?2, ?3, 1 FROM DUAL WHERE ?3 > {now}
		ON DUPLICATE KEY UPDATE expires = GREATEST(expires, ?3), puts = puts + 1`
	s.inspect = `SELECT table_name, CASE
		WHEN @@global.read_only THEN 'a replica, want the primary'
		WHEN engine <> 'InnoDB' THEN CONCAT('the engine ', engine, ', want InnoDB')
		ELSE '' END AS problem FROM information_schema.tables
		WHERE table_schema = {schema} AND table_name IN ({name}, {membersName}) ORDER BY problem DESC LIMIT 1`
	// STRAIGHT_JOIN looks up the rows by key. Otherwise MySQL reads all rows of
	// a small table, and waits for those that are locked.
	return s, `DELETE e FROM (
		SELECT {key} FROM {from} WHERE expires < {now} - {keep}
		ORDER BY expires LIMIT {batch} FOR UPDATE SKIP LOCKED) AS old
		STRAIGHT_JOIN {from} AS e FORCE INDEX (PRIMARY) ON {on}
		WHERE e.expires < {now} - {keep}`
}

func sqlite() (s statements, sweep string) {
	s = common
	s.add = `INSERT INTO {table} AS e (id, value, version, expires)
		SELECT ?1, ?2, 1, ?3 WHERE ?3 > {now}
		ON CONFLICT (id) DO UPDATE SET value = excluded.value, version = 1, expires = excluded.expires
		WHERE e.expires <= {now}`
	s.put = `INSERT INTO {members} AS m (set_id, member, expires)
		SELECT ?1, ?2, ?3 WHERE ?3 > {now}
		ON CONFLICT (set_id, member) DO UPDATE SET expires = max(m.expires, excluded.expires)`
	return s, `DELETE FROM {from} WHERE ({key}) IN (
		SELECT {key} FROM {from} WHERE expires < {now} - {keep} ORDER BY expires LIMIT {batch})`
}

// statements returns the statements of a dialect for a table.
func (d Dialect) statements(table string) statements {
	s, sweep := postgreSQL()
	now, least := postgreSQLNow, "LEAST"
	switch d {
	case MySQL:
		s, sweep = mySQL()
		now = mySQLNow
	case SQLite:
		s, sweep = sqlite()
		now, least = sqliteNow, "min"
	}
	s.sweep = strings.NewReplacer("{from}", "{table}", "{key}", "id", "{on}", "e.id = old.id").Replace(sweep)
	s.sweepMembers = strings.NewReplacer("{from}", "{members}", "{key}", "set_id, member",
		"{on}", "e.set_id = old.set_id AND e.member = old.member").Replace(sweep)
	schema, name, qualified := strings.Cut(table, ".")
	if qualified {
		schema = "'" + schema + "'"
	} else {
		schema, name = "DATABASE()", table
	}
	return s.fill(strings.NewReplacer("{now}", now, "{least}", least,
		"{table}", table, "{schema}", schema, "{name}", "'"+name+"'",
		"{members}", table+membersSuffix, "{membersName}", "'"+name+membersSuffix+"'",
		"{keep}", strconv.Itoa(int(keep.Milliseconds())), "{batch}", strconv.Itoa(d.batch())))
}

// fill fills in the parts of the statements that do not change.
func (s statements) fill(parts *strings.Replacer) statements {
	for _, text := range []*string{
		&s.add, &s.replace, &s.get, &s.swap, &s.past, &s.clock, &s.schema, &s.remove, &s.sweep, &s.inspect,
		&s.put, &s.strike, &s.list, &s.sweepMembers, &s.columns,
	} {
		*text = parts.Replace(*text)
	}
	return s
}

var parameter = regexp.MustCompile(`\?([1-4])`)

// A statement is a text in the notation of a dialect.
type statement struct {
	text     string
	order    []int // the parameters in the order of the text, if it does not name them
	prepared *sql.Stmt
}

// statement translates the notation of parameters.
func (d Dialect) statement(text string) statement {
	switch d {
	case PostgreSQL:
		return statement{text: parameter.ReplaceAllString(text, "$$$1")}
	case MySQL:
		var order []int
		for _, match := range parameter.FindAllStringSubmatch(text, -1) {
			order = append(order, int(match[1][0]-'1'))
		}
		return statement{text: parameter.ReplaceAllString(text, "?"), order: order}
	}
	return statement{text: text}
}

// arguments returns the arguments in the order of the text.
func (s statement) arguments(arguments []any) []any {
	if s.order == nil {
		return arguments
	}
	ordered := make([]any, len(s.order))
	for i, from := range s.order {
		ordered[i] = arguments[from]
	}
	return ordered
}
