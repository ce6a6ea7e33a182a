package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
)

// A Config configures [New]. Issuer and ClientID are required, and Key unless
// the client authenticates with a certificate. Most clients also set
// RedirectURI, KeyID and Tokens. All functions may be called concurrently.
type Config struct {
	// Issuer is the issuer identifier of the authorization server, from an
	// authoritative source. The client discovers everything else about the
	// server. An application that uses several servers needs a different Issuer
	// for each.
	Issuer string
	// ClientID and RedirectURI are the registered values. RedirectURI may be
	// empty for a client that acts only for itself.
	ClientID, RedirectURI string
	// Key signs client assertions (private_key_jwt) and request objects. KeyID
	// is its kid in the registered JWK Set. If KeyID is empty, the signatures
	// have no kid. Algorithm is PS256, ES256, EdDSA or Ed25519. If Algorithm is
	// empty, it follows from the key and the server's metadata. To rotate the
	// key, create another Client.
	Key              crypto.Signer
	KeyID, Algorithm string
	// Tokens stores the tokens of users, each with a DPoP key of its own. If
	// nil, the host keeps the tokens.
	Tokens *Tokens
	// DPoPKey is one key that all access tokens are bound to, for example in an
	// HSM. Use one for each authorization server (FAPI 2.0 Security Profile
	// §6.3), and keep it as long as the tokens. APIs can link the users of such
	// a key. After a change of the key, access tokens are useless, but refresh
	// tokens remain valid. If nil, each login has its own key, provided that
	// Tokens is set. All other tokens are then bound to a P-256 key that ends
	// with the process.
	DPoPKey crypto.Signer
	// SeveralInstances declares that several processes use the tokens of the
	// client. New then requires Tokens with a shared Store or a DPoPKey, unless
	// tokens are bound to a certificate. See also [SessionsConfig].
	SeveralInstances bool
	// Profile contains the parts of FAPI 2.0 Message Signing that the client
	// uses. With SignedRequests, the client signs its authorization requests
	// with Key. With SignedResponses, it requests and accepts only signed
	// authorization responses. SignedIntrospection has no effect. The default
	// is Baseline.
	Profile profile.Profile
	// HTTPClient is a template for all requests, including those to APIs. The
	// client uses its Transport and Timeout, and not its Jar and CheckRedirect.
	// If Transport is nil, connections follow [profile.TLSConfig]. If Timeout
	// is 0, a request to the authorization server takes at most 30 seconds.
	HTTPClient *http.Client

	// MutualTLS configures a certificate (RFC 8705). If nil, the client
	// authenticates with Key, and tokens are bound to DPoP keys.
	MutualTLS *MutualTLS
	// ResponseDecryptionKeys decrypt authorization responses. With such keys,
	// the client accepts only responses that are signed and encrypted. The keys
	// require SignedResponses and a registration for encrypted responses. If
	// nil, the client rejects encrypted responses.
	ResponseDecryptionKeys []jarm.DecryptionKey
	// OpenID configures ID tokens and UserInfo responses as the client is
	// registered for them. If nil, the client rejects encrypted ones, and
	// accepts UserInfo responses without a signature.
	OpenID *OpenID
	// ServerKeys sets how often the keys of the authorization server are
	// fetched, how long they are used, and who receives reports about them. Its
	// URL, HTTPClient, Now, PublicOnly, AllowPrefixes and InsecureAllowHTTP
	// must be unset, because the client sets them. If nil, the defaults of
	// package jwks are used.
	ServerKeys *jwks.RemoteConfig
	// Rules are the rules of the server's ecosystem, for example of package
	// ecosystems. New rejects a Config that contradicts them. It adds the parts
	// of Message Signing and the settings of Requests that they require.
	// [Client.Begin] rejects a request that they do not permit, with
	// [rules.ErrRequest]. Client certificates, keys and header fields such as
	// x-fapi-auth-date remain with the application. If nil, there are no
	// further rules.
	Rules *rules.Set
	// Requests adapts requests to an ecosystem. If nil, nothing is changed.
	Requests *RequestConfig
	// Hooks follow what the client does.
	Hooks Hooks
}

// MutualTLS configures the certificate of a client (RFC 8705). The client
// presents it only to servers for which a field of MutualTLS requires it.
type MutualTLS struct {
	// Certificate is the client's certificate with its key. Required, unless
	// GetCertificate or Transport is set. To replace the certificate, create
	// another Client. It can finish the sessions and refresh the tokens of the
	// previous one.
	Certificate *tls.Certificate
	// GetCertificate returns the certificate for a new connection. After a
	// change, call [Client.CloseIdleConnections]. It cannot be combined with
	// BindTokens, because a token is bound to one certificate. If nil,
	// Certificate is used.
	GetCertificate func() (*tls.Certificate, error)
	// Transport presents the certificate in place of the client, for example
	// through a proxy that has the key. The client cannot check it. It cannot
	// be combined with Certificate and GetCertificate. If nil, the client
	// presents the certificate on connections of HTTPClient.Transport, which
	// must be a *http.Transport.
	Transport http.RoundTripper
	// AuthMethod is the registered token_endpoint_auth_method: tls_client_auth,
	// self_signed_tls_client_auth or private_key_jwt. The default is
	// private_key_jwt.
	AuthMethod string
	// BindTokens binds access tokens to Certificate, as the client metadata
	// tls_client_certificate_bound_access_tokens registers it. If false, tokens
	// are bound to DPoP keys.
	BindTokens bool
	// UseEndpointAliases is the client metadata use_mtls_endpoint_aliases. All
	// requests go to the server's mtls_endpoint_aliases, and New fails if one
	// is missing. If false, the client uses the aliases that exist.
	UseEndpointAliases bool
}

// OpenID configures ID tokens and UserInfo responses (OpenID Connect Core 1.0).
type OpenID struct {
	// IDTokenDecryptionKeys decrypt ID tokens, for a client that has registered
	// id_token_encrypted_response_alg. With such keys, the client accepts only
	// ID tokens that are signed and then encrypted.
	IDTokenDecryptionKeys []idtoken.DecryptionKey
	// UserInfo configures [Client.UserInfo].
	UserInfo idtoken.UserInfoConfig
}

func (o *OpenID) check() (err error) {
	for name, keys := range map[string][]idtoken.DecryptionKey{
		"IDTokenDecryptionKeys": o.IDTokenDecryptionKeys, "UserInfo.DecryptionKeys": o.UserInfo.DecryptionKeys,
	} {
		if _, bad := jose.NewDecrypter(keys); bad != nil {
			err = errors.Join(err, fmt.Errorf("client: OpenID.%s: %w", name, bad))
		}
	}
	return err
}

// Hooks are functions of a host that follow what a client does. The zero value
// has none. They may be called concurrently.
type Hooks struct {
	// Evidence receives each signed message that the client accepts or issues,
	// before it takes effect. If Evidence returns an error, the operation
	// fails. If nil, nothing is recorded.
	Evidence func(ctx context.Context, e profile.Evidence) error
	// Observe receives an event for each request to the authorization server
	// and for each authorization response. It also receives an event for each
	// request to an API that responds with status 401. It is called after the
	// response, with the context of the request. If nil, nothing is observed.
	Observe func(ctx context.Context, e profile.Event)
	// Transport returns a transport that sends requests through base, and may
	// add header fields for tracing. [New] calls it for each transport of the
	// client, including the one with the certificate. It sees each attempt of a
	// request. An example is otelhttp.NewTransport of OpenTelemetry. If nil,
	// base is used.
	Transport func(base http.RoundTripper) http.RoundTripper
	// Now is the clock. If nil, time.Now is used.
	Now func() time.Time
}

// observed returns base as Transport wraps it.
func (h *Hooks) observed(base http.RoundTripper) (http.RoundTripper, error) {
	if h.Transport == nil {
		return base, nil
	}
	wrapped := h.Transport(base)
	if wire.IsNil(wrapped) { // net/http would use its default transport
		return nil, errors.New("client: Hooks.Transport returned nil")
	}
	return wrapped, nil
}

// String omits the keys.
func (cfg Config) String() string {
	return fmt.Sprintf("client.Config{Issuer: %q, ClientID: %q, KeyID: %q}", cfg.Issuer, cfg.ClientID, cfg.KeyID)
}

// GoString omits the keys.
func (cfg Config) GoString() string { return cfg.String() }

// LogValue omits the keys.
func (cfg Config) LogValue() slog.Value { return slog.StringValue(cfg.String()) }

// check reports all problems that are known before discovery.
func (cfg *Config) check() error {
	var errs []error
	require := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New("client: "+text))
		}
	}
	require(cfg.ClientID != "", "missing ClientID")
	if err := profile.CheckIssuer(cfg.Issuer); err != nil {
		errs = append(errs, err)
	}
	require(cfg.Profile&^profile.Advanced == 0, "unknown Profile")
	require(!cfg.SeveralInstances || cfg.DPoPKey != nil || cfg.Tokens != nil || cfg.mutualTLS().BindTokens,
		"SeveralInstances: missing Tokens, or a DPoPKey that all instances have")
	if cfg.Tokens != nil {
		for _, problem := range cfg.Tokens.problems(cfg.SeveralInstances) {
			require(false, problem)
		}
	}
	signed := cfg.Profile.Has(profile.SignedResponses)
	require(signed || len(cfg.ResponseDecryptionKeys) == 0, "ResponseDecryptionKeys without SignedResponses")
	require(!cfg.Profile.Has(profile.SignedRequests) || !wire.IsNil(cfg.Key), "SignedRequests without Key")
	if cfg.OpenID != nil {
		errs = append(errs, cfg.OpenID.check())
	}
	mutual := cfg.mutualTLS()
	switch mutual.AuthMethod { // SP-5.3.3.1-2
	case clientauth.MethodPrivateKeyJWT:
		require(!wire.IsNil(cfg.Key), "Key is required for private_key_jwt")
	case clientauth.MethodTLSClientAuth, clientauth.MethodSelfSignedTLSClientAuth:
	default:
		require(false, "unsupported MutualTLS.AuthMethod")
	}
	switch problem := certificateProblem(mutual.Certificate); {
	case mutual.Transport != nil:
		require(mutual.Certificate == nil && mutual.GetCertificate == nil,
			"MutualTLS.Transport with Certificate or GetCertificate")
		require(!wire.IsNil(mutual.Transport), "MutualTLS.Transport is a nil pointer")
	case mutual.GetCertificate == nil:
		require(!mutual.used() || problem == "", "MutualTLS.Certificate "+problem) // MTLS-2-1
	case mutual.Certificate != nil:
		require(false, "both MutualTLS.Certificate and GetCertificate")
	default: // MTLS-3-2: the token request and the API see one certificate
		require(!mutual.BindTokens, "MutualTLS.BindTokens with GetCertificate")
	}
	if cfg.Requests != nil {
		errs = append(errs, cfg.Requests.problems(cfg)...)
	}
	if problem := cfg.serverKeysProblem(); problem != "" {
		require(false, problem)
	}
	return errors.Join(errs...)
}

func (cfg *Config) serverKeysProblem() string {
	k := cfg.ServerKeys
	if k == nil {
		return ""
	}
	if k.URL != "" || k.HTTPClient != nil || k.Now != nil || k.AllowPrefixes != nil || k.PublicOnly ||
		k.InsecureAllowHTTP {
		return "ServerKeys with a field that the client sets"
	}
	if _, err := cfg.serverKeys("https://as.example"); err != nil {
		return "ServerKeys: " + err.Error()
	}
	return ""
}

// serverKeys returns the keys that the server publishes.
func (cfg *Config) serverKeys(uri string) (*jwks.Remote, error) {
	var remote jwks.RemoteConfig
	if cfg.ServerKeys != nil {
		remote = *cfg.ServerKeys
	}
	remote.URL, remote.HTTPClient, remote.Now = uri, cfg.HTTPClient, cfg.Hooks.Now
	return jwks.NewRemote(remote)
}

// mutualTLS returns the group with its default, also if it is nil.
func (cfg *Config) mutualTLS() (mutual MutualTLS) {
	if cfg.MutualTLS != nil {
		mutual = *cfg.MutualTLS
	}
	if mutual.AuthMethod == "" {
		mutual.AuthMethod = clientauth.MethodPrivateKeyJWT
	}
	return mutual
}

// used reports whether the authorization server sees the certificate.
func (m *MutualTLS) used() bool {
	return m.BindTokens || m.UseEndpointAliases || m.AuthMethod != clientauth.MethodPrivateKeyJWT
}

// setDefaults completes a configuration, and copies its groups, which the
// caller may change later.
func (cfg *Config) setDefaults() error {
	mutual := cfg.mutualTLS()
	cfg.MutualTLS = &mutual
	if cfg.ServerKeys != nil {
		keys := *cfg.ServerKeys
		cfg.ServerKeys = &keys
	}
	var openID OpenID
	if cfg.OpenID != nil {
		openID = *cfg.OpenID
		openID.IDTokenDecryptionKeys = slices.Clone(openID.IDTokenDecryptionKeys)
		openID.UserInfo.DecryptionKeys = slices.Clone(openID.UserInfo.DecryptionKeys)
	}
	cfg.OpenID = &openID
	requests := RequestConfig{}
	if cfg.Requests != nil {
		requests = *cfg.Requests
	}
	cfg.Requests = &requests
	own := &http.Client{}
	if cfg.HTTPClient != nil {
		own.Transport, own.Timeout = cfg.HTTPClient.Transport, cfg.HTTPClient.Timeout
	}
	if own.Transport == nil {
		own.Transport = &http.Transport{ // http.DefaultTransport with the TLS parameters of SP-5.2.2-2
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: profile.TLSConfig(), ForceAttemptHTTP2: true,
			MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 256 << 10,
		}
	}
	cfg.HTTPClient = own
	if cfg.Hooks.Now == nil {
		cfg.Hooks.Now = time.Now
	}
	if cfg.DPoPKey == nil && !mutual.BindTokens {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		cfg.DPoPKey = key
	}
	return nil
}
