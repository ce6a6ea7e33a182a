package profile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrDiscovery means that a metadata document could not be fetched. The error
// wraps the cause.
var ErrDiscovery = errors.New("profile: discovery failed")

const (
	discoveryTimeout      = 10 * time.Second
	maxDiscoveryRedirects = 3
)

// errNoDocument means that the well-known URL has no document.
var errNoDocument = errors.New("no document")

// Discover fetches the metadata of an authorization server from its RFC 8414
// well-known URL, and validates it with [ServerMetadata.Validate]. If that URL
// does not return a JSON document, Discover uses the OpenID Connect Discovery
// URL. Examples are status 4xx, an HTML page, and a redirect to another origin.
// If the first document lacks userinfo_endpoint, Discover fetches the second
// document too. It copies the absent members that only OpenID Connect defines,
// if both documents name the same issuer.
//
// The client trusts the issuer, so the issuer must come from configuration or
// from another authoritative source, never from a response or a user. All
// endpoints come from the document.
//
// If httpClient is nil, a client with [TLSConfig] is used. Otherwise a copy is
// used, without its cookie jar and with redirects within one origin only. If it
// has no timeout, the copy has 10 seconds. It must verify certificates: a
// document from an unverified server is an error.
//
// The error matches [ErrIssuer], [ErrDiscovery], [ErrIssuerMismatch] or
// [ErrServerMetadata]. Nothing is cached.
func Discover(ctx context.Context, httpClient *http.Client, issuer string) (*ServerMetadata, error) {
	oauth, openid, err := WellKnownURLs(issuer) // SP-5.2.1-1: https or nothing
	if err != nil {
		return nil, err
	}
	client, done := discoveryClient(httpClient)
	defer done()
	m, err := fetchMetadata(ctx, client, oauth)
	first := err == nil
	if errors.Is(err, errNoDocument) {
		cause := err
		if m, err = fetchMetadata(ctx, client, openid); errors.Is(err, errNoDocument) {
			err = fmt.Errorf("%w; %w", cause, err)
		}
	}
	if err != nil {
		return nil, err
	}
	// SP-5.3.3.1-10, SP-5.3.3.1-11: only the issuer of the caller is trusted.
	// If the document has another issuer, Discover does not try the second URL.
	if err := m.Validate(issuer); err != nil {
		return nil, err
	}
	if first && m.UserInfoEndpoint == "" {
		// The document is valid without these members. A server without OpenID
		// Connect has no second document.
		if more, err := fetchMetadata(ctx, client, openid); err == nil && more.Validate(issuer) == nil {
			m.completeOpenID(more)
		}
	}
	return m, nil
}

// completeOpenID adds the OpenID Connect members that m lacks. It does not add
// the algorithms of ID tokens, because the second document may list RS256
// although the server signs with another algorithm.
func (m *ServerMetadata) completeOpenID(more *ServerMetadata) {
	for _, member := range []struct{ to, from *string }{
		{&m.UserInfoEndpoint, &more.UserInfoEndpoint}, {&m.EndSessionEndpoint, &more.EndSessionEndpoint},
	} {
		if *member.to == "" {
			*member.to = *member.from
		}
	}
	// A client with a certificate needs the alias of the endpoint.
	ours, theirs := m.MTLSEndpointAliases, more.MTLSEndpointAliases
	same := m.UserInfoEndpoint == more.UserInfoEndpoint
	if same && ours != nil && theirs != nil && ours.UserInfoEndpoint == "" {
		aliases := *ours
		aliases.UserInfoEndpoint = theirs.UserInfoEndpoint
		m.MTLSEndpointAliases = &aliases
	}
	for _, member := range []struct{ to, from *[]string }{
		{&m.ACRValuesSupported, &more.ACRValuesSupported},
		{&m.SubjectTypesSupported, &more.SubjectTypesSupported},
		{&m.UserInfoSigningAlgValuesSupported, &more.UserInfoSigningAlgValuesSupported},
		{&m.UserInfoEncryptionAlgValuesSupported, &more.UserInfoEncryptionAlgValuesSupported},
		{&m.UserInfoEncryptionEncValuesSupported, &more.UserInfoEncryptionEncValuesSupported},
		{&m.ClaimTypesSupported, &more.ClaimTypesSupported}, {&m.ClaimsSupported, &more.ClaimsSupported},
		{&m.ClaimsLocalesSupported, &more.ClaimsLocalesSupported},
	} {
		if *member.to == nil {
			*member.to = *member.from
		}
	}
}

// discoveryClient returns a client for one discovery, and a function that
// closes its connections.
func discoveryClient(own *http.Client) (client *http.Client, done func()) {
	done = func() {}
	if own == nil {
		// MD-6.1-1
		transport := &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: TLSConfig(),
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		}
		client, done = &http.Client{Transport: transport}, transport.CloseIdleConnections
	} else {
		replica := *own
		client = &replica
	}
	client.Jar = nil
	if client.Timeout == 0 {
		client.Timeout = discoveryTimeout
	}
	theirs := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		// SP-5.3.3.1-10: only the origin of the issuer is authoritative.
		if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
			return fmt.Errorf("%w: redirect to another origin", errNoDocument)
		}
		if len(via) > maxDiscoveryRedirects {
			return fmt.Errorf("%w: more than %d redirects", errNoDocument, maxDiscoveryRedirects)
		}
		if theirs != nil {
			return theirs(r, via)
		}
		return nil
	}
	return client, done
}

func fetchMetadata(ctx context.Context, client *http.Client, from string) (*ServerMetadata, error) {
	body, err := fetchDocument(ctx, client, from)
	if err != nil {
		return nil, err
	}
	m := new(ServerMetadata)
	if err := m.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	return m, nil
}

// checkConnection checks the TLS connection of the caller's transport. If the
// transport does not report a connection, as in tests, it is trusted.
func checkConnection(state *tls.ConnectionState) error {
	switch {
	case state == nil:
	case state.Version < tls.VersionTLS12: // SP-5.2.1-2
		return errors.New("the connection uses a TLS version before 1.2")
	case len(state.VerifiedChains) == 0: // SP-5.2.1-5, MD-6.1-1: InsecureSkipVerify
		return errors.New("the server's certificate was not verified")
	}
	return nil
}
