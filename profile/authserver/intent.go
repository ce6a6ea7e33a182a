package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// ErrIntent reports an authorization request that names an unusable consent, or
// not the required number of consents: see [Config.Intent]. The client receives
// invalid_request, invalid_scope or invalid_authorization_details, depending on
// the place of the identifier.
var ErrIntent = oautherr.New("authserver: consent of a request rejected", "invalid_request",
	http.StatusBadRequest, "the request names no usable consent")

// Rows of [ErrIntent].
var (
	errIntentScope = fmt.Errorf("%w: %w", oautherr.New("authserver: consent of a scope rejected", "invalid_scope",
		http.StatusBadRequest, "the scope names no usable consent"), ErrIntent)
	errIntentDetail = fmt.Errorf("%w: %w", oautherr.New("authserver: consent of authorization details rejected",
		"invalid_authorization_details", http.StatusBadRequest,
		"authorization_details name no usable consent"), ErrIntent)
)

// maxIntent is the greatest length of the identifier of a consent. That of
// Brazil is the longest known one.
const maxIntent = 256

// An Intent is a consent that exists before the authorization request that
// names it. [Config.Intent] checks and completes it.
type Intent struct {
	// Client is the registration of the client that sent the request. The
	// consent must be of this client.
	Client *profile.ClientMetadata
	// ID is the identifier of the consent: 1 to 256 characters of ASCII,
	// without spaces, quotes and backslashes.
	ID string
	// RequestID identifies the pushed request. It is not a secret. It is empty
	// at the push.
	RequestID string
	// Approval reports that the user has agreed, and that the server is about
	// to approve the request. An approval that fails can be repeated, and then
	// has the same RequestID.
	Approval bool

	// Content is a value of the host for its consent page. The host sets it,
	// and the server does not use it.
	Content any
	// Expires is the end of the consent. The host sets it. It is the end of the
	// authorization unless [Approval.Expires] is earlier. If zero, the consent
	// has no end.
	Expires time.Time
}

// Intent returns the consent that the request names, as [Config.Intent] has
// completed it when the browser arrived. It is zero if the request names none.
func (a *Authorization) Intent() Intent { return a.intent }

// isIntentScope reports whether a scope contains the identifier of a consent.
func isIntentScope(intent *rules.Intent, scope string) bool {
	return intent != nil && intent.Scope != "" && strings.HasPrefix(scope, intent.Scope)
}

// intentError returns an error with the code for the place of the identifier.
// The client receives the problem.
func intentError(place *rules.Intent, problem string) error {
	return oautherr.Describe(fmt.Errorf("%w: %s", intentRow(place), problem), problem)
}

func intentRow(place *rules.Intent) error {
	switch {
	case place.Scope != "":
		return errIntentScope
	case place.Detail != "":
		return errIntentDetail
	}
	return ErrIntent
}

// findIntent finds the identifier of the consent that a request names. It
// requires exactly one if the rules do, and otherwise at most one.
func (a *asked) findIntent() error {
	place := a.rules.Intent
	if place == nil {
		return nil
	}
	ids := a.intentsIn(a.requested)
	switch {
	case len(ids) > 1:
		return intentError(place, "more than one consent")
	case len(ids) == 0 && place.Required:
		return intentError(place, "missing consent")
	case len(ids) == 0:
		return nil
	case len(ids[0]) > maxIntent || !syntax.IsScope(ids[0]):
		return intentError(place, "malformed identifier of a consent")
	}
	a.intent.ID = ids[0]
	if place.Scope != "" {
		a.intentScope = place.Scope + ids[0]
	}
	return nil
}

// checkMerge rejects a merge into a grant under rules for consents. The grant
// would keep the permissions of one consent until the end of another one.
func (a *asked) checkMerge() error {
	if a.rules.Intent == nil || a.grant.Action() != "merge" {
		return nil
	}
	err := fmt.Errorf("%w: merge (rules %.64s)", grants.ErrRequest, a.rules.Name)
	return oautherr.Describe(err, "grants with consents cannot be merged")
}

// intentsIn returns the identifiers of consents in a request that has, or is
// granted, certain details.
func (a *asked) intentsIn(details rar.Details) []string {
	return a.rules.Intent.IDs(a.scopes, a.claims, rawDetails(details))
}

// rawDetails returns details as JSON.
func rawDetails(details rar.Details) (values []json.RawMessage) {
	for _, d := range details {
		if value, err := d.MarshalJSON(); err == nil {
			values = append(values, value)
		}
	}
	return values
}

// checkIntent passes the consent that a request names to the host. It returns
// an [ErrIntent] if the host rejects the consent, and an [ErrStore] if the host
// fails.
func (s *Server) checkIntent(ctx context.Context, a *asked, approval bool) (Intent, error) {
	if a.intent.ID == "" {
		return Intent{}, nil
	}
	if s.cfg.Intent == nil {
		return Intent{}, errors.New("authserver: ClientRules has an Intent, and Config has none")
	}
	named := Intent{Client: a.client, ID: a.intent.ID, Approval: approval}
	if a.requestURI != "" {
		named.RequestID = jose.SHA256Base64(a.requestURI)
	}
	completed := named
	switch err := s.cfg.Intent(ctx, &completed); {
	case errors.Is(err, ErrIntent):
		return Intent{}, fmt.Errorf("%w: %w", intentRow(a.rules.Intent), err)
	case err != nil:
		return Intent{}, fmt.Errorf("%w: consent of a request: %w", ErrStore, err)
	case !completed.Expires.IsZero() && !completed.Expires.After(s.cfg.Hooks.Now()):
		return Intent{}, intentError(a.rules.Intent, "expired consent")
	}
	named.Content, named.Expires = completed.Content, completed.Expires
	return named, nil
}

// checkIntentAgain passes the consent to the host once more, at the approval.
// The authorization has an end, or none if it is zero. The consent cannot end
// before it.
func (s *Server) checkIntentAgain(ctx context.Context, a *Authorization, end time.Time) error {
	intent, err := s.checkIntent(ctx, &a.asked, true)
	if err == nil && !intent.Expires.IsZero() && (end.IsZero() || end.After(intent.Expires)) {
		return intentError(a.rules.Intent, "the consent now ends earlier")
	}
	return err
}

// withIntent adds to an approval what the consent determines: the end of the
// authorization, and the claim of the ID token.
func (a *Authorization) withIntent(approval Approval) (Approval, error) {
	id, end := a.intent.ID, a.intent.Expires
	if id == "" {
		return approval, nil
	}
	if !end.IsZero() && approval.Expires.IsZero() {
		approval.Expires = end
	}
	if !end.IsZero() && approval.Expires.After(end) {
		return approval, errors.New("authserver: approval: Expires is after the end of the consent")
	}
	switch place := a.rules.Intent; {
	case place.Claim != "":
		if value, ok := approval.IDTokenClaims[place.Claim]; ok && value != any(id) {
			return approval, fmt.Errorf("authserver: approval: IDTokenClaims has another %s than the request",
				place.Claim)
		}
		approval.IDTokenClaims = maps.Clone(approval.IDTokenClaims)
		if approval.IDTokenClaims == nil {
			approval.IDTokenClaims = map[string]any{}
		}
		approval.IDTokenClaims[place.Claim] = id
	case place.Detail != "":
		granted := a.intentsIn(approval.Details)
		if slices.ContainsFunc(granted, func(other string) bool { return other != id }) {
			return approval, errors.New("authserver: approval: Details have another consent than the request")
		}
		if len(granted) == 0 {
			return approval, fmt.Errorf("%w: Details without the consent of the request", ErrNothingGranted)
		}
	}
	return approval, nil
}

// checkIntents finds rules for consents that this server cannot apply.
func (cfg *Config) checkIntents(bad func(format string, args ...any)) {
	if cfg.Rules == nil || cfg.Rules.Intent == nil {
		return
	}
	place := cfg.Rules.Intent
	if cfg.Intent == nil {
		bad("Rules.Intent requires Intent")
	}
	if place.Claim != "" && !slices.Contains(cfg.Claims, place.Claim) {
		bad("Claims has no %q, which is Rules.Intent.Claim", place.Claim)
	}
	if place.Detail != "" && cfg.AuthorizationDetails == nil {
		bad("Rules.Intent.Detail requires AuthorizationDetails")
	}
	for _, scope := range cfg.Scopes {
		if isIntentScope(place, scope) {
			bad("scope %q begins with Rules.Intent.Scope", scope)
		}
	}
}

// intentScopes returns the scopes of a token that contain the identifier of a
// consent. They narrow the other scopes, so each resource server receives them.
func (s *Server) intentScopes(ctx context.Context, token *introspection.Response) ([]string, error) {
	if s.cfg.Intent == nil || !token.Active || len(token.Audience) == 0 {
		return nil, nil
	}
	client, err := s.client(ctx, token.ClientID)
	if errors.Is(err, clientauth.ErrUnknownClient) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	intent := s.rulesOf(client).Intent
	other := func(scope string) bool { return !isIntentScope(intent, scope) }
	return slices.DeleteFunc(strings.Fields(token.Scope), other), nil
}
