package testserver

import (
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy forwards TCP connections to a server and can disturb them. It is safe
// for concurrent use.
type Proxy struct {
	// Addr is the host and port on the loopback interface.
	Addr string

	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	target string
	down   bool
	limit  int // of connections; 0 is none
	delay  time.Duration
	loses  func(request []byte) bool
	lost   int
	open   map[*link]struct{}
}

// A link is a connection of a client and its connection to the server.
type link struct{ client, server *net.TCPConn }

// NewProxy starts a proxy for the address of a server. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("testserver: %v", err)
	}
	p := &Proxy{Addr: listener.Addr().String(), listener: listener, target: target, open: make(map[*link]struct{})}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.SetDown(true)
		listener.Close() //nolint:errcheck // it ends accept
		p.running.Wait()
	})
	return p
}

// Cut closes all open connections. New ones are forwarded.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

func (p *Proxy) cut() {
	for l := range p.open {
		l.close()
	}
}

// SetTarget forwards new connections to another server and closes open ones, as
// an address that moves at a failover.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	p.cut()
}

// SetDown closes all connections at once and then new ones, or ends that.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down {
		p.cut()
	}
}

// SetLimit closes connections above a number, or none if the number is 0.
func (p *Proxy) SetLimit(connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = connections
	for l := range p.open {
		if connections > 0 && len(p.open) > connections {
			l.close()
			delete(p.open, l)
		}
	}
}

// SetDelay delays everything that the server sends.
func (p *Proxy) SetDelay(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// LoseReplies closes a connection in place of the reply to a request for which
// loses returns true. The server has then processed the request. loses receives
// the bytes of one read and is not called concurrently. If nil, replies arrive.
func (p *Proxy) LoseReplies(loses func(request []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loses = loses
}

// Lost returns the number of replies that were lost.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// HalfClose closes one direction of all open connections. Clients can write and
// read the end of the stream. The server sees an open connection.
func (p *Proxy) HalfClose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.client.CloseWrite() //nolint:errcheck // the client may have closed it
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// connect opens the connection to the server. It returns nil if the proxy or
// the server rejects it.
func (p *Proxy) connect(client *net.TCPConn) *link {
	p.mu.Lock()
	target, down := p.target, p.down || p.limit > 0 && len(p.open) >= p.limit
	p.mu.Unlock()
	if down {
		return nil
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return nil
	}
	l := &link{client, server.(*net.TCPConn)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.target != target {
		server.Close() //nolint:errcheck // nothing was sent
		return nil
	}
	p.open[l] = struct{}{}
	return l
}

func (p *Proxy) serve(client *net.TCPConn) {
	defer client.Close() //nolint:errcheck // it may be closed
	l := p.connect(client)
	if l == nil {
		return
	}
	defer func() {
		l.close()
		p.mu.Lock()
		delete(p.open, l)
		p.mu.Unlock()
	}()
	// The request is noted before it is forwarded, so its reply comes later.
	noted := make(chan struct{}, 1)
	p.running.Go(func() {
		defer l.close()
		p.forward(l.client, l.server, func(request []byte) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.loses != nil && p.loses(request) {
				select {
				case noted <- struct{}{}:
				default:
				}
			}
			return true
		})
	})
	p.forward(l.server, l.client, func([]byte) bool {
		p.mu.Lock()
		delay := p.delay
		p.mu.Unlock()
		time.Sleep(delay)
		select {
		case <-noted:
			p.mu.Lock()
			p.lost++
			p.mu.Unlock()
			return false
		default:
			return true
		}
	})
}

// forward copies from one connection to the other until pass returns false.
func (p *Proxy) forward(from, to *net.TCPConn, pass func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !pass(buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// close ends both connections with a reset.
func (l *link) close() {
	for _, c := range []*net.TCPConn{l.client, l.server} {
		c.SetLinger(0) //nolint:errcheck // it may be closed
		c.Close()      //nolint:errcheck // it may be closed
	}
}
