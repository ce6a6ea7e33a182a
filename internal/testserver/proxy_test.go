package testserver_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testserver"
)

// echo serves connections that receive a greeting and then what they send. It
// counts the bytes that it has received.
func echo(t *testing.T, greeting string) (address string, received *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	received = new(atomic.Int64)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, greeting)
				for buffer := make([]byte, 100); ; {
					n, err := c.Read(buffer)
					received.Add(int64(n))
					if err != nil {
						return
					}
					c.Write(buffer[:n])
				}
			}()
		}
	}()
	return listener.Addr().String(), received
}

// converse returns a function that sends a text and reads n bytes.
func converse(t *testing.T, p *testserver.Proxy) func(text string, n int) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return func(text string, n int) (string, error) {
		if _, err := io.WriteString(c, text); err != nil {
			return "", err
		}
		reply := make([]byte, n)
		_, err := io.ReadFull(c, reply)
		return string(reply), err
	}
}

func TestProxy(t *testing.T) {
	first, received := echo(t, "1")
	second, _ := echo(t, "2")
	p := testserver.NewProxy(t, first)
	says := func(want string) func(string, int) (string, error) {
		t.Helper()
		open := converse(t, p)
		got, err := open("x", 2)
		require.NoError(t, err)
		require.Equal(t, want+"x", got)
		return open
	}
	dead := func(open func(string, int) (string, error)) {
		t.Helper()
		_, err := open("", 1)
		var timeout net.Error
		require.Error(t, err)
		require.False(t, errors.As(err, &timeout) && timeout.Timeout())
	}

	open := says("1")
	p.Cut()
	dead(open)
	open = says("1")
	p.SetTarget(second)
	dead(open)
	open = says("2")
	p.SetDown(true)
	dead(open)
	dead(converse(t, p))
	p.SetDown(false)
	p.SetTarget(first)

	t.Run("a limit", func(t *testing.T) {
		open := says("1")
		p.SetLimit(1)
		dead(converse(t, p))
		_, err := open("y", 1)
		require.NoError(t, err)
		p.SetLimit(0)
		says("1")
	})
	t.Run("a delay", func(t *testing.T) {
		open := says("1")
		p.SetDelay(100 * time.Millisecond)
		defer p.SetDelay(0)
		start := time.Now()
		_, err := open("y", 1)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 100*time.Millisecond)
	})
	t.Run("a lost reply", func(t *testing.T) {
		open := says("1")
		p.LoseReplies(func(request []byte) bool { return bytes.Contains(request, []byte("commit")) })
		defer p.LoseReplies(nil)
		_, err := open("read", 4)
		require.NoError(t, err)
		require.Zero(t, p.Lost())
		before := received.Load()
		_, err = open("commit", 1)
		require.Error(t, err)
		require.Equal(t, before+6, received.Load(), "the server has received the request")
		require.Equal(t, 1, p.Lost())
	})
	t.Run("half closed", func(t *testing.T) {
		open := says("1")
		before := received.Load()
		p.HalfClose()
		_, err := open("y", 1)
		require.ErrorIs(t, err, io.EOF)
		require.Eventually(t, func() bool { return received.Load() == before+1 }, 10*time.Second, time.Millisecond)
	})
}
