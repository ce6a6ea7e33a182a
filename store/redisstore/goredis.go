package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// single is a client of one master, also of one that Sentinel names.
type single struct{ *redis.Client }

// cluster is a client of a Cluster. If waits is true, commands of one call run
// on one connection, because WAIT has no key.
type cluster struct {
	*redis.ClusterClient
	waits bool
}

var errNotRun = errors.New("command not run by the client")

// newGoRedis rejects clients that cannot keep the contract.
func newGoRedis(client redis.UniversalClient, replicas int, timeout time.Duration) (server, error) {
	var (
		s           server
		readTimeout time.Duration
		err         error
	)
	switch c := client.(type) {
	case nil:
		return nil, errors.New("missing Client")
	case *redis.Client:
		if c == nil {
			return nil, errors.New("missing Client")
		}
		o := c.Options()
		if o.ClientSideCache != nil || o.ClientSideCacheConfig != nil {
			err = errors.New("client with a client-side cache, which returns old entries: remove ClientSideCache")
		}
		s, readTimeout = single{c}, o.ReadTimeout
	case *redis.ClusterClient:
		if c == nil {
			return nil, errors.New("missing Client")
		}
		o := c.Options()
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			err = errors.New("client that reads from replicas, which return old entries: " +
				"remove ReadOnly, RouteByLatency and RouteRandomly")
		}
		s, readTimeout = cluster{c, replicas > 0}, o.ReadTimeout
	default:
		return nil, fmt.Errorf("unsupported client %T, want *redis.Client or *redis.ClusterClient", client)
	}
	if replicas > 0 && readTimeout > 0 && timeout >= readTimeout {
		err = errors.Join(err, fmt.Errorf("ReplicaTimeout %v not shorter than the client's read timeout %v",
			timeout, readTimeout))
	}
	return s, err
}

func (s single) get(ctx context.Context, key string) ([]byte, error) { return get(ctx, s.Client, key) }

func (s single) run(ctx context.Context, key string, commands ...[]any) ([]any, error) {
	return run(ctx, s.Client, commands)
}

func (s single) check(ctx context.Context, f func(info string) error) error {
	return check(ctx, s.Client, f)
}

func (c cluster) get(ctx context.Context, key string) ([]byte, error) {
	value, err := get(ctx, c.ClusterClient, key)
	c.after(ctx, err)
	return value, err
}

func (c cluster) run(ctx context.Context, key string, commands ...[]any) (replies []any, err error) {
	defer func() { c.after(ctx, err) }()
	if !c.waits {
		return run(ctx, c.ClusterClient, commands)
	}
	// Watch is the way to a connection to the master of a key. It follows
	// redirections before the first command of the call.
	err = c.Watch(ctx, func(tx *redis.Tx) (err error) {
		replies, err = run(ctx, tx, commands)
		return err
	}, key)
	if err == nil && replies == nil { // Watch succeeds after too many redirections
		err = errNotRun
	}
	return replies, err
}

// after starts to look for new masters after an error. Otherwise the client
// looks for them once in a minute, unless a server redirects it.
func (c cluster) after(ctx context.Context, err error) {
	if err != nil {
		c.ReloadState(ctx)
	}
}

func (c cluster) check(ctx context.Context, f func(info string) error) error {
	return c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return check(ctx, master, f) })
}

func get(ctx context.Context, client redis.StringCmdable, key string) ([]byte, error) {
	value, err := client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return value, err
}

// run sends commands in one pipeline.
func run(ctx context.Context, client interface{ Pipeline() redis.Pipeliner }, commands [][]any) ([]any, error) {
	pipeline := client.Pipeline()
	for _, command := range commands {
		pipeline.Do(ctx, command...)
	}
	sent, _ := pipeline.Exec(ctx) // the commands have the errors
	replies := make([]any, len(sent))
	for i, command := range sent {
		reply, err := command.(*redis.Cmd).Result()
		switch {
		case errors.Is(err, redis.Nil):
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			return nil, errNoScript
		case err != nil:
			return nil, err
		case reply == nil: // nil would mean that Redis has replied so
			return nil, errNotRun
		}
		replies[i] = reply
	}
	return replies, nil
}

func check(ctx context.Context, client *redis.Client, f func(info string) error) error {
	info, err := client.Info(ctx).Result()
	if redis.IsPermissionError(err) {
		return f("")
	}
	if err != nil {
		return err
	}
	return f(info)
}

// advice returns what an operator must change.
func advice(err error) string {
	_, moved := redis.IsMovedError(err)
	switch {
	case redis.IsAuthError(err):
		return "wrong or missing password: set Username and Password of the client"
	case redis.IsPermissionError(err), redis.HasErrorPrefix(err, "The user executing the script can't"),
		redis.HasErrorPrefix(err, "ACL failure in script"):
		return "missing permission: the user of the client requires +get +set +pttl +getrange +evalsha +eval +time " +
			"+zadd +zrem +zrangebylex +zrandmember +pexpireat +info and the keys of the prefix, " +
			"for Replicas also +wait +watch +unwatch, for a Cluster also +cluster"
	case moved:
		return "server is a node of a Cluster: use redis.NewClusterClient"
	case redis.IsReadOnlyError(err):
		return "server is a replica: connect to the master"
	case redis.HasErrorPrefix(err, "This instance has cluster support disabled"):
		return "server is not a node of a Cluster: use redis.NewClient"
	case redis.HasErrorPrefix(err, "syntax error"):
		return "server older than Redis 6.2"
	}
	return ""
}
