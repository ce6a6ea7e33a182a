package main

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
)

// bankSettings are the members of a configuration file that concern one bank:
// client metadata under their registered names, and further settings.
type bankSettings struct {
	Name                 string           `json:"name"`
	Issuer               string           `json:"issuer"`
	ClientID             string           `json:"client_id"`
	ResourceURL          string           `json:"resource_url"`
	JWKS                 *keySet          `json:"jwks"`
	AuthMethod           string           `json:"token_endpoint_auth_method"`
	DPoPBound            *bool            `json:"dpop_bound_access_tokens"` // nil if the file has no such member
	CertificateBound     *bool            `json:"tls_client_certificate_bound_access_tokens"`
	CertFile             string           `json:"tls_cert_file"`
	KeyFile              string           `json:"tls_key_file"`
	CAFile               string           `json:"ca_file"`
	Scope                string           `json:"scope"`
	AuthorizationDetails []map[string]any `json:"authorization_details"`
	OpenID               *bool            `json:"openid"`
	MessageSigning       []string         `json:"message_signing"`
}

// members returns the table of the members that concern one bank.
func (s *bankSettings) members() []configfile.Member {
	return []configfile.Member{
		{Name: "name", Into: &s.Name, Default: "the host of issuer", Meaning: "The bank's name on the pages."},
		{Name: "issuer", Into: &s.Issuer, Default: "required", Meaning: "The bank's issuer identifier, an https URL."},
		{Name: "client_id", Into: &s.ClientID, Default: "required", Meaning: "The client's ID at the bank."},
		{Name: "resource_url", Into: &s.ResourceURL, Default: "required",
			Meaning: "The URL of the accounts. Payments are made at payments beside it."},
		{Name: "jwks", Into: &s.JWKS, Default: "none",
			Meaning: "Private keys as JWKs. The first one for signatures signs assertions and requests."},
		{Name: "token_endpoint_auth_method", Into: &s.AuthMethod, Default: clientauth.MethodPrivateKeyJWT,
			Meaning: "private_key_jwt, tls_client_auth or self_signed_tls_client_auth."},
		{Name: "dpop_bound_access_tokens", Into: &s.DPoPBound, Default: "true, unless tokens are bound to certificates",
			Meaning: "Bind access tokens by DPoP."},
		{Name: "tls_client_certificate_bound_access_tokens", Into: &s.CertificateBound, Default: "false",
			Meaning: "Bind access tokens to the client's certificate."},
		{Name: "tls_cert_file", Into: &s.CertFile, Default: "none",
			Meaning: "The client's certificate in PEM, for mutual TLS and for the pages. It needs tls_key_file."},
		{Name: "tls_key_file", Into: &s.KeyFile, Default: "none", Meaning: "The private key of tls_cert_file in PEM."},
		{Name: "ca_file", Into: &s.CAFile, Default: "the CAs of the system",
			Meaning: "CA certificates in PEM for the servers' certificates."},
		{Name: "scope", Into: &s.Scope, Default: "none", Meaning: "The scopes to request, separated by blanks."},
		{Name: "authorization_details", Into: &s.AuthorizationDetails, Default: "none",
			Meaning: "The authorization details to request (RFC 9396)."},
		{Name: "openid", Into: &s.OpenID, Default: "whether scope has openid",
			Meaning: "Request an ID token, whatever scope says."},
		{Name: "message_signing", Into: &s.MessageSigning, Default: "none",
			Meaning: "The parts of FAPI 2.0 Message Signing to use: authorization_request, " +
				"authorization_response, introspection."},
	}
}

// inherit adds the members that the bank does not have. They are those of the
// file.
func (s *bankSettings) inherit(file bankSettings) {
	own, common := reflect.ValueOf(s).Elem(), reflect.ValueOf(file)
	for i := range own.NumField() {
		if own.Field(i).IsZero() {
			own.Field(i).Set(common.Field(i))
		}
	}
}

type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// A bank is the checked configuration of one bank together with the loaded
// files that it names.
type bank struct {
	bankSettings
	details     json.RawMessage // AuthorizationDetails as written in the file, or nil
	signing     profile.Profile
	key         crypto.Signer // nil if no signature needs it
	keyID, alg  string
	certificate *tls.Certificate // nil if the file has none
	roots       *x509.CertPool   // nil for the roots of the system
}

// problems are those of one bank in a file.
type problems struct {
	*configfile.Problems
	path string // in front of the names of members
}

// Require records a problem with a member of the bank, unless ok.
func (p problems) Require(ok bool, member, format string, args ...any) {
	p.Problems.Require(ok, p.path+member, format, args...)
}

// loadBanks checks the banks of the file: the list, or the only one.
func (c *config) loadBanks(dir string, p *configfile.Problems) {
	if c.Banks == nil && !p.Wrong("banks") {
		only := &bank{bankSettings: c.bankSettings, details: p.Raw("authorization_details")}
		only.load(dir, problems{Problems: p})
		c.banks = []*bank{only}
		return
	}
	p.Require(c.Name == "" && c.Issuer == "" && c.ResourceURL == "", "banks",
		"beside name, issuer or resource_url, which each bank has for itself")
	p.Require(len(c.Banks) > 0, "banks", "empty")
	var raw []struct {
		Details json.RawMessage `json:"authorization_details"`
	}
	if p.Wrong("banks") || json.Unmarshal(p.Raw("banks"), &raw) != nil {
		return // recorded
	}
	issuers := map[string]bool{}
	for i, its := range c.Banks {
		b, path := &bank{bankSettings: its, details: raw[i].Details}, fmt.Sprintf("banks[%d].", i)
		if b.details == nil {
			b.details = p.Raw("authorization_details")
		}
		b.inherit(c.bankSettings)
		b.load(dir, problems{p, path})
		p.Require(!issuers[b.Issuer], path+"issuer", "%.100q is the issuer of another bank, too", b.Issuer)
		issuers[b.Issuer] = true
		c.banks = append(c.banks, b)
	}
}

func (b *bank) load(dir string, p problems) {
	b.checkServer(p)
	b.checkBinding(p)
	b.loadKeys(p)
	b.loadFiles(dir, p)
}

// resource returns a URL of the bank's API. The path is relative to the
// accounts, and empty for these.
func (b *bank) resource(path string) string {
	accounts, err := url.Parse(b.ResourceURL)
	if err != nil { // checked before
		return ""
	}
	return accounts.ResolveReference(&url.URL{Path: path}).String()
}

func (b *bank) checkServer(p problems) {
	err := profile.CheckIssuer(b.Issuer)
	p.Require(err == nil, "issuer", "%w", err)
	if issuer, err := url.Parse(b.Issuer); err == nil {
		b.Name = cmp.Or(b.Name, issuer.Host)
	}
	p.Require(b.ClientID != "", "client_id", "missing")
	u, err := url.Parse(b.ResourceURL)
	p.Require(err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == "", "resource_url",
		"missing, or not an https URL without fragment")
	for _, part := range b.MessageSigning {
		bit, ok := map[string]profile.Profile{
			"authorization_request": profile.SignedRequests, "authorization_response": profile.SignedResponses,
			"introspection": profile.SignedIntrospection,
		}[part]
		p.Require(ok, "message_signing",
			"unknown part %.40q, want authorization_request, authorization_response or introspection", part)
		b.signing |= bit
	}
	for i, detail := range b.AuthorizationDetails {
		kind, _ := detail["type"].(string)
		p.Require(kind != "", fmt.Sprintf("authorization_details[%d]", i), "without a type")
	}
}

func (b *bank) checkBinding(p problems) {
	b.AuthMethod = cmp.Or(b.AuthMethod, clientauth.MethodPrivateKeyJWT)
	p.Require(slices.Contains([]string{clientauth.MethodPrivateKeyJWT, clientauth.MethodTLSClientAuth,
		clientauth.MethodSelfSignedTLSClientAuth}, b.AuthMethod),
		"token_endpoint_auth_method", "%.40q is not private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
		b.AuthMethod)
	is := func(b *bool) bool { return b != nil && *b }
	p.Require(!is(b.DPoPBound) || !is(b.CertificateBound), "dpop_bound_access_tokens",
		"true, as is tls_client_certificate_bound_access_tokens")
	p.Require(is(b.DPoPBound) || is(b.CertificateBound) || b.DPoPBound == nil, "dpop_bound_access_tokens",
		"false, and tls_client_certificate_bound_access_tokens is not true: tokens must be bound to something")
}

func (b *bank) certificateBound() bool { return b.CertificateBound != nil && *b.CertificateBound }

// loadKeys parses all keys and selects the first one that can sign for this
// client.
func (b *bank) loadKeys(p problems) {
	for i, raw := range b.keys() {
		var about struct {
			Use string `json:"use"`
		}
		if json.Unmarshal(raw, &about) == nil && about.Use == "enc" {
			continue // this client receives nothing encrypted
		}
		key, its, err := jwks.ParsePrivateKey(raw)
		p.Require(err == nil, fmt.Sprintf("jwks.keys[%d]", i), "%w", err)
		usable := slices.Contains([]string{"", "PS256", "ES256", "EdDSA", "Ed25519"}, its.Algorithm)
		if err == nil && usable && b.key == nil {
			b.key, b.keyID, b.alg = key, its.KeyID, its.Algorithm
		}
	}
	needed := b.AuthMethod == clientauth.MethodPrivateKeyJWT || b.signing&profile.SignedRequests != 0
	p.Require(!needed || b.key != nil, "jwks", "no private key for signatures by PS256, ES256 or EdDSA")
}

func (b *bank) keys() []json.RawMessage {
	if b.JWKS == nil {
		return nil
	}
	return b.JWKS.Keys
}

// loadFiles reads the files that the configuration names, relative to its own
// directory.
func (b *bank) loadFiles(dir string, p problems) {
	beside := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	switch needed := b.AuthMethod != clientauth.MethodPrivateKeyJWT || b.certificateBound(); {
	case b.CertFile != "" && b.KeyFile != "":
		pair, err := tls.LoadX509KeyPair(beside(b.CertFile), beside(b.KeyFile))
		p.Require(err == nil, "tls_cert_file", "with tls_key_file: %w", err)
		b.certificate = &pair
	case needed || b.CertFile != "" || b.KeyFile != "":
		p.Require(false, "tls_cert_file",
			"missing, or without tls_key_file: the two go together, and mutual TLS needs them")
	}
	if b.CAFile == "" {
		return
	}
	pem, err := readFile(beside(b.CAFile))
	b.roots = x509.NewCertPool()
	p.Require(err == nil, "ca_file", "%w", err)
	p.Require(err != nil || b.roots.AppendCertsFromPEM(pem), "ca_file", "no certificate in it")
}

// scopes returns the scopes to request.
func (b *bank) scopes() []string {
	scopes := strings.Fields(b.Scope)
	if b.OpenID == nil {
		return scopes
	}
	scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == "openid" })
	if *b.OpenID {
		scopes = append([]string{"openid"}, scopes...)
	}
	return scopes
}

// httpClient returns the HTTP client of this program. It presents no
// certificate. client.Client adds the certificate where it is required.
func (b *bank) httpClient() *http.Client {
	keeping := profile.TLSConfig()
	keeping.RootCAs = b.roots
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: keeping, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     90 * time.Second, MaxResponseHeaderBytes: 256 << 10,
		},
	}
}

// client returns the configuration for package client.
func (c *config) client(b *bank) client.Config {
	return client.Config{
		Issuer: b.Issuer, ClientID: b.ClientID, RedirectURI: c.RedirectURI,
		Key: b.key, KeyID: b.keyID, Algorithm: b.alg,
		MutualTLS: &client.MutualTLS{
			Certificate: b.certificate, AuthMethod: b.AuthMethod, BindTokens: b.certificateBound(),
		},
		Profile: b.signing, HTTPClient: b.httpClient(), Tokens: c.tokens, SeveralInstances: c.shared,
		Hooks: client.Hooks{Observe: c.telemetry.ObserveClient(), Transport: c.telemetry.Transport},
	}
}

func (b *bank) wantsIDToken() bool { return slices.Contains(b.scopes(), "openid") }

// request returns the configured request. It requests a grant if the server
// requires one.
func (b *bank) request(server *profile.ServerMetadata) client.Request {
	request := client.Request{Scopes: b.scopes(), AuthorizationDetails: b.details}
	if server.GrantManagementActionRequired {
		request.GrantManagementAction = "create"
	}
	return request
}
