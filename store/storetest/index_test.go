package storetest_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/storetest"
)

// A plainIndex is right unless one of its faults is on.
type plainIndex struct {
	mu    sync.Mutex
	sets  map[string]map[string]time.Time
	fault string
}

const (
	indexSharing = "the indexes that open returns share their members"
	indexOver    = "an index call whose context has ended is an error and changes nothing"
	indexPast    = "a member whose expiry has passed is an error, and nothing changes"
	indexOrder   = "members are ordered and compared byte by byte"
	indexPage    = "List begins after a string, which need not be a member"
)

// indexFaults are the mistakes of indexes, each with a check that finds it.
var indexFaults = map[string]string{
	"none":                             "",
	"whole seconds, rounded up":        "",
	"a past expiry, if the member is":  "",
	"unshared indexes":                 indexSharing,
	"no index":                         indexSharing,
	"the order of Put":                 "List returns the members of Put, whose order does not matter",
	"members without case":             indexOrder,
	"the order of a dictionary":        indexOrder,
	"sets without case":                "sets are compared byte by byte",
	"one set":                          "sets are compared byte by byte",
	"after is included":                indexPage,
	"after must be a member":           indexPage,
	"the limit is ignored":             indexPage,
	"at most 99":                       "pages of a large set have each member once",
	"members of 64 bytes":              "the longest and the shortest member come back",
	"a list of members":                "a second Put is not a second member",
	"the last expiry":                  "Put never shortens the life of a member",
	"the first expiry":                 "Put moves the expiry to a later time",
	"Delete of the set":                "Delete removes one member of one set",
	"Delete in all sets":               "Delete removes one member of one set",
	"Delete of nothing is an error":    "Delete of a member that does not exist is not an error",
	"a deleted member keeps its life":  "a member can be put again after Delete, with an earlier expiry",
	"a clock that is behind":           "a member does not exist after its expiry",
	"a clock that is ahead":            "a member exists until its expiry",
	"whole seconds, rounded down":      "a member exists until its expiry",
	"whole seconds, to the nearest":    "a member exists until its expiry",
	"the limit before the expiry":      "expired members do not shorten a page",
	"an expired member stays expired":  "an expired member can be put again",
	"a past expiry is not an error":    indexPast,
	"a past expiry ends the member":    indexPast,
	"local time":                       "a member with an expiry in twenty years, and in another time zone",
	"a set is read and then written":   "64 concurrent calls of Put add 64 members",
	"an expiry is read, then written":  "64 concurrent calls of Put of one member keep the latest expiry",
	"the second of two Puts fails":     "64 concurrent calls of Put of one member keep the latest expiry",
	"List hides a neighbour of Delete": "List returns each other member during calls of Put and Delete",
	"a Put is seen later":              "List returns each other member during calls of Put and Delete",
	"errors swallowed":                 indexOver,
	"a failure is an empty set":        indexOver,
	"a failed List is cut":             "List returns an error or all members if its context ends during the call",
}

func (x *plainIndex) is(fault string) bool { return x.fault == fault }

func (x *plainIndex) names(set, member string) (string, string) {
	switch x.fault {
	case "members without case":
		member = strings.ToLower(member)
	case "sets without case":
		set = strings.ToLower(set)
	case "one set":
		set = ""
	case "members of 64 bytes":
		member = member[:min(len(member), 64)]
	}
	return set, member
}

func (x *plainIndex) now() time.Time {
	switch x.fault {
	case "a clock that is ahead":
		return time.Now().Add(time.Second)
	case "a clock that is behind":
		return time.Now().Add(-5 * time.Second)
	}
	return time.Now()
}

func (x *plainIndex) expiry(t time.Time) time.Time { return (&plain{fault: x.fault}).expiry(t) }

func (x *plainIndex) Put(ctx context.Context, set, member string, expires time.Time) error {
	if err := ctx.Err(); err != nil && !x.is("errors swallowed") {
		return err
	}
	set, member = x.names(set, member)
	x.mu.Lock()
	defer x.mu.Unlock()
	members := x.sets[set]
	old, ok := members[member]
	if !x.now().Before(expires) {
		switch {
		case x.is("a past expiry is not an error"), ok && x.is("a past expiry, if the member is"):
			return nil
		case x.is("a past expiry ends the member"):
			delete(members, member)
		}
		return errors.New("the expiry has passed")
	}
	if members == nil {
		members = make(map[string]time.Time)
		x.sets[set] = members
	}
	expires = x.expiry(expires)
	if deleted := members["~"+member]; deleted.After(expires) {
		expires = deleted
	}
	switch x.fault {
	case "a list of members":
		for ; ok; _, ok = members[member] {
			member += "-"
		}
	case "the first expiry":
		if ok {
			expires = old
		}
	case "an expired member stays expired":
		if ok && !x.now().Before(old) {
			return nil
		}
	case "a set is read and then written":
		copied := make(map[string]time.Time)
		for name, end := range members {
			copied[name] = end
		}
		x.pause(time.Millisecond)
		members, x.sets[set] = copied, copied
	case "an expiry is read, then written":
		if time.Until(expires) < time.Minute { // the later expiry is written first
			x.pause(20 * time.Millisecond)
		} else {
			x.pause(time.Millisecond)
		}
	case "the second of two Puts fails":
		if ok && time.Until(old) < time.Minute && time.Until(expires) < time.Minute {
			return errors.New("duplicate key")
		}
	case "a Put is seen later":
		time.AfterFunc(time.Millisecond, func() {
			x.mu.Lock()
			defer x.mu.Unlock()
			members[member] = expires
		})
		return nil
	}
	if ok && old.After(expires) && !x.is("the last expiry") {
		expires = old
	}
	members[member] = expires
	return nil
}

// pause lets other calls run in the middle of one.
func (x *plainIndex) pause(d time.Duration) {
	x.mu.Unlock()
	time.Sleep(d)
	x.mu.Lock()
}

func (x *plainIndex) Delete(ctx context.Context, set, member string) error {
	if err := ctx.Err(); err != nil && !x.is("errors swallowed") {
		return err
	}
	set, member = x.names(set, member)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch x.fault {
	case "Delete of the set":
		delete(x.sets, set)
	case "Delete in all sets":
		for _, members := range x.sets {
			delete(members, member)
		}
	case "Delete of nothing is an error":
		if _, ok := x.sets[set][member]; !ok {
			return errors.New("not found")
		}
	case "a deleted member keeps its life":
		if old, ok := x.sets[set][member]; ok {
			x.sets[set]["~"+member] = old
		}
	case "List hides a neighbour of Delete":
		neighbour := member[:min(len(member), 3)]
		if old, ok := x.sets[set][neighbour]; ok && len(member) > 3 {
			delete(x.sets[set], neighbour)
			x.pause(time.Millisecond)
			x.sets[set][neighbour] = old
		}
	}
	delete(x.sets[set], member)
	return nil
}

func (x *plainIndex) List(ctx context.Context, set, after string, limit int) ([]string, error) {
	if err := ctx.Err(); err != nil {
		if x.is("a failure is an empty set") {
			return nil, nil
		}
		return nil, err
	}
	set, after = x.names(set, after)
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []string
	for member, expires := range x.sets[set] {
		live := x.now().Before(expires) || x.is("the limit before the expiry")
		if live && member[0] != '~' && (member > after || member == after && x.is("after is included")) {
			all = append(all, member)
		}
	}
	slices.Sort(all)
	switch x.fault {
	case "the order of Put":
		slices.Reverse(all)
	case "the order of a dictionary":
		slices.SortFunc(all, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	case "after must be a member":
		if _, ok := x.sets[set][after]; !ok && after != "" {
			return nil, nil
		}
	case "the limit is ignored":
		return all, nil
	case "at most 99":
		limit = min(limit, 99)
	case "a failed List is cut":
		select {
		case <-ctx.Done():
			return all[:len(all)/2], nil
		case <-time.After(time.Millisecond):
		}
	}
	all = all[:min(len(all), limit)]
	if x.is("the limit before the expiry") {
		all = slices.DeleteFunc(all, func(m string) bool { return !x.now().Before(x.sets[set][m]) })
	}
	return all, nil
}

// TestBrokenIndex runs the kit like TestBroken.
func TestBrokenIndex(t *testing.T) {
	fault, ok := os.LookupEnv("STORETEST_FAULT")
	if !ok {
		return
	}
	open := func(*testing.T) store.Index {
		return &plainIndex{sets: make(map[string]map[string]time.Time), fault: fault}
	}
	x := open(t)
	storetest.TestIndex(t, func(t *testing.T) store.Index {
		switch fault {
		case "no index":
			return nil
		case "unshared indexes":
			return open(t)
		}
		return x
	})
}

func TestFaultsOfIndexesAreFound(t *testing.T) {
	t.Parallel()
	results := runBroken(t, "TestBrokenIndex", indexFaults)
	for fault, check := range indexFaults {
		t.Run(fault, func(t *testing.T) {
			got := results[fault]
			requireFound(t, got, "TestBrokenIndex", check)
			if check != "" && check != indexSharing {
				require.NotContains(t, got.output, "storetest.go", "each message names the line of its check")
			}
		})
	}
}
