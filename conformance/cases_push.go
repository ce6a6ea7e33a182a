package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

const (
	securityProfile = "FAPI 2.0 Security Profile §5.3.2.1"
	codeFlow        = "FAPI 2.0 Security Profile §5.3.2.2"
	pushAccepted    = "push/accepted"
)

func pushCases() []serverCase {
	cases := []serverCase{
		{Case{pushAccepted, "valid pushed request", []string{codeFlow, "RFC 9126 §2.2"},
			"Accept the request with status 201, a request_uri and an expires_in of 5 to 599 seconds."},
			"metadata/endpoints", pushIsAccepted},
		{Case{"push/unique", "two equal pushed requests",
			[]string{"RFC 9126 §2.2", "FAPI 2.0 Security Profile §5.4.1"},
			"Create each request_uri from at least 128 random bits."}, pushAccepted, pushIsUnique},
		{Case{"push/long-state", "state of 128 characters", []string{codeFlow}, "Accept long values of state."},
			pushAccepted, pushed(func(q *request) { q.form.Set("state", strings.Repeat("s", 128)) })},
		{Case{"push/unknown-parameter", "pushed request with an unknown parameter", []string{"RFC 6749 §3.1"},
			"Ignore unknown parameters."}, pushAccepted,
			pushed(func(q *request) { q.form.Set("unknown_"+rand.Text(), "1") })},
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		cases = append(cases, serverCase{Case{"push/" + strings.ToLower(method),
			"pushed request with the method " + method, []string{"RFC 9126 §2.3"}, "Accept the method POST only."},
			pushAccepted, pushByMethod(method)})
	}
	for _, row := range []struct {
		id, title, clause, remedy string
		codes                     []string
		change                    func(q *request)
	}{
		{"no-challenge", "pushed request without code_challenge", codeFlow, "Require PKCE with S256.",
			nil, remove("code_challenge", "code_challenge_method")},
		{"no-challenge-method", "pushed request without code_challenge_method, which means plain", codeFlow,
			"Require PKCE with S256.", nil, remove("code_challenge_method")},
		{"plain-challenge", "pushed request with the PKCE method plain", codeFlow, "Require PKCE with S256.",
			nil, set("code_challenge_method", "plain")},
		{"short-challenge", "pushed request with a code_challenge of 42 characters", "RFC 7636 §4.2",
			"Check the length of code_challenge.",
			nil, func(q *request) { q.form.Set("code_challenge", q.form.Get("code_challenge")[:42]) }},
		{"response-type-token", "pushed request with response_type token", codeFlow,
			"Support response_type code only.",
			[]string{"unsupported_response_type", "unauthorized_client", "invalid_request"},
			set("response_type", "token")},
		{"response-type-hybrid", "pushed request with response_type code id_token", codeFlow,
			"Support response_type code only.",
			[]string{"unsupported_response_type", "unauthorized_client", "invalid_request"},
			set("response_type", "code id_token")},
		{"no-response-type", "pushed request without response_type", "RFC 6749 §3.1.1", "Require response_type.",
			[]string{"invalid_request", "unsupported_response_type"}, remove("response_type")},
		{"no-redirect-uri", "pushed request without redirect_uri", codeFlow,
			"Require redirect_uri, even if the client has registered one only.", nil, remove("redirect_uri")},
		{"request-uri", "pushed request with a request_uri", "RFC 9126 §2.1", "Reject request_uri in pushed requests.",
			nil, set("request_uri", "urn:ietf:params:oauth:request_uri:x")},
		{"duplicate-parameter", "pushed request with two values of state", "RFC 6749 §3.1",
			"Reject parameters that are included more than once.", nil, func(q *request) { q.form.Add("state", "2") }},
		{"malformed-jkt", "pushed request with a malformed dpop_jkt", "RFC 9449 §10",
			"Reject a dpop_jkt that is not a SHA-256 thumbprint in base64url.", nil, set("dpop_jkt", "x")},
	} {
		codes := row.codes
		if codes == nil {
			codes = []string{"invalid_request"}
		}
		cases = append(cases, serverCase{Case{"push/" + row.id, row.title, []string{row.clause}, row.remedy},
			pushAccepted, pushRejected(row.change, codes...)})
	}
	return cases
}

func remove(names ...string) func(*request) {
	return func(q *request) {
		for _, name := range names {
			q.form.Del(name)
		}
	}
}

func set(name, value string) func(*request) {
	return func(q *request) { q.form.Set(name, value) }
}

// pushRejected sends a changed pushed request that the server must reject.
func pushRejected(change func(*request), codes ...string) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		q, _, err := p.push()
		if err != nil {
			return err
		}
		change(q)
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		return rejected(a, r, codes...)
	}
}

// pushed sends a changed pushed request that the server must accept.
func pushed(change func(*request)) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		r.Expected = "status 201 with a request_uri"
		q, _, err := p.push()
		if err != nil {
			return err
		}
		change(q)
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		_, err = readPushed(a)
		return err
	}
}

func pushIsAccepted(ctx context.Context, p *prober, r *Result) error {
	r.Expected = "status 201 with a request_uri and an expires_in of 5 to 599 seconds"
	q, _, err := p.push()
	if err != nil {
		return err
	}
	a, err := p.send(ctx, q, r)
	if err != nil {
		return err
	}
	response, err := readPushed(a)
	if err != nil {
		return err
	}
	// Without this, the other cases are still meaningful.
	if seconds, err := response.ExpiresIn.Float64(); err != nil || seconds < 5 || seconds >= 600 {
		return warning("expires_in is absent, less than 5 or more than 599")
	}
	return nil
}

func pushIsUnique(ctx context.Context, p *prober, r *Result) error {
	r.Expected = "two values of request_uri with at least 22 characters after the prefix"
	seen := map[string]bool{}
	for range 2 {
		q, _, err := p.push()
		if err != nil {
			return err
		}
		q.form.Set("state", "constant")
		q.form.Set("code_challenge", strings.Repeat("c", 43))
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		response, err := readPushed(a)
		if err != nil {
			return err
		}
		if seen[response.RequestURI] {
			return errors.New("two requests have the same request_uri")
		}
		seen[response.RequestURI] = true
		if tail := response.RequestURI[strings.LastIndexByte(response.RequestURI, ':')+1:]; len(tail) < 22 {
			return fmt.Errorf("the request_uri has %d characters after the prefix", len(tail))
		}
	}
	return nil
}

func pushByMethod(method string) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		r.Expected = "status 4xx"
		q, _, err := p.push()
		if err != nil {
			return err
		}
		q.method = method
		a, err := p.send(ctx, q, r)
		if err != nil {
			return err
		}
		if a.status < http.StatusBadRequest || a.status >= http.StatusInternalServerError {
			return errors.New("the server did not reject the method")
		}
		return nil
	}
}

// assertionCases change the client authentication of a pushed request.
func assertionCases() []serverCase {
	cases := []serverCase{
		{Case{"client/early", "client assertion with iat and nbf 8 seconds in the future", []string{securityProfile},
			"Accept iat and nbf up to 10 seconds in the future."}, pushAccepted, pushed(func(q *request) {
			q.assertion.after("iat", 8*time.Second)
			q.assertion.after("nbf", 8*time.Second)
		})},
		{Case{"client/foreign-key", "client assertion with a key of another client", []string{"RFC 7523 §3"},
			"Verify the signature with the registered keys of the client."}, pushAccepted, foreignKey},
		{Case{"client/replay", "client assertion that was used before", []string{"RFC 7523 §3"},
			"Keep the jti of each assertion until it expires, and reject it the second time."},
			pushAccepted, assertionReplayed},
	}
	const authentication = "RFC 7523 §3"
	none := func(q *request) { q.assertion = nil }
	for _, row := range []struct {
		id, title, clause, remedy string
		change                    func(q *request)
	}{
		{"none", "pushed request without client authentication", codeFlow, "Authenticate the client.", none},
		{"only-id", "pushed request with a client_id and no client authentication", codeFlow,
			"Authenticate the client.",
			func(q *request) { q.form.Set("client_id", q.assertion.claims["sub"].(string)); none(q) }},
		{"no-audience", "client assertion without aud", authentication, "Require aud.", claim("aud", nil)},
		{"other-audience", "client assertion for another server", authentication,
			"Accept the issuer identifier as aud only.", claim("aud", "https://other.example")},
		{"endpoint-audience", "client assertion with the URL of the endpoint as aud", securityProfile,
			"Accept the issuer identifier as aud only.", func(q *request) { q.assertion.claims["aud"] = q.url }},
		{"audience-array", "client assertion with an array as aud", securityProfile,
			"Accept aud as a string only.",
			func(q *request) { q.assertion.claims["aud"] = []any{q.assertion.claims["aud"]} }},
		{"no-subject", "client assertion without sub", authentication, "Require sub.", claim("sub", nil)},
		{"other-subject", "client assertion with another sub than iss", authentication,
			"Require iss and sub to be the client_id.", claim("sub", "other-"+rand.Text())},
		{"no-issuer", "client assertion without iss", authentication, "Require iss.", claim("iss", nil)},
		{"no-expiry", "client assertion without exp", authentication, "Require exp.", claim("exp", nil)},
		{"expired", "client assertion that has expired", authentication, "Check exp.",
			func(q *request) {
				q.assertion.after("iat", -2*time.Hour)
				q.assertion.after("exp", -time.Hour)
			}},
		{"far-issue", "client assertion with iat 2 minutes in the future", securityProfile,
			"Reject iat of more than 60 seconds in the future.",
			func(q *request) {
				q.assertion.after("iat", 2*time.Minute)
				q.assertion.after("exp", 4*time.Minute)
			}},
		{"far-start", "client assertion with nbf 2 minutes in the future", securityProfile,
			"Reject nbf of more than 60 seconds in the future.",
			func(q *request) {
				q.assertion.after("nbf", 2*time.Minute)
				q.assertion.after("exp", 4*time.Minute)
			}},
		{"damaged", "client assertion with a damaged signature", authentication, "Verify the signature.",
			func(q *request) { q.assertion.sign = damaged(q.assertion.sign) }},
		{"unsigned", "client assertion with the algorithm none", "FAPI 2.0 Security Profile §5.4.1",
			"Accept PS256, ES256 and EdDSA only.",
			func(q *request) { q.assertion.header["alg"], q.assertion.sign = "none", unsigned }},
		{"no-jti", "client assertion without jti", "OpenID Connect Core §9", "Require jti.", claim("jti", nil)},
	} {
		codes := []string{"invalid_client"}
		if row.id == "none" || row.id == "only-id" {
			codes = append(codes, "invalid_request")
		}
		cases = append(cases, serverCase{Case{"client/" + row.id, row.title, []string{row.clause}, row.remedy},
			pushAccepted, pushRejected(row.change, codes...)})
	}
	return cases
}

// claim replaces a claim of the client assertion. If value is nil, the claim is
// removed.
func claim(name string, value any) func(*request) {
	return func(q *request) {
		q.assertion.claims[name] = value
		maps.DeleteFunc(q.assertion.claims, func(_ string, value any) bool { return value == nil })
	}
}

func foreignKey(ctx context.Context, p *prober, r *Result) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	return pushRejected(func(q *request) {
		q.assertion.header["alg"], q.assertion.sign = "ES256", signer(key)
	}, "invalid_client")(ctx, p, r)
}

func assertionReplayed(ctx context.Context, p *prober, r *Result) error {
	q, _, err := p.push()
	if err != nil {
		return err
	}
	a, err := p.send(ctx, q, r)
	if err != nil {
		return err
	}
	if _, err := readPushed(a); err != nil {
		return err
	}
	if a, err = p.send(ctx, q, r); err != nil {
		return err
	}
	return rejected(a, r, "invalid_client")
}
