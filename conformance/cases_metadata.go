package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

func metadataCases() []serverCase {
	documents := []string{"FAPI 2.0 Security Profile §5.3.2.1", "RFC 8414 §3"}
	cases := []serverCase{
		{Case{"metadata/oauth", "metadata at the URL of RFC 8414", documents,
			"Serve the metadata document at /.well-known/oauth-authorization-server, before the path of the issuer."},
			"", metadataAt(func(oauth, _ string) string { return oauth })},
		{Case{"metadata/openid", "metadata at the URL of OpenID Connect Discovery", documents,
			"Serve the same metadata document at the issuer followed by /.well-known/openid-configuration."},
			"", metadataAt(func(_, openid string) string { return openid })},
	}
	var known []string
	for _, row := range []struct {
		id, title, clause string
		members           []string
	}{
		{"endpoints", "endpoints in the metadata", "RFC 9126 §5", []string{"authorization_endpoint", "token_endpoint",
			"pushed_authorization_request_endpoint", "jwks_uri"}},
		{"response-types", "response types in the metadata", "FAPI 2.0 Security Profile §5.3.2.2",
			[]string{"response_types_supported"}},
		{"grant-types", "grant types in the metadata", "RFC 8414 §2", []string{"grant_types_supported"}},
		{"iss", "announcement of iss in authorization responses", "RFC 9207 §3",
			[]string{"authorization_response_iss_parameter_supported"}},
		{"pkce", "PKCE methods in the metadata", "RFC 8414 §2", []string{"code_challenge_methods_supported"}},
		{"client-authentication", "client authentication in the metadata", "FAPI 2.0 Security Profile §5.3.2.1",
			[]string{"token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported"}},
		{"binding", "token binding in the metadata", "RFC 9449 §5.1",
			[]string{"dpop_signing_alg_values_supported", "tls_client_certificate_bound_access_tokens"}},
		{"id-token", "ID token algorithms in the metadata", "FAPI 2.0 Security Profile §5.4.1",
			[]string{"id_token_signing_alg_values_supported"}},
		{"aliases", "endpoints for mutual TLS in the metadata", "RFC 8705 §5", []string{"mtls_endpoint_aliases"}},
	} {
		known = append(known, row.members...)
		cases = append(cases, serverCase{Case{"metadata/" + row.id, row.title, []string{row.clause},
			"Correct the member: " + strings.Join(row.members, ", ") + "."}, "metadata/oauth",
			lint(func(member string) bool { return slices.Contains(row.members, member) })})
	}
	return append(cases, serverCase{Case{"metadata/others", "other members of the metadata",
		[]string{"RFC 8414 §2"}, "Correct the named members."}, "metadata/oauth",
		lint(func(member string) bool { return !slices.Contains(known, member) })})
}

// metadataAt fetches a metadata document. The first one is kept.
func metadataAt(choose func(oauth, openid string) string) func(context.Context, *prober, *Result) error {
	return func(ctx context.Context, p *prober, r *Result) error {
		r.Expected = "status 200, application/json, and the issuer " + p.cfg.Issuer
		oauth, openid, err := profile.WellKnownURLs(p.cfg.Issuer)
		if err != nil {
			return err
		}
		a, err := p.get(ctx, choose(oauth, openid), r)
		if err != nil {
			return fmt.Errorf("the document cannot be fetched: %w", err)
		}
		if a.status != http.StatusOK || !a.isJSON() {
			return errors.New("the response is not a JSON document")
		}
		var m profile.ServerMetadata
		if err := json.Unmarshal(a.body, &m); err != nil {
			return fmt.Errorf("the document is malformed: %w", err)
		}
		if m.Issuer != p.cfg.Issuer {
			return fmt.Errorf("the document is of the issuer %.100q", m.Issuer)
		}
		if p.metadata == nil {
			p.metadata = &m
		}
		return nil
	}
}

// lint reports the findings about some members.
func lint(wanted func(member string) bool) func(context.Context, *prober, *Result) error {
	return func(_ context.Context, p *prober, r *Result) error {
		r.Sent = "nothing; the document of metadata/oauth is examined"
		r.Expected = "members that FAPI 2.0 permits"
		var defects, doubts []string
		for _, f := range p.metadata.Lint(profile.Baseline) {
			name, _, _ := strings.Cut(f.Member, ".")
			switch text := f.Member + ": " + f.Problem; {
			case !wanted(name):
			case f.Severity == "error":
				defects = append(defects, text)
			case f.Severity == "warning":
				doubts = append(doubts, text)
			}
		}
		if defects != nil {
			return errors.New(strings.Join(append(defects, doubts...), "; "))
		}
		if doubts != nil {
			return warning(strings.Join(doubts, "; "))
		}
		return nil
	}
}

func keyCases() []serverCase {
	return []serverCase{
		{Case{"keys/served", "JWK Set of the server", []string{"FAPI 2.0 Security Profile §5.4.2", "RFC 7517 §5"},
			"Serve a JWK Set with at least one signature key that FAPI 2.0 permits at the jwks_uri."},
			"metadata/endpoints", keysServed},
		{Case{"keys/public", "private members in the JWK Set", []string{"RFC 7517 §9.3"},
			"Publish public keys only. Replace the published private keys at once."},
			"keys/served", eachKey("no private or symmetric key", func(key object) string {
				for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
					if _, ok := key[member]; ok {
						return fmt.Sprintf("a key has the private member %q", member)
					}
				}
				return ""
			})},
		{Case{"keys/kid", "kid of the keys", []string{"FAPI 2.0 Security Profile §5.4.2"},
			"Give each key a kid of its own."}, "keys/served", keysNamed},
		{Case{"keys/rsa", "size of RSA keys", []string{"FAPI 2.0 Security Profile §5.4.1"},
			"Replace RSA keys of less than 2048 bits."},
			"keys/served", eachKey("at least 2048 bits", func(key object) string {
				// 256 bytes are 342 characters in base64url.
				if n, _ := key["n"].(string); key["kty"] == "RSA" && len(n) < 342 {
					return "an RSA key has less than 2048 bits"
				}
				return ""
			})},
	}
}

func keysServed(ctx context.Context, p *prober, r *Result) error {
	r.Expected = "status 200 and a JWK Set with a usable key"
	a, err := p.get(ctx, p.metadata.JWKSURI, r)
	if err != nil {
		return fmt.Errorf("the JWK Set cannot be fetched: %w", err)
	}
	if a.status != http.StatusOK {
		return errors.New("the response is not a JWK Set")
	}
	var set struct{ Keys []object }
	if err := json.Unmarshal(a.body, &set); err != nil || len(set.Keys) == 0 {
		return errors.New("the response is not a JWK Set with keys")
	}
	p.keys = set.Keys
	if _, err := jwks.Parse(a.body); err != nil {
		return fmt.Errorf("no key is usable: %w", err)
	}
	return nil
}

func eachKey(expected string, problem func(key object) string) func(context.Context, *prober, *Result) error {
	return func(_ context.Context, p *prober, r *Result) error {
		r.Sent, r.Expected = "nothing; the document of keys/served is examined", expected
		for _, key := range p.keys {
			if text := problem(key); text != "" {
				return errors.New(text)
			}
		}
		return nil
	}
}

func keysNamed(ctx context.Context, p *prober, r *Result) error {
	seen := map[string]bool{}
	return eachKey("a kid for each key, and no kid twice", func(key object) string {
		kid, _ := key["kid"].(string)
		if kid == "" {
			return "a key has no kid"
		}
		if seen[kid] {
			return "two keys have one kid"
		}
		seen[kid] = true
		return ""
	})(ctx, p, r)
}
