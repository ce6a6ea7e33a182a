package jarm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

var classes = map[string]error{
	"algorithm": jarm.ErrAlgorithm, "type": jarm.ErrType, "claims": jarm.ErrClaims, "issuer": jarm.ErrIssuer,
	"audience": jarm.ErrAudience, "expired": jarm.ErrExpired, "signature": jarm.ErrSignature, "parameters": jarm.ErrParameters,
}

// TestPublishedTokens: the keys of the published responses are not published, so they get as far as the signature and no
// further; other kinds of JWT do not get that far.
func TestPublishedTokens(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct {
		ID       string `json:"id"`
		Spec     string `json:"spec"`
		Token    string `json:"token"`
		Issuer   string `json:"issuer"`
		Audience string `json:"audience"`
		Now      int64  `json:"now"`
		Want     string `json:"want"`
	}](t, "testdata/published.json") {
		t.Run(v.ID, func(t *testing.T) {
			require.NotNil(t, classes[v.Want])
			requireRefused(t, v.Token, classes[v.Want], func(c *jarm.VerifierConfig) {
				c.Issuer, c.ClientID, c.Now = v.Issuer, v.Audience, func() time.Time { return time.Unix(v.Now, 0) }
			})
		})
	}
}

// TestPublishedClaims signs the claims that the specification shows with a key of ours.
func TestPublishedClaims(t *testing.T) {
	for _, v := range testkit.LoadVectors[struct {
		ID     string          `json:"id"`
		Spec   string          `json:"spec"`
		Claims json.RawMessage `json:"claims"`
		Want   string          `json:"want"`
	}](t, "testdata/claims.json") {
		t.Run(v.ID, func(t *testing.T) {
			change := func(c *jarm.VerifierConfig) {
				c.Issuer, c.ClientID = "https://accounts.example.com", "s6BhdRkqt3"
				c.Now = func() time.Time { return time.Unix(1311281969, 0) }
			}
			var claims bytes.Buffer
			require.NoError(t, json.Compact(&claims, v.Claims))
			token := testkit.SignPayload(t, claims.String(), jose.SignerOptions{KeyID: "laeb"}, testkit.ECKey(t, "as"))
			if want := classes[v.Want]; want != nil {
				requireRefused(t, token, want, change)
				return
			}
			for name, enter := range entries {
				got, err := enter(newVerifier(t, change), token)
				require.NoError(t, err, name)
				require.NoError(t, got.CheckState(state))
				if said := (*oauth2.RetrieveError)(nil); errors.As(got.Err(), &said) {
					require.Equal(t, v.Want, said.ErrorCode)
					continue
				}
				require.Equal(t, "code", v.Want)
				require.Equal(t, code, got.Code())
			}
			_, err := newVerifier(t, nil).Verify(context.Background(), token)
			require.ErrorIs(t, err, jarm.ErrIssuer)
		})
	}
}
