package fapiotel

import (
	_ "embed"
	"iter"
	"strings"

	"github.com/gofapi/fapi2/profile"
	"go.opentelemetry.io/otel/attribute"
)

// These are the keys of the attributes of metrics.
const (
	keyEndpoint   = attribute.Key("fapi2.endpoint")
	keyOutcome    = attribute.Key("fapi2.outcome")
	keyGrantType  = attribute.Key("fapi2.grant_type")
	keyClientAuth = attribute.Key("fapi2.client_auth")
	keyBinding    = attribute.Key("fapi2.binding")
	keyError      = attribute.Key("fapi2.error")
	keyReason     = attribute.Key("fapi2.reason")
	keyOperation  = attribute.Key("fapi2.store.operation")
	keySystem     = attribute.Key("fapi2.store.system")
)

// These are outcomes of events that the code depends on.
const (
	success  = "success"
	rejected = "rejected"
	failed   = "failed"
)

// other is the value of an attribute for each text outside its set.
const other = "other"

// A labelSet is the fixed set of values of an attribute.
type labelSet map[string]struct{}

func newLabelSet(values iter.Seq[string]) labelSet {
	set := labelSet{other: {}}
	for value := range values {
		set[value] = struct{}{}
	}
	return set
}

func words(text string) labelSet { return newLabelSet(strings.FieldsSeq(text)) }

// label returns value if it is in the set, and otherwise "other".
func (s labelSet) label(value string) string {
	if _, ok := s[value]; ok {
		return value
	}
	return other
}

//go:embed reasons.txt
var reasonTexts string

var (
	endpoints = words(`pushed_authorization_request authorization token introspection revocation userinfo grants
		resource host jwks metadata keys`)
	outcomes    = words(`success rejected failed nonce_challenge`)
	grantTypes  = words(`authorization_code refresh_token client_credentials`)
	clientAuths = words(`private_key_jwt tls_client_auth self_signed_tls_client_auth`)
	bindings    = words(`DPoP mTLS`)
	systems     = words(`memory sqlite postgresql mysql mariadb redis valkey`)

	// errorCodes are the registered OAuth error codes that this module sends,
	// or that a client can receive.
	errorCodes = words(`access_denied account_selection_required consent_required
		insufficient_scope insufficient_user_authentication interaction_required
		invalid_authorization_details invalid_client invalid_client_metadata invalid_dpop_proof
		invalid_grant invalid_grant_id invalid_redirect_uri invalid_request
		invalid_request_object invalid_request_uri invalid_scope invalid_target invalid_token
		login_required registration_not_supported request_not_supported
		request_uri_not_supported server_error slow_down temporarily_unavailable
		unauthorized_client unmet_authentication_requirements unsupported_grant_type
		unsupported_response_type unsupported_token_type use_dpop_nonce`)

	// reasons are the texts of the errors of this module. A newer version of
	// the module can have texts that the set lacks, and they count as "other".
	reasons = newLabelSet(strings.SplitSeq(strings.TrimSpace(reasonTexts), "\n"))
)

// attributesOf returns the attributes of the duration of a request.
func attributesOf(e profile.Event) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 8)
	attributes = append(attributes,
		keyEndpoint.String(endpoints.label(e.Endpoint)), keyOutcome.String(outcomes.label(e.Outcome)))
	attributes = appendLabel(attributes, keyGrantType, grantTypes, e.GrantType)
	attributes = appendLabel(attributes, keyClientAuth, clientAuths, e.ClientAuth)
	return appendLabel(attributes, keyBinding, bindings, e.Binding)
}

// failureOf returns the attributes of a rejection or a failure. They are few,
// because a histogram would multiply them by its buckets.
func failureOf(e profile.Event) []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 4)
	attributes = appendLabel(attributes, keyError, errorCodes, e.Code)
	return appendLabel(attributes, keyReason, reasons, e.Reason)
}

// appendLabel appends an attribute, unless its value is empty.
func appendLabel(to []attribute.KeyValue, key attribute.Key, set labelSet, value string) []attribute.KeyValue {
	if value == "" {
		return to
	}
	return append(to, key.String(set.label(value)))
}
