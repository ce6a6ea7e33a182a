package conformance

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/pkce"
)

const (
	tokenAccepted = "token/accepted"
	tokenRequest  = "RFC 6749 §4.1.3"
)

func tokenCases() []serverCase {
	cases := []serverCase{
		{Case{"response/code", "authorization response", []string{codeFlow},
			"Redirect the browser to the redirect_uri with code and state."}, pushAccepted,
			responseHas("the parameters code and state", func(_ *prober, v url.Values) bool {
				return v.Get("code") != ""
			})},
		{Case{"response/iss", "iss in the authorization response", []string{codeFlow, "RFC 9207 §2"},
			"Add the issuer identifier to each authorization response as iss."}, "response/code",
			responseHas("the parameter iss with the issuer identifier", func(p *prober, v url.Values) bool {
				return len(v["iss"]) == 1 && v.Get("iss") == p.cfg.Issuer
			})},
		{Case{tokenAccepted, "valid token request", []string{securityProfile, "RFC 9449 §5"},
			"Accept the request with an access token of the token_type DPoP."}, "response/code", tokenIsAccepted},
		{Case{"token/cache", "Cache-Control of a token response", []string{"RFC 6749 §5.1"},
			"Send Cache-Control: no-store with each token response."}, tokenAccepted, tokenIsNotStored},
		{Case{"token/id-token", "ID token in the response to a request without the scope openid",
			[]string{"OpenID Connect Core §3.1.2.1"}, "Issue ID tokens for requests with the scope openid only."},
			tokenAccepted, noIDToken},
		{Case{"token/code-twice", "authorization code that was used before", []string{codeFlow},
			"Consume the code in the first successful token request."}, tokenAccepted, codeTwice},
		{Case{"token/password", "password grant", []string{securityProfile}, "Remove the password grant."},
			pushAccepted, passwordGrant},
	}
	for _, row := range []struct {
		id, title, clause, remedy string
		codes                     []string
		change                    func(q *request)
	}{
		{"no-verifier", "token request without code_verifier", "RFC 7636 §4.6", "Require code_verifier.",
			[]string{"invalid_grant", "invalid_request"}, remove("code_verifier")},
		{"wrong-verifier", "token request with another code_verifier", "RFC 7636 §4.6",
			"Compare the code_verifier with the code_challenge.", []string{"invalid_grant"},
			func(q *request) { q.form.Set("code_verifier", pkce.NewVerifier()) }},
		{"wrong-code", "token request with an unknown code", tokenRequest, "Reject unknown codes.",
			[]string{"invalid_grant"}, set("code", "unknown")},
		{"no-code", "token request without code", tokenRequest, "Require code.",
			[]string{"invalid_request", "invalid_grant"}, remove("code")},
		{"wrong-redirect-uri", "token request with another redirect_uri", tokenRequest,
			"Compare the redirect_uri with that of the authorization request.",
			[]string{"invalid_grant", "invalid_request"}, set("redirect_uri", "https://other.example/callback")},
		{"no-client", "token request without client authentication", securityProfile, "Authenticate the client.",
			[]string{"invalid_client", "invalid_request"}, func(q *request) { q.assertion = nil }},
		{"unsigned-client", "token request with an unsigned client assertion", securityProfile,
			"Accept PS256, ES256 and EdDSA only.", []string{"invalid_client"},
			func(q *request) { q.assertion.header["alg"], q.assertion.sign = "none", unsigned }},
	} {
		cases = append(cases, serverCase{Case{"token/" + row.id, row.title, []string{row.clause}, row.remedy},
			tokenAccepted, tokenRejected(func(q *request) error { row.change(q); return nil }, row.codes...)})
	}
	return cases
}

// tokenRejected sends a changed token request that the server must reject.
func tokenRejected(change func(*request) error, codes ...string) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		q, err := p.redemption(ctx, r)
		if err != nil {
			return err
		}
		if err := change(q); err != nil {
			return err
		}
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		return rejected(a, r, codes...)
	}
}

// responseHas checks the authorization response to a valid request.
func responseHas(expected string, ok func(*prober, url.Values) bool) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		r.Expected = expected
		response, _, err := p.approve(ctx, r)
		if err != nil {
			return err
		}
		r.Received = "the parameters " + strings.Join(slices.Sorted(maps.Keys(response)), ", ")
		if !ok(p, response) {
			return errors.New("the authorization response lacks a parameter or its value")
		}
		return nil
	}
}

// redeem sends a valid token request.
func (p *prober) redeem(ctx context.Context, r *Result) (*answer, tokenResponse, error) {
	q, err := p.redemption(ctx, r)
	if err != nil {
		return nil, tokenResponse{}, err
	}
	a, err := p.send(ctx, q, r)
	if err != nil {
		return nil, tokenResponse{}, err
	}
	token, err := readToken(a)
	return a, token, err
}

func tokenIsAccepted(ctx context.Context, p *prober, r *Result) error {
	r.Expected = "status 200 with an access token of the token_type DPoP"
	_, token, err := p.redeem(ctx, r)
	if err == nil && !strings.EqualFold(token.TokenType, "DPoP") {
		err = errors.New("the token_type is not DPoP")
	}
	return err
}

func tokenIsNotStored(ctx context.Context, p *prober, r *Result) error {
	r.Expected = "Cache-Control: no-store"
	a, _, err := p.redeem(ctx, r)
	if err == nil && !strings.Contains(strings.ToLower(a.header.Get("Cache-Control")), "no-store") {
		err = errors.New("the response has no Cache-Control: no-store")
	}
	return err
}

func noIDToken(ctx context.Context, p *prober, r *Result) error {
	r.Expected = "no id_token"
	if slices.Contains(strings.Fields(p.cfg.Scope), "openid") {
		return skipped("ServerConfig.Scope contains openid")
	}
	_, token, err := p.redeem(ctx, r)
	if err == nil && token.IDToken != "" {
		err = errors.New("the response has an id_token")
	}
	return err
}

func codeTwice(ctx context.Context, p *prober, r *Result) error {
	q, err := p.redemption(ctx, r)
	if err != nil {
		return err
	}
	a, err := p.send(ctx, q, r)
	if err != nil {
		return err
	}
	if _, err := readToken(a); err != nil {
		return err
	}
	q.assertion.renew()
	q.proofs[0].renew()
	if a, err = p.send(ctx, q, r); err != nil {
		return err
	}
	return rejected(a, r, "invalid_grant")
}

func passwordGrant(ctx context.Context, p *prober, r *Result) error {
	q := &request{method: http.MethodPost, url: p.metadata.TokenEndpoint,
		form: url.Values{"grant_type": {"password"}, "username": {"nobody"}, "password": {"none"}}}
	var err error
	if q.assertion, err = p.assert(); err != nil {
		return err
	}
	proof, err := p.prove(p.proofKey, q.url)
	if err != nil {
		return err
	}
	q.proofs = []*jwt{proof}
	a, err := p.send(ctx, q, r)
	if err != nil {
		return err
	}
	return rejected(a, r, "unsupported_grant_type", "unauthorized_client")
}

// proofCases change the DPoP proof of a token request.
func proofCases() []serverCase {
	const check = "RFC 9449 §4.3"
	cases := []serverCase{
		{Case{"proof/none", "token request without proof", []string{"RFC 9449 §5", securityProfile},
			"Reject token requests of DPoP clients without proof as invalid_dpop_proof."}, tokenAccepted,
			tokenRejected(func(q *request) error {
				q.proofs = nil
				return nil
			}, "invalid_dpop_proof", "invalid_request")},
		{Case{"proof/early", "proof with iat 8 seconds in the future", []string{securityProfile},
			"Accept iat up to 10 seconds in the future."}, tokenAccepted, proofAccepted(8 * time.Second)},
		{Case{"proof/late", "proof with iat 8 seconds in the past", []string{"RFC 9449 §11.1"},
			"Accept proofs for some seconds."}, tokenAccepted, proofAccepted(-8 * time.Second)},
	}
	for _, row := range []struct {
		id, title, clause, remedy string
		change                    func(j *jwt) error
	}{
		{"method", "proof for another method", check, "Compare htm with the method of the request.",
			member("htm", http.MethodGet)},
		{"url", "proof for another URL", check, "Compare htu with the URL of the request.",
			member("htu", "https://other.example/token")},
		{"no-method", "proof without htm", check, "Require htm.", member("htm", nil)},
		{"no-url", "proof without htu", check, "Require htu.", member("htu", nil)},
		{"no-jti", "proof without jti", check, "Require jti.", member("jti", nil)},
		{"no-iat", "proof without iat", check, "Require iat.", member("iat", nil)},
		{"type", "proof with another typ", check, "Require the typ dpop+jwt.",
			func(j *jwt) error { j.header["typ"] = "JWT"; return nil }},
		{"damaged", "proof with a damaged signature", check, "Verify the signature with the key of the proof.",
			func(j *jwt) error { j.sign = damaged(j.sign); return nil }},
		{"unsigned", "proof with the algorithm none", check, "Accept PS256, ES256 and EdDSA only.",
			func(j *jwt) error { j.header["alg"], j.sign = "none", unsigned; return nil }},
		{"no-key", "proof without jwk", check, "Require jwk.",
			func(j *jwt) error { delete(j.header, "jwk"); return nil }},
		{"private-key", "proof with a private key", check, "Reject a jwk that has private members.",
			func(j *jwt) error { j.header["jwk"].(object)["d"] = strings.Repeat("A", 43); return nil }},
	} {
		cases = append(cases, serverCase{Case{"proof/" + row.id, row.title, []string{row.clause}, row.remedy},
			tokenAccepted, tokenRejected(func(q *request) error { return row.change(q.proofs[0]) },
				"invalid_dpop_proof")})
	}
	return append(cases,
		serverCase{Case{"proof/old", "proof that was issued an hour ago", []string{"RFC 9449 §11.1"}, "Check iat."},
			tokenAccepted, proofWithoutNonce(-time.Hour)},
		serverCase{Case{"proof/future", "proof with iat in an hour", []string{securityProfile},
			"Reject iat of more than 60 seconds in the future."}, tokenAccepted, proofWithoutNonce(time.Hour)},
		serverCase{Case{"proof/two", "token request with two proofs", []string{check},
			"Reject requests with more than one DPoP header."}, tokenAccepted,
			tokenRejected(func(q *request) error {
				q.proofs = append(q.proofs, q.proofs[0])
				return nil
			}, "invalid_dpop_proof", "invalid_request")},
		serverCase{Case{"proof/bound-code", "code that is bound to a key by dpop_jkt",
			[]string{"RFC 9449 §10", securityProfile},
			"Accept a token request with a proof of the key."}, tokenAccepted, boundCode(false)},
		serverCase{Case{"proof/other-key", "code that is bound to another key by dpop_jkt",
			[]string{"RFC 9449 §10", securityProfile},
			"Compare the key of the proof with the dpop_jkt of the request."}, "proof/bound-code", boundCode(true)})
}

// boundCode redeems a code that is bound to a key by dpop_jkt.
func boundCode(toAnother bool) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		r.Expected = "status 200 with an access token"
		key := p.proofKey
		if toAnother {
			var err error
			if key, err = newKey(); err != nil {
				return err
			}
		}
		thumbprint, err := jwks.Thumbprint(key.Public())
		if err != nil {
			return err
		}
		q, err := p.redemption(ctx, r, set("dpop_jkt", thumbprint))
		if err != nil {
			return err
		}
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		if toAnother {
			return rejected(a, r, "invalid_grant", "invalid_dpop_proof", "invalid_request")
		}
		_, err = readToken(a)
		return err
	}
}

// member replaces a claim of a proof. If value is nil, the claim is removed.
func member(name string, value any) func(*jwt) error {
	return func(j *jwt) error {
		if delete(j.claims, name); value != nil {
			j.claims[name] = value
		}
		return nil
	}
}

func proofAccepted(issued time.Duration) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		r.Expected = "status 200 with an access token"
		q, err := p.redemption(ctx, r)
		if err != nil {
			return err
		}
		q.proofs[0].after("iat", issued)
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		_, err = readToken(a)
		return err
	}
}

// proofWithoutNonce sends a proof that is too old or too new. A server that
// uses nonces may accept it (RFC 9449 §11.1).
func proofWithoutNonce(issued time.Duration) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		if p.nonce != "" {
			return skipped("the server uses nonces")
		}
		return tokenRejected(func(q *request) error {
			q.proofs[0].after("iat", issued)
			return nil
		}, "invalid_dpop_proof")(ctx, p, r)
	}
}
