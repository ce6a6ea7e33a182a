package authserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

// large is a payment of about size bytes.
func large(payee string, size int) string {
	return `[{"type":"payment","amount":"1","payee":"` + payee + strings.Repeat("x", size) + `"}]`
}

// roomy has the registry take more than a token of either kind holds.
func roomy(as *authserver.Config, rs *resourceserver.Config) {
	registry := as.AuthorizationDetails
	var types []*rar.Type
	for _, name := range registry.Types() {
		types = append(types, registry.Type(name))
	}
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: types, MaxBytes: 64 << 10})
	if err != nil {
		panic(err)
	}
	as.AuthorizationDetails, rs.AuthorizationDetails = registry, registry
}

// What no access token can hold is rejected before the user is asked.
func TestDetailsThatNoTokenHolds(t *testing.T) {
	push := func(w *world, fields ...string) answer {
		form := w.pushForm("client-1")
		with(fields...)(form)
		return w.send(w.parURL(), form)
	}
	for _, tc := range []struct {
		name    string
		options []worldOption
		details string
		want    string // in the description, "": accepted
	}{
		{"9 KiB in a JWT", nil, large("A", 9000), ""},
		{"12 KiB in a JWT", nil, large("A", 12000), "authorization_details[0] (payment): too long for an access token"},
		{"the second one", nil, join(readOnly, large("A", 12000)), "authorization_details[1] (payment): too long for an access token"},
		{"two that are too large together", nil, join(large("A", 7500), large("B", 7500)), "too long together for an access token"},
		{"two for different places", nil, join(`[{"type":"payment","amount":"1","locations":["`+otherAPI+`"],"payee":"`+strings.Repeat("x", 7500)+`"}]`,
			`[{"type":"account","accounts":["`+strings.Repeat("y", 1000)+`"]}]`), ""},
		{"at another place than the default", nil, `[{"type":"payment","amount":"1","locations":["` + otherAPI + `"],"payee":"` + strings.Repeat("x", 12000) + `"}]`,
			"authorization_details[0] (payment): too long for an access token"},
		{"15 KiB behind a reference", []worldOption{opaque}, join(large("A", 7500), large("B", 7500)), ""},
		{"40 KiB behind a reference", []worldOption{opaque, roomy}, large("A", 40<<10), ""},
		{"50 KiB behind a reference", []worldOption{opaque, roomy}, large("A", 50<<10), "authorization_details[0] (payment): too long for an access token"},
		{"what grows when it is marshalled", nil, large(strings.Repeat("<", 2000), 1), "authorization_details[0] (payment): too long for an access token"},
		{"the same behind a reference", []worldOption{opaque}, large(strings.Repeat("<", 2000), 1), ""},
	} {
		t.Run("A7 "+tc.name, func(t *testing.T) {
			w := newRichWorld(t, tc.options...)
			got := push(w, "authorization_details", tc.details, "scope", "accounts openid")
			if tc.want != "" {
				require.Equal(t, "invalid_authorization_details", got.code, "RAR-8-1 %v", got.body)
				require.Contains(t, got.body["error_description"], tc.want)
				return
			}
			require.Equal(t, http.StatusCreated, got.status, "%v", got.body)
			// Whatever the host says of the user and the login, there are tokens.
			w.agreeing(func(p *authserver.Approval) {
				p.Subject, p.ACR, p.AMR = strings.Repeat(`"`, 255), strings.Repeat("a", 1000), []string{"b"}
			})
			tokens := w.redeem("authorization_details", tc.details)
			require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
			require.Equal(t, http.StatusOK, w.renew(tokens).status)
			if strings.Contains(tc.details, otherAPI) {
				require.Equal(t, http.StatusOK, w.renew(tokens, "resource", otherAPI).status)
			}
		})
	}
	t.Run("A7 what the host makes of a detail is tried at the approval", func(t *testing.T) {
		w := newRichWorld(t)
		form := w.pushForm("client-1")
		form.Set("authorization_details", `[{"type":"account"}]`)
		a := w.load("client-1", form)
		grant := func(size int) error {
			detail, err := rar.Edit(a.Details()[0], func(d *roletest.Account) { d.Accounts = []string{strings.Repeat("1", size)} })
			require.NoError(t, err)
			_, err = w.agree(a, func(p *authserver.Approval) { p.Details = rar.Details{detail} })
			return err
		}
		require.ErrorContains(t, grant(12000), "too long for an access token")
		require.NoError(t, grant(8000), "nothing was used up")
	})
	t.Run("A7 for a client itself", func(t *testing.T) {
		w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
			as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
		})
		form, proof := w.credentialsForm("client-1", "accounts"), w.tokenProof("d")
		form.Set("authorization_details", large("A", 12000))
		require.Equal(t, "invalid_authorization_details", w.send(w.tokenURL(), form, proof).code)
		form.Set("authorization_details", large("A", 8000))
		require.Equal(t, http.StatusOK, w.send(w.tokenURL(), form, proof).status, "nothing was used up")
	})
}

// Tokens that became too long after the consent cost neither the code nor the
// refresh token; the client can ask for less.
func TestTokensThatBecameTooLong(t *testing.T) {
	var cfg authserver.Config
	memory := memstore.New(memstore.Config{})
	w := newRichWorld(t, opaque, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store = memory
		cfg = *as
	})
	code := w.code("client-1", with("authorization_details", join(large("A", 7500), large("B", 7500))))
	cfg.OpaqueAccessTokens = false // JWTs from now on
	var err error
	w.as, err = authserver.New(cfg)
	require.NoError(t, err)
	form, proof := w.codeForm("client-1", code), w.tokenProof("d")
	got := w.send(w.tokenURL(), form, proof)
	require.Equal(t, http.StatusBadRequest, got.status, "not to be repeated for ever: %v", got.body)
	require.Equal(t, "invalid_authorization_details", got.code, "RAR-8-1")
	form.Set("authorization_details", large("B", 7500))
	tokens := w.send(w.tokenURL(), form, proof)
	w.requireDetails(large("B", 7500), tokens, "RAR-6-1")
	w.requireDetails(large("A", 7500), w.renew(tokens, "authorization_details", large("A", 7500)), "RAR-6.1-2")
	require.Equal(t, "invalid_authorization_details", w.renew(tokens).code)
}

// Nothing is claimed for tokens that cannot be made.
func TestGrantsThatNoTokenHolds(t *testing.T) {
	var created []string
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) {
		m.Events = func(_ context.Context, e grants.Event) error { created = append(created, e.Kind); return nil }
	}))
	tokens, id := w.create("authorization_details", large("A", 6000))
	form := w.pushForm("client-1")
	with("authorization_details", large("B", 6000), "grant_management_action", "merge", "grant_id", id)(form)
	got := w.send(w.parURL(), form)
	require.Equal(t, "invalid_authorization_details", got.code, "G5 at the push %v", got.body)
	require.Contains(t, got.body["error_description"], "too long together for an access token")

	// Each of two merges fits; after the first one, the second does not.
	merge := func(payee string) *authserver.Authorization {
		form := w.pushForm("client-1")
		with("authorization_details", large(payee, 3000), "grant_management_action", "merge", "grant_id", id)(form)
		return w.load("client-1", form)
	}
	one, other, third := merge("B"), merge("C"), merge("D")
	response, err := w.agree(one, nil)
	require.NoError(t, err)
	waiting, err := w.agree(other, nil)
	require.NoError(t, err)
	tokens = w.spend(codeOf(t, response))
	require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
	_, err = w.agree(third, nil)
	require.ErrorIs(t, err, accesstoken.ErrTooLong, "G5 at the approval")
	before := w.query(id).told("authorization_details")
	events := len(created)
	for range 2 {
		got := w.spend(codeOf(t, waiting))
		require.Equal(t, "invalid_authorization_details", got.code, "G5 at the token endpoint %v", got.body)
	}
	require.Equal(t, before, w.query(id).told("authorization_details"), "G5 the grant is what it was")
	require.Len(t, created, events, "G5")
	w.requireAlive(true, true, tokens, "G5 the old tokens live")
	narrowed := w.spend(codeOf(t, waiting), "authorization_details", large("C", 3000))
	require.Equal(t, http.StatusOK, narrowed.status, "G5 the code is still good %v", narrowed.body)

	created = nil
	got = w.send(w.parURL(), func() (f map[string][]string) {
		form := w.pushForm("client-1")
		with("authorization_details", large("A", 12000), "grant_management_action", "create")(form)
		return form
	}())
	require.Equal(t, "invalid_authorization_details", got.code, "G6 at the push")
	code := w.code("client-1", with("authorization_details", readOnly, "grant_management_action", "create"))
	require.Equal(t, "invalid_authorization_details", w.spend(code, "authorization_details", payACME).code)
	require.Equal(t, "invalid_target", w.spend(code, "resource", otherAPI).code)
	require.Empty(t, created, "G6 no grant whose id the client never learnt")
	require.Equal(t, http.StatusOK, w.spend(code).status)
	require.Equal(t, []string{"created"}, created)
}

// A store that fails while tokens are made leaves the grant and its refresh token.
func TestTokensAreMadeBeforeTheClaim(t *testing.T) {
	store := newSpy(nil)
	w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.Store = store })
	tokens, id := w.create("authorization_details", readOnly)
	code := w.code("client-1", with("authorization_details", payACME, "grant_management_action", "replace", "grant_id", id))
	store.fail(1, "add refresh token")
	require.Equal(t, http.StatusServiceUnavailable, w.spend(code).status)
	require.JSONEq(t, readOnly, w.query(id).told("authorization_details"), "G5 nothing is claimed before there are tokens")
	w.requireAlive(true, true, tokens, "G5 old refresh tokens live until there are new ones")
	store.recover()
	again := w.spend(code)
	require.Equal(t, http.StatusOK, again.status, "G5 the code is still good %v", again.body)
	require.JSONEq(t, payACME, w.query(id).told("authorization_details"))
}

// A grant that another code changes after the plan: the tokens are for what the
// grant permits once the change is made.
func TestGrantChangesBetweenPlanAndClaim(t *testing.T) {
	for _, kind := range [][]worldOption{nil, {opaque}} {
		store := newSpy(nil)
		w := newRichWorld(t, append(kind, func(as *authserver.Config, _ *resourceserver.Config) { as.Store = store })...)
		_, id := w.create("authorization_details", readOnly)
		merge := func(details string) string {
			return w.code("client-1", with("authorization_details", details, "grant_management_action", "merge", "grant_id", id))
		}
		one, other := merge(payACME), merge(theirMoney)
		var between answer
		store.before = func(call string) error {
			if call == "add refresh token" {
				store.recover()
				between = w.spend(one)
			}
			return nil
		}
		got := w.spend(other)
		require.Equal(t, http.StatusOK, between.status, "%v", between.body)
		w.requireDetails(join(readOnly, payACME, theirMoney), got, "G5 what the grant permits by now")
		w.requireAlive(true, true, got, "GM-5.2-6")
		w.requireAlive(true, false, between, "GM-5.2-6 the later merge ends the refresh tokens of the earlier one")
	}
}

// Scopes alone can be too long for a token as well.
func TestScopesThatNoTokenHolds(t *testing.T) {
	scopes := make([]string, 400)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("scope-%04d-%s", i, strings.Repeat("s", 30))
	}
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Scopes = append(as.Scopes, scopes...)
	})
	w.clients["client-1"].Scope += " " + strings.Join(scopes, " ")
	for n, want := range map[int]int{150: http.StatusCreated, 400: http.StatusBadRequest} {
		form := w.pushForm("client-1")
		form.Set("scope", strings.Join(scopes[:n], " "))
		got := w.send(w.parURL(), form)
		require.Equal(t, want, got.status, "A7 %d scopes %v", n, got.body)
		if want == http.StatusBadRequest {
			require.Equal(t, "invalid_scope", got.code, "A7")
		}
	}
}

func TestWarningOfLongTokens(t *testing.T) {
	var log bytes.Buffer
	w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Hooks.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	})
	w.redeem("authorization_details", large("A", 3000))
	require.Empty(t, log.String())
	got := w.redeem("authorization_details", large("A", 7000))
	var entry map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &entry), "A7 one line: %s", log.String())
	require.Equal(t, "WARN", entry["level"])
	require.Equal(t, "client-1", entry["client_id"])
	require.EqualValues(t, len(got.body["access_token"].(string)), entry["bytes"])
	require.NotContains(t, log.String(), "xxxx", "RAR-13-1")
}

// What passes at the push passes at the approval, whoever the user is and however
// the login went.
func TestTheLargestRequestIsApproved(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		push := func(size int) (url.Values, answer) {
			form := w.pushForm("client-1")
			with("authorization_details", large("A", size), "grant_management_action", "create")(form)
			return form, w.send(w.parURL(), form)
		}
		size := sort.Search(60<<10, func(size int) bool { _, got := push(size); return got.status != http.StatusCreated }) - 1
		require.Greater(t, size, 4000)
		form, _ := push(size)
		a := w.load("client-1", w.authenticated("client-1", form))
		_, err := w.agree(a, func(p *authserver.Approval) {
			p.Subject = strings.Repeat(`"`, 255)
			p.ACR, p.AMR = strings.Repeat("a", 500), []string{strings.Repeat("m", 516)}
		})
		require.NoError(t, err, "attack: A7 %d bytes", size)
	}, namingGrants, roomy)
}
