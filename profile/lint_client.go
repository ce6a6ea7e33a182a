package profile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/par"
)

// Lint looks at the registration of a client as somebody who is about to take it into service under a profile, and returns
// what it finds, errors first; nothing, if there is nothing to say. What it reports as an error under [Baseline] is what
// [ClientMetadata.Validate] refuses; a profile that demands signed messages adds what a client needs for them.
//
// Many warnings are about defaults: a server of another make that finds no algorithm in a registration takes RS256, which
// FAPI 2.0 forbids, where this package takes its own. Lint never changes c and is safe for concurrent use.
func (c *ClientMetadata) Lint(p Profile) []Finding { return c.lint(p).findings() }

func (c *ClientMetadata) lint(p Profile) *linter {
	l := new(linter)
	c.lintIdentity(l)
	c.lintRequests(l)
	c.lintResponseModes(l, p)
	c.lintAuthentication(l)
	c.lintKeys(l, p)
	c.lintAlgorithms(l)
	c.lintDefaults(l, p)
	c.lintEncryption(l)
	c.lintBinding(l)
	c.lintRedirectURIs(l)
	return l
}

func (c *ClientMetadata) lintIdentity(l *linter) {
	l.unless(c.ClientID != "" && len(c.ClientID) <= 1024 && haveOnlyVSCHAR(c.ClientID), Finding{"PAR-2.1-2", severityError, "client_id",
		"client_id is not 1 to 1024 printable ASCII characters", "Let the server choose one at random, of letters and digits."})
	// SP-6.7-1, BCP-2.6-2
	l.unless(!strings.Contains(c.ClientID, "@"),
		Finding{"SP-6.7-1", severityAdvice, "client_id", "client_id looks like a user's identifier",
			"Let the server choose it: where a token's sub can be a client or a user, the one can be taken for the other."})
	l.pages([2]string{"client_uri", c.ClientURI}, [2]string{"logo_uri", c.LogoURI}, [2]string{"policy_uri", c.PolicyURI}, [2]string{"tos_uri", c.TosURI})
	l.unless(haveOne([]string{c.ApplicationType}, "", "web", "native"), Finding{"SP-5.3.2.2-8", severityError, "application_type",
		fmt.Sprintf("application_type: %.100q", c.ApplicationType), "Say web or native."})
	l.unless(haveOne([]string{c.SubjectType}, "", "public", "pairwise"), Finding{"SP-5.3.2.3-1", severityError, "subject_type",
		fmt.Sprintf("subject_type: %.100q", c.SubjectType), "Say public or pairwise."})
}

func (c *ClientMetadata) lintRequests(l *linter) {
	for _, grantType := range c.GrantTypes {
		clause := "SP-5.3.2.1-N2"
		switch grantType { // SP-5.3.2.1-2, BCP-2.1.2-1
		case "password":
			clause = "SP-5.3.2.1-2"
		case "implicit":
			clause = "BCP-2.1.2-1"
		}
		l.unless(haveOne([]string{grantType}, "authorization_code", "refresh_token", "client_credentials"),
			Finding{clause, severityError, "grant_types",
				fmt.Sprintf("grant_types: %.100q", grantType), "Register authorization_code, refresh_token and client_credentials alone, as far as the client needs them."})
	}
	// BASE-6749-6-1
	l.unless(!c.HasGrantType("refresh_token") || c.HasGrantType("authorization_code"),
		Finding{"BASE-6749-6-1", severityError, "grant_types",
			"grant_types: refresh_token without authorization_code", "Register authorization_code too, or leave refresh_token out: no other grant type leads to a refresh token."})
	for _, responseType := range c.ResponseTypes {
		// SP-5.3.2.2-1
		l.unless(responseType == "code",
			Finding{"SP-5.3.2.2-1", severityError, "response_types", fmt.Sprintf("response_types: %.100q is not code", responseType),
				"Register code alone."})
	}
	if c.Scope != "" {
		for _, scope := range strings.Split(c.Scope, " ") {
			// BCP-2.3-1
			l.unless(syntax.IsScope(scope),
				Finding{"BCP-2.3-1", severityError, "scope", fmt.Sprintf("scope: %.100q is not a scope value", scope),
					"Separate scopes by one space each, and keep to the characters of RFC 6749 §3.3."})
		}
	}
	// RAR-10-2
	l.unless(!slices.Contains(c.AuthorizationDetailsTypes, ""), Finding{"RAR-10-2", severityError, "authorization_details_types",
		"authorization_details_types has an empty type", "Name the types that the client may use."})
}

func (c *ClientMetadata) lintResponseModes(l *linter, p Profile) {
	modes := c.ResponseModes
	for _, mode := range modes {
		// MS-5.3.3-1. A fragment stays in the browser's history and passes through scripts.
		l.unless(haveOne([]string{mode}, "query", "jwt", "query.jwt", "form_post.jwt"),
			Finding{"MS-5.3.3-1", severityError, "response_modes",
				fmt.Sprintf("response_modes: %.100q", mode), "Register query, jwt, query.jwt or form_post.jwt alone."})
	}
	if !p.Has(SignedResponses) || !c.HasGrantType("authorization_code") {
		return
	}
	// MS-5.4.2-1
	l.unless(len(modes) == 0 || haveOne(modes, jarmModes()...),
		Finding{"MS-5.4.2-1", severityError, "response_modes", "response_modes has no signed one, with signed responses demanded",
			"Register jwt."})
	l.unless(!slices.Contains(modes, "query"),
		Finding{"MS-5.3.3-1", severityWarning, "response_modes", "response_modes has query, with signed responses demanded",
			"Take query away, so that no server sends this client what is not signed."})
	l.unless(len(modes) > 0, Finding{"MS-5.3.3-1", severityAdvice, "response_modes", "no response_modes: the default is any",
		"Register jwt alone: the client is then held to signed responses by its registration as well."})
}

func (c *ClientMetadata) lintAuthentication(l *linter) {
	method := c.TokenEndpointAuthMethod
	// RFC 7591 §2, SP-5.3.2.1-6
	l.unless(method != "",
		Finding{"SP-5.3.2.1-6", severityError, "token_endpoint_auth_method", "no token_endpoint_auth_method: the default is client_secret_basic",
			"Register private_key_jwt, tls_client_auth or self_signed_tls_client_auth."})
	// SP-5.3.2.1-3, SP-5.3.2.1-6: no public clients, no shared secrets.
	known := haveOne(clientAuthMethods(), method)
	l.unless(known || method == "none" || method == "",
		Finding{"SP-5.3.2.1-6", severityError, "token_endpoint_auth_method", fmt.Sprintf("token_endpoint_auth_method: %.100q", method),
			"Authenticate by private_key_jwt, tls_client_auth or self_signed_tls_client_auth: what is not on the list is a secret that both sides know."})
	l.unless(method != "none", Finding{"SP-5.3.2.1-3", severityError, "token_endpoint_auth_method", `token_endpoint_auth_method: "none"`,
		"Give the client a key: FAPI 2.0 has no public clients. One that runs on a user's device needs a server of its own, or a registration for each copy."})
	if known {
		// MTLS-2.1.2-1: one subject and no other, in a form that certificates can be compared with.
		a := c.Authentication()
		a.ID, a.Algorithm = "any", "" // which are looked at elsewhere
		if err := a.Validate(); err != nil {
			l.because(fmt.Errorf("tls_client_auth_*: %w", err), Finding{Clause: "MTLS-2.1.2-1", Severity: severityError, Member: "tls_client_auth_subject_dn",
				Mend: "Register exactly one of the tls_client_auth_* members with the method tls_client_auth, and none with another method."})
		}
	}
	l.unless(c.TokenEndpointAuthSigningAlg == "" || method == "private_key_jwt",
		Finding{"SP-5.3.2.1-6", severityError, "token_endpoint_auth_signing_alg",
			"token_endpoint_auth_signing_alg without private_key_jwt", "Leave it out: there are no assertions to sign."})
}

func (c *ClientMetadata) lintKeys(l *linter, p Profile) {
	// RFC 7591 §2
	l.unless(c.JWKS == nil || c.JWKSURI == "", Finding{"SP-5.4.2-R2", severityError, "jwks", "jwks and jwks_uri exclude each other",
		"Leave one out, jwks if the client can serve its keys."})
	l.https("SP-5.4.2-1", "jwks_uri", c.JWKSURI) // SP-5.4.2-1
	signed := c.RequireSignedRequestObject || c.RequestObjectSigningAlg != "" || p.Has(SignedRequests) && c.HasGrantType("authorization_code")
	needed := signed || haveOne([]string{c.TokenEndpointAuthMethod}, "private_key_jwt", "self_signed_tls_client_auth")
	// SP-5.4.2-R2
	l.unless(!needed || c.JWKS != nil || c.JWKSURI != "", Finding{"SP-5.4.2-R2", severityError, "jwks_uri", "neither jwks nor jwks_uri",
		"Register where the client's public keys are, or the keys."})
	if c.JWKS == nil {
		return
	}
	// SP-6.8-1
	l.unless(c.JWKSURI != "", Finding{"SP-6.8-1", severityAdvice, "jwks", "the keys are part of the registration",
		"Serve them at a jwks_uri: then the client can change its keys without asking anybody."})
	hasKey := func(algs ...string) bool {
		return slices.ContainsFunc(algs, func(alg string) bool {
			keys, err := c.JWKS.Keys(context.Background(), "", alg) // in memory: nothing to wait for
			return err == nil && len(keys) > 0
		})
	}
	for _, dropped := range c.JWKS.Dropped() {
		what := fmt.Sprintf("jwks: %v", dropped)
		// SP-5.4.2-R2: a registration is for public keys.
		l.unless(!dropped.Private, Finding{"SP-5.4.2-R2", severityError, "jwks", what,
			"Replace this key: its private part has been sent. Register public keys only."})
		l.unless(dropped.Private, Finding{"SP-5.4.2-R2", severityWarning, "jwks", what,
			"Register keys that FAPI 2.0 can use, and their x5c in base64."})
	}
	// Keys that nothing can be verified with are better found here than at the first request.
	l.unless(hasKey(jose.Algorithms()...), Finding{"SP-5.4.1-1.2", severityError, "jwks", "jwks has no key that FAPI 2.0 can use",
		"Register a key on P-256, an Ed25519 key, or an RSA key of 2048 bits or more, none of them for encryption only."})
	if alg := c.AuthorizationEncryptedResponseAlg; haveOne(jose.EncryptionAlgorithms(), alg) {
		keys, err := c.JWKS.EncryptionKeys(context.Background(), alg)
		// JARM-3-2
		l.unless(err == nil && len(keys) > 0, Finding{"JARM-3-2", severityWarning, "jwks", "jwks has no key for the encryption of authorization responses",
			"Register a key with use enc that fits authorization_encrypted_response_alg, or no such member."})
	}
	for _, alg := range []string{c.TokenEndpointAuthSigningAlg, c.RequestObjectSigningAlg} {
		// JWT-3.1-2
		l.unless(!jose.Allowed(alg) || hasKey(alg), Finding{"JWT-3.1-2", severityError, "jwks", "jwks has no key for " + alg,
			"Register a key that fits the algorithm, or the algorithm that fits the key."})
	}
}

func (c *ClientMetadata) lintAlgorithms(l *linter) {
	for _, a := range []struct{ clause, name, alg string }{
		{"", "token_endpoint_auth_signing_alg", c.TokenEndpointAuthSigningAlg},
		{"", "request_object_signing_alg", c.RequestObjectSigningAlg},
		{"JARM-3-1", "authorization_signed_response_alg", c.AuthorizationSignedResponseAlg},     // JARM-3-1
		{"INT-9701-6-1", "introspection_signed_response_alg", c.IntrospectionSignedResponseAlg}, // INT-9701-6-1
		{"", "id_token_signed_response_alg", c.IDTokenSignedResponseAlg},
		{"", "userinfo_signed_response_alg", c.UserInfoSignedResponseAlg},
	} {
		if a.clause == "" {
			a.clause = algorithmClause(a.alg)
		}
		// SP-5.4.1-1.2, SP-5.4.1-1.3: neither RS256 nor none, not even when it is the registered default.
		l.unless(a.alg == "" || jose.Allowed(a.alg),
			Finding{a.clause, severityError, a.name, fmt.Sprintf("%s: %.100q is no algorithm of FAPI 2.0", a.name, a.alg),
				"Register PS256, ES256, EdDSA or Ed25519: what the server that has to sign or verify it announces."})
	}
}

// lintDefaults is about absent members that mean RS256 to everybody but this package.
func (c *ClientMetadata) lintDefaults(l *linter, p Profile) {
	code := c.HasGrantType("authorization_code")
	// JARM-3-1
	l.unless(c.AuthorizationSignedResponseAlg != "" || !code || !p.Has(SignedResponses) && !haveOne(c.ResponseModes, jarmModes()...),
		Finding{"JARM-3-1", severityWarning, "authorization_signed_response_alg", "no authorization_signed_response_alg: the default is RS256",
			"Register the algorithm that the server signs authorization responses with."})
	l.unless(c.IDTokenSignedResponseAlg != "" || !code || !c.AllowsScope("openid"),
		Finding{"SP-5.4.1-1.2", severityWarning, "id_token_signed_response_alg",
			"no id_token_signed_response_alg: the default is RS256", "Register the algorithm that the server signs ID tokens with."})
	if p.Has(SignedIntrospection) {
		// INT-9701-6-1: it matters to those who introspect. A client with users of its own is seldom one.
		severity := severityWarning
		if code {
			severity = severityAdvice
		}
		l.unless(c.IntrospectionSignedResponseAlg != "", Finding{"INT-9701-6-1", severity, "introspection_signed_response_alg",
			"no introspection_signed_response_alg: the default is RS256", "Register the algorithm that the server signs introspection responses with, if this is a resource server."})
	}
	if p.Has(SignedRequests) && code {
		// JAR-10.5-1
		l.unless(c.RequireSignedRequestObject,
			Finding{"JAR-10.5-1", severityAdvice, "require_signed_request_object", "require_signed_request_object is not true, with signed requests demanded",
				"Register true: the client is then held to signed requests by its registration as well."})
		// JAR-4-5
		l.unless(c.RequestObjectSigningAlg != "",
			Finding{"JAR-4-5", severityAdvice, "request_object_signing_alg", "no request_object_signing_alg: the default is any",
				"Register the one algorithm that the client signs with."})
	}
}

func (c *ClientMetadata) lintEncryption(l *linter) {
	for _, e := range []struct{ clause, name, alg, enc string }{
		{"JAR-4-5", "request_object_encryption", c.RequestObjectEncryptionAlg, c.RequestObjectEncryptionEnc},
		{"JARM-3-2", "authorization_encrypted_response", c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc},     // JARM-3-2
		{"INT-9701-6-1", "introspection_encrypted_response", c.IntrospectionEncryptedResponseAlg, c.IntrospectionEncryptedResponseEnc}, // INT-9701-6-1
		{"SP-5.3.2.3-1", "id_token_encrypted_response", c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc},
	} {
		l.unless(e.enc == "" || e.alg != "", Finding{e.clause, severityError, e.name + "_alg", e.name + "_enc without " + e.name + "_alg",
			"Register both, or neither if nothing is to be encrypted."})
		l.unless(e.alg == "" || e.enc != "",
			Finding{e.clause, severityAdvice, e.name + "_enc", "no " + e.name + "_enc: the default is A128CBC-HS256",
				"Register A256GCM, or what the server announces."})
		l.encryption(e.name+"_alg", e.alg)
	}
	// MS-6.1-1
	l.unless(c.AuthorizationEncryptedResponseAlg == "",
		Finding{"MS-6.1-1", severityAdvice, "authorization_encrypted_response_alg", "authorization responses are to be encrypted",
			"Do without unless it is needed: a code is worth nothing to others, as it is bound to the client's key and verifier."})
}

func (c *ClientMetadata) lintBinding(l *linter) {
	// SP-5.3.2.1-4: no unbound tokens, whatever the client says it can do without. DPOP-5.2-1, MTLS-3.4-1: the default of
	// each is false. One token is bound in one way, so a client that names both has not decided.
	l.unless(c.DPoPBoundAccessTokens || c.TLSClientCertificateBoundAccessTokens,
		Finding{"SP-5.3.2.1-4", severityError, "dpop_bound_access_tokens",
			"neither dpop_bound_access_tokens nor tls_client_certificate_bound_access_tokens is true", "Register true for the way in which the client's tokens are bound: absent means false."})
	l.unless(!c.DPoPBoundAccessTokens || !c.TLSClientCertificateBoundAccessTokens,
		Finding{"SP-5.3.2.1-5", severityError, "dpop_bound_access_tokens",
			"dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens exclude each other", "Choose one way to bind the client's tokens."})
}

func (c *ClientMetadata) lintRedirectURIs(l *linter) {
	const member = "redirect_uris"
	// SP-5.3.2.2-6
	l.unless(len(c.RedirectURIs) > 0 || !c.HasGrantType("authorization_code"),
		Finding{"SP-5.3.2.2-6", severityError, member, "none, with the authorization_code grant",
			"Register every URI that the client uses, whole."}, redirectFault)
	for _, uri := range c.RedirectURIs {
		web, loopback := strings.HasPrefix(uri, "https://"), strings.HasPrefix(uri, "http://")
		// BCP-2.6-3, SP-5.3.2.2-8: http on the loopback interface only. What a pushed request may use decides, but for an
		// app's own scheme: any other app can take it, and a client that keeps a key has an https URL.
		if err := par.CheckRedirectURI([]string{uri}, uri); err != nil {
			l.because(fmt.Errorf("%.200q: %w", uri, err), Finding{Clause: "BCP-2.6-3", Severity: severityError, Member: member,
				Mend: "Register an https URL without fragment, or http on 127.0.0.1 or [::1] for an app on the user's own machine."}, redirectFault)
			continue
		}
		l.unless(web || loopback,
			Finding{"SP-5.3.2.2-8", severityError, member, fmt.Sprintf("%.200q is neither https nor http on loopback", uri),
				"Register an https URL that the operating system hands to the app: any other app can take a scheme."}, redirectFault)
		l.unless(!loopback || c.ApplicationType == "native",
			Finding{"SP-5.3.2.2-8", severityWarning, member, fmt.Sprintf("%.200q, for a client that is not native", uri),
				"Register application_type native, or take the loopback URI out of what is meant for production."})
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		// BCP-2.1-2
		l.unless(par.CheckRedirectURI([]string{uri}, uri) == nil,
			Finding{"BCP-2.1-2", severityWarning, "post_logout_redirect_uris", fmt.Sprintf("post_logout_redirect_uris: %.200q is not safe to redirect to", uri),
				"Register an https URL without fragment."})
	}
}
