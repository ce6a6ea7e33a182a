package jwt_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/testkit"
)

var (
	errMalformed = errors.New("malformed")
	errAlgorithm = errors.New("algorithm")
	errType      = errors.New("type")
	errSignature = errors.New("signature")
	errSource    = errors.New("source")
	all          = jwt.Errors{Malformed: errMalformed, Algorithm: errAlgorithm, Type: errType, Signature: errSignature, Unavailable: errSource}
)

func sign(t testing.TB, o jose.SignerOptions, payload string) string {
	t.Helper()
	return testkit.SignPayload(t, payload, o, testkit.ECKey(t, "signer"))
}

func TestOpen(t *testing.T) {
	own := jwt.Rules{MaxBytes: 500, MaxKeyID: 8, Algorithms: []string{"ES256"}, Type: "own+jwt", Errors: all}
	either, untyped, other, peer := own, own, own, own
	either.Untyped = true
	untyped.Untyped, untyped.Type = true, ""
	other.Algorithms = []string{"PS256"}
	peer.Peer = true
	typed := jose.SignerOptions{Type: "application/own+jwt"}
	for _, tc := range []struct {
		name  string
		rules jwt.Rules
		token string
		want  error
	}{
		{"the own type", own, sign(t, typed, `{}`), nil},
		{"no type where it is required", own, sign(t, jose.SignerOptions{}, `{}`), errType},
		{"the type JWT where the own is required", own, sign(t, jose.SignerOptions{Type: "JWT"}, `{}`), errType},
		{"the own type or none: the own", either, sign(t, typed, `{}`), nil},
		{"the own type or none: JWT", either, sign(t, jose.SignerOptions{Type: "jwt"}, `{}`), nil},
		{"the own type or none: none", either, sign(t, jose.SignerOptions{}, `{}`), nil},
		{"JWT-3.12-1 the own type or none: another", either, sign(t, jose.SignerOptions{Type: "at+jwt"}, `{}`), errType},
		{"no type exists: none", untyped, sign(t, jose.SignerOptions{}, `{}`), nil},
		{"JWT-3.12-1 no type exists: another", untyped, sign(t, typed, `{}`), errType},
		{"JWT-3.1-1 an algorithm that is not accepted", other, sign(t, typed, `{}`), errAlgorithm},
		{"CS-3 none", own, "eyJhbGciOiJub25lIn0.e30.", errAlgorithm},
		{"too long", own, sign(t, typed, `{"a":"`+strings.Repeat("x", 500)+`"}`), errMalformed},
		{"a long kid", own, sign(t, jose.SignerOptions{Type: "own+jwt", KeyID: "123456789"}, `{}`), errMalformed},
		{"a repeated claim", own, sign(t, typed, `{"iss":"a","iss":"a"}`), errMalformed},
		{"a repeated claim of a peer", peer, sign(t, typed, `{"iss":"a","iss":"a"}`), nil},
		{"no object", peer, sign(t, typed, `[]`), errMalformed},
		{"not a JWS", own, "x", errMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.rules.Open(tc.token)
			require.ErrorIs(t, err, tc.want)
			if tc.want != nil {
				require.Zero(t, got)
				return
			}
			key, err := got.Verify(t.Context(), func(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
				require.Equal(t, "ES256", alg)
				return []crypto.PublicKey{testkit.ECKey(t, "other").Public(), testkit.ECKey(t, "signer").Public()}, nil
			})
			require.NoError(t, err)
			require.True(t, jose.Equal(key, testkit.ECKey(t, "signer").Public()))
		})
	}
}

func TestVerify(t *testing.T) {
	rules := jwt.Rules{MaxBytes: 500, Algorithms: jose.Algorithms(), Untyped: true, Errors: all}
	got, err := rules.Open(sign(t, jose.SignerOptions{KeyID: "k"}, `{}`))
	require.NoError(t, err)
	require.False(t, got.Typed())
	down := errors.New("down")
	for name, tc := range map[string]struct {
		keys jwt.KeySource
		want []error
	}{
		"no key source":      {nil, []error{errSignature}},
		"no key":             {testkit.KeySource(), []error{errSignature}},
		"a key source fails": {testkit.KeyError(down), []error{errSource, down}},
		"another key":        {testkit.KeySource(testkit.ECKey(t, "other").Public()), []error{errSignature}},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := got.Verify(t.Context(), tc.keys)
			require.Nil(t, key)
			for _, want := range tc.want {
				require.ErrorIs(t, err, want)
			}
		})
	}
}

func TestAlgorithms(t *testing.T) {
	got, err := jwt.Algorithms(nil)
	require.NoError(t, err)
	require.Equal(t, jose.Algorithms(), got)
	configured := []string{"EdDSA"}
	got, err = jwt.Algorithms(configured)
	require.NoError(t, err)
	configured[0] = "none"
	require.Equal(t, []string{"EdDSA"}, got, "the list is copied")
	for _, wrong := range [][]string{{}, {"ES256", "RS256"}, {"none"}, {""}} {
		got, err := jwt.Algorithms(wrong)
		require.Error(t, err)
		require.Nil(t, got)
	}
}

func TestReader(t *testing.T) {
	o, err := strictjson.ParseObject(`{"s":"x","empty":"","n":7,"b":true,"o":{"a":1},"aud":["a","b"],"list":[{}],"mixed":[1],"null":null}`)
	require.NoError(t, err)
	r := jwt.Read(o, errMalformed)
	require.Equal(t, "x", r.String("s"))
	require.EqualValues(t, 7, r.Time("n").Unix())
	require.True(t, r.Bool("b"))
	require.Equal(t, []string{"a", "b"}, r.Audience())
	object := r.Object("o")
	require.True(t, object.Has("a"))
	require.Equal(t, json.RawMessage(`[{}]`), r.ObjectArray("list"))
	require.Nil(t, r.ObjectArray("null"))
	require.Nil(t, r.ObjectArray("absent"))
	value, present := r.OptionalString("empty")
	require.True(t, present && value == "")
	_, present = r.OptionalTime("null")
	require.False(t, present)
	require.NoError(t, r.Err())

	for name, read := range map[string]func(*jwt.Reader){
		"an empty string":             func(r *jwt.Reader) { r.String("empty") },
		"an absent string":            func(r *jwt.Reader) { r.String("absent") },
		"a string that is null":       func(r *jwt.Reader) { r.String("null") },
		"a number as a string":        func(r *jwt.Reader) { r.OptionalString("n") },
		"an absent date":              func(r *jwt.Reader) { r.Time("null") },
		"a string as a date":          func(r *jwt.Reader) { r.OptionalTime("s") },
		"an absent boolean":           func(r *jwt.Reader) { r.Bool("absent") },
		"a number as a boolean":       func(r *jwt.Reader) { r.Bool("n") },
		"an absent object":            func(r *jwt.Reader) { r.Object("absent") },
		"an array as an object":       func(r *jwt.Reader) { r.Object("list") },
		"an array of numbers":         func(r *jwt.Reader) { r.ObjectArray("mixed") },
		"a null that is not accepted": func(r *jwt.Reader) { r.RejectNull("null") },
		"an error of the caller":      func(r *jwt.Reader) { r.Fail("reason %d", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := jwt.Read(o, errMalformed)
			read(&r)
			first := r.Err()
			require.ErrorIs(t, first, errMalformed)
			require.Empty(t, r.String("s"), "after an error nothing is read")
			require.Zero(t, r.Time("n"))
			require.False(t, r.Bool("b"))
			require.Nil(t, r.Audience())
			require.Empty(t, r.Object("absent").Names())
			require.Nil(t, r.ObjectArray("list"))
			r.Fail("another")
			r.RejectNull("null")
			require.Equal(t, first, r.Err(), "the first error is kept")
		})
	}
	for _, aud := range []string{`{}`, `{"aud":[]}`, `{"aud":null}`, `{"aud":1}`, `{"aud":["a",1]}`} {
		o, err := strictjson.ParseObject(aud)
		require.NoError(t, err)
		r := jwt.Read(o, errMalformed)
		require.Empty(t, r.Audience())
		require.ErrorIs(t, r.Err(), errMalformed, aud)
	}
}

func TestConfirmation(t *testing.T) {
	x := strings.Repeat("x", 43)
	for cnf, ok := range map[string]bool{
		`{"cnf":{"jkt":"` + x + `"}}`:                        true,
		`{"cnf":{"x5t#S256":"` + x + `"}}`:                   true,
		`{"cnf":{"jkt":"` + x + `","x5t#S256":"` + x + `"}}`: true,
		`{"cnf":{"jkt":"` + x + `","x5t#S256":null}}`:        false,
		`{"cnf":{"jkt":"` + x + `","x5t#S256":""}}`:          false,
		`{"cnf":{"jkt":"` + x[1:] + `="}}`:                   false,
		`{"cnf":{"jwk":{}}}`:                                 false,
		`{"cnf":{}}`:                                         false,
		`{"cnf":null}`:                                       false,
		`{"cnf":"x"}`:                                        false,
	} {
		for _, bearer := range []bool{false, true} {
			o, err := strictjson.ParseObject(cnf)
			require.NoError(t, err)
			got, err := jwt.ReadConfirmation(o, errType, bearer)
			if ok {
				require.NoError(t, err)
				require.NoError(t, got.Check(false))
				continue
			}
			require.ErrorIs(t, err, errType, cnf)
			require.Zero(t, got)
		}
	}
	none, err := strictjson.ParseObject(`{}`)
	require.NoError(t, err)
	_, err = jwt.ReadConfirmation(none, errType, false)
	require.ErrorIs(t, err, errType)
	got, err := jwt.ReadConfirmation(none, errType, true)
	require.NoError(t, err)
	require.NoError(t, got.Check(true))
	require.Error(t, got.Check(false), "SP-5.3.4-5")
}

func TestEncode(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		extra      map[string]any
	}{
		{"no extra claims", `{"iss":"https://a?b&c"}`, nil},
		{"extra claims at the end", `{"iss":"https://a?b&c","x":1}`, map[string]any{"x": 1}},
		{"a reserved name", "", map[string]any{"CNF": 1}},
		{"names that differ by case", "", map[string]any{"a": 1, "A": 1}},
		{"a value that is not JSON", "", map[string]any{"a": func() {}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w strictjson.Writer
			w.String("iss", "https://a?b&c")
			got, err := jwt.Encode(&w, tc.extra, []string{"iss", "cnf"})
			require.Equal(t, tc.want == "", err != nil)
			if err == nil {
				require.Equal(t, tc.want, string(got))
			}
		})
	}
}

func TestWriteClaims(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		write      func(*strictjson.Writer)
	}{
		{"one audience", `{"aud":"a"}`, func(w *strictjson.Writer) { jwt.WriteAudience(w, []string{"a"}) }},
		{"two audiences", `{"aud":["a","b"]}`, func(w *strictjson.Writer) { jwt.WriteAudience(w, []string{"a", "b"}) }},
		{"a time", `{"nbf":7}`, func(w *strictjson.Writer) { jwt.WriteTime(w, "nbf", time.Unix(7, 5)) }},
		{"no time", `{}`, func(w *strictjson.Writer) { jwt.WriteTime(w, "nbf", time.Time{}) }},
		{"an array with white space", `{"a":[{"b c":" "}]}`, func(w *strictjson.Writer) { jwt.WriteArray(w, "a", []byte(" [ {\"b c\" : \" \"}\n]")) }},
		{"no array", `{}`, func(w *strictjson.Writer) { jwt.WriteArray(w, "a", nil) }},
		{"DPOP-6.1-1 a key", `{"cnf":{"jkt":"k"}}`, jwt.Confirmation{JKT: "k"}.Write},
		{"MTLS-3.1-1 a key and a certificate", `{"cnf":{"jkt":"k","x5t#S256":"c"}}`, jwt.Confirmation{JKT: "k", X5TS256: "c"}.Write},
		{"no binding", `{}`, jwt.Confirmation{}.Write},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w strictjson.Writer
			tc.write(&w)
			require.Equal(t, tc.want, string(w.Bytes()))
		})
	}
}

func TestNewSigner(t *testing.T) {
	key := testkit.ECKey(t, "signer")
	s, err := jwt.NewSigner(key, jose.SignerOptions{})
	require.NoError(t, err)
	require.Equal(t, s.Thumbprint(), s.KeyID())
	s, err = jwt.NewSigner(key, jose.SignerOptions{KeyID: "k"})
	require.NoError(t, err)
	require.Equal(t, "k", s.KeyID())
	for _, o := range []jose.SignerOptions{{Algorithm: "PS256"}, {Algorithm: "RS256"}, {KeyID: "\xff"}} {
		_, err := jwt.NewSigner(key, o)
		require.Error(t, err)
	}
	_, err = jwt.NewSigner(nil, jose.SignerOptions{})
	require.Error(t, err)
}

func TestUTF8(t *testing.T) {
	require.True(t, jwt.UTF8("ä", ""))
	require.False(t, jwt.UTF8("\xc3", "\xa4"), "JWT-3.7-1 two halves are not a character")
}

func TestIsObjectArray(t *testing.T) {
	for s, ok := range map[string]bool{`[]`: true, `[{}]`: true, `[1]`: false, `{}`: false, `null`: false, `[{"a":1,"a":1}]`: false, ``: false} {
		require.Equal(t, ok, jwt.IsObjectArray(json.RawMessage(s)), s)
	}
}

// Only the headers of verified tokens are kept, and a known header is checked by
// the rules like any other.
func TestHeaders(t *testing.T) {
	rules := jwt.Rules{MaxBytes: 4000, Algorithms: []string{"ES256"}, Untyped: true, Headers: jwt.NewHeaders(), Errors: all}
	token := sign(t, jose.SignerOptions{KeyID: "k"}, `{}`)
	header, _, _ := strings.Cut(token, ".")
	keys := func(name string) jwt.KeySource {
		return func(_ context.Context, kid, _ string) ([]crypto.PublicKey, error) {
			require.Equal(t, "k", kid)
			return []crypto.PublicKey{testkit.ECKey(t, name).Public()}, nil
		}
	}
	open := func(rules jwt.Rules, keys jwt.KeySource) error {
		opened, err := rules.Open(token)
		require.NoError(t, err)
		_, err = opened.Verify(t.Context(), keys)
		return err
	}
	require.ErrorIs(t, open(rules, keys("stranger")), errSignature)
	_, known := rules.Headers.Get(header)
	require.False(t, known, "an attacker could displace the headers of others")
	for range 2 {
		require.NoError(t, open(rules, keys("signer")))
		_, known = rules.Headers.Get(header)
		require.True(t, known)
	}
	require.ErrorIs(t, open(rules, keys("stranger")), errSignature, "a known header verifies nothing")

	for want, change := range map[error]func(*jwt.Rules){
		errAlgorithm: func(r *jwt.Rules) { r.Algorithms = []string{"PS256"} },
		errType:      func(r *jwt.Rules) { r.Type, r.Untyped = "own+jwt", false },
	} {
		stricter := rules
		change(&stricter)
		_, err := stricter.Open(token)
		require.ErrorIs(t, err, want)
	}
}
