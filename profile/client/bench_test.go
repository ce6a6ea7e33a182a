package client_test

import (
	"context"
	"crypto"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// BenchmarkHTTPClient measures the cost of a request to an API without its
// transmission. "bare" is one signature. "plain" is an http.Client whose
// transport does nothing. "client" is a Client with the same transport, and
// "stored" has a stored token. It uses
// 64 goroutines on two processors (GOMAXPROCS=2).
func BenchmarkHTTPClient(b *testing.B) {
	p := newPeer(b)
	sent := testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Dpop-Nonce": {"nonce-of-the-api"}}, Body: http.NoBody, Request: r}, nil
	})
	for name, key := range map[string]crypto.Signer{
		"ES256": testkit.ECKey(b, "bench"), "EdDSA": testkit.Ed25519Key(b, "bench"), "PS256": testkit.RSAKey(b, "bench"),
	} {
		cfg := p.config()
		cfg.DPoPKey, cfg.Hooks.Now = key, time.Now
		metadata := p.http.Transport
		cfg.HTTPClient = &http.Client{Transport: testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "" {
				return metadata.RoundTrip(r)
			}
			return sent(r)
		})}
		app, err := client.New(context.Background(), cfg)
		require.NoError(b, err)
		token := &oauth2.Token{AccessToken: string(make200()), TokenType: "DPoP", RefreshToken: "rt", Expiry: time.Now().Add(time.Hour)}
		api := testkit.Must(app.HTTPClient(app.TokenSource(context.Background(), token)))
		plain := &http.Client{Transport: sent}
		do := func(c *http.Client) func(b *testing.B) {
			return func(b *testing.B) {
				r := testkit.Must(http.NewRequest(http.MethodGet, "https://api.example/accounts", nil))
				parallel(b, func() error {
					response, err := c.Do(r.Clone(context.Background()))
					if err == nil {
						response.Body.Close()
					}
					return err
				})
			}
		}
		sign, _ := testkit.Bare(b, key, make([]byte, 500)) // as long as a proof
		b.Run(name+"/bare", func(b *testing.B) {
			parallel(b, func() error {
				if !sign() {
					return io.ErrUnexpectedEOF
				}
				return nil
			})
		})
		b.Run(name+"/plain", do(plain))
		b.Run(name+"/client", do(api))
		shared, err := store.NewMemory(store.MemoryConfig{})
		require.NoError(b, err)
		cfg.Tokens = &client.Tokens{Store: shared, Keys: [][]byte{make([]byte, 32)}}
		stored, err := client.New(context.Background(), cfg)
		require.NoError(b, err)
		require.NoError(b, stored.StoredToken("alice").Save(context.Background(), token))
		kept := testkit.Must(stored.HTTPClient(stored.StoredToken("alice")))
		b.Run(name+"/stored", do(kept))
	}
}

func make200() []byte {
	token := make([]byte, 800) // as a JWT access token has
	for i := range token {
		token[i] = 'a' + byte(i%26)
	}
	return token
}

func parallel(b *testing.B, f func() error) {
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkSessions measures sealing and opening of a session.
func BenchmarkSessions(b *testing.B) {
	ctx, sessions := context.Background(), roletest.NewSessions(b)
	session := &client.Session{
		Issuer: "https://as.example", ClientID: "my-app", RedirectURI: "https://app.example/callback", State: "s", Nonce: "n", CodeVerifier: "v", Keep: "/accounts",
	}
	value := testkit.Must(sessions.Seal(session, "b"))
	b.Run("Seal", func(b *testing.B) {
		parallel(b, func() error {
			_, err := sessions.Seal(session, "b")
			return err
		})
	})
	b.Run("Open refused", func(b *testing.B) {
		parallel(b, func() error {
			if _, err := sessions.Open(ctx, value, "another"); err == nil {
				return io.ErrUnexpectedEOF
			}
			return nil
		})
	})
}

// BenchmarkStoredToken measures the cost of a StoredToken that is made for one
// request: reading the entry and its key.
func BenchmarkStoredToken(b *testing.B) {
	w := newStoredWorld(b, false)
	app := w.replica()
	w.login(app, "alice")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := app.StoredToken("alice").Token(); err != nil {
			b.Fatal(err)
		}
	}
}
