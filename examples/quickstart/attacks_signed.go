package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/jar"
)

// This file has attacks on the signed messages of Advanced: requests at the
// authorization server, and responses at the client.

// forgeObject changes the request object and signs it again.
func forgeObject(sign func(w *world) signature, change func(w *world) (header, claims object)) change[*post] {
	return func(_ context.Context, p *post) error {
		header, claims := change(p.w)
		p.signed.forged = func(good string) (string, error) { return reforge(good, sign(p.w), with(header, claims)) }
		return nil
	}
}

func byClient(w *world) signature { return es256(w.ours.auth) }

// fixed returns changes that are the same in every world.
func fixed(header, claims object) func(*world) (object, object) {
	return func(*world) (object, object) { return header, claims }
}

// ofTime changes the times of a JWT, relative to now.
func ofTime(from map[string]time.Duration) func(w *world) (header, claims object) {
	return func(w *world) (object, object) {
		claims := object{}
		for name, d := range from {
			claims[name] = w.clock.Now().Add(d).Unix()
		}
		return object{}, claims
	}
}

func onObject(name, clause string, spoil change[*post]) attack {
	return onPush(name, clause, 400, "invalid_request_object", spoil)
}

// requestObjects are attacks with request objects.
func requestObjects() []attack {
	says := func(name, clause string, change func(w *world) (header, claims object)) attack {
		return onObject(name, clause, forgeObject(byClient, change))
	}
	all := []attack{
		onPush("plain parameters, no request object", "MS-5.3.1-1", 400, "invalid_request",
			one(func(p *post) { p.signed = nil })),
		onPush("a parameter beside the request object", "PAR-3-1", 400, "invalid_request",
			beside("scope", "openid accounts payments")),
		onPush("a redirect_uri beside the request object", "JAR-6.3-1", 400, "invalid_request",
			beside("redirect_uri", "https://evil.example/callback")),
		onPush("an object that asks for an unsigned response", "MS-5.4.1-1", 400, "invalid_request",
			put("response_mode", "query")),
		onPush("an object that does not ask for a signed response", "MS-5.4.1-1", 400, "invalid_request",
			without("response_mode")),
		says("an object for another authorization server", "MS-5.3.1-2",
			fixed(object{}, object{"aud": "https://other-as.example"})),
		says("an object for a list of other servers", "MS-5.3.1-2",
			fixed(object{}, object{"aud": []string{"https://other-as.example"}})),
		says("an object for nobody", "MS-5.3.1-2", fixed(object{}, object{"aud": nil})),
		says("an object without nbf", "MS-5.3.1-3", fixed(object{}, object{"nbf": nil})),
		says("an object whose nbf is 61 minutes ago", "MS-5.3.1-3",
			ofTime(map[string]time.Duration{"nbf": -61 * time.Minute, "exp": time.Minute, "iat": 0})),
		says("an object without exp", "MS-5.3.1-4", fixed(object{}, object{"exp": nil})),
		says("an object for 61 minutes", "MS-5.3.1-4",
			ofTime(map[string]time.Duration{"nbf": 0, "exp": 61 * time.Minute})),
		says("an object that has expired", "MS-5.3.1-4",
			ofTime(map[string]time.Duration{"nbf": -2 * time.Minute, "exp": -time.Minute, "iat": -2 * time.Minute})),
		says("an object of the next hour", "SP-5.3.2.1-13b",
			ofTime(map[string]time.Duration{"nbf": time.Hour, "exp": 61 * time.Minute, "iat": time.Hour})),
		says("an object with a request_uri inside", "JAR-4-1",
			fixed(object{}, object{"request_uri": "urn:ietf:params:oauth:request_uri:x"})),
		says("an object with a request inside", "JAR-4-1", fixed(object{}, object{"request": "e30.e30.x"})),
		says("an object with client authentication inside", "PAR-3-1",
			fixed(object{}, object{"client_assertion": "e30.e30.x"})),
		says("an object of the type of a client assertion", "JAR-10.8-2",
			fixed(object{"typ": "client-authentication+jwt"}, object{})),
		says("an object of the type of a proof", "JAR-10.8-2", fixed(object{"typ": "dpop+jwt"}, object{})),
		says("an object of the type of an access token", "JAR-10.8-2", fixed(object{"typ": "at+jwt"}, object{})),
		says("an object with the client as its sub", "JAR-10.8-1", fixed(object{}, object{"sub": "accounting-app"})),
		says("an object in the name of another client", "PAR-3-3",
			fixed(object{}, object{"client_id": "rival-app", "iss": "rival-app"})),
		says("an object issued by another client", "PAR-3-4", fixed(object{}, object{"iss": "rival-app"})),
		says("an object under a key that is not registered", "JAR-6.2-1", fixed(object{"kid": "another"}, object{})),
	}
	return append(all, forgedObjects()...)
}

// forgedObjects are attacks with request objects that have a wrong signature,
// or that belong to another request.
func forgedObjects() []attack {
	return []attack{
		onObject("an object without a signature, alg none", "JAR-10.5-1",
			forgeObject(func(*world) signature { return unsigned }, fixed(object{"alg": "none"}, object{}))),
		against(newPushByRSA, http.StatusCreated, "an object signed by RS256", "SP-5.4.1-1.2", 400,
			"invalid_request_object",
			forgeObject(func(w *world) signature {
				return rs256(w.ours.authRSA)
			}, fixed(object{"alg": "RS256"}, object{}))),
		onObject("an object with an HMAC by the client's public key", "JWT-3.1-1",
			forgeObject(func(w *world) signature {
				return hs256(publicBytes(w.ours.auth))
			}, fixed(object{"alg": "HS256"}, object{}))),
		onObject("an object with a wider scope, the old signature", "JAR-6.2-1", one(func(p *post) {
			p.signed.forged = func(good string) (string, error) {
				return reforge(good, keep(good), with(object{}, object{"scope": "openid accounts"}))
			}
		})),
		onObject("an object signed by another client's key", "JAR-6.2-1",
			forgeObject(func(w *world) signature { return es256(w.rival.auth) }, fixed(object{}, object{}))),
		onObject("an object of another client", "PAR-3-3", func(_ context.Context, p *post) (err error) {
			p.signed, err = p.w.newRequestObject(p.w.rival, nil)
			return err
		}),
		onObject("a client assertion in place of the object", "JAR-10.8-1", func(_ context.Context, p *post) error {
			assertions, err := p.w.assertions(p.w.ours, nil)
			if err != nil {
				return err
			}
			p.signed.raw, err = assertions.Assertion()
			return err
		}),
		onObject("an object that was used before", "JAR-10.2-1", func(ctx context.Context, p *post) (err error) {
			if p.signed.raw, err = p.signed.signer.Sign(p.form); err != nil {
				return err
			}
			_, err = succeed(ctx, p)
			return err
		}),
	}
}

// publicBytes returns a public key as bytes, which every attacker can have.
func publicBytes(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // never for P-256
	}
	return der
}

// responses are attacks with signed authorization responses. None may cause a
// token request.
func responses() []attack {
	answers := func(name, clause string, spoil func(ctx context.Context, v *visit) error) attack {
		return onCallback(name, clause, 400, codeRefusedResponse, func(ctx context.Context, v *visit) error {
			v.quiet = true
			return spoil(ctx, v)
		})
	}
	forged := func(name, clause string, sign func(w *world) signature,
		change func(w *world) (header, claims object)) attack {
		return answers(name, clause, func(_ context.Context, v *visit) error {
			header, claims := change(v.w)
			return v.reforge(sign(v.w), header, claims)
		})
	}
	byBank := func(w *world) signature { return es256(w.bankKey) }
	byAttacker := func(w *world) signature { return es256(w.rival.auth) }
	return []attack{
		answers("an answer that is not signed", "MS-5.4.2-2", unwrap(nil)),
		answers("a refusal that is not signed", "MS-5.4.2-2",
			unwrap(map[string]string{"code": "", "error": "access_denied"})),
		answers("an answer changed under the old signature", "JARM-2.4-5", func(_ context.Context, v *visit) error {
			query, err := queryOf(v.url)
			if err != nil {
				return err
			}
			return v.reforge(keep(query.Get("response")), object{}, object{"code": "of the attacker"})
		}),
		forged("an answer without a signature, alg none", "JARM-2.4-5", func(*world) signature {
			return unsigned
		}, fixed(object{"alg": "none"}, object{})),
		forged("an answer signed by RS256", "SP-5.4.1-1.2", func(w *world) signature {
			return rs256(w.ours.authRSA)
		}, fixed(object{"alg": "RS256"}, object{})),
		forged("an answer with an HMAC by the issuer's public key", "JWT-3.1-1", func(w *world) signature {
			return hs256(publicBytes(w.bankKey))
		}, fixed(object{"alg": "HS256"}, object{})),
		forged("an answer signed with another key", "JARM-2.4-5", byAttacker, fixed(object{}, object{})),
		forged("a refusal signed with another key", "JARM-2.4-5", byAttacker,
			fixed(object{}, object{"code": nil, "error": "access_denied"})),
		forged("an answer under a key that is not published", "JARM-2.4-5", byBank,
			fixed(object{"kid": "another"}, object{})),
		forged("an answer to another client", "JARM-2.4-3", byBank, fixed(object{}, object{"aud": "rival-app"})),
		forged("an answer to nobody", "JARM-2.4-3", byBank, fixed(object{}, object{"aud": nil})),
		forged("an answer that has expired", "JARM-2.4-4", byBank,
			ofTime(map[string]time.Duration{"exp": -time.Minute})),
		forged("an answer that never expires", "JARM-2.4-4", byBank, fixed(object{}, object{"exp": nil})),
		answers("an answer beside the name of another issuer", "SP-5.3.3.2-5", func(_ context.Context, v *visit) error {
			return v.query(map[string]string{"iss": "https://other-as.example"})
		}),
		answers("two answers at once", "BASE-6749-3.1-1", func(_ context.Context, v *visit) error {
			query, err := queryOf(v.url)
			v.url += "&" + url.Values{"response": query["response"]}.Encode()
			return err
		}),
		answers("an ID token in place of the answer", "JWT-3.12-1", func(ctx context.Context, v *visit) error {
			token, err := v.w.newToken(ctx)
			if err != nil {
				return err
			}
			idToken, _ := token.Extra("id_token").(string)
			return v.query(map[string]string{"response": idToken})
		}),
	}
}

// unwrap sends the claims of a signed response as parameters, with changes.
func unwrap(changes map[string]string) func(ctx context.Context, v *visit) error {
	return func(_ context.Context, v *visit) error {
		said, err := v.w.answerIn(v.url)
		if err != nil {
			return err
		}
		plain := map[string]string{"response": "", "code": said.Get("code"), "state": said.Get("state"),
			"iss": said.Get("iss")}
		for name, value := range changes {
			plain[name] = value
		}
		return v.query(plain)
	}
}

// responseInjected injects a complete signed response of a victim. The attacker
// cannot change it, so it has the victim's state.
func responseInjected() attack {
	return onCallback("a victim's answer in the attacker's session", "BCP-2.1-3", 400, codeRefusedResponse,
		func(ctx context.Context, v *visit) error {
			victim, err := newCallback(ctx, v.w)
			if err != nil {
				return err
			}
			v.quiet, v.url = true, victim.url
			return nil
		})
}

// lateMessages are attacks with signed messages that have expired.
func lateMessages() []attack {
	return []attack{
		onObject("a request object of five minutes ago", "MS-5.3.1-4", func(_ context.Context, p *post) (err error) {
			if p.signed, err = p.w.newRequestObject(p.w.ours, func(cfg *jar.SignerConfig) {
				cfg.Lifetime = 5 * time.Minute
			}); err != nil {
				return err
			}
			if p.signed.raw, err = p.signed.signer.Sign(p.form); err == nil {
				p.w.clock.pass(5*time.Minute + time.Second)
			}
			return err
		}),
		onCallback("a signed answer of ten minutes ago", "JARM-2.4-4", 400, codeRefusedResponse, one(func(v *visit) {
			v.quiet = true
			v.w.clock.pass(10*time.Minute + time.Second)
		})),
	}
}
