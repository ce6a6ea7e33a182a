package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/rar"
)

// A consentAPI is an endpoint at which a client creates a consent before it
// sends an authorization request for it. Paths of members are separated by
// dots.
type consentAPI struct {
	Path      string            `json:"path"`       // of the endpoint
	Scope     string            `json:"scope"`      // of the client's own token
	MediaType string            `json:"media_type"` // json or jwt
	Schema    string            `json:"schema"`     // a file with the JSON Schema of a request
	ID        string            `json:"id"`         // the member that has the identifier
	IDPrefix  string            `json:"id_prefix"`
	Status    string            `json:"status"`  // the member that has the state
	States    map[string]string `json:"states"`  // the ecosystem's name of each state
	Expires   string            `json:"expires"` // the member that has the end of the consent
}

// bodyType is the name of the only type in the registry of a consentAPI.
const bodyType = "consent"

// The states of a consent. An awaiting or authorised consent that has ended is
// expired.
const (
	consentAwaiting   = "awaiting"
	consentAuthorised = "authorised"
	consentRejected   = "rejected"
	consentRevoked    = "revoked"
	consentExpired    = "expired"
)

// standardStates are the names of states that most ecosystems use.
var standardStates = map[string]string{
	consentAwaiting: "AwaitingAuthorisation", consentAuthorised: "Authorised", consentRejected: "Rejected",
	consentRevoked: "Revoked", consentExpired: "Expired",
}

// checkConsents checks the endpoints for consents.
func (c *config) checkConsents(p *configfile.Problems) {
	c.bodies = make(map[string]*rar.Registry, len(c.consents))
	for i := range c.consents {
		api, at := &c.consents[i], fmt.Sprintf("consents[%d]", i)
		api.MediaType, api.ID = cmp.Or(api.MediaType, "json"), cmp.Or(api.ID, "Data.ConsentId")
		p.Require(isPath(api.Path), at, "path %.100q is not a path such as /consents", api.Path)
		p.Require(!slices.Contains(ownPaths, api.Path) && !strings.HasPrefix(api.Path, "/.well-known"), at,
			"path %.100q is a path of the bank", api.Path)
		for _, other := range c.consents[:i] {
			p.Require(other.Path != api.Path, at, "path %.100q is there twice", api.Path)
		}
		p.Require(isScope(api.Scope), at, "scope %.100q is not a scope", api.Scope)
		p.Require(api.MediaType == "json" || api.MediaType == "jwt", at, "media_type %.40q is neither json nor jwt",
			api.MediaType)
		p.Require(api.IDPrefix == "" || len(api.IDPrefix) <= 64 && isScope(api.IDPrefix), at,
			"id_prefix %.100q has other characters than those of a scope", api.IDPrefix)
		for name, path := range map[string]string{"id": api.ID, "status": api.Status, "expires": api.Expires} {
			p.Require(path == "" && name != "id" || isMemberPath(path), at, "%s %.100q is not a path of members",
				name, path)
		}
		for state := range api.States {
			p.Require(standardStates[state] != "", at, "states: unknown state %.40q", state)
		}
		schema := []byte(anyObject)
		var err error
		if api.Schema != "" {
			schema, err = readFile(api.Schema, maxSchemas)
		}
		if err == nil {
			c.bodies[api.Path], err = schemaRegistry(schema)
		}
		p.Require(err == nil, at, "schema: %w", err)
	}
}

func schemaRegistry(schema []byte) (*rar.Registry, error) {
	t, err := rar.TypeFromSchema(bodyType, schema, rar.TypeConfig[rar.Detail]{})
	if err != nil {
		return nil, err
	}
	return rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{t}})
}

// ownPaths are the paths of the bank itself.
var ownPaths = strings.Fields("/login /consent /logout /apps /apps/revoke /style.css /once.js /healthz /readyz " +
	"/accounts /payments /par /authorize /token /introspect /revoke /userinfo /grants /jwks")

func isPath(path string) bool {
	return len(path) > 1 && path[0] == '/' && !strings.HasSuffix(path, "/") && !strings.Contains(path, "//") &&
		!strings.ContainsFunc(path, func(r rune) bool {
			return r <= 0x20 || r > 0x7e || strings.ContainsRune(`"%<>?#\^{|}`+"`", r)
		})
}

// isScope reports whether a text is a scope token (RFC 6749 §3.3).
func isScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= 0x20 || r > 0x7e || r == '"' || r == '\\'
	})
}

func isMemberPath(path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if name == "" {
			return false
		}
	}
	return true
}

// stateName returns the ecosystem's name of a state.
func (a *consentAPI) stateName(state string) string {
	return cmp.Or(a.States[state], standardStates[state])
}

// A consent is what a client has created at a consentAPI.
type consent struct {
	ClientID string          `json:"client_id"`
	Path     string          `json:"path"`
	Body     json.RawMessage `json:"body,omitempty"` // as the client sent it
	State    string          `json:"state"`
	Created  time.Time       `json:"created"`
	Until    time.Time       `json:"until"`
	// Authorization is the ID of the authorization that the user has given.
	Authorization string `json:"authorization,omitempty"`
	// Request identifies the request for whose approval the consent is
	// reserved.
	Request string `json:"request,omitempty"`
}

// consentWaits is the time in which the user decides about a new consent.
const consentWaits = 24 * time.Hour

// state returns the state at a time.
func (c *consent) state(now time.Time) string {
	waited := c.State == consentAwaiting && !now.Before(c.Created.Add(consentWaits))
	if waited || (c.State == consentAwaiting || c.State == consentAuthorised) && !now.Before(c.Until) {
		return consentExpired
	}
	return c.State
}

// consents stores the consents, which have random identifiers.
type consents struct{ records *records.Records }

var (
	// errNoConsent means that a consent does not exist, or that another client
	// has created it. A client cannot distinguish the two.
	errNoConsent = errors.New("unknown consent")
	// errConsentState means that a consent is used, rejected or expired.
	errConsentState = errors.New("the consent is not awaiting authorisation")
)

// add stores a new consent and returns its identifier.
func (c *consents) add(ctx context.Context, api *consentAPI, one consent) (id string, err error) {
	id = api.IDPrefix + rand.Text()
	keep := one.Until.Sub(one.Created)
	return id, records.Update(ctx, c.records, "consent", id, keep, func(v *consent) (bool, error) {
		if v.ClientID != "" {
			return false, errors.New("identifier of a consent that exists")
		}
		*v = one
		return true, nil
	})
}

// of returns a consent of a client.
func (c *consents) of(ctx context.Context, clientID, id string) (one consent, err error) {
	if _, err := c.records.Get(ctx, "consent", id, &one); err != nil {
		return consent{}, err
	}
	if one.ClientID != clientID || clientID == "" {
		return consent{}, errNoConsent
	}
	return one, nil
}

// update changes a consent of a client and returns the result. It does not
// create one.
func (c *consents) update(ctx context.Context, clientID, id string, edit func(v *consent) (bool, error)) (
	changed consent, err error) {
	before, err := c.of(ctx, clientID, id)
	if err != nil {
		return consent{}, err
	}
	keep := max(before.Until.Sub(c.records.Now()), time.Minute)
	return changed, records.Update(ctx, c.records, "consent", id, keep, func(v *consent) (write bool, err error) {
		if v.ClientID != clientID {
			return false, errNoConsent
		}
		write, err = edit(v)
		changed = *v
		return write, err
	})
}

// reserve returns a consent that awaits its authorisation. With a request, it
// reserves the consent for this request, and returns errConsentState for every
// other one.
func (c *consents) reserve(ctx context.Context, clientID, id, request string) (consent, error) {
	return c.update(ctx, clientID, id, func(v *consent) (bool, error) {
		reserved := v.Request != "" && request != "" && v.Request != request
		if v.state(c.records.Now()) != consentAwaiting || reserved {
			return false, errConsentState
		}
		write := request != v.Request && request != ""
		if write {
			v.Request = request
		}
		return write, nil
	})
}

// decide ends the wait for the user. Of several decisions about one consent,
// the first one counts, and the others return errConsentState.
func (c *consents) decide(ctx context.Context, clientID, id, state, authorization string) error {
	_, err := c.update(ctx, clientID, id, func(v *consent) (bool, error) {
		if v.state(c.records.Now()) != consentAwaiting {
			return false, errConsentState
		}
		v.State, v.Authorization = state, authorization
		return true, nil
	})
	return err
}

// revoke ends a consent and deletes what it contains. Revoking it again is not
// an error.
func (c *consents) revoke(ctx context.Context, clientID, id string) (consent, error) {
	return c.update(ctx, clientID, id, func(v *consent) (bool, error) {
		write := v.State != consentRevoked
		v.State, v.Body = consentRevoked, nil
		return write, nil
	})
}
