package main

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
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
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// members are what a configuration file can have: client metadata under their registered names, and where to find the rest.
type members struct {
	Issuer      string `json:"issuer"`
	ClientID    string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	// JWKS holds private keys: the client signs assertions and requests with the first one that is for signatures.
	JWKS *keySet `json:"jwks"`
	// AuthMethod is private_key_jwt if it is left out.
	AuthMethod string `json:"token_endpoint_auth_method"`
	// One of these two at most; DPoP if both are left out. nil is left out.
	DPoPBound        *bool  `json:"dpop_bound_access_tokens"`
	CertificateBound *bool  `json:"tls_client_certificate_bound_access_tokens"`
	CertFile         string `json:"tls_cert_file"` // PEM, relative to the configuration file, as are the next two
	KeyFile          string `json:"tls_key_file"`
	CAFile           string `json:"ca_file"` // who may vouch for servers; left out: whom the system trusts
	Scope            string `json:"scope"`
	// AuthorizationDetails is the array of RFC 9396.
	AuthorizationDetails []map[string]any `json:"authorization_details"`
	// OpenID says whether to ask for an ID token, whatever Scope says; left out, Scope says it.
	OpenID         *bool    `json:"openid"`
	MessageSigning []string `json:"message_signing"`
	// ResourceURL is what is read with a token: the accounts. Payments are made at "payments" beside it.
	ResourceURL string `json:"resource_url"`
}

type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// A config is a configuration that has been checked, with everything loaded that it names.
type config struct {
	members
	details     json.RawMessage // AuthorizationDetails as they were written; nil: none
	signing     profile.Profile
	key         crypto.Signer // nil: none is needed
	keyID, alg  string
	certificate *tls.Certificate // nil: none is configured
	roots       *x509.CertPool   // nil: the system's
}

const maxFile = 1 << 20

// loadConfig reads a configuration. The error lists everything that is wrong with it.
func loadConfig(path string) (*config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c, p := &config{}, &problems{}
	c.readMembers(data, p)
	c.checkServer(p)
	c.checkRedirectURI(p)
	c.checkBinding(p)
	c.loadKeys(p)
	c.loadFiles(filepath.Dir(path), p)
	if err := errors.Join(p.list...); err != nil {
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

// problems collects what is wrong.
type problems struct{ list []error }

func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		p.list = append(p.list, fmt.Errorf(format, args...))
	}
}

// readMembers takes each member once and by its exact name. encoding/json alone would let the last of two win.
func (c *config) readMembers(data []byte, p *problems) {
	targets := map[string]any{
		"issuer": &c.Issuer, "client_id": &c.ClientID, "redirect_uri": &c.RedirectURI, "jwks": &c.JWKS,
		"token_endpoint_auth_method": &c.AuthMethod, "dpop_bound_access_tokens": &c.DPoPBound,
		"tls_client_certificate_bound_access_tokens": &c.CertificateBound, "tls_cert_file": &c.CertFile, "tls_key_file": &c.KeyFile,
		"ca_file": &c.CAFile, "scope": &c.Scope, "authorization_details": &c.AuthorizationDetails, "openid": &c.OpenID,
		"message_signing": &c.MessageSigning, "resource_url": &c.ResourceURL,
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		p.unless(false, "the configuration is no JSON object")
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
			p.unless(false, "the configuration is not JSON: %v", err)
			return
		}
		target, known := targets[name]
		switch {
		case !known:
			p.unless(false, "%.64q is unknown or there twice", name)
			continue
		case string(value) == "null" || json.Unmarshal(value, target) != nil:
			p.unless(false, "%s has not the type that it should have", name)
		case name == "authorization_details":
			c.details = value
		}
		delete(targets, name)
	}
	_, err := d.Token()
	_, more := d.Token()
	p.unless(err == nil && errors.Is(more, io.EOF), "the configuration does not end after its object")
}

func (c *config) checkServer(p *problems) {
	err := profile.CheckIssuer(c.Issuer)
	p.unless(err == nil, "issuer: %w", err)
	p.unless(c.ClientID != "", "client_id is required")
	u, err := url.Parse(c.ResourceURL)
	p.unless(err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == "", "resource_url is required, and an https URL without fragment")
	for _, part := range c.MessageSigning {
		bit, ok := map[string]profile.Profile{
			"authorization_request": profile.SignedRequests, "authorization_response": profile.SignedResponses, "introspection": profile.SignedIntrospection,
		}[part]
		p.unless(ok, "message_signing has %.40q; there are authorization_request, authorization_response and introspection", part)
		c.signing |= bit
	}
	for _, detail := range c.AuthorizationDetails {
		kind, _ := detail["type"].(string)
		p.unless(kind != "", "authorization_details has one without a type")
	}
}

// checkRedirectURI: plain http is for loopback, where nobody else listens.
func (c *config) checkRedirectURI(p *problems) {
	u, err := url.Parse(c.RedirectURI)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(c.RedirectURI, "#") {
		p.unless(false, "redirect_uri is required, and a URL without fragment")
		return
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	p.unless(u.Scheme == "https" || u.Scheme == "http" && loopback, "redirect_uri is https, or http on loopback")
}

func (c *config) checkBinding(p *problems) {
	c.AuthMethod = cmp.Or(c.AuthMethod, clientauth.MethodPrivateKeyJWT)
	p.unless(slices.Contains([]string{clientauth.MethodPrivateKeyJWT, clientauth.MethodTLSClientAuth, clientauth.MethodSelfSignedTLSClientAuth}, c.AuthMethod),
		"token_endpoint_auth_method is private_key_jwt, tls_client_auth or self_signed_tls_client_auth, not %.40q", c.AuthMethod)
	is := func(b *bool) bool { return b != nil && *b }
	p.unless(!is(c.DPoPBound) || !is(c.CertificateBound), "dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens are both true")
	p.unless(is(c.DPoPBound) || is(c.CertificateBound) || c.DPoPBound == nil,
		"dpop_bound_access_tokens is false and tls_client_certificate_bound_access_tokens not true: tokens must be bound to something")
}

func (c *config) certificateBound() bool { return c.CertificateBound != nil && *c.CertificateBound }

// loadKeys parses all keys and picks the first that can sign what this client signs.
func (c *config) loadKeys(p *problems) {
	for i, raw := range c.keys() {
		var about struct {
			Use string `json:"use"`
		}
		if json.Unmarshal(raw, &about) == nil && about.Use == "enc" {
			continue // nothing is encrypted to this client
		}
		key, its, err := jwks.ParsePrivateKey(raw)
		p.unless(err == nil, "jwks: key %d: %w", i, err)
		usable := slices.Contains([]string{"", "PS256", "ES256", "EdDSA", "Ed25519"}, its.Algorithm)
		if err == nil && usable && c.key == nil {
			c.key, c.keyID, c.alg = key, its.KeyID, its.Algorithm
		}
	}
	needed := c.AuthMethod == clientauth.MethodPrivateKeyJWT || c.signing&profile.SignedRequests != 0
	p.unless(!needed || c.key != nil, "jwks needs a private key for signatures by PS256, ES256 or EdDSA")
}

func (c *config) keys() []json.RawMessage {
	if c.JWKS == nil {
		return nil
	}
	return c.JWKS.Keys
}

// loadFiles reads what the configuration names, from where it is itself.
func (c *config) loadFiles(dir string, p *problems) {
	beside := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	switch needed := c.AuthMethod != clientauth.MethodPrivateKeyJWT || c.certificateBound(); {
	case c.CertFile != "" && c.KeyFile != "":
		pair, err := tls.LoadX509KeyPair(beside(c.CertFile), beside(c.KeyFile))
		p.unless(err == nil, "tls_cert_file and tls_key_file: %w", err)
		c.certificate = &pair
	case needed || c.CertFile != "" || c.KeyFile != "":
		p.unless(false, "tls_cert_file and tls_key_file go together, and mutual TLS needs them")
	}
	if c.CAFile == "" {
		return
	}
	pem, err := readFile(beside(c.CAFile))
	c.roots = x509.NewCertPool()
	p.unless(err == nil, "ca_file: %w", err)
	p.unless(err != nil || c.roots.AppendCertsFromPEM(pem), "ca_file has no certificate in it")
}

// scopes are those to ask for.
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

// httpClient is for everything that this program sends. It presents no certificate: profile.Client adds that where it is due.
func (c *config) httpClient() *http.Client {
	keeping := profile.TLSConfig()
	keeping.RootCAs = c.roots
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: keeping, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 256 << 10,
		},
	}
}

// client is what package profile has to know.
func (c *config) client() profile.ClientConfig {
	return profile.ClientConfig{
		Issuer: c.Issuer, ClientID: c.ClientID, RedirectURI: c.RedirectURI, AuthMethod: c.AuthMethod,
		Key: c.key, KeyID: c.keyID, Algorithm: c.alg,
		Certificate: c.certificate, CertificateBoundTokens: c.certificateBound(),
		Profile: c.signing, HTTPClient: c.httpClient(),
	}
}

func (c *config) wantsIDToken() bool { return slices.Contains(c.scopes(), "openid") }

// request is for what the configuration asks for, and for a grant where a server gives nothing without one.
func (c *config) request(server *profile.ServerMetadata) profile.Request {
	request := profile.Request{Scopes: c.scopes(), AuthorizationDetails: c.details}
	if server.GrantManagementActionRequired {
		request.GrantManagementAction = "create"
	}
	return request
}
