package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/pkce"
)

// Attacks on the token endpoint and the pushed authorization request endpoint.

func onCode(name, clause string, status int, code string, spoil change[*post]) attack {
	return against(newRedemption, http.StatusOK, name, clause, status, code, spoil)
}

func onRefresh(name, clause string, status int, code string, spoil change[*post]) attack {
	return against(newRefresh, http.StatusOK, name, clause, status, code, spoil)
}

// onClient returns an attack on client authentication, with the shortest
// request that requires it.
func onClient(name, clause string, status int, code string, spoil change[*post]) attack {
	return against(newOwnToken, http.StatusOK, name, clause, status, code, spoil)
}

func onPush(name, clause string, status int, code string, spoil change[*post]) attack {
	return against(newPush, http.StatusCreated, name, clause, status, code, spoil)
}

// without removes parameters, and put sets one.
func without(names ...string) change[*post] {
	return one(func(p *post) {
		for _, name := range names {
			p.form.Del(name)
		}
	})
}

func put(name, value string) change[*post] { return one(func(p *post) { p.form.Set(name, value) }) }

// beside sends a parameter outside of the request object. Without a request
// object it adds the parameter to the form.
func beside(name string, values ...string) change[*post] {
	return one(func(p *post) { p.beside = url.Values{name: values} })
}

func byRival(_ context.Context, p *post) error { return p.as(p.w.rival) }

func withRivalsKey(_ context.Context, p *post) (err error) {
	p.prover, err = p.w.prover(p.w.rival.dpop)
	return err
}

func withoutProof(_ context.Context, p *post) error {
	p.prover = nil
	return nil
}

var anonymously = one((*post).anonymous)

func stolenGrants(c combination) []attack {
	codes := []attack{
		onCode("a code with another code_verifier", "PKCE-4.6-1", 400, "invalid_grant",
			put("code_verifier", pkce.NewVerifier())),
		onCode("a code without a code_verifier", "BCP-2.1.1-3", 400, "invalid_grant", without("code_verifier")),
		onCode("a code from another client", "BASE-6749-4.1.3-1", 400, "invalid_grant",
			func(_ context.Context, p *post) error {
				return p.authenticateAs(p.w.rival) // the proof is correct, only the client differs
			}),
		onCode("a code with another redirect_uri", "BASE-6749-4.1.3-1", 400, "invalid_grant",
			put("redirect_uri", "https://rival.example/callback")),
		onCode("a code without client authentication", "CS-12", 401, "invalid_client", anonymously),
		onCode("a code that was redeemed before", "SP-5.3.2.2-9", 400, "invalid_grant",
			func(ctx context.Context, p *post) error {
				_, err := succeed(ctx, p)
				return err
			}),
		onRefresh("the refresh token of a code that came twice", "BASE-6749-4.1.2-1", 400, "invalid_grant",
			func(ctx context.Context, p *post) error {
				tokens, err := replayCode(ctx, p.w, func(issued tokens) error {
					p.form.Set("refresh_token", issued.Refresh)
					_, err := succeed(ctx, p)
					return err
				})
				p.form.Set("refresh_token", tokens.Refresh)
				return err
			}),
		onAPI("the access token of a code that came twice", "BCP-4.5-1", 401, "invalid_token",
			func(ctx context.Context, c *call) error {
				tokens, err := replayCode(ctx, c.w, func(issued tokens) error {
					c.token = issued.Access
					_, err := succeed(ctx, c)
					return err
				})
				c.token = tokens.Access
				return err
			}),
		onRefresh("a refresh token from another client", "BASE-6749-6-1", 400, "invalid_grant", byRival),
		onRefresh("a refresh token without client authentication", "CS-22", 401, "invalid_client", anonymously),
		onRefresh("a refresh token for a wider scope", "BCP-4.14-1", 400, "invalid_scope",
			put("scope", "openid accounts payments")),
	}
	switch {
	case c.byDPoP():
		return append(codes,
			onCode("a code with a proof of another key", "DPOP-10-1", 400, "invalid_grant", withRivalsKey),
			onCode("a code without a proof", "DPOP-5-1", 400, "invalid_dpop_proof", withoutProof),
			onRefresh("a refresh token without a proof", "CS-22", 400, "invalid_dpop_proof", withoutProof))
	case c.byJWT():
		return append(codes, unboundGrants()...)
	}
	return append(codes, grantsWithOtherCertificates()...)
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// replayCode redeems a code, checks that the issued token is accepted, and
// redeems the code again.
func replayCode(ctx context.Context, w *world, works func(tokens) error) (issued tokens, err error) {
	code, err := newRedemption(ctx, w)
	if err != nil {
		return issued, err
	}
	first, err := succeed(ctx, code)
	if err != nil {
		return issued, err
	}
	if err := json.Unmarshal(first.body, &issued); err != nil {
		return issued, err
	}
	if err := works(issued); err != nil {
		return issued, err
	}
	second, err := code.send(ctx)
	if err == nil && second.code != "invalid_grant" {
		err = errors.New("the code could be redeemed twice")
	}
	return issued, err
}

// forgedClients are attacks on client authentication and on the other
// requirements of token requests.
func forgedClients(c combination) []attack {
	return slices.Concat(
		[]attack{onClient("a token request without client authentication", "CS-12", 401, "invalid_client",
			anonymously)},
		either(c.byJWT(), forgedAssertions, forgedCertificates)(),
		either(c.byDPoP(), []attack{onClient("a token request without a proof", "CS-14", 400, "invalid_dpop_proof",
			withoutProof)}, nil),
		either(c.byJWT() && !c.byDPoP(), unboundRequests, func() []attack { return nil })(),
		[]attack{
			onClient("the password grant", "SP-5.3.2.1-2", 400, "unsupported_grant_type",
				func(_ context.Context, p *post) error {
					p.form.Set("grant_type", "password")
					p.form.Set("username", "alice")
					p.form.Set("password", "correct horse")
					return nil
				}),
		},
	)
}

func forgedAssertions() []attack {
	assertion := func(name, clause string, change func(w *world, cfg *clientauth.PrivateKeyJWTConfig)) attack {
		return onClient(name, clause, 401, "invalid_client", func(_ context.Context, p *post) error {
			return p.assertWith(func(cfg *clientauth.PrivateKeyJWTConfig) { change(p.w, cfg) })
		})
	}
	forged := func(name, clause string, header, claims object) attack {
		return onClient(name, clause, 401, "invalid_client", func(_ context.Context, p *post) error {
			return p.forgeAssertion(es256(p.w.ours.auth), with(header, claims))
		})
	}
	return []attack{
		assertion("an assertion by another key", "CA-7523-3-9", func(w *world, cfg *clientauth.PrivateKeyJWTConfig) {
			cfg.Key = w.rival.auth
		}),
		assertion("an assertion for the token endpoint's URL", "SP-5.3.2.1-8",
			func(w *world, cfg *clientauth.PrivateKeyJWTConfig) {
				cfg.Audience = w.endpoints().TokenEndpoint
			}),
		onClient("an assertion for a list of one audience", "SP-5.3.2.1-8", 401, "invalid_client",
			func(_ context.Context, p *post) error {
				return p.forgeAssertion(es256(p.w.ours.auth), with(object{}, object{"aud": []string{p.w.asURL}}))
			}),
		onClient("an assertion that was used before", "CA-OIDC-9-1", 401, "invalid_client",
			func(ctx context.Context, p *post) (err error) {
				if p.assertion, err = p.auth.Assertion(); err != nil {
					return err
				}
				_, err = succeed(ctx, p) // the next request has a new proof
				return err
			}),
		against(newOwnTokenByRSA, http.StatusOK, "an assertion signed by RS256", "SP-5.4.1-1.2", 401, "invalid_client",
			func(_ context.Context, p *post) error {
				return p.forgeAssertion(rs256(p.w.ours.authRSA), with(object{"alg": "RS256"}, object{}))
			}),
		onClient("an assertion without a signature, alg none", "SP-5.4.1-1.3", 401, "invalid_client",
			func(_ context.Context, p *post) error {
				return p.forgeAssertion(unsigned, with(object{"alg": "none"}, object{}))
			}),
		assertion("an assertion of an hour ago", "CA-7523-3-4", func(w *world, cfg *clientauth.PrivateKeyJWTConfig) {
			cfg.Now = func() time.Time { return w.clock.Now().Add(-time.Hour) }
		}),
		forged("an assertion without a jti", "CA-OIDC-9-1", object{}, object{"jti": nil}),
		forged("an assertion about another client", "CA-7523-3-2", object{}, object{"sub": "rival-app"}),
		forged("a proof in place of an assertion", "JWT-3.12-1", object{"typ": "dpop+jwt"}, object{}),
		onClient("the client_id of another client, our assertion", "CS-13", 401, "invalid_client",
			one(func(p *post) { p.clientID = p.w.rival.id })),
		onClient("the client's certificate in place of its assertion", "SP-5.3.2.1-6", 401, "invalid_client",
			one(func(p *post) {
				// A proof would be for this URL.
				p.url = p.w.app.ServerMetadata().ForMTLS().TokenEndpoint
				p.auth, p.clientID, p.certificate = nil, p.w.ours.id, p.w.ours.certificate
			})),
	}
}

// newOwnTokenByRSA returns a request like that of newOwnToken, with the
// client's RSA key and PS256.
func newOwnTokenByRSA(ctx context.Context, w *world) (*post, error) {
	p, err := newOwnToken(ctx, w)
	if err != nil {
		return nil, err
	}
	return p, p.assertWith(func(cfg *clientauth.PrivateKeyJWTConfig) {
		cfg.Key, cfg.KeyID = w.ours.authRSA, authRSAKeyID
	})
}

func pushes(c combination) []attack {
	all := []attack{
		onPush("a pushed request without PKCE", "PKCE-4.4.1-1", 400, "invalid_request",
			without("code_challenge", "code_challenge_method")),
		onPush("PKCE with the method plain", "SP-5.3.2.2-5", 400, "invalid_request",
			put("code_challenge_method", "plain")),
		onPush("PKCE with no method, which means plain", "PKCE-4.3-1", 400, "invalid_request",
			without("code_challenge_method")),
		onPush("a redirect_uri that is not registered", "BCP-2.1-1", 400, "invalid_request",
			put("redirect_uri", "https://evil.example/callback")),
		onPush("a pushed request without redirect_uri", "SP-5.3.2.2-6", 400, "invalid_request",
			without("redirect_uri")),
		onPush("response_type token", "SP-5.3.2.2-1", 400, "unsupported_response_type", put("response_type", "token")),
		onPush("a scope that the client may not have", "SP-5.3.2.1-14", 400, "invalid_scope",
			put("scope", "accounts payments")),
		onPush("the same parameter twice", "BASE-6749-3.1-1", 400, "invalid_request",
			beside(either(c.advanced(), "request", "state"), "again")),
		onPush("a request_uri in the pushed request", "PAR-2.1-1", 400, "invalid_request",
			beside("request_uri", "urn:ietf:params:oauth:request_uri:x")),
		onPush("a pushed request without client authentication", "SP-5.3.2.2-4", 401, "invalid_client", anonymously),
	}
	if c.byDPoP() {
		all = append(all, onPush("a dpop_jkt of another key than the proof's", "DPOP-10.1-3", 400, "invalid_request",
			func(_ context.Context, p *post) error {
				other, err := p.w.prover(p.w.rival.dpop)
				if err != nil {
					return err
				}
				p.form.Set("dpop_jkt", other.Thumbprint())
				return nil
			}))
	}
	if !c.byJWT() {
		all = append(all, pushesWithOtherCertificates()...)
	}
	return all
}
