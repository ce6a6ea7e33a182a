package profile_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
)

// at returns a payment that is for these resources.
func at(locations ...string) string {
	return `[{"type":"payment","payee":"ACME","amount":"1.00","locations":["` + strings.Join(locations, `","`) + `"]}]`
}

// A resource server is told of what is for itself, and of what can be for any.
func TestDetailsToEachItsOwn(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		here, there, audit := at(w.rsHTTP.URL), at(otherAPI), `[{"type":"audit"}]`
		below, unknown := at(otherAPI+"/payments/1"), at("https://elsewhere.example")
		all := join(readOnly, here, there, audit, below, unknown)
		code := func(resources ...string) string {
			return w.code("client-1", func(f url.Values) { f.Set("authorization_details", all); f["resource"] = resources })
		}
		for _, tc := range []struct {
			name      string
			resources []string
			token     string // what the token has
			own       string // what client-2 is told, the server of the first API
			other     string // client-3
		}{
			{"for one API", []string{w.rsHTTP.URL}, join(readOnly, here, unknown), join(readOnly, here, unknown), ""},
			{"for the other", []string{otherAPI}, join(readOnly, there, audit, below, unknown), "", join(readOnly, there, audit, below, unknown)},
			{"for both", []string{w.rsHTTP.URL, otherAPI}, all, join(readOnly, here, unknown), join(readOnly, there, audit, below, unknown)},
		} {
			t.Run(tc.name, func(t *testing.T) {
				tokens := w.spend(code(tc.resources...))
				require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
				for _, got := range []answer{tokens, w.renew(tokens)} {
					require.JSONEq(t, tc.token, got.told("authorization_details"), "RAR-7-1 RAR-9.1-1 RAR-13-1")
					raw := got.body["access_token"].(string)
					if strings.Contains(raw, ".") {
						_, payload := claims(t, raw)
						require.JSONEq(t, tc.token, string(payload["authorization_details"]), "RAR-9.1-1 RAR-13-1")
					}
					for id, want := range map[string]string{"client-2": tc.own, "client-3": tc.other} {
						seen := w.seen(id, raw)
						require.Equal(t, want != "", seen.body["active"], id)
						if want == "" {
							require.Len(t, seen.body, 1, "RAR-13-1 nothing is said of a token that is for others")
							continue
						}
						require.JSONEq(t, want, seen.told("authorization_details"), "RAR-9.2-1 RAR-13-1 %s", id)
					}
					require.Equal(t, false, w.seen("client-1", raw).body["active"], "RAR-13-1 who is no resource server")
				}
			})
		}
	})
}

// resource says where scopes are for. Details say that themselves, and a token for that place can be had.
func TestDetailsDoNotDependOnResource(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		for _, managed := range []bool{false, true} {
			for _, tc := range []struct {
				name    string
				fields  []string // of the pushed request
				scope   string
				token   []string // of the token request
				details string   // "": none
				told    string   // scope
				aud     []string
			}{
				{"RAR-3.2-1 elsewhere, and nothing else", nil, "openid", nil, at(otherAPI), "openid", []string{otherAPI}},
				{"RAR-3.2-1 at both", nil, "openid", nil, join(at(w.rsHTTP.URL), at(otherAPI)), "openid", []string{otherAPI, w.rsHTTP.URL}},
				{"RAR-3.2-1 with scopes, for which there is a default", nil, "accounts", nil, "", "accounts", []string{w.rsHTTP.URL}},
				{"RAR-3.2-1 with scopes, a token for the details", nil, "accounts", []string{"resource", otherAPI}, at(otherAPI), "", []string{otherAPI}},
				{"RAR-3.2-1 a resource, a token for it", []string{"resource", w.rsHTTP.URL}, "accounts", nil, "", "accounts", []string{w.rsHTTP.URL}},
				{"RAR-3.2-1 a resource, a token for the details", []string{"resource", w.rsHTTP.URL}, "accounts", []string{"resource", otherAPI}, at(otherAPI), "", []string{otherAPI}},
				{"RAR-3.2-1 a resource, a token for both", []string{"resource", w.rsHTTP.URL}, "accounts", []string{"resource", otherAPI, "resource", w.rsHTTP.URL}, at(otherAPI), "", []string{otherAPI, w.rsHTTP.URL}},
			} {
				t.Run(tc.name, func(t *testing.T) {
					details := tc.details
					if details == "" {
						details = at(otherAPI)
					}
					fields := append([]string{"authorization_details", details, "scope", tc.scope}, tc.fields...)
					if managed {
						fields = append(fields, "grant_management_action", "create")
					}
					tokens := w.spend(w.code("client-1", with(fields...)), tc.token...)
					require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
					for _, got := range []answer{tokens, w.renew(tokens, tc.token...)} {
						require.Equal(t, http.StatusOK, got.status, "%v", got.body)
						require.Equal(t, tc.told, got.body["scope"], "a scope for one API is not for the other")
						if tc.details == "" {
							require.Equal(t, "[]", got.told("authorization_details"), "RAR-7-1 none, and it is said")
						} else {
							require.JSONEq(t, tc.details, got.told("authorization_details"), "RAR-9-1")
						}
						raw := got.body["access_token"].(string)
						for id, api := range map[string]string{"client-2": w.rsHTTP.URL, "client-3": otherAPI} {
							require.Equal(t, slices.Contains(tc.aud, api), w.seen(id, raw).body["active"], id)
						}
					}
					if tc.told == "" {
						require.Equal(t, "invalid_scope", w.renew(tokens, append(tc.token, "scope", "accounts")...).code, "BASE-6749-6-1")
					}
				})
			}
		}
		tokens := w.redeem("authorization_details", readOnly, "resource", w.rsHTTP.URL)
		require.Equal(t, "invalid_target", w.renew(tokens, "resource", otherAPI).code, "RI-2.2-2 what names no place opens none")
		w.agreeing(func(p *profile.Approval) { p.Details = nil })
		tokens = w.redeem("authorization_details", at(otherAPI), "scope", "accounts")
		require.Equal(t, "invalid_target", w.renew(tokens, "resource", otherAPI).code, "RI-2.2-2 what was not granted opens none")
	})
}

// A token that would be too long for a header is refused at once, by an error that says what to do, and the code stays good.
func TestDetailsThatNoTokenHolds(t *testing.T) {
	large := func(payee string, size int) string {
		return `[{"type":"payment","amount":"1","payee":"` + payee + strings.Repeat("x", size) + `"}]`
	}
	all := join(large("A", 7500), large("B", 7500))
	t.Run("JWT", func(t *testing.T) {
		w := newRichWorld(t)
		w.requireDetails(large("A", 9000), w.redeem("authorization_details", large("A", 9000)), "9 KiB are no matter")
		code := w.code("client-1", with("authorization_details", all))
		got := w.spend(code)
		require.Equal(t, http.StatusBadRequest, got.status, "not to be repeated for ever: %v", got.body)
		require.Equal(t, "invalid_authorization_details", got.code, "RAR-8-1")
		tokens := w.spend(code, "authorization_details", large("B", 7500))
		w.requireDetails(large("B", 7500), tokens, "RAR-6-1")
		w.requireDetails(large("A", 7500), w.renew(tokens, "authorization_details", large("A", 7500)), "RAR-6.1-2")
		require.Equal(t, "invalid_authorization_details", w.renew(tokens).code)
		w.agreeing(func(p *profile.Approval) { p.ACR, p.AMR = strings.Repeat("a", 1000), nil })
		w.requireDetails(large("A", 9500), w.redeem("authorization_details", large("A", 9500)), "with all that a host can say besides")
	})
	t.Run("opaque", func(t *testing.T) {
		w := newRichWorld(t, opaque)
		w.requireDetails(all, w.redeem("authorization_details", all), "a reference is short")
		escaped := `[{"type":"payment","amount":"1","payee":"` + strings.Repeat("<", 2600) + `"}]`
		w.requireDetails(escaped, w.redeem("authorization_details", escaped), "however it grows when it is marshalled")
	})
}

// What nobody can read any more is not passed on.
func TestDetailsAfterTheirTypesAreGone(t *testing.T) {
	for _, kind := range [][]worldOption{nil, {opaque}} {
		memory := profile.NewMemoryStore(0, nil)
		keep := func(as *profile.AuthorizationServerConfig, _ *profile.ResourceServerConfig) {
			as.Codes, as.RefreshTokens, as.Revocations = memory, memory, memory
			if as.AccessTokens != nil {
				as.AccessTokens = memory
			}
		}
		w := newRichWorld(t, append(kind, keep)...)
		tokens := w.redeem("authorization_details", readOnly)
		w.requireDetails(readOnly, tokens, "")
		cfg := goodConfig(t)
		cfg.Issuer, cfg.Resources, cfg.Now, cfg.Scopes = w.asHTTP.URL, []string{w.rsHTTP.URL, otherAPI}, w.clock.Now, []string{"openid", "accounts", "payments"}
		cfg.Clients = clientsOf(w)
		cfg.Interact = w.interact
		demanding(profile.Baseline)(&cfg, &profile.ResourceServerConfig{Resource: w.rsHTTP.URL})
		if len(kind) > 0 {
			cfg.AccessTokens = memory
		}
		keep(&cfg, nil)
		var err error
		w.as, err = profile.NewAuthorizationServer(cfg)
		require.NoError(t, err)
		seen := w.seen("client-2", tokens.body["access_token"].(string))
		require.Equal(t, true, seen.body["active"])
		require.NotContains(t, seen.body, "authorization_details", "RAR-13-1 whose they are nobody can say")
		got := w.renew(tokens)
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		require.NotEqual(t, readOnly, got.told("authorization_details"), "BCP-2.3-1")

		// The type means something else by now: nobody can say what was granted, until the server is put right.
		other, err := rar.TypeOf("account", rar.TypeConfig[struct {
			Account string `json:"account"`
		}]{})
		require.NoError(t, err)
		cfg.AuthorizationDetails, err = rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{other}})
		require.NoError(t, err)
		w.as, err = profile.NewAuthorizationServer(cfg)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, w.renew(tokens).status, "RAR-5-5")
		raw := tokens.body["access_token"].(string)
		asked := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {raw}}))
		require.Equal(t, http.StatusServiceUnavailable, asked.status, "RAR-5-5 RAR-9.2-1")
	}
}

func TestClientDetailsElsewhere(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		for _, tc := range []struct{ name, scope, resource, told, api string }{
			{"RAR-3.2-1 details alone", "", "", at(otherAPI), "client-3"},
			{"RAR-3.2-1 a scope, for which there is a default", "accounts", "", "[]", "client-2"},
			{"RAR-3.2-1 a scope and the place", "accounts", otherAPI, at(otherAPI), "client-3"},
			{"RAR-3.2-1 another place", "", w.rsHTTP.URL, "[]", "client-2"},
		} {
			form := w.credentialsForm("client-1", tc.scope)
			with("authorization_details", at(otherAPI))(form)
			if tc.resource != "" {
				form.Set("resource", tc.resource)
			}
			got := w.send(w.tokenURL(), form, w.tokenProof("d"))
			require.Equal(t, http.StatusOK, got.status, "%v", got.body)
			require.JSONEq(t, tc.told, got.told("authorization_details"), tc.name)
			require.Equal(t, true, w.seen(tc.api, got.body["access_token"].(string)).body["active"], tc.name)
		}
	}, func(as *profile.AuthorizationServerConfig, _ *profile.ResourceServerConfig) {
		as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
	})
}
