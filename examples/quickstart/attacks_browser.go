package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Attacks through a browser, and those for which time has to pass.

func onVisit(name, clause string, status int, code string, spoil change[*visit]) attack {
	return against(newVisit, http.StatusOK, name, clause, status, code, spoil)
}

func onCallback(name, clause string, status int, code string, spoil change[*visit]) attack {
	return against(newCallback, http.StatusSeeOther, name, clause, status, code, spoil)
}

func visits() []attack {
	return []attack{
		onVisit("a request without a request_uri", "SP-5.3.2.2-3", 400, "invalid_request",
			func(_ context.Context, v *visit) error {
				return v.query(map[string]string{
					"request_uri": "", "response_type": "code",
					"redirect_uri": v.w.ours.redirectURI, "scope": "accounts",
					"state":          rand.Text(),
					"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256",
				})
			}),
		onVisit("the request_uri of another client", "CS-5", 400, "invalid_request",
			func(_ context.Context, v *visit) error {
				return v.query(map[string]string{"client_id": v.w.rival.id})
			}),
		onVisit("a request_uri that was used to the end", "PAR-4-1", 400, "invalid_request_uri",
			func(ctx context.Context, v *visit) error {
				if err := v.browser.open(ctx, v.url); err != nil {
					return err
				}
				_, err := v.browser.approve(ctx, v.session)
				return err
			}),
		onVisit("a guessed request_uri", "PAR-2.2-2", 400, "invalid_request_uri",
			func(_ context.Context, v *visit) error {
				u, err := url.Parse(v.url)
				if err != nil {
					return err
				}
				known, guess := u.Query().Get("request_uri"), rand.Text()
				return v.query(map[string]string{"request_uri": known[:len(known)-len(guess)-1] + guess +
					known[len(known)-1:]})
			}),
	}
}

func none() []attack { return nil }

// callbacks are attacks that the client must detect. Only the last one may
// cause a token request.
func callbacks(c combination) []attack {
	tampered := func(name, clause string, changes func(w *world) map[string]string) attack {
		return onCallback(name, clause, 400, codeRefusedResponse, func(_ context.Context, v *visit) error {
			v.quiet = true
			return v.change(changes(v.w))
		})
	}
	return []attack{
		against(newStart, http.StatusSeeOther, "a login that another site starts", "SP-5.3.3.1-12", 403,
			codeCrossOrigin,
			one(func(s *start) { s.site = "cross-site" })),
		tampered("an answer of another issuer", "SP-5.3.3.2-5", func(*world) map[string]string {
			return map[string]string{"iss": "https://other-as.example"}
		}),
		tampered("an answer of the issuer with a slash more", "ISS-2.4-1", func(w *world) map[string]string {
			return map[string]string{"iss": w.asURL + "/"}
		}),
		tampered("an answer that names no issuer", "ISS-2.4-3", func(*world) map[string]string {
			return map[string]string{"iss": ""}
		}),
		tampered("an answer with a forged state", "BCP-2.1-3", func(*world) map[string]string {
			return map[string]string{"state": rand.Text()}
		}),
		tampered("an answer without state", "BCP-2.1-3", func(*world) map[string]string {
			return map[string]string{"state": ""}
		}),
		tampered("an answer with both a code and an error", "CS-20", func(*world) map[string]string {
			return map[string]string{"error": "access_denied"}
		}),
		onCallback("an answer in a browser that did not ask", "SP-5.3.3.2-4", 400, codeNoSession, one(func(v *visit) {
			v.quiet, v.browser = true, v.w.newBrowser()
		})),
		onCallback("an answer that comes a second time", "SP-6.4-1", 400, codeNoSession,
			func(ctx context.Context, v *visit) error {
				if _, err := succeed(ctx, v); err != nil {
					return err
				}
				v.quiet = true
				return nil
			}),
		either(c.advanced(), responseInjected, codeInjected)(),
	}
}

// codeInjected is an attack that the client cannot detect, because the state is
// correct. The authorization server detects it by the code_verifier.
func codeInjected() attack {
	return onCallback("a victim's code in the attacker's own session", "BCP-2.1.1-1", 400, "invalid_grant",
		func(ctx context.Context, v *visit) error {
			victim, err := newCallback(ctx, v.w)
			if err != nil {
				return err
			}
			u, err := url.Parse(victim.url)
			if err != nil {
				return err
			}
			return v.query(map[string]string{"code": u.Query().Get("code")})
		})
}

// latecomers are attacks after some time. They come last, because the clock is
// shared.
func latecomers(c combination) []attack {
	return slices.Concat(
		[]attack{
			onCode("a code of 61 seconds ago", "SP-5.3.2.1-11", 400, "invalid_grant",
				one(func(p *post) { p.w.clock.pass(61 * time.Second) })),
			onVisit("a request_uri of 91 seconds ago", "PAR-4-3", 400, "invalid_request_uri",
				one(func(v *visit) { v.w.clock.pass(91 * time.Second) })),
			onAPI("an access token of five minutes ago", "AT-4-5", 401, "invalid_token",
				one(func(c *call) { c.w.clock.pass(5*time.Minute + time.Second) })),
		},
		either(c.byJWT(), []attack{
			onPush("a client assertion of two minutes ago", "CA-7523-3-4", 401, "invalid_client",
				func(_ context.Context, p *post) (err error) {
					if p.assertion, err = p.auth.Assertion(); err == nil {
						p.w.clock.pass(2 * time.Minute)
					}
					return err
				}),
		}, []attack{
			against(newShortToken, http.StatusOK, "the client's certificate, after its end", "MTLS-2.1-1", 401,
				"invalid_client",
				one(func(p *post) { p.w.clock.pass(shortLife + time.Second) })),
		}),
		either(c.advanced(), lateMessages, none)(),
		either(c.byDPoP(), nil, []attack{
			against(newShortCall, http.StatusOK, "a token with its certificate, after the end of that", "MTLS-3-3", 401,
				"invalid_token",
				one(func(c *call) { c.w.clock.pass(shortLife + time.Second) })),
		}),
	)
}
