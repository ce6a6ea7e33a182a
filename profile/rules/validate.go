package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/profile"
)

// ErrRules reports a Set or a document that is malformed or that permits more
// than FAPI 2.0.
var ErrRules = errors.New("rules: unusable rules")

// These are what FAPI 2.0 and this module permit.
var (
	messageSigning = []string{"requests", "responses", "introspection"}
	clientMethods  = []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
	bindings       = []string{"DPoP", "mTLS"}
	endpoints      = []string{
		"pushed_authorization_request", "token", "introspection", "revocation", "userinfo", "grants", "resource",
	}
	signedModes   = []string{"jwt", "query.jwt", "form_post.jwt"}
	responseModes = append([]string{"query"}, signedModes...)
	subjectTypes  = []string{"public", "pairwise"}
	interactions  = []string{"echo", "make", "require"}
	acrRequests   = []string{"essential", "essential_without_values", "forbidden"}
	acrErrors     = []string{"access_denied", "unmet_authentication_requirements"}
)

const longestRequest = time.Hour // MS-5.3.1-3, MS-5.3.1-4

var (
	nameSyntax   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	memberSyntax = regexp.MustCompile(`^[A-Za-z0-9_:./-]{1,128}$`)
	codeSyntax   = regexp.MustCompile(`^[a-z_]{1,64}$`)
)

// Validate checks that the Set only narrows FAPI 2.0 and that its members agree
// with each other. The error contains every problem, and each matches
// [ErrRules].
func (s *Set) Validate() error {
	var found problems
	if !nameSyntax.MatchString(s.Name) {
		found.add("name", "%.64q is not 1 to 64 lower-case letters, digits, dots and hyphens", s.Name)
	}
	found.subset("message_signing", s.MessageSigning, messageSigning)
	found.subset("client_authentication", s.ClientAuthentication, clientMethods)
	found.subset("bindings", s.Bindings, bindings)
	found.subset("mutual_tls", s.MutualTLS, endpoints)
	found.subset("response_modes", s.ResponseModes, responseModes)
	found.subset("subject_types", s.SubjectTypes, subjectTypes)
	found.one("interaction_ids", s.InteractionIDs, interactions)
	if slices.Contains(s.MessageSigning, "responses") && slices.Contains(s.ResponseModes, "query") {
		found.add("response_modes", "query is not signed, and message_signing has responses")
	}
	found.names("token_members", s.TokenMembers, isMember)
	for _, name := range s.TokenMembers {
		if slices.Contains(tokenMembers, name) {
			found.add("token_members", "%s is a member of OAuth", name)
		}
	}
	s.Algorithms.check(&found)
	s.Encryption.check(&found)
	s.Lifetimes.check(&found)
	found.span("refresh_tokens.lifetime", s.RefreshTokens.Lifetime, time.Second, 10*365*24*time.Hour)
	s.Request.check(&found, s)
	s.Claims.check(&found)
	s.ACR.check(&found)
	if s.Intent != nil {
		s.Intent.check(&found)
	}
	s.checkMetadata(&found)
	return errors.Join(found...)
}

// tokenMembers are the members of token responses that have a meaning.
var tokenMembers = []string{
	"access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token", "authorization_details",
	"grant_id", "issued_token_type", "error", "error_description", "error_uri",
}

func (a *Algorithms) check(found *problems) {
	permitted := jose.Algorithms()
	found.subset("algorithms.signing", a.Signing, permitted)
	if len(a.Signing) > 0 {
		permitted = a.Signing
	}
	found.subset("algorithms.assertion", a.Assertion, permitted)
	found.subset("algorithms.request_object", a.RequestObject, permitted)
	found.subset("algorithms.id_token", a.IDToken, permitted)
	found.subset("algorithms.userinfo", a.UserInfo, permitted)
	if a.RSABits != 0 && (a.RSABits < 2048 || a.RSABits > 16384) { // SP-5.4.1-2
		found.add("algorithms.rsa_bits", "%d is not 2048 to 16384", a.RSABits)
	}
}

func (e *Encryption) check(found *problems) {
	for kind, rule := range map[string]Encrypted{
		"id_token": e.IDToken, "userinfo": e.UserInfo, "introspection": e.Introspection,
	} {
		path := "encryption." + kind
		found.subset(path+".alg", rule.Algorithms, jose.EncryptionAlgorithms())
		found.subset(path+".enc", rule.ContentEncryptions, jose.ContentEncryptions())
	}
}

func (l *Lifetimes) check(found *problems) {
	found.limit("lifetimes.request_object", l.RequestObject, longestRequest)
	found.limit("lifetimes.request_object_age", l.RequestObjectAge, longestRequest)
	found.limit("lifetimes.assertion", l.Assertion, time.Hour)
	found.span("lifetimes.request_uri", l.RequestURI, 5*time.Second, 599*time.Second) // SP-5.3.2.2-12
	found.span("lifetimes.code", l.Code, time.Second, time.Minute)                    // SP-5.3.2.1-11
	found.span("lifetimes.access_token", l.AccessToken, time.Second, 24*time.Hour)
}

// needed are parameters without which FAPI 2.0 has no authorization request.
var needed = []string{"client_id", "response_type", "redirect_uri", "code_challenge", "code_challenge_method"}

func (r *Request) check(found *problems, s *Set) {
	found.names("request.front_channel", r.FrontChannel, isMember)
	found.names("request.push_form", r.PushForm, isMember)
	found.names("request.scopes", r.Scopes, syntax.IsScope)
	if len(r.FrontChannel) > 0 {
		found.contains("request.front_channel", r.FrontChannel, "client_id", "request_uri")
	}
	methods := s.ClientAuthentication
	if len(r.PushForm) > 0 && (len(methods) == 0 || slices.Contains(methods, "private_key_jwt")) {
		found.contains("request.push_form", r.PushForm, "client_assertion", "client_assertion_type")
	}
	if len(r.PushForm) > 0 && slices.Contains(s.MessageSigning, "requests") {
		found.contains("request.push_form", r.PushForm, "request")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		path, rule := "request.parameters."+name, r.Parameters[name]
		if !isMember(name) {
			found.add("request.parameters", "%.128q is not the name of a parameter", name)
		}
		rule.check(found, path)
		if rule.Forbidden && slices.Contains(needed, name) {
			found.add(path, "FAPI 2.0 requires the parameter")
		}
	}
	for name, value := range map[string]string{"response_type": "code", "code_challenge_method": "S256"} {
		if values := r.Parameters[name].Values; len(values) > 0 && !slices.Equal(values, []string{value}) {
			found.add("request.parameters."+name, "FAPI 2.0 permits only %s", value)
		}
	}
	found.names("request.authorization_details.types", r.AuthorizationDetails.Types, isPresent)
	if r.AuthorizationDetails.Max < 0 {
		found.add("request.authorization_details.max", "%d is negative", r.AuthorizationDetails.Max)
	}
}

func (p *Parameter) check(found *problems, path string) {
	switch {
	case p.Forbidden && (p.Required || p.MinLength != 0 || p.MaxLength != 0 || len(p.Values) > 0):
		found.add(path, "forbidden, and permitted with conditions")
	case !p.Forbidden && !p.Required && p.MinLength == 0 && p.MaxLength == 0 && len(p.Values) == 0:
		found.add(path, "no rule")
	case p.MinLength < 0, p.MaxLength < 0, p.MaxLength != 0 && p.MinLength > p.MaxLength:
		found.add(path, "%d to %d characters is not a range", p.MinLength, p.MaxLength)
	case p.Error != "" && !codeSyntax.MatchString(p.Error):
		found.add(path+".error", "%.64q is not an error code", p.Error)
	}
	found.names(path+".values", p.Values, isPresent)
}

func (c *Claims) check(found *problems) {
	found.names("claims.supported", c.Supported, isPresent)
	found.names("claims.required", c.Required, isPresent)
	found.names("claims.essential", c.Essential, isPresent)
	for _, name := range slices.Sorted(maps.Keys(c.Top)) {
		switch rule := c.Top[name]; {
		case name == "" || name == "id_token" || name == "userinfo":
			found.add("claims.top", "%q has a meaning of its own", name)
		case rule.Min > rule.Max:
			found.add("claims.top."+name, "%d to %d is not a range", rule.Min, rule.Max)
		}
	}
}

func (a *ACR) check(found *problems) {
	found.names("acr.supported", a.Supported, syntax.IsScope) // acr_values separates them by spaces
	found.one("acr.request", a.Request, acrRequests)
	found.one("acr.unmet", a.Unmet, acrErrors)
}

// protocolClaims are claims of ID tokens that cannot name a consent.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "c_hash",
	"s_hash", "cnf",
}

func (i *Intent) check(found *problems) {
	places := 0
	for _, place := range []string{i.Scope, i.Claim, i.Detail} {
		if place != "" {
			places++
		}
	}
	switch {
	case places != 1:
		found.add("intent", "%d of scope, claim and detail are present, want one", places)
	case i.Scope != "" && !syntax.IsScope(i.Scope):
		found.add("intent.scope", "%.128q is not the beginning of a scope", i.Scope)
	case slices.Contains(protocolClaims, i.Claim):
		found.add("intent.claim", "%s has a meaning of its own", i.Claim)
	case i.Detail != "" && slices.Contains(strings.Split(i.Detail, "."), ""):
		found.add("intent.detail", "%.128q is not a path", i.Detail)
	}
}

// checkMetadata checks that the members have no field in the metadata, because
// a server computes the fields from its configuration.
func (s *Set) checkMetadata(found *problems) {
	for _, name := range slices.Sorted(maps.Keys(s.Metadata)) {
		document := profile.ServerMetadata{Other: map[string]json.RawMessage{name: s.Metadata[name]}}
		if _, err := document.MarshalJSON(); err != nil {
			found.add("metadata", "%w", err)
		}
	}
}

// problems collects errors that match ErrRules.
type problems []error

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%w: %s: %w", ErrRules, path, fmt.Errorf(format, args...)))
}

// subset checks that values are different and among permitted.
func (p *problems) subset(path string, values, permitted []string) {
	for i, value := range values {
		switch {
		case !slices.Contains(permitted, value):
			p.add(path, "%.64q is not among %q", value, permitted)
		case slices.Contains(values[:i], value):
			p.add(path, "%q is repeated", value)
		}
	}
}

func isMember(name string) bool { return memberSyntax.MatchString(name) }

func isPresent(value string) bool { return value != "" }

// names checks that values are different and in their syntax.
func (p *problems) names(path string, values []string, is func(string) bool) {
	for i, value := range values {
		switch {
		case !is(value):
			p.add(path, "%.128q is malformed", value)
		case slices.Contains(values[:i], value):
			p.add(path, "%.128q is repeated", value)
		}
	}
}

func (p *problems) one(path, value string, permitted []string) {
	if value != "" {
		p.subset(path, []string{value}, permitted)
	}
}

func (p *problems) contains(path string, values []string, wanted ...string) {
	for _, name := range wanted {
		if !slices.Contains(values, name) {
			p.add(path, "%s is missing, and a request needs it", name)
		}
	}
}

// limit checks a span that has only a longest duration.
func (p *problems) limit(path string, s Span, longest time.Duration) {
	if s.Min != 0 {
		p.add(path, "a shortest duration has no meaning here")
	}
	p.span(path, s, time.Second, longest)
}

func (p *problems) span(path string, s Span, shortest, longest time.Duration) {
	if s == (Span{}) {
		return
	}
	for _, end := range []time.Duration{s.Min, s.Max} {
		if end != 0 && (end < shortest || end > longest || end%time.Second != 0) {
			p.add(path, "%v is not a number of seconds from %v to %v", end, shortest, longest)
		}
	}
	if s.Max != 0 && s.Min > s.Max {
		p.add(path, "%v is not a range", s)
	}
}
