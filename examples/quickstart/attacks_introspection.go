package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// This file has attacks on introspection under Advanced: on the authorization
// server and on the API.

// onQuestion returns an attack on the introspection endpoint.
func onQuestion(name, clause string, status int, code string, spoil change[*post]) attack {
	return against(newAPIQuestion, http.StatusOK, name, clause, status, code, spoil)
}

// questions are attacks on the introspection endpoint. A token that the caller
// may not introspect is reported as inactive, which is not an error.
func questions() []attack {
	inactive := func(name, clause string, spoil change[*post]) attack {
		return onQuestion(name, clause, http.StatusOK, codeInactive, spoil)
	}
	return []attack{
		onQuestion("a question without client authentication", "INT-9701-5-7", 400, "invalid_client", anonymously),
		onQuestion("a question without anything but the token", "INT-7662-2.1-1", 400, "invalid_client",
			one(func(p *post) { p.auth, p.certificate, p.clientID = nil, nil, "" })),
		onQuestion("a question in the API's name by another client", "INT-9701-3-1", 400, "invalid_client",
			func(_ context.Context, p *post) error {
				if err := p.authenticateAs(p.w.rival); err != nil {
					return err
				}
				p.clientID = p.w.apiClient.id
				return nil
			}),
		onQuestion("a question without a token", "INT-7662-2-1", 400, "invalid_request", without("token")),
		inactive("an ordinary client that asks about its own token", "MS-6.2-1",
			func(_ context.Context, p *post) error { return p.authenticateAs(p.w.ours) }),
		inactive("an ordinary client that asks about another's token", "MS-6.2-1",
			func(_ context.Context, p *post) error { return p.authenticateAs(p.w.rival) }),
		inactive("the API asks about a token for another API", "INT-9701-5-3",
			func(ctx context.Context, p *post) error {
				token, err := p.w.tokenFor(ctx, otherAPI)
				p.form.Set("token", token)
				return err
			}),
		inactive("the API asks about a refresh token", "INT-7662-4-1", func(ctx context.Context, p *post) error {
			token, err := p.w.newToken(ctx)
			if err != nil {
				return err
			}
			p.form.Set("token", token.RefreshToken)
			return nil
		}),
		inactive("the API asks about a forged token", "INT-7662-4-1", func(_ context.Context, p *post) error {
			forged, err := reforge(p.form.Get("token"), es256(p.w.rival.auth))
			p.form.Set("token", forged)
			return err
		}),
		inactive("the API asks about a token that was revoked", "INT-7662-4-1",
			func(ctx context.Context, p *post) error {
				issued, err := replayCode(ctx, p.w, func(issued tokens) error {
					question, err := p.w.newQuestion(p.w.apiClient, issued.Access)
					if err != nil {
						return err
					}
					_, err = succeed(ctx, question)
					return err
				})
				p.form.Set("token", issued.Access)
				return err
			}),
		inactive("the API asks about what is no token", "INT-7662-2.2-2", put("token", "of the attacker")),
	}
}

const signedAnswer = "application/token-introspection+jwt"

// meddled returns an attack with a valid token and a changed introspection
// response.
func meddled(name, clause string, change func(w *world) meddling) attack {
	return onAPI(name, clause, 401, "invalid_token", one(func(c *call) { c.w.meddler.meddle(change(c.w)) }))
}

// about returns an attack with changed claims about the token, under a valid
// signature.
func about(name, clause string, said object) attack {
	return meddled(name, clause, func(w *world) meddling {
		return func(body string) (string, string, error) {
			changed, err := reforge(body, es256(w.bankKey), func(_, claims object) {
				set(claims["token_introspection"].(object), said)
			})
			return signedAnswer, changed, err
		}
	})
}

// introspections are attacks on the API with introspection responses. Some have
// a valid signature of the authorization server. They show that the API checks
// more than the signature.
func introspections() []attack {
	forged := func(name, clause string, sign func(w *world) signature,
		change func(w *world) (header, claims object)) attack {
		return meddled(name, clause, func(w *world) meddling {
			header, claims := change(w)
			return func(body string) (string, string, error) {
				changed, err := reforge(body, sign(w), with(header, claims))
				return signedAnswer, changed, err
			}
		})
	}
	byBank := func(w *world) signature { return es256(w.bankKey) }
	return []attack{
		meddled("an introspection that is not signed", "MS-5.5.2-1", plainAnswer("application/json")),
		meddled("an introspection that is said to be signed", "MS-5.5.2-2", plainAnswer(signedAnswer)),
		meddled("an introspection of a wider scope, old signature", "MS-5.5.2-2", func(*world) meddling {
			return func(body string) (string, string, error) {
				changed, err := reforge(body, keep(body), func(_, claims object) {
					set(claims["token_introspection"].(object), object{"scope": "openid accounts payments"})
				})
				return signedAnswer, changed, err
			}
		}),
		forged("an introspection without a signature, alg none", "SP-5.4.1-1.3", func(*world) signature {
			return unsigned
		}, fixed(object{"alg": "none"}, object{})),
		forged("an introspection signed by RS256", "SP-5.4.1-1.2", func(w *world) signature {
			return rs256(w.ours.authRSA)
		}, fixed(object{"alg": "RS256"}, object{})),
		forged("an introspection with an HMAC by the public key", "JWT-3.1-1", func(w *world) signature {
			return hs256(publicBytes(w.bankKey))
		}, fixed(object{"alg": "HS256"}, object{})),
		forged("an introspection signed with another key", "MS-5.5.2-2", func(w *world) signature {
			return es256(w.rival.auth)
		}, fixed(object{}, object{})),
		forged("an introspection under a key that is not published", "MS-5.5.2-2", byBank,
			fixed(object{"kid": "another"}, object{})),
		forged("an introspection to another API", "INT-9701-5-2", byBank, fixed(object{}, object{"aud": "rival-app"})),
		forged("an introspection of another issuer", "INT-9701-5-2", byBank,
			fixed(object{}, object{"iss": "https://other-as.example"})),
		forged("an introspection of eleven minutes ago", "INT-9701-5-2", byBank,
			ofTime(map[string]time.Duration{"iat": -11 * time.Minute})),
		forged("an introspection of no time", "INT-9701-5-2", byBank, fixed(object{}, object{"iat": nil})),
		forged("an introspection of the type of an access token", "INT-9701-8.1-1", byBank,
			fixed(object{"typ": "at+jwt"}, object{})),
		forged("an introspection about nothing", "INT-9701-5-2", byBank,
			fixed(object{}, object{"token_introspection": nil})),
		about("an introspection that the token is inactive", "INT-7662-4-1", object{"active": false}),
		about("an introspection that is active in words only", "INT-7662-2.2-1", object{"active": "true"}),
		about("an introspection about a token for another API", "AT-4-3", object{"aud": otherAPI}),
		about("an introspection about a token that has expired", "INT-7662-4-2", object{"exp": time.Unix(1, 0).Unix()}),
		about("an introspection about a token bound to nothing", "SP-5.3.4-5", object{"cnf": nil}),
		about("an introspection about a token bound to another key", "MTLS-3-3",
			object{"cnf": object{"x5t#S256": encode(make([]byte, 32))}}),
		onAPI("the access token in place of the introspection", "INT-9701-8.1-1", 401, "invalid_token",
			one(func(c *call) {
				c.w.meddler.meddle(func(string) (string, string, error) { return signedAnswer, c.token, nil })
			})),
	}
}

// plainAnswer sends the content of a signed response as plain JSON.
func plainAnswer(mediaType string) func(*world) meddling {
	return func(*world) meddling {
		return func(body string) (string, string, error) {
			_, claims, err := unseal(body)
			if err != nil {
				return "", "", err
			}
			plain, err := json.Marshal(claims["token_introspection"])
			return mediaType, string(plain), err
		}
	}
}
