package client_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// BenchmarkHTTPClient measures the cost of a request to an API without its
// transmission. "bare" is one signature. "plain" is an http.Client whose
// transport does nothing. "client" is a Client with the same transport. It uses
// 64 goroutines on two processors (GOMAXPROCS=2).
func BenchmarkHTTPClient(b *testing.B) {
	p := newPeer(b)
	sent := testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Dpop-Nonce": {"nonce-of-the-api"}}, Body: http.NoBody, Request: r}, nil
	})
	for _, key := range []crypto.Signer{testkit.ECKey(b, "bench"), testkit.Ed25519Key(b, "bench"), testkit.RSAKey(b, "bench")} {
		cfg := p.config()
		cfg.DPoPKey, cfg.Now = key, time.Now
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
		name := map[bool]string{true: "ES256"}[isEC(key)]
		switch key.(type) {
		case ed25519.PrivateKey:
			name = "EdDSA"
		case *rsa.PrivateKey:
			name = "PS256"
		}
		b.Run(name+"/bare", func(b *testing.B) { parallel(b, bareSignature(key)) })
		b.Run(name+"/plain", do(plain))
		b.Run(name+"/client", do(api))
	}
}

func isEC(key crypto.Signer) bool {
	_, ok := key.(*ecdsa.PrivateKey)
	return ok
}

func make200() []byte {
	token := make([]byte, 800) // as a JWT access token has
	for i := range token {
		token[i] = 'a' + byte(i%26)
	}
	return token
}

// bareSignature signs as many bytes as a proof has.
func bareSignature(key crypto.Signer) func() error {
	input := make([]byte, 500)
	return func() (err error) {
		switch k := key.(type) {
		case *ecdsa.PrivateKey:
			digest := sha256.Sum256(input)
			_, err = ecdsa.SignASN1(rand.Reader, k, digest[:])
		case *rsa.PrivateKey:
			digest := sha256.Sum256(input)
			_, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		default:
			_, err = key.Sign(nil, input, crypto.Hash(0))
		}
		return err
	}
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
