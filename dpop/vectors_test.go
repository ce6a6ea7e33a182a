package dpop_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

type published struct {
	ID          string `json:"id"`
	Spec        string `json:"spec"`
	Proof       string `json:"proof"`
	JKT         string `json:"jkt"`
	Method      string `json:"method"`
	URL         string `json:"url"`
	IAT         int64  `json:"iat"`
	AccessToken string `json:"access_token"`
}

func TestPublishedProofsVerify(t *testing.T) {
	for _, v := range testkit.LoadVectors[published](t, "testdata/published.json") {
		t.Run(v.ID, func(t *testing.T) {
			base, _, _ := strings.Cut(strings.TrimPrefix(v.URL, "https://"), "/")
			verifier, err := dpop.NewVerifier(dpop.VerifierConfig{
				BaseURLs: []string{"https://" + base}, Now: func() time.Time { return time.Unix(v.IAT, 0) },
			})
			require.NoError(t, err)
			r := requestTo(v.Method, v.URL, v.Proof)
			verify := func() (dpop.Proof, error) {
				if v.AccessToken != "" {
					return verifier.VerifyToken(t.Context(), r, v.AccessToken, v.JKT)
				}
				return verifier.Verify(t.Context(), r)
			}
			p, err := verify()
			require.NoError(t, err)
			require.Equal(t, v.JKT, p.Thumbprint())
			require.Equal(t, v.IAT, p.IssuedAt().Unix())
			_, err = verify()
			require.ErrorIs(t, err, dpop.ErrReplayed)
		})
	}
}

// refused is a proof that must be refused, where it differs from the good one.
type refused struct {
	Clause    string   `json:"clause"`
	Name      string   `json:"name"`
	Class     string   `json:"class"`
	Accept    []string `json:"accept"`     // other classes that are as good
	Header    string   `json:"header"`     // JSON
	Claims    string   `json:"claims"`     // JSON
	ClaimsHex string   `json:"claims_hex"` // what is not even UTF-8
	Fields    []string `json:"fields"`     // DPoP header fields, with $proof and its parts
	Signer    string   `json:"signer"`
	Resource  bool     `json:"resource"` // refused at a resource server only
}

type good struct {
	Header string          `json:"header"`
	Claims string          `json:"claims"`
	Key    json.RawMessage `json:"key"` // RFC 7515 A.3
}

var classes = map[string]error{
	"missing": dpop.ErrMissing, "malformed": dpop.ErrMalformed, "algorithm": dpop.ErrAlgorithm, "unusable-key": dpop.ErrKey,
	"method": dpop.ErrMethod, "url": dpop.ErrURL, "issued-at": dpop.ErrIssuedAt, "token-hash": dpop.ErrTokenHash,
	"binding": dpop.ErrBinding, "signature": dpop.ErrSignature,
}

func loadGood(t testing.TB) (good, crypto.Signer) {
	g := testkit.LoadVectors[good](t, "testdata/good.json")[0]
	key, _, err := jose.ParsePrivateKey(g.Key)
	require.NoError(t, err)
	return g, key
}

// fields returns the DPoP header fields of a vector.
func (v refused) fields(t *testing.T, g good, key crypto.Signer) []string {
	header, claims := g.Header, g.Claims
	if v.Header != "" {
		header = v.Header
	}
	if v.Claims != "" {
		claims = v.Claims
	}
	if v.ClaimsHex != "" {
		raw, err := hex.DecodeString(v.ClaimsHex)
		require.NoError(t, err)
		claims = string(raw)
	}
	if v.Signer == "other" {
		key = testkit.ECKey(t, "other")
	}
	proof := testkit.SignJWS(t, header, claims, key)
	unsigned, signature := proof[:strings.LastIndexByte(proof, '.')], proof[strings.LastIndexByte(proof, '.')+1:]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	require.NoError(t, err)
	switch v.Signer {
	case "asn1":
		digest := sha256.Sum256([]byte(unsigned))
		raw, err = key.Sign(rand.Reader, digest[:], crypto.SHA256)
		require.NoError(t, err)
	case "short":
		raw = raw[1:]
	case "zeros":
		clear(raw)
	}
	proof = unsigned + "." + base64.RawURLEncoding.EncodeToString(raw)
	fill := strings.NewReplacer("$proof", proof, "$PROOF", strings.ToUpper(proof), "$unsigned", unsigned, "$signature", signature)
	if v.Fields == nil {
		return []string{proof}
	}
	fields := slices.Clone(v.Fields)
	for i := range fields {
		fields[i] = fill.Replace(fields[i])
	}
	return fields
}

// TestRefused (CS-16) runs every vector through every entry point. The replay store must not be asked once.
func TestRefused(t *testing.T) {
	g, key := loadGood(t)
	store := &spy{}
	verifier, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.Replay = store })
	thumbprint := thumbprintOf(t, key)
	seen := map[string]bool{}
	for _, v := range testkit.LoadVectors[refused](t, "testdata/refused.json") {
		seen[v.Clause] = true
		t.Run(v.Clause+" "+v.Name, func(t *testing.T) {
			require.Contains(t, classes, v.Class)
			r := request(v.fields(t, g, key)...)
			bound := thumbprint
			if v.Signer == "foreign" {
				bound = thumbprintOf(t, testkit.ECKey(t, "other"))
			}
			entries := entryPoints(verifier, bound)
			for _, name := range []string{"CheckToken", "CheckTokenHash", "VerifyToken", "API", "Check", "Verify", "token endpoint"} {
				atResource := strings.Contains(name, "Token") || name == "API"
				if v.Resource && !atResource {
					continue
				}
				code, status, err := entries[name](r)
				if atResource {
					require.Equal(t, 401, status, name)
				} else {
					require.Equal(t, 400, status, name)
				}
				if err != nil {
					ok := errors.Is(err, classes[v.Class])
					for _, class := range v.Accept {
						ok = ok || errors.Is(err, classes[class])
					}
					require.True(t, ok, "%s: %v is not %s", name, err, v.Class)
				}
				want := "invalid_dpop_proof"
				if v.Class == "binding" {
					want = "invalid_token"
				}
				require.Equal(t, want, code, name)
			}
		})
	}
	require.Empty(t, store.keys, "CS-16: nothing is written for a request that is refused")
	for _, clause := range []string{
		"DPOP-4.3-1", "DPOP-4.3-2", "DPOP-4.3-3", "DPOP-4.3-4", "DPOP-4.3-5", "DPOP-4.3-6", "DPOP-4.3-7", "DPOP-4.3-8",
		"DPOP-4.3-9", "DPOP-4.3-11", "DPOP-4.3-12a", "DPOP-4.3-12b", "DPOP-11.1-3", "DPOP-11.1-4", "DPOP-11.5-1", "DPOP-11.6-1",
		"SP-5.3.2.1-13b", "CS-3", "CS-4",
	} {
		require.True(t, seen[clause], "no vector for %s", clause)
	}

	p, err := verifier.Verify(t.Context(), request(refused{}.fields(t, g, key)...))
	require.NoError(t, err, "what the vectors change is good")
	require.Equal(t, thumbprint, p.Thumbprint())
}

// entryPoints are all ways to have a proof checked. Each says what the client would be told.
func entryPoints(v *dpop.Verifier, thumbprint string) map[string]func(*http.Request) (code string, status int, err error) {
	direct := func(check func(*http.Request) (dpop.Proof, error)) func(*http.Request) (string, int, error) {
		return func(r *http.Request) (string, int, error) {
			p, err := check(r)
			if err == nil || p != (dpop.Proof{}) {
				return "", 200, err
			}
			var e interface {
				error
				OAuthError() (code, description string)
				HTTPStatus() int
			}
			if !errors.As(err, &e) {
				return "no wire form", 0, err
			}
			code, _ := e.OAuthError()
			return code, e.HTTPStatus(), err
		}
	}
	served := func(verify func(*http.Request) error) func(*http.Request) (string, int, error) {
		return func(r *http.Request) (string, int, error) {
			w := httptest.NewRecorder()
			if err := verify(r); err != nil {
				v.WriteError(w, err)
			}
			var body struct {
				Error string `json:"error"`
			}
			_ = json.Unmarshal(w.Body.Bytes(), &body)
			return body.Error, w.Code, nil
		}
	}
	verify := func(r *http.Request) (dpop.Proof, error) { return v.Verify(r.Context(), r) }
	verifyToken := func(r *http.Request) (dpop.Proof, error) {
		return v.VerifyToken(r.Context(), r, aToken, thumbprint)
	}
	return map[string]func(*http.Request) (string, int, error){
		"Check":      direct(v.Check),
		"Verify":     direct(verify),
		"CheckToken": direct(func(r *http.Request) (dpop.Proof, error) { return v.CheckToken(r, aToken, thumbprint) }),
		"CheckTokenHash": direct(func(r *http.Request) (dpop.Proof, error) {
			return v.CheckTokenHash(r, ath(aToken), thumbprint)
		}),
		"VerifyToken": direct(verifyToken),
		"token endpoint": served(func(r *http.Request) error {
			_, err := verify(r)
			return err
		}),
		"API": served(func(r *http.Request) error {
			_, err := verifyToken(r)
			return err
		}),
	}
}
