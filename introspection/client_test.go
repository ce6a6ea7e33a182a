package introspection_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
)

func TestMembers(t *testing.T) {
	type vector struct {
		Name    string `json:"name"`
		Members string `json:"members"`
		Want    string `json:"want"`
	}
	for _, v := range testkit.LoadVectors[vector](t, "testdata/members.json") {
		for _, unsigned := range []bool{true, false} {
			t.Run(fmt.Sprintf("INT-7662-2.2-1 %s, unsigned %v", v.Name, unsigned), func(t *testing.T) {
				h := answer("application/json", v.Members)
				if !unsigned {
					h = answer(mediaJWT, signedMembers(t, v.Members))
				}
				c := newClient(t, h, func(cfg *introspection.ClientConfig) { cfg.Unsigned, cfg.CacheFor = unsigned, time.Minute })
				if v.Want != "" {
					requireRefused(t, c, sentinels[v.Want])
					return
				}
				got, err := c.Introspect(t.Context(), opaque)
				require.NoError(t, err)
				require.Equal(t, unsigned, got.Signed() == "", "MS-5.5.2-2")
				require.Contains(t, got.Audience(), api)
				require.NotEmpty(t, got.JKT()+got.X5TS256())
			})
		}
	}
}

func TestSigned(t *testing.T) {
	type vector struct {
		Name    string `json:"name"`
		Type    string `json:"typ"`
		Payload string `json:"payload"`
		Want    string `json:"want"`
	}
	for _, v := range testkit.LoadVectors[vector](t, "testdata/signed.json") {
		t.Run("MS-5.5.2-2 INT-9701-5-1 INT-9701-5-2 JWT-3.12-1 "+v.Name, func(t *testing.T) {
			jwt := testkit.SignPayload(t, v.Payload, jose.SignerOptions{Type: v.Type}, testkit.ECKey(t, "as"))
			c := newClient(t, answer(mediaJWT, jwt), func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute })
			if v.Want != "" {
				requireRefused(t, c, sentinels[v.Want])
				return
			}
			got, err := c.Introspect(t.Context(), opaque)
			require.NoError(t, err)
			require.Equal(t, jwt, got.Signed())
		})
	}
}

func TestPublished(t *testing.T) {
	type vector struct {
		ID          string          `json:"id"`
		Spec        string          `json:"spec"`
		JWT         string          `json:"jwt"`
		ContentType string          `json:"content_type"`
		Issuer      string          `json:"issuer"`
		ClientID    string          `json:"client_id"`
		Now         int64           `json:"now"`
		Payload     json.RawMessage `json:"payload"`
		Want        string          `json:"want"`
	}
	for _, v := range testkit.LoadVectors[vector](t, "testdata/published.json") {
		t.Run("JWT-3.1-1 "+v.ID, func(t *testing.T) {
			change := func(cfg *introspection.ClientConfig) {
				cfg.Issuer, cfg.ClientID, cfg.Audience = v.Issuer, v.ClientID, []string{v.ClientID}
				cfg.InsecureAllowBearer = true // the example is older than that
				cfg.Now = func() time.Time { return time.Unix(v.Now, 0) }
			}
			requireRefused(t, newClient(t, answer(v.ContentType, v.JWT), change), sentinels[v.Want])
			// Signed by what is allowed, the same is accepted.
			jwt := testkit.SignPayload(t, string(v.Payload), jose.SignerOptions{Type: typ, KeyID: "wG6D"}, testkit.RSAKey(t, "as"))
			got, err := newClient(t, answer(v.ContentType, jwt), change).Introspect(t.Context(), opaque)
			require.NoError(t, err)
			require.Equal(t, "Z5O3upPC88QrAjx00dis", got.Subject())
			require.Equal(t, []string{"read", "write", "dolphin"}, got.Scopes())
			require.JSONEq(t, `"1982-02-01"`, string(got.Claim("birthdate")))
			require.Nil(t, got.Claim("birthDate"))
		})
	}
}

// honest is a signed answer as it should be.
func honest(t testing.TB) string {
	return signedMembers(t, fmt.Sprintf(`{"active":true,"iss":%q,"sub":"alice","aud":%q,"client_id":"fintech","exp":%d,"jti":"id-1","scope":"accounts","cnf":{"jkt":%q}}`,
		issuer, api, t0.Unix()+300, jkt))
}

// withHeader replaces the header; the signature then is over something else.
func withHeader(jwt, h string) string {
	_, rest, _ := strings.Cut(jwt, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(h)) + "." + rest
}

func TestEvilServers(t *testing.T) {
	jwt := honest(t)
	plain := fmt.Sprintf(`{"active":true,"aud":%q,"exp":%d,"cnf":{"jkt":%q}}`, api, t0.Unix()+300, jkt)
	dot := strings.LastIndexByte(jwt, '.')
	other := signedMembers(t, `{"active":false}`)
	head := func(h string) string { return withHeader(jwt, h) }
	for _, tc := range []struct {
		name, mediaType, body string
		want                  error
	}{
		{"MS-5.5.2-2 plain JSON", "application/json", plain, introspection.ErrUnprotected},
		{"MS-5.5.2-2 plain JSON that says it is a JWT", mediaJWT, plain, introspection.ErrMalformed},
		{"MS-5.5.2-2 plain JSON that is inactive", "application/json", `{"active":false}`, introspection.ErrUnprotected},
		{"INT-9701-5-1 a JWT that says it is JSON", "application/json", jwt, introspection.ErrUnprotected},
		{"INT-9701-5-1 a JWT of no kind", "application/jwt", jwt, introspection.ErrUnprotected},
		{"a login page", "text/html", "<html>", introspection.ErrUnprotected},
		{"no media type", "", jwt, introspection.ErrUnprotected},
		{"nothing", mediaJWT, "", introspection.ErrMalformed},
		{"a line break after it", mediaJWT, jwt + "\n", introspection.ErrMalformed},
		{"a line break within", mediaJWT, jwt[:dot-4] + "\n" + jwt[dot-4:], introspection.ErrMalformed},
		{"padding", mediaJWT, jwt + "=", introspection.ErrMalformed},
		{"a fourth segment", mediaJWT, jwt + ".x", introspection.ErrMalformed},
		{"INT-9701-5-6 an encrypted one, which nobody asked for", mediaJWT, "a.b.c.d.e", introspection.ErrUnprotected},
		{"JWS in JSON serialization", mediaJWT, `{"payload":"e30","signatures":[]}`, introspection.ErrMalformed},
		{"longer than is read", mediaJWT, jwt + strings.Repeat("A", 64<<10), introspection.ErrMalformed},
		{"a flood", mediaJWT, strings.Repeat("A", 8<<20), introspection.ErrMalformed},
		{"JWT-3.1-1 none", mediaJWT, head(`{"alg":"none","typ":"token-introspection+jwt"}`), introspection.ErrAlgorithm},
		{"JWT-3.1-1 none without a signature", mediaJWT, head(`{"alg":"none","typ":"token-introspection+jwt"}`)[:10] + ".e30.", introspection.ErrMalformed},
		{"JWT-3.1-1 RS256", mediaJWT, head(`{"alg":"RS256","typ":"token-introspection+jwt"}`), introspection.ErrAlgorithm},
		{"JWT-3.1-1 HS256", mediaJWT, head(`{"alg":"HS256","typ":"token-introspection+jwt"}`), introspection.ErrAlgorithm},
		{"no alg", mediaJWT, head(`{"typ":"token-introspection+jwt"}`), introspection.ErrAlgorithm},
		{"alg is a number", mediaJWT, head(`{"alg":1,"typ":"token-introspection+jwt"}`), introspection.ErrMalformed},
		{"typ is a number", mediaJWT, head(`{"alg":"ES256","typ":1}`), introspection.ErrMalformed},
		{"typ twice", mediaJWT, head(`{"alg":"ES256","typ":"token-introspection+jwt","typ":"at+jwt"}`), introspection.ErrMalformed},
		{"typ in another case beside it", mediaJWT, head(`{"alg":"ES256","typ":"token-introspection+jwt","TYP":"x"}`), introspection.ErrMalformed},
		{"crit", mediaJWT, head(`{"alg":"ES256","typ":"token-introspection+jwt","crit":["exp"]}`), introspection.ErrMalformed},
		{"b64", mediaJWT, head(`{"alg":"ES256","typ":"token-introspection+jwt","b64":false}`), introspection.ErrMalformed},
		{"another algorithm over the same", mediaJWT, head(`{"alg":"EdDSA","typ":"token-introspection+jwt"}`), introspection.ErrSignature},
		{"another header over the same", mediaJWT, head(`{"alg":"ES256","typ":"token-introspection+jwt"}`), introspection.ErrSignature},
		{"a cut signature", mediaJWT, jwt[:len(jwt)-2], introspection.ErrSignature},
		{"the signature of another answer", mediaJWT, jwt[:dot] + other[strings.LastIndexByte(other, '.'):], introspection.ErrSignature},
		{"MS-5.5.2-2 another key", mediaJWT, testkit.SignPayload(t, `{"iss":"https://as.example.com","aud":"https://rs.example.com","iat":1800000000,"token_introspection":`+plain+`}`,
			jose.SignerOptions{Type: typ}, testkit.ECKey(t, "evil")), introspection.ErrSignature},
		{"MS-5.5.2-2 the key in the header", mediaJWT, testkit.SignPayload(t, `{"iss":"https://as.example.com","aud":"https://rs.example.com","iat":1800000000,"token_introspection":`+plain+`}`,
			jose.SignerOptions{Type: typ, EmbedKey: true}, testkit.ECKey(t, "evil")), introspection.ErrSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, answer(tc.mediaType, tc.body), func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute })
			requireRefused(t, c, tc.want)
		})
	}
	t.Run("two media types", func(t *testing.T) {
		c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{mediaJWT, "application/json"}
			_, _ = w.Write([]byte(jwt))
		}, nil)
		requireRefused(t, c, introspection.ErrUnprotected)
	})
	t.Run("of the algorithms only those that were named", func(t *testing.T) {
		c := newClient(t, answer(mediaJWT, jwt), func(cfg *introspection.ClientConfig) { cfg.Algorithms = []string{"PS256"} })
		requireRefused(t, c, introspection.ErrAlgorithm)
	})
	t.Run("unsigned", func(t *testing.T) {
		unsigned := func(cfg *introspection.ClientConfig) { cfg.Unsigned, cfg.Keys = true, nil }
		for name, h := range map[string]http.HandlerFunc{
			"a JWT nobody asked for": answer(mediaJWT, jwt), "HTML": answer("text/html", plain), "an array": answer("application/json", "["+plain+"]"),
			"nothing": answer("application/json", ""), "a flood": answer("application/json", plain[:1]+strings.Repeat(" ", 64<<10)+plain[1:]),
			"not UTF-8": answer("application/json", plain[:1]+"\"\xff\":1,"+plain[1:]),
		} {
			t.Run(name, func(t *testing.T) { requireRefused(t, newClient(t, h, unsigned), introspection.ErrMalformed) })
		}
		got, err := newClient(t, answer("application/json;charset=UTF-8", plain), unsigned).Introspect(t.Context(), opaque)
		require.NoError(t, err)
		require.Empty(t, got.Signed())
	})
}

func TestServerErrors(t *testing.T) {
	for _, tc := range []struct {
		name, mediaType, body, code string
		status                      int
	}{
		{"INT-7662-2.3-1 our credentials", "application/json", `{"error":"invalid_client","error_description":"no"}`, "invalid_client", 401},
		{"INT-9701-5-7 nobody", "application/json", `{"error":"invalid_client"}`, "invalid_client", 400},
		{"a good answer with a bad status", mediaJWT, honest(t), "", 500},
		{"a good answer as created", mediaJWT, honest(t), "", 201},
		{"a page", "text/html", "<html>" + opaque, "", 502},
		{"the question repeated", "application/json", `{"error":"invalid_request","error_description":"` + opaque + `"}`, "", 400},
		{"the question repeated in disguise", "application/json", `{"error":"invalid_request","error_description":"\u0032` + opaque[1:] + `"}`, "", 400},
		{"our assertion repeated", "application/json", `{"error":"invalid_client","error_description":"an-assertion"}`, "", 401},
		{"two codes", "application/json", `{"error":"a","error":"b"}`, "", 400},
		{"an endless one", "application/json", `{"error":"a","x":"` + strings.Repeat("x", 1<<20) + `"}`, "", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tc.mediaType)
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}, func(cfg *introspection.ClientConfig) { cfg.CacheFor = time.Minute })
			err := requireRefused(t, c, introspection.ErrUnavailable)
			var said *oauth2.RetrieveError
			require.ErrorAs(t, err, &said)
			require.Equal(t, tc.code, said.ErrorCode)
			require.Equal(t, tc.status, said.Response.StatusCode)
			require.NotContains(t, fmt.Sprintf("%+v %s", said, said.Body), opaque)
		})
	}
	t.Run("a redirect is not followed", func(t *testing.T) {
		var elsewhere atomic.Int32
		evil := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
		t.Cleanup(evil.Close)
		for _, status := range []int{301, 302, 303, 307, 308} {
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL, status) }, nil)
			var said *oauth2.RetrieveError
			require.ErrorAs(t, requireRefused(t, c, introspection.ErrUnavailable), &said)
		}
		require.Zero(t, elsewhere.Load())
	})
}

func TestUnavailable(t *testing.T) {
	cause := errors.New("out of reach")
	for _, tc := range []struct {
		name   string
		wire   wire
		change func(*introspection.ClientConfig)
	}{
		{"the network fails", func(*http.Request) (*http.Response, error) { return nil, cause }, nil},
		{"the answer breaks off", func(r *http.Request) (*http.Response, error) {
			resp, _ := reply(mediaJWT, "")(r)
			resp.Body = broken{cause}
			return resp, nil
		}, nil},
		{"we cannot authenticate", reply(mediaJWT, honest(t)), func(cfg *introspection.ClientConfig) {
			cfg.Authenticate = func(context.Context, url.Values) error { return cause }
		}},
		{"MS-5.5.2-2 the keys cannot be had", reply(mediaJWT, honest(t)), func(cfg *introspection.ClientConfig) {
			cfg.Keys = testkit.KeyError(cause)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.ErrorIs(t, requireRefused(t, wired(t, tc.wire, tc.change), introspection.ErrUnavailable), cause)
		})
	}
	t.Run("MS-5.5.2-2 no key at all", func(t *testing.T) {
		c := wired(t, reply(mediaJWT, honest(t)), func(cfg *introspection.ClientConfig) { cfg.Keys = testkit.KeySource() })
		requireRefused(t, c, introspection.ErrSignature)
	})
	t.Run("the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c := newClient(t, answer(mediaJWT, honest(t)), nil)
		got, err := c.Introspect(ctx, opaque)
		require.ErrorIs(t, err, introspection.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, got)
	})
	t.Run("INT-9701-8.2-1 a server with TLS 1.1", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(answer(mediaJWT, honest(t)))
		srv.TLS = oldTLS()
		srv.Config.ErrorLog = discard()
		srv.StartTLS()
		t.Cleanup(srv.Close)
		cfg := clientConfig(t)
		cfg.Endpoint, cfg.HTTPClient = srv.URL, srv.Client()
		c, err := introspection.NewClient(cfg)
		require.NoError(t, err)
		requireRefused(t, c, introspection.ErrUnavailable)
	})
}

type broken struct{ cause error }

func (b broken) Read([]byte) (int, error) { return 0, b.cause }
func (broken) Close() error               { return nil }

func TestQuestion(t *testing.T) {
	for _, tc := range []struct {
		name, accept, form string
		change             func(*introspection.ClientConfig)
	}{
		{"MS-5.5.2-1 INT-9701-4-1 signed, with our assertion", mediaJWT, "client_assertion=an-assertion&token=" + opaque + "&token_type_hint=access_token", nil},
		{"INT-7662-2-1 plain, with our certificate", "application/json", "client_id=https%3A%2F%2Frs.example.com&token=" + opaque + "&token_type_hint=access_token",
			func(cfg *introspection.ClientConfig) { cfg.Unsigned, cfg.Authenticate = true, nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got http.Request
			var form url.Values
			c := newClient(t, func(_ http.ResponseWriter, r *http.Request) {
				got = *r
				_ = r.ParseForm()
				form = r.PostForm
			}, tc.change)
			_, err := c.Introspect(t.Context(), opaque)
			require.Error(t, err)
			require.Equal(t, http.MethodPost, got.Method)
			require.Equal(t, "/introspect", got.RequestURI)
			require.Equal(t, []string{formType}, got.Header["Content-Type"])
			require.Equal(t, []string{tc.accept}, got.Header["Accept"])
			require.Empty(t, got.Header["Dpop"], "DPOP-6.2-2")
			require.Empty(t, got.Header["Authorization"])
			require.Equal(t, tc.form, form.Encode())
		})
	}
	t.Run("what cannot be a token is not asked about", func(t *testing.T) {
		c := wired(t, func(*http.Request) (*http.Response, error) { panic("asked") }, nil)
		for _, token := range []string{"", " ", "a b", "a\n", "a\x00", "ä", "\x7f", strings.Repeat("a", 16<<10+1)} {
			got, err := c.Introspect(t.Context(), token)
			require.ErrorIs(t, err, introspection.ErrInactive)
			require.Nil(t, got)
		}
	})
}

func TestNewClient(t *testing.T) {
	testkit.RejectChanges(t, introspection.NewClient, clientConfig(t), map[string]func(*introspection.ClientConfig){
		"no Endpoint":                   func(c *introspection.ClientConfig) { c.Endpoint = "" },
		"INT-9701-8.2-1 http":           func(c *introspection.ClientConfig) { c.Endpoint = "http://as.example.com/" },
		"a path":                        func(c *introspection.ClientConfig) { c.Endpoint = "/introspect" },
		"no host":                       func(c *introspection.ClientConfig) { c.Endpoint = "https:///introspect" },
		"no URL":                        func(c *introspection.ClientConfig) { c.Endpoint = "https://as.example.com:x/" },
		"user information":              func(c *introspection.ClientConfig) { c.Endpoint = "https://u:p@as.example.com/" },
		"a fragment":                    func(c *introspection.ClientConfig) { c.Endpoint = "https://as.example.com/#" },
		"no Issuer":                     func(c *introspection.ClientConfig) { c.Issuer = "" },
		"no ClientID":                   func(c *introspection.ClientConfig) { c.ClientID = "" },
		"MS-5.5.2-2 no Keys":            func(c *introspection.ClientConfig) { c.Keys = nil },
		"an empty Audience":             func(c *introspection.ClientConfig) { c.Audience = []string{} },
		"an Audience with an empty one": func(c *introspection.ClientConfig) { c.Audience = []string{api, ""} },
		"no algorithm":                  func(c *introspection.ClientConfig) { c.Algorithms = []string{} },
		"JWT-3.1-1 RS256":               func(c *introspection.ClientConfig) { c.Algorithms = []string{"ES256", "RS256"} },
		"B12 a negative FutureSkew":     func(c *introspection.ClientConfig) { c.FutureSkew = -1 },
		"B12 a large FutureSkew":        func(c *introspection.ClientConfig) { c.FutureSkew = time.Hour },
		"a short MaxAge":                func(c *introspection.ClientConfig) { c.MaxAge = time.Millisecond },
		"a long MaxAge":                 func(c *introspection.ClientConfig) { c.MaxAge = time.Hour },
		"a negative CacheFor":           func(c *introspection.ClientConfig) { c.CacheFor = -1 },
		"a long CacheFor":               func(c *introspection.ClientConfig) { c.CacheFor = time.Hour },
		"a negative CacheSize":          func(c *introspection.ClientConfig) { c.CacheSize = -1 },
	})
	cfg := clientConfig(t)
	cfg.Now, cfg.HTTPClient, cfg.Authenticate = nil, nil, nil
	_, err := introspection.NewClient(cfg)
	require.NoError(t, err)
}
