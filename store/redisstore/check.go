package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// probeTime is the lifetime of the entry that Check writes.
const probeTime = 10 * time.Second

// Check writes and reads an entry and a set that expire after ten seconds, and
// examines the configuration of every master. A readiness probe can call it.
//
// It returns an error if the client does not fit the server, if a master evicts
// entries, or if an operation fails. It logs a warning if the user of the
// client may not read the configuration, or if a restart loses entries because
// appendonly is off.
func (s *Store) Check(ctx context.Context) error {
	err := s.server.check(ctx, func(info string) error { return s.checkInfo(ctx, info) })
	if err == nil {
		err = s.probe(ctx)
	}
	if err == nil {
		return nil
	}
	if advice := advice(err); advice != "" {
		return fmt.Errorf("redisstore: %s: %w", advice, err)
	}
	return fmt.Errorf("redisstore: check: %w", err)
}

// checkInfo examines the response to INFO of a master. The response is empty if
// the user has no permission.
func (s *Store) checkInfo(ctx context.Context, info string) error {
	if info == "" {
		s.logger.WarnContext(ctx, "redisstore: eviction and persistence are not checked, "+
			"because the user of the client may not run INFO")
		return nil
	}
	fields := make(map[string]string)
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	_, clustered := s.server.(cluster)
	switch policy := fields["maxmemory_policy"]; {
	case fields["redis_mode"] == "sentinel":
		return errors.New("server is a Sentinel: use redis.NewFailoverClient")
	case fields["cluster_enabled"] == "1" && !clustered:
		return errors.New("server is a node of a Cluster: use redis.NewClusterClient")
	case fields["role"] == "slave":
		return errors.New("server is a replica: connect to the master")
	case policy == "":
		s.logger.WarnContext(ctx, "redisstore: eviction is not checked, because the response to INFO lacks it")
	case policy != "noeviction" && fields["maxmemory"] != "0":
		return fmt.Errorf("server evicts live entries with maxmemory-policy %s: set it to noeviction", policy)
	}
	if fields["aof_enabled"] == "0" {
		s.logger.WarnContext(ctx, "redisstore: a restart of the server loses entries, because appendonly is off")
	}
	return nil
}

// probe runs every command of the store.
func (s *Store) probe(ctx context.Context) error {
	var random [32]byte
	rand.Read(random[:]) //nolint:errcheck // never fails
	key, expires := base64.RawURLEncoding.EncodeToString(random[:]), s.now().Add(probeTime)
	added, err := s.Add(ctx, key, nil, expires)
	if err != nil {
		return err
	}
	swapped, err := s.Swap(ctx, key, 1, nil, expires)
	if err != nil {
		return err
	}
	_, version, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	if !added || !swapped || version != 2 {
		return fmt.Errorf("entry lost: Add %v, Swap %v, version %d, want true, true and 2", added, swapped, version)
	}
	return s.probeIndex(ctx, key, expires)
}

func (s *Store) probeIndex(ctx context.Context, set string, expires time.Time) error {
	for _, member := range []string{"b", "a"} {
		if err := s.Put(ctx, set, member, expires); err != nil {
			return err
		}
	}
	if err := s.Delete(ctx, set, "b"); err != nil {
		return err
	}
	members, err := s.List(ctx, set, "", maxList)
	if err != nil {
		return err
	}
	if len(members) != 1 || members[0] != "a" {
		return fmt.Errorf("members lost: List %q, want a", members)
	}
	return nil
}
