package profile

import (
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
)

// Lint looks at the published document of a protected resource, one's own or a foreign one, as somebody who is about to
// deploy it under FAPI 2.0, and returns what it finds, errors first; nothing, if there is nothing to say. The parts of FAPI
// 2.0 Message Signing are between client, authorization server and introspection, so that every profile judges alike. Lint
// reads the document alone and asks nobody. It never changes m and is safe for concurrent use.
func (m *ResourceMetadata) Lint(p Profile) []Finding { return m.lint(p).findings() }

func (m *ResourceMetadata) lint(Profile) *linter {
	l := new(linter)
	m.lintIdentity(l)
	m.lintBinding(l)
	m.lintSigning(l)
	l.scopes("PRM-2-3", m.ScopesSupported)
	l.pages([2]string{"resource_documentation", m.ResourceDocumentation}, [2]string{"resource_policy_uri", m.ResourcePolicyURI},
		[2]string{"resource_tos_uri", m.ResourceTosURI}) // PRM-2-7
	l.emptyLists("PRM-3.2-1", m)
	l.droppedMembers("PRM-3.2-1", m.dropped)
	return l
}

func (m *ResourceMetadata) lintIdentity(l *linter) {
	_, err := m.URL() // PRM-2-1
	if err != nil {
		l.because(problemOf(err), Finding{Clause: "PRM-2-1", Severity: severityError, Member: "resource",
			Mend: "Identify the API by an https URL without fragment."}, malformed)
	}
	l.unless(err != nil || !strings.Contains(m.Resource, "?"), Finding{"PRM-3-1", severityAdvice, "resource", "the resource has a query",
		"Identify the API by scheme, host and path: the query becomes part of the well-known URL, which many servers cannot tell apart by it."})
	// PRM-2-2
	l.unless(len(m.AuthorizationServers) > 0, Finding{"PRM-2-2", severityAdvice, "authorization_servers", "no authorization_servers",
		"Name the issuers whose tokens the API takes: a client can then confirm the one that it is configured for."})
	for _, issuer := range m.AuthorizationServers {
		if err := CheckIssuer(issuer); err != nil {
			l.because(problemOf(err), Finding{Clause: "PRM-2-2", Severity: severityError, Member: "authorization_servers",
				Mend: "Name each server by its issuer identifier, as its own metadata has it."}, malformed)
		}
	}
	l.https("SP-5.4.2-1", "jwks_uri", m.JWKSURI, malformed) // PRM-2-3, SP-5.4.2-1
}

// lintBinding is about how a token comes to the API and what proves that it is the sender's.
func (m *ResourceMetadata) lintBinding(l *linter) {
	const member = "bearer_methods_supported"
	methods := m.BearerMethodsSupported
	// PRM-2-4, SP-5.3.4-1, SP-5.3.4-2
	l.unless(methods != nil, Finding{"PRM-2-4", severityAdvice, member, "no " + member + ", which has no default", "Publish [\"header\"]."})
	// An empty list says that bearer tokens are not taken at all, which is true of an API that wants DPoP.
	l.unless(len(methods) == 0 || slices.Contains(methods, "header"), Finding{"SP-5.3.4-1", severityError, member, member + " lacks header",
		"Take access tokens in the Authorization header, and publish [\"header\"]."})
	l.unless(!slices.Contains(methods, "query"), Finding{"SP-5.3.4-2", severityError, member, member + " has query",
		"Refuse access tokens in the query: URLs end up in logs and histories."})
	l.unless(haveOnly(methods, "header", "query"), Finding{"PRM-2-4", severityWarning, member, member + " has more than header",
		"Publish [\"header\"] alone: FAPI 2.0 clients send access tokens in no other way."})
	dpop, mtls := haveOne(m.DPoPSigningAlgValuesSupported, jose.Algorithms()...), m.TLSClientCertificateBoundAccessTokens
	// SP-5.3.4-5, PRM-2-6
	l.unless(dpop || mtls || m.DPoPBoundAccessTokensRequired, Finding{"SP-5.3.4-5", severityError, "dpop_bound_access_tokens_required",
		"neither dpop_bound_access_tokens_required, dpop_signing_alg_values_supported nor tls_client_certificate_bound_access_tokens",
		"Take only tokens that are bound, by DPoP, by certificate or by both, and publish which."})
	l.unless(!dpop || mtls || m.DPoPBoundAccessTokensRequired, Finding{"PRM-2-6", severityWarning, "dpop_bound_access_tokens_required",
		"dpop_bound_access_tokens_required is not true, and no other binding is there", "Publish true: absent means that tokens are taken which are bound to nothing."})
	l.unless(!mtls || !m.DPoPBoundAccessTokensRequired, Finding{"PRM-2-6", severityWarning, "dpop_bound_access_tokens_required",
		"dpop_bound_access_tokens_required excludes the tls_client_certificate_bound_access_tokens that are announced too",
		"Leave one out: with both true a token that is bound to a certificate alone is not taken."})
	l.unless(len(m.DPoPSigningAlgValuesSupported) > 0 || !m.DPoPBoundAccessTokensRequired,
		Finding{"PRM-2-6", severityWarning, "dpop_signing_alg_values_supported",
			"dpop_bound_access_tokens_required without dpop_signing_alg_values_supported", "Publish the algorithms that proofs may be signed with."})
}

func (m *ResourceMetadata) lintSigning(l *linter) {
	l.algorithms("dpop_signing_alg_values_supported", m.DPoPSigningAlgValuesSupported) // SP-5.4.1-1.2
	algs := m.ResourceSigningAlgValuesSupported
	// PRM-2-5
	l.unless(!slices.Contains(algs, "none"),
		Finding{"PRM-2-5", severityError, "resource_signing_alg_values_supported", "resource_signing_alg_values_supported has none",
			"Sign what is announced as signed."}, malformed)
	l.algorithms("resource_signing_alg_values_supported", slices.DeleteFunc(slices.Clone(algs), func(alg string) bool { return alg == "none" }))
	l.unless(len(algs) == 0 || m.JWKSURI != "",
		Finding{"PRM-2-3", severityWarning, "jwks_uri", "no jwks_uri, with resource_signing_alg_values_supported",
			"Publish the keys of the API: those who check its signatures need them."})
}
