package profile

import (
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
)

// Lint returns the defects of a resource server's metadata document, errors
// first. All profiles have the same findings, because Message Signing does not
// concern requests to a resource server. Lint does not connect to the server.
// It never changes m and is safe for concurrent use.
func (m *ResourceMetadata) Lint(Profile) []Finding { return findings(m.rules()) }

func (m *ResourceMetadata) rules() []rule {
	return slices.Concat(m.identityRules(), m.bindingRules(), m.signingRules(),
		scopeRules("PRM-2-3", m.ScopesSupported),
		// PRM-2-7
		pageRules([2]string{"resource_documentation", m.ResourceDocumentation},
			[2]string{"resource_policy_uri", m.ResourcePolicyURI}, [2]string{"resource_tos_uri", m.ResourceTosURI}),
		documentRules("PRM-3.2-1", m, m.dropped))
}

func (m *ResourceMetadata) identityRules() []rule {
	problem := resourceProblem(m.Resource)
	rules := []rule{
		{"PRM-2-1", malformed, "resource", problem, "Identify the API by an https URL without fragment."},
		{"PRM-3-1", advice, "resource",
			when(problem == nil && strings.Contains(m.Resource, "?"), "query in the resource"),
			"Identify the API by host and path: many servers ignore the query of the well-known URL."},
		{"PRM-2-2", advice, "authorization_servers",
			when(len(m.AuthorizationServers) == 0, "missing authorization_servers"),
			"List the issuers of accepted tokens, so that a client can confirm its configured issuer."},
	}
	for _, issuer := range m.AuthorizationServers {
		rules = append(rules, rule{"PRM-2-2", malformed, "authorization_servers", issuerProblem(issuer),
			"Name each server by the issuer identifier in its own metadata."})
	}
	// PRM-2-3
	return append(rules, httpsRule("SP-5.4.2-1", malformed, "jwks_uri", m.JWKSURI))
}

// bindingRules are the rules for access tokens: how the API receives them, and
// what binds them to the sender.
func (m *ResourceMetadata) bindingRules() []rule {
	const member, required = "bearer_methods_supported", "dpop_bound_access_tokens_required"
	methods := m.BearerMethodsSupported
	dpop := hasAny(m.DPoPSigningAlgValuesSupported, jose.Algorithms()...)
	mtls, dpopOnly := m.TLSClientCertificateBoundAccessTokens, m.DPoPBoundAccessTokensRequired
	return []rule{
		{"PRM-2-4", advice, member,
			when(methods == nil, "missing %s, which has no default", member), `Publish ["header"].`},
		// An empty list means that the API accepts no bearer tokens. That is
		// true of an API that requires DPoP.
		{"SP-5.3.4-1", forbidden, member,
			when(len(methods) > 0 && !slices.Contains(methods, "header"), "%s without header", member),
			`Accept access tokens in the Authorization header, and publish ["header"].`},
		{"SP-5.3.4-2", forbidden, member, when(slices.Contains(methods, "query"), "%s with query", member),
			"Reject access tokens in the query, because logs and histories store URLs."},
		{"PRM-2-4", warning, member, when(!hasOnly(methods, "header", "query"), "%s with more than header", member),
			`Publish only ["header"]: FAPI 2.0 clients send access tokens in no other way.`},
		// PRM-2-6
		{"SP-5.3.4-5", forbidden, required,
			when(!dpop && !mtls && !dpopOnly, "missing binding of access tokens by DPoP or certificate"),
			"Accept only tokens that are bound by DPoP or by certificate, and publish which."},
		{"PRM-2-6", warning, required,
			when(dpop && !mtls && !dpopOnly, "%s is not true, and DPoP is the only binding", required),
			"Publish true: absent means that the API accepts unbound tokens."},
		{"PRM-2-6", warning, required,
			when(mtls && dpopOnly, "%s together with tls_client_certificate_bound_access_tokens", required),
			"Remove one: both together exclude tokens that are bound only to a certificate."},
		{"PRM-2-6", warning, "dpop_signing_alg_values_supported",
			when(dpopOnly && len(m.DPoPSigningAlgValuesSupported) == 0,
				"%s without dpop_signing_alg_values_supported", required),
			"Publish the algorithms with which clients may sign proofs."},
	}
}

func (m *ResourceMetadata) signingRules() []rule {
	const member = "resource_signing_alg_values_supported"
	algorithms := m.ResourceSigningAlgValuesSupported
	others := slices.DeleteFunc(slices.Clone(algorithms), func(alg string) bool { return alg == "none" })
	return []rule{
		algorithmRule("dpop_signing_alg_values_supported", m.DPoPSigningAlgValuesSupported),
		{"PRM-2-5", malformed, member, when(slices.Contains(algorithms, "none"), "none in %s", member),
			"Sign the responses, or remove the member."},
		algorithmRule(member, others),
		{"PRM-2-3", warning, "jwks_uri", when(len(algorithms) > 0 && m.JWKSURI == "", "%s without jwks_uri", member),
			"Publish the keys with which the API signs."},
	}
}
