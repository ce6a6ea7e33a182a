package authserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

func TestMaxAgeAtThePush(t *testing.T) {
	w := newWorld(t)
	for value, status := range map[string]int{
		"0": 201, "60": 201, "007": 201, "31536000": 201, "18446744073709551615": 201,
		"-1": 400, "+1": 400, "1.5": 400, "1e3": 400, " 1": 400, "x": 400, "0x10": 400, "18446744073709551616": 400, "1_000": 400,
	} {
		form := w.pushForm("client-1")
		form.Set("max_age", value)
		got := w.send(w.parURL(), form)
		require.Equal(t, status, got.status, "max_age %q: %v", value, got.body)
		if status != http.StatusCreated {
			require.Equal(t, "invalid_request", got.code)
		}
	}
}

// OpenID Connect Core §3.1.2.1: a login that is too old, and was not made for this request, is no login.
func TestMaxAgeAtTheApproval(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	for _, tc := range []struct {
		name   string
		maxAge string
		scope  string
		login  time.Duration // before the push
		page   time.Duration // from the push to the approval
		want   error
	}{
		{"young enough", "60", "openid", 30 * time.Second, 20 * time.Second, nil},
		{"just", "60", "openid", 40 * time.Second, 20 * time.Second, nil},
		{"too old", "60", "openid", 61 * time.Second, 0, authserver.ErrLogin},
		{"too old by now", "60", "openid", 50 * time.Second, 20 * time.Second, authserver.ErrLogin},
		{"RFC 9470 §5 too old, without openid", "60", "accounts", time.Hour, 0, authserver.ErrLogin},
		{"0: a new login, made a while ago", "0", "openid", -5 * time.Second, 60 * time.Second, nil},
		{"0: a login of before", "0", "openid", 2 * time.Second, 0, authserver.ErrLogin},
		{"no limit to speak of", "18446744073709551615", "openid", 1000 * time.Hour, 0, nil},
		{"none", "", "openid", 1000 * time.Hour, 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := w.pushForm("client-1")
			form.Set("scope", tc.scope)
			form.Set("max_age", tc.maxAge)
			login := w.clock.Now().Add(-tc.login)
			a := w.load("client-1", form)
			w.clock.Advance(tc.page)
			_, err := w.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: login})
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tc.want)
			// The request is still there: the user logs in.
			_, err = w.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: w.clock.Now()})
			require.NoError(t, err)
		})
	}
	form := w.pushForm("client-1")
	form.Set("max_age", "60")
	form.Set("scope", "accounts")
	a := w.load("client-1", form)
	age, ok := a.MaxAge()
	require.True(t, ok)
	require.Equal(t, time.Minute, age)
	_, err := w.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.ErrorContains(t, err, "AuthTime is required")
	_, err = w.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}, AuthTime: w.clock.Now().Add(time.Hour)})
	require.ErrorContains(t, err, "in the future")
	_, ok = w.load("client-1", w.pushForm("client-1")).MaxAge()
	require.False(t, ok)

	// What a host sees tells it what to say to the client.
	rw := httptest.NewRecorder()
	w.as.WriteError(rw, httptest.NewRequest(http.MethodGet, "/", nil), authserver.ErrLogin)
	require.Contains(t, rw.Body.String(), `"login_required"`)
}

func TestACRValues(t *testing.T) {
	ctx := context.Background()
	open := newWorld(t)
	strict := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.ACRValues = []string{"gold", "silver"}
	})
	require.Equal(t, []string{"gold", "silver"}, strict.as.Metadata().ACRValuesSupported, "SU-7-1")
	require.Nil(t, open.as.Metadata().ACRValuesSupported)
	for _, tc := range []struct {
		name   string
		w      *world
		wanted string
		acr    string
		want   error
	}{
		{"SU-5-1 the preferred one", strict, "gold silver", "gold", nil},
		{"SU-5-1 another one", strict, "gold silver", "silver", nil},
		{"SU-5-1 one that was not asked for", strict, "gold", "silver", authserver.ErrLogin},
		{"SU-5-1 none was met", strict, "gold", "", authserver.ErrLogin},
		{"SU-5-1 one that is unknown here beside another", strict, "platinum silver", "gold", authserver.ErrLogin},
		{"nothing asked for", strict, "", "", nil},
		{"a server that leaves it to the host", open, "gold", "silver", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := tc.w.pushForm("client-1")
			form.Set("acr_values", tc.wanted)
			a := tc.w.load("client-1", form)
			_, err := tc.w.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}, ACR: tc.acr})
			require.ErrorIs(t, err, tc.want)
		})
	}
	for _, wanted := range []string{"platinum", "gold-plated", "Gold", "platinum iron"} {
		form := strict.pushForm("client-1")
		form.Set("acr_values", wanted)
		require.Equal(t, "unmet_authentication_requirements", strict.send(strict.parURL(), form).code, "SU-5-1 A7 no login here can meet %q, so it is rejected at the push", wanted)
	}
	form := open.pushForm("client-1")
	form.Set("acr_values", "gold  silver ")
	require.Equal(t, []string{"gold", "silver"}, open.load("client-1", form).ACRValues())
	form = strict.pushForm("client-1")
	form.Set("acr_values", "gold")
	_, err := strict.as.Approve(ctx, strict.load("client-1", form), authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}, ACR: "silver"})
	require.ErrorIs(t, err, authserver.ErrLogin)
	rw := httptest.NewRecorder()
	open.as.WriteError(rw, httptest.NewRequest(http.MethodGet, "/", nil), err)
	require.Contains(t, rw.Body.String(), `"unmet_authentication_requirements"`, "SU-5-1")
}

// How the user logged in stays the same in every token of the authorization.
func TestAuthenticationOfRefreshedTokens(t *testing.T) {
	w := newWorld(t)
	first := w.tokens("client-1", "d")
	w.clock.Advance(time.Hour)
	second := w.send(w.tokenURL(), w.refreshForm("client-1", first.body["refresh_token"].(string)), w.tokenProof("d"))
	_, before := claims(t, first.body["access_token"])
	_, after := claims(t, second.body["access_token"])
	require.NotEqual(t, before["iat"], after["iat"])
	for _, name := range []string{"acr", "auth_time"} {
		require.NotEmpty(t, before[name], "SU-6.1-1 SU-5-2 %s", name)
		require.Equal(t, before[name], after[name], "AT-2.2.1-1 %s", name)
	}
}

// stepUpAPI guards an API that wants more than the token has.
func stepUpAPI(w *world, demand accesstoken.StepUp) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, err := w.rs.Verify(r, "accounts")
		if err == nil {
			err = token.CheckStepUp(demand)
		}
		if err != nil {
			w.rs.WriteError(rw, r, err, "accounts")
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		json.NewEncoder(rw).Encode(map[string]any{"owner": token.Subject()})
	})
}

// RFC 9470 §3 for tokens of both kinds: the challenge says what the next authorization has to ask for.
func TestStepUp(t *testing.T) {
	tokenKinds(t, func(t *testing.T, w *world) {
		raw := w.tokens("client-1", "d").body["access_token"].(string) // acr high, just now
		own := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")).body["access_token"].(string)
		w.clock.Advance(2 * time.Minute)
		for _, tc := range []struct {
			name   string
			token  string
			demand accesstoken.StepUp
			want   string // parameters of the challenge; "" if it is met
		}{
			{"nothing", raw, accesstoken.StepUp{}, ""},
			{"met", raw, accesstoken.StepUp{ACRValues: []string{"higher", "high"}, MaxAge: 3 * time.Minute}, ""},
			{"SU-3-1 SU-3-2 another acr", raw, accesstoken.StepUp{ACRValues: []string{"higher", "highest"}}, `, acr_values="higher highest"`},
			{"SU-3-1 SU-3-2 too long ago", raw, accesstoken.StepUp{MaxAge: time.Minute}, `, max_age="60"`},
			{"SU-3-2 both are said", raw, accesstoken.StepUp{ACRValues: []string{"higher"}, MaxAge: time.Hour}, `, acr_values="higher", max_age="3600"`},
			{"SU-3-1 no acr", own, accesstoken.StepUp{ACRValues: []string{"high", ""}}, `, acr_values="high "`},
			{"SU-3-1 no auth_time", own, accesstoken.StepUp{MaxAge: time.Hour}, `, max_age="3600"`},
			{"what would end the header", raw, accesstoken.StepUp{ACRValues: []string{"a\"b\r\nX: 1"}}, `, acr_values="a?b??X: 1"`},
		} {
			t.Run(tc.name, func(t *testing.T) {
				w.rsHTTP.Config.Handler = stepUpAPI(w, tc.demand)
				got := w.callAPI("DPoP", tc.token, w.apiProof("d", tc.token))
				if tc.want == "" {
					require.Equal(t, http.StatusOK, got.status, "%v", got.body)
					return
				}
				require.Equal(t, http.StatusUnauthorized, got.status)
				require.Equal(t, "insufficient_user_authentication", got.code)
				require.Equal(t, `DPoP error="insufficient_user_authentication", error_description="a different or more recent authentication is required"`+
					tc.want+`, scope="accounts", algs="ES256 PS256 EdDSA Ed25519"`, got.header.Get("WWW-Authenticate"))
			})
		}
	})
	w := newWorld(t)
	raw := w.tokens("client-1", "d").body["access_token"].(string)
	r := httptest.NewRequest(http.MethodGet, w.rsHTTP.URL+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+raw)
	r.Header.Set("DPoP", w.apiProof("d", raw))
	token, err := w.rs.Verify(r)
	require.NoError(t, err)
	require.ErrorIs(t, token.CheckStepUp(accesstoken.StepUp{ACRValues: []string{"x"}}), accesstoken.ErrInsufficientAuthentication, "SU-3-1")
}

// Any max_age either is refused or limits as it says.
func FuzzMaxAge(f *testing.F) {
	for _, seed := range []string{"", "0", "60", "-1", "99999999999999999999", "1e9"} {
		f.Add(seed, int64(61))
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, value string, ago int64) {
		w.t = t
		form := w.pushForm("client-1")
		form.Set("max_age", value)
		pushed := w.send(w.parURL(), form)
		if pushed.status != http.StatusCreated {
			require.Equal(t, http.StatusBadRequest, pushed.status)
			return
		}
		loaded, err := w.as.Authorization(t.Context(), url.Values{"client_id": {"client-1"}, "request_uri": {pushed.body["request_uri"].(string)}})
		require.NoError(t, err)
		age, limited := loaded.MaxAge()
		require.Equal(t, value != "", limited)
		ago = min(max(ago, 1), 50*365*24*3600)
		_, err = w.as.Approve(t.Context(), loaded, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}, AuthTime: w.clock.Now().Add(-time.Duration(ago) * time.Second)})
		if limited && time.Duration(ago)*time.Second > age {
			require.ErrorIs(t, err, authserver.ErrLogin)
			return
		}
		require.NoError(t, err)
	})
}
