package attack_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/conformance/attack"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A weakness takes one defence away.
type weakness func(t *testing.T, cfg *attack.Config)

// forgetful is a replay store that accepts everything again.
type forgetful struct{}

func (forgetful) Add(context.Context, string, []byte, time.Time) (bool, error) { return true, nil }

func proofsRepeat(_ *testing.T, cfg *attack.Config) {
	cfg.Guard = func(c *resourceserver.Config) { c.Replay = forgetful{} }
}

// bearerTokens replaces the API by one that does not compare the key.
func bearerTokens(t *testing.T, cfg *attack.Config) {
	cfg.API = func(w *attack.World, _ http.Handler) http.Handler {
		verifier, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{
			Issuer: w.Issuer, Audience: []string{w.APIURL}, Keys: w.Keys,
		})
		require.NoError(t, err)
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			token, err := verifier.Verify(r.Context(), raw)
			if err != nil {
				http.Error(rw, "invalid token", http.StatusUnauthorized)
				return
			}
			w.Deliver(rw, r, token.Subject())
		})
	}
}

// looseSessions adds the cookies of all logins to each callback, as if the
// client knew its sessions by state alone. With starter, the browser that began
// the login is logged in, and not the browser of the callback.
func looseSessions(starter bool) weakness {
	return func(_ *testing.T, cfg *attack.Config) {
		cfg.Client = func(w *attack.World, next http.Handler) http.Handler {
			return &loose{world: w, next: next, starter: starter, finished: map[attack.Party][]*http.Cookie{}}
		}
	}
}

// A loose is such a client.
type loose struct {
	world   *attack.World
	next    http.Handler
	starter bool

	mu       sync.Mutex
	began    attack.Party
	sessions []*http.Cookie
	finished map[attack.Party][]*http.Cookie
}

func (l *loose) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	party := l.world.Party(r)
	add := l.finished[party]
	if r.URL.Path == "/callback" {
		r.Header.Del("Cookie")
		add = l.sessions
	}
	for _, cookie := range add {
		r.AddCookie(cookie)
	}
	recorder := httptest.NewRecorder()
	l.next.ServeHTTP(recorder, r)
	cookies := recorder.Result().Cookies()
	switch {
	case r.URL.Path == "/login":
		l.began, l.sessions = party, append(l.sessions, cookies...)
	case r.URL.Path == "/callback" && l.starter:
		l.finished[l.began] = cookies
	}
	copyResponse(w, recorder)
}

// ignoreIss replaces iss in each callback by the issuer of the session.
func ignoreIss(_ *testing.T, cfg *attack.Config) {
	cfg.Client = func(_ *attack.World, next http.Handler) http.Handler {
		var begun atomic.Value
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/login":
				begun.Store(r.PostFormValue("issuer"))
			case "/callback":
				query := r.URL.Query()
				query.Set("iss", begun.Load().(string))
				r.URL.RawQuery = query.Encode()
			}
			next.ServeHTTP(w, r)
		})
	}
}

// sessionsRepeat lets a session finish several logins.
func sessionsRepeat(t *testing.T, cfg *attack.Config) {
	looseSessions(false)(t, cfg)
	cfg.Sessions = func(c *client.SessionsConfig) { c.Used = forgetful{} }
}

// anyAudience makes the authorization server accept client assertions for other
// servers. It replaces them by assertions for the server.
func anyAudience(t *testing.T, cfg *attack.Config) {
	key := clientKey(t, cfg)
	cfg.AuthServer = func(w *attack.World, next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if signedByClient(key, r) {
				r = withForm(r, authenticated(t, w, key, r))
			}
			next.ServeHTTP(rw, r)
		})
	}
}

// requestsRepeat makes the authorization server accept a request_uri several
// times. It pushes the request again whenever a browser opens the page.
func requestsRepeat(t *testing.T, cfg *attack.Config) {
	key := clientKey(t, cfg)
	cfg.AuthServer = func(w *attack.World, next http.Handler) http.Handler {
		var mu sync.Mutex
		pushed, fresh := map[string]*http.Request{}, map[string]string{}
		push := func(r *http.Request) (*httptest.ResponseRecorder, string) {
			var answer struct {
				RequestURI string `json:"request_uri"`
			}
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			require.Equal(t, http.StatusCreated, recorder.Code, recorder.Body.String())
			require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
			return recorder, answer.RequestURI
		}
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			query := r.URL.Query()
			id := query.Get("request_uri")
			switch {
			case r.URL.Path == "/par":
				require.NoError(t, r.ParseForm())
				recorder, id := push(withForm(r, r.PostForm))
				pushed[id] = r
				copyResponse(rw, recorder)
				return
			case r.URL.Path == "/authorize" && r.Method == http.MethodGet:
				again := pushed[id].WithContext(r.Context())
				again.Header.Del("DPoP") // its proof is used up
				_, fresh[id] = push(withForm(again, authenticated(t, w, key, again)))
				fallthrough
			case r.URL.Path == "/authorize":
				query.Set("request_uri", fresh[id])
				r.URL.RawQuery = query.Encode()
			}
			next.ServeHTTP(rw, r)
		})
	}
}

func clientKey(t *testing.T, cfg *attack.Config) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cfg.ClientKey = key
	return key
}

// authenticated returns the form of a request with a new client assertion.
func authenticated(t *testing.T, w *attack.World, key *ecdsa.PrivateKey, r *http.Request) url.Values {
	require.NoError(t, r.ParseForm())
	form := url.Values{}
	for name, values := range r.PostForm {
		if !strings.HasPrefix(name, "client_assertion") {
			form[name] = values
		}
	}
	method, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "app", Audience: w.Issuer, Key: key, KeyID: "1",
	})
	require.NoError(t, err)
	require.NoError(t, method.Authenticate(r.Context(), form))
	return form
}

// signedByClient reports whether a request has an assertion with a signature of
// the client, for any server.
func signedByClient(key *ecdsa.PrivateKey, r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != "/par" && r.URL.Path != "/token" {
		return false
	}
	assertion := r.PostFormValue("client_assertion")
	content := assertion[:max(strings.LastIndex(assertion, "."), 0)]
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(assertion[len(content):], "."))
	if err != nil || len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(content))
	return ecdsa.Verify(&key.PublicKey, digest[:],
		new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// withForm returns a copy of a request with another form.
func withForm(r *http.Request, form url.Values) *http.Request {
	body := form.Encode()
	r = r.Clone(r.Context())
	r.Form, r.PostForm, r.ContentLength = nil, nil, int64(len(body))
	r.Body = io.NopCloser(strings.NewReader(body))
	return r
}

func copyResponse(w http.ResponseWriter, recorder *httptest.ResponseRecorder) {
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	w.Write(recorder.Body.Bytes())
}
