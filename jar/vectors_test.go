package jar_test

import (
	"context"
	"crypto"
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

// vector is a request object that other software has made.
type vector struct {
	Name    string          `json:"name"`
	Request string          `json:"request"`
	JWK     json.RawMessage `json:"jwk"`
	Client  string          `json:"client"`
	Issuer  string          `json:"issuer"`
	Now     int64           `json:"now"`
	Want    string          `json:"want"` // class of failure, empty for none
	Params  url.Values      `json:"params"`
}

var classes = map[string]error{
	"algorithm": jar.ErrAlgorithm, "type": jar.ErrType, "claims": jar.ErrClaims, "client": jar.ErrClient, "audience": jar.ErrAudience,
	"not yet valid": jar.ErrNotYetValid, "too old": jar.ErrTooOld, "lifetime": jar.ErrLifetime, "nested": jar.ErrNested,
	"parameter": jar.ErrParameter, "signature": jar.ErrSignature,
}

func TestVectors(t *testing.T) {
	accepted := 0
	for _, v := range testkit.LoadVectors[vector](t, "testdata/*.json") {
		t.Run(v.Name, func(t *testing.T) {
			key, err := jose.ParseKey(v.JWK)
			require.NoError(t, err)
			s := newServer(t, func(c *jar.VerifierConfig) {
				c.Issuer, c.Now = v.Issuer, func() time.Time { return time.Unix(v.Now, 0) }
			})
			s.client = jar.Client{ID: v.Client, Keys: func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
				return jose.Candidates([]*jose.Key{key}, kid, alg), nil
			}}
			f := url.Values{"request": {v.Request}, "client_id": {v.Client}}
			if v.Want != "" {
				require.Contains(t, classes, v.Want)
				s.requireRefused(t, classes[v.Want], f)
				return
			}
			accepted++
			for name, verify := range s.entries() {
				r, err := verify(t.Context(), s.client, f)
				require.NoError(t, err, name)
				require.Equal(t, v.Params, r.Params(), name)
			}
		})
	}
	require.Equal(t, 7, accepted)
}
