package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// paymentOf is a payment with these actions, or without the member if there are
// none.
func paymentOf(amount string, actions ...string) string {
	detail := strings.Replace(order, "12.34", amount, 1)
	if len(actions) == 0 {
		return detail
	}
	return withMember(detail, `"actions":["`+strings.Join(actions, `","`)+`"]`)
}

// withMember adds a member to a detail.
func withMember(detail, member string) string {
	return strings.Replace(detail, `"creditorName"`, member+`,"creditorName"`, 1)
}

// attempt orders a payment with an idempotency key.
func (p *party) attempt(token, key, body string) reply {
	p.w.t.Helper()
	r := p.call(http.MethodPost, "/payments", token)
	r.json = body
	r.header.Set("Idempotency-Key", key)
	return r.do()
}

// paidOnce orders a payment in all spellings and requires that it is made once.
func (p *party) paidOnce(t *testing.T, token string, orders ...string) {
	t.Helper()
	id := p.pay(token, orders[0]).ok(http.StatusCreated).str("payment_id")
	for _, order := range orders {
		again := p.pay(token, order).ok(http.StatusConflict)
		require.Equal(t, "payment_already_made", again.str("error"))
		require.Equal(t, id, again.str("payment_id"), order)
	}
}

func TestOneConsentIsOnePayment(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		w := newWorld(t, with("access_token", format))
		for _, p := range []*party{w.one, w.tlsOne} {
			t.Run("CASES A1: actions repeated", func(t *testing.T) {
				for _, granted := range []string{paymentOf("12.34", "initiate"), paymentOf("12.34"), paymentOf("12.34", "initiate", "status", "cancel")} {
					p.paidOnce(t, p.accessToken(details(granted)), granted, paymentOf("12.34"), paymentOf("12.34", "initiate"),
						paymentOf("12.34", "initiate", "initiate"), paymentOf("12.34", "initiate", "initiate", "initiate"), paymentOf("12.34", "status"), paymentOf("12.34", "cancel", "initiate"))
				}
			})
			t.Run("CASES A1: locations repeated", func(t *testing.T) {
				at := func(n int) string {
					return withMember(order, `"locations":["`+strings.Repeat(w.issuer+`","`, n-1)+w.issuer+`"]`)
				}
				p.paidOnce(t, p.accessToken(details(at(1))), at(1), at(2), at(3), order, withMember(order, `"locations":["`+w.issuer+`/payments"]`))
			})
			t.Run("CASES A3: the amount spelled differently", func(t *testing.T) {
				for _, granted := range []string{"12.50", "12.5"} {
					p.paidOnce(t, p.accessToken(details(paymentOf(granted))), paymentOf(granted), paymentOf("12.5"), paymentOf("12.50"))
				}
			})
			t.Run("CASES A4: a second consent is a second payment", func(t *testing.T) {
				first, second := p.accessToken(details(order)), p.accessToken(details(order))
				one, two := p.pay(first, order).ok(http.StatusCreated), p.pay(second, order).ok(http.StatusCreated)
				require.NotEqual(t, one.str("payment_id"), two.str("payment_id"))
				p.pay(first, order).ok(http.StatusConflict)
				p.pay(second, order).ok(http.StatusConflict)
			})
			t.Run("CASES A1: after a refresh, and with a narrowed token", func(t *testing.T) {
				granted := paymentOf("12.34", "initiate", "status")
				tokens := p.tokens(details(granted))
				refresh := func(changes ...func(*request)) string {
					r := p.refresh(tokens["refresh_token"].(string))
					for _, change := range changes {
						change(r)
					}
					return r.do().ok(http.StatusOK).str("access_token")
				}
				refreshed, narrowed := refresh(), refresh(param("authorization_details", "["+paymentOf("12.34", "initiate")+"]"))
				id := p.pay(narrowed, order).ok(http.StatusCreated).str("payment_id")
				for _, token := range []string{tokens["access_token"].(string), refreshed, narrowed, refresh()} {
					require.Equal(t, id, p.pay(token, order).ok(http.StatusConflict).str("payment_id"))
				}
				p.pay(refresh(param("authorization_details", "["+paymentOf("12.34", "status")+"]")), order).refusedByAPI("insufficient_scope")
			})
		}
	}
}

// refusedByAPI checks a challenge.
func (r reply) refusedByAPI(code string) {
	r.t.Helper()
	require.Equal(r.t, http.StatusForbidden, r.status, "%s", r.body)
	require.Contains(r.t, strings.Join(r.header.Values("WWW-Authenticate"), "\n"), `error="`+code+`"`)
}

func TestAPermissionForSomethingElseIsNotOneToPay(t *testing.T) {
	w := newWorld(t)
	for _, actions := range [][]string{{"status"}, {"cancel"}, {"status", "cancel"}} {
		granted := paymentOf("12.34", actions...)
		token := w.one.accessToken(details(granted))
		for _, order := range []string{granted, order, paymentOf("12.34", "initiate")} {
			w.one.pay(token, order).refusedByAPI("insufficient_scope")
		}
	}
	require.Empty(t, w.made(), "CASES A2")
	t.Run("CASES A5: the API requires the scope as well", func(t *testing.T) {
		refresh := w.one.tokens(details(order))["refresh_token"].(string)
		narrowed := w.one.refresh(refresh).with("scope", "openid accounts").do()
		if narrowed.status == http.StatusOK {
			w.one.pay(narrowed.str("access_token"), order).refusedByAPI("insufficient_scope")
		}
		w.one.push().with("authorization_details", "["+order+"]").do().refused(http.StatusBadRequest, "invalid_authorization_details", "invalid_scope")
	})
}

func TestIdempotencyKeys(t *testing.T) {
	w := newWorld(t)
	token := w.one.accessToken(details(order))
	first := w.one.attempt(token, "key-1", order).ok(http.StatusCreated)
	again := w.one.attempt(token, "key-1", paymentOf("12.34", "initiate")).ok(http.StatusCreated)
	require.Equal(t, string(first.body), string(again.body), "the same attempt gets the same response")
	other := w.one.attempt(token, "key-2", order).ok(http.StatusConflict)
	require.Equal(t, first.str("payment_id"), other.str("payment_id"))
	w.one.pay(token, order).ok(http.StatusConflict)
	require.Len(t, w.made(), 1)
	for _, key := range []string{"a b", strings.Repeat("k", 65), "ü"} {
		require.Equal(t, "malformed Idempotency-Key", w.one.attempt(token, key, order).ok(http.StatusBadRequest).str("error_description"))
	}
	t.Run("of many requests at once one is the first", func(t *testing.T) {
		token := w.one.accessToken(details(order))
		ids := make([]string, 20)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() { ids[i] = w.one.attempt(token, fmt.Sprint(i), order).str("payment_id") })
		}
		all.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
		require.Len(t, w.made(), 2)
	})
}

func TestDetailsForAnotherAPI(t *testing.T) {
	const other = "https://other.example/api"
	w := newWorld(t, func(cfg object) { cfg["resources"] = []string{cfg["issuer"].(string), other} })
	both := func(r *request) { r.form["resource"] = []string{w.issuer, other} }
	elsewhere := withMember(order, `"locations":["`+other+`"]`)
	token := w.one.accessToken(details(elsewhere), both)
	for _, body := range []string{order, elsewhere, withMember(order, `"locations":["`+w.issuer+`"]`)} {
		w.one.pay(token, body).refusedByAPI("insufficient_scope")
	}
	list := w.one.accessToken(details(strings.Replace(information, `"actions"`, `"locations":["`+other+`"],"actions"`, 1)), param("scope", "openid"), both)
	w.one.call(http.MethodGet, "/accounts", list).do().refusedByAPI("insufficient_scope")
	require.Empty(t, w.made(), "CASES G1")
	t.Run("CASES G3: a location of no API of this bank", func(t *testing.T) {
		unknown := withMember(order, `"locations":["https://unknown.example/api"]`)
		push := w.one.push()
		details(unknown)(push)
		push.do().refused(http.StatusBadRequest, "invalid_authorization_details")
	})
	t.Run("CASES G9: a location that looks like a URI", func(t *testing.T) {
		for _, lookalike := range []string{"https:\u2215\u2215bank.example", "https://bank\u3002example", "https\u2236//bank.example", "https://bank.example\uff0fapi"} {
			push := w.one.push()
			details(withMember(order, `"locations":["`+lookalike+`"]`))(push)
			push.do().refused(http.StatusBadRequest, "invalid_authorization_details")
		}
	})
}

// bigInformation is account information of about 6 KB, a different one for each
// number.
func bigInformation(w *world, number int) string {
	locations := make([]string, 40)
	for i := range locations {
		locations[i] = fmt.Sprintf(`"%s/accounts/%0120d"`, w.issuer, 1000*number+i)
	}
	return strings.Replace(information, `"actions"`, `"locations":[`+strings.Join(locations, ",")+`],"actions"`, 1)
}

func TestDetailsThatNoTokenHolds(t *testing.T) {
	w := newWorld(t)
	t.Run("CASES A7: are rejected at the push", func(t *testing.T) {
		push := w.one.push()
		details(bigInformation(w, 1), bigInformation(w, 2))(push)
		push.do().refused(http.StatusBadRequest, "invalid_authorization_details")
	})
	t.Run("CASES G6: a grant that no token holds is not created", func(t *testing.T) {
		push := w.one.push()
		for _, change := range []func(*request){param("grant_management_action", "create"), details(bigInformation(w, 1), bigInformation(w, 2))} {
			change(push)
		}
		push.do().refused(http.StatusBadRequest, "invalid_authorization_details")
		b := w.newBrowser()
		apps := b.logIn(b.open(w.issuer+"/apps"), "alice", "correct horse")
		require.NotContains(t, string(apps.body), "Application one", "nothing is left behind")
	})
	t.Run("CASES G5: a merge that cannot be put into a token changes nothing", func(t *testing.T) {
		tokens := w.one.tokens(param("grant_management_action", "create"), details(bigInformation(w, 1)))
		id := tokens["grant_id"].(string)
		params := w.one.callbackOrPush(param("grant_management_action", "merge"), param("grant_id", id), details(bigInformation(w, 2)))
		require.Empty(t, params.Get("code"), "no code for tokens that cannot be made")
		w.one.refresh(tokens["refresh_token"].(string)).do().ok(http.StatusOK)
		require.Len(t, w.one.grant(http.MethodGet, id).do().ok(http.StatusOK).json()["authorization_details"], 1)
	})
}

// callbackOrPush is what comes back for a request, or an error of the push.
func (p *party) callbackOrPush(changes ...func(*request)) url.Values {
	r := p.push()
	for _, change := range changes {
		change(r)
	}
	pushed := r.do()
	if pushed.status != http.StatusCreated {
		return url.Values{"error": {pushed.str("error")}}
	}
	got := p.w.get(p.front(pushed.str("request_uri")))
	if got.status != http.StatusSeeOther {
		return url.Values{"error": {"page"}}
	}
	return got.location().Query()
}

func TestNoRefreshTokenWithoutConsentToOne(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil), registration(object{"scope": "openid accounts offline_access"}, "one"))
	b := w.newBrowser()
	b.logIn(b.open(w.issuer+"/apps"), "alice", "correct horse")
	for _, ticked := range [][]string{{"accounts"}, {"accounts", "offline_access"}} {
		consent := b.open(w.one.front(w.one.pushed(param("scope", "accounts offline_access"))))
		to := b.press(consent, "approve", url.Values{"scope": ticked}).location()
		tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
		require.Equal(t, strings.Join(ticked, " "), tokens["scope"])
		if len(ticked) == 1 {
			require.NotContains(t, tokens, "refresh_token", "CASES G4: unticked, so there is none")
		} else {
			require.Contains(t, tokens, "refresh_token")
		}
	}
}
