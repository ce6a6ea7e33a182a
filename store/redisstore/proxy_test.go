package redisstore_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/store/redisstore"
)

// A proxy forwards connections, and cuts one when a test wants it.
type proxy struct {
	addr, server string
	mu           sync.Mutex
	request      func() bool // whether to cut instead of forwarding a request
	response     func() bool // whether to cut instead of forwarding a response
}

func newProxy(t testing.TB, server string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: listener.Addr().String(), server: server}
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) serve(c net.Conn) {
	s, err := net.Dial("tcp", p.server)
	if err != nil {
		c.Close() //nolint:errcheck // the test sees the end
		return
	}
	pipe := func(from, to net.Conn, cut func() bool) {
		defer from.Close() //nolint:errcheck // the test sees the end
		defer to.Close()   //nolint:errcheck // the test sees the end
		buffer := make([]byte, 1<<20)
		for {
			n, err := from.Read(buffer)
			if err != nil || cut() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	go pipe(c, s, func() bool { return p.cut(&p.request) })
	pipe(s, c, func() bool { return p.cut(&p.response) })
}

func (p *proxy) cut(f *func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *f != nil && (*f)()
}

func (p *proxy) set(request, response func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.request, p.response = request, response
}

// once returns a function that returns true the first time, after f.
func once(f func()) func() bool {
	done := false
	return func() bool {
		if done {
			return false
		}
		done = true
		f()
		return true
	}
}

func always() bool { return true }

func TestLostResponse(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	p := newProxy(t, server.Addr)
	direct, s := open(t, client(t, server.Addr)), open(t, client(t, p.addr))
	ctx := t.Context()

	for _, cut := range []string{"request", "response"} {
		t.Run("the client repeats a write whose "+cut+" is lost", func(t *testing.T) {
			lose := func() {
				if f := once(func() {}); cut == "request" {
					p.set(f, nil)
				} else {
					p.set(nil, f)
				}
			}
			lose()
			requireAdd(t, s, cut, "1", true)
			requireGet(t, direct, cut, "1", 1)
			lose()
			swapped, err := s.Swap(ctx, key(cut), 1, []byte("2"), hour())
			require.NoError(t, err)
			require.True(t, swapped)
			requireGet(t, direct, cut, "2", 2)
			lose()
			requireGet(t, s, cut, "2", 2)
		})
	}
	t.Run("another write replaces the entry before the repetition", func(t *testing.T) {
		swap := func(version int64) func() bool {
			return once(func() {
				swapped, err := direct.Swap(ctx, key("replaced"), version, []byte("other"), hour())
				if err != nil || !swapped {
					t.Errorf("Swap returned %v and the error %v", swapped, err)
				}
			})
		}
		p.set(nil, swap(1))
		added, err := s.Add(ctx, key("replaced"), []byte("ours"), hour())
		require.ErrorIs(t, err, redisstore.ErrOutcome, "false would be wrong, because the entry was added")
		require.False(t, added)
		p.set(nil, swap(3))
		swapped, err := s.Swap(ctx, key("replaced"), 2, []byte("ours"), hour())
		require.ErrorIs(t, err, redisstore.ErrOutcome)
		require.False(t, swapped)
		requireGet(t, direct, "replaced", "other", 4)
	})
	t.Run("every response is lost", func(t *testing.T) {
		p.set(nil, always)
		added, err := s.Add(ctx, key("lost"), nil, hour())
		require.Error(t, err)
		require.False(t, added)
		requireGet(t, direct, "lost", "", 1)
		swapped, err := s.Swap(ctx, key("lost"), 1, nil, hour())
		require.Error(t, err)
		require.False(t, swapped)
		_, version, err := s.Get(ctx, key("lost"))
		require.Error(t, err)
		require.Zero(t, version)
		p.set(nil, nil)
	})
	t.Run("the script is unknown after a lost response", func(t *testing.T) {
		requireAdd(t, s, "flushed", "1", true)
		p.set(nil, once(func() {
			if err := client(t, server.Addr).ScriptFlush(ctx).Err(); err != nil {
				t.Error(err)
			}
		}))
		swapped, err := s.Swap(ctx, key("flushed"), 1, []byte("2"), hour())
		require.NoError(t, err)
		require.True(t, swapped)
		requireGet(t, direct, "flushed", "2", 2)
	})
	t.Run("a call ends with its context", func(t *testing.T) {
		server.Pause()
		defer server.Resume()
		for name, call := range map[string]func(context.Context) (bool, error){
			"Add":  func(ctx context.Context) (bool, error) { return s.Add(ctx, key("late"), nil, hour()) },
			"Swap": func(ctx context.Context) (bool, error) { return s.Swap(ctx, key("response"), 2, nil, hour()) },
			"Get": func(ctx context.Context) (bool, error) {
				_, version, err := s.Get(ctx, key("response"))
				return version != 0, err
			},
		} {
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			ok, err := call(short)
			require.Error(t, err, name)
			require.False(t, ok, name)
			require.Less(t, time.Since(start), 2*time.Second, "%s outlasts its context", name)
		}
	})
}

// A repetition writes nothing, so WAIT over its connection would confirm
// nothing.
func TestLostResponseWithReplicas(t *testing.T) {
	t.Parallel()
	primary := testserver.Redis(t)
	primary.RedisReplica()
	p := newProxy(t, primary.Addr)
	s := open(t, client(t, p.addr), patient)
	p.set(nil, once(func() {}))
	added, err := s.Add(t.Context(), key("a"), nil, hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas)
	require.False(t, added)
	requireAdd(t, s, "a", "", false)
	requireGet(t, s, "a", "", 1)
	p.set(nil, once(func() {}))
	swapped, err := s.Swap(t.Context(), key("a"), 1, nil, hour())
	require.ErrorIs(t, err, redisstore.ErrReplicas)
	require.False(t, swapped)
	requireGet(t, s, "a", "", 2)
}
