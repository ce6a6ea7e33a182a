package main

import (
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

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// A config is a configuration file that has been checked: see the package
// comment.
type config struct {
	issuer, listen, mtlsListen            string
	certFile, keyFile, writeCA, clientCA  string
	signing                               []string
	openid, requireNonce                  bool
	introspectRefresh                     bool
	requestSeconds, keyDays, drainSeconds int
	resources                             []string
	resourceServers                       map[string][]string
	accessToken, autoApprove              string
	store, replay                         string
	operatorListen, operatorSecret        string
	interactionIDs, detailTypesFile       string
	rulesName, durationClaim, detailEnd   string
	pairwiseSecret                        string
	clientRulesNames                      map[string]string
	acrValues                             []string
	consents                              []consentAPI
	users                                 []user
	clients                               []json.RawMessage

	iterations int // of password hashing

	// The fields below are derived from the fields above.
	registered  map[string]*profile.ClientMetadata
	details     *rar.Registry // of the configured types
	rules       *rules.Set
	clientRules map[string]*rules.Set
	places      map[string]string        // of clients in the file
	claimsOf    map[string]object        // by username
	bodies      map[string]*rar.Registry // of consents, by the path of their endpoint
	profile     profile.Profile
	clientCAs   *x509.CertPool // nil without client_ca_file
	stores      storeNames
	algorithms  []string // of the server's keys; the first is the default
	tellsAll    bool     // the introspection endpoint returns all tokens: there are no resource_servers

	certificate *tls.Certificate // if nil, one is created
	authority   *authority       // the issuer of a created certificate; if nil, a new one
	demo        *demonstration   // keeps the CA; if nil, the store does
}

type user struct {
	Username string                     `json:"username"`
	Password string                     `json:"password"`
	Claims   map[string]json.RawMessage `json:"claims,omitempty"`
}

const (
	maxConfig  = 8 << 20
	maxSchemas = 1 << 20
)

// loadConfig reads a configuration file. The error lists all problems.
func loadConfig(path string) (*config, error) {
	data, err := readFile(path, maxConfig)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(path, filepath.Ext(path)) + ".data"
	return parseConfig(data, "sqlite:"+filepath.Join(name, "bank.db"))
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

// newConfig returns the defaults.
func newConfig() *config {
	return &config{requestSeconds: 90, keyDays: 90, accessToken: "jwt", iterations: iterations}
}

// members returns the table of the members of a configuration file.
func (c *config) members() []configfile.Member {
	return append(c.ownMembers(), c.ecosystemMembers()...)
}

func (c *config) ownMembers() []configfile.Member {
	return []configfile.Member{
		{Name: "issuer", Into: &c.issuer, Default: "required",
			Meaning: "The issuer identifier, an https URL. Its path stands before all other paths."},
		{Name: "listen", Into: &c.listen, Default: "host and port of issuer",
			Meaning: "host:port of all endpoints and pages."},
		{Name: "mtls_listen", Into: &c.mtlsListen, Default: "no mutual TLS",
			Meaning: "host:port on which clients are asked for certificates. It is published in " +
				"mtls_endpoint_aliases, with the host of issuer. The API is there too, for " +
				"tokens that are bound to certificates."},
		{Name: "tls_cert_file", Into: &c.certFile, Default: "made and renewed, for localhost and the host of issuer",
			Meaning: "The server's certificate in PEM. It needs tls_key_file."},
		{Name: "tls_key_file", Into: &c.keyFile, Default: "made at start",
			Meaning: "The private key of tls_cert_file in PEM."},
		{Name: "write_ca_file", Into: &c.writeCA, Default: "not written",
			Meaning: "Where to write the CA certificate, in PEM, if the bank makes its certificate itself."},
		{Name: "client_ca_file", Into: &c.clientCA, Default: "none",
			Meaning: "CA certificates in PEM for clients that authenticate by tls_client_auth."},
		{Name: "message_signing", Into: &c.signing, Default: "none",
			Meaning: "The parts of FAPI 2.0 Message Signing that every client has to use: authorization_request, " +
				"authorization_response, introspection."},
		{Name: "openid", Into: &c.openid, Default: "false", Meaning: "Issue ID tokens and serve user information."},
		{Name: "require_dpop_nonce", Into: &c.requireNonce, Default: "false",
			Meaning: "Require nonces of the server in DPoP proofs (RFC 9449 §8, §9)."},
		{Name: "request_uri_seconds", Into: &c.requestSeconds, Default: "90",
			Meaning: "The lifetime of a pushed request, 5 to 599 seconds."},
		{Name: "resources", Into: &c.resources, Default: "the issuer",
			Meaning: "Absolute URIs that tokens can be for (RFC 8707). The first one is the bank's own API and " +
				"an https URL."},
		{Name: "resource_servers", Into: &c.resourceServers,
			Default: "every client may introspect every token, which is for tests",
			Meaning: "The resources that a client operates, {client_id: [resource, ...]}. The client may " +
				"introspect tokens for them and no others."},
		{Name: "access_token", Into: &c.accessToken, Default: "jwt",
			Meaning: "The form of access tokens: jwt or opaque."},
		{Name: "users", Into: &c.users, Default: "none",
			Meaning: "Users, in addition to those of the store. The username is the subject of tokens. The claims " +
				"of a user, among them verified_claims, go into ID tokens and user information as requested."},
		{Name: "auto_approve", Into: &c.autoApprove, Default: "none",
			Meaning: "A username. Every request is approved in its name and no page is shown. For tests alone."},
		{Name: "store", Into: &c.store, Default: "sqlite:NAME.data/bank.db for a configuration NAME.json",
			Meaning: "Where all data is kept: " + storage.Kinds + ". A directory of its own is created for PATH. " +
				"Several instances of the bank can use one store."},
		{Name: "replay", Into: &c.replay, Default: "store",
			Meaning: "Where used proofs, assertions and request objects are kept, for example redis://…."},
		{Name: "key_days", Into: &c.keyDays, Default: "90",
			Meaning: "The days after which new keys replace the signing keys and the other keys of the bank, without " +
				"a restart: 2 to 3650. With 0, only the operator's page changes them."},
		{Name: "drain_seconds", Into: &c.drainSeconds, Default: "0",
			Meaning: "The time from SIGTERM until the bank accepts no more connections, 0 to 300. Meanwhile /readyz " +
				"responds with 503, so that load balancers use other instances."},
		{Name: "operator_listen", Into: &c.operatorListen, Default: "no page for the operator",
			Meaning: "host:port of the operator's page, on a loopback address. It shows what is in the store, " +
				"replaces the keys and deletes the data of a user. It needs operator_secret."},
		{Name: "operator_secret", Into: &c.operatorSecret, Default: "none",
			Meaning: "The password of the operator's page, 16 bytes or more. The browser asks for it; the user name " +
				"does not matter."},
		{Name: "clients", Into: &c.clients, Default: "none",
			Meaning: "Registrations in the form of RFC 7591, with client_id. Their scopes and " +
				"authorization_details_types are added to those of the bank, " +
				"and mean nothing to its API. The default of scope is all scopes of the bank: accounts, " +
				"payments, offline_access and, with openid, openid and profile. " +
				"Tokens are bound by DPoP unless the registration says otherwise."},
	}
}

// parseConfig checks the whole configuration and reports all problems. The
// store is the default.
func parseConfig(data []byte, store string) (*config, error) {
	c := newConfig()
	c.store = store
	p := configfile.Read(data, c.members())
	c.checkServer(p)
	c.checkStore(p)
	c.checkOperator(p)
	c.checkFiles(p)
	c.checkUsers(p)
	c.checkClaims(p)
	c.checkConsents(p)
	c.checkClients(p)
	c.checkRules(p)
	c.checkDetails(p)
	c.checkResources(p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *config) checkServer(p *configfile.Problems) {
	if c.issuer == "" {
		p.Require(false, "issuer", "missing")
	} else if err := profile.CheckIssuer(c.issuer); err != nil {
		p.Add("issuer", "%w", err)
	} else if u, err := url.Parse(c.issuer); err == nil {
		p.Require(!strings.HasSuffix(u.Path, "/"), "issuer",
			"ends in a slash, and the bank's URLs are made by adding to it")
		c.listen = cmp.Or(c.listen, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
	}
	for name, address := range map[string]string{"listen": c.listen, "mtls_listen": c.mtlsListen} {
		_, port, err := net.SplitHostPort(address)
		p.Require(address == "" || err == nil && port != "" && port != "0", name, "%.100q is not host:port", address)
	}
	p.Require(c.mtlsListen == "" || c.listen != c.mtlsListen, "mtls_listen", "the same as listen")
	p.Require(c.requestSeconds >= 5 && c.requestSeconds <= 599, "request_uri_seconds", "%d is not 5 to 599",
		c.requestSeconds)
	p.Require(c.keyDays == 0 || c.keyDays >= 2 && c.keyDays <= 3650, "key_days", "%d is not 0 or 2 to 3650", c.keyDays)
	p.Require(c.drainSeconds >= 0 && c.drainSeconds <= 300, "drain_seconds", "%d is not 0 to 300", c.drainSeconds)
	p.Require(c.accessToken == "jwt" || c.accessToken == "opaque", "access_token", "%.40q is neither jwt nor opaque",
		c.accessToken)
	p.Require(slices.Contains([]string{"", "echo", "make", "require"}, c.interactionIDs), "interaction_ids",
		"%.40q is neither echo nor make nor require", c.interactionIDs)
	for _, class := range c.acrValues {
		p.Require(isScope(class), "acr_values", "%.100q is not printable ASCII without spaces", class)
	}
	parts := map[string]profile.Profile{
		"authorization_request": profile.SignedRequests, "authorization_response": profile.SignedResponses,
		"introspection": profile.SignedIntrospection,
	}
	for _, part := range c.signing {
		p.Require(parts[part] != 0, "message_signing",
			"unknown part %.40q, want authorization_request, authorization_response or introspection", part)
		c.profile |= parts[part]
	}
}

func (c *config) checkFiles(p *configfile.Problems) {
	p.Require(c.certFile == "" || c.keyFile != "", "tls_cert_file", "without tls_key_file; the two go together")
	p.Require(c.keyFile == "" || c.certFile != "", "tls_key_file", "without tls_cert_file; the two go together")
	p.Require(c.certFile == "" || c.writeCA == "", "write_ca_file", "is for certificates that the bank makes itself")
	if c.writeCA != "" {
		there, err := os.Stat(filepath.Dir(c.writeCA))
		p.Require(err == nil && there.IsDir(), "write_ca_file", "there is no directory for it")
	}
	if c.certFile != "" && c.keyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		p.Require(err == nil, "tls_cert_file", "with tls_key_file: %w", err)
		c.certificate = &pair
	}
	if c.clientCA == "" {
		return
	}
	pem, err := readFile(c.clientCA, 1<<20)
	c.clientCAs = x509.NewCertPool()
	p.Require(err == nil, "client_ca_file", "%w", err)
	p.Require(err != nil || c.clientCAs.AppendCertsFromPEM(pem), "client_ca_file", "no certificate in it")
}

// checkUsers checks the users. A username becomes the subject of tokens.
func (c *config) checkUsers(p *configfile.Problems) {
	names := map[string]bool{}
	for i, u := range c.users {
		name, at := u.Username, fmt.Sprintf("users[%d]", i)
		isPrintable := !strings.ContainsFunc(name, func(r rune) bool { return r <= 0x20 || r > 0x7e })
		p.Require(name != "" && len(name) <= maxUsername && isPrintable, at,
			"no username of 1 to %d printable ASCII characters", maxUsername)
		p.Require(u.Password != "" && len(u.Password) <= maxPassword, at, "no password of 1 to %d bytes", maxPassword)
		p.Require(name == "" || !names[name], at, "%.100q is there twice", name)
		names[name] = true
	}
	p.Require(c.autoApprove == "" || names[c.autoApprove] || p.Wrong("users"), "auto_approve", "there is no such user")
}

func (c *config) checkClients(p *configfile.Problems) {
	c.registered = make(map[string]*profile.ClientMetadata, len(c.clients))
	c.places = make(map[string]string, len(c.clients))
	for i, raw := range c.clients {
		client, at := new(profile.ClientMetadata), fmt.Sprintf("clients[%d]", i)
		if err := client.UnmarshalJSON(raw); err != nil {
			p.Add(at, "%w", err)
			continue
		}
		// If a registration does not mention the binding of tokens, the default
		// of the bank applies.
		if said := string(raw); !strings.Contains(said, `"dpop_bound_access_tokens"`) &&
			!strings.Contains(said, `"tls_client_certificate_bound_access_tokens"`) {
			client.DPoPBoundAccessTokens = true
		}
		of := func(format string, args ...any) {
			p.Add(at, "%.100q: %w", client.ClientID, fmt.Errorf(format, args...))
		}
		if err := client.Validate(); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") { // each line names the client
				of("%s", line)
			}
		}
		if c.registered[client.ClientID] != nil {
			of("there twice")
		}
		client.Scope = cmp.Or(client.Scope, c.ownScope()) // RFC 7591 §2
		c.registered[client.ClientID], c.places[client.ClientID] = client, at
		c.checkClient(p, client, of)
	}
	for _, u := range c.users { // the subject of a client's own token is the client ID
		p.Require(u.Username == "" || c.registered[u.Username] == nil, "users", "%.100q is the client_id of a client",
			u.Username)
	}
}

// checkClient reports features of a valid registration that this bank does not
// support.
func (c *config) checkClient(p *configfile.Problems, client *profile.ClientMetadata,
	bad func(format string, args ...any)) {
	usesTLS := client.TLSClientCertificateBoundAccessTokens || client.UseMTLSEndpointAliases ||
		strings.Contains(client.TokenEndpointAuthMethod, "tls")
	if usesTLS && c.mtlsListen == "" && !p.Wrong("mtls_listen") {
		bad("needs mtls_listen")
	}
	if client.TokenEndpointAuthMethod == "tls_client_auth" && c.clientCA == "" && !p.Wrong("client_ca_file") {
		bad("needs client_ca_file")
	}
	if client.Validate() != nil {
		return // the problem has been reported
	}
	for _, alg := range []string{
		client.IDTokenSignedResponseAlg, client.AuthorizationSignedResponseAlg, client.IntrospectionSignedResponseAlg,
		client.UserInfoSignedResponseAlg,
	} {
		if alg != "" && !slices.Contains(c.algorithms, alg) {
			c.algorithms = append(c.algorithms, alg)
		}
	}
	for _, finding := range client.Lint(c.profile) {
		if finding.Severity == "error" {
			bad("message_signing: %s. %s", finding.Problem, finding.Remedy)
		}
	}
}

// checkDetails creates a registry of the types that the bank supports, those of
// the file, and all other registered types, so that any client can be tried
// out.
func (c *config) checkDetails(p *configfile.Problems) {
	types, err := c.readTypes()
	if err != nil {
		p.Add("authorization_details_types", "%w", err)
		return
	}
	known, err := newRegistry(types)
	if err != nil {
		p.Add("authorization_details_types", "%w", err)
		return
	}
	for _, client := range c.registered {
		for _, name := range client.AuthorizationDetailsTypes {
			if known.Type(name) == nil {
				types[name] = json.RawMessage(anyObject)
			}
		}
	}
	c.details, err = newRegistry(types)
	p.Require(err == nil, "clients", "authorization_details_types: %w", err)
}

// readTypes returns the JSON Schemas of the configured types by their names.
func (c *config) readTypes() (types map[string]json.RawMessage, err error) {
	if c.detailTypesFile == "" {
		return map[string]json.RawMessage{}, nil
	}
	data, err := readFile(c.detailTypesFile, maxSchemas)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &types); err != nil || types == nil {
		return nil, errors.New("the file is not a JSON object of schemas")
	}
	return types, nil
}

func (c *config) checkResources(p *configfile.Problems) {
	named := c.resources
	if len(named) == 0 {
		c.resources = []string{c.issuer} // already checked
	}
	for i, resource := range named {
		u, err := url.Parse(resource)
		p.Require(i > 0 || err == nil && u.Scheme == "https" && u.User == nil, "resources",
			"%.200q is not https, as that of the bank's own API has to be", resource)
		p.Require(err == nil && u.IsAbs() && u.Host != "" && !strings.Contains(resource, "#"), "resources",
			"%.200q is not an absolute URI without fragment", resource)
		p.Require(!slices.Contains(c.resources[:i], resource), "resources", "%.200q is there twice", resource)
	}
	if c.resourceServers == nil {
		c.resourceServers = make(map[string][]string, len(c.registered))
		for id := range c.registered {
			c.resourceServers[id] = c.resources
		}
		c.tellsAll = len(c.registered) > 0
	}
	for id, resources := range c.resourceServers {
		p.Require(c.registered[id] != nil || len(c.registered) < len(c.clients) || p.Wrong("clients"),
			"resource_servers", "%.100q is not a client", id)
		for _, resource := range resources {
			p.Require(slices.Contains(c.resources, resource) || p.Wrong("resources") || c.issuer == "",
				"resource_servers", "%.200q is not among the resources", resource)
		}
	}
}

// path returns the path of one of the bank's own resources, below the issuer's
// path.
func (c *config) path(path string) string {
	u, err := url.Parse(c.issuer)
	if err != nil { // checked before
		return path
	}
	return u.Path + path
}

// mtlsURL returns the base URL that asks for certificates: the issuer with the
// port of mtls_listen. It is empty without mtls_listen.
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

// keyPeriod returns the time between two keys of one use.
func (c *config) keyPeriod() time.Duration { return time.Duration(c.keyDays) * 24 * time.Hour }

func (c *config) requestLifetime() time.Duration {
	return time.Duration(c.requestSeconds) * time.Second
}

// ownScope returns the scopes that the bank supports.
func (c *config) ownScope() string {
	if c.openid {
		return "accounts payments offline_access openid profile"
	}
	return "accounts payments offline_access"
}

// scopes returns the scopes that the bank supports and all other registered
// scopes, so that any client can be tried out.
func (c *config) scopes() []string {
	known := strings.Fields(c.ownScope())
	for _, client := range c.registered {
		known = append(known, strings.Fields(client.Scope)...)
	}
	slices.Sort(known)
	return slices.DeleteFunc(slices.Compact(known), func(scope string) bool { return scope == "openid" && !c.openid })
}
