package dpop_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	origin  = "https://server.example.com"
	tokenEP = origin + "/token"
	aToken  = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
)

var start = time.Unix(1_700_000_000, 0)

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func thumbprintOf(t testing.TB, key crypto.Signer) string {
	t.Helper()
	thumbprint, err := jose.Thumbprint(key.Public())
	require.NoError(t, err)
	return thumbprint
}

// claimsNow are the claims of a good proof for POST tokenEP with aToken, at start.
func claimsNow() map[string]any {
	return map[string]any{
		"jti": "an-identifier-of-its-own", "htm": "POST", "htu": tokenEP, "iat": start.Unix(), "ath": ath(aToken),
	}
}

// sign makes a proof whose header has what extra says besides what it must have. A nil member is left out.
func sign(t testing.TB, key crypto.Signer, extra, claims map[string]any) string {
	t.Helper()
	alg, err := jose.AlgorithmFor(key.Public())
	require.NoError(t, err)
	jwk, err := (&jose.Key{Public: key.Public()}).MarshalJSON()
	require.NoError(t, err)
	header := map[string]any{"typ": "dpop+jwt", "alg": alg, "jwk": json.RawMessage(jwk)}
	for name, value := range extra {
		header[name] = value
	}
	for name, value := range header {
		if value == nil {
			delete(header, name)
		}
	}
	return testkit.SignJWS(t, header, claims, key)
}

// request is a request to tokenEP with these DPoP header fields.
func request(proofs ...string) *http.Request {
	return requestTo("POST", tokenEP, proofs...)
}

func requestTo(method, url string, proofs ...string) *http.Request {
	r := httptest.NewRequest(method, url, nil)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return r
}

// spy is a ReplayStore that takes notes. It has no clock and forgets nothing.
type spy struct {
	keys    []string
	expires []time.Time
	err     error
}

func (s *spy) Add(_ context.Context, key string, _ []byte, expires time.Time) (bool, error) {
	first := !slices.Contains(s.keys, key)
	s.keys, s.expires = append(s.keys, key), append(s.expires, expires)
	return first && s.err == nil, s.err
}

// newVerifier makes a verifier for origin whose clock stands at start, after change has been made to its configuration.
func newVerifier(t testing.TB, change func(*dpop.VerifierConfig)) (*dpop.Verifier, *testkit.Clock) {
	t.Helper()
	clock := testkit.NewClock(start)
	cfg := dpop.VerifierConfig{BaseURLs: []string{origin}, Now: clock.Now}
	if change != nil {
		change(&cfg)
	}
	v, err := dpop.NewVerifier(cfg)
	require.NoError(t, err)
	return v, clock
}

func newProver(t testing.TB, key crypto.Signer) *dpop.Prover {
	t.Helper()
	p, err := dpop.NewProver(dpop.ProverConfig{Key: key, Now: func() time.Time { return start }})
	require.NoError(t, err)
	return p
}
