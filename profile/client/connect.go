package client

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/tokenbinding"
)

// clientTimeout bounds a request to the authorization server if the http.Client
// has no timeout. All users of a token source wait for its request.
const clientTimeout = 30 * time.Second

// requestLifetime is the lifetime of request objects unless the rules of an
// ecosystem demand another.
const requestLifetime = 5 * time.Minute

// signingAlgorithms are the algorithms of the client's signatures. An empty one
// follows from the key.
type signingAlgorithms struct{ assertions, requests, proofs string }

// useKeys makes the signers.
func (c *Client) useKeys(algorithms signingAlgorithms) (err error) {
	cfg := &c.cfg
	c.authenticate = clientauth.MutualTLS(cfg.ClientID).Authenticate // MTLS-2-2
	if cfg.MutualTLS.AuthMethod == clientauth.MethodPrivateKeyJWT {
		assertions, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
			ClientID: cfg.ClientID, Audience: cfg.Issuer, // SP-5.3.3.1-5: the issuer of the configuration
			Key: cfg.Key, KeyID: cfg.KeyID, Algorithm: algorithms.assertions, Now: cfg.Hooks.Now,
			Lifetime: cfg.Requests.AssertionLifetime, Claims: cfg.Requests.AssertionClaims,
		})
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		c.authenticate = assertions.Authenticate
	}
	if cfg.Profile.Has(profile.SignedRequests) {
		c.requests, err = jar.NewSigner(jar.SignerConfig{
			ClientID: cfg.ClientID, Audience: cfg.Issuer,
			Key: cfg.Key, KeyID: cfg.KeyID, Algorithm: algorithms.requests, Now: cfg.Hooks.Now,
			Lifetime: cfg.Rules.Lifetimes.RequestObject.Nearest(requestLifetime),
		})
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
	}
	if cfg.MutualTLS.BindTokens {
		return nil
	}
	c.prover, err = dpop.NewProver(dpop.ProverConfig{
		Key: cfg.DPoPKey, Algorithm: algorithms.proofs, Now: cfg.Hooks.Now,
	})
	if err != nil {
		return fmt.Errorf("client: DPoPKey: %w", err)
	}
	return nil
}

// checkServer checks that the server supports this configuration, before a user
// waits for it. It uses the server's names of the algorithms.
func (c *Client) checkServer() (err error) {
	var p serverProblems
	var algorithms signingAlgorithms
	server, mutual := c.server, c.cfg.MutualTLS
	p.require(slices.Contains(server.TokenEndpointAuthMethodsSupported, mutual.AuthMethod),
		"token_endpoint_auth_methods_supported lacks %s", mutual.AuthMethod)
	if mutual.AuthMethod == clientauth.MethodPrivateKeyJWT {
		algorithms.assertions, err = c.algorithm(&p,
			"token_endpoint_auth_signing_alg_values_supported", server.TokenEndpointAuthSigningAlgValuesSupported)
		if err != nil {
			return err
		}
	}
	if c.cfg.Profile.Has(profile.SignedRequests) { // JAR-4-5
		algorithms.requests, err = c.algorithm(&p,
			"request_object_signing_alg_values_supported", server.RequestObjectSigningAlgValuesSupported)
		if err != nil {
			return err
		}
	}
	if mutual.BindTokens {
		p.require(server.TLSClientCertificateBoundAccessTokens,
			"tls_client_certificate_bound_access_tokens is not true")
	} else {
		supported := server.DPoPSigningAlgValuesSupported
		algorithms.proofs = known(c.prover.Algorithm(), supported)
		p.require(slices.Contains(supported, algorithms.proofs),
			"dpop_signing_alg_values_supported lacks %s, the algorithm of DPoPKey", algorithms.proofs)
	}
	if mutual.UseEndpointAliases { // SP-5.2.2.1-3: the client must not use the endpoints without certificates instead
		aliases := server.MTLSEndpointAliases
		if aliases == nil {
			aliases = new(profile.MTLSEndpointAliases)
		}
		p.require(aliases.TokenEndpoint != "" || server.TokenEndpoint == "",
			"mtls_endpoint_aliases lacks token_endpoint")
		p.require(aliases.PushedAuthorizationRequestEndpoint != "" || server.PushedAuthorizationRequestEndpoint == "",
			"mtls_endpoint_aliases lacks pushed_authorization_request_endpoint")
	}
	c.checkSigning(&p)
	c.checkEncryption(&p)
	if err := errors.Join(p...); err != nil {
		return err
	}
	return c.useKeys(algorithms)
}

// algorithm returns the algorithm of Key by the server's name for it. A missing
// list permits every algorithm.
func (c *Client) algorithm(p *serverProblems, list string, supported []string) (algorithm string, err error) {
	algorithm = c.cfg.Algorithm
	if algorithm == "" {
		if algorithm, err = jose.AlgorithmFor(c.cfg.Key.Public()); err != nil {
			return "", fmt.Errorf("client: %w", err)
		}
		algorithm = known(algorithm, supported)
	}
	ok := supported == nil || slices.Contains(supported, algorithm)
	p.require(ok, "%s lacks %s, the algorithm of Key", list, algorithm)
	return algorithm, nil
}

// checkSigning compares Profile with the server's metadata.
func (c *Client) checkSigning(p *serverProblems) {
	requests, responses := c.cfg.Profile.Has(profile.SignedRequests), c.cfg.Profile.Has(profile.SignedResponses)
	modes := c.server.ResponseModesSupported
	p.require(requests || !c.server.RequireSignedRequestObject,
		"require_signed_request_object is true, and Profile lacks SignedRequests")
	p.require(responses || modes == nil || slices.Contains(modes, "query"),
		"response_modes_supported lacks query, and Profile lacks SignedResponses")
	p.require(!responses || slices.Contains(modes, "jwt"), "response_modes_supported lacks jwt")
	p.require(!responses || c.server.JWKSURI != "", "jwks_uri is missing, and Profile has SignedResponses")
	algs := c.server.AuthorizationSigningAlgValuesSupported // JARM-4-1
	p.require(!responses || algs == nil || intersects(algs, jose.Algorithms()),
		"authorization_signing_alg_values_supported has none of %q", jose.Algorithms())
}

// checkEncryption compares the decryption keys with the server's metadata. A
// missing list permits every algorithm.
func (c *Client) checkEncryption(p *serverProblems) {
	m, openID := c.server, c.cfg.OpenID
	responses, _ := jose.NewDecrypter(c.cfg.ResponseDecryptionKeys) // jarm reports errors
	idTokens, _ := jose.NewDecrypter(openID.IDTokenDecryptionKeys)
	userInfo, _ := jose.NewDecrypter(openID.UserInfo.DecryptionKeys)
	for _, e := range []struct {
		name       string
		keys       *jose.Decrypter
		algs, encs []string
	}{
		{"authorization", responses, m.AuthorizationEncryptionAlgValuesSupported,
			m.AuthorizationEncryptionEncValuesSupported},
		{"id_token", idTokens, m.IDTokenEncryptionAlgValuesSupported, m.IDTokenEncryptionEncValuesSupported},
		{"userinfo", userInfo, m.UserInfoEncryptionAlgValuesSupported, m.UserInfoEncryptionEncValuesSupported},
	} {
		p.require(e.keys.Suits(e.algs, e.encs),
			"%s_encryption_alg_values_supported and enc lack the algorithms of the decryption keys", e.name)
	}
}

// known returns the server's name for an algorithm. RFC 9864 renames the only
// member of EdDSA that this module supports to Ed25519.
func known(algorithm string, supported []string) string {
	const full = "Ed25519"
	if algorithm == "EdDSA" && !slices.Contains(supported, algorithm) && slices.Contains(supported, full) {
		return full
	}
	return algorithm
}

// compose makes the clients and verifiers of the leaf packages.
func (c *Client) compose() (err error) {
	cfg := &c.cfg
	c.endpoints = c.server
	if cfg.MutualTLS.used() {
		c.endpoints = c.server.ForMTLS() // SP-5.3.3.1-7, MTLS-5-1
	}
	if err := c.composeTransports(); err != nil {
		return err
	}
	if endpoint := c.endpoints.PushedAuthorizationRequestEndpoint; endpoint != "" {
		c.push, err = par.NewClient(par.ClientConfig{
			Endpoint: endpoint, HTTPClient: c.serverClient(interactionTransport{c.http.Transport}),
			Authenticate: c.pushAuthentication(),
		})
		if err != nil {
			return err
		}
	}
	if c.server.JWKSURI == "" {
		return nil // Begin rejects requests for ID tokens
	}
	if c.keys == nil { // an earlier generation may have fetched them
		if c.keys, err = c.serverKeys(); err != nil {
			return err
		}
	}
	userInfo := cfg.OpenID.UserInfo
	if len(userInfo.Algorithms) == 0 {
		userInfo.Algorithms = cfg.Rules.Algorithms.For(cfg.Rules.Algorithms.UserInfo)
	}
	c.idTokens, err = idtoken.NewVerifier(idtoken.VerifierConfig{
		Issuer: cfg.Issuer, ClientID: cfg.ClientID, Keys: c.permittedKeys, Now: cfg.Hooks.Now,
		DecryptionKeys: cfg.OpenID.IDTokenDecryptionKeys, UserInfo: userInfo,
		Algorithms: cfg.Rules.Algorithms.For(cfg.Rules.Algorithms.IDToken),
	})
	if err != nil || !cfg.Profile.Has(profile.SignedResponses) {
		return err
	}
	c.responses, err = jarm.NewVerifier(jarm.VerifierConfig{ // JARM-2.4-7: with the discovered keys
		Issuer: cfg.Issuer, ClientID: cfg.ClientID, Keys: c.permittedKeys, Now: cfg.Hooks.Now,
		DecryptionKeys: cfg.ResponseDecryptionKeys, Algorithms: cfg.Rules.Algorithms.For(nil),
	})
	return err
}

// permittedKeys returns the keys of the server that the rules permit.
func (c *Client) permittedKeys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	keys, err := c.keys.Keys(ctx, kid, alg)
	return slices.DeleteFunc(keys, func(key crypto.PublicKey) bool {
		return !jose.HasRSABits(key, c.cfg.Rules.Algorithms.RSABits)
	}), err
}

// serverKeys returns the keys of the server, and reports requests for them.
func (c *Client) serverKeys() (*jwks.Remote, error) {
	cfg := c.cfg
	if cfg.Hooks.Observe != nil {
		var keys jwks.RemoteConfig
		if cfg.ServerKeys != nil {
			keys = *cfg.ServerKeys
		}
		report := keys.Observe
		keys.Observe = func(ctx context.Context, f jwks.Fetch) {
			if report != nil {
				report(ctx, f)
			}
			e := profile.Event{
				Endpoint: keysEndpoint, Issuer: cfg.Issuer, ClientID: cfg.ClientID, Duration: f.Duration,
			}
			setResult(&e, f.Err)
			cfg.Hooks.Observe(ctx, e)
		}
		cfg.ServerKeys = &keys
	}
	return cfg.serverKeys(c.server.JWKSURI)
}

// composeTransports makes the transports. The authorization server sees the
// certificate if MutualTLS is used, APIs see it if tokens are bound to it.
// Otherwise tokens are bound to DPoPKey (SP-5.3.3.1-1).
func (c *Client) composeTransports() (err error) {
	server := c.cfg.HTTPClient.Transport
	c.bare, c.api = server, server
	if c.certified != nil {
		server = c.certified
	}
	c.plain = c.serverClient(server)
	if c.cfg.MutualTLS.BindTokens {
		c.api = server // MTLS-3-2: the certificate of the token request
		c.http = c.plain
		return nil
	}
	// SP-5.3.3.1-8: the transports repeat a request with the server's nonce.
	// GetBody makes a new client assertion for it.
	proofs, err := dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: server})
	if err != nil {
		return err
	}
	c.http = c.serverClient(serverProofs{proofs})
	c.api, err = dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: c.api})
	return err
}

// serverClient returns a client for requests to the authorization server.
func (c *Client) serverClient(transport http.RoundTripper) *http.Client {
	own := &http.Client{
		Transport: transport, Timeout: c.cfg.HTTPClient.Timeout,
		// A redirect would send the client's credentials to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if own.Timeout == 0 {
		own.Timeout = clientTimeout
	}
	return own
}

// tokenType returns the type of the tokens that the client accepts.
func (c *Client) tokenType() tokenbinding.Scheme {
	if c.cfg.MutualTLS.BindTokens {
		return tokenbinding.Bearer
	}
	return tokenbinding.DPoP
}

// intersects reports whether two lists have a value in common.
func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(value string) bool { return slices.Contains(b, value) })
}

// serverProblems collects what the metadata of an authorization server lacks
// for the configuration of a client.
type serverProblems []error

// require adds a problem unless ok.
func (p *serverProblems) require(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("%w: %w", profile.ErrServerMetadata, fmt.Errorf(format, args...)))
	}
}
