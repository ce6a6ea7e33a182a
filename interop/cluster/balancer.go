package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// balancerConfig is the configuration of HAProxy. It inherits its socket as
// file descriptor 3. It repeats no request that an instance has received. The
// response without a ready instance has the header Retry-After.
const balancerConfig = `
global
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 40s
    timeout check 6s
    option redispatch 1
    retries 2
frontend clients
    bind fd@3 ssl crt DIR/haproxy.pem ssl-min-ver TLSv1.2 alpn http/1.1
    default_backend banks
backend banks
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host bank
    http-check expect status 200
    http-error status 503 content-type text/plain hdr Retry-After 1 string unavailable
    default-server check inter 100ms fall 2 rise 1 ssl verify required ca-file DIR/ca.pem verifyhost 127.0.0.1
`

// findHAProxy returns the path of HAProxy, or an empty string. Debian installs
// it in a directory that is not in the PATH of all users.
func findHAProxy() string {
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy", "/usr/local/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// balance starts HAProxy on a socket.
func (c *Cluster) balance(t testing.TB, program string, socket net.Listener) {
	t.Helper()
	config := strings.ReplaceAll(balancerConfig, "DIR", c.dir)
	for _, one := range c.Instances {
		config += fmt.Sprintf("    server %v %s\n", one, one.address)
	}
	c.write(t, "haproxy.cfg", config)
	file, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // HAProxy has its own descriptor
	log, err := os.Create(c.file("haproxy.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // HAProxy has its own descriptor
	command := exec.Command(program, "-db", "-f", c.file("haproxy.cfg"))
	command.ExtraFiles, command.Stderr = []*os.File{file}, log
	process, err := testkit.Launch(command)
	if err != nil {
		t.Fatal(err)
	}
	socket.Close() //nolint:errcheck // otherwise connections would wait here after the end of HAProxy
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			text, _ := os.ReadFile(c.file("haproxy.log")) // an unreadable log is empty
			t.Logf("the log of HAProxy:\n%s", text[max(0, len(text)-logTail):])
		}
	})
}
