package authserver_test

import (
	"context"
	"crypto"
	"encoding/json"

	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// A site is a server of several instances with one store and one source of
// keys. It runs in a bubble of synctest, and its times are since it opened. Its
// access tokens and its readers' caches live for five minutes.
type site struct {
	t         *testing.T
	opened    time.Time
	change    func(*authserver.Config)
	instances []*authserver.Server
	client    *profile.ClientMetadata
	auth      *clientauth.PrivateKeyJWT
	prover    *dpop.Prover
	store     *memstore.Store

	mu     sync.Mutex
	keys   []profile.SigningKey
	down   map[int]bool // instances that do not reach the source
	calls  int
	events []profile.Event
	logged []string
}

const (
	interval = time.Minute
	cached   = 5 * time.Minute
	lifetime = 5 * time.Minute
)

func newSite(t *testing.T, n int, keys ...profile.SigningKey) *site {
	key := testkit.ECKey(t, "rotating client")
	set, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "client-key"})
	require.NoError(t, err)
	s := &site{t: t, opened: time.Now(), keys: keys, down: map[int]bool{}, store: memstore.New(memstore.Config{}), client: &profile.ClientMetadata{
		ClientID: "client-1", JWKS: set, GrantTypes: []string{"client_credentials"}, Scope: "accounts", TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
	}}
	s.auth, err = clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "client-1", Audience: benchIssuer, Key: key, KeyID: "client-key"})
	require.NoError(t, err)
	s.prover, err = dpop.NewProver(dpop.ProverConfig{Key: key})
	require.NoError(t, err)
	for i := range n {
		s.instances = append(s.instances, s.start(i))
	}
	return s
}

func (s *site) config(i int) authserver.Config {
	return authserver.Config{
		Issuer: benchIssuer, Scopes: []string{"accounts"}, Resources: []string{benchAPI}, Store: s.store,
		Clients:   func(context.Context, string) (*profile.ClientMetadata, error) { return s.client, nil },
		KeySource: func(context.Context) ([]profile.SigningKey, error) { return s.source(i) },
		Hooks: authserver.Hooks{
			Logger:  slog.New(slog.NewTextHandler(logged{s}, &slog.HandlerOptions{Level: slog.LevelInfo})),
			Observe: func(_ context.Context, e profile.Event) { s.note(func() { s.events = append(s.events, e) }) },
		},
	}
}

// start starts an instance, and starts it again.
func (s *site) start(i int) *authserver.Server {
	cfg := s.config(i)
	if s.change != nil {
		s.change(&cfg)
	}
	as, err := authserver.New(cfg)
	require.NoError(s.t, err)
	return as
}

func (s *site) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

type logged struct{ *site }

func (l logged) Write(line []byte) (int, error) {
	l.note(func() { l.logged = append(l.logged, string(line)) })
	return len(line), nil
}

func (s *site) source(i int) (keys []profile.SigningKey, err error) {
	s.note(func() {
		s.calls++
		if keys = s.keys; s.down[i] {
			keys, err = nil, errDown
		}
	})
	return keys, err
}

// set changes the keys of the source.
func (s *site) set(keys ...profile.SigningKey) { s.note(func() { s.keys = keys }) }

func (s *site) now() time.Duration { return time.Since(s.opened) }

// until waits for a time.
func (s *site) until(at time.Duration) {
	time.Sleep(at - s.now())
	synctest.Wait()
}

// token is send, and lets the instance finish what the request has caused.
func (s *site) token(as *authserver.Server) (token, kid string) {
	defer synctest.Wait()
	return s.send(as)
}

// send returns an access token of an instance, and its kid.
func (s *site) send(as *authserver.Server) (token, kid string) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
	require.NoError(s.t, s.auth.Authenticate(s.t.Context(), form))
	r := httptest.NewRequest(http.MethodPost, benchIssuer+"/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", testkit.Must(s.prover.Proof(http.MethodPost, benchIssuer+"/token", dpop.ProofOptions{})))
	w := httptest.NewRecorder()
	as.Handler().ServeHTTP(w, r)
	require.Equal(s.t, http.StatusOK, w.Code, w.Body)
	var response struct {
		Token string `json:"access_token"`
	}
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &response))
	header, _ := claims(s.t, response.Token)
	return response.Token, strings.Trim(string(header["kid"]), `"`)
}

// published returns the kids in the JWK Set of an instance.
func (s *site) published(as *authserver.Server) (kids string) {
	defer synctest.Wait()
	w := httptest.NewRecorder()
	as.Keys().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
	require.Equal(s.t, "public, max-age=300", w.Header().Get("Cache-Control"), "the server counts on it")
	var set struct {
		Keys []struct {
			KeyID string `json:"kid"`
		} `json:"keys"`
	}
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &set))
	for _, k := range set.Keys {
		kids += k.KeyID + " "
	}
	return strings.TrimSpace(kids)
}

// signing makes a key that signs from a time after the site has opened; zero is
// the zero time.
func (s *site) signing(name string, from time.Duration) profile.SigningKey {
	k := signingKey(s.t, name)
	if from != 0 {
		k.SignsFrom = s.opened.Add(from)
	}
	return k
}

func signingKey(t testing.TB, name string) profile.SigningKey {
	return profile.SigningKey{Key: testkit.ECKey(t, "rotation "+name), KeyID: name}
}

// A moment is a row of a time line: at this time, the source gets new keys, or
// an instance publishes and signs.
type moment struct {
	at        time.Duration
	keys      []profile.SigningKey // not nil if the source changes
	published string               // afterwards
	signs     string
}

func (s *site) follow(line []moment) {
	for _, m := range line {
		s.until(m.at)
		if m.keys != nil {
			s.set(m.keys...)
		}
		if m.signs != "" {
			_, kid := s.token(s.instances[0])
			require.Equal(s.t, m.published+" / "+m.signs, s.published(s.instances[0])+" / "+kid, "after %v", m.at)
		}
	}
}

func TestRotation(t *testing.T) {
	type keys = []profile.SigningKey
	const effective = 30*time.Second + interval + cached // of a key that an instance sees after 30 s
	for name, line := range map[string]func(s *site) (first keys, line []moment){
		"a key with a time": func(s *site) (keys, []moment) {
			a, b := s.signing("a", 0), s.signing("b", time.Hour)
			return keys{a}, []moment{
				{at: 0, published: "a", signs: "a"},
				{at: time.Second, keys: keys{a, b}, published: "a", signs: "a"},
				{at: 30*time.Second - 1, published: "a", signs: "a"},
				{at: 30 * time.Second, published: "a b", signs: "a"}, // after the request that causes the call
				{at: time.Hour - 1, published: "a b", signs: "a"},
				{at: time.Hour, published: "a b", signs: "b"},
				{at: time.Hour + lifetime, keys: keys{b}, published: "b", signs: "b"},
			}
		},
		"a key with a time that is too early": func(s *site) (keys, []moment) {
			a, b := s.signing("a", 0), s.signing("b", 2*time.Second)
			return keys{a}, []moment{
				{at: time.Second, keys: keys{a, b}},
				{at: 30 * time.Second, published: "a b", signs: "a"},
				{at: effective - 1, published: "a b", signs: "a"},
				{at: effective, published: "a b", signs: "b"},
			}
		},
		"two keys in turn, published at once": func(s *site) (keys, []moment) {
			a, b, c := s.signing("a", 0), s.signing("b", time.Hour), s.signing("c", 2*time.Hour)
			return keys{a, c, b}, []moment{
				{at: 0, published: "a c b", signs: "a"},
				{at: time.Hour, published: "a c b", signs: "b"},
				{at: 2 * time.Hour, published: "a c b", signs: "c"},
			}
		},
		"a late key between two others": func(s *site) (keys, []moment) {
			a, b, c := s.signing("a", 0), s.signing("b", time.Minute), s.signing("c", 2*time.Minute)
			return keys{a, c}, []moment{
				{at: time.Second, keys: keys{a, b, c}, published: "a c", signs: "a"},
				{at: 30 * time.Second, published: "a b c", signs: "a"},
				{at: 2 * time.Minute, published: "a b c", signs: "c"},
				{at: time.Hour, published: "a b c", signs: "c"},
			}
		},
		"an emergency": func(s *site) (keys, []moment) {
			a, b := s.signing("a", 0), s.signing("b", time.Second)
			return keys{a}, []moment{
				{at: time.Second, keys: keys{b}, published: "a", signs: "a"},
				{at: 30 * time.Second, published: "b", signs: "a"},
				{at: 30*time.Second + 1, published: "b", signs: "b"},
			}
		},
		"an emergency with a key in reserve": func(s *site) (keys, []moment) {
			a, b, c := s.signing("a", 0), s.signing("b", 10*time.Hour), s.signing("c", time.Second)
			return keys{a, b}, []moment{
				{at: time.Second, keys: keys{b, c}, published: "a b", signs: "a"},
				{at: interval, published: "b c", signs: "b"}, // which readers know
				{at: interval + interval + cached, published: "b c", signs: "c"},
			}
		},
		"a spare key that receives another time": func(s *site) (keys, []moment) {
			a, b, sooner := s.signing("a", 0), s.signing("b", 100*time.Hour), s.signing("b", time.Hour)
			return keys{a, b}, []moment{
				{at: time.Second, keys: keys{a, sooner}, published: "a b", signs: "a"},
				{at: time.Hour - 1, published: "a b", signs: "a"},
				{at: time.Hour, published: "a b", signs: "b"},
			}
		},
		"keys that all begin later": func(s *site) (keys, []moment) {
			a, b := s.signing("a", time.Hour), s.signing("b", 2*time.Hour)
			return keys{b, a}, []moment{{at: 0, published: "b a", signs: "a"}}
		},
		"an instance that was idle goes by the times of the keys": func(s *site) (keys, []moment) {
			a, b, c := s.signing("a", 0), s.signing("b", time.Hour), s.signing("c", 2*time.Hour)
			return keys{a}, []moment{
				{at: time.Second, keys: keys{a, b, c}},
				{at: 90 * time.Minute, published: "a b c", signs: "b"},
				{at: 2 * time.Hour, published: "a b c", signs: "c"},
			}
		},
		"an idle instance": func(s *site) (keys, []moment) {
			a, b := s.signing("a", 0), s.signing("b", time.Hour)
			return keys{a}, []moment{
				{at: time.Second, keys: keys{a, b}},
				{at: 59 * time.Minute, keys: keys{b}},
				{at: 3 * time.Hour, published: "b", signs: "b"}, // its first request does not use the old keys
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &site{t: t, opened: time.Now()}
				first, moments := line(s)
				s = newSite(t, 1, first...)
				s.follow(moments)
			})
		})
	}
}

// An answer that the server cannot use changes nothing, and is reported.
func TestRotationRejectsAnAnswer(t *testing.T) {
	type keys = []profile.SigningKey
	rsa := profile.SigningKey{Key: testkit.RSAKey(t, "as"), KeyID: "rsa"}
	for name, tc := range map[string]struct {
		answer func(a, b profile.SigningKey) keys
		says   string
	}{
		"no keys":                {func(_, _ profile.SigningKey) keys { return nil }, "missing KeySource"},
		"a key is missing":       {func(a, _ profile.SigningKey) keys { return keys{a, {KeyID: "x"}} }, "KeySource[1]: missing Key"},
		"two keys from one time": {func(a, b profile.SigningKey) keys { return keys{a, b} }, "KeySource[1]: second key for ES256 from the same SignsFrom"},
		"two keys from one time, by zones": {func(a, b profile.SigningKey) keys {
			return keys{a, signingIn(b, time.UTC), signingIn(signingKey(t, "c"), time.Local)}
		}, "second key for ES256"},
		"SP-5.4.2-3 two keys of one kid":      {func(a, b profile.SigningKey) keys { b.KeyID = "a"; return keys{a, signingIn(b, time.UTC)} }, `duplicate kid "a"`},
		"SP-5.4.2-3 another key for a kid":    {func(_, b profile.SigningKey) keys { b.KeyID = "a"; return keys{b, rsa} }, `another key with the kid "a"`},
		"an algorithm is missing":             {func(a, _ profile.SigningKey) keys { return keys{a} }, "missing key for PS256, which requires a restart"},
		"a new algorithm":                     {func(a, _ profile.SigningKey) keys { return keys{a, rsa, {Key: testkit.Ed25519Key(t, "as")}} }, "new algorithm EdDSA, which requires a restart"},
		"SP-5.4.1-1.2 RS256":                  {func(a, _ profile.SigningKey) keys { r := rsa; r.Algorithm = "RS256"; return keys{a, r} }, `Algorithm "RS256"`},
		"SP-5.4.2-3 the kid of a retired key": {func(a, b profile.SigningKey) keys { b.KeyID = "old"; return keys{a, rsa, signingIn(b, time.UTC)} }, `duplicate kid "old"`},
		"more keys than readers accept":       {func(a, _ profile.SigningKey) keys { return slices.Repeat(keys{a}, 65) }, "65 keys, want at most 64"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := signingKey(t, "a"), signingKey(t, "b")
				s := newSite(t, 0, a, rsa)
				s.change = func(cfg *authserver.Config) {
					cfg.RetiredKeys = []jwks.Key{{Public: testkit.ECKey(t, "old").Public(), KeyID: "old"}}
				}
				as := s.start(0)
				s.set(tc.answer(a, b)...)
				s.until(interval)
				require.ErrorContains(t, as.RefreshKeys(t.Context()), tc.says)
				_, kid := s.token(as)
				require.Equal(t, "a", kid)
				require.Equal(t, "a rsa old", s.published(as))
				require.Contains(t, strings.Join(s.logged, ""), "the signing keys were not refreshed")
				require.Equal(t, "keys failed server_error authserver: key source failed", s.event("keys"))
				s.set(a, rsa, signingIn(b, time.UTC))
				require.NoError(t, as.RefreshKeys(t.Context()))
				require.Equal(t, "a rsa b old", s.published(as), "the next answer counts")
				require.Equal(t, "keys success  ", s.event("keys"))
			})
		})
	}
}

// signingIn makes a key sign from a time of day in a zone.
func signingIn(k profile.SigningKey, zone *time.Location) profile.SigningKey {
	k.SignsFrom = time.Unix(1<<30, 0).In(zone)
	return k
}

// event returns the last event of an endpoint.
func (s *site) event(endpoint string) (text string) {
	s.note(func() {
		for _, e := range s.events {
			if e.Endpoint == endpoint {
				text = fmt.Sprintf("%s %s %s %s", e.Endpoint, e.Outcome, e.Code, e.Reason)
			}
		}
	})
	return text
}

func TestKeySourceAtTheStart(t *testing.T) {
	good := func(context.Context) ([]profile.SigningKey, error) {
		return []profile.SigningKey{signingKey(t, "a")}, nil
	}
	for name, tc := range map[string]struct {
		change func(*authserver.Config)
		says   string
	}{
		"Keys as well": {func(c *authserver.Config) { c.KeySource = good }, "both Keys and KeySource"},
		"it fails": {func(c *authserver.Config) {
			c.Keys, c.KeySource = nil, func(context.Context) ([]profile.SigningKey, error) { return nil, errDown }
		}, "KeySource: db: connection refused"},
		"it has no keys": {func(c *authserver.Config) {
			c.Keys, c.KeySource = nil, func(context.Context) ([]profile.SigningKey, error) { return nil, nil }
		}, "missing KeySource"},
		"KeyRefresh is too short":  {func(c *authserver.Config) { c.Keys, c.KeySource, c.KeyRefresh = nil, good, time.Second }, "invalid KeyRefresh 1s, want 10s to 1h0m0s"},
		"KeyRefresh is too long":   {func(c *authserver.Config) { c.Keys, c.KeySource, c.KeyRefresh = nil, good, 2*time.Hour }, "invalid KeyRefresh"},
		"all problems are listed":  {func(c *authserver.Config) { c.Issuer, c.KeySource = "", good }, "both Keys and KeySource"},
		"all problems are listed ": {func(c *authserver.Config) { c.Issuer, c.KeySource = "", good }, "issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := goodConfig(t)
			tc.change(&cfg)
			_, err := authserver.New(cfg)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

// A withdrawn key is out at once, whatever this server has verified and
// remembers.
func TestAWithdrawnKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := signingKey(t, "a"), signingKey(t, "b")
		s := newSite(t, 0, a)
		s.client.Scope = "openid accounts"
		s.change = func(cfg *authserver.Config) { cfg.Scopes, cfg.UserInfo = []string{"openid", "accounts"}, about }
		as := s.start(0)
		stolen, _ := s.token(as)
		require.Equal(t, http.StatusForbidden, s.userInfo(as, stolen), "it is a token of this server")
		s.set(b)
		require.NoError(t, as.RefreshKeys(t.Context()))
		require.Equal(t, http.StatusUnauthorized, s.userInfo(as, stolen))
		require.Contains(t, strings.Join(s.logged, ""), "a new signing key signs at once, because no other key is left")
		require.Contains(t, strings.Join(s.logged, ""), "a signing key was removed before its last token expired")
		_, kid := s.token(as)
		require.Equal(t, "b", kid)
		require.Equal(t, "b", s.published(as))
	})
}

// A spare key signs for the stolen one. Every reader knows it, and so does an instance that has not followed yet.
func TestASpareKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := signingKey(t, "a")
		spare := signingKey(t, "spare")
		spare.SignsFrom = time.Now().AddDate(1, 0, 0)
		s := newSite(t, 2, a, spare)
		s.change = func(cfg *authserver.Config) { cfg.Scopes, cfg.UserInfo = []string{"openid", "accounts"}, about }
		first, second := s.start(0), s.start(1)
		reader := s.reader(func() *authserver.Server { return second })
		stolen := s.issue(second)
		require.Equal(t, "a", stolen.kid)
		s.requireAccepted(reader, stolen, "before")

		s.set(spare)
		require.NoError(t, first.RefreshKeys(t.Context()))
		token := s.issue(first)
		require.Equal(t, "spare", token.kid)
		s.requireAccepted(reader, token, "by a reader with the old JWK Set")
		require.Equal(t, http.StatusForbidden, s.userInfo(second, token.token), "it is a token of the second instance, too")
		require.Equal(t, http.StatusUnauthorized, s.userInfo(first, stolen.token))
		s.until(interval)
		require.Equal(t, "spare", s.issue(second).kid)
		s.until(interval + cached)
		s.requireAccepted(reader, s.issue(first), "after")
		keys, err := reader.keys(t.Context(), "a", "ES256")
		require.NoError(t, err)
		require.Empty(t, keys, "no reader has the stolen key")
	})
}

func (s *site) userInfo(as *authserver.Server, token string) int {
	r := httptest.NewRequest(http.MethodGet, benchIssuer+"/userinfo", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", testkit.Must(s.prover.Proof(http.MethodGet, benchIssuer+"/userinfo", dpop.ProofOptions{AccessToken: token})))
	w := httptest.NewRecorder()
	as.Handler().ServeHTTP(w, r)
	return w.Code
}

// A source that is down for hours holds up no request, and New alone needs it.
func TestASourceThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1, signingKey(t, "a"))
		s.down[0] = true
		for range 100 {
			time.Sleep(time.Minute)
			before := s.now()
			_, kid := s.token(s.instances[0])
			require.Equal(t, "a", kid)
			require.Equal(t, before, s.now())
		}
		require.LessOrEqual(t, s.calls, 101)
	})
}

func TestAPanicOfTheObserverOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1, signingKey(t, "a"))
		s.change = func(cfg *authserver.Config) {
			cfg.Hooks.Observe = func(_ context.Context, e profile.Event) {
				if e.Endpoint == "keys" {
					panic("secret")
				}
			}
		}
		as := s.start(0)
		time.Sleep(time.Minute)
		s.token(as)
		require.Len(t, s.logged, 1)
		require.Contains(t, s.logged[0], `level=ERROR msg="panic in Hooks.Observe" type=string`)
		require.NotContains(t, s.logged[0], "secret")
	})
}

// A reader caches the JWK Set as long as it may, and not longer. It never
// fetches because a kid is unknown.
type reader struct {
	site    *site
	next    func() *authserver.Server // from which it fetches
	set     *jwks.Set
	expires time.Duration
	tokens  *accesstoken.Verifier // without a cache of its own
}

func (s *site) reader(next func() *authserver.Server) *reader {
	r := &reader{site: s, next: next}
	r.tokens = testkit.Must(accesstoken.NewVerifier(accesstoken.VerifierConfig{Issuer: benchIssuer, Audience: []string{benchAPI}, CacheSize: -1, Keys: r.keys}))
	return r
}

func (r *reader) keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	if r.set == nil || r.site.now() >= r.expires {
		set, err := r.next().Keys().MarshalJSON()
		require.NoError(r.site.t, err)
		r.set, r.expires = testkit.Must(jwks.Parse(set)), r.site.now()+cached
	}
	return r.set.Keys(ctx, kid, alg)
}

// An issuedToken is a token that no reader may reject before it expires.
type issuedToken struct {
	token, kid string
	expires    time.Duration
}

func (s *site) issue(as *authserver.Server) issuedToken {
	now := s.now()
	token, kid := s.token(as)
	return issuedToken{token, kid, (now + lifetime).Truncate(time.Second)} // as exp
}

func (s *site) requireAccepted(r *reader, one issuedToken, why string) {
	if s.now() < one.expires {
		_, err := r.tokens.Verify(s.t.Context(), one.token)
		require.NoError(s.t, err, "%s: kid %s, expires after %v, at %v", why, one.kid, one.expires, s.now())
	}
}

// remote returns an API whose jwks.Remote fetches from the instances in turn.
func (s *site) api() *resourceserver.Server {
	turn := 0
	web := testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		turn++
		s.instances[turn%len(s.instances)].Keys().ServeHTTP(w, r)
		return w.Result(), nil
	})
	keys := testkit.Must(jwks.NewRemote(jwks.RemoteConfig{URL: benchIssuer + "/jwks", HTTPClient: &http.Client{Transport: web}}))
	return testkit.Must(resourceserver.New(resourceserver.Config{Resource: benchAPI, Issuers: []resourceserver.Issuer{{ID: benchIssuer, Keys: keys.Keys}}}))
}

func (s *site) requireAPI(api *resourceserver.Server, one issuedToken) {
	r := httptest.NewRequest(http.MethodGet, benchAPI+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+one.token)
	r.Header.Set("DPoP", testkit.Must(s.prover.Proof(http.MethodGet, benchAPI+"/accounts", dpop.ProofOptions{AccessToken: one.token})))
	_, err := api.Verify(r, "accounts")
	require.NoError(s.t, err, "kid %s, at %v", one.kid, s.now())
}

// Two instances refresh at different times. One of them may not reach the
// source for ten minutes. Each second around each step, both issue a token.
// Every reader accepts it, and still does in the second before it expires.
func TestRotationOfTwoInstances(t *testing.T) {
	for name, tc := range map[string]struct {
		outage time.Duration
		cutOff []int
	}{
		"the source works":                   {},
		"the source is down for one of them": {10 * time.Minute, []int{1}},
		"the source is down for both":        {10 * time.Minute, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const publish = 10 * time.Minute
				begins := publish + tc.outage + interval + cached
				known := publish + tc.outage + 2*interval + cached // to the instance that was cut off, and its readers
				remove := max(begins, known) + lifetime
				s := newSite(t, 1, signingKey(t, "a"))
				s.until(13 * time.Second)
				s.instances = append(s.instances, s.start(1))
				api, readers := s.api(), []*reader{}
				for i := range 12 { // they fetch 25 s after each other
					r := s.reader(func() *authserver.Server { return s.instances[i%2] })
					r.set, r.expires = testkit.Must(jwks.Parse(testkit.Must(s.instances[0].Keys().MarshalJSON()))), s.now()+time.Duration(i+1)*25*time.Second
					readers = append(readers, r)
				}
				var live []issuedToken
				signed := map[string]int{}
				end := remove + interval + lifetime + cached
				for second := 14 * time.Second; second < end; second += time.Second {
					near := func(from, to time.Duration) bool { return second >= from-5*time.Second && second <= to+5*time.Second }
					if second%(20*time.Second) != 0 && !near(publish, publish+interval) && !near(begins-5*time.Second, begins+5*time.Second) &&
						!near(known, known+5*time.Second) && !near(remove, remove+interval) {
						continue
					}
					s.until(second)
					for _, i := range tc.cutOff {
						s.note(func() { s.down[i] = second >= publish && second < publish+tc.outage })
					}
					switch second {
					case publish:
						s.set(signingKey(t, "a"), s.signing("b", begins))
					case remove:
						s.set(s.signing("b", begins))
					}
					for _, as := range s.instances {
						one := s.issue(as)
						signed[one.kid]++
						live = append(live, one)
						for _, r := range readers {
							s.requireAccepted(r, one, "a new token")
						}
						s.requireAPI(api, one)
					}
					for len(live) > 0 && live[0].expires <= second {
						live = live[1:]
					}
					s.requireAccepted(readers[rand.IntN(12)], live[0], "the oldest token")
				}
				require.Greater(t, signed["a"], 100)
				require.Greater(t, signed["b"], 100)
				require.Equal(t, "b / b", s.published(s.instances[0])+" / "+s.published(s.instances[1]))
			})
		})
	}
}

// Random schedules within the rules of docs/rotation.md: a key is published,
// signs, and is removed. Instances refresh as their requests come, lose the
// source, are idle, and are restarted. No reader rejects a token before it
// expires.
func TestRotationOfRandomSchedules(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomSchedule(t, rand.New(rand.NewPCG(seed, 15))) })
		})
	}
}

func randomSchedule(t *testing.T, random *rand.Rand) {
	within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	// If keys begin early, the time at which an instance sees a key decides. An
	// instance that was idle, cut off or restarted would trust SignsFrom
	// instead.
	early := random.IntN(2) == 0
	outage := []time.Duration{0, 10 * time.Minute}[random.IntN(2)]
	if early {
		outage = 0
	}
	pauses := []time.Duration{time.Second, 40 * time.Second, 4 * time.Minute}
	if early {
		pauses = []time.Duration{time.Second, 29 * time.Second, 29 * time.Second}
	}
	s := newSite(t, 1+random.IntN(3), signingKey(t, "0"))
	var readers []*reader
	for range 6 {
		readers = append(readers, s.reader(func() *authserver.Server { return s.instances[random.IntN(len(s.instances))] }))
	}
	keys, published := []profile.SigningKey{signingKey(t, "0")}, 0
	publish, removals := 5*time.Minute+within(10*time.Minute), []time.Duration{}
	ends := make([]time.Duration, len(s.instances)) // of outages
	var live []issuedToken
	for range 300 {
		s.until(s.now() + within(pauses[random.IntN(3)]))
		now := s.now()
		if now >= publish {
			published++
			begins := now + 1
			if !early {
				begins = now + outage + interval + cached + within(10*time.Minute)
			}
			keys = append(slices.Clone(keys), s.signing(fmt.Sprint(published%8), begins))
			removals = append(removals, max(begins, now+outage+2*interval+cached)+lifetime+within(5*time.Minute))
			publish = begins + within(20*time.Minute)
		}
		if len(removals) > 0 && now >= removals[0] {
			keys, removals = keys[1:], removals[1:]
		}
		s.set(keys...)
		if early {
			for _, as := range s.instances {
				s.published(as)
			}
		}
		i := random.IntN(len(s.instances))
		switch down := s.down[i]; {
		case down && now >= ends[i]:
			s.note(func() { s.down[i] = false })
		case !down && outage > 0 && random.IntN(10) == 0:
			require.NoError(t, s.instances[i].RefreshKeys(t.Context()))
			s.note(func() { s.down[i] = true })
			ends[i] = now + within(outage-time.Minute)
		case !down && !early && random.IntN(10) == 0:
			s.instances[i] = s.start(i)
		}
		for j := range s.down { // an outage ends in time
			s.note(func() { s.down[j] = s.down[j] && now < ends[j] })
		}
		live = append(live, s.issue(s.instances[random.IntN(len(s.instances))]))
		live = slices.DeleteFunc(live, func(one issuedToken) bool { return now >= one.expires })
		for _, one := range []issuedToken{live[0], live[random.IntN(len(live))], live[len(live)-1]} {
			s.requireAccepted(readers[random.IntN(len(readers))], one, fmt.Sprintf("early %v, outage %v", early, outage))
		}
	}
	require.Greater(t, published, 1)
}

// Requests that issue tokens while keys are withdrawn all succeed, and some new key signs.
func TestRotationUnderLoad(t *testing.T) {
	s := newSite(t, 1, signingKey(t, "0"))
	as := s.instances[0]
	keys := []profile.SigningKey{signingKey(t, "1"), signingKey(t, "2"), signingKey(t, "3")}
	var others atomic.Int32
	testkit.Hammer(64, func(i int) {
		if i%4 == 0 {
			s.set(keys[i/4%3])
			if err := as.RefreshKeys(t.Context()); err != nil {
				t.Error(err)
			}
		}
		_, kid := s.send(as)
		if kid != "0" {
			others.Add(1)
		}
		if set, err := as.Keys().Keys(t.Context(), "", "ES256"); err != nil || len(set) != 1 {
			t.Error(len(set), err)
		}
	})
	require.GreaterOrEqual(t, others.Load(), int32(16), "a caller of RefreshKeys has a later key at once")
}
