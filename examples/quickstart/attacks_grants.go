package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// This file has attacks on grant management. The ID of a grant is not a secret,
// so attackers may know it.

func onQuery(name, clause string, status int, code string, spoil change[*call]) attack {
	return against(newQuery, http.StatusOK, name, clause, status, code, spoil)
}

// foreign sends the call in the name of another client, which may query its own
// grants.
func foreign(scope string) change[*call] {
	return func(ctx context.Context, c *call) error {
		its, err := c.w.manage(ctx, c.w.rival, c.method, c.grantID, scope)
		if err == nil {
			*c = *its
		}
		return err
	}
}

// withScope sends the call with a token for another scope.
func withScope(scope string) change[*call] {
	return func(ctx context.Context, c *call) error {
		its, err := c.w.manage(ctx, c.w.ours, c.method, c.grantID, scope)
		if err == nil {
			*c = *its
		}
		return err
	}
}

// grantCalls are attacks on the endpoint itself. Another client's grant appears
// not to exist: the response has a status and no error code.
func grantCalls(c combination) []attack {
	onRevocation := func(name, clause string, status int, code string, spoil change[*call]) attack {
		return against(newRevocation, http.StatusNoContent, name, clause, status, code, spoil)
	}
	return slices.Concat([]attack{
		onQuery("the grant of another client", "GM-6.6-4", 404, "", foreign(scopeQuery)),
		onRevocation("the end of another client's grant", "GM-6.6-4", 404, "", foreign(scopeRevoke)),
		onQuery("a query with a token for accounts", "AT-4-7", 401, "invalid_token", withScope("accounts")),
		onQuery("a query with a token for revocations", "GM-6.1-2", 403, "insufficient_scope", withScope(scopeRevoke)),
		onRevocation("a revocation with a token for queries", "GM-6.1-2", 403, "insufficient_scope",
			withScope(scopeQuery)),
		onQuery("a query without a token, by the grant's name", "GM-10-1", 401, "",
			one(func(c *call) { c.scheme, c.token, c.prover = "", "", nil })),
		onRevocation("a revocation without a token", "GM-10-1", 401, "",
			one(func(c *call) { c.scheme, c.token, c.prover = "", "", nil })),
		onQuery("a query for all grants", "GM-6-1", 404, "",
			one(func(c *call) { c.url = strings.TrimSuffix(c.url, "/"+c.grantID) })),
		onQuery("a query for a guessed grant", "GM-6.6-1", 404, "", one(func(c *call) {
			c.url = strings.TrimSuffix(c.url, c.grantID) + encode(make([]byte, 32))
		})),
		onQuery("a query for a grant that was revoked", "GM-6.6-1", 404, "", func(ctx context.Context, c *call) error {
			return c.w.app.grants.Revoke(ctx, c.grantID)
		}),
		onRevocation("a revocation of what was revoked", "GM-6.6-1", 404, "", func(ctx context.Context, c *call) error {
			return c.w.app.grants.Revoke(ctx, c.grantID)
		}),
	}, either(c.byDPoP(), []attack{
		onQuery("a query with a stolen token as Bearer", "DPOP-7.2-1", 401, "invalid_token",
			one(func(c *call) { c.scheme, c.prover = "Bearer", nil })),
		onQuery("a query with a stolen token and no proof", "DPOP-7-1", 401, "invalid_dpop_proof",
			one(func(c *call) { c.prover = nil })),
		onQuery("a query with a proof for another grant", "DPOP-4.3-9", 401, "invalid_dpop_proof", one(func(c *call) {
			c.proofURL = strings.TrimSuffix(c.url, c.grantID) + encode(make([]byte, 32))
		})),
	}, []attack{
		onQuery("a query with a stolen token and no certificate", "MTLS-3-3", 401, "invalid_token",
			one(func(c *call) { c.certificate = nil })),
		onQuery("a query with another client's certificate", "MTLS-3-3", 401, "invalid_token",
			one(func(c *call) { c.certificate = c.w.rival.certificate })),
	}))
}

// leftovers are attacks with tokens that a change of their grant has ended.
func leftovers(c combination) []attack {
	after := func(name, clause string, spoil change[*post]) attack {
		return against(newGrantedRefresh, http.StatusOK, name, clause, 400, "invalid_grant", spoil)
	}
	onToken := func(name, clause string, spoil change[*call]) attack {
		return against(newGrantedCall, http.StatusOK, name, clause, 401, "invalid_token", spoil)
	}
	changed := func(action string) change[*post] {
		return func(ctx context.Context, p *post) error { return p.w.askAgain(ctx, action, p.grantID) }
	}
	all := []attack{
		after("a refresh token of a grant that was revoked", "GM-6.5-2", func(ctx context.Context, p *post) error {
			return p.w.app.grants.Revoke(ctx, p.grantID)
		}),
		after("a refresh token of a grant that the bank withdrew", "GM-6.5-2",
			func(ctx context.Context, p *post) error {
				return p.w.bank.Grants().Withdraw(ctx, p.grantID)
			}),
		after("a refresh token from before a merge", "GM-5.2-6", changed("merge")),
		after("a refresh token from before a replacement", "GM-5.2-8", changed("replace")),
		onToken("an access token of a grant that was revoked", "GM-6.5-3", func(ctx context.Context, c *call) error {
			return c.w.app.grants.Revoke(ctx, c.grantID)
		}),
		onToken("an access token from before a replacement", "GM-10-2", func(ctx context.Context, c *call) error {
			return c.w.askAgain(ctx, "replace", c.grantID)
		}),
	}
	if c.advanced() {
		all = append(all, onQuestion("the API asks about a token of a revoked grant", "GM-6.5-3", http.StatusOK,
			codeInactive, func(ctx context.Context, p *post) error {
				issued, grantID, err := p.w.newGrant(ctx)
				if err != nil {
					return err
				}
				p.form.Set("token", issued.AccessToken)
				return p.w.app.grants.Revoke(ctx, grantID)
			}))
	}
	return all
}

// grantPushes are attacks with pushed requests about a grant.
func grantPushes() []attack {
	on := func(name, clause, code string, spoil change[*post]) attack {
		return against(newMerge, http.StatusCreated, name, clause, 400, code, spoil)
	}
	return []attack{
		on("create with the name of a grant", "GM-5.4-2", "invalid_request", put("grant_management_action", "create")),
		on("merge without the name of a grant", "GM-5.2-4", "invalid_request", without("grant_id")),
		on("the name of a grant and nothing to do", "GM-5.4-3", "invalid_request", without("grant_management_action")),
		on("an action that does not exist", "GM-5.4-4", "invalid_request", put("grant_management_action", "extend")),
		on("an action in another case", "GM-5.4-4", "invalid_request", put("grant_management_action", "Merge")),
		on("revoke, which is not for the front channel", "GM-5.4-4", "invalid_request",
			put("grant_management_action", "revoke")),
		on("merge with a guessed grant", "GM-5.4-1", "invalid_grant_id", put("grant_id", encode(make([]byte, 32)))),
		on("merge with the grant of another client", "GM-5.2-2", "invalid_grant_id",
			func(_ context.Context, p *post) (err error) {
				p.form.Set("redirect_uri", p.w.rival.redirectURI)
				if p.signed != nil {
					if p.signed, err = p.w.newRequestObject(p.w.rival, nil); err != nil {
						return err
					}
				}
				return p.as(p.w.rival)
			}),
		on("merge with a grant that was revoked", "GM-5.4-1", "invalid_grant_id",
			func(ctx context.Context, p *post) error {
				return p.w.app.grants.Revoke(ctx, p.grantID)
			}),
	}
}
