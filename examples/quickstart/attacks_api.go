package main

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/tokenbinding"
)

// Attacks on the API.

func onAPI(name, clause string, status int, code string, spoil change[*call]) attack {
	return against(newCall, http.StatusOK, name, clause, status, code, spoil)
}

// stolenTokens are attacks with a valid token and a missing or wrong binding.
func stolenTokens(c combination) []attack {
	return slices.Concat(either(c.byDPoP(), tokensWithoutProof, tokensWithoutCertificate)(), []attack{
		onAPI("an access token in the URL", "SP-5.3.4-2", 400, "invalid_request",
			one(func(c *call) { c.url += "?access_token=" + c.token })),
		onAPI("a token for what its user has not granted", "SP-5.3.4-4", 403, "insufficient_scope", one(func(c *call) {
			c.url = c.w.api() + "/payments"
		})),
		onAPI("a token meant for another API", "AT-4-3", 401, "invalid_token",
			func(ctx context.Context, c *call) (err error) {
				c.token, err = c.w.tokenFor(ctx, otherAPI)
				return err
			}),
	})
}

// tokensWithoutProof are attacks with tokens that are bound to a DPoP key.
func tokensWithoutProof() []attack {
	return []attack{
		onAPI("a stolen token sent as Bearer", "DPOP-7.2-1", 401, "invalid_token",
			one(func(c *call) { c.scheme = "Bearer" })),
		onAPI("a stolen token without a proof", "DPOP-7-1", 401, "invalid_dpop_proof",
			one(func(c *call) { c.prover = nil })),
		onAPI("a stolen token with a proof of another key", "DPOP-4.3-12b", 401, "invalid_token",
			func(_ context.Context, c *call) (err error) {
				c.prover, err = c.w.prover(c.w.rival.dpop)
				return err
			}),
		onAPI("a stolen token with a proof that was used before", "DPOP-11.1-2", 401, "invalid_dpop_proof",
			replayProof),
		onAPI("a stolen token with two proofs", "DPOP-4.3-1", 401, "invalid_dpop_proof",
			func(_ context.Context, c *call) error {
				for range 2 {
					proof, err := c.proof()
					if err != nil {
						return err
					}
					c.proofs = append(c.proofs, proof)
				}
				return nil
			}),
		onAPI("a stolen token with a proof for another URL", "DPOP-4.3-9", 401, "invalid_dpop_proof",
			one(func(c *call) { c.proofURL = c.w.apiURL + "/payments" })),
		onAPI("a stolen token with a proof for another method", "DPOP-4.3-8", 401, "invalid_dpop_proof",
			one(func(c *call) { c.proofMethod = http.MethodPost })),
		onAPI("a stolen token with a proof of two minutes ago", "DPOP-4.3-11", 401, "invalid_dpop_proof",
			proofOf(-2*time.Minute)),
		onAPI("a stolen token with a proof of the next hour", "SP-5.3.2.1-13b", 401, "invalid_dpop_proof",
			proofOf(time.Hour)),
		onAPI("a stolen token with a proof for another token", "DPOP-4.3-12a", 401, "invalid_dpop_proof",
			func(ctx context.Context, c *call) (err error) {
				c.proofToken, err = c.w.tokenFor(ctx, c.w.apiURL)
				return err
			}),
		onAPI("a stolen token with a proof for no token", "DPOP-7-1", 401, "invalid_dpop_proof",
			forgeProof(object{}, object{"ath": nil})),
		onAPI("a stolen token with a JWT of another type", "DPOP-4.3-4", 401, "invalid_dpop_proof",
			forgeProof(object{"typ": "JWT"}, object{})),
		onAPI("a stolen token, a proof that shows a private key", "DPOP-4.3-7", 401, "invalid_dpop_proof",
			func(ctx context.Context, c *call) error {
				jwk, err := privateJWK(c.w.ours.dpop)
				if err != nil {
					return err
				}
				return forgeProof(object{"jwk": jwk}, object{})(ctx, c)
			}),
		onAPI("a stolen token as Bearer, the client's certificate", "DPOP-7.2-1", 401, "invalid_token",
			one(func(c *call) {
				c.scheme, c.prover = "Bearer", nil
				c.withCertificate(c.w.ours.certificate)
			})),
		onAPI("a stolen token as DPoP, the client's certificate", "DPOP-7-1", 401, "invalid_dpop_proof",
			one(func(c *call) {
				c.prover = nil
				c.withCertificate(c.w.ours.certificate)
			})),
	}
}

func replayProof(ctx context.Context, c *call) error {
	proof, err := c.proof()
	if err != nil {
		return err
	}
	c.proofs = []string{proof}
	_, err = succeed(ctx, c)
	return err
}

// proofOf shifts the time of the proof.
func proofOf(shift time.Duration) change[*call] {
	return func(_ context.Context, c *call) (err error) {
		c.prover, err = dpop.NewProver(dpop.ProverConfig{Key: c.w.ours.dpop, Now: func() time.Time {
			return c.w.clock.Now().Add(shift)
		}})
		return err
	}
}

// forgeProof changes the proof and signs it with the right key.
func forgeProof(header, claims object) change[*call] {
	return func(_ context.Context, c *call) error {
		good, err := c.proof()
		if err != nil {
			return err
		}
		bad, err := reforge(good, es256(c.w.ours.dpop), with(header, claims))
		c.proofs = []string{bad}
		return err
	}
}

// forgedTokens are attacks with a token that the authorization server did not
// issue as an access token.
func forgedTokens() []attack {
	forgeToken := func(name, clause string, f func(ctx context.Context, c *call) (string, error)) attack {
		return onAPI(name, clause, 401, "invalid_token", func(ctx context.Context, c *call) (err error) {
			c.token, err = f(ctx, c)
			return err
		})
	}
	return []attack{
		forgeToken("a token without a signature, alg none", "SP-5.4.1-1.3",
			func(_ context.Context, c *call) (string, error) {
				return reforge(c.token, unsigned, with(object{"alg": "none"}, object{}))
			}),
		forgeToken("a token with an old signature, alg none", "SP-5.4.1-1.3",
			func(_ context.Context, c *call) (string, error) {
				return reforge(c.token, keep(c.token), with(object{"alg": "none"}, object{}))
			}),
		forgeToken("a token with an HMAC by the issuer's public key", "JWT-3.1-1",
			func(ctx context.Context, c *call) (string, error) {
				key, err := c.w.publishedKey(ctx)
				if err != nil {
					return "", err
				}
				secret, err := x509.MarshalPKIXPublicKey(key)
				if err != nil {
					return "", err
				}
				return reforge(c.token, hs256(secret), with(object{"alg": "HS256"}, object{}))
			}),
		forgeToken("a token signed with another key", "AT-4-4", func(_ context.Context, c *call) (string, error) {
			return reforge(c.token, es256(c.w.rival.auth))
		}),
		forgeToken("a token with a scope written into it", "SP-5.3.4-3",
			func(_ context.Context, c *call) (string, error) {
				return reforge(c.token, keep(c.token), with(object{}, object{"scope": "openid accounts payments"}))
			}),
		forgeToken("a token bound anew, under its old signature", "SP-5.3.4-3",
			func(_ context.Context, c *call) (string, error) {
				if err := c.as(c.w.rival); err != nil {
					return "", err
				}
				confirmation := object{"x5t#S256": tokenbinding.CertificateThumbprint(c.w.rival.certificate.Leaf)}
				if c.w.byDPoP() {
					confirmation = object{"jkt": c.prover.Thumbprint()}
				}
				return reforge(c.token, keep(c.token), with(object{}, object{"cnf": confirmation}))
			}),
		forgeToken("a token bound to nothing, under its old signature", "SP-5.3.4-5",
			func(_ context.Context, c *call) (string, error) {
				c.scheme, c.prover, c.certificate = "Bearer", nil, nil
				return reforge(c.token, keep(c.token), with(object{}, object{"cnf": nil}))
			}),
		onAPI("an ID token in place of an access token", "AT-4-1", 401, "invalid_token",
			func(ctx context.Context, c *call) error {
				token, err := c.w.newToken(ctx)
				if err != nil {
					return err
				}
				c.token, _ = token.Extra("id_token").(string)
				return nil
			}),
	}
}
