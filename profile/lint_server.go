package profile

import (
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
)

// Lint returns the defects of a server's metadata document, errors first. A
// server under a part of FAPI 2.0 Message Signing requires that part of every
// client. If each client's registration decides, use [Baseline].
//
// Absent members have the meaning that their specifications define, which is
// the most frequent source of errors. For example, a document without
// grant_types_supported announces the implicit grant.
//
// Lint does not connect to the server. It cannot see members that this package
// does not know, or the URL from which the document came. It never changes m
// and is safe for concurrent use.
//
// Under Baseline, the errors are those of [ServerMetadata.CheckPublished].
func (m *ServerMetadata) Lint(p Profile) []Finding { return findings(m.rules(p)) }

func (m *ServerMetadata) rules(p Profile) []rule {
	rules := slices.Concat(m.issuerRules(), m.endpointRules(), m.urlRules(), m.aliasRules(), m.grantTypeRules())
	if m.usesCode() {
		rules = slices.Concat(rules, m.codeRules(), m.responseModeRules(p), m.requestRules(p))
	}
	return slices.Concat(rules, m.jarmRules(), m.authenticationRules(), m.signingRules(), m.openIDRules(),
		m.introspectionRules(p), m.encryptionRules(), m.grantManagementRules(),
		detailsRules("RAR-10-1", "authorization_details_types_supported", m.AuthorizationDetailsTypesSupported),
		scopeRules("MD-2-11", m.ScopesSupported), documentRules("MD-3.2-1", m, m.dropped))
}

func (m *ServerMetadata) issuerRules() []rule {
	problem := issuerProblem(m.Issuer)
	valid := problem == nil
	host, _, _ := strings.Cut(strings.TrimPrefix(m.Issuer, "https://"), "/")
	return []rule{
		{"MD-2-1", forbidden, "issuer", problem,
			"Use an https URL with a host, and without user information, query and fragment."},
		{"MD-3-1", advice, "issuer", when(valid && strings.HasSuffix(m.Issuer, "/"), "trailing slash in the issuer"),
			"Omit the slash in a new issuer: it counts in comparisons and is not in the well-known URL."},
		{"MD-4-1", advice, "issuer",
			when(valid && (host != strings.ToLower(host) || strings.HasSuffix(host, ":443")),
				"unusual spelling of the issuer"),
			"Write the host in lower case and omit :443, because some clients normalize issuers."},
	}
}

func (m *ServerMetadata) endpointRules() []rule {
	code, signs := m.usesCode(), m.signs()
	return []rule{
		// A server without a token endpoint could serve the implicit flow only.
		{"MD-2-2", malformed | unusable, "token_endpoint", when(m.TokenEndpoint == "", "missing token_endpoint"),
			"Publish the https URL of the token endpoint."},
		{"SP-5.4.2-R1", advice, "jwks_uri", when(m.JWKSURI == "" && !signs, "missing jwks_uri"),
			"Publish a jwks_uri as soon as the server signs anything, for example JWT access tokens."},
		{"MD-2-4", forbidden, "jwks_uri",
			when(m.JWKSURI == "" && signs, "missing jwks_uri, required to verify signatures"),
			"Publish the keys with which the server signs, at an https URL."},
		{"MD-2-2", malformed | unusable, "authorization_endpoint",
			when(code && m.AuthorizationEndpoint == "", "missing authorization_endpoint"),
			"Publish the https URL of the endpoint, or omit authorization_code from grant_types_supported."},
		{"SP-5.3.2.2-2", unusable, "pushed_authorization_request_endpoint", // PAR-2-2
			when(code && m.PushedAuthorizationRequestEndpoint == "", "missing pushed_authorization_request_endpoint"),
			"Publish the https URL of the endpoint: FAPI 2.0 has only pushed authorization requests."},
		{"PAR-5-1", warning, "require_pushed_authorization_requests",
			when(code && !m.RequirePushedAuthorizationRequests, "require_pushed_authorization_requests is not true"),
			"Reject requests that were not pushed, and publish true: absent means false."},
	}
}

func (m *ServerMetadata) urlRules() []rule {
	rules := []rule{
		httpsRule("SP-5.2.1-1", malformed, "authorization_endpoint", m.AuthorizationEndpoint),
		httpsRule("SP-5.4.2-1", malformed, "jwks_uri", m.JWKSURI),
		httpsRule("SP-5.2.1-1", malformed, "end_session_endpoint", m.EndSessionEndpoint),
	}
	for _, e := range m.aliased() {
		rules = append(rules, httpsRule("SP-5.2.1-1", malformed, e.name, *e.url),
			httpsRule("SP-5.2.1-1", malformed, "mtls_endpoint_aliases."+e.name, *e.alias))
	}
	rules = append(rules, pageRules([2]string{"service_documentation", m.ServiceDocumentation},
		[2]string{"op_policy_uri", m.OPPolicyURI}, [2]string{"op_tos_uri", m.OPTosURI})...)
	for _, e := range []struct{ clause, member, url string }{
		{"MD-2-2", "authorization_endpoint", m.AuthorizationEndpoint},
		{"MD-2-2", "token_endpoint", m.TokenEndpoint},
		{"PAR-2-2", "pushed_authorization_request_endpoint", m.PushedAuthorizationRequestEndpoint},
		{"MD-2-4", "jwks_uri", m.JWKSURI},
	} {
		foreign := e.url != "" && syntax.Origin(e.url) != syntax.Origin(m.Issuer)
		rules = append(rules, rule{e.clause, advice, e.member,
			when(foreign, "%s with another origin than the issuer", e.member),
			"Use the issuer's host, or protect the other host and its certificate as well as the issuer's."})
	}
	for _, resource := range m.ProtectedResources {
		problem := syntax.HTTPSProblem(resource)
		rules = append(rules, rule{"PRM-4-1", advice, "protected_resources",
			when(problem != "", "protected_resources: %.200q %s", resource, problem),
			"Use https URLs: other resources have no metadata with which a client can compare this list."})
	}
	return rules
}

// usesMTLS reports whether a client may need a certificate at the token
// endpoint.
func (m *ServerMetadata) usesMTLS() bool {
	return m.TLSClientCertificateBoundAccessTokens || hasAny(m.TokenEndpointAuthMethodsSupported, mtlsMethods()...)
}

func (m *ServerMetadata) aliasRules() (rules []rule) {
	methods := map[string][]string{
		"pushed_authorization_request_endpoint": m.TokenEndpointAuthMethodsSupported,
		"token_endpoint":                        m.TokenEndpointAuthMethodsSupported,
		"introspection_endpoint":                m.IntrospectionEndpointAuthMethodsSupported,
		"revocation_endpoint":                   m.RevocationEndpointAuthMethodsSupported,
	}
	if m.TLSClientCertificateBoundAccessTokens { // UserInfo receives tokens, and the certificate with a bound one
		methods["userinfo_endpoint"] = clientAuthMethods()
	}
	for _, e := range m.aliased() {
		member, alias, url := "mtls_endpoint_aliases."+e.name, *e.alias, *e.url
		// An endpoint without an alias keeps its URL. The host of that URL does
		// not request certificates if other endpoints have aliases.
		absent := m.MTLSEndpointAliases != nil && alias == "" && url != "" && hasAny(methods[e.name], mtlsMethods()...)
		other := slices.Contains(methods[e.name], "private_key_jwt")
		rules = append(rules, []rule{
			{"MTLS-5-1", forbidden, member, when(alias != "" && url == "", "%s without %s", member, e.name),
				"Publish the endpoint as well, or omit the alias."},
			{"MTLS-5-1", advice, member, when(alias != "" && alias == url, "%s equal to %s", member, e.name),
				"Omit the alias: it has an effect only if its URL differs."},
			{"MTLS-5-1", warning, member,
				when(absent && !other, "missing %s, although all clients use mutual TLS there", member),
				"Publish an alias for each endpoint at which clients use a certificate, or no alias at all."},
			{"MTLS-5-1", advice, member,
				when(absent && other, "missing %s, although clients can use mutual TLS there", member),
				"Publish the alias, or make sure that the host of the endpoint requests certificates."},
		}...)
	}
	token := m.ForMTLS().TokenEndpoint
	shared := token != "" && syntax.Origin(token) == syntax.Origin(m.AuthorizationEndpoint)
	return append(rules, rule{"SP-5.2.2.1-2", advice, "mtls_endpoint_aliases",
		when(m.usesMTLS() && m.usesCode() && shared, "mutual TLS at the host of the authorization endpoint"),
		"Publish aliases on another host or port, so that browsers do not ask users for a certificate."})
}

func (m *ServerMetadata) grantTypeRules() []rule {
	const member = "grant_types_supported"
	grants := m.GrantTypesSupported
	known := []string{"authorization_code", "refresh_token", "client_credentials", "password", "implicit",
		"urn:openid:params:grant-type:ciba"}
	return []rule{
		{"MD-2-5", forbidden, member,
			when(len(grants) == 0, "missing grant_types_supported, whose default includes implicit"),
			"Publish the grant types that the server supports, for example authorization_code and refresh_token."},
		{"SP-5.3.2.1-N2", unusable, member,
			when(!m.usesCode() && !slices.Contains(grants, "client_credentials"),
				"grant_types_supported without FAPI 2.0 grant type"),
			"Support authorization_code, or client_credentials if the server has no users."},
		{"SP-5.3.2.1-2", forbidden, member,
			when(slices.Contains(grants, "password"), "password in grant_types_supported"),
			"Remove the password grant: a client must not see the password of a user."},
		{"BCP-2.1.2-1", forbidden, member,
			when(slices.Contains(grants, "implicit"), "implicit in grant_types_supported"),
			"Remove the implicit grant: it puts unbound tokens into URLs."},
		{"SP-5.3.2.1-N2", advice, member,
			when(!hasOnly(grants, known...), "grant_types_supported with types that were not analysed with FAPI 2.0"),
			"Apply the same rules to them, above all client authentication and bound tokens, or remove them."},
	}
}

func (m *ServerMetadata) codeRules() []rule {
	types, methods := m.ResponseTypesSupported, m.CodeChallengeMethodsSupported
	code, s256 := slices.Contains(types, "code"), slices.Contains(methods, "S256")
	return []rule{
		{"MD-2-3", malformed | unusable, "response_types_supported",
			when(len(types) == 0, "missing response_types_supported"),
			`Publish ["code"]: the member is required.`},
		{"SP-5.3.2.2-1", unusable, "response_types_supported",
			when(len(types) > 0 && !code, "response_types_supported without code"),
			"Support the response type code, and publish only that."},
		{"SP-5.3.2.2-1", forbidden, "response_types_supported",
			when(code && len(types) > 1, "response_types_supported with more than code"),
			"Remove implicit and hybrid response types."},
		{"SP-5.3.2.2-5", unusable, "code_challenge_methods_supported",
			when(methods != nil && !s256, "code_challenge_methods_supported without S256"),
			"Require PKCE with S256, and publish it."},
		// A client can use S256 although an absent list means that the server
		// does not support PKCE.
		{"MD-2-9", forbidden, "code_challenge_methods_supported",
			when(methods == nil || s256 && len(methods) > 1, "code_challenge_methods_supported is not S256 alone"),
			`Publish ["S256"]: plain reveals the verifier, and an absent list means that PKCE is not supported.`},
		// ISS-3-1: without iss, a client does not notice a mix-up of servers.
		{"ISS-2.3-2", unusable, "authorization_response_iss_parameter_supported",
			when(!m.AuthorizationResponseIssParameterSupported,
				"authorization_response_iss_parameter_supported is not true"),
			"Add iss to every authorization response, errors included, and publish true: absent means false."},
	}
}

// jarmModes returns the response modes with signed responses.
func jarmModes() []string { return []string{"jwt", "query.jwt", "form_post.jwt"} }

func (m *ServerMetadata) responseModeRules(p Profile) []rule {
	const member = "response_modes_supported"
	modes, required := m.ResponseModesSupported, p.Has(SignedResponses)
	signed := hasAny(modes, jarmModes()...) || len(m.AuthorizationSigningAlgValuesSupported) > 0
	return []rule{
		{"MD-2-6", forbidden, member,
			when(len(modes) == 0, "missing response_modes_supported, whose default includes fragment"),
			"Publish the response modes that the server supports: query, or jwt for signed responses."},
		{"MD-2-6", unusable, member,
			when(modes != nil && !hasAny(modes, "query", "jwt", "query.jwt"),
				"response_modes_supported without query and jwt"),
			"Support query or jwt: FAPI 2.0 clients request no other response mode."},
		{"MD-2-6", forbidden, member,
			when(hasAny(modes, "fragment", "fragment.jwt"), "fragment in response_modes_supported"),
			"Remove fragment: the browser's history stores fragments, and scripts can read them."},
		{"MS-5.4.2-1", warning, member,
			when(hasAny(modes, "query.jwt", "form_post.jwt") && !slices.Contains(modes, "jwt"),
				"response_modes_supported without jwt"),
			"Support and publish jwt: FAPI 2.0 clients use this name for query.jwt."},
		{"MS-5.4.1-1", forbidden, member, when(required && !signed, "missing signed authorization responses"),
			"Sign responses (JARM), and publish jwt and authorization_signing_alg_values_supported."},
		{"MS-5.4.1-1", forbidden, member,
			when(required && hasAny(modes, "query", "form_post"),
				"response_modes_supported with modes that are not signed"),
			"Reject query and form_post, and publish only the .jwt modes: the profile requires signed responses."},
	}
}

func (m *ServerMetadata) jarmRules() []rule {
	signed := hasAny(m.ResponseModesSupported, jarmModes()...)
	algorithms := len(m.AuthorizationSigningAlgValuesSupported) > 0
	return []rule{
		{"JARM-4-1", forbidden, "authorization_signing_alg_values_supported",
			when(signed && !algorithms, "signed response modes without authorization_signing_alg_values_supported"),
			"Publish the algorithms of signed responses: the default is RS256, which is forbidden."},
		{"JARM-4-2", forbidden, "response_modes_supported",
			when(algorithms && !signed, "authorization_signing_alg_values_supported without a signed response mode"),
			"Publish jwt among the response modes, or no algorithms for signed responses."},
	}
}

func (m *ServerMetadata) requestRules(p Profile) []rule {
	const member = "request_object_signing_alg_values_supported"
	algorithms, required := len(m.RequestObjectSigningAlgValuesSupported) > 0, p.Has(SignedRequests)
	return []rule{
		// A server that fetches a URL of the client can be sent anywhere.
		{"JAR-10.4-1", warning, "request_uri_parameter_supported",
			when(m.RequestURIParameterSupported, "request_uri_parameter_supported is true, which is also its default"),
			"Publish false: pushed requests make request_uri values of clients unnecessary."},
		{"MS-5.3.1-1", forbidden, "require_signed_request_object", // JAR-10.5-1
			when(required && !m.RequireSignedRequestObject, "require_signed_request_object is not true"),
			"Reject requests that are not signed, and publish true: absent means false."},
		{"JAR-4-5", forbidden, member,
			when(required && !algorithms, "missing %s, although the profile requires signed requests", member),
			"Publish the algorithms with which clients may sign request objects."},
		{"JAR-10.5-1", warning, member,
			when(!required && m.RequireSignedRequestObject && !algorithms,
				"require_signed_request_object without %s", member),
			"Publish the algorithms: otherwise a client does not know with which one to sign."},
	}
}

func (m *ServerMetadata) authenticationRules() []rule {
	const member = "token_endpoint_auth_methods_supported"
	const algorithmsMember = "token_endpoint_auth_signing_alg_values_supported"
	methods, algorithms := m.TokenEndpointAuthMethodsSupported, m.TokenEndpointAuthSigningAlgValuesSupported
	known, assertions := hasAny(methods, clientAuthMethods()...), slices.Contains(methods, "private_key_jwt")
	g := forbidden
	if assertions && !hasAny(methods, mtlsMethods()...) {
		g = unusable // there is no other method
	}
	rules := []rule{
		{"MD-2-7", unusable, member, when(!known, "%s without FAPI 2.0 method", member),
			"Support and publish private_key_jwt or mutual TLS: the default is client_secret_basic."},
		{"MD-2-8", g, algorithmsMember,
			when(known && algorithms != nil && !hasAny(algorithms, jose.Algorithms()...),
				"%s without FAPI 2.0 algorithm", algorithmsMember),
			"Accept and publish PS256, ES256 or EdDSA: other algorithms must not sign an assertion."},
	}
	for _, e := range []struct {
		name, url           string
		methods, algorithms []string
	}{
		{"token", m.TokenEndpoint, methods, algorithms},
		{"introspection", m.IntrospectionEndpoint, m.IntrospectionEndpointAuthMethodsSupported,
			m.IntrospectionEndpointAuthSigningAlgValuesSupported},
		{"revocation", m.RevocationEndpoint, m.RevocationEndpointAuthMethodsSupported,
			m.RevocationEndpointAuthSigningAlgValuesSupported},
	} {
		rules = append(rules, endpointAuthenticationRules(e.name, e.url, e.methods, e.algorithms)...)
	}
	return append(rules, []rule{
		{"MD-2-10", forbidden, "revocation_endpoint_auth_methods_supported",
			when(m.RevocationEndpoint != "" && len(m.RevocationEndpointAuthMethodsSupported) == 0,
				"missing revocation_endpoint_auth_methods_supported, whose default is client_secret_basic"),
			"Publish the methods, as for the token endpoint."},
		{"MD-2-10", warning, "introspection_endpoint_auth_methods_supported",
			when(m.IntrospectionEndpoint != "" && len(m.IntrospectionEndpointAuthMethodsSupported) == 0,
				"missing introspection_endpoint_auth_methods_supported, which has no default"),
			"Publish the methods: a resource server has no other way to learn them."},
		// SP-5.3.2.1-5
		{"SP-5.3.2.1-4", unusable, "dpop_signing_alg_values_supported",
			when(!m.TLSClientCertificateBoundAccessTokens &&
				!hasAny(m.DPoPSigningAlgValuesSupported, jose.Algorithms()...),
				"missing dpop_signing_alg_values_supported or tls_client_certificate_bound_access_tokens"),
			"Bind access tokens by DPoP, by certificate or by both, and publish the choice."},
	}...)
}

// endpointAuthenticationRules are the rules for one endpoint.
func endpointAuthenticationRules(name, url string, methods, algorithms []string) []rule {
	member := name + "_endpoint_auth_methods_supported"
	algorithmsMember := name + "_endpoint_auth_signing_alg_values_supported"
	token := name == "token"
	// If the token endpoint has only forbidden values, authenticationRules has
	// reported it.
	excess := func(list, allowed []string) bool {
		return !hasOnly(list, allowed...) && (!token || hasAny(list, allowed...))
	}
	return []rule{
		// SP-5.3.2.1-3: neither shared secrets nor public clients.
		{"SP-5.3.2.1-6", forbidden, member,
			when(excess(methods, clientAuthMethods()), "forbidden method in %s", member),
			"Remove all methods except private_key_jwt, tls_client_auth and self_signed_tls_client_auth."},
		{"MD-2-8", forbidden, algorithmsMember,
			when(len(algorithms) == 0 && slices.Contains(methods, "private_key_jwt"),
				"missing %s, required for private_key_jwt", algorithmsMember),
			"Publish the algorithms with which clients may sign assertions."},
		// MD-2-8
		{algorithmClause(algorithms...), forbidden, algorithmsMember,
			when(excess(algorithms, jose.Algorithms()), "forbidden algorithm in %s", algorithmsMember),
			"Accept and publish only PS256, ES256 and EdDSA for assertions."},
		{"MD-2-10", advice, member,
			when(!token && url == "" && (methods != nil || algorithms != nil),
				"%s or its algorithms without %s_endpoint", member, name),
			"Publish the endpoint, or omit the members about it."},
	}
}

// A serverSignature is a list of algorithms. If ours is true, the server signs,
// and clients need its keys.
type serverSignature struct {
	member     string
	algorithms []string
	ours       bool
}

func (m *ServerMetadata) signatures() []serverSignature {
	return []serverSignature{
		{"dpop_signing_alg_values_supported", m.DPoPSigningAlgValuesSupported, false},
		{"request_object_signing_alg_values_supported", m.RequestObjectSigningAlgValuesSupported, false},
		{"authorization_signing_alg_values_supported", m.AuthorizationSigningAlgValuesSupported, true},
		{"introspection_signing_alg_values_supported", m.IntrospectionSigningAlgValuesSupported, true},
		{"id_token_signing_alg_values_supported", m.IDTokenSigningAlgValuesSupported, true},
		{"userinfo_signing_alg_values_supported", m.UserInfoSigningAlgValuesSupported, true},
	}
}

func (m *ServerMetadata) signs() bool {
	return slices.ContainsFunc(m.signatures(), func(s serverSignature) bool { return s.ours && len(s.algorithms) > 0 })
}

func (m *ServerMetadata) signingRules() (rules []rule) {
	for _, s := range m.signatures() {
		rules = append(rules, algorithmRule(s.member, s.algorithms))
	}
	return rules
}

// openIDRules are from OpenID Connect Discovery §3 and OpenID Connect Core
// §5.3.1.
func (m *ServerMetadata) openIDRules() []rule {
	openid := slices.Contains(m.ScopesSupported, "openid")
	return []rule{
		{"SP-5.3.2.3-1", forbidden, "id_token_signing_alg_values_supported",
			when(openid && len(m.IDTokenSigningAlgValuesSupported) == 0,
				"scope openid without id_token_signing_alg_values_supported"),
			"Publish the algorithm of ID tokens, which must not be RS256."},
		{"SP-5.3.2.3-1", forbidden, "subject_types_supported",
			when(openid && len(m.SubjectTypesSupported) == 0, "scope openid without subject_types_supported"),
			"Publish public, pairwise or both."},
		{"MD-2-11", warning, "userinfo_endpoint",
			when(m.UserInfoEndpoint != "" && len(m.ScopesSupported) > 0 && !openid,
				"userinfo_endpoint without the scope openid"),
			"Publish openid in scopes_supported, or omit the endpoint: it accepts only tokens with this scope."},
	}
}

func (m *ServerMetadata) introspectionRules(p Profile) []rule {
	endpoint, algorithms := m.IntrospectionEndpoint != "", len(m.IntrospectionSigningAlgValuesSupported) > 0
	required := p.Has(SignedIntrospection)
	return []rule{
		{"INT-9701-7-1", warning, "introspection_endpoint",
			when(algorithms && !endpoint, "introspection_signing_alg_values_supported without introspection_endpoint"),
			"Publish the endpoint, or omit the algorithms."},
		{"MS-5.5.1-1", forbidden, "introspection_endpoint",
			when(required && !endpoint,
				"missing introspection_endpoint, although the profile requires signed introspection"),
			"Support introspection and publish its URL, or do not use this part of the profile."},
		{"INT-9701-7-1", warning, "introspection_signing_alg_values_supported",
			when(required && endpoint && !algorithms, "missing introspection_signing_alg_values_supported"),
			"Publish the algorithms: the default is RS256, which is forbidden."},
	}
}

func (m *ServerMetadata) encryptionRules() (rules []rule) {
	for _, e := range []struct {
		member     string
		algorithms []string
	}{
		{"request_object_encryption_alg_values_supported", m.RequestObjectEncryptionAlgValuesSupported},
		{"authorization_encryption_alg_values_supported", m.AuthorizationEncryptionAlgValuesSupported},
		{"introspection_encryption_alg_values_supported", m.IntrospectionEncryptionAlgValuesSupported},
		{"id_token_encryption_alg_values_supported", m.IDTokenEncryptionAlgValuesSupported},
		{"userinfo_encryption_alg_values_supported", m.UserInfoEncryptionAlgValuesSupported},
	} {
		rules = append(rules, encryptionRules(e.member, e.algorithms...)...)
	}
	return append(rules, rule{"MS-6.1-1", advice, "authorization_encryption_alg_values_supported",
		when(len(m.AuthorizationEncryptionAlgValuesSupported) > 0, "encryption of authorization responses"),
		"Omit it unless a client requires it: a code is bound to the client and useless to others."})
}

func (m *ServerMetadata) grantManagementRules() []rule {
	const member = "grant_management_actions_supported"
	actions := m.GrantManagementActionsSupported
	rules := []rule{
		{"GM-7.1-1", warning, member,
			when(!hasOnly(actions, "query", "revoke", "merge", "replace", "create"), "unknown action in %s", member),
			"List query, revoke, merge, replace and create. An old name of merge is update."},
		{"GM-7.1-1", warning, member,
			when(hasAny(actions, "merge", "replace") && !hasAny(actions, "create"),
				"merge or replace without create in %s", member),
			"List create, or document how clients obtain the grants that they change."},
	}
	for _, action := range []string{"query", "revoke"} {
		scope := "grant_management_" + action
		rules = append(rules, rule{"GM-6.1-2", warning, "scopes_supported",
			when(hasAny(actions, action) && len(m.ScopesSupported) > 0 && !hasAny(m.ScopesSupported, scope),
				"missing scope %s", scope),
			"List the scope, without which an access token does not permit the action."})
	}
	return append(rules, []rule{
		{"GM-7.1-2", forbidden, "grant_management_endpoint",
			when(hasAny(actions, "query", "revoke") && m.GrantManagementEndpoint == "",
				"missing grant_management_endpoint"),
			"Publish the endpoint at which clients query and revoke grants."},
		{"GM-7.1-3", warning, "grant_management_action_required",
			when(m.GrantManagementActionRequired && !hasAny(actions, "merge", "replace", "create"),
				"grant_management_action_required without an action"),
			"List the actions that a request can have, or do not require one."},
	}...)
}
