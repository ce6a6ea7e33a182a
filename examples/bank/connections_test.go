package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSilentConnections(t *testing.T) {
	w := newWorld(t)
	address := strings.TrimPrefix(w.issuer, "https://")
	silent := func(n int, say func(c net.Conn)) {
		for range n {
			c, err := net.Dial("tcp", address)
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			say(c)
		}
	}
	for _, tc := range []struct {
		name string
		n    int
		say  func(c net.Conn)
	}{
		{"D2: 1,000 TCP connections that say nothing", maxConnections, func(net.Conn) {}},
		{"D2: as many that begin a handshake", maxConnections, func(c net.Conn) { fmt.Fprint(c, "\x16\x03\x01\x02\x00") }},
		{"D2: some that end the handshake and send no request", 50, func(c net.Conn) {
			require.NoError(t, tls.Client(c, &tls.Config{RootCAs: w.roots, ServerName: "localhost"}).Handshake())
		}},
		{"D2: some that idle after a request", 50, func(c net.Conn) {
			encrypted := tls.Client(c, &tls.Config{RootCAs: w.roots, ServerName: "localhost"})
			_, err := fmt.Fprint(encrypted, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(encrypted), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			silent(tc.n, tc.say)
			// A client that no earlier case has connected.
			require.Equal(t, "ok", w.get(w.issuer+"/healthz").ok(http.StatusOK).str("status"))
		})
	}
}

// dialed returns connections at both ends.
func dialed(t *testing.T, l *connections, from string) (near net.Conn, far *connection) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	near, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { near.Close() })
	accepted, err := l.Accept()
	require.NoError(t, err)
	return near, accepted.(*connection)
}

func newConnections(t *testing.T, n int) *connections {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	limited := limit(l, n)
	t.Cleanup(func() { limited.Close() })
	return limited
}

func TestWhichConnectionGoes(t *testing.T) {
	t.Run("D2: the oldest silent one of the peer that has the most", func(t *testing.T) {
		l := newConnections(t, 4)
		_, other := dialed(t, l, "127.0.0.2")
		_, first := dialed(t, l, "127.0.0.1")
		_, second := dialed(t, l, "127.0.0.1")
		_, busy := dialed(t, l, "127.0.0.1")
		l.follow(busy, http.StateActive)
		_, late := dialed(t, l, "127.0.0.3")
		require.NotContains(t, l.open, first)
		for _, c := range []*connection{other, second, busy, late} {
			require.Contains(t, l.open, c)
		}
	})
	t.Run("D2: silent ones before idle ones", func(t *testing.T) {
		l := newConnections(t, 2)
		_, idle := dialed(t, l, "127.0.0.1")
		l.follow(idle, http.StateIdle)
		_, silent := dialed(t, l, "127.0.0.2")
		_, third := dialed(t, l, "127.0.0.3")
		require.NotContains(t, l.open, silent)
		l.follow(third, http.StateActive)
		dialed(t, l, "127.0.0.4")
		require.NotContains(t, l.open, idle)
	})
	t.Run("D2: a connection waits while requests are served on all", func(t *testing.T) {
		l := newConnections(t, 1)
		_, busy := dialed(t, l, "127.0.0.1")
		l.follow(busy, http.StateActive)
		_, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		require.Empty(t, accepted)
		require.Contains(t, l.open, busy)
		require.NoError(t, busy.Close())
		require.NoError(t, (<-accepted).Close())
	})
	t.Run("D2: closing the listener ends the wait", func(t *testing.T) {
		l := newConnections(t, 1)
		_, busy := dialed(t, l, "127.0.0.1")
		l.follow(busy, http.StateActive)
		_, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		require.NoError(t, l.Close())
		require.Error(t, <-ended)
	})
}
