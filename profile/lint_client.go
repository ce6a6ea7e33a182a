package profile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
)

// Lint returns the defects of a client registration under a profile, errors
// first. A profile with signed messages adds the requirements for them. Under
// [Baseline], the errors are those of [ClientMetadata.Validate].
//
// Many warnings are about defaults. Other servers use RS256, which FAPI 2.0
// forbids, if a registration has no algorithm. This package then uses the
// algorithm of the server's key. Lint never changes c and is safe for
// concurrent use.
func (c *ClientMetadata) Lint(p Profile) []Finding { return findings(c.rules(p)) }

func (c *ClientMetadata) rules(p Profile) []rule {
	return slices.Concat(c.identityRules(), c.requestRules(), c.responseModeRules(p), c.authenticationRules(),
		c.keyRules(p), c.algorithmRules(), c.defaultRules(p), c.encryptionRules(), c.bindingRules(),
		c.redirectRules())
}

func (c *ClientMetadata) identityRules() []rule {
	application, subject := c.ApplicationType, c.SubjectType
	rules := []rule{
		{"PAR-2.1-2", forbidden, "client_id",
			when(syntax.CheckClientID(c.ClientID) != nil,
				"malformed client_id, want 1 to 1024 printable ASCII characters"),
			"Let the server choose a random client_id of letters and digits."},
		// BCP-2.6-2: the sub of a token can be a client or a user.
		{"SP-6.7-1", advice, "client_id",
			when(strings.Contains(c.ClientID, "@"), "client_id similar to a user identifier"),
			"Let the server choose it, so that a client is never mistaken for a user."},
	}
	rules = append(rules, pageRules([2]string{"client_uri", c.ClientURI}, [2]string{"logo_uri", c.LogoURI},
		[2]string{"policy_uri", c.PolicyURI}, [2]string{"tos_uri", c.TosURI})...)
	return append(rules, []rule{
		{"SP-5.3.2.2-8", forbidden, "application_type",
			when(!isOne(application, "", "web", "native"), "unknown application_type %.100q", application),
			"Register web or native."},
		{"SP-5.3.2.3-1", forbidden, "subject_type",
			when(!isOne(subject, "", "public", "pairwise"), "unknown subject_type %.100q", subject),
			"Register public or pairwise."},
		httpsRule("CA-OIDC-8.1-4", forbidden, "sector_identifier_uri", c.SectorIdentifierURI),
		{"CA-OIDC-8.1-3", forbidden, "sector_identifier_uri", c.checkSector(),
			"Register the https URL of a document that lists all redirect URIs."},
	}...)
}

// checkSector requires a sector if the subjects of users are pairwise.
func (c *ClientMetadata) checkSector() error {
	if c.SubjectType != "pairwise" || len(c.RedirectURIs) == 0 {
		return nil
	}
	_, err := c.sector()
	return err
}

func (c *ClientMetadata) requestRules() (rules []rule) {
	for _, grantType := range c.GrantTypes {
		clause := "SP-5.3.2.1-N2"
		switch grantType {
		case "password":
			clause = "SP-5.3.2.1-2"
		case "implicit":
			clause = "BCP-2.1.2-1"
		}
		rules = append(rules, rule{clause, forbidden, "grant_types",
			when(!isOne(grantType, "authorization_code", "refresh_token", "client_credentials"),
				"grant_types: forbidden grant type %.100q", grantType),
			"Register only those of authorization_code, refresh_token and client_credentials that the client uses."})
	}
	rules = append(rules, rule{"BASE-6749-6-1", forbidden, "grant_types",
		when(c.HasGrantType("refresh_token") && !c.HasGrantType("authorization_code"),
			"grant_types: refresh_token without authorization_code"),
		"Add authorization_code, or remove refresh_token: no other grant type returns a refresh token."})
	for _, responseType := range c.ResponseTypes {
		rules = append(rules, rule{"SP-5.3.2.2-1", forbidden, "response_types",
			when(responseType != "code", "response_types: %.100q is not code", responseType),
			"Register only code."})
	}
	if c.Scope != "" {
		for _, scope := range strings.Split(c.Scope, " ") {
			rules = append(rules, rule{"BCP-2.3-1", forbidden, "scope",
				when(!syntax.IsScope(scope), "scope: malformed value %.100q", scope),
				"Separate scopes by one space, and use only the characters of RFC 6749 §3.3."})
		}
	}
	return append(rules, detailsRules("RAR-10-2", "authorization_details_types", c.AuthorizationDetailsTypes)...)
}

func (c *ClientMetadata) responseModeRules(p Profile) (rules []rule) {
	const member = "response_modes"
	modes, signed := c.ResponseModes, p.Has(SignedResponses) && c.HasGrantType("authorization_code")
	for _, mode := range modes {
		// The browser's history stores fragments, and scripts can read them.
		rules = append(rules, rule{"MS-5.3.3-1", forbidden, member,
			when(!isOne(mode, append(jarmModes(), "query")...), "response_modes: forbidden mode %.100q", mode),
			"Register only query, jwt, query.jwt or form_post.jwt."})
	}
	return append(rules, []rule{
		{"MS-5.4.2-1", forbidden, member,
			when(signed && len(modes) > 0 && !hasAny(modes, jarmModes()...), "response_modes without signed mode"),
			"Register jwt: the profile requires signed responses."},
		{"MS-5.3.3-1", warning, member,
			when(signed && slices.Contains(modes, "query"), "response_modes with query, which is not signed"),
			"Remove query, so that no server sends an unsigned response to this client."},
		{"MS-5.3.3-1", advice, member, when(signed && len(modes) == 0, "missing response_modes, whose default is any"),
			"Register only jwt, so that the registration requires signed responses as well."},
	}...)
}

func (c *ClientMetadata) authenticationRules() []rule {
	const member = "token_endpoint_auth_method"
	method := c.TokenEndpointAuthMethod
	known := isOne(method, clientAuthMethods()...)
	var subject error
	if known { // a certificate has exactly one expected subject
		a := c.Authentication()
		a.ID, a.Algorithm = "any", "" // other rules are about these
		if err := a.Validate(); err != nil {
			subject = fmt.Errorf("tls_client_auth_*: %w", err)
		}
	}
	return []rule{
		{"SP-5.3.2.1-6", forbidden, member,
			when(method == "", "missing %s, whose default is client_secret_basic", member),
			"Register private_key_jwt, tls_client_auth or self_signed_tls_client_auth."},
		{"SP-5.3.2.1-6", forbidden, member,
			when(!known && !isOne(method, "", "none"), "forbidden %s %.100q", member, method),
			"Use private_key_jwt, tls_client_auth or self_signed_tls_client_auth, because secrets are forbidden."},
		{"SP-5.3.2.1-3", forbidden, member, when(method == "none", `forbidden %s "none"`, member),
			"Give the client a key: a client on a user's device needs a server or a registration per device."},
		{"MTLS-2.1.2-1", forbidden, "tls_client_auth_subject_dn", subject,
			"Register exactly one tls_client_auth_* member for the method tls_client_auth, and none for others."},
		{"SP-5.3.2.1-6", forbidden, "token_endpoint_auth_signing_alg",
			when(c.TokenEndpointAuthSigningAlg != "" && method != "private_key_jwt",
				"token_endpoint_auth_signing_alg without private_key_jwt"),
			"Remove it: the client signs no assertions."},
	}
}

func (c *ClientMetadata) keyRules(p Profile) []rule {
	signs := c.RequireSignedRequestObject || c.RequestObjectSigningAlg != "" ||
		p.Has(SignedRequests) && c.HasGrantType("authorization_code")
	needed := signs || isOne(c.TokenEndpointAuthMethod, "private_key_jwt", "self_signed_tls_client_auth")
	rules := []rule{
		{"SP-5.4.2-R2", forbidden, "jwks", when(c.JWKS != nil && c.JWKSURI != "", "jwks together with jwks_uri"),
			"Remove one of them, preferably jwks if the client can serve its keys."},
		httpsRule("SP-5.4.2-1", forbidden, "jwks_uri", c.JWKSURI),
		{"SP-5.4.2-R2", forbidden, "jwks_uri",
			when(needed && c.JWKS == nil && c.JWKSURI == "", "missing jwks_uri or jwks"),
			"Register the URL of the client's public keys, or the keys."},
	}
	if c.JWKS == nil {
		return rules
	}
	return append(rules, c.keySetRules(c.JWKS)...)
}

// keySetRules are the rules for the keys in a registration. A useless key is
// better found here than at the first request.
func (c *ClientMetadata) keySetRules(set *jwks.Set) []rule {
	ctx := context.Background() // the keys are in memory
	hasKey := func(algorithms ...string) bool {
		return slices.ContainsFunc(algorithms, func(alg string) bool {
			keys, err := set.Keys(ctx, "", alg)
			return err == nil && len(keys) > 0
		})
	}
	rules := []rule{{"SP-6.8-1", advice, "jwks", when(c.JWKSURI == "", "keys in the registration"),
		"Serve them at a jwks_uri, so that the client can change its keys alone."}}
	for _, dropped := range set.Dropped() {
		rules = append(rules, []rule{
			{"SP-5.4.2-R2", forbidden, "jwks", when(dropped.Private, "jwks: %v", dropped),
				"Replace this key, because its private part was transmitted, and register only public keys."},
			{"SP-5.4.2-R2", warning, "jwks", when(!dropped.Private, "jwks: %v", dropped),
				"Register keys that FAPI 2.0 permits, with x5c in base64."},
		}...)
	}
	rules = append(rules, rule{"SP-5.4.1-1.2", forbidden, "jwks",
		when(!hasKey(jose.Algorithms()...), "jwks without a signature key that FAPI 2.0 permits"),
		"Register a P-256, Ed25519 or RSA key (2048 bits or more) that is not for encryption only."})
	for _, e := range []struct{ clause, alg string }{
		{"JARM-3-2", c.AuthorizationEncryptedResponseAlg},
		{"CA-OIDC-10.2-1", c.IDTokenEncryptedResponseAlg},
		{"CA-OIDC-10.2-1", c.UserInfoEncryptedResponseAlg},
		{"INT-9701-6-1", c.IntrospectionEncryptedResponseAlg},
	} {
		keys, err := set.EncryptionKeys(ctx, e.alg)
		lacks := isOne(e.alg, jose.EncryptionAlgorithms()...) && (err != nil || len(keys) == 0)
		rules = append(rules, rule{e.clause, warning, "jwks", when(lacks, "jwks without a key for %s", e.alg),
			"Register a key with use enc, or remove the member for its algorithm."})
	}
	for _, alg := range []string{c.TokenEndpointAuthSigningAlg, c.RequestObjectSigningAlg} {
		rules = append(rules, rule{"JWT-3.1-2", forbidden, "jwks",
			when(jose.Allowed(alg) && !hasKey(alg), "jwks without a key for %s", alg),
			"Register a key for the algorithm, or the algorithm of the key."})
	}
	return rules
}

func (c *ClientMetadata) algorithmRules() (rules []rule) {
	for _, a := range []struct{ clause, member, alg string }{
		{"", "token_endpoint_auth_signing_alg", c.TokenEndpointAuthSigningAlg},
		{"", "request_object_signing_alg", c.RequestObjectSigningAlg},
		{"JARM-3-1", "authorization_signed_response_alg", c.AuthorizationSignedResponseAlg},
		{"INT-9701-6-1", "introspection_signed_response_alg", c.IntrospectionSignedResponseAlg},
		{"", "id_token_signed_response_alg", c.IDTokenSignedResponseAlg},
		{"", "userinfo_signed_response_alg", c.UserInfoSignedResponseAlg},
	} {
		if a.clause == "" {
			a.clause = algorithmClause(a.alg)
		}
		rules = append(rules, rule{a.clause, forbidden, a.member,
			when(a.alg != "" && !jose.Allowed(a.alg), "%s: forbidden algorithm %.100q", a.member, a.alg),
			"Register an algorithm of FAPI 2.0 that the server announces: PS256, ES256, EdDSA or Ed25519."})
	}
	return rules
}

// defaultRules are the rules for absent members whose specified default is not
// the default of this package.
func (c *ClientMetadata) defaultRules(p Profile) []rule {
	code := c.HasGrantType("authorization_code")
	jarm := p.Has(SignedResponses) || hasAny(c.ResponseModes, jarmModes()...)
	// It concerns resource servers. A client with users is seldom one.
	introspection := warning
	if code {
		introspection = advice
	}
	return []rule{
		{"JARM-3-1", warning, "authorization_signed_response_alg",
			when(c.AuthorizationSignedResponseAlg == "" && code && jarm,
				"missing authorization_signed_response_alg, whose default is RS256"),
			"Register the algorithm with which the server signs authorization responses."},
		{"SP-5.4.1-1.2", warning, "id_token_signed_response_alg",
			when(c.IDTokenSignedResponseAlg == "" && code && c.AllowsScope("openid"),
				"missing id_token_signed_response_alg, whose default is RS256"),
			"Register the algorithm with which the server signs ID tokens."},
		{"INT-9701-6-1", introspection, "introspection_signed_response_alg",
			when(c.IntrospectionSignedResponseAlg == "" && p.Has(SignedIntrospection),
				"missing introspection_signed_response_alg, whose default is RS256"),
			"For a resource server, register the algorithm with which the server signs these responses."},
		{"JAR-10.5-1", advice, "require_signed_request_object",
			when(!c.RequireSignedRequestObject && code && p.Has(SignedRequests),
				"require_signed_request_object is not true"),
			"Register true, so that the registration requires signed requests as well."},
		{"JAR-4-5", advice, "request_object_signing_alg",
			when(c.RequestObjectSigningAlg == "" && code && p.Has(SignedRequests),
				"missing request_object_signing_alg, whose default is any"),
			"Register the algorithm with which the client signs."},
	}
}

func (c *ClientMetadata) encryptionRules() (rules []rule) {
	for _, e := range []struct{ clause, name, alg, enc string }{
		{"JAR-4-5", "request_object_encryption", c.RequestObjectEncryptionAlg, c.RequestObjectEncryptionEnc},
		{"JARM-3-2", "authorization_encrypted_response",
			c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc},
		{"INT-9701-6-1", "introspection_encrypted_response",
			c.IntrospectionEncryptedResponseAlg, c.IntrospectionEncryptedResponseEnc},
		{"SP-5.3.2.3-1", "id_token_encrypted_response", c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc},
		{"SP-5.3.2.3-1", "userinfo_encrypted_response", c.UserInfoEncryptedResponseAlg, c.UserInfoEncryptedResponseEnc},
	} {
		alg, enc := e.name+"_alg", e.name+"_enc"
		rules = append(rules, []rule{
			{e.clause, forbidden, alg, when(e.enc != "" && e.alg == "", "%s without %s", enc, alg),
				"Register both members, or neither if nothing is encrypted."},
			{e.clause, advice, enc, when(e.alg != "" && e.enc == "", "missing %s, whose default is A128CBC-HS256", enc),
				"Register A256GCM, or an algorithm that the server announces."},
		}...)
		rules = append(rules, encryptionRules(alg, e.alg)...)
	}
	return append(rules, []rule{
		{"CA-OIDC-10.2-1", warning, "userinfo_signed_response_alg",
			when(c.UserInfoEncryptedResponseAlg != "" && c.UserInfoSignedResponseAlg == "",
				"userinfo_encrypted_response_alg without userinfo_signed_response_alg"),
			"Register both: every party can encrypt to a public key, and only a signature shows the sender."},
		{"MS-6.1-1", advice, "authorization_encrypted_response_alg",
			when(c.AuthorizationEncryptedResponseAlg != "", "encryption of authorization responses"),
			"Omit it unless it is required: a code is bound to the client and useless to others."},
	}...)
}

func (c *ClientMetadata) bindingRules() []rule {
	const member = "dpop_bound_access_tokens"
	dpop, mtls := c.DPoPBoundAccessTokens, c.TLSClientCertificateBoundAccessTokens
	return []rule{
		// DPOP-5.2-1, MTLS-3.4-1: the default of both members is false.
		{"SP-5.3.2.1-4", forbidden, member,
			when(!dpop && !mtls, "missing dpop_bound_access_tokens or tls_client_certificate_bound_access_tokens"),
			"Register true for the binding of the client's access tokens: absent means false."},
		{"SP-5.3.2.1-5", forbidden, member,
			when(dpop && mtls, "dpop_bound_access_tokens together with tls_client_certificate_bound_access_tokens"),
			"Choose one: an access token has one binding."},
	}
}

func (c *ClientMetadata) redirectRules() []rule {
	rules := []rule{{"SP-5.3.2.2-6", badRedirect, "redirect_uris",
		when(len(c.RedirectURIs) == 0 && c.HasGrantType("authorization_code"), "missing redirect_uris"),
		"Register every redirect URI that the client uses, with path and query."}}
	for _, uri := range c.RedirectURIs {
		problem := par.CheckRedirectURI([]string{uri}, uri)
		if problem != nil {
			problem = fmt.Errorf("%.200q: %w", uri, problem)
		}
		loopback := strings.HasPrefix(uri, "http://")
		web := loopback || strings.HasPrefix(uri, "https://")
		rules = append(rules, []rule{
			// SP-5.3.2.2-8
			{"BCP-2.6-3", badRedirect, "redirect_uris", problem,
				"Register an https URL without fragment, or http on 127.0.0.1 or [::1] for a native app."},
			// A pushed request may use the scheme of an app. Other apps can
			// claim that scheme, and a client with a key has an https URL.
			{"SP-5.3.2.2-8", badRedirect, "redirect_uris",
				when(problem == nil && !web, "%.200q is neither https nor http on loopback", uri),
				"Register an https URL that the operating system opens in the app."},
			{"SP-5.3.2.2-8", warning, "redirect_uris",
				when(problem == nil && loopback && c.ApplicationType != "native",
					"%.200q for a client that is not native", uri),
				"Register application_type native, or remove the loopback URI in production."},
		}...)
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		rules = append(rules, rule{"BCP-2.1-2", warning, "post_logout_redirect_uris",
			when(par.CheckRedirectURI([]string{uri}, uri) != nil, "post_logout_redirect_uris: unsafe URI %.200q", uri),
			"Register an https URL without fragment."})
	}
	return rules
}
