package redisstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gofapi/fapi2/store"
	"github.com/redis/go-redis/v9"
)

const (
	// margin is how much longer than asked Redis keeps an entry, in
	// milliseconds. The contract allows a second. The rest is for rounding.
	margin = 900
	// maxAhead is how far the clock of the server may be ahead. It leaves the
	// rest of margin for the way of the response.
	maxAhead = 500
	// headerSize is the size of the version and of the ID of the write.
	headerSize = 16
)

// Errors of a [Store]. The caller does not know whether the operation took
// effect, except after [store.ErrInvalid]. Errors of Redis and of its client
// are returned as they are.
var (
	// ErrClock means that the clock of the server is more than half a second
	// ahead of the clock of this process. The entry could end before its
	// expiry. Synchronize the clocks.
	ErrClock = errors.New("redisstore: clock of the server ahead")
	// ErrReplicas means that fewer replicas than Config.Replicas have confirmed
	// the write in time.
	ErrReplicas = errors.New("redisstore: missing confirmation of replicas")
	// ErrOutcome means that the client has repeated a write whose response was
	// lost, and that the entry is not that of this write.
	ErrOutcome = errors.New("redisstore: unknown outcome of a repeated write")
	// ErrEntry means that the value of a key was not written by this package.
	ErrEntry = errors.New("redisstore: malformed entry")
)

// Config configures a [Store]. Client is required.
type Config struct {
	// Client is a *redis.Client, also that of redis.NewFailoverClient, or a
	// *redis.ClusterClient. It must not read from replicas or from a cache. Set
	// its option ContextTimeoutEnabled, so that calls end at the deadline of
	// their context. A context without a deadline ends a call only after the
	// client's timeouts. Commands that a hook prints do not contain values.
	Client redis.UniversalClient
	// Prefix begins each key. The default is "fapi2:". Braces are not allowed,
	// because they would put all entries on one master of a Cluster.
	Prefix string
	// Replicas is the number of replicas that must confirm a write before it
	// succeeds. The default is 0. A failover may promote a replica that has not
	// confirmed, unless all replicas must.
	Replicas int
	// ReplicaTimeout limits the time of that confirmation. It must be shorter
	// than the read timeout of the client. The default is one second.
	ReplicaTimeout time.Duration
	// Logger receives warnings of New and Check. If nil, slog.Default is used.
	Logger *slog.Logger
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// A Store implements store.Store and store.Index on Redis. It is safe for
// concurrent use by any number of goroutines and processes.
type Store struct {
	server         server
	prefix         string
	replicas       int
	replicaTimeout int64 // in milliseconds
	logger         *slog.Logger
	now            func() time.Time
}

// A server runs commands on single keys. It is all that the store requires of a
// client library.
type server interface {
	// get returns the value of key. If key does not exist, get returns nil.
	get(ctx context.Context, key string) ([]byte, error)
	// run sends commands on key in order over one connection to the master of
	// key. It returns a reply for each: an int64, a string, a list or nil. If a
	// command fails, run returns its error, which is errNoScript for an unknown
	// script.
	run(ctx context.Context, key string, commands ...[]any) ([]any, error)
	// check calls f with the response to INFO of each master, which is empty
	// without a permission.
	check(ctx context.Context, f func(info string) error) error
}

// New returns a Store after [Store.Check]. It returns all problems of cfg at
// once.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "fapi2:"
	}
	if cfg.ReplicaTimeout == 0 {
		cfg.ReplicaTimeout = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	server, err := newGoRedis(cfg.Client, cfg.Replicas, cfg.ReplicaTimeout)
	problems := []error{err}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		problems = append(problems, fmt.Errorf("prefix %q with braces", cfg.Prefix))
	}
	if cfg.Replicas < 0 {
		problems = append(problems, fmt.Errorf("negative Replicas %d", cfg.Replicas))
	}
	if cfg.ReplicaTimeout < time.Millisecond {
		problems = append(problems, fmt.Errorf("ReplicaTimeout %v shorter than a millisecond", cfg.ReplicaTimeout))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	s := &Store{
		server: server, prefix: cfg.Prefix, replicas: cfg.Replicas, replicaTimeout: cfg.ReplicaTimeout.Milliseconds(),
		logger: cfg.Logger, now: cfg.Now,
	}
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// A write is the argument of a command that stores an entry. It counts how
// often the client sends it.
type write struct {
	entry []byte // the header and the value
	end   int64  // when Redis removes the entry, in Unix milliseconds
	once  bool   // the client must not send it again
	sent  int
}

// end rejects what needs no server. It returns the time at which Redis removes
// an entry, in Unix milliseconds.
func (s *Store) end(ctx context.Context, expires time.Time) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("redisstore: %w", err)
	}
	if now := s.now(); !expires.After(now) {
		return 0, fmt.Errorf("redisstore: %w: expiry %v at %v", store.ErrInvalid, expires, now)
	}
	return expires.UnixMilli() + 1 + margin, nil
}

func (s *Store) newWrite(ctx context.Context, version int64, value []byte, expires time.Time) (*write, error) {
	end, err := s.end(ctx, expires)
	if err != nil {
		return nil, err
	}
	entry := make([]byte, headerSize, headerSize+len(value))
	binary.BigEndian.PutUint64(entry, uint64(version))
	binary.BigEndian.PutUint64(entry[8:], rand.Uint64())
	return &write{entry: append(entry, value...), end: end}, nil
}

// MarshalBinary returns the argument. The client calls it each time that it
// sends the command. An error prevents that.
func (w *write) MarshalBinary() ([]byte, error) {
	if w.once && w.sent > 0 {
		return nil, errNotRepeated
	}
	w.sent++
	return w.entry, nil
}

// String omits the value, because tracing hooks print commands.
func (w *write) String() string { return "entry" }

// isIn reports whether a header is that of w.
func (w *write) isIn(header any) bool {
	text, _ := header.(string)
	return text == string(w.entry[:headerSize])
}

// replaced returns an error if an earlier attempt of w may have taken effect,
// because another write can have replaced it since. The versions of an entry
// increase, so an entry of the same version is that of another winner.
func (w *write) replaced(header any) error {
	if text, _ := header.(string); len(text) == headerSize && text[:8] > string(w.entry[:8]) {
		return ErrOutcome
	}
	return nil
}

// Add implements store.Store.
func (s *Store) Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error) {
	w, err := s.newWrite(ctx, 1, value, expires)
	if err != nil {
		return false, err
	}
	key = s.prefix + key
	// SET replies OK for an expiry that has passed by the server's clock, and
	// stores nothing. PTTL shows that, and what that clock is.
	replies, err := s.run(ctx, key, []any{"SET", key, w, "NX", "PXAT", w.end}, []any{"PTTL", key})
	if err != nil {
		return false, failed("Add", err)
	}
	ours, left := replies[0] == "OK", replies[1]
	if !ours {
		if w.sent < 2 {
			return false, nil
		}
		// The first attempt may have added the entry.
		found, err := s.server.run(ctx, key, []any{"GETRANGE", key, 0, headerSize - 1}, []any{"PTTL", key})
		switch {
		case err != nil:
			return false, failed("Add", err)
		case !w.isIn(found[0]):
			return false, w.replaced(found[0])
		}
		left = found[1]
	}
	remaining, _ := left.(int64)
	if remaining <= 0 {
		return false, pastExpiry(expires)
	}
	return s.succeeded(ours, w.end-remaining, replies)
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, failed("Get", err)
	}
	entry, err := s.server.get(ctx, s.prefix+key)
	switch {
	case err != nil:
		return nil, 0, failed("Get", err)
	case entry == nil:
		return nil, 0, nil
	case len(entry) < headerSize || bytes.HasPrefix(entry, make([]byte, 8)):
		return nil, 0, ErrEntry
	}
	return entry[headerSize:], int64(binary.BigEndian.Uint64(entry)), nil
}

// swapScript compares the version and stores the entry. It returns 0 if the
// version differs, and 1 if the expiry has passed by the server's clock: SET
// would then delete the entry. If it has stored the entry, it returns the time
// of the server in milliseconds. If an earlier attempt of the same write has
// stored it, the script returns that time as a negative number.
var swapScript = newScript(`local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then
	if redis.call('GETRANGE', KEYS[1], 0, 15) == string.sub(ARGV[2], 1, 16) then return -now end
	return 0
end
if now >= tonumber(ARGV[3]) then return 1 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return now`)

var (
	errNoScript    = errors.New("unknown script")
	errNotRepeated = errors.New("unknown outcome of a write that is not repeated")
)

type script struct{ text, hash string }

func newScript(text string) script { return script{text, redis.NewScript(text).Hash()} }

// script runs a script on key. One of the arguments may be w.
func (s *Store) script(ctx context.Context, run script, key string, w *write, arguments ...any) ([]any, error) {
	command := append(append(make([]any, 0, 4+len(arguments)), "EVALSHA", run.hash, 1, key), arguments...)
	replies, err := s.run(ctx, key, command)
	if errors.Is(err, errNoScript) { // a new server, or one whose scripts were flushed
		w.sent-- // the script has not run
		command[0], command[1] = "EVAL", run.text
		replies, err = s.run(ctx, key, command)
	}
	return replies, err
}

// Swap implements store.Store.
func (s *Store) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (swapped bool, err error) {
	w, err := s.newWrite(ctx, version+1, value, expires)
	if err != nil {
		return false, err
	}
	key = s.prefix + key
	old := binary.BigEndian.AppendUint64(nil, uint64(version))
	replies, err := s.script(ctx, swapScript, key, w, old, w, w.end)
	if err != nil {
		return false, failed("Swap", err)
	}
	switch result, _ := replies[0].(int64); {
	case result == 0 && w.sent > 1:
		found, err := s.server.run(ctx, key, []any{"GETRANGE", key, 0, headerSize - 1})
		if err != nil {
			return false, failed("Swap", err)
		}
		return false, w.replaced(found[0])
	case result == 0:
		return false, nil
	case result == 1:
		return false, pastExpiry(expires)
	case result < 0:
		return s.succeeded(false, -result, replies)
	default:
		return s.succeeded(true, result, replies)
	}
}

// run also waits for replicas, over the same connection.
func (s *Store) run(ctx context.Context, key string, commands ...[]any) ([]any, error) {
	if s.replicas > 0 {
		commands = append(commands, []any{"WAIT", s.replicas, s.replicaTimeout})
	}
	return s.server.run(ctx, key, commands...)
}

// succeeded returns true if an entry that is stored is safe. If an earlier
// attempt has written it, written is false. WAIT has then confirmed nothing,
// because it waits for the writes of its own connection.
func (s *Store) succeeded(written bool, serverTime int64, replies []any) (bool, error) {
	if ahead := serverTime - s.now().UnixMilli(); ahead > maxAhead {
		return false, fmt.Errorf("%w: %v", ErrClock, time.Duration(ahead)*time.Millisecond)
	}
	if s.replicas == 0 {
		return true, nil
	}
	confirmed, _ := replies[len(replies)-1].(int64)
	if !written {
		confirmed = 0
	}
	if confirmed < int64(s.replicas) {
		return false, fmt.Errorf("%w: %d of %d", ErrReplicas, confirmed, s.replicas)
	}
	return true, nil
}

func pastExpiry(expires time.Time) error {
	return fmt.Errorf("redisstore: %w: expiry %v has passed for the server", store.ErrInvalid, expires)
}

func failed(method string, err error) error { return fmt.Errorf("redisstore: %s: %w", method, err) }

// String returns only the name of the type, because entries may contain
// personal data.
func (s *Store) String() string { return "redisstore.Store" }

// LogValue is String for package log/slog.
func (s *Store) LogValue() slog.Value { return slog.StringValue(s.String()) }
