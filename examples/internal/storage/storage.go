// Package storage opens the store that the configuration of a program names.
package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/store"
)

// Kinds are the forms of a name, for the description of a configuration.
const Kinds = "memory:, sqlite:PATH, postgres://…, mysql://… or redis://…"

// A Name is the parsed name of a store. String, GoString and LogValue show the
// kind only, because the name of a database can contain a password. The zero
// value names the memory of the process.
type Name struct {
	kind string // if empty, memory
	path string // of SQLite
	url  *url.URL
	open func(ctx context.Context, cfg Config) (*Storage, error)
}

// Config configures [Name.Open]. All fields are optional.
type Config struct {
	// Logger receives warnings. If nil, slog.Default is used.
	Logger *slog.Logger
	// Now is the clock of a store in memory. If nil, time.Now is used.
	Now func() time.Time
}

// Storage is an open store.
type Storage struct {
	store.Store
	// Kind is the name of the engine.
	Kind string

	count func(ctx context.Context) (int64, error) // nil if the engine cannot count
	close func() error
}

// openTime limits the time for opening a store.
const openTime = 20 * time.Second

// Parse checks the name of a store. It does not connect to a server. The error
// does not contain secrets.
func Parse(name string) (Name, error) {
	scheme, rest, found := strings.Cut(name, ":")
	if !found {
		return Name{}, errors.New("unknown store, want " + Kinds)
	}
	switch scheme {
	case "memory":
		if rest != "" {
			return Name{}, errors.New("text after memory:, want memory: alone")
		}
		return Name{}, nil
	case "sqlite":
		if rest == "" || strings.HasPrefix(rest, "//") || strings.HasPrefix(rest, ":") {
			return Name{}, errors.New("missing path of a file, want sqlite:PATH")
		}
		return Name{kind: "SQLite", path: rest, open: openSQLite(rest)}, nil
	}
	open := map[string]func(*url.URL) (Name, error){
		"postgres": parsePostgreSQL, "postgresql": parsePostgreSQL, "mysql": parseMySQL,
		"redis": parseRedis, "rediss": parseRedis,
	}[scheme]
	if open == nil {
		return Name{}, errors.New("unknown store, want " + Kinds)
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return Name{}, fmt.Errorf("malformed URL, want %s://user:password@host:port/database; "+
			"write special characters of the password as %%XX", scheme)
	}
	n, err := open(u)
	if err != nil {
		return Name{}, fmt.Errorf("malformed URL: %w", scrubbed(u, err))
	}
	n.url = u
	return n, nil
}

// InMemory reports whether the entries are lost at the end of the process.
func (n Name) InMemory() bool { return n.open == nil }

// String returns the kind of the store.
func (n Name) String() string {
	if n.InMemory() {
		return "memory"
	}
	return n.kind
}

// GoString is String.
func (n Name) GoString() string { return n.String() }

// LogValue is String for package log/slog.
func (n Name) LogValue() slog.Value { return slog.StringValue(n.String()) }

// Open opens the store and creates its table or its file if it does not exist.
// The error does not contain secrets.
func (n Name) Open(ctx context.Context, cfg Config) (*Storage, error) {
	if n.InMemory() {
		memory, err := store.NewMemory(store.MemoryConfig{Now: cfg.Now})
		return &Storage{Store: memory, Kind: n.String(), close: func() error { return nil }}, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	s, err := n.open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", n, scrubbed(n.url, err))
	}
	s.Kind = n.kind
	return s, nil
}

// Count returns the number of entries, with expired ones that the engine has
// not removed yet. If the engine cannot count them, ok is false.
func (s *Storage) Count(ctx context.Context) (entries int64, ok bool, err error) {
	if s.count == nil {
		return 0, false, nil
	}
	entries, err = s.count(ctx)
	return entries, err == nil, err
}

// Close closes the store and its connections.
func (s *Storage) Close() error { return s.close() }

// scrubbed returns an error with the text of err, without the secrets of u.
// Drivers do not promise to leave them out.
func scrubbed(u *url.URL, err error) error {
	if u == nil {
		return err
	}
	var secrets []string
	add := func(secret string) {
		secrets = append(secrets, secret, url.QueryEscape(secret), url.PathEscape(secret))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		add(password)
		_, raw, _ := strings.Cut(u.User.String(), ":")
		add(raw)
	}
	for name, values := range u.Query() {
		if strings.Contains(strings.ToLower(name), "pass") {
			for _, value := range values {
				add(value)
			}
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	text := err.Error()
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return errors.New(text)
}
