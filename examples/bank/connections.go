package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections is a listener that bounds the number of open connections. When
// the bound is reached, it closes a connection without a running request for
// the new one. It prefers connections that have sent no request yet to idle
// ones. It closes the oldest connection of the peer with the most connections.
// Silent connections therefore displace only connections of their own peer.
//
// A new connection waits only while requests run on all open connections.
type connections struct {
	net.Listener
	limit int

	mu      sync.Mutex
	changed *sync.Cond
	open    map[*connection]struct{}
	count   uint64 // of all connections so far
	closed  bool
}

// A connection is an open connection of a peer.
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

// admit waits until a connection fits or another one can be closed for it. It
// returns false when the listener has been closed.
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

// leastUseful returns the connection to close for a new one, or nil if requests
// run on all connections.
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

// follow is the ConnState hook of the server. It records the state of each
// connection.
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
