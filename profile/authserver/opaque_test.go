package authserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
)

// recordStore is a store whose opaque access tokens a test can see and change.
type recordStore struct {
	store.Store
	mu     sync.Mutex
	values map[string][]byte
	ends   map[string]time.Time
}

func (s *recordStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	if kindOf(value) == "access token" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.values[key], s.ends[key] = slices.Clone(value), expires
	}
	return s.Store.Add(ctx, key, value, expires)
}

func (s *recordStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	value, version, err := s.Store.Get(ctx, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if changed, ok := s.values[key]; ok && version > 0 {
		value = slices.Clone(changed)
	}
	return value, version, err
}

func keepRecords(as *authserver.Config) *recordStore {
	return &recordStore{
		Store: memstore.New(memstore.Config{Now: as.Hooks.Now}), values: map[string][]byte{}, ends: map[string]time.Time{},
	}
}

// newOpaqueWorld is a world with opaque access tokens, whose API is client-2 when it asks about them.
func newOpaqueWorld(t testing.TB, options ...worldOption) *world {
	first := func(as *authserver.Config, rs *resourceserver.Config) {
		as.OpaqueAccessTokens = true
		demanding(profile.Baseline)(as, rs)
	}
	w := newWorld(t, append([]worldOption{first}, options...)...)
	w.introspect()
	return w
}

// introspect has the API ask about each token.
func (w *world) introspect() {
	var err error
	w.rs, err = resourceserver.New(resourceserver.Config{
		Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{ID: w.asHTTP.URL, Introspection: w.newIntrospection()}}, Hooks: resourceserver.Hooks{Now: w.clock.Now},
	})
	require.NoError(w.t, err)
}

func TestOpaqueAccessTokens(t *testing.T) {
	var store *recordStore
	w := newOpaqueWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		store = keepRecords(as)
		as.Store = store
	})
	tokens := w.tokens("client-1", "d")
	raw := tokens.body["access_token"].(string)
	require.Regexp(t, `^[A-Za-z0-9_-]{43}$`, raw, "SP-5.4.1-4 256 bits and nothing else")
	require.Equal(t, "DPoP", tokens.body["token_type"])
	require.Equal(t, 300.0, tokens.body["expires_in"])
	require.NotEqual(t, raw, w.tokens("client-1", "d").body["access_token"])

	got := w.callAPI("DPoP", raw, w.apiProof("d", raw))
	require.Equal(t, http.StatusOK, got.status, "%v", got.body)
	require.Equal(t, "alice", got.body["owner"])
	for name, got := range map[string]answer{
		"DPOP-6.2-2 no proof":            w.callAPI("DPoP", raw),
		"DPOP-6.2-2 another key":         w.callAPI("DPoP", raw, w.apiProof("attacker", raw)),
		"DPOP-7.2-1 as Bearer":           w.callAPI("Bearer", raw),
		"INT-7662-4-1 no token of his":   w.callAPI("DPoP", strings.Repeat("A", 43), w.apiProof("d", strings.Repeat("A", 43))),
		"INT-7662-4-1 in another case":   w.callAPI("DPoP", strings.ToLower(raw), w.apiProof("d", strings.ToLower(raw))),
		"INT-7662-4-1 the refresh token": w.callAPI("DPoP", tokens.body["refresh_token"].(string), w.apiProof("d", tokens.body["refresh_token"].(string))),
	} {
		require.Equal(t, http.StatusUnauthorized, got.status, name)
	}
	for key, value := range store.values {
		require.Len(t, key, 43)
		require.NotContains(t, key+string(value), raw, "whoever reads the store cannot use what is in it")
		require.False(t, store.ends[key].After(w.clock.Now().Add(5*time.Minute)))
	}
	w.clock.Advance(5 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "SP-5.3.4-3")
	refreshed := w.send(w.tokenURL(), w.refreshForm("client-1", tokens.body["refresh_token"].(string)), w.tokenProof("d")).body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", refreshed, w.apiProof("d", refreshed)).status)
}

// What introspection says of an opaque token is what it says of a JWT.
func TestOpaqueTokensSayTheSame(t *testing.T) {
	say := func(w *world) map[string]any {
		w.clients["client-1"].Scope = "openid accounts"
		both := func(f url.Values) { f["resource"] = []string{w.rsHTTP.URL, "https://other-api.example"} }
		raw := w.send(w.tokenURL(), w.codeForm("client-1", w.code("client-1", both)), w.tokenProof("d")).body["access_token"].(string)
		got := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {raw}}))
		require.Equal(t, true, got.body["active"])
		for _, name := range []string{"iat", "exp", "jti", "auth_time"} {
			require.NotEmpty(t, got.body[name], name)
			delete(got.body, name)
		}
		text := strings.NewReplacer(w.asHTTP.URL, "as", w.rsHTTP.URL, "rs").Replace(fmt.Sprint(got.body))
		return map[string]any{"members": slices.Sorted(maps.Keys(got.body)), "text": text}
	}
	require.Equal(t, say(newWorld(t, demanding(profile.Baseline))), say(newOpaqueWorld(t)), "SU-6.2-1 DPOP-6.2-1 INT-7662-2.2-1")
}

// The store's content is checked as if a stranger had written it.
func TestOpaqueRecordsRefused(t *testing.T) {
	var store *recordStore
	w := newOpaqueWorld(t, withUserInfo(about), func(as *authserver.Config, _ *resourceserver.Config) {
		store = keepRecords(as)
		as.Store = store
	})
	raw := w.tokens("client-1", "d").body["access_token"].(string)
	var key string
	for key = range store.values {
	}
	good := string(store.values[key])
	set := func(name string, value any) string {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(good), &record))
		if record[name] = value; value == nil {
			delete(record, name)
		}
		text, err := json.Marshal(record)
		require.NoError(t, err)
		return string(text)
	}
	ask := func() answer {
		return w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {raw}}))
	}
	for _, tc := range []struct {
		name   string
		record string
		status int
	}{
		{"as it was", good, 200},
		{"with a member that came later", set("acme", 1), 200},
		{"of a later version", set("v", 2), 503},
		{"of no version", set("v", nil), 503},
		{"SP-5.3.4-5 bound to nothing", set("cnf", map[string]any{}), 503},
		{"SP-5.3.4-5 bound to something else", set("cnf", map[string]any{"kid": "x"}), 503},
		{"of another issuer", set("iss", "https://other.example"), 503},
		{"not JSON", "gob", 503},
		{"empty", "", 503},
		{"two records", good + good, 503},
		{"a member twice", strings.Replace(good, `"v":1`, `"v":1,"sub":"mallory"`, 1), 503},
		{"a member of another type", set("exp", "x"), 503},
		{"SP-5.3.4-3 expired", set("exp", w.clock.Now().Unix()), 0},
		{"SP-5.3.4-3 without an expiry", set("exp", nil), 0},
		{"an ID that is none of ours", set("jti", "x"), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store.values[key] = []byte(tc.record)
			got := ask()
			info := w.userInfo("GET", w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", "GET", raw))
			if tc.status == 0 {
				require.Equal(t, map[string]any{"active": false}, got.body)
				require.Equal(t, "invalid_token", info.code, "%v", info.body)
				return
			}
			require.Equal(t, tc.status, info.status, "%v", info.body)
			require.Equal(t, tc.status, got.status, "%v", got.body)
			if tc.status == http.StatusOK {
				require.Equal(t, true, got.body["active"])
				return
			}
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.Equal(t, http.StatusServiceUnavailable, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)
		})
	}
}

func TestOpaqueTokensFailClosed(t *testing.T) {
	var store *spyStore
	w := newOpaqueWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		store = newSpy(as.Hooks.Now)
		as.Store = store
	})
	code := w.code("client-1", nil)
	store.fail(1, "add access token")
	got := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotContains(t, got.body, "access_token", "nothing is returned that is not stored")
	store.recover()
	got = w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status, "the code was lost")
	raw := got.body["access_token"].(string)
	store.fail(1, "get access token")
	require.Equal(t, http.StatusServiceUnavailable, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "SP-5.3.4-3 nobody knows")
	asked := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {raw}}))
	require.Equal(t, http.StatusServiceUnavailable, asked.status)
	require.NotEmpty(t, asked.header.Get("Retry-After"))
	require.NotContains(t, fmt.Sprint(asked.body), "10.1.2.3")
	store.recover()
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)

	// A code that comes twice takes its tokens with it.
	w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, "invalid_token", w.callAPI("DPoP", raw, w.apiProof("d", raw)).code, "SP-5.3.2.2-9")
}

// A server that changes over knows the tokens of both kinds while they last; a JWT of before is no reference.
func TestChangeToOpaqueTokens(t *testing.T) {
	memory := memstore.New(memstore.Config{})
	stores := func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store = memory
	}
	w := newWorld(t, stores, demanding(profile.Baseline))
	jwt := w.tokens("client-1", "d").body["access_token"].(string)
	cfg := goodConfig(t)
	cfg.Issuer, cfg.Resources, cfg.Hooks.Now, cfg.OpaqueAccessTokens = w.asHTTP.URL, []string{w.rsHTTP.URL}, w.clock.Now, true
	cfg.Scopes = []string{"openid", "accounts", "payments"}
	cfg.Clients = func(_ context.Context, id string) (*profile.ClientMetadata, error) { return w.clients[id], nil }
	cfg.Interact = w.interact
	stores(&cfg, nil)
	demanding(profile.Baseline)(&cfg, &resourceserver.Config{Resource: w.rsHTTP.URL})
	var err error
	w.as, err = authserver.New(cfg)
	require.NoError(t, err)
	w.introspect()
	opaque := w.tokens("client-1", "d").body["access_token"].(string)
	require.NotContains(t, opaque, ".")
	for _, raw := range []string{jwt, opaque} {
		require.Equal(t, http.StatusOK, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)
		require.Equal(t, http.StatusOK, w.revoke("client-1", raw).status)
		require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status)
	}
}

// Signed answers, and certificates: nothing depends on the form of the token.
func TestOpaqueTokensWithTheRest(t *testing.T) {
	w := newOpaqueWorld(t, demanding(profile.Advanced))
	raw := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")).body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "MS-5.5.1-1")

	m := newMTLSWorld(t, demanding(profile.Baseline), func(as *authserver.Config, _ *resourceserver.Config) {
		as.OpaqueAccessTokens = true
	})
	m.enrol("app", "tls_client_auth", true)
	certificate := testkit.Certify(t, "app", m.ca)
	got := m.sendWith(certificate, m.aliases.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "client_id": {"app"}})
	require.Equal(t, "Bearer", got.body["token_type"])
	raw = got.body["access_token"].(string)
	token, err := m.newIntrospection().Introspect(t.Context(), raw)
	require.NoError(t, err)
	require.NotEmpty(t, token.X5TS256(), "MTLS-3.2-1")
	require.Empty(t, token.JKT())
}
