package rules

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile"
)

// A Set is the rules of one version of an ecosystem. A zero member adds no
// rule, so the zero Set is FAPI 2.0 itself. It is a plain value. Do not change
// it while a role uses it.
type Set struct {
	// Name identifies the ecosystem, for example "uk-obl": 1 to 64 lower-case
	// letters, digits, dots and hyphens.
	Name string `json:"name"`
	// Title is the name for people.
	Title string `json:"title,omitempty"`
	// Version is the version of the ecosystem's text.
	Version string `json:"version,omitempty"`
	// Sources are the texts from which the rules come. The key is the path of a
	// member, for example "lifetimes.access_token", and covers all members
	// below it. Parse requires a source for each member.
	Sources map[string]string `json:"sources,omitempty"`
	// Host are the duties of the host that no member expresses, as sentences.
	Host []string `json:"host,omitempty"`
	// Open are the questions that the texts left open, as sentences.
	Open []string `json:"open,omitempty"`

	// MessageSigning adds parts of FAPI 2.0 Message Signing: "requests",
	// "responses", "introspection".
	MessageSigning []string `json:"message_signing,omitempty"`
	// ClientAuthentication are the permitted methods: private_key_jwt,
	// tls_client_auth, self_signed_tls_client_auth.
	ClientAuthentication []string `json:"client_authentication,omitempty"`
	// Bindings are the permitted bindings of tokens: "DPoP", "mTLS".
	Bindings []string `json:"bindings,omitempty"`
	// MutualTLS are the endpoints at which a client must present a certificate,
	// whatever its authentication and its binding. The names are those of
	// [profile.Event].Endpoint: pushed_authorization_request, token,
	// introspection, revocation, userinfo, grants, resource. The certificate
	// must fit the registration if the client authenticates with it.
	MutualTLS []string `json:"mutual_tls,omitempty"`
	// ResponseModes are the permitted response modes: query, jwt, query.jwt,
	// form_post.jwt.
	ResponseModes []string `json:"response_modes,omitempty"`
	// SubjectTypes are the permitted subject types: public, pairwise.
	SubjectTypes []string `json:"subject_types,omitempty"`
	// InteractionIDs is the least treatment of x-fapi-interaction-id: echo,
	// make or require. See authserver.Config.InteractionIDs. A server may be
	// stricter. If the member is present, clients send the header field.
	InteractionIDs string `json:"interaction_ids,omitempty"`

	// Algorithms are the permitted signature algorithms.
	Algorithms Algorithms `json:"algorithms,omitzero"`
	// Encryption are the rules for encrypted responses.
	Encryption Encryption `json:"encryption,omitzero"`
	// Lifetimes are the permitted lifetimes.
	Lifetimes Lifetimes `json:"lifetimes,omitzero"`
	// RefreshTokens are the rules for refresh tokens.
	RefreshTokens RefreshTokens `json:"refresh_tokens,omitzero"`
	// Request are the rules for authorization requests.
	Request Request `json:"request,omitzero"`
	// Claims are the rules for the claims parameter, ID tokens and UserInfo.
	Claims Claims `json:"claims,omitzero"`
	// ACR are the rules for authentication context classes.
	ACR ACR `json:"acr,omitzero"`
	// Intent is where a request names a consent that exists before it. If nil,
	// requests name none.
	Intent *Intent `json:"intent,omitempty"`
	// TokenMembers are members of the ecosystem that each response of the token
	// endpoint for an authorization must contain.
	TokenMembers []string `json:"token_members,omitempty"`
	// Metadata are further members that the server's metadata must contain,
	// with these values. They must be members without a field in
	// [profile.ServerMetadata].
	Metadata map[string]json.RawMessage `json:"metadata,omitempty"`
}

// Profile returns the parts of FAPI 2.0 Message Signing that the Set adds.
func (s *Set) Profile() (p profile.Profile) {
	for name, part := range map[string]profile.Profile{
		"requests": profile.SignedRequests, "responses": profile.SignedResponses,
		"introspection": profile.SignedIntrospection,
	} {
		if slices.Contains(s.MessageSigning, name) {
			p |= part
		}
	}
	return p
}

// Permits reports whether a list of a Set permits a value. An empty list
// permits all values.
func Permits(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

// Algorithms are signature algorithms of FAPI 2.0: PS256, ES256, EdDSA,
// Ed25519. An empty list permits all that Signing permits.
type Algorithms struct {
	// Signing applies to every use, also to proofs.
	Signing []string `json:"signing,omitempty"`
	// These apply to one use, and must be among Signing.
	Assertion     []string `json:"assertion,omitempty"`
	RequestObject []string `json:"request_object,omitempty"`
	IDToken       []string `json:"id_token,omitempty"`
	UserInfo      []string `json:"userinfo,omitempty"`
	// RSABits is the least size of RSA keys, at least 2048.
	RSABits int `json:"rsa_bits,omitempty"`
}

// For returns the permitted algorithms of one use, which is a list of a. An
// empty list stands for Signing, which applies to a use without a list. If both
// are empty, For returns all algorithms of FAPI 2.0. Do not change the result.
func (a *Algorithms) For(use []string) []string {
	if permitted, _ := a.of(use, ""); len(permitted) > 0 {
		return permitted
	}
	return jose.Algorithms()
}

// of returns the permitted algorithms of one use and their path. Without a rule
// it returns none.
func (a *Algorithms) of(use []string, path string) ([]string, string) {
	if len(use) > 0 {
		return use, "algorithms." + path
	}
	return a.Signing, "algorithms.signing"
}

// Encryption are the rules for responses that the server encrypts.
type Encryption struct {
	// IDToken is for ID tokens.
	IDToken Encrypted `json:"id_token,omitzero"`
	// UserInfo is for UserInfo responses.
	UserInfo Encrypted `json:"userinfo,omitzero"`
	// Introspection is for introspection responses.
	Introspection Encrypted `json:"introspection,omitzero"`
}

// Encrypted is the rule for one kind of encrypted response.
type Encrypted struct {
	// Required means that clients must be registered for encryption.
	Required bool `json:"required,omitempty"`
	// Algorithms are the permitted key management algorithms, and
	// ContentEncryptions the permitted content encryption algorithms. An empty
	// list permits all that this module supports.
	Algorithms         []string `json:"alg,omitempty"`
	ContentEncryptions []string `json:"enc,omitempty"`
}

// Lifetimes are ranges of lifetimes. A server uses its configured lifetime, or
// the nearest that the range permits.
type Lifetimes struct {
	// RequestObject is the longest time between nbf and exp of a request
	// object, and RequestObjectAge the longest time since nbf. FAPI 2.0 permits
	// 60 minutes.
	RequestObject    Span `json:"request_object,omitzero"`
	RequestObjectAge Span `json:"request_object_age,omitzero"`
	// RequestURI is the lifetime of a request_uri, less than 600 seconds.
	RequestURI Span `json:"request_uri,omitzero"`
	// Code is the lifetime of an authorization code, at most 60 seconds.
	Code Span `json:"code,omitzero"`
	// AccessToken is the lifetime of an access token.
	AccessToken Span `json:"access_token,omitzero"`
	// Assertion is the longest time until the exp of a client assertion.
	Assertion Span `json:"assertion,omitzero"`
}

// A Span is a range of durations, both ends included. A zero end is open. In
// JSON it is the longest duration, "10m", or an array of both, ["60s", "90s"].
type Span struct {
	// Min and Max are the ends, in whole seconds.
	Min, Max time.Duration
}

// RefreshTokens are the rules for refresh tokens.
type RefreshTokens struct {
	// Required means that clients of the authorization_code grant must be
	// registered for refresh_token.
	Required bool `json:"required,omitempty"`
	// EndWithConsent means that an approval must have an end
	// (authserver.Approval.Expires) if the client receives a refresh token.
	EndWithConsent bool `json:"end_with_consent,omitempty"`
	// Lifetime is the range of lifetimes.
	Lifetime Span `json:"lifetime,omitzero"`
}

// Request are the rules for authorization requests.
type Request struct {
	// FrontChannel are the only parameters that the browser may bring to the
	// authorization endpoint.
	FrontChannel []string `json:"front_channel,omitempty"`
	// PushForm are the only parameters in the form of a pushed request. With
	// signed requests, all others are in the request object.
	PushForm []string `json:"push_form,omitempty"`
	// Parameters are the rules for single parameters, by name.
	Parameters map[string]Parameter `json:"parameters,omitempty"`
	// Scopes are scopes that each request must contain.
	Scopes []string `json:"scopes,omitempty"`
	// AuthorizationDetails are the rules for rich authorization requests.
	AuthorizationDetails AuthorizationDetails `json:"authorization_details,omitzero"`
}

// A Parameter is the rule for one parameter of authorization requests.
type Parameter struct {
	// Required means that each request must have the parameter.
	Required bool `json:"required,omitempty"`
	// Forbidden means that no request may have it.
	Forbidden bool `json:"forbidden,omitempty"`
	// MinLength and MaxLength count Unicode characters.
	MinLength int `json:"min_length,omitempty"`
	MaxLength int `json:"max_length,omitempty"`
	// Values are the only permitted values.
	Values []string `json:"values,omitempty"`
	// Error is the OAuth error code of a violation. The default is
	// invalid_request.
	Error string `json:"error,omitempty"`
}

// AuthorizationDetails are the rules for the parameter authorization_details
// (RFC 9396).
type AuthorizationDetails struct {
	// Required means that each request must contain a detail.
	Required bool `json:"required,omitempty"`
	// Types are the permitted types.
	Types []string `json:"types,omitempty"`
	// Max is the greatest number of details in a request.
	Max int `json:"max,omitempty"`
}

// Claims are the rules for the claims parameter (OpenID Connect Core §5.5), ID
// tokens and UserInfo responses.
type Claims struct {
	// Supported are claims of which the server must support at least one, and
	// Required are those of which it must support each.
	Supported []string `json:"supported,omitempty"`
	Required  []string `json:"required,omitempty"`
	// OnlyRequested means that ID tokens contain no claim about the user that
	// the client did not request, and UserInfo responses neither.
	OnlyRequested bool `json:"only_requested,omitempty"`
	// Essential are claims that a request must request as essential if it
	// requests any claim for the ID token.
	Essential []string `json:"essential,omitempty"`
	// Top are the rules for members of the claims parameter beside id_token
	// and userinfo, by name. Their values are integers.
	Top map[string]Integer `json:"top,omitempty"`
}

// An Integer is the rule for a JSON integer.
type Integer struct {
	// Required means that each request must have the member.
	Required bool `json:"required,omitempty"`
	// Min and Max are the ends of the range, both included.
	Min int64 `json:"min,omitempty"`
	Max int64 `json:"max,omitempty"`
}

// ACR are the rules for authentication context classes.
type ACR struct {
	// Supported are classes that the server must support.
	Supported []string `json:"supported,omitempty"`
	// Request is how a request names classes: "essential" means that claims
	// requests acr as essential for the ID token, "essential_without_values"
	// that it does so without value and values, and "forbidden" that neither
	// claims nor acr_values names any. The default is any form or none.
	Request string `json:"request,omitempty"`
	// InIDToken means that each ID token contains acr.
	InIDToken bool `json:"in_id_token,omitempty"`
	// Unmet is the error code of an essential acr that no login satisfies:
	// access_denied or unmet_authentication_requirements. The default is
	// unmet_authentication_requirements.
	Unmet string `json:"unmet,omitempty"`
}

// An Intent is the place of an authorization request that has the identifier of
// a consent. The client has made the consent at an endpoint of the host before.
// Exactly one of Scope, Claim and Detail is set. With an Intent, no request
// merges permissions into a grant (Grant Management for OAuth 2.0), because
// each consent has its own end.
type Intent struct {
	// Scope is the prefix of a scope. With "consent:", the scope
	// "consent:urn:bank:C1" names the consent "urn:bank:C1". The registration
	// of the client does not contain such a scope. The function
	// authserver.Config.Intent knows the client of each consent.
	Scope string `json:"scope,omitempty"`
	// Claim is a claim that the request requests for the ID token, with the
	// identifier as its value. The ID token contains it. A request for UserInfo
	// responses alone is malformed.
	Claim string `json:"claim,omitempty"`
	// Detail is the path of a member of an authorization detail, for example
	// "consent.ConsentId".
	Detail string `json:"detail,omitempty"`
	// Required means that each request must name exactly one consent.
	// Otherwise it names at most one.
	Required bool `json:"required,omitempty"`
}
