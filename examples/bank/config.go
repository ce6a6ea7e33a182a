package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
)

// A config is a configuration file that has been checked: see the package comment.
type config struct {
	issuer, listen, mtlsListen           string
	certFile, keyFile, writeCA, clientCA string
	signing                              []string
	openid, requireNonce                 bool
	requestSeconds                       int
	resources                            []string
	resourceServers                      map[string][]string
	accessToken, autoApprove, store      string
	users                                []user
	clients                              []json.RawMessage

	iterations int // of password hashing

	// What follows from these.
	registered map[string]*profile.ClientMetadata
	details    *rar.Registry // of the types that there are
	profile    profile.Profile
	clientCAs  *x509.CertPool // nil: no client_ca_file
	algorithms []string       // that the server signs with; the first for who is registered for none
	tellsAll   bool           // at the introspection endpoint: there is no resource_servers

	certificate *tls.Certificate // nil: to be made
}

type user struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

const maxConfig = 8 << 20

// loadConfig reads a configuration file. The error lists everything that is wrong with it.
func loadConfig(path string) (*config, error) {
	data, err := readFile(path, maxConfig)
	if err != nil {
		return nil, err
	}
	return parseConfig(data)
}

// readFile is os.ReadFile with a bound.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return data, err
}

// problems are what is wrong. None of them repeats a value that could be a secret.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		p.add(format, args...)
	}
}

func parseConfig(data []byte) (*config, error) {
	c, p := &config{requestSeconds: 90, accessToken: "jwt", store: "memory:", iterations: iterations}, &problems{}
	if c.readMembers(data, p); len(*p) == 0 || c.issuer != "" {
		c.checkServer(p)
		c.checkFiles(p)
		c.checkUsers(p)
		c.checkClients(p)
		c.checkDetails(p)
		c.checkResources(p)
	}
	if err := errors.Join(*p...); err != nil {
		return nil, err
	}
	return c, nil
}

// readMembers takes each member once and by its exact name: encoding/json alone would let the last of two win.
func (c *config) readMembers(data []byte, p *problems) {
	targets := map[string]any{
		"issuer": &c.issuer, "listen": &c.listen, "mtls_listen": &c.mtlsListen,
		"tls_cert_file": &c.certFile, "tls_key_file": &c.keyFile, "write_ca_file": &c.writeCA, "client_ca_file": &c.clientCA,
		"message_signing": &c.signing, "openid": &c.openid, "require_dpop_nonce": &c.requireNonce, "request_uri_seconds": &c.requestSeconds,
		"resources": &c.resources, "resource_servers": &c.resourceServers, "access_token": &c.accessToken,
		"users": &c.users, "auto_approve": &c.autoApprove, "store": &c.store, "clients": &c.clients,
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		p.add("the configuration is no JSON object")
		return
	}
	for d.More() {
		token, err := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			p.add("the configuration is not JSON: %w", err)
			return
		}
		target, known := targets[name]
		delete(targets, name)
		if !known {
			p.add("%.64q is unknown, or there twice", name)
			continue
		}
		strict := json.NewDecoder(bytes.NewReader(value))
		strict.DisallowUnknownFields() // in users
		if string(value) == "null" || strict.Decode(target) != nil {
			p.add("%s has a value of the wrong type", name)
		}
	}
	_, end := d.Token()
	_, after := d.Token()
	p.unless(end == nil && errors.Is(after, io.EOF), "the configuration does not end after its object")
}

func (c *config) checkServer(p *problems) {
	if err := profile.CheckIssuer(c.issuer); err != nil {
		p.add("issuer: %w", err)
		return
	}
	u, err := url.Parse(c.issuer)
	p.unless(err == nil && (u.Path == "" || !strings.HasSuffix(u.Path, "/")), "issuer ends in a slash, and the bank's URLs are made by adding to it")
	c.listen = cmp.Or(c.listen, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
	for name, address := range map[string]string{"listen": c.listen, "mtls_listen": c.mtlsListen} {
		_, port, err := net.SplitHostPort(address)
		p.unless(address == "" || err == nil && port != "" && port != "0", "%s: %.100q is not host:port", name, address)
	}
	p.unless(c.listen != c.mtlsListen, "listen and mtls_listen are the same")
	p.unless(c.requestSeconds >= 5 && c.requestSeconds <= 599, "request_uri_seconds: %d is not 5 to 599", c.requestSeconds)
	p.unless(slices.Contains([]string{"jwt", "opaque"}, c.accessToken), "access_token: %.40q is neither jwt nor opaque", c.accessToken)
	p.unless(c.store == "memory:", "store: there is none but memory:")
	parts := map[string]profile.Profile{
		"authorization_request": profile.SignedRequests, "authorization_response": profile.SignedResponses, "introspection": profile.SignedIntrospection,
	}
	for _, part := range c.signing {
		p.unless(parts[part] != 0, "message_signing: %.40q is none of authorization_request, authorization_response, introspection", part)
		c.profile |= parts[part]
	}
}

func (c *config) checkFiles(p *problems) {
	p.unless((c.certFile == "") == (c.keyFile == ""), "tls_cert_file and tls_key_file go together")
	p.unless(c.certFile == "" || c.writeCA == "", "write_ca_file is for certificates that the bank makes itself")
	if c.writeCA != "" {
		there, err := os.Stat(filepath.Dir(c.writeCA))
		p.unless(err == nil && there.IsDir(), "write_ca_file: there is no directory for it")
	}
	if c.certFile != "" && c.keyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		p.unless(err == nil, "tls_cert_file and tls_key_file: %w", err)
		c.certificate = &pair
	}
	if c.clientCA == "" {
		return
	}
	pem, err := readFile(c.clientCA, 1<<20)
	c.clientCAs = x509.NewCertPool()
	p.unless(err == nil, "client_ca_file: %w", err)
	p.unless(err != nil || c.clientCAs.AppendCertsFromPEM(pem), "client_ca_file has no certificate in it")
}

// checkUsers: a username goes into tokens as the subject.
func (c *config) checkUsers(p *problems) {
	names := map[string]bool{}
	for i, u := range c.users {
		name := u.Username
		isPrintable := !strings.ContainsFunc(name, func(r rune) bool { return r <= 0x20 || r > 0x7e })
		p.unless(name != "" && len(name) <= maxUsername && isPrintable, "users: number %d has no username of 1 to %d printable ASCII characters", i+1, maxUsername)
		p.unless(u.Password != "" && len(u.Password) <= maxPassword, "users: number %d has no password, or one of more than %d bytes", i+1, maxPassword)
		p.unless(!names[name], "users: %.100q is there twice", name)
		names[name] = true
	}
	p.unless(c.autoApprove == "" || names[c.autoApprove], "auto_approve: there is no such user")
}

func (c *config) checkClients(p *problems) {
	c.registered = make(map[string]*profile.ClientMetadata, len(c.clients))
	for i, raw := range c.clients {
		client := new(profile.ClientMetadata)
		if err := client.UnmarshalJSON(raw); err != nil {
			p.add("clients: number %d: %w", i+1, err)
			continue
		}
		// A registration that does not speak of it leaves the binding of its tokens to the bank, which has one for everybody.
		if said := string(raw); !strings.Contains(said, `"dpop_bound_access_tokens"`) && !strings.Contains(said, `"tls_client_certificate_bound_access_tokens"`) {
			client.DPoPBoundAccessTokens = true
		}
		of := func(format string, args ...any) {
			p.add("clients: %.100q: %w", client.ClientID, fmt.Errorf(format, args...))
		}
		if err := client.Validate(); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") { // each is told of which client it is
				of("%s", line)
			}
		}
		if c.registered[client.ClientID] != nil {
			of("there twice")
		}
		client.Scope = cmp.Or(client.Scope, c.ownScope()) // RFC 7591 §2
		c.registered[client.ClientID] = client
		c.checkClient(client, of)
	}
	for _, u := range c.users { // a token of a client about itself has the client as its subject
		p.unless(u.Username == "" || c.registered[u.Username] == nil, "users: %.100q is the client_id of a client", u.Username)
	}
	if len(c.algorithms) == 0 {
		c.algorithms = []string{"ES256"}
	}
}

// checkClient finds what this bank cannot do for a client whose registration is right.
func (c *config) checkClient(client *profile.ClientMetadata, bad func(format string, args ...any)) {
	usesTLS := client.TLSClientCertificateBoundAccessTokens || client.UseMTLSEndpointAliases || strings.Contains(client.TokenEndpointAuthMethod, "tls")
	if usesTLS && c.mtlsListen == "" {
		bad("needs mtls_listen")
	}
	if client.TokenEndpointAuthMethod == "tls_client_auth" && c.clientCA == "" {
		bad("needs client_ca_file")
	}
	if client.Validate() != nil {
		return // and was told so
	}
	for _, alg := range []string{
		client.IDTokenSignedResponseAlg, client.AuthorizationSignedResponseAlg, client.IntrospectionSignedResponseAlg, client.UserInfoSignedResponseAlg,
	} {
		if alg != "" && !slices.Contains(c.algorithms, alg) {
			c.algorithms = append(c.algorithms, alg)
		}
	}
	for _, finding := range client.Lint(c.profile) {
		if finding.Severity == "error" {
			bad("message_signing: %s. %s", finding.What, finding.Mend)
		}
	}
}

// checkDetails makes a registry of the types that the bank knows and of what else is registered, so that any client can be
// tried out.
func (c *config) checkDetails(p *problems) {
	var names []string
	for _, client := range c.registered {
		names = append(names, client.AuthorizationDetailsTypes...)
	}
	known, err := newRegistry()
	if err == nil {
		slices.Sort(names)
		c.details, err = newRegistry(slices.DeleteFunc(slices.Compact(names), func(name string) bool { return known.Type(name) != nil })...)
	}
	p.unless(err == nil, "authorization_details_types: %w", err)
}

func (c *config) checkResources(p *problems) {
	if len(c.resources) == 0 {
		c.resources = []string{c.issuer}
	}
	for i, resource := range c.resources {
		u, err := url.Parse(resource)
		p.unless(i > 0 || err == nil && u.Scheme == "https" && u.User == nil, "resources: %.200q is not https, as that of the bank's own API has to be", resource)
		p.unless(err == nil && u.IsAbs() && u.Host != "" && !strings.Contains(resource, "#"), "resources: %.200q is no absolute URI without fragment", resource)
		p.unless(!slices.Contains(c.resources[:i], resource), "resources: %.200q is there twice", resource)
	}
	if c.resourceServers == nil {
		c.resourceServers = make(map[string][]string, len(c.registered))
		for id := range c.registered {
			c.resourceServers[id] = c.resources
		}
		c.tellsAll = len(c.registered) > 0
	}
	for id, resources := range c.resourceServers {
		p.unless(c.registered[id] != nil, "resource_servers: %.100q is no client", id)
		for _, resource := range resources {
			p.unless(slices.Contains(c.resources, resource), "resource_servers: %.200q is not among the resources", resource)
		}
	}
}

// path is that of something of the bank's own, behind the issuer's.
func (c *config) path(path string) string {
	u, err := url.Parse(c.issuer)
	if err != nil { // checked before
		return path
	}
	return u.Path + path
}

// mtlsURL is where certificates are asked for: the issuer with the port of mtls_listen; empty without.
func (c *config) mtlsURL() string {
	if c.mtlsListen == "" {
		return ""
	}
	u, err := url.Parse(c.issuer)
	if err != nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(c.mtlsListen)
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return u.String()
}

func (c *config) requestLifetime() time.Duration {
	return time.Duration(c.requestSeconds) * time.Second
}

// ownScope are the scopes that the bank knows.
func (c *config) ownScope() string {
	if c.openid {
		return "accounts payments offline_access openid profile"
	}
	return "accounts payments offline_access"
}

// scopes are those that the bank knows, and what else is registered, so that any client can be tried out.
func (c *config) scopes() []string {
	known := strings.Fields(c.ownScope())
	for _, client := range c.registered {
		known = append(known, strings.Fields(client.Scope)...)
	}
	slices.Sort(known)
	return slices.DeleteFunc(slices.Compact(known), func(scope string) bool { return scope == "openid" && !c.openid })
}
