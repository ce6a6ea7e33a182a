package authserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// A consentBook is what a host knows of the consents that clients have made.
type consentBook struct {
	mu       sync.Mutex
	owner    map[string]string // the client of each consent
	ends     map[string]time.Time
	reserved map[string]string // the request of each used consent
	down     error
	asked    []authserver.Intent
}

func (b *consentBook) intent(_ context.Context, q *authserver.Intent) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, *q)
	used, isUsed := b.reserved[q.ID]
	switch {
	case b.down != nil:
		return b.down
	case b.owner[q.ID] != q.Client.ClientID:
		return fmt.Errorf("%w: of another client", authserver.ErrIntent)
	case isUsed && used != q.RequestID:
		return fmt.Errorf("%w: used", authserver.ErrIntent)
	}
	if q.Approval {
		b.reserved[q.ID] = q.RequestID
	}
	q.Content, q.Expires = "the consent "+q.ID, b.ends[q.ID]
	return nil
}

func (b *consentBook) set(down error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down, b.asked = down, nil
}

// A nestedConsent is a type of authorization details that names a consent.
type nestedConsent struct {
	rar.Common
	Consent struct {
		ConsentID string `json:"ConsentId"`
	} `json:"consent"`
}

// An intentPlace is one of the places of the identifier, with a request for it.
type intentPlace struct {
	name  string
	rules rules.Intent
	code  string // of a rejection
	named func(ids ...string) func(url.Values)
	none  func(url.Values)
}

func intentPlaces() []intentPlace {
	detail := func(ids ...string) string {
		var details []string
		for _, id := range ids {
			details = append(details, fmt.Sprintf(`{"type":"consent","consent":{"ConsentId":%q}}`, id))
		}
		return "[" + strings.Join(details, ",") + "]"
	}
	return []intentPlace{
		{"scope", rules.Intent{Scope: "consent:"}, "invalid_scope", func(ids ...string) func(url.Values) {
			return with("scope", "openid accounts consent:"+strings.Join(ids, " consent:"))
		}, func(url.Values) {}},
		{"claim", rules.Intent{Claim: "intent_id"}, "invalid_request", func(ids ...string) func(url.Values) {
			value := fmt.Sprintf(`"value":%q`, ids[0])
			if len(ids) > 1 {
				value = fmt.Sprintf(`"values":[%q,%q]`, ids[0], ids[1])
			}
			return with("claims", `{"id_token":{"intent_id":{"essential":true,`+value+`}}}`)
		}, with("claims", `{"id_token":{"email":null}}`)},
		{"detail", rules.Intent{Detail: "consent.ConsentId"}, "invalid_authorization_details", func(ids ...string) func(url.Values) {
			return with("authorization_details", detail(ids...))
		}, with("authorization_details", `[{"type":"consent","consent":{}}]`)},
	}
}

// intentWorld is a server whose clients name consents at a place, without any ecosystem.
func intentWorld(t *testing.T, place rules.Intent, options ...worldOption) (*world, *consentBook) {
	book := &consentBook{
		owner: map[string]string{"C1": "client-1", "C2": "client-2", "C3": "client-1", strings.Repeat("c", 257): "client-1"},
		ends:  map[string]time.Time{}, reserved: map[string]string{},
	}
	consent, err := rar.TypeOf("consent", rar.TypeConfig[nestedConsent]{
		Enriches: func(nestedConsent, nestedConsent) error { return nil }, // a host may change anything
	})
	require.NoError(t, err)
	other, err := rar.TypeOf("other", rar.TypeConfig[rar.Common]{})
	require.NoError(t, err)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{consent, other}})
	require.NoError(t, err)
	first := func(as *authserver.Config, rs *resourceserver.Config) {
		as.Rules, as.Intent = &rules.Set{Name: "x", Intent: &place}, book.intent
		as.Claims = []string{"intent_id"}
		as.AuthorizationDetails, rs.AuthorizationDetails = registry, registry
	}
	w := newWorld(t, append([]worldOption{first}, options...)...)
	for _, c := range w.clients {
		c.AuthorizationDetailsTypes = []string{"consent", "other"}
	}
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) { return w.agree(a, nil) }
	return w, book
}

func (w *world) push(id string, change func(url.Values)) answer {
	form := w.pushForm(id)
	change(form)
	return w.send(w.parURL(), form)
}

func TestIntentRejectedAtThePush(t *testing.T) {
	for _, p := range intentPlaces() {
		t.Run(p.name, func(t *testing.T) {
			p.rules.Required = true
			w, book := intentWorld(t, p.rules)
			for name, change := range map[string]func(url.Values){
				"none":                           p.none,
				"an unknown one":                 p.named("C9"),
				"attack: that of another client": p.named("C2"),
				"two":                            p.named("C1", "C3"),
				"an empty one":                   p.named(""),
				"one of 257 characters":          p.named(strings.Repeat("c", 257)),
			} {
				got := w.push("client-1", change)
				require.Equal(t, http.StatusBadRequest, got.status, "%s %v", name, got.body)
				require.Equal(t, p.code, got.code, "%s %v", name, got.body)
			}
			good := w.pushForm("client-1")
			p.named("C1")(good)
			book.set(errors.New("database of 10.0.0.7 is down"))
			got := w.send(w.parURL(), good)
			require.Equal(t, http.StatusServiceUnavailable, got.status, "%v", got.body)
			require.NotContains(t, fmt.Sprint(got.body), "10.0.0.7")
			require.NotEmpty(t, got.header.Get("Retry-After"))
			book.set(nil)
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), good).status, "the assertion was not consumed")
			require.Len(t, book.asked, 1)
			require.Equal(t, "C1", book.asked[0].ID)
			require.Same(t, w.clients["client-1"], book.asked[0].Client)
			require.Empty(t, book.asked[0].RequestID)
			book.set(nil)
			good.Set("client_assertion", w.assertion("client-2"))
			good.Set("client_id", "client-1")
			require.Equal(t, "invalid_client", w.send(w.parURL(), good).code)
			require.Empty(t, book.asked, "the client is authenticated first")
			require.Equal(t, "invalid_scope", w.send(w.tokenURL(), w.credentialsForm("client-1", "consent:C1"), w.tokenProof("d")).code,
				"a client has no consent of its own")
		})
	}
	w, _ := intentWorld(t, rules.Intent{Claim: "intent_id"})
	for _, parameter := range []string{
		`{"id_token":{"intent_id":null}}`, `{"id_token":{"intent_id":{"value":7}}}`,
		`{"id_token":{"intent_id":{"value":"C1"}},"userinfo":{"intent_id":{"value":"C3"}}}`,
	} {
		require.Equal(t, "invalid_request", w.push("client-1", with("claims", parameter)).code, parameter)
	}
	both := `{"id_token":{"intent_id":{"value":"C1"}},"userinfo":{"intent_id":{"value":"C1"}}}`
	require.Equal(t, http.StatusCreated, w.push("client-1", with("claims", both)).status)
}

func TestIntentAllTheWay(t *testing.T) {
	for _, p := range intentPlaces() {
		for kind, option := range map[string]worldOption{"JWT": func(*authserver.Config, *resourceserver.Config) {}, "opaque": opaque} {
			t.Run(p.name+" "+kind, func(t *testing.T) {
				w, book := intentWorld(t, p.rules, option, func(as *authserver.Config, rs *resourceserver.Config) {
					as.Introspection = &authserver.Introspection{
						ResourceServers: func(context.Context, string) ([]string, error) { return []string{rs.Resource}, nil },
						Scopes:          map[string][]string{rs.Resource: {"accounts"}, otherAPI: {}},
					}
				})
				book.ends["C1"] = w.clock.Now().Add(time.Hour)
				w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
					if got := a.Intent(); got.ID != "C1" || got.Content != "the consent C1" || got.Expires != book.ends["C1"] {
						t.Errorf("intent %v", got)
					}
					if choices := a.Choices(); len(choices) != 1 {
						t.Errorf("choices %v", choices)
					}
					if scopes := a.ScopesFor([]string{"consent:C2"}, nil); len(scopes) > 0 {
						t.Errorf("attack: a form names another consent: %v", scopes)
					}
					return w.as.Approve(context.Background(), a, authserver.Approval{
						Subject: "alice", Scopes: a.ScopesFor([]string{"accounts"}, a.Details()), Details: a.Details(),
					})
				}
				tokens := w.spend(w.code("client-1", p.named("C1")))
				require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)
				require.Len(t, book.asked, 3, "at the push, when the browser arrives and for the approval")
				require.NotEmpty(t, book.asked[1].RequestID)
				require.Equal(t, book.asked[1].RequestID, book.asked[2].RequestID)
				require.False(t, book.asked[1].Approval)
				require.True(t, book.asked[2].Approval)
				_, idToken := claims(t, tokens.body["id_token"])
				for _, got := range []answer{tokens, w.renew(tokens), w.seen("client-2", tokens.body["access_token"].(string))} {
					require.Equal(t, http.StatusOK, got.status, "%v", got.body)
					scope := "accounts openid"
					if got.body["active"] == true {
						scope = "accounts"
					}
					switch p.name {
					case "scope":
						require.Equal(t, strings.Replace(scope, "accounts", "accounts consent:C1", 1), got.body["scope"])
					case "claim":
						require.Equal(t, scope, got.body["scope"])
						require.Equal(t, `"C1"`, string(idToken["intent_id"]))
					case "detail":
						require.Contains(t, got.told("authorization_details"), `"C1"`)
					}
				}
				w.clock.Advance(time.Hour)
				require.Equal(t, "invalid_grant", w.renew(tokens).code, "the refresh token ends with the consent")
			})
		}
	}
}

func TestIntentAtTheApproval(t *testing.T) {
	for _, p := range intentPlaces() {
		t.Run(p.name, func(t *testing.T) {
			w, book := intentWorld(t, p.rules)
			target := w.authorizationURL("client-1", func() url.Values { f := w.pushForm("client-1"); p.named("C1")(f); return f }())
			late := func(err error) {
				w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
					book.set(err)
					defer book.set(nil)
					return w.agree(a, nil)
				}
			}
			late(errors.New("down"))
			require.Equal(t, http.StatusServiceUnavailable, w.visit(target).StatusCode)
			book.set(errors.New("down"))
			require.Equal(t, http.StatusServiceUnavailable, w.visit(target).StatusCode, "it fails when the browser arrives")
			book.set(nil)
			late(nil)
			require.NotEmpty(t, w.browse(target).Get("code"), "the same request succeeds: nothing was consumed")

			form := w.pushForm("client-1")
			p.named("C1")(form)
			require.Equal(t, p.code, w.send(w.parURL(), form).code, "it is used")
			delete(book.reserved, "C1")
			late(fmt.Errorf("%w: withdrawn", authserver.ErrIntent))
			require.Equal(t, p.code, w.browse(w.authorizationURL("client-1", form)).Get("error"), "it is withdrawn while the user reads")

			form = w.pushForm("client-1")
			p.named("C3")(form)
			target = w.authorizationURL("client-1", form)
			book.ends["C3"] = w.clock.Now()
			require.Equal(t, p.code, w.browse(target).Get("error"), "it has ended when the browser arrives")
			delete(book.ends, "C3")

			form = w.pushForm("client-1")
			p.named("C3")(form)
			a := w.load("client-1", form)
			delete(book.owner, "C3")
			_, err := w.as.Complete(context.Background(), a, "code of the host")
			require.ErrorIs(t, err, authserver.ErrIntent)
			book.owner["C3"] = "client-1"
			_, err = w.as.Complete(context.Background(), a, "code of the host")
			require.NoError(t, err, "nothing was consumed")
		})
	}
}

// Two requests name one consent. One of them is approved.
func TestIntentOnce(t *testing.T) {
	w, book := intentWorld(t, rules.Intent{Scope: "consent:"})
	const n = 8
	requests := make([]*authserver.Authorization, n)
	for i := range requests {
		form := w.pushForm("client-1")
		form.Set("scope", "openid consent:C1")
		requests[i] = w.load("client-1", form)
	}
	var wait sync.WaitGroup
	errs := make([]error, n)
	for i, a := range requests {
		wait.Go(func() {
			_, errs[i] = w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice"})
		})
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, authserver.ErrIntent)
		}
	}
	require.Equal(t, 1, won)
	require.Len(t, book.reserved, 1)
}

func TestIntentOfAnApproval(t *testing.T) {
	for name, tc := range map[string]struct {
		place  string
		change func(*authserver.Approval)
		want   string
	}{
		"after the consent": {"scope", func(a *authserver.Approval) { a.Expires = time.Now().Add(2 * time.Hour) }, "Expires is after the end"},
		"before its end":    {"scope", func(a *authserver.Approval) { a.Expires = time.Now().Add(time.Minute) }, ""},
		"another claim":     {"claim", func(a *authserver.Approval) { a.IDTokenClaims = map[string]any{"intent_id": "C3"} }, "another intent_id"},
		"the claim":         {"claim", func(a *authserver.Approval) { a.IDTokenClaims = map[string]any{"intent_id": "C1"} }, ""},
		"another detail": {"detail", func(a *authserver.Approval) {
			edited, err := rar.Edit(a.Details[0], func(c *nestedConsent) { c.Consent.ConsentID = "C3" })
			if err != nil {
				panic(err)
			}
			a.Details = rar.Details{edited}
		}, "Details have another consent"},
		"the detail":           {"detail", func(*authserver.Approval) {}, ""},
		"no choice is granted": {"scope", func(a *authserver.Approval) { a.Scopes = nil }, "grants nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range intentPlaces() {
				if p.name != tc.place {
					continue
				}
				w, book := intentWorld(t, p.rules)
				book.ends["C1"] = w.clock.Now().Add(time.Hour)
				form := w.pushForm("client-1")
				p.named("C1")(form)
				a := w.load("client-1", form)
				approval := authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}, Details: a.Details()}
				tc.change(&approval)
				_, err := w.as.Approve(context.Background(), a, approval)
				if tc.want != "" {
					require.ErrorContains(t, err, tc.want)
				} else {
					require.NoError(t, err)
				}
			}
		})
	}
}

func TestIntentPerClient(t *testing.T) {
	w, _ := intentWorld(t, rules.Intent{Scope: "consent:"}, func(as *authserver.Config, _ *resourceserver.Config) {
		set := as.Rules
		as.Rules = nil
		as.ClientRules = func(c *profile.ClientMetadata) *rules.Set {
			if c.ClientID == "client-1" {
				return set
			}
			return nil
		}
	})
	require.Equal(t, http.StatusCreated, w.push("client-1", with("scope", "consent:C1")).status)
	require.Equal(t, "invalid_scope", w.push("client-2", with("scope", "consent:C2")).code)

	w, _ = intentWorld(t, rules.Intent{Scope: "consent:"}, func(as *authserver.Config, _ *resourceserver.Config) {
		set := as.Rules
		as.Rules, as.Intent = nil, nil
		as.ClientRules = func(*profile.ClientMetadata) *rules.Set { return set }
	})
	require.Equal(t, "server_error", w.push("client-1", with("scope", "consent:C1")).code, "fails closed")
}

func TestIntentConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		place  rules.Intent
		change func(*authserver.Config)
		want   string
	}{
		"no hook":              {rules.Intent{Scope: "consent:"}, func(c *authserver.Config) { c.Intent = nil }, "Rules.Intent requires Intent"},
		"an unknown claim":     {rules.Intent{Claim: "intent_id"}, func(c *authserver.Config) { c.Claims = nil }, `Claims has no "intent_id"`},
		"no details":           {rules.Intent{Detail: "id"}, func(*authserver.Config) {}, "requires AuthorizationDetails"},
		"a scope that is like": {rules.Intent{Scope: "acc"}, func(*authserver.Config) {}, `scope "accounts" begins with`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := authserver.Config{
				Issuer: "https://as.example", Keys: []profile.SigningKey{{Key: testkit.ECKey(t, "as"), KeyID: "1"}},
				Clients: func(context.Context, string) (*profile.ClientMetadata, error) { return nil, nil },
				Scopes:  []string{"openid", "accounts"}, Resources: []string{"https://api.example"}, Claims: []string{"intent_id"},
				Rules:  &rules.Set{Name: "x", Intent: &tc.place},
				Intent: func(context.Context, *authserver.Intent) error { return nil },
			}
			tc.change(&cfg)
			_, err := authserver.New(cfg)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// A consent that was reserved for an approval that failed is still good for the same request.
func TestIntentAfterAFailedApproval(t *testing.T) {
	var spy *spyStore
	w, book := intentWorld(t, rules.Intent{Scope: "consent:"}, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	form := w.pushForm("client-1")
	form.Set("scope", "openid consent:C1")
	target := w.authorizationURL("client-1", form)
	for _, call := range []string{"add code", "swap request"} {
		spy.before = func(got string) error {
			if got == call {
				return errDown
			}
			return nil
		}
		require.Equal(t, http.StatusServiceUnavailable, w.visit(target).StatusCode, call)
		require.Len(t, book.reserved, 1, call)
	}
	spy.before = nil
	require.Equal(t, "invalid_scope", w.push("client-1", with("scope", "openid consent:C1")).code, "another request with it")
	require.NotEmpty(t, w.browse(target).Get("code"), "the user retries")
}

// The scope of a consent narrows the other scopes of a token. A client that omits it would widen them.
func TestIntentScopeStaysInNarrowedTokens(t *testing.T) {
	w, _ := intentWorld(t, rules.Intent{Scope: "consent:"})
	code := w.code("client-1", with("scope", "openid accounts consent:C1"))
	redeemed := w.spend(code, "scope", "accounts")
	for _, got := range []answer{redeemed, w.renew(redeemed, "scope", "accounts"), w.renew(redeemed, "scope", "consent:C1 accounts")} {
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		require.Equal(t, "accounts consent:C1", got.body["scope"])
	}
	require.Equal(t, "invalid_scope", w.renew(redeemed, "scope", "accounts consent:C3").code, "attack: another consent")
}

// A consent can end earlier than it did when the browser arrived.
func TestIntentThatIsShortenedWhileTheUserReads(t *testing.T) {
	for _, p := range intentPlaces() {
		w, book := intentWorld(t, p.rules)
		form := w.pushForm("client-1")
		p.named("C1")(form)
		a := w.load("client-1", form)
		book.ends["C1"] = w.clock.Now().Add(time.Minute)
		_, err := w.agree(a, nil)
		require.ErrorIs(t, err, authserver.ErrIntent, p.name)
	}
}

// An approval of other details than the one with the consent is not an approval of the consent.
func TestIntentOfADetailThatIsNotGranted(t *testing.T) {
	w, _ := intentWorld(t, rules.Intent{Detail: "consent.ConsentId"})
	form := w.pushForm("client-1")
	form.Set("authorization_details", `[{"type":"consent","consent":{"ConsentId":"C1"}},{"type":"other"}]`)
	a := w.load("client-1", form)
	for _, granted := range []rar.Details{nil, a.Details()[1:]} {
		_, err := w.agree(a, func(approval *authserver.Approval) { approval.Details = granted })
		require.ErrorIs(t, err, authserver.ErrNothingGranted)
	}
	_, err := w.agree(a, nil)
	require.NoError(t, err)
}

func TestIntentClaimForUserInfoAlone(t *testing.T) {
	w, _ := intentWorld(t, rules.Intent{Claim: "intent_id"}, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Rules.Claims.OnlyRequested = true
	})
	require.Equal(t, "invalid_request", w.push("client-1", with("claims", `{"userinfo":{"intent_id":{"value":"C1"}}}`)).code,
		"the ID token would not contain it")
	_, idToken := claims(t, w.spend(w.code("client-1", with("claims", `{"id_token":{"intent_id":{"value":"C1"}}}`))).body["id_token"])
	require.Equal(t, `"C1"`, string(idToken["intent_id"]))
}

// A merge would keep the permissions of one consent until the end of another one.
func TestIntentIsNotMerged(t *testing.T) {
	for _, p := range intentPlaces() {
		w, book := intentWorld(t, p.rules, func(as *authserver.Config, _ *resourceserver.Config) { as.Grants = new(grants.ManagerConfig) })
		book.ends["C1"], book.ends["C3"] = w.clock.Now().Add(time.Hour), w.clock.Now().Add(2*time.Hour)
		managed := func(action, grantID string, name func(url.Values)) func(url.Values) {
			return func(form url.Values) {
				form.Set("grant_management_action", action)
				if grantID != "" {
					form.Set("grant_id", grantID)
				}
				name(form)
			}
		}
		created := w.spend(w.code("client-1", managed("create", "", p.named("C1"))))
		id := created.body["grant_id"].(string)
		require.Equal(t, "invalid_request", w.push("client-1", managed("merge", id, p.named("C3"))).code, p.name)
		require.Equal(t, "invalid_request", w.push("client-1", managed("merge", id, func(url.Values) {})).code, p.name)
		replaced := w.spend(w.code("client-1", managed("replace", id, p.named("C3"))))
		require.Equal(t, id, replaced.body["grant_id"], "%v", replaced.body)
		_, idToken := claims(t, replaced.body["id_token"]) // not the whole response, because random text may have C1
		visible := fmt.Sprintf("%s %v %v", idToken["intent_id"], replaced.body["scope"], replaced.body["authorization_details"])
		require.NotContains(t, visible, "C1")
	}
}

// A client has no consent of its own, and the types of the rules apply to its own tokens, too.
func TestDetailsOfAClientUnderRules(t *testing.T) {
	w, book := intentWorld(t, rules.Intent{Detail: "consent.ConsentId"}, func(as *authserver.Config, _ *resourceserver.Config) {
		as.ClientDetails = func(_ context.Context, _ string, requested rar.Details) (rar.Details, error) { return requested, nil }
		as.Rules.Request.AuthorizationDetails.Types = []string{"consent"}
	})
	for _, details := range []string{`[{"type":"consent","consent":{"ConsentId":"C2"}}]`, `[{"type":"other"}]`} {
		form := w.credentialsForm("client-1", "accounts")
		form.Set("authorization_details", details)
		got := w.send(w.tokenURL(), form, w.tokenProof("d"))
		require.Equal(t, "invalid_authorization_details", got.code, "%s: %v", details, got.body)
	}
	require.Empty(t, book.asked)
}
