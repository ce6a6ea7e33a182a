package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

// minPairwise is the least size of pairwise_secret.
const minPairwise = 32

// ecosystemMembers returns the members of a configuration file by which the
// bank plays a bank of an ecosystem.
func (c *config) ecosystemMembers() []configfile.Member {
	return []configfile.Member{
		{Name: "rules", Into: &c.rulesName, Default: "those of FAPI 2.0 alone",
			Meaning: "The rules of an ecosystem: " + strings.Join(ecosystems.Names(), ", ") +
				", or the path of a JSON file with rules."},
		{Name: "client_rules", Into: &c.clientRulesNames, Default: "rules",
			Meaning: "The rules of single clients, {client_id: rules}, in place of the member rules."},
		{Name: "interaction_ids", Into: &c.interactionIDs, Default: "echo",
			Meaning: "The treatment of x-fapi-interaction-id: echo, make one for a request without it, or require it."},
		{Name: "acr_values", Into: &c.acrValues, Default: "none",
			Meaning: "The authentication context classes that a login at this bank meets, the first one by default."},
		{Name: "authorization_details_types", Into: &c.detailTypesFile, Default: "the bank's own types",
			Meaning: "A file with further types of authorization details, as a JSON object from the type to its " +
				"JSON Schema. They have no meaning at the bank's API."},
		{Name: "duration_claim", Into: &c.durationClaim, Default: "none",
			Meaning: "A member of the claims parameter with the seconds that a permission lasts, at most a year. " +
				"Without it, or with 0, the client receives no refresh token."},
		{Name: "detail_end", Into: &c.detailEnd, Default: "none",
			Meaning: "The member of authorization details that has the end of the permission, for example " +
				"consent.ExpirationDateTime."},
		{Name: "pairwise_secret", Into: &c.pairwiseSecret, Default: "the username is the subject for all clients",
			Meaning: "At least 32 random bytes, for example from openssl rand -base64 32. Clients with the subject " +
				"type pairwise then receive a hash in place of the username."},
		{Name: "introspect_refresh_tokens", Into: &c.introspectRefresh, Default: "false",
			Meaning: "Let a client introspect its own refresh tokens."},
		{Name: "consents", Into: &c.consents, Default: "none",
			Meaning: "Endpoints at which a client creates consents before the authorization request, with a token of " +
				"the client credentials grant. Each has a path and the scope of that token. media_type is json or " +
				"jwt, for signed messages in both directions. schema is a file with the JSON Schema of a request. " +
				"id and status are the members of the response that have the identifier and the state, and expires " +
				"is the member of the request that has the end, for example Data.ConsentId. id_prefix begins each " +
				"identifier. states has the names of awaiting, authorised, rejected, revoked and expired."},
	}
}

// checkRules reads the rules.
func (c *config) checkRules(p *configfile.Problems) {
	var err error
	if c.rules, err = readRules(c.rulesName); err != nil {
		p.Add("rules", "%w", err)
	}
	c.clientRules = make(map[string]*rules.Set, len(c.clientRulesNames))
	for id, name := range c.clientRulesNames {
		set, err := readRules(name)
		if err == nil && set == nil {
			err = errors.New("empty name")
		}
		if err != nil {
			p.Add("client_rules", "%.100q: %w", id, err)
			continue
		}
		p.Require(c.registered[id] != nil || p.Wrong("clients") || len(c.registered) < len(c.clients), "client_rules",
			"%.100q is not a client", id)
		c.clientRules[id] = set
	}
	for _, set := range c.allRules() {
		p.Require(set.Intent == nil || len(c.consents) > 0 || p.Wrong("consents"), "rules",
			"%s: requests name consents that exist, which needs consents", set.Name)
	}
	c.lintClients(p)
	c.addAlgorithms()
	if c.rules != nil && c.interactionIDs == "" {
		c.interactionIDs = c.rules.InteractionIDs
	}
	for _, set := range c.allRules() {
		p.Require(c.pairwiseSecret != "" || len(set.SubjectTypes) == 0 || slices.Contains(set.SubjectTypes, "public"),
			"rules", "%s: subjects are pairwise, which needs pairwise_secret", set.Name)
	}
	p.Require(c.pairwiseSecret == "" || len(c.pairwiseSecret) >= minPairwise, "pairwise_secret",
		"%d bytes, want at least %d", len(c.pairwiseSecret), minPairwise)
	p.Require(c.detailEnd == "" || isMemberPath(c.detailEnd), "detail_end", "%.100q is not a path of members",
		c.detailEnd)
}

// lintClients reports registrations that the rules do not permit.
func (c *config) lintClients(p *configfile.Problems) {
	for id, client := range c.registered {
		set := c.rulesOf(id)
		if set == nil || client.Validate() != nil { // which has been reported
			continue
		}
		reported := client.Lint(c.profile)
		for _, finding := range set.LintClient(client) {
			if finding.Severity == "error" && !slices.Contains(reported, finding) {
				p.Add(c.places[id], "%.100q: rules %s: %s. %s", id, set.Name, finding.Problem, finding.Remedy)
			}
		}
	}
}

// addAlgorithms adds the algorithms of keys that the rules require, and the
// default.
func (c *config) addAlgorithms() {
	for _, set := range c.allRules() {
		for _, permitted := range [][]string{set.Algorithms.Signing, set.Algorithms.IDToken, set.Algorithms.UserInfo} {
			has := func(algorithm string) bool { return slices.Contains(c.algorithms, algorithm) }
			if len(permitted) > 0 && !slices.ContainsFunc(permitted, has) {
				c.algorithms = append(c.algorithms, permitted[0])
			}
		}
	}
	if len(c.algorithms) == 0 {
		c.algorithms = []string{"ES256"}
	}
}

// readRules returns the rules of an ecosystem or of a file. Without a name,
// there are none.
func readRules(name string) (*rules.Set, error) {
	if name == "" {
		return nil, nil
	}
	set, err := ecosystems.Rules(name)
	if err == nil || !errors.Is(err, ecosystems.ErrUnknown) || !strings.ContainsAny(name, "./\\") {
		return set, err
	}
	data, err := readFile(name, maxSchemas)
	if err != nil {
		return nil, err
	}
	return rules.Parse(data)
}

// allRules returns the rules of all clients.
func (c *config) allRules() (all []*rules.Set) {
	if c.rules != nil {
		all = append(all, c.rules)
	}
	for _, id := range slices.Sorted(maps.Keys(c.clientRules)) {
		all = append(all, c.clientRules[id])
	}
	return all
}

// rulesOf returns the rules of a client, or nil.
func (c *config) rulesOf(clientID string) *rules.Set {
	if set := c.clientRules[clientID]; set != nil {
		return set
	}
	return c.rules
}

// signingOf returns the signature algorithms that the rules of a client permit,
// or nil for all.
func (c *config) signingOf(clientID string) []string {
	if set := c.rulesOf(clientID); set != nil {
		return set.Algorithms.Signing
	}
	return nil
}

// useRules adds the rules, and the consents that they require, to the
// configuration of the server.
func (b *bank) useRules(settings *authserver.Config) {
	settings.Rules, settings.Intent = b.cfg.rules, b.intent
	if len(b.cfg.clientRules) > 0 { // otherwise the API follows the rules for certificates, too
		settings.ClientRules = func(client *profile.ClientMetadata) *rules.Set {
			return b.cfg.clientRules[client.ClientID]
		}
	}
	if len(b.cfg.allRules()) > 0 || len(b.cfg.consents) > 0 { // the permission has its own end
		settings.Lifetimes.RefreshToken = grantLifetime
	}
	if b.cfg.pairwiseSecret != "" {
		settings.Pairwise, _ = idtoken.PairwiseSubjects([]byte(b.cfg.pairwiseSecret)) // its length was checked
	}
	settings.Introspection.TokenMembers, settings.Introspection.RefreshTokens = true, b.cfg.introspectRefresh
}

// tokenMembers returns the members that the rules of a client require in token
// responses. Each identifies the permission.
func (c *config) tokenMembers(clientID string) map[string]json.RawMessage {
	set := c.rulesOf(clientID)
	if set == nil || len(set.TokenMembers) == 0 {
		return nil
	}
	members := make(map[string]json.RawMessage, len(set.TokenMembers))
	for _, name := range set.TokenMembers {
		members[name] = json.RawMessage(`"` + rand.Text() + `"`)
	}
	return members
}

// intent checks the consent that an authorization request names. For the
// approval it reserves the consent, so that one request of several has it
// approved.
func (b *bank) intent(ctx context.Context, intent *authserver.Intent) error {
	request := "" // reserves nothing
	if intent.Approval {
		request = intent.RequestID
	}
	one, err := b.consents.reserve(ctx, intent.Client.ClientID, intent.ID, request)
	if errors.Is(err, errNoConsent) || errors.Is(err, errConsentState) {
		return fmt.Errorf("%w: %w", authserver.ErrIntent, err)
	}
	intent.Content, intent.Expires = one, one.Until
	return err
}

// lasts returns the end that a request sets for its permission. It is zero if
// the request sets none. If the request is for no time, refreshes is false.
func (b *bank) lasts(a *authserver.Authorization) (end time.Time, refreshes bool) {
	refreshes = true
	end = a.Intent().Expires
	earlier := func(t time.Time) {
		if end.IsZero() || t.Before(end) {
			end = t
		}
	}
	if b.cfg.durationClaim != "" {
		var seconds float64 // a larger number than an int64 is a year, too
		_ = json.Unmarshal(a.Claims().Other[b.cfg.durationClaim], &seconds)
		if refreshes = seconds >= 1; refreshes {
			earlier(b.now().Add(time.Duration(min(seconds, grantLifetime.Seconds())) * time.Second))
		}
	}
	for _, detail := range a.Details() {
		raw, err := detail.MarshalJSON()
		if err != nil {
			continue
		}
		members, err := parseMembers(raw)
		if err != nil {
			continue
		}
		text, _ := member(members, b.cfg.detailEnd).(string)
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			earlier(t)
		}
	}
	return end, refreshes
}
