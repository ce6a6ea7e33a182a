package testserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SentinelName is the name of the primary that [RedisSentinel] monitors.
const SentinelName = "primary"

// Redis starts a Redis server without persistence. Settings are those of
// redis.conf, for example "maxmemory=10mb".
func Redis(t testing.TB, settings ...string) *Server {
	t.Helper()
	return serve(t, redisKind(settings))
}

// RedisReplica starts a Redis server that follows s. It returns when it has the
// data of s.
func (s *Server) RedisReplica(settings ...string) *Server {
	s.t.Helper()
	k := redisKind(append([]string{"replicaof=" + s.Host() + " " + s.Port()}, settings...))
	k.ready = func(ctx context.Context, s *Server) error {
		info, err := s.redis(ctx, "INFO replication")
		if err == nil && strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("no link to the primary")
		}
		return err
	}
	return serve(s.t, k)
}

// AwaitPromotion waits until Sentinel has made a replica of Redis the primary.
func (s *Server) AwaitPromotion() {
	s.t.Helper()
	s.wait("INFO replication", "role:master")
}

// Flush removes all entries of a Redis server.
func (s *Server) Flush() {
	s.t.Helper()
	s.must("FLUSHALL")
}

// RedisSentinel starts a Sentinel that monitors a primary. It returns when it
// has found the number of replicas. It promotes a replica a second after the
// primary has failed.
func RedisSentinel(t testing.TB, primary *Server, replicas int) *Server {
	t.Helper()
	k := redisKind(nil)
	configuration := func(s *Server) string { return filepath.Join(s.dir, "sentinel.conf") }
	k.prepare = func(s *Server) error { // Sentinel writes the file
		lines := "sentinel monitor " + SentinelName + " " + primary.Host() + " " + primary.Port() + " 1\n" +
			"sentinel down-after-milliseconds " + SentinelName + " 1000\n" +
			"sentinel failover-timeout " + SentinelName + " 5000\n"
		if err := os.WriteFile(configuration(s), []byte(lines), 0o600); err != nil {
			return err
		}
		return s.account.own(configuration(s))
	}
	k.arguments = func(s *Server) []string {
		return []string{configuration(s), "--sentinel", "--bind", s.Host(), "--port", s.Port(), "--dir", s.dir}
	}
	k.ready = func(ctx context.Context, s *Server) error {
		info, err := s.redis(ctx, "INFO sentinel")
		if err == nil && !strings.Contains(info, fmt.Sprint("slaves=", replicas)) {
			err = errors.New("replicas not found")
		}
		return err
	}
	return serve(t, k)
}

// RedisCluster starts a Cluster of masters, each with a number of replicas. It
// returns the masters first, then the replicas.
func RedisCluster(t testing.TB, masters, replicas int, settings ...string) []*Server {
	t.Helper()
	nodes := make([]*Server, masters*(1+replicas))
	for i := range nodes {
		bus := freeAddress(t) // the default is 10,000 above the port, which may not exist
		nodes[i] = Redis(t, append([]string{
			"cluster-enabled=yes", "cluster-port=" + bus[strings.LastIndex(bus, ":")+1:], "cluster-node-timeout=2000",
			"cluster-allow-replica-migration=no",
		}, settings...)...)
		bus = bus[strings.LastIndex(bus, ":")+1:]
		nodes[i].must("CLUSTER SET-CONFIG-EPOCH " + strconv.Itoa(i+1))
		nodes[0].must("CLUSTER MEET " + nodes[i].Host() + " " + nodes[i].Port() + " " + bus)
		if i < masters {
			first, last := i*16384/masters, (i+1)*16384/masters-1
			nodes[i].must(fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", first, last))
		}
	}
	for _, node := range nodes {
		node.wait("CLUSTER INFO", fmt.Sprint("cluster_known_nodes:", len(nodes)))
	}
	for i, node := range nodes[masters:] {
		node.must("CLUSTER REPLICATE " + nodes[i%masters].must("CLUSTER MYID"))
	}
	for i, node := range nodes {
		node.wait("CLUSTER INFO", "cluster_state:ok")
		if i >= masters {
			node.wait("INFO replication", "master_link_status:up")
		}
	}
	return nodes
}

func redisKind(settings []string) kind {
	return kind{
		name: "redis-server", program: "redis-server", users: []string{"redis"}, stop: syscall.SIGTERM,
		prepare: func(*Server) error { return nil },
		arguments: func(s *Server) []string {
			arguments := []string{
				"--bind", s.Host(), "--port", s.Port(), "--dir", s.dir, "--save", "", "--appendfsync", "no",
				"--repl-diskless-sync-delay", "0",
			}
			for _, setting := range settings {
				name, value, _ := strings.Cut(setting, "=")
				arguments = append(append(arguments, "--"+name), strings.Split(value, " ")...)
			}
			return arguments
		},
		ready: func(ctx context.Context, s *Server) error {
			_, err := s.redis(ctx, "PING")
			if err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
				return nil
			}
			return err
		},
	}
}

// redis sends a command and returns its reply, which is a simple or a bulk
// string.
func (s *Server) redis(ctx context.Context, command string) (string, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return "", err
	}
	defer connection.Close()                                 //nolint:errcheck // the reply has been read
	connection.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // never fails for TCP
	if _, err := io.WriteString(connection, command+"\r\n"); err != nil {
		return "", err
	}
	reader := bufio.NewReader(connection)
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	if reply, ok := strings.CutPrefix(line, "+"); ok {
		return reply, nil
	}
	size, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
	if err != nil || size < 0 {
		return "", errors.New(strings.TrimPrefix(line, "-"))
	}
	reply := make([]byte, size)
	_, err = io.ReadFull(reader, reply)
	return string(reply), err
}

func (s *Server) must(command string) string {
	s.t.Helper()
	reply, err := s.redis(s.t.Context(), command)
	s.check(command, err)
	return reply
}

// wait sends a command until the reply contains a text.
func (s *Server) wait(command, text string) {
	s.t.Helper()
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		reply, err := s.redis(s.t.Context(), command)
		if err == nil && strings.Contains(reply, text) {
			return
		}
		if time.Now().After(deadline) {
			s.check("wait for "+text, errors.Join(err, errors.New(reply)))
		}
	}
}
