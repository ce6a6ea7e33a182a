package main

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
)

// settings are the members of a configuration file: client metadata under their
// registered names, and further settings of this program. See members.
type settings struct {
	Issuer, ClientID, RedirectURI string
	JWKS                          *keySet
	AuthMethod                    string
	DPoPBound, CertificateBound   *bool // nil if the file has no such member
	CertFile, KeyFile, CAFile     string
	Scope                         string
	AuthorizationDetails          []map[string]any
	OpenID                        *bool
	MessageSigning                []string
	ResourceURL                   string
	Listen, Store, MetricsListen  string
	DrainSeconds                  int
}

// members returns the table of the members of a configuration file.
func (c *config) members() []configfile.Member {
	return []configfile.Member{
		{Name: "issuer", Into: &c.Issuer, Default: "required", Meaning: "The bank's issuer identifier, an https URL."},
		{Name: "client_id", Into: &c.ClientID, Default: "required", Meaning: "The client's ID at the bank."},
		{Name: "redirect_uri", Into: &c.RedirectURI, Default: "required",
			Meaning: "Where the bank sends the browser back to, as registered. The pages are served at its host " +
				"and port."},
		{Name: "resource_url", Into: &c.ResourceURL, Default: "required",
			Meaning: "The URL of the accounts. Payments are made at payments beside it."},
		{Name: "jwks", Into: &c.JWKS, Default: "none",
			Meaning: "Private keys as JWKs. The first one for signatures signs assertions and requests."},
		{Name: "token_endpoint_auth_method", Into: &c.AuthMethod, Default: clientauth.MethodPrivateKeyJWT,
			Meaning: "private_key_jwt, tls_client_auth or self_signed_tls_client_auth."},
		{Name: "dpop_bound_access_tokens", Into: &c.DPoPBound, Default: "true, unless tokens are bound to certificates",
			Meaning: "Bind access tokens by DPoP."},
		{Name: "tls_client_certificate_bound_access_tokens", Into: &c.CertificateBound, Default: "false",
			Meaning: "Bind access tokens to the client's certificate."},
		{Name: "tls_cert_file", Into: &c.CertFile, Default: "none",
			Meaning: "The client's certificate in PEM, for mutual TLS and for the pages. It needs tls_key_file."},
		{Name: "tls_key_file", Into: &c.KeyFile, Default: "none", Meaning: "The private key of tls_cert_file in PEM."},
		{Name: "ca_file", Into: &c.CAFile, Default: "the CAs of the system",
			Meaning: "CA certificates in PEM for the servers' certificates."},
		{Name: "scope", Into: &c.Scope, Default: "none", Meaning: "The scopes to request, separated by blanks."},
		{Name: "authorization_details", Into: &c.AuthorizationDetails, Default: "none",
			Meaning: "The authorization details to request (RFC 9396)."},
		{Name: "openid", Into: &c.OpenID, Default: "whether scope has openid",
			Meaning: "Request an ID token, whatever scope says."},
		{Name: "message_signing", Into: &c.MessageSigning, Default: "none",
			Meaning: "The parts of FAPI 2.0 Message Signing to use: authorization_request, " +
				"authorization_response, introspection."},
		{Name: "store", Into: &c.Store, Default: "sqlite:NAME.data/fintech.db for a configuration NAME.json",
			Meaning: "Where users, tokens and keys are kept: " + storage.Kinds + ". A directory of its own is " +
				"created for PATH. Several instances of the application can use one store."},
		{Name: "listen", Into: &c.Listen, Default: "host and port of redirect_uri",
			Meaning: "host:port of the pages, for example of one of several instances behind a load balancer."},
		{Name: "drain_seconds", Into: &c.DrainSeconds, Default: "0",
			Meaning: "The time from SIGTERM until the application accepts no more connections, 0 to 300. Meanwhile " +
				"/readyz responds with 503, so that load balancers use other instances."},
		{Name: "metrics_listen", Into: &c.MetricsListen, Default: "no metrics for Prometheus",
			Meaning: "host:port of /metrics over http, on a loopback address."},
	}
}

type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// A config is a checked configuration together with the loaded files that it
// names.
type config struct {
	settings
	details     json.RawMessage // AuthorizationDetails as written in the file, or nil
	signing     profile.Profile
	key         crypto.Signer // nil if no signature needs it
	keyID, alg  string
	certificate *tls.Certificate // nil if the file has none
	roots       *x509.CertPool   // nil for the roots of the system
	store       storage.Name

	tokens    *client.Tokens // of the store; nil with -once
	shared    bool           // other instances use the same tokens
	telemetry *telemetry.Telemetry
}

const maxFile = 1 << 20

// loadConfig reads a configuration. The error lists all problems.
func loadConfig(path string) (*config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c := new(config)
	p := configfile.Read(data, c.members())
	if c.AuthorizationDetails != nil {
		c.details = p.Raw("authorization_details")
	}
	c.checkServer(p)
	c.checkRedirectURI(p)
	c.checkBinding(p)
	c.loadKeys(p)
	c.loadFiles(filepath.Dir(path), p)
	c.checkStore(path, p)
	c.checkOperation(p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return data, err
}

func (c *config) checkOperation(p *configfile.Problems) {
	p.Require(c.DrainSeconds >= 0 && c.DrainSeconds <= 300, "drain_seconds", "%d is not 0 to 300", c.DrainSeconds)
	_, listenPort, err := net.SplitHostPort(c.Listen)
	p.Require(c.Listen == "" || err == nil && listenPort != "" && listenPort != "0", "listen",
		"%.100q is not host:port", c.Listen)
	host, port, err := net.SplitHostPort(c.MetricsListen)
	loopback := host == "localhost" || net.ParseIP(host).IsLoopback()
	p.Require(c.MetricsListen == "" || err == nil && loopback && port != "" && port != "0", "metrics_listen",
		"%.100q is not host:port with a loopback address", c.MetricsListen)
}

func (c *config) checkServer(p *configfile.Problems) {
	err := profile.CheckIssuer(c.Issuer)
	p.Require(err == nil, "issuer", "%w", err)
	p.Require(c.ClientID != "", "client_id", "missing")
	u, err := url.Parse(c.ResourceURL)
	p.Require(err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == "", "resource_url",
		"missing, or not an https URL without fragment")
	for _, part := range c.MessageSigning {
		bit, ok := map[string]profile.Profile{
			"authorization_request": profile.SignedRequests, "authorization_response": profile.SignedResponses,
			"introspection": profile.SignedIntrospection,
		}[part]
		p.Require(ok, "message_signing",
			"unknown part %.40q, want authorization_request, authorization_response or introspection", part)
		c.signing |= bit
	}
	for i, detail := range c.AuthorizationDetails {
		kind, _ := detail["type"].(string)
		p.Require(kind != "", fmt.Sprintf("authorization_details[%d]", i), "without a type")
	}
}

// checkRedirectURI checks redirect_uri. Plain http is permitted on the loopback
// interface only, where no other machine listens.
func (c *config) checkRedirectURI(p *configfile.Problems) {
	u, err := url.Parse(c.RedirectURI)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(c.RedirectURI, "#") {
		p.Require(false, "redirect_uri", "missing, or not a URL without fragment")
		return
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	p.Require(u.Scheme == "https" || u.Scheme == "http" && loopback, "redirect_uri",
		"neither https nor http on loopback")
}

func (c *config) checkBinding(p *configfile.Problems) {
	c.AuthMethod = cmp.Or(c.AuthMethod, clientauth.MethodPrivateKeyJWT)
	p.Require(slices.Contains([]string{clientauth.MethodPrivateKeyJWT, clientauth.MethodTLSClientAuth,
		clientauth.MethodSelfSignedTLSClientAuth}, c.AuthMethod),
		"token_endpoint_auth_method", "%.40q is not private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
		c.AuthMethod)
	is := func(b *bool) bool { return b != nil && *b }
	p.Require(!is(c.DPoPBound) || !is(c.CertificateBound), "dpop_bound_access_tokens",
		"true, as is tls_client_certificate_bound_access_tokens")
	p.Require(is(c.DPoPBound) || is(c.CertificateBound) || c.DPoPBound == nil, "dpop_bound_access_tokens",
		"false, and tls_client_certificate_bound_access_tokens is not true: tokens must be bound to something")
}

func (c *config) certificateBound() bool { return c.CertificateBound != nil && *c.CertificateBound }

// loadKeys parses all keys and selects the first one that can sign for this
// client.
func (c *config) loadKeys(p *configfile.Problems) {
	for i, raw := range c.keys() {
		var about struct {
			Use string `json:"use"`
		}
		if json.Unmarshal(raw, &about) == nil && about.Use == "enc" {
			continue // this client receives nothing encrypted
		}
		key, its, err := jwks.ParsePrivateKey(raw)
		p.Require(err == nil, fmt.Sprintf("jwks.keys[%d]", i), "%w", err)
		usable := slices.Contains([]string{"", "PS256", "ES256", "EdDSA", "Ed25519"}, its.Algorithm)
		if err == nil && usable && c.key == nil {
			c.key, c.keyID, c.alg = key, its.KeyID, its.Algorithm
		}
	}
	needed := c.AuthMethod == clientauth.MethodPrivateKeyJWT || c.signing&profile.SignedRequests != 0
	p.Require(!needed || c.key != nil, "jwks", "no private key for signatures by PS256, ES256 or EdDSA")
}

func (c *config) keys() []json.RawMessage {
	if c.JWKS == nil {
		return nil
	}
	return c.JWKS.Keys
}

// loadFiles reads the files that the configuration names, relative to its own
// directory.
func (c *config) loadFiles(dir string, p *configfile.Problems) {
	beside := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	switch needed := c.AuthMethod != clientauth.MethodPrivateKeyJWT || c.certificateBound(); {
	case c.CertFile != "" && c.KeyFile != "":
		pair, err := tls.LoadX509KeyPair(beside(c.CertFile), beside(c.KeyFile))
		p.Require(err == nil, "tls_cert_file", "with tls_key_file: %w", err)
		c.certificate = &pair
	case needed || c.CertFile != "" || c.KeyFile != "":
		p.Require(false, "tls_cert_file",
			"missing, or without tls_key_file: the two go together, and mutual TLS needs them")
	}
	if c.CAFile == "" {
		return
	}
	pem, err := readFile(beside(c.CAFile))
	c.roots = x509.NewCertPool()
	p.Require(err == nil, "ca_file", "%w", err)
	p.Require(err != nil || c.roots.AppendCertsFromPEM(pem), "ca_file", "no certificate in it")
}

// scopes returns the scopes to request.
func (c *config) scopes() []string {
	scopes := strings.Fields(c.Scope)
	if c.OpenID == nil {
		return scopes
	}
	scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == "openid" })
	if *c.OpenID {
		scopes = append([]string{"openid"}, scopes...)
	}
	return scopes
}

// httpClient returns the HTTP client of this program. It presents no
// certificate. client.Client adds the certificate where it is required.
func (c *config) httpClient() *http.Client {
	keeping := profile.TLSConfig()
	keeping.RootCAs = c.roots
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: keeping, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     90 * time.Second, MaxResponseHeaderBytes: 256 << 10,
		},
	}
}

// client returns the configuration for package profile.
func (c *config) client() client.Config {
	return client.Config{
		Issuer: c.Issuer, ClientID: c.ClientID, RedirectURI: c.RedirectURI,
		Key: c.key, KeyID: c.keyID, Algorithm: c.alg,
		MutualTLS: &client.MutualTLS{
			Certificate: c.certificate, AuthMethod: c.AuthMethod, BindTokens: c.certificateBound(),
		},
		Profile: c.signing, HTTPClient: c.httpClient(), Tokens: c.tokens, SeveralInstances: c.shared,
		Hooks: client.Hooks{Observe: c.telemetry.ObserveClient(), Transport: c.telemetry.Transport},
	}
}

func (c *config) wantsIDToken() bool { return slices.Contains(c.scopes(), "openid") }

// request returns the configured request. It requests a grant if the server
// requires one.
func (c *config) request(server *profile.ServerMetadata) client.Request {
	request := client.Request{Scopes: c.scopes(), AuthorizationDetails: c.details}
	if server.GrantManagementActionRequired {
		request.GrantManagementAction = "create"
	}
	return request
}
