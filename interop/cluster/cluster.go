package cluster

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

const (
	clientID    = "app"
	clientKeyID = "app-key"
	redirectURI = "https://app.example/callback"
	password    = "correct horse"

	// drainSeconds is longer than HAProxy needs to notice that an instance is
	// not ready.
	drainSeconds = 1

	// readyTime is sufficient on a loaded machine.
	readyTime = time.Minute
	pollTime  = 20 * time.Millisecond
)

// Config configures [Start].
type Config struct {
	// Instances is the number of banks. The default is 1.
	Instances int
	// Store is the member store of the bank's configuration, for example
	// memory: (for one instance) or the URL of a database. Required.
	Store string
	// Replay is the member replay of the bank's configuration. If empty, used
	// proofs and assertions are in Store.
	Replay string
	// Pages makes users log in and consent on the pages of the bank. If false,
	// the bank approves each request in the name of the first user.
	Pages bool
	// Users is the number of users. The default is 1. Each start of an instance
	// takes a quarter of a second for each user.
	Users int
	// Change changes the bank's configuration, for example its access_token. If
	// nil, it stays as it is.
	Change func(document map[string]any)
}

// A Cluster is a running load balancer with its instances. It is safe for
// concurrent use.
type Cluster struct {
	// Issuer is the issuer identifier of the bank: the address of HAProxy.
	Issuer string
	// Instances are the banks.
	Instances []*Instance

	config    Config
	authority *testkit.Authority
	key       *ecdsa.PrivateKey // of the client
	dir       string
	program   string
}

// Start builds and starts a cluster. It returns when all instances are ready.
// It skips the test if HAProxy is not installed, see testkit.Require.
func Start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	haproxy := findHAProxy()
	testkit.Require(t, "haproxy (Debian package haproxy)", haproxy != "")
	cfg.Instances, cfg.Users = max(cfg.Instances, 1), max(cfg.Users, 1)
	c := &Cluster{
		config: cfg, authority: testkit.NewAuthority(t), key: testkit.NewKey(t), dir: t.TempDir(),
		program: testkit.Build(t, "bank"),
	}
	socket, issuer := testkit.Listen(t)
	c.Issuer = issuer
	server := c.authority.ServerPEM(t)
	c.write(t, "ca.pem", server.CA)
	c.write(t, "bank.crt", server.Cert)
	c.write(t, "bank.key", server.Key)
	c.write(t, "haproxy.pem", server.Cert+server.Key)
	for i := range cfg.Instances {
		c.Instances = append(c.Instances, &Instance{cluster: c, t: t, number: i + 1, program: c.program})
	}
	t.Cleanup(c.stop)
	// The first instance creates the table and the keys.
	c.Instances[0].Start()
	var started sync.WaitGroup
	for _, one := range c.Instances[1:] {
		started.Go(one.Start)
	}
	started.Wait()
	if t.Failed() {
		t.FailNow()
	}
	c.balance(t, haproxy, socket)
	c.WaitReady(t)
	return c
}

// stop ends all instances.
func (c *Cluster) stop() {
	var stopped sync.WaitGroup
	for _, one := range c.Instances {
		stopped.Go(one.clean)
	}
	stopped.Wait()
}

// HTTPClient returns a client that sends its requests through HAProxy. It
// follows no redirect.
func (c *Cluster) HTTPClient(t testing.TB) *http.Client {
	t.Helper()
	return c.authority.HTTPClient(t)
}

// WaitReady waits until HAProxy responds with the status of a ready instance.
func (c *Cluster) WaitReady(t testing.TB) {
	t.Helper()
	if err := waitReady(c.HTTPClient(t), c.Issuer); err != nil {
		t.Fatalf("the cluster is not ready: %v", err)
	}
}

func waitReady(client *http.Client, issuer string) error {
	for deadline := time.Now().Add(readyTime); ; time.Sleep(pollTime) {
		response, err := client.Get(issuer + "/readyz")
		if err == nil {
			response.Body.Close() //nolint:errcheck // only the status counts
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %d", response.StatusCode)
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// document returns the configuration of an instance.
func (c *Cluster) document(listen string) (string, error) {
	keys, err := jwks.NewSet(jwks.Key{Public: c.key.Public(), KeyID: clientKeyID})
	if err != nil {
		return "", err
	}
	document := map[string]any{
		"issuer": c.Issuer, "listen": listen, "store": c.config.Store, "openid": true, "drain_seconds": drainSeconds,
		"tls_cert_file": c.file("bank.crt"), "tls_key_file": c.file("bank.key"),
		"clients": []any{&profile.ClientMetadata{
			ClientID: clientID, RedirectURIs: []string{redirectURI}, JWKS: keys,
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
			TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
		}},
	}
	if c.config.Replay != "" {
		document["replay"] = c.config.Replay
	}
	var users []any
	for i := range c.config.Users {
		users = append(users, map[string]string{"username": userName(i), "password": password})
	}
	if document["users"] = users; !c.config.Pages {
		document["auto_approve"] = userName(0)
	}
	if c.config.Change != nil {
		c.config.Change(document)
	}
	text, err := json.Marshal(document)
	return string(text), err
}

func userName(i int) string { return fmt.Sprintf("user-%d", i+1) }

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(c.file(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	socket, address := testkit.Listen(t)
	socket.Close() //nolint:errcheck // the instance needs the port
	return strings.TrimPrefix(address, "https://")
}
