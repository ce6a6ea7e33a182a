package authserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

// at returns a payment that is for these resources.
func at(locations ...string) string {
	return `[{"type":"payment","payee":"ACME","amount":"1.00","locations":["` + strings.Join(locations, `","`) + `"]}]`
}

// A resource server is told of what is for itself, and of what can be for any.
func TestDetailsToEachItsOwn(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		here, there, audit := at(w.rsHTTP.URL), at(otherAPI), `[{"type":"audit"}]`
		below := at(otherAPI + "/payments/1")
		all := join(readOnly, here, there, audit, below)
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
			{"for one API", []string{w.rsHTTP.URL}, join(readOnly, here), join(readOnly, here), ""},
			{"for the other", []string{otherAPI}, join(readOnly, there, audit, below), "", join(readOnly, there, audit, below)},
			{"for both", []string{w.rsHTTP.URL, otherAPI}, all, join(readOnly, here), join(readOnly, there, audit, below)},
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
		w.agreeing(func(p *authserver.Approval) { p.Details = nil })
		tokens = w.redeem("authorization_details", at(otherAPI), "scope", "accounts")
		require.Equal(t, "invalid_target", w.renew(tokens, "resource", otherAPI).code, "RI-2.2-2 what was not granted opens none")
	})
}

// What nobody can read any more is not passed on.
func TestDetailsAfterTheirTypesAreGone(t *testing.T) {
	for _, kind := range [][]worldOption{nil, {opaque}} {
		memory := memstore.New(memstore.Config{})
		keep := func(as *authserver.Config, _ *resourceserver.Config) {
			as.Store = memory
		}
		w := newRichWorld(t, append(kind, keep)...)
		tokens := w.redeem("authorization_details", readOnly)
		w.requireDetails(readOnly, tokens, "")
		cfg := goodConfig(t)
		cfg.Issuer, cfg.Resources, cfg.Hooks.Now, cfg.Scopes = w.asHTTP.URL, []string{w.rsHTTP.URL, otherAPI}, w.clock.Now, []string{"openid", "accounts", "payments"}
		cfg.Clients = clientsOf(w)
		cfg.Interact = w.interact
		demanding(profile.Baseline)(&cfg, &resourceserver.Config{Resource: w.rsHTTP.URL})
		cfg.OpaqueAccessTokens = len(kind) > 0
		keep(&cfg, nil)
		var err error
		w.as, err = authserver.New(cfg)
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
		w.as, err = authserver.New(cfg)
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
			{"G10 RAR-3.2-1 a scope, for which there is a default, and the place", "accounts", "", at(otherAPI), "client-2"},
			{"G10 RAR-3.2-1 the same, at the place", "accounts", "", at(otherAPI), "client-3"},
			{"RAR-3.2-1 a scope and the place", "accounts", otherAPI, at(otherAPI), "client-3"},
			{"G10 RAR-3.2-1 another place", "", w.rsHTTP.URL, "", ""},
		} {
			form := w.credentialsForm("client-1", tc.scope)
			with("authorization_details", at(otherAPI))(form)
			if tc.resource != "" {
				form.Set("resource", tc.resource)
			}
			got := w.send(w.tokenURL(), form, w.tokenProof("d"))
			if tc.told == "" {
				require.Equal(t, "invalid_authorization_details", got.code, "%s %v", tc.name, got.body)
				continue
			}
			require.Equal(t, http.StatusOK, got.status, "%v", got.body)
			require.JSONEq(t, tc.told, got.told("authorization_details"), tc.name)
			require.Equal(t, true, w.seen(tc.api, got.body["access_token"].(string)).body["active"], tc.name)
		}
	}, func(as *authserver.Config, _ *resourceserver.Config) {
		as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
	})
}

// A location that is at none of the server's resources is rejected wherever
// details come from.
func TestUnknownLocations(t *testing.T) {
	w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
	})
	for _, tc := range []struct{ name, details, want string }{
		{"an unknown host", at("https://unknown.example/api"), "authorization_details[0].locations[0] (payment)"},
		{"the second location", at(otherAPI, "https://unknown.example"), "authorization_details[0].locations[1] (payment)"},
		{"the second detail", join(readOnly, at("https://unknown.example")), "authorization_details[1].locations[0] (payment)"},
		{"a host that begins alike", at(otherAPI + ".evil.example/"), "authorization_details[0].locations[0] (payment)"},
		{"another port", at(otherAPI + ":8443"), "authorization_details[0].locations[0] (payment)"},
		{"another case", at("https://OTHER-api.example"), "authorization_details[0].locations[0] (payment)"},
		{"not a URI", at("api"), "authorization_details[0].locations[0] (payment)"},
	} {
		t.Run("G3 RAR-5-4 "+tc.name, func(t *testing.T) {
			push, credentials := w.pushForm("client-1"), w.credentialsForm("client-1", "")
			redemption := w.codeForm("client-1", w.code("client-1", with("authorization_details", at(otherAPI))))
			for _, form := range []url.Values{push, credentials, redemption} {
				form.Set("authorization_details", tc.details)
			}
			for name, got := range map[string]answer{
				"push": w.send(w.parURL(), push), "client credentials": w.send(w.tokenURL(), credentials, w.tokenProof("d")), "code": w.send(w.tokenURL(), redemption, w.tokenProof("d")),
			} {
				require.Equal(t, "invalid_authorization_details", got.code, name)
				require.Contains(t, got.body["error_description"], tc.want, name)
				require.NotContains(t, got.body["error_description"], "unknown.example", "RAR-13-1")
			}
			redemption.Del("authorization_details")
			require.Equal(t, http.StatusOK, w.send(w.tokenURL(), redemption, w.tokenProof("d")).status, "the code was used up")
		})
	}
	// A host that enriches a detail cannot bring in a place either.
	free, err := rar.TypeOf("free", rar.TypeConfig[struct{ rar.Common }]{
		Enriches: func(_, _ struct{ rar.Common }) error { return nil },
	})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{free}})
	require.NoError(t, err)
	w = newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.AuthorizationDetails = registry
	})
	w.clients["client-1"].AuthorizationDetailsTypes = []string{"free"}
	form := w.pushForm("client-1")
	form.Set("authorization_details", `[{"type":"free"}]`)
	a := w.load("client-1", form)
	_, err = w.agree(a, func(p *authserver.Approval) {
		p.Details = roletest.Details(t, registry, `[{"type":"free","locations":["https://unknown.example"]}]`)
	})
	require.ErrorContains(t, err, "locations[0]", "G3 at the approval")
	_, err = w.agree(a, func(p *authserver.Approval) {
		p.Details = roletest.Details(t, registry, `[{"type":"free","locations":["`+otherAPI+`"]}]`)
	})
	require.NoError(t, err)
}

// eachAPI runs f with an API that reads JWTs, with one that introspects tokens,
// and with one in the process of the authorization server.
func eachAPI(t *testing.T, f func(t *testing.T, w *world)) {
	for name, options := range map[string][]worldOption{"JWT": nil, "introspection": {opaque}, "in the same process": {opaque}} {
		t.Run(name, func(t *testing.T) {
			w := newRichWorld(t, options...)
			var err error
			cfg := resourceserver.Config{Resource: w.rsHTTP.URL, AuthorizationDetails: w.registry, Hooks: resourceserver.Hooks{Now: w.clock.Now}}
			switch name {
			case "introspection":
				cfg.Issuers = []resourceserver.Issuer{{ID: w.asHTTP.URL, Introspection: w.newIntrospection()}}
				w.rs, err = resourceserver.New(cfg)
			case "in the same process":
				w.rs, err = w.as.ResourceServer(cfg)
			}
			require.NoError(t, err)
			f(t, w)
		})
	}
}

// order returns the status of an order with a token, and the number of details
// that the API sees.
func order(t *testing.T, w *world, raw, details string) (status, seen int) {
	r := httptest.NewRequest(http.MethodGet, w.rsHTTP.URL+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+raw)
	r.Header.Set("DPoP", w.apiProof("d", raw))
	recorder := httptest.NewRecorder()
	w.rs.Require()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		granted, err := token.Details()
		require.NoError(t, err)
		seen = len(granted)
		w.rs.Allows(rw, r, roletest.Details(t, w.registry, details))
	})).ServeHTTP(recorder, r)
	return recorder.Code, seen
}

func TestDetailsAtTheAPI(t *testing.T) {
	eachAPI(t, func(t *testing.T, w *world) {
		raw := w.redeem("authorization_details", join(readOnly, at(otherAPI))).body["access_token"].(string)
		status, _ := order(t, w, raw, readOnly)
		require.Equal(t, http.StatusOK, status, "RAR-9-1")
		status, _ = order(t, w, raw, readAndList)
		require.Equal(t, http.StatusForbidden, status, "RAR-9-1")
		status, _ = order(t, w, raw, at(otherAPI))
		require.Equal(t, http.StatusForbidden, status, "RAR-13-1 the details of another API are not here")
	})
}

// An API sees the details that are for it, and an order cannot change that.
func TestDetailsForAnotherAPI(t *testing.T) {
	eachAPI(t, func(t *testing.T, w *world) {
		token := func(details string) string {
			return w.spend(w.code("client-1", func(f url.Values) {
				f.Set("authorization_details", details)
				f["resource"] = []string{w.rsHTTP.URL, otherAPI}
			})).body["access_token"].(string)
		}
		there, both := token(at(otherAPI)), token(at(w.rsHTTP.URL, otherAPI))
		for name, details := range map[string]string{"the foreign location": at(otherAPI), "no location": payACME, "ours": at(w.rsHTTP.URL), "both": at(otherAPI, w.rsHTTP.URL)} {
			status, seen := order(t, w, there, details)
			require.Equal(t, http.StatusForbidden, status, "G1 G2 RAR-12-4 an order with %s", name)
			require.Zero(t, seen, "G2")
		}
		status, seen := order(t, w, both, at(w.rsHTTP.URL))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, 1, seen)
		status, _ = order(t, w, both, at(otherAPI))
		require.Equal(t, http.StatusForbidden, status, "G2 an order for the other API")
		status, _ = order(t, w, token(at(w.rsHTTP.URL+"/payments/1")), at(w.rsHTTP.URL+"/payments/1"))
		require.Equal(t, http.StatusOK, status, "below our resource")
	})
}

// The details of a token request say where its token is for.
func TestAudienceOfRequestedDetails(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		for _, managed := range []bool{false, true} {
			fields := []string{"authorization_details", join(readOnly, at(w.rsHTTP.URL), at(otherAPI)), "scope", "accounts"}
			if managed {
				fields = append(fields, "grant_management_action", "create")
			}
			code := func() string { return w.code("client-1", with(fields...)) }
			tokens := w.spend(code())
			for _, tc := range []struct {
				name, details string
				resource      []string
				want, scope   string // "": rejected
				here, there   bool
			}{
				{"G10 RAR-6.1-1 RAR-6.1-3 there", at(otherAPI), nil, at(otherAPI), "", false, true},
				{"G10 here", at(w.rsHTTP.URL), nil, at(w.rsHTTP.URL), "accounts", true, false},
				{"G10 both", join(at(w.rsHTTP.URL), at(otherAPI)), nil, join(at(w.rsHTTP.URL), at(otherAPI)), "", true, true},
				{"G10 anywhere, so at the default", readOnly, nil, readOnly, "accounts", true, false},
				{"G10 anywhere, and there", join(readOnly, at(otherAPI)), nil, join(readOnly, at(otherAPI)), "", false, true},
				{"G10 anywhere, by resource", readOnly, []string{"resource", otherAPI}, readOnly, "", false, true},
				{"G10 there, with resource for here", at(otherAPI), []string{"resource", w.rsHTTP.URL}, "", "", false, false},
				{"G10 one of two for another place", join(readOnly, at(otherAPI)), []string{"resource", w.rsHTTP.URL}, "", "", false, false},
			} {
				t.Run(tc.name, func(t *testing.T) {
					params := append([]string{"authorization_details", tc.details}, tc.resource...)
					for _, got := range []answer{w.renew(tokens, params...), w.spend(code(), params...)} {
						if tc.want == "" {
							require.Equal(t, "invalid_authorization_details", got.code, "%v", got.body)
							continue
						}
						require.Equal(t, http.StatusOK, got.status, "%v", got.body)
						require.JSONEq(t, tc.want, got.told("authorization_details"))
						require.Equal(t, tc.scope, got.body["scope"])
						raw := got.body["access_token"].(string)
						require.Equal(t, tc.here, w.seen("client-2", raw).body["active"])
						require.Equal(t, tc.there, w.seen("client-3", raw).body["active"])
					}
				})
			}
			require.Equal(t, "invalid_scope", w.renew(tokens, "authorization_details", at(otherAPI), "scope", "accounts").code, "a scope for here is not for there")
		}
	})
}

// A token has the scopes of its details and no details without their scopes.
func TestScopesOfDetailsInTokens(t *testing.T) {
	w := boundWorld(t)
	for _, managed := range []string{"", "create"} {
		tokens := w.redeem("authorization_details", join(payACME, auditAll, readOnly), "scope", "accounts payments audits", "grant_management_action", managed)
		for _, tc := range []struct {
			name           string
			fields         []string
			scope, details string
			code           string
		}{
			{"A5 by default, at the default resource", nil, "accounts payments", join(payACME, readOnly), ""},
			{"A5 at the other resource", []string{"resource", otherAPI}, "audits payments", join(payACME, auditAll, readOnly), ""},
			{"A5 the scope of the details is left out", []string{"scope", "accounts"}, "accounts", readOnly, ""},
			{"A5 some details, and not all scopes", []string{"authorization_details", readOnly}, "accounts", readOnly, ""},
			{"A5 details for the other resource", []string{"authorization_details", auditAll}, "audits", auditAll, ""},
			{"A5 details without their scope", []string{"authorization_details", payACME, "scope", "accounts"}, "", "", "invalid_authorization_details"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				got := w.renew(tokens, tc.fields...)
				if tc.code != "" {
					require.Equal(t, tc.code, got.code, "%v", got.body)
					return
				}
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				require.Equal(t, tc.scope, got.body["scope"])
				require.JSONEq(t, tc.details, got.told("authorization_details"))
			})
		}
	}
}

// A guard knows the audience of a token alone. With nested resource servers it
// could take a detail for the one between for its own.
func TestDetailsBetweenNestedResources(t *testing.T) {
	nested := func(as *authserver.Config, rs *resourceserver.Config) {
		as.Resources = []string{rs.Resource, rs.Resource + "/pay", rs.Resource + "/pay/cards"}
		as.Introspection = nil
	}
	w := newRichWorld(t, nested)
	top, pay, cards := w.rsHTTP.URL, w.rsHTTP.URL+"/pay", w.rsHTTP.URL+"/pay/cards"
	between := at(pay+"/sepa", cards+"/1")
	token := func(resources ...string) answer {
		return w.spend(w.code("client-1", func(f url.Values) {
			f.Set("authorization_details", join(between, at(top)))
			f["resource"] = resources
		}))
	}
	require.JSONEq(t, join(between, at(top)), token(top, pay, cards).told("authorization_details"), "each guard reads them as the server does")
	require.JSONEq(t, join(at(top)), token(top, cards).told("authorization_details"), "G1 G2 the guard above would take the first for its own")
	require.JSONEq(t, join(between), token(pay, cards).told("authorization_details"))
}
