package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections is a listener that bounds how many connections are open. When there
// are too many, one of those on which no request is served is closed for the new
// one: first one that has sent no request yet, then one that idles. It is the
// oldest of the peer that has the most of them. So connections that say nothing
// cost their own peer, and they keep no other peer out.
//
// Only while requests are served on all of them does a new connection wait.
type connections struct {
	net.Listener
	limit int

	mu      sync.Mutex
	changed *sync.Cond
	open    map[*connection]struct{}
	count   uint64 // of all connections so far
	closed  bool
}

// A connection is one that a peer has made.
type connection struct {
	net.Conn
	of    *connections
	peer  string
	age   uint64         // a smaller one is older
	state http.ConnState // new, active or idle
}

func limit(l net.Listener, n int) *connections {
	c := &connections{Listener: l, limit: n, open: make(map[*connection]struct{})}
	c.changed = sync.NewCond(&c.mu)
	return c
}

// Accept returns the next connection once there is room for it.
func (l *connections) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: accepted, of: l, peer: networkOf(accepted.RemoteAddr().String()), state: http.StateNew}
	for {
		victim, ok := l.admit(c)
		switch {
		case victim != nil:
			victim.Close()
		case ok:
			return c, nil
		default:
			accepted.Close()
			return nil, net.ErrClosed
		}
	}
}

// admit waits until there is room for a connection, or one that can be closed for
// it. It returns false when the listener has been closed.
func (l *connections) admit(c *connection) (victim *connection, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && len(l.open) >= l.limit {
		if victim = l.leastUseful(); victim != nil {
			return victim, false
		}
		l.changed.Wait()
	}
	if l.closed {
		return nil, false
	}
	l.count++
	c.age = l.count
	l.open[c] = struct{}{}
	return nil, true
}

// leastUseful returns the connection to close for a new one, nil if requests are
// served on all.
func (l *connections) leastUseful() *connection {
	for _, state := range []http.ConnState{http.StateNew, http.StateIdle} {
		share := make(map[string]int)
		for c := range l.open {
			if c.state == state {
				share[c.peer]++
			}
		}
		var victim *connection
		for c := range l.open {
			if c.state == state && (victim == nil || share[c.peer] > share[victim.peer] ||
				share[c.peer] == share[victim.peer] && c.age < victim.age) {
				victim = c
			}
		}
		if victim != nil {
			return victim
		}
	}
	return nil
}

// follow is the ConnState of the server: it tells which connections are of use.
func (l *connections) follow(served net.Conn, state http.ConnState) {
	if encrypted, ok := served.(*tls.Conn); ok {
		served = encrypted.NetConn()
	}
	c, ok := served.(*connection)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.state = state
	l.changed.Signal()
}

// Close ends Accept.
func (l *connections) Close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// Close makes room for another connection.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.changed.Signal()
	c.of.mu.Unlock()
	return c.Conn.Close()
}
