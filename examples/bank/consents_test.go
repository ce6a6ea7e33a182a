package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withConsents adds an endpoint for consents in JSON and one for signed ones.
func withConsents(cfg object) {
	cfg["interaction_ids"] = "make"
	cfg["consents"] = []object{
		{"path": "/open-banking/aisp/consents", "scope": "accounts", "schema": "testdata/consent.json",
			"id": "Data.ConsentId", "id_prefix": "urn:bank:", "status": "Data.Status", "expires": "Data.ExpirationDateTime"},
		{"path": "/signed", "scope": "payments", "media_type": "jwt", "id": "message.Data.ConsentId",
			"status": "message.Data.Status", "states": object{"awaiting": "AWAITING"}},
	}
}

// consentCall is a request to an endpoint for consents, with the client's own
// token.
func (p *party) consentCall(method, path, scope, mediaType, body string) *request {
	token := p.own().with("scope", scope).do().ok(http.StatusOK).str("access_token")
	r := p.call(method, path, token)
	r.json = body
	if body != "" {
		r.header.Set("Content-Type", mediaType)
	}
	return r
}

func (p *party) createConsent(body string) *request {
	return p.consentCall(http.MethodPost, "/open-banking/aisp/consents", "accounts", "application/json", body)
}

const consentBody = `{"Data":{"Permissions":["ReadBalances"]}}`

func TestConsentsAreCreatedReadAndDeleted(t *testing.T) {
	w := newWorld(t, withConsents)
	for _, p := range w.all() {
		created := p.createConsent(consentBody).do().ok(http.StatusCreated)
		require.Len(t, created.header.Get("X-Fapi-Interaction-Id"), 36)
		data := created.json()["Data"].(object)
		require.Regexp(t, "^urn:bank:", data["ConsentId"])
		require.Equal(t, "AwaitingAuthorisation", data["Status"])
		require.Equal(t, []any{"ReadBalances"}, data["Permissions"])
		at := "/open-banking/aisp/consents/" + data["ConsentId"].(string)
		read := func(p *party) reply { return p.consentCall(http.MethodGet, at, "accounts", "", "").do() }
		require.Equal(t, data, read(p).ok(http.StatusOK).json()["Data"])
		attacker := w.two
		if p == w.two {
			attacker = w.one
		}
		read(attacker).ok(http.StatusNotFound)
		attacker.consentCall(http.MethodDelete, at, "accounts", "", "").do().ok(http.StatusNotFound)
		for range 2 {
			p.consentCall(http.MethodDelete, at, "accounts", "", "").do().ok(http.StatusNoContent)
		}
		require.Equal(t, object{"ConsentId": data["ConsentId"], "Status": "Revoked"}, read(p).ok(http.StatusOK).json()["Data"])
	}
	t.Run("an end of its own", func(t *testing.T) {
		body := `{"Data":{"Permissions":["ReadBalances"],"ExpirationDateTime":"` + w.now().Add(time.Hour).Format(time.RFC3339) + `"}}`
		id := w.one.createConsent(body).do().ok(http.StatusCreated).json()["Data"].(object)["ConsentId"].(string)
		w.advance(59 * time.Minute)
		one, err := w.bank.consents.of(t.Context(), "one", id)
		require.NoError(t, err)
		require.Equal(t, consentAwaiting, one.state(w.now()))
		require.Equal(t, consentExpired, one.state(w.now().Add(time.Minute)))
	})
	t.Run("nobody decides", func(t *testing.T) {
		id := w.one.createConsent(consentBody).do().ok(http.StatusCreated).json()["Data"].(object)["ConsentId"].(string)
		w.advance(consentWaits)
		read := w.one.consentCall(http.MethodGet, "/open-banking/aisp/consents/"+id, "accounts", "", "").do().ok(http.StatusOK)
		require.Equal(t, "Expired", read.json()["Data"].(object)["Status"])
	})
}

func TestConsentRequestsThatAreRefused(t *testing.T) {
	w := newWorld(t, withConsents)
	for name, body := range map[string]string{
		"not JSON": "x", "an array": "[]", "a member that the schema does not have": `{"Data":{"Permissions":["a"]},"X":1}`,
		"no permissions": `{"Data":{"Permissions":[]}}`, "a name twice": `{"Data":{"Permissions":["a"],"Permissions":["b"]}}`,
		"an end in the past":   `{"Data":{"Permissions":["a"],"ExpirationDateTime":"2020-01-01T00:00:00Z"}}`,
		"an end in ten years":  `{"Data":{"Permissions":["a"],"ExpirationDateTime":"` + w.now().AddDate(10, 0, 0).Format(time.RFC3339) + `"}}`,
		"an end without a day": `{"Data":{"Permissions":["a"],"ExpirationDateTime":"tomorrow"}}`,
		"too large":            `{"Data":{"Permissions":["` + string(make([]byte, maxConsent)) + `"]}}`,
	} {
		t.Run(name, func(t *testing.T) { w.one.createConsent(body).do().refused(http.StatusBadRequest, "invalid_request") })
	}
	t.Run("another media type", func(t *testing.T) {
		w.one.consentCall(http.MethodPost, "/open-banking/aisp/consents", "accounts", "text/plain", consentBody).do().
			ok(http.StatusUnsupportedMediaType)
	})
	t.Run("a token with another scope", func(t *testing.T) {
		w.one.consentCall(http.MethodPost, "/open-banking/aisp/consents", "payments", "application/json", consentBody).do().
			refusedByAPI("insufficient_scope")
	})
	t.Run("attack: the token of a user", func(t *testing.T) {
		r := w.one.call(http.MethodPost, "/open-banking/aisp/consents", w.one.accessToken())
		r.json = consentBody
		r.header.Set("Content-Type", "application/json")
		r.do().refused(http.StatusForbidden, "insufficient_scope")
	})
	t.Run("attack: a token without its key", func(t *testing.T) {
		r := w.one.createConsent(consentBody)
		r.dpop = newEC(t)
		r.do().ok(http.StatusUnauthorized)
	})
	for _, id := range []string{"made-up", "", "a%2Fb", "%7Bid%7D"} {
		r := w.one.consentCall(http.MethodGet, "/open-banking/aisp/consents/"+id, "accounts", "", "").do()
		require.Equal(t, http.StatusNotFound, r.status, id)
	}
}

func TestConsentsAsSignedMessages(t *testing.T) {
	w := newWorld(t, withConsents)
	send := func(p *party, changes ...change) reply {
		now := w.now().Unix()
		token := forge(t, p.key, object{"alg": "ES256", "kid": "key-of-" + p.id, "typ": "JWT"}, object{
			"iss": p.id, "aud": []string{w.issuer}, "iat": now, "nbf": now, "exp": now + 300, "jti": hash(time.Now().String()),
			"message": object{"Data": object{"Permissions": []string{"ReadBalances"}}},
		}, changes...)
		return p.consentCall(http.MethodPost, "/signed", "payments", "application/jwt", token).do()
	}
	for _, p := range []*party{w.one, w.mixed} {
		answer := send(p).ok(http.StatusCreated)
		require.Equal(t, "application/jwt", answer.header.Get("Content-Type"))
		require.NotEmpty(t, answer.header.Get("X-Fapi-Interaction-Id"))
		head, claims := unseal(t, string(answer.body))
		require.Equal(t, "ES256", head["alg"])
		require.Equal(t, w.issuer, claims["iss"])
		require.Equal(t, p.id, claims["aud"])
		data := claims["message"].(object)["Data"].(object)
		require.NotEmpty(t, data["ConsentId"])
		require.Equal(t, "AWAITING", data["Status"])
		require.Equal(t, []any{"ReadBalances"}, data["Permissions"])
	}
	for name, changes := range map[string][]change{
		"another issuer": {claim("iss", "two")}, "another audience": {claim("aud", "https://other.example")},
		"expired": {claim("exp", w.now().Unix()-60)}, "no signature": {header("alg", "none")}, "no iat": {claim("iat", nil)},
		"another kind of JWT": {header("typ", "at+jwt")}, "another key": {header("kid", "key-of-two")},
	} {
		t.Run(name, func(t *testing.T) { send(w.one, changes...).refused(http.StatusBadRequest, "invalid_request") })
	}
	t.Run("attack: the same message again", func(t *testing.T) {
		again := claim("jti", "once")
		send(w.one, again).ok(http.StatusCreated)
		send(w.one, again).refused(http.StatusBadRequest, "invalid_request")
	})
	t.Run("JSON instead", func(t *testing.T) {
		w.one.consentCall(http.MethodPost, "/signed", "payments", "application/json", `{"message":{}}`).do().
			ok(http.StatusUnsupportedMediaType)
	})
}

func TestAConsentIsDecidedOnce(t *testing.T) {
	c := consents{newRecords(t, time.Now)}
	now := time.Now()
	id, err := c.add(t.Context(), &consentAPI{}, consent{ClientID: "one", State: consentAwaiting, Created: now, Until: now.Add(time.Hour)})
	require.NoError(t, err)
	require.ErrorIs(t, c.decide(t.Context(), "two", id, consentAuthorised, "a"), errNoConsent)
	require.ErrorIs(t, c.decide(t.Context(), "", id, consentAuthorised, "a"), errNoConsent)
	const n = 64
	results := make(chan error, n)
	var all sync.WaitGroup
	for i := range n {
		state := consentAuthorised
		if i%4 == 0 {
			state = consentRejected
		}
		all.Go(func() { results <- c.decide(context.Background(), "one", id, state, "a") })
	}
	all.Wait()
	close(results)
	winners := 0
	for err := range results {
		if err == nil {
			winners++
		} else {
			require.True(t, errors.Is(err, errConsentState), err)
		}
	}
	require.Equal(t, 1, winners)
}

func TestConfigurationsOfConsentsThatAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, member, value, says string }{
		{"no path", "path", `""`, `consents[0]: path`},
		{"a path of the bank", "path", `"/consent"`, "is a path of the bank"},
		{"a path with a slash at the end", "path", `"/consents/"`, "is not a path"},
		{"a path with a query", "path", `"/consents?a"`, "is not a path"},
		{"no scope", "scope", `""`, "is not a scope"},
		{"another media type", "media_type", `"xml"`, "neither json nor jwt"},
		{"an identifier that is no scope", "id_prefix", `"a b"`, "id_prefix"},
		{"a member without a name", "id", `"Data."`, "not a path of members"},
		{"a state that is unknown", "states", `{"open":"Open"}`, `unknown state "open"`},
		{"a schema that is not there", "schema", `"testdata/not-there.json"`, "schema"},
		{"a schema of something else", "schema", `"testdata/types.json"`, "schema"},
		{"a member that is unknown", "country", `"x"`, "consents[0].country is unknown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := settings()
			one := object{"path": "/consents", "scope": "accounts", tc.member: json.RawMessage(tc.value)}
			o["consents"] = []object{one}
			raw, err := json.Marshal(o)
			require.NoError(t, err)
			_, err = parseConfig(raw, "memory:")
			require.ErrorContains(t, err, tc.says)
			require.Regexp(t, `^line \d+: `, err.Error())
		})
	}
}
