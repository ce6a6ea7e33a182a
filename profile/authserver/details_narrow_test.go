package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

const (
	readOnly   = `[{"type":"account","actions":["read"]}]`
	payACME    = `[{"type":"payment","payee":"ACME","amount":"1.00"}]`
	theirMoney = `[{"type":"payment","payee":"EVIL","amount":"1.00"}]`
)

// join makes one list of several.
func join(lists ...string) string {
	for i, list := range lists {
		lists[i] = strings.TrimSuffix(strings.TrimPrefix(list, "["), "]")
	}
	return "[" + strings.Join(lists, ",") + "]"
}

// One token can be for less than was granted, and none for more, whichever request asks for it.
func TestDetailsNarrowed(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		all := join(readAndList, payACME)
		tokens := w.redeem("authorization_details", all)
		w.requireDetails(all, tokens, "RAR-7-2")
		for _, tc := range []struct{ name, details, want string }{
			{"RAR-6-1 all of it", all, all},
			{"RAR-6-1 in another order", join(payACME, readAndList), join(payACME, readAndList)},
			{"RAR-6-1 one of the two", payACME, payACME},
			{"RAR-6-1 fewer actions", readOnly, readOnly},
			{"RAR-6-1 one twice", join(readOnly, readOnly), join(readOnly, readOnly)},
			{"RAR-6-2 one action more", `[{"type":"account","actions":["read","list","write"]}]`, ""},
			{"RAR-6-2 without actions, which could mean all", `[{"type":"account"}]`, ""},
			{"RAR-6-2 no actions", `[{"type":"account","actions":[]}]`, ""},
			{"RAR-6-2 at a location that was not named", `[{"type":"account","actions":["read"],"locations":["` + otherAPI + `"]}]`, ""},
			{"RAR-6-2 an account that nobody has chosen", `[{"type":"account","actions":["read"],"accounts":["1"]}]`, ""},
			{"RAR-6-2 another payee", theirMoney, ""},
			{"RAR-6-2 a payment and another one", join(payACME, theirMoney), ""},
			{"RAR-6-2 a type that was not granted", `[{"type":"audit"}]`, ""},
			{"RAR-6-2 nothing at all", `[]`, ""},
		} {
			t.Run(tc.name, func(t *testing.T) {
				for name, got := range map[string]answer{
					"a code": w.spend(w.code("client-1", with("authorization_details", all)), "authorization_details", tc.details), "a refresh": w.renew(tokens, "authorization_details", tc.details),
				} {
					if tc.want == "" {
						require.Equal(t, http.StatusBadRequest, got.status, name)
						require.Equal(t, "invalid_authorization_details", got.code, "RAR-8-1 %s", name)
						require.NotContains(t, got.body["error_description"], "EVIL", "RAR-13-1")
						continue
					}
					w.requireDetails(tc.want, got, name)
					if name == "a code" {
						w.requireDetails(all, w.renew(got), "RAR-6.1-2 the grant is what it was")
					}
				}
				w.requireDetails(all, w.renew(tokens), "RAR-6.1-2 the grant is what it was")
			})
		}
		code := w.code("client-1", with("authorization_details", readOnly))
		require.Equal(t, "invalid_authorization_details", w.spend(code, "authorization_details", readAndList).code, "RAR-6-2")
		w.requireDetails(readOnly, w.spend(code), "the code was used up")
		require.Equal(t, "invalid_authorization_details", w.spend(w.code("client-1", nil), "authorization_details", readOnly).code, "RAR-6-2 added at the token request")
	})
}

// A type that the client, or the server, has no longer is not asked for, approved or given out any more.
func TestDetailsOfATypeThatIsLost(t *testing.T) {
	all := join(readAndList, payACME)
	richKinds(t, func(t *testing.T, w *world) {
		lose := func() { w.clients["client-1"].AuthorizationDetailsTypes = []string{"account"} }
		regain := func() { w.clients["client-1"].AuthorizationDetailsTypes = []string{"account", "payment", "audit"} }

		target := w.authorizationURL("client-1", func() url.Values { f := w.pushForm("client-1"); f.Set("authorization_details", all); return f }())
		lose()
		require.Equal(t, "invalid_authorization_details", w.browse(target).Get("error"), "RAR-10-2 between push and consent")
		regain()

		code := w.code("client-1", with("authorization_details", all))
		lose()
		tokens := w.spend(code)
		w.requireDetails(readAndList, tokens, "BCP-2.3-1 RAR-10-2 between consent and token")
		require.Equal(t, "invalid_authorization_details", w.renew(tokens, "authorization_details", payACME).code, "RAR-10-2")
		regain()
		w.requireDetails(all, w.renew(tokens), "RAR-6.1-2 what was granted is still there")
		lose()
		w.requireDetails(readAndList, w.renew(tokens), "BCP-2.3-1 RAR-10-2 between token and refresh")
		w.clients["client-1"].AuthorizationDetailsTypes = nil
		w.requireDetails("", w.renew(tokens), "RAR-10-2 who is registered for no type has none")
		push := w.pushForm("client-1")
		push.Set("authorization_details", readOnly)
		require.Equal(t, "invalid_authorization_details", w.send(w.parURL(), push).code, "RAR-10-2 who is registered for no type has none")
	})
}

// What the host approves has to have been asked for, or to be what the type lets the user make of it.
func TestDetailsApproved(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		form := w.pushForm("client-1")
		form.Set("authorization_details", join(readAndList, payACME))
		a := w.load("client-1", form)
		details := func(raw string) rar.Details {
			d, err := w.registry.Parse([]byte(raw), []string{"account", "payment", "audit"})
			require.NoError(t, err)
			return d
		}
		foreign, err := roletest.Types(t).New("account", roletest.Account{Common: rar.Common{Actions: []string{"read"}}})
		require.NoError(t, err)
		for name, granted := range map[string]rar.Details{
			"RAR-3-2 more than was asked for":                    details(`[{"type":"account","actions":["read","write"]}]`),
			"RAR-3-2 another payment":                            details(theirMoney),
			"RAR-3-2 another payment besides":                    details(join(readAndList, payACME, theirMoney)),
			"RAR-3-2 a type that was not asked for":              details(`[{"type":"audit"}]`),
			"RAR-7.1-1 enriched, and with one action more":       details(`[{"type":"account","actions":["read","write"],"accounts":["1"]}]`),
			"RAR-7.1-1 enriched with nothing":                    details(`[{"type":"account","actions":["read"],"accounts":[]}]`),
			"RAR-7.1-1 a payment enriched, which it must not be": details(`[{"type":"payment","payee":"ACME","amount":"1.00","identifier":"x"}]`),
			"a detail that no registry made":                     {rar.Detail{}},
			"a detail of another registry":                       foreign,
		} {
			_, err := w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Details: granted, AuthTime: w.clock.Now()})
			require.Error(t, err, name)
			_, _, status := oautherr.From(err)
			require.Equal(t, http.StatusInternalServerError, status, "%s: it is the host's mistake: %v", name, err)
			require.NotContains(t, err.Error(), "EVIL", "RAR-13-1")
		}
		chosen := `[{"type":"account","actions":["read"],"accounts":["1","2"]}]`
		tokens := w.spend(w.approve(a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), Details: details(chosen), AuthTime: w.clock.Now()}))
		w.requireDetails(chosen, tokens, "RAR-3-2 RAR-7.1-1 fewer actions, no payment, and the accounts chosen")
		one := `[{"type":"account","actions":["read"],"accounts":["2"]}]`
		w.requireDetails(one, w.renew(tokens, "authorization_details", one), "RAR-6-1 what the user has chosen can be narrowed")
		for name, wider := range map[string]string{
			"RAR-6-2 as it was asked for": readAndList, "RAR-6-2 without the choice": readOnly, "RAR-6-2 another account": strings.ReplaceAll(one, "2", "3"), "RAR-6-2 refused by the user": payACME,
		} {
			require.Equal(t, "invalid_authorization_details", w.renew(tokens, "authorization_details", wider).code, name)
		}
		w.agreeing(func(p *authserver.Approval) { p.Details = nil })
		w.requireDetails("", w.redeem("authorization_details", readAndList), "RAR-3-2 nothing of it")
	})
	w := newWorld(t)
	_, err := w.as.Approve(context.Background(), w.load("client-1", w.pushForm("client-1")), authserver.Approval{Subject: "alice", Details: make(rar.Details, 1)})
	require.Error(t, err, "a server without details")
}

// What a type adds by itself is what the user sees and the token has.
func TestDetailsEnriched(t *testing.T) {
	var fail error
	calls := 0
	consent, err := rar.TypeOf("consent", rar.TypeConfig[struct{ rar.Common }]{
		Enrich: func(_ context.Context, requested struct{ rar.Common }) (struct{ rar.Common }, error) {
			calls++
			requested.Identifier = "consent-" + strings.Repeat("1", calls)
			return requested, fail
		},
		Enriches: func(requested, granted struct{ rar.Common }) error {
			if requested.Identifier != "" || !strings.HasPrefix(granted.Identifier, "consent-") {
				return rar.FieldError("identifier", "is the server's to give")
			}
			return nil
		},
	})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{consent}})
	require.NoError(t, err)
	w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.AuthorizationDetails = registry
	})
	w.clients["client-1"].AuthorizationDetailsTypes = []string{"consent"}
	form := w.pushForm("client-1")
	form.Set("authorization_details", `[{"type":"consent"}]`)
	target := w.authorizationURL("client-1", form)
	var first *authserver.Authorization
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		if first == nil {
			first = a
		}
		return nil, nil
	}
	w.browse(target)
	shown := first.Details()[0].Common().Identifier
	require.Regexp(t, "^consent-1+$", shown, "RAR-7.1-1 RAR-11.2-2")
	w.browse(target) // a reload, which makes another identifier
	got := w.spend(w.approve(first, authserver.Approval{Subject: "alice", Scopes: first.Scopes(), Details: first.Details(), AuthTime: w.clock.Now()}))
	w.requireDetails(`[{"type":"consent","identifier":"`+shown+`"}]`, got, "RAR-7.1-1 what the user has seen")

	form = w.pushForm("client-1")
	form.Set("authorization_details", `[{"type":"consent"}]`)
	target = w.authorizationURL("client-1", form)
	fail = errors.New("db: 10.1.2.3")
	callback := w.browse(target)
	require.Equal(t, "server_error", callback.Get("error"))
	require.NotContains(t, callback.Get("error_description"), "10.1.2.3")
}

// A client that acts for nobody has the details that the host lets it have.
func TestClientDetails(t *testing.T) {
	ask := func(w *world, details string) answer {
		form := w.credentialsForm("client-1", "accounts")
		form.Set("authorization_details", details)
		return w.send(w.tokenURL(), form, w.tokenProof("d"))
	}
	richKinds(t, func(t *testing.T, w *world) {
		require.Equal(t, "invalid_authorization_details", ask(w, readOnly).code, "RAR-6-2 no user has agreed")
		require.Equal(t, "invalid_authorization_details", ask(w, "[]").code)
		w.requireDetails("", w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")), "none asked for")
	})
	var grant func(requested rar.Details) (rar.Details, error)
	richKinds(t, func(t *testing.T, w *world) {
		grant = func(requested rar.Details) (rar.Details, error) { return requested[:1], nil }
		w.requireDetails(readOnly, ask(w, join(readOnly, payACME)), "RAR-6-2 what the host allows")
		require.Equal(t, "invalid_authorization_details", ask(w, `[{"type":"x"}]`).code, "RAR-8-1")
		grant = func(rar.Details) (rar.Details, error) { return nil, nil }
		w.requireDetails("", ask(w, readOnly), "RAR-6-2 the host allows nothing")
		grant = func(rar.Details) (rar.Details, error) {
			return nil, oautherr.New("no", "invalid_authorization_details", http.StatusBadRequest, "not for you")
		}
		require.Equal(t, "not for you", ask(w, readOnly).body["error_description"], "RAR-6-2")
		grant = func(requested rar.Details) (rar.Details, error) {
			wider, err := rar.Edit(requested[0], func(d *roletest.Account) { d.Actions = append(d.Actions, "write") })
			return rar.Details{wider}, err
		}
		got := ask(w, readOnly)
		require.Equal(t, http.StatusInternalServerError, got.status, "RAR-6-2 the host's mistake")
		require.NotContains(t, got.body, "access_token")
	}, func(as *authserver.Config, _ *resourceserver.Config) {
		as.ClientDetails = func(_ context.Context, clientID string, requested rar.Details) (rar.Details, error) {
			require.Equal(t, "client-1", clientID)
			return grant(requested)
		}
	})
}

// A server without types does not ignore what was meant to narrow a request.
func TestDetailsAtAServerWithoutTypes(t *testing.T) {
	w := newWorld(t)
	w.clients["client-1"].AuthorizationDetailsTypes = []string{"account"}
	push := w.pushForm("client-1")
	push.Set("authorization_details", readOnly)
	require.Equal(t, "invalid_authorization_details", w.send(w.parURL(), push).code, "RAR-5-1")
	tokens := w.tokens("client-1", "d")
	require.Equal(t, "invalid_authorization_details", w.renew(tokens, "authorization_details", readOnly).code, "RAR-8-1")
	require.Empty(t, w.as.Metadata().AuthorizationDetailsTypesSupported, "RAR-10-1")
}
