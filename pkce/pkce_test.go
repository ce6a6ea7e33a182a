package pkce_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/pkce"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

type vector struct {
	ID        string `json:"id"`
	Spec      string `json:"spec"`
	Verifier  string `json:"code_verifier"`
	Challenge string `json:"code_challenge"`
	Method    string `json:"code_challenge_method"`
}

func TestPublishedVectors(t *testing.T) {
	for _, v := range testkit.LoadVectors[vector](t, "testdata/rfc*.json") {
		t.Run("PKCE-4.2-1 PKCE-4.2-3 "+v.ID, func(t *testing.T) {
			got, err := pkce.Challenge(v.Verifier)
			require.NoError(t, err)
			require.Equal(t, v.Challenge, got)
			require.NoError(t, pkce.CheckRequest(v.Challenge, v.Method))
			require.NoError(t, pkce.Verify(v.Challenge, v.Verifier))
		})
	}
}

func TestCheckRequest(t *testing.T) {
	for _, tt := range []struct {
		name, challenge, method string
		want                    error
	}{
		{"PKCE-4.2-3 SP-5.3.2.2-5 S256 is accepted", challenge, "S256", nil},
		{"PKCE-4.4.1-1 SP-5.3.2.2-5 no challenge is refused", "", "S256", pkce.ErrChallengeMissing},
		{"PKCE-4.4.1-1 neither challenge nor method is refused", "", "", pkce.ErrChallengeMissing},
		{"PKCE-4.3-1 SP-5.3.2.2-5 an absent method means plain and is refused", challenge, "", pkce.ErrMethodUnsupported},
		{"PKCE-7.2-1 PKCE-4.2-2 SP-5.3.2.2-5 plain is refused", challenge, "plain", pkce.ErrMethodUnsupported},
		{"PKCE-4.4.1-2 s256 in lower case is refused", challenge, "s256", pkce.ErrMethodUnsupported},
		{"PKCE-4.4.1-2 S512 is refused", challenge, "S512", pkce.ErrMethodUnsupported},
		{"PKCE-4.4.1-2 a method with a space is refused", challenge, "S256 ", pkce.ErrMethodUnsupported},
		{"PKCE-4.2-4 a challenge of 42 characters is refused", challenge[1:], "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 a challenge of 44 characters is refused", "E" + challenge, "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 a challenge of 128 characters is refused", strings.Repeat("A", 128), "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 a challenge of 129 characters is refused", strings.Repeat("A", 129), "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 a challenge of 1 MiB is refused", strings.Repeat("A", 1<<20), "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 padding is refused", challenge + "=", "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 padding within 43 characters is refused", challenge[:42] + "=", "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 a newline is refused", challenge[:42] + "\n", "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 the standard base64 alphabet is refused", strings.ReplaceAll(challenge, "-", "+"), "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 an unreserved character outside base64url is refused", "." + challenge[1:], "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 a last character with surplus bits is refused", challenge[:42] + "N", "S256", pkce.ErrChallengeMalformed},
		{"PKCE-4.2-4 bytes outside ASCII are refused", challenge[:41] + "é", "S256", pkce.ErrChallengeMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := pkce.CheckRequest(tt.challenge, tt.method)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
			requireWire(t, err, "invalid_request")
		})
	}
}

func TestVerify(t *testing.T) {
	plain := strings.Repeat("v", 43)
	for _, tt := range []struct {
		name, challenge, verifier string
		want                      error
	}{
		{"PKCE-4.6-1 the verifier of the challenge is accepted", challenge, verifier, nil},
		{"CS-11 PKCE-4.6-1 another verifier is refused", challenge, verifier[:42] + "l", pkce.ErrVerifierMismatch},
		{"CS-11 a longer verifier is refused", challenge, verifier + "k", pkce.ErrVerifierMismatch},
		{"CS-11 a verifier in other case is refused", challenge, strings.ToLower(verifier), pkce.ErrVerifierMismatch},
		{"PKCE-4.5-1 BCP-2.1.1-3 a missing verifier is refused", challenge, "", pkce.ErrVerifierMissing},
		{"PKCE-4.5-1 a missing verifier is refused even without a challenge", "", "", pkce.ErrVerifierMissing},
		{"BCP-2.1.1-4 a verifier without a challenge is a downgrade", "", verifier, pkce.ErrVerifierUnexpected},
		{"BCP-2.1.1-4 even a malformed one", "", "x", pkce.ErrVerifierUnexpected},
		{"PKCE-7.2-1 equality as in plain is refused", plain, plain, pkce.ErrVerifierMismatch},
		{"PKCE-7.2-1 the challenge itself is refused", challenge, challenge, pkce.ErrVerifierMismatch},
		{"PKCE-4.6-1 a padded challenge matches nothing", challenge + "=", verifier, pkce.ErrVerifierMismatch},
		{"PKCE-4.6-1 a non-canonical challenge matches nothing", challenge[:42] + "N", verifier, pkce.ErrVerifierMismatch},
		{"PKCE-4.6-1 a prefix of the challenge matches nothing", challenge[:42], verifier, pkce.ErrVerifierMismatch},
		{"PKCE-4.1-1 a verifier of 42 characters is refused", challengeOf(verifier[:42]), verifier[:42], pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 a verifier of 128 characters is accepted", challengeOf(strings.Repeat("~", 128)), strings.Repeat("~", 128), nil},
		{"PKCE-4.1-1 a verifier of 129 characters is refused", challengeOf(strings.Repeat("a", 129)), strings.Repeat("a", 129), pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 a verifier of 1 MiB is refused", challengeOf(strings.Repeat("a", 1<<20)), strings.Repeat("a", 1<<20), pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 a space is refused", challengeOf(verifier + " "), verifier + " ", pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 a plus sign is refused", challengeOf("+" + verifier), "+" + verifier, pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 padding is refused", challengeOf(verifier + "="), verifier + "=", pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 a NUL is refused", challengeOf(verifier + "\x00"), verifier + "\x00", pkce.ErrVerifierMalformed},
		{"PKCE-4.1-1 bytes outside ASCII are refused", challengeOf(verifier + "é"), verifier + "é", pkce.ErrVerifierMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := pkce.Verify(tt.challenge, tt.verifier)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.want)
			requireWire(t, err, "invalid_grant")
			if len(tt.verifier) > 1 {
				require.NotContains(t, err.Error(), tt.verifier)
			}
		})
	}
}

func TestVerifierAlphabet(t *testing.T) {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	t.Run("PKCE-4.1-1 exactly the 66 unreserved characters are accepted, anywhere", func(t *testing.T) {
		for c := range 256 {
			for _, at := range []int{0, 20, 42} {
				v := verifier[:at] + string([]byte{byte(c)}) + verifier[at+1:]
				got, err := pkce.Challenge(v)
				if strings.IndexByte(unreserved, byte(c)) >= 0 {
					require.NoError(t, err)
					require.Equal(t, challengeOf(v), got)
				} else {
					require.ErrorIs(t, err, pkce.ErrVerifierMalformed)
					require.Empty(t, got)
				}
			}
		}
	})
}

func TestNewVerifier(t *testing.T) {
	t.Run("PKCE-4.1-2 BCP-2.1.1-2 every verifier is 32 fresh octets", func(t *testing.T) {
		seen := map[string]bool{}
		for range 1000 {
			v := pkce.NewVerifier()
			require.Len(t, v, 43)
			octets, err := base64.RawURLEncoding.Strict().DecodeString(v)
			require.NoError(t, err)
			require.Len(t, octets, 32)
			require.False(t, seen[v])
			seen[v] = true
			c, err := pkce.Challenge(v)
			require.NoError(t, err)
			require.NoError(t, pkce.CheckRequest(c, pkce.MethodS256))
			require.NoError(t, pkce.Verify(c, v))
		}
	})
}

func TestAgreesWithOAuth2(t *testing.T) {
	t.Run("SP-5.3.3.2-3 a client on x/oauth2 and a server on this package understand each other", func(t *testing.T) {
		v := oauth2.GenerateVerifier()
		c, err := pkce.Challenge(v)
		require.NoError(t, err)
		require.Equal(t, oauth2.S256ChallengeFromVerifier(v), c)
		require.NoError(t, pkce.Verify(oauth2.S256ChallengeFromVerifier(v), v))
	})
}

// requireWire checks what the peer gets to see.
func requireWire(t *testing.T, err error, code string) {
	t.Helper()
	gotCode, description, status := oautherr.From(err)
	require.Equal(t, code, gotCode)
	require.Equal(t, http.StatusBadRequest, status)
	require.NotEmpty(t, description)
}

// challengeOf computes a challenge without the checks of the package.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func FuzzVerify(f *testing.F) {
	f.Add(challenge, verifier, uint16(3))
	f.Add("", verifier, uint16(0))
	f.Add(challenge, "", uint16(0))
	f.Add(strings.Repeat("A", 43), strings.Repeat("~", 128), uint16(9))
	f.Fuzz(func(t *testing.T, c, v string, at uint16) {
		if err := pkce.Verify(c, v); err == nil {
			require.Equal(t, challengeOf(v), c)
			require.NoError(t, pkce.CheckRequest(c, "S256"))
		}
		own, err := pkce.Challenge(v)
		if err != nil {
			require.Empty(t, own)
			return
		}
		require.NoError(t, pkce.CheckRequest(own, "S256"))
		require.NoError(t, pkce.Verify(own, v))
		mutated := []byte(v)
		mutated[int(at)%len(v)] ^= byte(at>>8) | 1
		require.Error(t, pkce.Verify(own, string(mutated)))
		mutated = []byte(own)
		mutated[int(at)%len(own)] ^= byte(at>>8) | 1
		require.Error(t, pkce.Verify(string(mutated), v))
	})
}

func BenchmarkVerify(b *testing.B) {
	testkit.Benchmark(b, "pkce", func() bool { return pkce.Verify(challenge, verifier) == nil })
	octets := []byte(verifier)
	testkit.Benchmark(b, "bare-sha256", func() bool { sha256.Sum256(octets); return true })
}

// The client's and the server's half of one authorization.
func Example() {
	// Client: a verifier for this authorization request only.
	verifier := pkce.NewVerifier()
	challenge, err := pkce.Challenge(verifier)
	if err != nil {
		fmt.Println(err)
		return
	}

	// Authorization server, when the request comes in: keep the challenge with the code.
	if err := pkce.CheckRequest(challenge, pkce.MethodS256); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("request without method:", pkce.CheckRequest(challenge, ""))

	// Authorization server, when the code is redeemed.
	fmt.Println("owner:", pkce.Verify(challenge, verifier))
	fmt.Println("attacker:", pkce.Verify(challenge, pkce.NewVerifier()))

	// Output:
	// request without method: pkce: code_challenge_method not supported: absent, which means plain
	// owner: <nil>
	// attacker: pkce: code_verifier does not match
}
