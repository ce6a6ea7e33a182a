package authserver

import (
	"maps"
	"reflect"
	"slices"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
)

// Metadata returns a copy of the metadata of the server (RFC 8414). It names
// the authorization endpoint even without Config.Interact. A host that does not
// serve an endpoint, or a grant type, removes it from the copy and serves that.
func (s *Server) Metadata() *profile.ServerMetadata {
	m := s.ownMetadata()
	if s.cfg.Metadata == nil {
		return m
	}
	s.cfg.Metadata(m)
	// The function may have changed the elements of a list as well.
	fixed := s.ownMetadata()
	if fixed.Other != nil && m.Other != nil { // the members of the rules, and those of the host
		maps.Copy(m.Other, fixed.Other)
		fixed.Other = m.Other
	}
	all, own := reflect.ValueOf(m).Elem(), reflect.ValueOf(fixed).Elem()
	for i := range all.NumField() {
		if field := all.Field(i); field.CanSet() && !own.Field(i).IsZero() {
			field.Set(own.Field(i))
		}
	}
	m.RequestURIParameterSupported = false // published also if false
	return m
}

// ownMetadata returns the metadata without what [Config.Metadata] adds.
func (s *Server) ownMetadata() *profile.ServerMetadata {
	// BCP-2.6-1, MD-2-12
	e := s.cfg.Endpoints
	m := &profile.ServerMetadata{
		Issuer:                             s.cfg.Issuer,
		AuthorizationEndpoint:              s.endpoint(e.Authorization),
		TokenEndpoint:                      s.endpoint(e.Token),
		JWKSURI:                            s.endpoint(e.JWKS), // SP-5.4.2-R1
		PushedAuthorizationRequestEndpoint: s.endpoint(e.PushedAuthorizationRequest),
		RequirePushedAuthorizationRequests: true, // PAR-5-1
		ResponseTypesSupported:             []string{"code"},
		GrantTypesSupported:                []string{"authorization_code", "refresh_token", "client_credentials"},
		CodeChallengeMethodsSupported:      []string{pkce.MethodS256}, // BCP-2.1.1-5
		ScopesSupported:                    slices.Clone(s.cfg.Scopes),
		TokenEndpointAuthMethodsSupported:  []string{clientauth.MethodPrivateKeyJWT},

		TokenEndpointAuthSigningAlgValuesSupported: s.clients.Algorithms(),
		DPoPSigningAlgValuesSupported:              s.tokenProofs.Algorithms(), // DPOP-5.1-1
		AuthorizationResponseIssParameterSupported: true,                       // ISS-2.3-2
		ProtectedResources:                         append(slices.Clone(s.cfg.Resources), s.ownResources()...),
		ACRValuesSupported:                         slices.Clone(s.cfg.ACRValues), // SU-7-1
	}
	if s.cfg.MutualTLS != nil {
		m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported,
			clientauth.MethodTLSClientAuth, clientauth.MethodSelfSignedTLSClientAuth)
		m.TLSClientCertificateBoundAccessTokens = true // MTLS-3.3-1
	}
	s.signingMetadata(m)
	s.endpointMetadata(m)
	s.encryptionMetadata(m)
	s.aliasMetadata(m)
	if len(s.cfg.Claims) > 0 {
		m.ClaimsSupported, m.ClaimsParameterSupported = slices.Clone(s.cfg.Claims), true
	}
	if slices.Contains(s.cfg.Scopes, "openid") {
		m.SubjectTypesSupported = s.cfg.subjectTypes(s.cfg.rules()) // CA-OIDC-8-1
		m.IDTokenSigningAlgValuesSupported = s.algorithms()
	}
	s.narrowMetadata(m)
	return m
}

// endpointMetadata is what Metadata says of the endpoints after the token
// endpoint, and of what goes with them.
func (s *Server) endpointMetadata(m *profile.ServerMetadata) {
	// REV-2-3: under the issuer, which is https
	m.RevocationEndpoint = s.endpoint(s.cfg.Endpoints.Revocation)
	m.RevocationEndpointAuthMethodsSupported = slices.Clone(m.TokenEndpointAuthMethodsSupported) // MD-2-10
	m.RevocationEndpointAuthSigningAlgValuesSupported = s.clients.Algorithms()
	if s.userInfo != nil {
		m.UserInfoEndpoint = s.endpoint(s.cfg.Endpoints.UserInfo)
		m.UserInfoSigningAlgValuesSupported = s.algorithms()
	}
	if s.cfg.AuthorizationDetails != nil {
		m.AuthorizationDetailsTypesSupported = s.cfg.AuthorizationDetails.Types() // RAR-10-1
	}
	if s.grants != nil {
		m.GrantManagementActionsSupported = s.grants.Actions()         // GM-7.1-1
		m.GrantManagementEndpoint = s.endpoint(s.cfg.Endpoints.Grants) // GM-6.2-1, GM-7.1-2
		m.GrantManagementActionRequired = s.grants.ActionRequired()    // GM-7.1-3
	}
}

// aliasMetadata gives each endpoint that clients call its URL at the
// MTLSBaseURL, if there is one. SP-5.2.2.1-2
func (s *Server) aliasMetadata(m *profile.ServerMetadata) {
	if s.cfg.aliasURL("/") == "" {
		return
	}
	e := s.cfg.Endpoints
	alias := func(endpoint, path string) string {
		if endpoint == "" { // MTLS-5-1: an alias of nothing
			return ""
		}
		return s.cfg.aliasURL(path)
	}
	m.MTLSEndpointAliases = &profile.MTLSEndpointAliases{
		TokenEndpoint:                      alias(m.TokenEndpoint, e.Token),
		PushedAuthorizationRequestEndpoint: alias(m.PushedAuthorizationRequestEndpoint, e.PushedAuthorizationRequest),
		IntrospectionEndpoint:              alias(m.IntrospectionEndpoint, e.Introspection),
		RevocationEndpoint:                 alias(m.RevocationEndpoint, e.Revocation),
		UserInfoEndpoint:                   alias(m.UserInfoEndpoint, e.UserInfo),
		GrantManagementEndpoint:            alias(m.GrantManagementEndpoint, e.Grants),
	}
}
