package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// withoutPrivate returns a published JWK without its private member. Some vectors
// have one.
func withoutPrivate(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(raw, &members))
	return []byte(edit(t, members, "d", nil))
}

func TestPublishedSignatures(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct {
		ID      string          `json:"id"`
		Spec    string          `json:"spec"`
		Alg     string          `json:"alg"`
		JWS     string          `json:"jws"`
		JWK     json.RawMessage `json:"jwk"`
		Payload string          `json:"payload_utf8"`
	}](t, "testdata/jws.json") {
		t.Run(v.ID, func(t *testing.T) {
			key, err := jose.ParseKey(withoutPrivate(t, v.JWK))
			require.NoError(t, err)
			c := split(t, v.JWS)
			h, err := c.ParseHeader()
			require.NoError(t, err)
			require.Equal(t, v.Alg, h.Algorithm)
			require.NoError(t, c.Verify(v.Alg, key.Public))
			if v.Payload != "" {
				payload, err := base64.RawURLEncoding.DecodeString(c.Payload)
				require.NoError(t, err)
				require.Equal(t, v.Payload, string(payload))
			}
			for i := range 63 {
				mutated, err := jose.Split(testkit.MutateJWS(v.JWS, 7*i), 1<<16)
				require.NoError(t, err)
				require.Error(t, mutated.Verify(v.Alg, key.Public))
			}
		})
	}
}

func TestPublishedThumbprints(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct {
		ID         string          `json:"id"`
		Spec       string          `json:"spec"`
		JWK        json.RawMessage `json:"jwk"`
		Canonical  string          `json:"canonical_json"`
		Thumbprint string          `json:"thumbprint"`
	}](t, "testdata/thumbprint.json") {
		t.Run(v.ID, func(t *testing.T) {
			key, err := jose.ParseKey(withoutPrivate(t, v.JWK))
			require.NoError(t, err)
			require.Equal(t, v.Thumbprint, key.Thumbprint)
			require.Equal(t, v.Thumbprint, jose.SHA256Base64(v.Canonical))
			bare, err := (&jose.Key{Public: key.Public}).MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, v.Canonical, string(bare))
			again, err := jose.Thumbprint(key.Public)
			require.NoError(t, err)
			require.Equal(t, v.Thumbprint, again)
		})
	}
}

func TestPublishedBase64(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct {
		ID      string `json:"id"`
		Spec    string `json:"spec"`
		Octets  []int  `json:"octets"`
		Encoded string `json:"encoded"`
	}](t, "testdata/base64url.json") {
		t.Run(v.ID, func(t *testing.T) {
			raw := make([]byte, len(v.Octets))
			for i, octet := range v.Octets {
				raw[i] = byte(octet)
			}
			s, err := jose.NewSigner(testkit.ECKey(t, "a"), jose.SignerOptions{})
			require.NoError(t, err)
			token, err := s.Sign(raw)
			require.NoError(t, err)
			require.Equal(t, v.Encoded, split(t, token).Payload)
		})
	}
}
