package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

// boundWorld is a rich world in which details go with scopes.
func boundWorld(t testing.TB, options ...worldOption) *world {
	registry := roletest.ScopedTypes(t)
	bound := func(as *authserver.Config, rs *resourceserver.Config) {
		as.AuthorizationDetails, rs.AuthorizationDetails = registry, registry
		as.Scopes = []string{"openid", "accounts", "payments", "audits", "offline_access"}
	}
	w := newRichWorld(t, append([]worldOption{bound}, options...)...)
	w.registry = registry
	for _, c := range w.clients {
		c.Scope = "openid accounts payments audits offline_access grant_management_query grant_management_revoke"
	}
	return w
}

const auditAll = `[{"type":"audit"}]`

func TestConsentChoices(t *testing.T) {
	w := boundWorld(t)
	for _, tc := range []struct {
		name, scope, details, resource string
		choices, named                 []string
	}{
		{"A6 openid is not a choice", "openid accounts offline_access", "", "", []string{"accounts", "offline_access"}, nil},
		{"A5 a scope that goes with details is not a choice", "accounts payments", payACME, "", []string{"accounts"}, nil},
		{"A5 without details it is one", "accounts payments", "", "", []string{"accounts", "payments"}, nil},
		{"openid alone", "openid", "", "", []string{}, nil},
		{"G8 another resource than the default", "accounts", "", otherAPI, []string{"accounts"}, []string{otherAPI}},
		{"G8 the default, by name", "accounts", "", w.rsHTTP.URL, []string{"accounts"}, nil},
		{"G8 details for another resource", "payments", at(otherAPI), "", []string{}, []string{otherAPI}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := w.pushForm("client-1")
			with("scope", tc.scope)(form)
			if tc.details != "" {
				form.Set("authorization_details", tc.details)
			}
			if tc.resource != "" {
				form.Set("resource", tc.resource)
			}
			a := w.load("client-1", form)
			require.Equal(t, tc.choices, a.Choices())
			require.Equal(t, tc.named, a.NamedResources())
		})
	}
}

func TestScopesFor(t *testing.T) {
	w := boundWorld(t)
	form := w.pushForm("client-1")
	with("scope", "openid accounts payments offline_access", "authorization_details", join(payACME, readOnly))(form)
	a := w.load("client-1", form)
	require.Equal(t, []string{"openid", "payments"}, a.ScopesFor(nil, a.Details()[:1]), "A5 A6")
	require.Equal(t, []string{"accounts", "openid"}, a.ScopesFor([]string{"accounts"}, nil), "A5 no details, not their scope")
	require.Equal(t, []string{"openid"}, a.ScopesFor(nil, a.Details()[1:]), "a detail without a scope")
	require.Empty(t, a.ScopesFor(nil, nil), "A6 nothing is ticked")
	forged := []string{"audits", "accounts", "admin", "", "Accounts", "accounts payments"}
	require.Equal(t, []string{"accounts", "openid"}, a.ScopesFor(forged, nil), "attack: scopes that the client did not request")
	require.Equal(t, "audits", forged[0], "the form is not changed")
	require.Empty(t, a.ScopesFor([]string{"audits"}, nil), "attack: a forged choice alone grants nothing")
	for name, p := range map[string]authserver.Approval{
		"a payment": {Scopes: a.ScopesFor(nil, a.Details()[:1]), Details: a.Details()[:1]},
		"accounts":  {Scopes: a.ScopesFor([]string{"accounts"}, a.Details()[1:]), Details: a.Details()[1:]},
		"a forgery": {Scopes: a.ScopesFor(forged, a.Details()[1:]), Details: a.Details()[1:]},
	} {
		p.Subject = "alice"
		_, err := w.as.Approve(t.Context(), a, p)
		require.NoError(t, err, name)
		a = w.load("client-1", w.authenticated("client-1", form))
	}
	form.Set("scope", "openid")
	form.Del("authorization_details")
	a = w.load("client-1", w.authenticated("client-1", form))
	require.Equal(t, []string{"openid"}, a.ScopesFor(nil, nil), "A6 a login has no choices")
}

// A detail and its scope are granted together or not at all.
func TestDetailsAndTheirScopes(t *testing.T) {
	richOrBound := func(scopes []string, details func(rar.Details) rar.Details) func(p *authserver.Approval) {
		return func(p *authserver.Approval) { p.Scopes, p.Details = scopes, details(p.Details) }
	}
	all, none := func(d rar.Details) rar.Details { return d }, func(rar.Details) rar.Details { return nil }
	first := func(d rar.Details) rar.Details { return d[:1] }
	w := boundWorld(t)
	t.Run("A5 at the push", func(t *testing.T) {
		for name, tc := range map[string]struct{ scope, details, want string }{
			"a detail without its scope":       {"accounts", payACME, "authorization_details[0] (payment): goes with the scope payments, which is missing"},
			"the second of two":                {"openid payments", join(payACME, auditAll), "authorization_details[1] (audit): goes with the scope audits, which is missing"},
			"no scope at all":                  {"", payACME, "authorization_details[0] (payment): goes with the scope payments, which is missing"},
			"a scope whose name begins alike":  {"accounts audits", payACME, "authorization_details[0] (payment): goes with the scope payments, which is missing"},
			"together":                         {"payments", payACME, ""},
			"the scope alone, without details": {"payments", "", ""},
		} {
			form := w.pushForm("client-1")
			with("scope", tc.scope, "authorization_details", tc.details)(form)
			got := w.send(w.parURL(), form)
			if tc.want == "" {
				require.Equal(t, http.StatusCreated, got.status, "%s %v", name, got.body)
				continue
			}
			require.Equal(t, "invalid_authorization_details", got.code, name)
			require.Equal(t, tc.want, got.body["error_description"], name)
		}
	})
	for _, tc := range []struct {
		name, details string
		change        func(*authserver.Approval)
		scope         string // "": an error
	}{
		{"A5 both", payACME, richOrBound([]string{"accounts", "payments"}, all), "accounts openid payments"},
		{"A5 the detail, and its scope denied", payACME, richOrBound([]string{"accounts"}, all), ""},
		{"A5 the scope, and its detail denied", payACME, richOrBound([]string{"accounts", "payments"}, none), "accounts openid"},
		{"A5 one of two details denied", join(payACME, readOnly), richOrBound([]string{"payments"}, first), "openid payments"},
		{"A5 the scope alone is left of it, so nothing is", payACME, richOrBound([]string{"payments"}, none), ""},
		{"A6 without openid", payACME, richOrBound([]string{"payments"}, all), "openid payments"},
		{"A6 nothing", payACME, richOrBound(nil, none), ""},
		{"A6 the login and nothing else, if the host says so", payACME, richOrBound([]string{"openid"}, none), "openid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := w.pushForm("client-1")
			with("scope", "openid accounts payments", "authorization_details", tc.details)(form)
			a := w.load("client-1", form)
			response, err := w.agree(a, tc.change)
			if tc.scope == "" {
				require.Error(t, err)
				_, err := w.agree(a, nil)
				require.NoError(t, err, "nothing was used up")
				return
			}
			require.NoError(t, err)
			got := w.spend(codeOf(t, response))
			require.Equal(t, tc.scope, got.body["scope"])
			require.NotEmpty(t, got.body["id_token"], "A6 openid is granted with the rest")
		})
	}
	t.Run("A5 for a client itself", func(t *testing.T) {
		w := boundWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
			as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
		})
		form := w.credentialsForm("client-1", "accounts")
		form.Set("authorization_details", payACME)
		require.Equal(t, "invalid_authorization_details", w.send(w.tokenURL(), form, w.tokenProof("d")).code)
		form.Set("scope", "payments")
		require.Equal(t, http.StatusOK, w.send(w.tokenURL(), form, w.tokenProof("d")).status)
	})
}

// A scope that goes with details is not left alone when the details go.
func TestScopesOfDetailsThatAreGone(t *testing.T) {
	t.Run("attack: A5 a client itself whose details the host denies", func(t *testing.T) {
		w := boundWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
			as.ClientDetails = func(context.Context, string, rar.Details) (rar.Details, error) { return nil, nil }
		})
		form := w.credentialsForm("client-1", "accounts payments")
		form.Set("authorization_details", payACME)
		got := w.send(w.tokenURL(), form, w.tokenProof("d"))
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		require.Equal(t, "accounts", got.body["scope"])
		require.Equal(t, "[]", got.told("authorization_details"))
	})
	for name, action := range map[string]string{"of an authorization": "", "of a grant": "create"} {
		t.Run("attack: A5 a refresh token "+name+" after the client has lost the type", func(t *testing.T) {
			w := boundWorld(t)
			tokens := w.redeem("scope", "accounts payments", "authorization_details", payACME, "grant_management_action", action)
			require.Equal(t, "accounts payments", tokens.body["scope"], "%v", tokens.body)
			w.clients["client-1"].AuthorizationDetailsTypes = []string{"account"}
			got := w.renew(tokens)
			require.Equal(t, "accounts", got.body["scope"], "%v", got.body)
			require.Equal(t, "[]", got.told("authorization_details"))
		})
	}
}

func codeOf(t testing.TB, response *authserver.AuthorizationResponse) string {
	u, err := url.Parse(response.URL())
	require.NoError(t, err)
	return u.Query().Get("code")
}

// An approval that grants nothing becomes a denial where the host reports it.
func TestNothingGranted(t *testing.T) {
	w := boundWorld(t)
	w.agreeing(func(p *authserver.Approval) { p.Scopes, p.Details = nil, nil })
	callback := w.browse(w.authorizationURL("client-1", w.pushForm("client-1")))
	require.Equal(t, "access_denied", callback.Get("error"), "A6 %v", callback)
	require.Empty(t, callback.Get("code"))
	_, err := w.as.Approve(t.Context(), w.load("client-1", w.pushForm("client-1")), authserver.Approval{Subject: "alice"})
	require.ErrorIs(t, err, authserver.ErrNothingGranted, "A6")
}

func TestRefreshTokensByConsent(t *testing.T) {
	for _, tc := range []struct {
		name, scope string
		change      func(*authserver.Approval)
		refresh     bool
	}{
		{"G4 offline_access requested and granted", "accounts offline_access", nil, true},
		{"G4 offline_access requested and denied", "accounts offline_access", func(p *authserver.Approval) { p.Scopes = []string{"accounts"} }, false},
		{"G4 offline_access not requested", "accounts", nil, true},
		{"G4 the host wants none", "accounts offline_access", func(p *authserver.Approval) { p.NoRefreshToken = true }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, managed := range []string{"", "create"} {
				w := boundWorld(t)
				w.agreeing(tc.change)
				got := w.redeem("scope", tc.scope, "grant_management_action", managed)
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				_, refresh := got.body["refresh_token"]
				require.Equal(t, tc.refresh, refresh)
			}
		})
	}
}

// No token outlives the end of its authorization.
func TestApprovalExpires(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		for _, managed := range []bool{false, true} {
			w.agreeing(func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(7 * time.Minute) })
			var fields []string
			if managed {
				fields = []string{"grant_management_action", "create"}
			}
			end := w.clock.Now().Add(7 * time.Minute)
			tokens := w.redeem(fields...)
			require.Equal(t, 300.0, tokens.body["expires_in"], "G4 %v", tokens.body)
			w.clock.Advance(5 * time.Minute)
			later := w.renew(tokens)
			require.InDelta(t, 120, later.body["expires_in"], 2, "G4 managed %v", managed)
			seen := w.seen("client-2", later.body["access_token"].(string))
			require.LessOrEqual(t, int64(seen.body["exp"].(float64)), end.Unix(), "G4")
			w.clock.Advance(2 * time.Minute)
			require.Equal(t, "invalid_grant", w.renew(tokens).code, "G4 managed %v", managed)
			require.Equal(t, false, w.seen("client-2", later.body["access_token"].(string)).body["active"], "G4")
		}
		w.agreeing(func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(30 * time.Second) })
		code := w.code("client-1", nil)
		w.clock.Advance(31 * time.Second)
		require.Equal(t, "invalid_grant", w.spend(code).code, "G4 over before the code was redeemed")
		_, err := w.agree(w.load("client-1", w.pushForm("client-1")), func(p *authserver.Approval) { p.Expires = w.clock.Now() })
		require.ErrorContains(t, err, "Expires", "G4")
	})
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) { m.Lifetime = time.Hour }))
	form := w.pushForm("client-1")
	form.Set("grant_management_action", "create")
	_, err := w.agree(w.load("client-1", form), func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(2 * time.Hour) })
	require.Error(t, err, "GM-6.4-5 longer than a grant may last")
}

func TestScopesOfTypesExist(t *testing.T) {
	cfg := goodConfig(t)
	cfg.AuthorizationDetails, cfg.Scopes = roletest.ScopedTypes(t), []string{"payments"}
	_, err := authserver.New(cfg)
	require.ErrorContains(t, err, `type "audit" requires the scope "audits"`, "A5")
	cfg.Scopes = append(cfg.Scopes, "audits")
	_, err = authserver.New(cfg)
	require.NoError(t, err)
}
