package profile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
)

// Lint looks at the published document of an authorization server, one's own or a foreign one, as somebody who is about to
// deploy it under a profile, and returns what it finds, errors first; nothing, if there is nothing to say. A server judged
// under a part of FAPI 2.0 Message Signing is one that demands it of every client: judge one that leaves the choice to each
// client's registration as [Baseline].
//
// Absent members mean what their specifications say, which is where most errors come from: without grant_types_supported,
// for one, a document announces the implicit grant. Lint reads the document alone and asks nobody; whether endpoints,
// certificates and keys are as announced is another question. It cannot see members that this package does not know, nor
// whether the document was served under the right URL. It never changes m and is safe for concurrent use.
//
// What it reports as an error under [Baseline] is what [ServerMetadata.CheckPublished] refuses.
func (m *ServerMetadata) Lint(p Profile) []Finding { return m.lint(p).findings() }

func (m *ServerMetadata) lint(p Profile) *linter {
	l := new(linter)
	m.lintIssuer(l)
	m.lintEndpoints(l)
	m.lintURLs(l)
	m.lintAliases(l)
	m.lintGrantTypes(l)
	if m.usesCode() {
		m.lintCode(l)
		m.lintResponseModes(l, p)
		m.lintRequests(l, p)
	}
	m.lintJARM(l)
	m.lintClientAuthentication(l)
	m.lintEndpointAuthentication(l)
	m.lintBinding(l)
	m.lintSigning(l)
	m.lintIntrospection(l, p)
	m.lintEncryption(l)
	m.lintGrantManagement(l)
	// RAR-10-1
	l.unless(!slices.Contains(m.AuthorizationDetailsTypesSupported, ""), Finding{"RAR-10-1", severityError, "authorization_details_types_supported",
		"authorization_details_types_supported has an empty type", "Name the types that the server knows."})
	l.scopes("MD-2-11", m.ScopesSupported)
	l.emptyLists("MD-3.2-1", m)
	l.droppedMembers("MD-3.2-1", m.dropped)
	return l
}

func (m *ServerMetadata) lintIssuer(l *linter) {
	if err := CheckIssuer(m.Issuer); err != nil { // MD-2-1
		l.because(problemOf(err), Finding{Clause: "MD-2-1", Severity: severityError, Member: "issuer",
			Mend: "Use an https URL with a host, without user information, query and fragment."})
		return
	}
	// MD-3-1: the well-known URL is made without it, the comparison is not.
	l.unless(!strings.HasSuffix(m.Issuer, "/"), Finding{"MD-3-1", severityAdvice, "issuer", "the issuer ends in a slash",
		"Choose an issuer without it for a new server: the slash is not in the well-known URL but counts when issuers are compared."})
	host, _, _ := strings.Cut(strings.TrimPrefix(m.Issuer, "https://"), "/")
	// MD-4-1: a peer that normalises, against the rule, sees another issuer than one that does not.
	l.unless(host == strings.ToLower(host) && !strings.HasSuffix(host, ":443"), Finding{"MD-4-1", severityAdvice, "issuer",
		"the issuer is not spelt as URL libraries write it", "Write the host in lower case and leave :443 out: issuers are compared as strings, and not every peer does only that."})
}

func (m *ServerMetadata) lintEndpoints(l *linter) {
	// MD-2-2: required, but for a server without an authorization endpoint.
	l.unless(m.TokenEndpoint != "", Finding{"MD-2-2", severityError, "token_endpoint", "no token_endpoint",
		"Publish the https URL of the token endpoint."}, malformed, unusable)
	l.unless(m.JWKSURI != "" || m.signs(), Finding{"SP-5.4.2-R1", severityAdvice, "jwks_uri", "no jwks_uri",
		"Publish the keys at a jwks_uri as soon as anything that is signed leaves the server, JWT access tokens among it."})
	// MD-2-4
	l.unless(m.JWKSURI != "" || !m.signs(),
		Finding{"MD-2-4", severityError, "jwks_uri", "no jwks_uri, which those who check signatures need",
			"Publish the keys that the server signs with, at an https URL."})
	if !m.usesCode() {
		return
	}
	l.unless(m.AuthorizationEndpoint != "", Finding{"MD-2-2", severityError, "authorization_endpoint", "no authorization_endpoint",
		"Publish the https URL of the authorization endpoint, or a grant_types_supported without authorization_code."}, malformed, unusable)
	// SP-5.3.2.2-2, PAR-2-2
	l.unless(m.PushedAuthorizationRequestEndpoint != "", Finding{"SP-5.3.2.2-2", severityError, "pushed_authorization_request_endpoint",
		"no pushed_authorization_request_endpoint", "Publish the https URL of the endpoint: FAPI 2.0 has no authorization requests but pushed ones."}, unusable)
	// PAR-5-1: the default is false.
	l.unless(m.RequirePushedAuthorizationRequests, Finding{"PAR-5-1", severityWarning, "require_pushed_authorization_requests",
		"require_pushed_authorization_requests is not true", "Refuse what was not pushed (SP-5.3.2.2-3), and say so by true: absent means false."})
}

func (m *ServerMetadata) lintURLs(l *linter) {
	// SP-5.2.1-1
	l.https("SP-5.2.1-1", "authorization_endpoint", m.AuthorizationEndpoint, malformed)
	l.https("SP-5.4.2-1", "jwks_uri", m.JWKSURI, malformed) // SP-5.4.2-1
	l.https("SP-5.2.1-1", "end_session_endpoint", m.EndSessionEndpoint, malformed)
	for _, e := range m.aliased() {
		l.https("SP-5.2.1-1", e.name, *e.url, malformed)
		l.https("SP-5.2.1-1", "mtls_endpoint_aliases."+e.name, *e.alias, malformed)
	}
	l.pages([2]string{"service_documentation", m.ServiceDocumentation}, [2]string{"op_policy_uri", m.OPPolicyURI}, [2]string{"op_tos_uri", m.OPTosURI})
	for _, e := range []struct{ clause, member, url string }{
		{"MD-2-2", "authorization_endpoint", m.AuthorizationEndpoint},
		{"MD-2-2", "token_endpoint", m.TokenEndpoint},
		{"PAR-2-2", "pushed_authorization_request_endpoint", m.PushedAuthorizationRequestEndpoint},
		{"MD-2-4", "jwks_uri", m.JWKSURI},
	} {
		l.unless(e.url == "" || syntax.Origin(e.url) == syntax.Origin(m.Issuer),
			Finding{e.clause, severityAdvice, e.member, e.member + " is not at the issuer's origin",
				"Serve it from the issuer's own host, or guard that other host's name, certificate and operators as well as the issuer's."})
	}
	for _, resource := range m.ProtectedResources { // PRM-4-1
		problem := syntax.HTTPSProblem(resource)
		l.unless(problem == "",
			Finding{"PRM-4-1", severityAdvice, "protected_resources", fmt.Sprintf("protected_resources: %.200q %s", resource, problem),
				"Name resources by https URLs: only those can have metadata of their own, to check this list against."})
	}
}

// usesMTLS says whether clients may have to show a certificate to the token endpoint.
func (m *ServerMetadata) usesMTLS() bool {
	return m.TLSClientCertificateBoundAccessTokens || haveOne(m.TokenEndpointAuthMethodsSupported, clientAuthMethods()[:2]...)
}

func (m *ServerMetadata) lintAliases(l *linter) {
	methods := map[string][]string{
		"pushed_authorization_request_endpoint": m.TokenEndpointAuthMethodsSupported, "token_endpoint": m.TokenEndpointAuthMethodsSupported,
		"introspection_endpoint": m.IntrospectionEndpointAuthMethodsSupported, "revocation_endpoint": m.RevocationEndpointAuthMethodsSupported,
	}
	if m.TLSClientCertificateBoundAccessTokens { // an endpoint at which clients show tokens, and their certificate with them
		methods["userinfo_endpoint"] = clientAuthMethods()
	}
	for _, e := range m.aliased() {
		member := "mtls_endpoint_aliases." + e.name
		// MTLS-5-1: it stands beside the endpoint's own URL, for those who show no certificate.
		l.unless(*e.alias == "" || *e.url != "", Finding{"MTLS-5-1", severityError, member, member + " is the alias of nothing",
			"Publish the endpoint itself as well, or leave the alias out."})
		l.unless(*e.alias == "" || *e.alias != *e.url, Finding{"MTLS-5-1", severityAdvice, member, member + " is the endpoint itself",
			"Leave the alias out: it only makes a difference as another URL."})
		if m.MTLSEndpointAliases == nil || *e.alias != "" || *e.url == "" || !haveOne(methods[e.name], clientAuthMethods()[:2]...) {
			continue
		}
		// MTLS-5-1: where there is no alias the ordinary URL holds, whose host asks for no certificate if it has aliases.
		l.unless(slices.Contains(methods[e.name], "private_key_jwt"),
			Finding{"MTLS-5-1", severityWarning, member, "no " + member + ", though mutual TLS is the only way in",
				"Publish an alias for each endpoint at which clients show a certificate, if there are aliases at all."})
		l.unless(!slices.Contains(methods[e.name], "private_key_jwt"),
			Finding{"MTLS-5-1", severityAdvice, member, "no " + member + ", though mutual TLS is a way in",
				"Publish the alias, or make sure that the endpoint's own host asks for certificates."})
	}
	token := m.ForMTLS().TokenEndpoint
	// SP-5.2.2.1-2
	l.unless(!m.usesMTLS() || !m.usesCode() || token == "" || syntax.Origin(token) != syntax.Origin(m.AuthorizationEndpoint),
		Finding{"SP-5.2.2.1-2", severityAdvice, "mtls_endpoint_aliases", "mutual TLS at the host that browsers go to",
			"Ask for certificates on another host or port and publish it in mtls_endpoint_aliases: browsers bother users with the question."})
}

func (m *ServerMetadata) lintGrantTypes(l *linter) {
	grants := m.GrantTypesSupported
	// MD-2-5: the default has implicit.
	l.unless(len(grants) > 0,
		Finding{"MD-2-5", severityError, "grant_types_supported", "no grant_types_supported: the default has implicit",
			"Publish the grant types that there are: authorization_code, refresh_token, client_credentials."})
	l.unless(m.usesCode() || slices.Contains(grants, "client_credentials"), Finding{"SP-5.3.2.1-N2", severityError, "grant_types_supported",
		"grant_types_supported has none of FAPI 2.0", "Serve authorization_code, or client_credentials where there is no user."}, unusable)
	// SP-5.3.2.1-2, BCP-2.1.2-1
	l.unless(!slices.Contains(grants, "password"),
		Finding{"SP-5.3.2.1-2", severityError, "grant_types_supported", "grant_types_supported has what FAPI 2.0 forbids: password",
			"Take the password grant away: no client may see a user's password."})
	l.unless(!slices.Contains(grants, "implicit"),
		Finding{"BCP-2.1.2-1", severityError, "grant_types_supported", "grant_types_supported has what FAPI 2.0 forbids: implicit",
			"Take the implicit grant away: it puts tokens that are bound to nothing into URLs."})
	l.unless(haveOnly(grants, "authorization_code", "refresh_token", "client_credentials", "password", "implicit", "urn:openid:params:grant-type:ciba"),
		Finding{"SP-5.3.2.1-N2", severityAdvice, "grant_types_supported", "grant_types_supported has more than what FAPI 2.0 was analysed with",
			"Hold further grant types to the same rules, client authentication and bound tokens above all, or leave them out."})
}

func (m *ServerMetadata) lintCode(l *linter) {
	types, methods := m.ResponseTypesSupported, m.CodeChallengeMethodsSupported
	switch { // MD-2-3
	case len(types) == 0:
		l.unless(false,
			Finding{"MD-2-3", severityError, "response_types_supported", "no response_types_supported", "Publish [\"code\"]: the member is required."}, malformed, unusable)
	case !slices.Contains(types, "code"):
		l.unless(false, Finding{"SP-5.3.2.2-1", severityError, "response_types_supported", "response_types_supported lacks code",
			"Serve the response type code, and publish it alone."}, unusable)
	case !slices.Equal(types, []string{"code"}):
		l.unless(false, Finding{"SP-5.3.2.2-1", severityError, "response_types_supported", "response_types_supported is not code alone",
			"Take implicit and hybrid response types away."})
	}
	switch { // MD-2-9: an absent list says that there is no PKCE, but clients can use it all the same.
	case methods != nil && !slices.Contains(methods, "S256"):
		l.unless(false,
			Finding{"SP-5.3.2.2-5", severityError, "code_challenge_methods_supported", "code_challenge_methods_supported lacks S256",
				"Require PKCE with S256, and publish it."}, unusable)
	case !slices.Equal(methods, []string{"S256"}):
		l.unless(false,
			Finding{"MD-2-9", severityError, "code_challenge_methods_supported", "code_challenge_methods_supported is not S256 alone",
				"Publish [\"S256\"]: plain gives the verifier away, and an absent list says that there is no PKCE."})
	}
	// ISS-2.3-2; ISS-3-1: absent is false, and then a mix-up of two servers goes unnoticed.
	l.unless(m.AuthorizationResponseIssParameterSupported,
		Finding{"ISS-2.3-2", severityError, "authorization_response_iss_parameter_supported",
			"authorization_response_iss_parameter_supported is not true", "Put iss into every authorization response, errors too, and publish true: absent means false."}, unusable)
}

// jarmModes are those in which responses are signed.
func jarmModes() []string { return []string{"jwt", "query.jwt", "form_post.jwt"} }

func (m *ServerMetadata) lintResponseModes(l *linter, p Profile) {
	modes := m.ResponseModesSupported
	// MD-2-6
	l.unless(len(modes) > 0,
		Finding{"MD-2-6", severityError, "response_modes_supported", "no response_modes_supported: the default has fragment",
			"Publish the response modes that there are: query, or jwt where responses are signed."})
	l.unless(modes == nil || haveOne(modes, "query", "jwt", "query.jwt"), Finding{"MD-2-6", severityError, "response_modes_supported",
		"response_modes_supported has neither query nor jwt", "Serve query, or jwt: they are what FAPI 2.0 clients ask for."}, unusable)
	l.unless(!haveOne(modes, "fragment", "fragment.jwt"),
		Finding{"MD-2-6", severityError, "response_modes_supported", "response_modes_supported has fragment",
			"Take fragment away: what is in a fragment stays in the browser's history and passes through scripts."})
	// MS-5.4.2-1
	l.unless(!haveOne(modes, "query.jwt", "form_post.jwt") || slices.Contains(modes, "jwt"),
		Finding{"MS-5.4.2-1", severityWarning, "response_modes_supported",
			"response_modes_supported lacks jwt", "Serve and publish jwt: it is the name that FAPI 2.0 clients use for query.jwt."})
	if !p.Has(SignedResponses) {
		return
	}
	// MS-5.4.1-1
	l.unless(haveOne(modes, jarmModes()...) || len(m.AuthorizationSigningAlgValuesSupported) > 0,
		Finding{"MS-5.4.1-1", severityError, "response_modes_supported",
			"no signed authorization responses", "Sign authorization responses (JARM), and publish jwt and authorization_signing_alg_values_supported."})
	l.unless(!haveOne(modes, "query", "form_post"),
		Finding{"MS-5.4.1-1", severityError, "response_modes_supported", "response_modes_supported has modes that are not signed",
			"Refuse query and form_post, and publish the .jwt modes alone: the profile requires signed responses of everybody."})
}

func (m *ServerMetadata) lintJARM(l *linter) {
	signed, algs := haveOne(m.ResponseModesSupported, jarmModes()...), len(m.AuthorizationSigningAlgValuesSupported) > 0
	// JARM-4-1, JARM-4-2
	l.unless(!signed || algs, Finding{"JARM-4-1", severityError, "authorization_signing_alg_values_supported",
		"response_modes_supported and authorization_signing_alg_values_supported disagree about signed responses",
		"Publish the algorithms that responses are signed with: RS256, which clients assume otherwise, is forbidden."})
	l.unless(signed || !algs, Finding{"JARM-4-2", severityError, "response_modes_supported",
		"response_modes_supported and authorization_signing_alg_values_supported disagree about signed responses",
		"Publish jwt among the response modes, or no algorithms for signed responses."})
}

func (m *ServerMetadata) lintRequests(l *linter, p Profile) {
	// JAR-10.4-1: whoever fetches what a client names can be sent anywhere. The default is true.
	l.unless(!m.RequestURIParameterSupported, Finding{"JAR-10.4-1", severityWarning, "request_uri_parameter_supported",
		"request_uri_parameter_supported is true or absent, which means true", "Publish false: pushed requests need no request_uri that a client hosts, and fetching one is a risk."})
	algs := len(m.RequestObjectSigningAlgValuesSupported) > 0
	if p.Has(SignedRequests) {
		// MS-5.3.1-1, JAR-10.5-1
		l.unless(m.RequireSignedRequestObject,
			Finding{"MS-5.3.1-1", severityError, "require_signed_request_object", "require_signed_request_object is not true",
				"Refuse requests that are not signed, and publish true: absent means false."})
		l.unless(algs,
			Finding{"JAR-4-5", severityError, "request_object_signing_alg_values_supported", "no request_object_signing_alg_values_supported, with signed requests demanded",
				"Publish the algorithms that request objects may be signed with."})
		return
	}
	l.unless(algs || !m.RequireSignedRequestObject, Finding{"JAR-10.5-1", severityWarning, "request_object_signing_alg_values_supported",
		"require_signed_request_object is true, without request_object_signing_alg_values_supported", "Publish the algorithms: a client cannot know what to sign with."})
}

func (m *ServerMetadata) lintClientAuthentication(l *linter) {
	const member, algsMember = "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported"
	methods, algs := m.TokenEndpointAuthMethodsSupported, m.TokenEndpointAuthSigningAlgValuesSupported
	if !haveOne(methods, clientAuthMethods()...) {
		// MD-2-7: absent is client_secret_basic.
		l.unless(false, Finding{"MD-2-7", severityError, member, member + " has none of FAPI 2.0",
			"Serve private_key_jwt, tls_client_auth or self_signed_tls_client_auth, and publish it: an absent list means client_secret_basic."}, unusable)
		return
	}
	if algs != nil && !haveOne(algs, jose.Algorithms()...) {
		var views []view
		if slices.Contains(methods, "private_key_jwt") && !haveOne(methods, clientAuthMethods()[:2]...) {
			views = append(views, unusable)
		}
		l.unless(false, Finding{"MD-2-8", severityError, algsMember, algsMember + " has none of FAPI 2.0",
			"Accept and publish PS256, ES256 or EdDSA: nothing else may sign an assertion."}, views...)
	}
}

// lintEndpointAuthentication: MD-2-7, MD-2-8, MD-2-10.
func (m *ServerMetadata) lintEndpointAuthentication(l *linter) {
	for _, e := range []struct {
		name, url     string
		methods, algs []string
	}{
		{"token", m.TokenEndpoint, m.TokenEndpointAuthMethodsSupported, m.TokenEndpointAuthSigningAlgValuesSupported},
		{"introspection", m.IntrospectionEndpoint, m.IntrospectionEndpointAuthMethodsSupported, m.IntrospectionEndpointAuthSigningAlgValuesSupported},
		{"revocation", m.RevocationEndpoint, m.RevocationEndpointAuthMethodsSupported, m.RevocationEndpointAuthSigningAlgValuesSupported},
	} {
		member, algsMember := e.name+"_endpoint_auth_methods_supported", e.name+"_endpoint_auth_signing_alg_values_supported"
		// SP-5.3.2.1-6, SP-5.3.2.1-3: no shared secrets, no public clients.
		l.unless(haveOnly(e.methods, clientAuthMethods()...) || e.name == "token" && !haveOne(e.methods, clientAuthMethods()...),
			Finding{"SP-5.3.2.1-6", severityError, member, member + " has what FAPI 2.0 forbids", "Take away everything but private_key_jwt, tls_client_auth and self_signed_tls_client_auth."})
		l.unless(len(e.algs) > 0 || !slices.Contains(e.methods, "private_key_jwt"), Finding{"MD-2-8", severityError, algsMember,
			"no " + algsMember + ", which private_key_jwt needs", "Publish the algorithms that assertions may be signed with."})
		// MD-2-8, SP-5.4.1-1.2, SP-5.4.1-1.3: not even listed, none and RS256 least of all.
		l.unless(e.name == "token" && !haveOne(e.algs, jose.Algorithms()...) || haveOnly(e.algs, jose.Algorithms()...),
			Finding{algorithmClause(e.algs...), severityError, algsMember, algsMember + " has what FAPI 2.0 forbids", "Accept and publish PS256, ES256 and EdDSA alone for assertions."})
		// MD-2-10
		l.unless(e.url != "" || e.methods == nil && e.algs == nil || e.name == "token",
			Finding{"MD-2-10", severityAdvice, member, member + " or its algorithms without " + e.name + "_endpoint",
				"Publish the endpoint, or leave the members about it out."})
	}
	l.unless(m.RevocationEndpoint == "" || len(m.RevocationEndpointAuthMethodsSupported) > 0,
		Finding{"MD-2-10", severityError, "revocation_endpoint_auth_methods_supported",
			"no revocation_endpoint_auth_methods_supported: the default is client_secret_basic", "Publish the methods, as for the token endpoint."})
	l.unless(m.IntrospectionEndpoint == "" || len(m.IntrospectionEndpointAuthMethodsSupported) > 0,
		Finding{"MD-2-10", severityWarning, "introspection_endpoint_auth_methods_supported",
			"no introspection_endpoint_auth_methods_supported, which has no default", "Publish the methods: a resource server has no other way to learn them."})
}

func (m *ServerMetadata) lintBinding(l *linter) {
	// SP-5.3.2.1-4, SP-5.3.2.1-5
	l.unless(m.TLSClientCertificateBoundAccessTokens || haveOne(m.DPoPSigningAlgValuesSupported, jose.Algorithms()...),
		Finding{"SP-5.3.2.1-4", severityError, "dpop_signing_alg_values_supported",
			"neither a FAPI 2.0 algorithm in dpop_signing_alg_values_supported nor tls_client_certificate_bound_access_tokens",
			"Bind access tokens by DPoP, by certificate or by both, and publish which."}, unusable)
}

// signatures lists what is signed, and whether by this server, so that its keys are needed.
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

type serverSignature struct {
	member string
	algs   []string
	ours   bool
}

func (m *ServerMetadata) signs() bool {
	return slices.ContainsFunc(m.signatures(), func(s serverSignature) bool { return s.ours && len(s.algs) > 0 })
}

func (m *ServerMetadata) lintSigning(l *linter) {
	for _, s := range m.signatures() {
		l.algorithms(s.member, s.algs) // SP-5.4.1-1.2
	}
	if slices.Contains(m.ScopesSupported, "openid") { // SP-5.3.2.3-1, OpenID Connect Discovery §3
		l.unless(len(m.IDTokenSigningAlgValuesSupported) > 0,
			Finding{"SP-5.3.2.3-1", severityError, "id_token_signing_alg_values_supported",
				"no id_token_signing_alg_values_supported, with scope openid", "Publish the algorithm of ID tokens, which is not RS256 here."})
		l.unless(len(m.SubjectTypesSupported) > 0, Finding{"SP-5.3.2.3-1", severityError, "subject_types_supported",
			"no subject_types_supported, with scope openid", "Publish public, pairwise or both."})
	}
	// OpenID Connect Core §5.3.1: the token comes of an authorization with that scope.
	l.unless(m.UserInfoEndpoint == "" || len(m.ScopesSupported) == 0 || slices.Contains(m.ScopesSupported, "openid"),
		Finding{"MD-2-11", severityWarning, "userinfo_endpoint", "userinfo_endpoint without scope openid, which tokens need there",
			"Publish openid among scopes_supported, or leave the endpoint out."})
}

func (m *ServerMetadata) lintIntrospection(l *linter, p Profile) {
	algs := len(m.IntrospectionSigningAlgValuesSupported) > 0
	l.unless(!algs || m.IntrospectionEndpoint != "", Finding{"INT-9701-7-1", severityWarning, "introspection_endpoint",
		"introspection_signing_alg_values_supported without introspection_endpoint", "Publish the endpoint, or leave the algorithms out."})
	if !p.Has(SignedIntrospection) {
		return
	}
	l.unless(m.IntrospectionEndpoint != "",
		Finding{"MS-5.5.1-1", severityError, "introspection_endpoint", "no introspection_endpoint, with signed introspection demanded",
			"Serve introspection and publish its URL, or do without this part of the profile."})
	// INT-9701-7-1
	l.unless(algs || m.IntrospectionEndpoint == "", Finding{"INT-9701-7-1", severityWarning, "introspection_signing_alg_values_supported",
		"no introspection_signing_alg_values_supported, with signed introspection demanded", "Publish the algorithms: RS256, which resource servers assume otherwise, is forbidden."})
}

func (m *ServerMetadata) lintEncryption(l *linter) {
	l.encryption("request_object_encryption_alg_values_supported", m.RequestObjectEncryptionAlgValuesSupported...)
	l.encryption("authorization_encryption_alg_values_supported", m.AuthorizationEncryptionAlgValuesSupported...)
	l.encryption("introspection_encryption_alg_values_supported", m.IntrospectionEncryptionAlgValuesSupported...)
	l.encryption("id_token_encryption_alg_values_supported", m.IDTokenEncryptionAlgValuesSupported...)
	// MS-6.1-1
	l.unless(len(m.AuthorizationEncryptionAlgValuesSupported) == 0,
		Finding{"MS-6.1-1", severityAdvice, "authorization_encryption_alg_values_supported",
			"authorization responses can be encrypted", "Do without unless somebody needs it: a code is worth nothing to those who see it."})
}

func (m *ServerMetadata) lintGrantManagement(l *linter) {
	actions := m.GrantManagementActionsSupported
	// GM-7.1-1
	l.unless(haveOnly(actions, "query", "revoke", "merge", "replace", "create"),
		Finding{"GM-7.1-1", severityWarning, "grant_management_actions_supported",
			"grant_management_actions_supported has an unknown action", "List query, revoke, merge, replace and create; update is an old name of merge."})
	l.unless(!haveOne(actions, "merge", "replace") || haveOne(actions, "create"),
		Finding{"GM-7.1-1", severityWarning, "grant_management_actions_supported",
			"grant_management_actions_supported has merge or replace, and no create", "List create, or say how else clients get the grants that they are to change."})
	for _, action := range []string{"query", "revoke"} {
		// GM-6.1-2
		l.unless(!haveOne(actions, action) || len(m.ScopesSupported) == 0 || haveOne(m.ScopesSupported, "grant_management_"+action),
			Finding{"GM-6.1-2", severityWarning, "scopes_supported", "scopes_supported lacks grant_management_" + action + ", with the action " + action,
				"List the scope, without which no token is good for the action."})
	}
	// GM-7.1-2
	l.unless(!haveOne(actions, "query", "revoke") || m.GrantManagementEndpoint != "",
		Finding{"GM-7.1-2", severityError, "grant_management_endpoint",
			"no grant_management_endpoint, with query or revoke", "Publish the endpoint at which grants are queried and revoked."})
	// GM-7.1-3
	l.unless(!m.GrantManagementActionRequired || haveOne(actions, "merge", "replace", "create"),
		Finding{"GM-7.1-3", severityWarning, "grant_management_action_required",
			"grant_management_action_required without an action that a request can have", "List the actions, or do not require one."})
}
