package client_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	signed "github.com/gofapi/fapi2/message"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/stretchr/testify/require"
)

// The table of optional members: every parser that reads a JSON object of a peer,
// every member that it knows, every kind of value. The rule that it holds is in
// the documentation of internal/strictjson. Parsers that read the same member
// have the same row, unless a comment says why not.

// memberValues are the columns of a row.
var memberValues = []struct{ name, raw string }{
	{"null", `null`}, {"a string", `"x"`}, {"a number", `7`}, {"a boolean", `true`}, {"an array of strings", `["x"]`},
	{"a mixed array", `["x",1,null]`}, {"an object", `{"a":1}`}, {"an empty string", `""`}, {"an empty array", `[]`}, {"an empty object", `{}`},
}

// What is expected of a value, a letter for each column.
const (
	memberAbsent  = 'a' // the document is accepted as if the member were absent
	memberDropped = 'd' // the same, and Dropped has the name
	memberValue   = 'v' // the document is accepted with the value
	memberRefused = 'x' // the document is rejected with the error of the row
	memberDiffers = '!' // the document is rejected with another error: the value is not the expected one
)

// Rows that several parsers share.
const (
	rowIssuer      = "x!xxxxxxxx"
	rowIdentifier  = "xvxxxxxxxx" // required
	rowAudience    = "x!xx!xx!xx"
	rowPast        = "xx!xxxxxxx" // 1970 is too long ago
	rowAnyPast     = "xxvxxxxxxx"
	rowNotBefore   = "axvxxxxxxx"
	rowText        = "avxxxxxvxx" // optional and strict
	rowLenientText = "avdddddvdd"
	rowLenientDate = "advddddddd"
	rowLenientList = "adddvdddvd"
	rowDetails     = "axxxxxxxvx"
	rowRefused     = "xxxxxxxxxx" // whatever it is
	rowAny         = "vvvvvvvvvv" // the parser does not look at it
)

type memberRow struct {
	member, want string
	err          error // nil: the parser's
}

type memberParser struct {
	name     string
	file     string // in which it reads the object
	document map[string]any
	err      error
	rows     []memberRow
	parse    func(t testing.TB, document []byte) (dropped []string, err error)
}

var (
	memberNow = time.Unix(1_800_000_000, 0)
	anyTime   = func() time.Time { return memberNow }
)

const (
	memberAS    = "https://as.example.com"
	memberID    = "client-1"
	memberToken = "an-access-token"
)

func memberKeys(t testing.TB) func(context.Context, string, string) ([]crypto.PublicKey, error) {
	return func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{testkit.Ed25519Key(t, "members").Public()}, nil
	}
}

// memberJWS signs any header and payload.
func memberJWS(t testing.TB, header, payload []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	signed := enc(header) + "." + enc(payload)
	return signed + "." + enc(ed25519.Sign(testkit.Ed25519Key(t, "members"), []byte(signed)))
}

func memberHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// replying is an HTTP client whose requests all get one response.
func replying(status int, mediaType, body string) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {mediaType}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})}
}

// A memberVerifier is a kind of JWT: its header, its claims and what verifies it.
type memberVerifier struct {
	name, file, typ string
	malformed       error
	algorithm, kind error
	claims          map[string]any
	verify          func(t testing.TB, token, alg string) (dropped []string, err error)
}

var memberJKT = strings.Repeat("A", 43)

func idTokenMembers(name string, expected idtoken.Expected) memberVerifier {
	return memberVerifier{
		name, "idtoken/verifier.go", "", idtoken.ErrMalformed, idtoken.ErrAlgorithm, idtoken.ErrType,
		map[string]any{"iss": memberAS, "sub": "alice", "aud": memberID, "exp": memberNow.Unix() + 60, "iat": memberNow.Unix(), "nonce": "n",
			"azp": memberID, "acr": "gold", "amr": []string{"pwd"}, "auth_time": memberNow.Unix(), "at_hash": leftHalfOf(memberToken)},
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := idtoken.NewVerifier(idtoken.VerifierConfig{
				Issuer: memberAS, ClientID: memberID, Keys: memberKeys(t), Algorithms: algorithmsOf(alg), Now: anyTime,
			})
			require.NoError(t, err)
			expected.Nonce = "n"
			got, err := v.Verify(t.Context(), token, expected)
			if err != nil {
				require.Nil(t, got)
				return nil, err
			}
			return got.Dropped(), nil
		}}
}

func userInfoMembers() memberVerifier {
	return memberVerifier{
		"signed UserInfo response", "idtoken/userinfo.go", "", idtoken.ErrMalformed, idtoken.ErrAlgorithm, idtoken.ErrType,
		map[string]any{"iss": memberAS, "sub": "alice", "aud": memberID, "exp": memberNow.Unix() + 60, "iat": memberNow.Unix(), "email": "a@b"},
		func(t testing.TB, token, alg string) ([]string, error) {
			return nil, verifyUserInfo(t, "application/jwt", token, alg)
		}}
}

func verifyUserInfo(t testing.TB, mediaType, body, alg string) error {
	v, err := idtoken.NewVerifier(idtoken.VerifierConfig{
		Issuer: memberAS, ClientID: memberID, Keys: memberKeys(t), Algorithms: algorithmsOf(alg), Now: anyTime,
	})
	require.NoError(t, err)
	got, err := v.VerifyUserInfo(t.Context(), mediaType, []byte(body), "alice")
	require.Equal(t, err != nil, got == nil)
	return err
}

// leftHalfOf is the at_hash for EdDSA.
func leftHalfOf(token string) string {
	sum := crypto.SHA512.New()
	sum.Write([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:32])
}

func algorithmsOf(alg string) []string {
	if alg == "" {
		return nil
	}
	return []string{alg}
}

func accessTokenMembers(name string, bearer bool) memberVerifier {
	return memberVerifier{
		name, "accesstoken/verifier.go", "at+jwt", accesstoken.ErrMalformed, accesstoken.ErrAlgorithm, accesstoken.ErrType,
		map[string]any{"iss": memberAS, "sub": "alice", "aud": "https://api", "client_id": memberID, "jti": "1", "exp": memberNow.Unix() + 60,
			"iat": memberNow.Unix(), "nbf": memberNow.Unix(), "scope": "a", "acr": "gold", "amr": []string{"pwd"}, "auth_time": memberNow.Unix(),
			"grant_id": "g", "authorization_details": []any{}, "cnf": map[string]any{"jkt": memberJKT}},
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{
				Issuer: memberAS, Audience: []string{"https://api"}, Keys: memberKeys(t), Algorithms: algorithmsOf(alg), Now: anyTime, InsecureAllowBearer: bearer,
			})
			require.NoError(t, err)
			got, err := v.Verify(t.Context(), token)
			if err != nil {
				require.Nil(t, got)
				return nil, err
			}
			return got.Dropped(), nil
		}}
}

func introspect(t testing.TB, mediaType, body, alg string, change func(*introspection.ClientConfig)) ([]string, error) {
	cfg := introspection.ClientConfig{
		Endpoint: memberAS + "/introspect", Issuer: memberAS, ClientID: "https://api", Audience: []string{"https://api"}, Keys: memberKeys(t),
		Algorithms: algorithmsOf(alg), HTTPClient: replying(200, mediaType, body), Now: anyTime,
	}
	if change != nil {
		change(&cfg)
	}
	c, err := introspection.NewClient(cfg)
	require.NoError(t, err)
	got, err := c.Introspect(t.Context(), memberToken)
	if err != nil {
		require.Nil(t, got)
		return nil, err
	}
	return got.Dropped(), nil
}

func introspectionMembers() map[string]any {
	return map[string]any{"active": true, "iss": memberAS, "sub": "alice", "aud": "https://api", "client_id": memberID, "jti": "1", "exp": memberNow.Unix() + 60,
		"iat": memberNow.Unix(), "nbf": memberNow.Unix(), "scope": "a", "acr": "gold", "amr": []string{"pwd"}, "auth_time": memberNow.Unix(),
		"grant_id": "g", "authorization_details": []any{}, "cnf": map[string]any{"jkt": memberJKT}, "token_type": "DPoP", "username": "Alice"}
}

func jarMembers() memberVerifier {
	claims := map[string]any{"iss": memberID, "aud": memberAS, "client_id": memberID, "nbf": memberNow.Unix(), "exp": memberNow.Unix() + 60,
		"iat": memberNow.Unix(), "jti": "1", "sub": "alice", "max_age": 60, "resource": "https://api", "authorization_details": []any{}, "claims": map[string]any{}}
	for _, name := range jarTexts {
		claims[name] = "x"
	}
	return memberVerifier{
		"request object", "jar/request.go", "oauth-authz-req+jwt", jar.ErrMalformed, jar.ErrAlgorithm, jar.ErrType, claims,
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := jar.NewVerifier(jar.VerifierConfig{Issuer: memberAS, Now: anyTime})
			require.NoError(t, err)
			got, err := v.Verify(t.Context(), jar.Client{ID: memberID, Algorithm: alg, Keys: memberKeys(t)}, url.Values{"request": {token}})
			return got.Dropped(), err
		}}
}

var jarTexts = []string{"response_type", "response_mode", "redirect_uri", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "dpop_jkt", "display", "prompt", "ui_locales", "claims_locales", "id_token_hint", "login_hint", "acr_values"}

func assertionMembers() memberVerifier {
	return memberVerifier{
		"client assertion", "clientauth/assertion.go", "", clientauth.ErrMalformed, clientauth.ErrAlgorithm, clientauth.ErrMalformed,
		map[string]any{"iss": memberID, "sub": memberID, "aud": memberAS, "jti": "1", "exp": memberNow.Unix() + 60, "iat": memberNow.Unix(), "nbf": memberNow.Unix()},
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := clientauth.NewVerifier(clientauth.VerifierConfig{
				Issuer: memberAS, Now: anyTime, Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
					return clientauth.Client{ID: id, Algorithm: alg, Keys: memberKeys(t)}, nil
				},
			})
			require.NoError(t, err)
			_, err = v.Verify(t.Context(), clientauth.Credentials{Form: url.Values{
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token},
			}})
			return nil, err
		}}
}

func proofMembers(t testing.TB) memberVerifier {
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: [][]byte{make([]byte, 32)}, Now: anyTime})
	require.NoError(t, err)
	return memberVerifier{
		"DPoP proof", "dpop/proof.go", "dpop+jwt", dpop.ErrMalformed, dpop.ErrAlgorithm, dpop.ErrMalformed,
		map[string]any{"jti": "1", "htm": "GET", "htu": "https://api.example.com/", "iat": memberNow.Unix(), "ath": memberHash(memberToken), "nonce": nonces.Nonce()},
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{"https://api.example.com"}, Nonces: nonces, Algorithms: algorithmsOf(alg), Now: anyTime})
			require.NoError(t, err)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("DPoP", token)
			thumbprint, err := jose.Thumbprint(testkit.Ed25519Key(t, "members").Public())
			require.NoError(t, err)
			_, err = v.VerifyToken(t.Context(), r, memberToken, thumbprint)
			return nil, err
		}}
}

func responseMembers(name string, outcome map[string]any) memberVerifier {
	claims := map[string]any{"iss": memberAS, "aud": memberID, "exp": memberNow.Unix() + 60, "nbf": memberNow.Unix(), "state": "s"}
	maps.Copy(claims, outcome)
	return memberVerifier{
		name, "jarm/verifier.go", "", jarm.ErrMalformed, jarm.ErrAlgorithm, jarm.ErrType, claims,
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := jarm.NewVerifier(jarm.VerifierConfig{Issuer: memberAS, ClientID: memberID, Keys: memberKeys(t), Algorithms: algorithmsOf(alg), Now: anyTime})
			require.NoError(t, err)
			got, err := v.Verify(t.Context(), token)
			if err != nil {
				require.Nil(t, got)
				return nil, err
			}
			return got.Dropped(), nil
		}}
}

func signedIntrospection() memberVerifier {
	return memberVerifier{
		"signed introspection response", "introspection/verify.go", "token-introspection+jwt", introspection.ErrMalformed, introspection.ErrAlgorithm, introspection.ErrType,
		map[string]any{"iss": memberAS, "aud": "https://api", "iat": memberNow.Unix(), "exp": memberNow.Unix() + 60, "nbf": memberNow.Unix(), "token_introspection": introspectionMembers()},
		func(t testing.TB, token, alg string) ([]string, error) {
			return introspect(t, "application/token-introspection+jwt", token, alg, nil)
		}}
}

func messageMembers() memberVerifier {
	return memberVerifier{
		"application message", "message/verifier.go", "", signed.ErrMalformed, signed.ErrAlgorithm, signed.ErrType,
		map[string]any{"iss": memberAS, "aud": "https://api", "iat": memberNow.Unix(), "exp": memberNow.Unix() + 60, "nbf": memberNow.Unix(), "jti": "1"},
		func(t testing.TB, token, alg string) ([]string, error) {
			v, err := signed.NewVerifier(signed.VerifierConfig{
				Issuer: memberAS, Audience: []string{"https://api"}, Keys: memberKeys(t), Algorithms: algorithmsOf(alg), Now: anyTime,
			})
			require.NoError(t, err)
			got, err := v.Verify(t.Context(), token)
			require.Equal(t, err == nil, got != nil)
			return nil, err
		}}
}

// memberVerifiers are all kinds of JWT.
func memberVerifiers(t testing.TB) []memberVerifier {
	return []memberVerifier{
		idTokenMembers("ID token", idtoken.Expected{}), userInfoMembers(), accessTokenMembers("access token", false), signedIntrospection(), jarMembers(),
		assertionMembers(), proofMembers(t), responseMembers("authorization response", map[string]any{"code": "c"}),
		messageMembers(),
	}
}

// header returns a header for alg with changes.
func (k memberVerifier) header(t testing.TB, alg string, changes map[string]any) []byte {
	h := map[string]any{"alg": alg}
	if k.typ != "" {
		h["typ"] = k.typ
	}
	if k.file == "dpop/proof.go" {
		jwk, err := (&jose.Key{Public: testkit.Ed25519Key(t, "members").Public()}).MarshalJSON()
		require.NoError(t, err)
		h["jwk"] = json.RawMessage(jwk)
	}
	maps.Copy(h, changes)
	raw, err := json.Marshal(h)
	require.NoError(t, err)
	return raw
}

// payload is the parser of the claims.
func (k memberVerifier) payload(err error, rows ...memberRow) memberParser {
	return memberParser{k.name, k.file, k.claims, err, rows, func(t testing.TB, document []byte) ([]string, error) {
		return k.verify(t, memberJWS(t, k.header(t, jose.EdDSA, nil), document), "")
	}}
}

// head is the parser of the header.
func (k memberVerifier) head(t testing.TB) memberParser {
	rows := []memberRow{
		{"alg", "xx!!!!!x!!", k.algorithm}, {"kid", rowText, nil}, {"crit", rowRefused, nil}, {"b64", rowRefused, nil},
		{"x5c", rowAny, nil}, {"jku", rowAny, nil}, {"cty", rowAny, nil},
	}
	typ := memberRow{"typ", "x!xxxxx!xx", nil}
	if k.typ == "" || k.kind == jar.ErrType { // an untyped JWT is accepted, and an empty typ is none
		typ.want = "x!xxxxxvxx"
	}
	if k.kind == k.malformed {
		typ.want = strings.ReplaceAll(typ.want, "!", "x")
	}
	var header map[string]any
	require.NoError(t, json.Unmarshal(k.header(t, jose.EdDSA, nil), &header))
	if _, embedded := header["jwk"]; embedded {
		rows = append(rows, memberRow{"jwk", rowRefused, dpop.ErrKey})
	}
	return memberParser{"header of " + k.name, "internal/jose/compact.go", header, k.malformed, append(rows, typ), func(t testing.TB, document []byte) ([]string, error) {
		claims, err := json.Marshal(k.claims)
		require.NoError(t, err)
		return k.verify(t, memberJWS(t, document, claims), "")
	}}
}

func idTokenRows(rows ...memberRow) []memberRow {
	return append(rows, []memberRow{
		{"iss", rowIssuer, nil}, {"sub", rowIdentifier, nil}, {"aud", rowAudience, nil}, {"exp", rowPast, nil}, {"iat", rowPast, nil},
		{"nonce", "!!xxxxxxxx", nil}, {"azp", "a!xxxxxxxx", nil}, {"events", rowRefused, idtoken.ErrType}, {"x_own", rowAny, nil},
	}...)
}

func tokenRows(rows ...memberRow) []memberRow {
	return append(rows, []memberRow{
		{"scope", rowText, nil}, {"grant_id", rowText, nil}, {"authorization_details", rowDetails, nil}, {"nbf", rowNotBefore, nil},
		{"acr", rowLenientText, nil}, {"amr", rowLenientList, nil}, {"auth_time", rowLenientDate, nil}, {"x_own", rowAny, nil},
	}...)
}

func memberParsers(t testing.TB) []memberParser {
	demanding := idtoken.Expected{MaxAge: time.Minute, ACRValues: []string{"gold"}, AccessToken: memberToken}
	accessRows := tokenRows(
		memberRow{"iss", rowIssuer, nil}, memberRow{"sub", rowIdentifier, nil}, memberRow{"client_id", rowIdentifier, nil}, memberRow{"jti", rowIdentifier, nil},
		memberRow{"aud", rowAudience, nil}, memberRow{"exp", rowPast, nil}, memberRow{"iat", rowAnyPast, nil}, memberRow{"cnf", rowRefused, accesstoken.ErrConfirmation})
	parsers := []memberParser{
		idTokenMembers("ID token", idtoken.Expected{}).payload(idtoken.ErrClaims, idTokenRows(
			memberRow{"acr", rowLenientText, nil}, memberRow{"amr", rowLenientList, nil}, memberRow{"auth_time", rowLenientDate, nil}, memberRow{"at_hash", rowLenientText, nil})...),
		// What is demanded counts as absent too if it is of another type, and is missing then.
		idTokenMembers("ID token with demands", demanding).payload(idtoken.ErrClaims, idTokenRows(
			memberRow{"acr", rowRefused, idtoken.ErrAuthentication}, memberRow{"amr", rowLenientList, nil}, memberRow{"auth_time", rowRefused, idtoken.ErrAuthentication},
			memberRow{"at_hash", "a!xxxxx!xx", nil})...),
		userInfoMembers().payload(idtoken.ErrClaims,
			memberRow{"iss", rowIssuer, nil}, memberRow{"sub", "x!xxxxxxxx", nil}, memberRow{"aud", rowAudience, nil}, memberRow{"exp", "ax!xxxxxxx", nil},
			memberRow{"iat", rowAny, nil}, memberRow{"nonce", rowRefused, idtoken.ErrType}, memberRow{"email", rowAny, nil}),
		{"UserInfo response", "idtoken/userinfo.go", map[string]any{"sub": "alice", "iss": memberAS, "aud": memberID, "exp": 1, "nonce": "x"}, idtoken.ErrClaims, []memberRow{
			{"sub", "x!xxxxxxxx", nil}, {"iss", rowAny, nil}, {"aud", rowAny, nil}, {"exp", rowAny, nil}, {"nonce", rowAny, nil}, {"email", rowAny, nil},
		}, func(t testing.TB, document []byte) ([]string, error) {
			return nil, verifyUserInfo(t, "application/json", string(document), "")
		}},
		accessTokenMembers("access token", false).payload(accesstoken.ErrClaims, accessRows...),
		accessTokenMembers("bearer token", true).payload(accesstoken.ErrClaims, accessRows...),
		signedIntrospection().payload(introspection.ErrClaims,
			memberRow{"iss", rowIssuer, nil}, memberRow{"aud", rowAudience, nil}, memberRow{"iat", rowPast, nil}, memberRow{"exp", rowPast, nil},
			memberRow{"nbf", rowNotBefore, nil}, memberRow{"token_introspection", rowRefused, nil}, memberRow{"x_own", rowAny, nil}),
		messageMembers().payload(signed.ErrClaims,
			memberRow{"iss", rowIssuer, nil}, memberRow{"aud", rowAudience, nil}, memberRow{"iat", rowPast, nil}, memberRow{"exp", rowPast, nil},
			memberRow{"nbf", rowNotBefore, nil}, memberRow{"jti", rowIdentifier, nil}, memberRow{"x_own", rowAny, nil}),
		jarMembers().payload(jar.ErrParameter, jarRows()...),
		assertionMembers().payload(clientauth.ErrMalformed,
			memberRow{"iss", rowIssuer, nil}, memberRow{"sub", "x!xxxxx!xx", nil},
			memberRow{"aud", "!xxxxxxxxx", clientauth.ErrAudience}, // SP-5.3.2.1-8: a string and not an array
			memberRow{"jti", rowIdentifier, nil}, memberRow{"exp", rowPast, nil}, memberRow{"iat", "ax!xxxxxxx", nil}, memberRow{"nbf", rowNotBefore, nil},
			memberRow{"htm", rowRefused, nil}, memberRow{"response_type", rowRefused, nil}, memberRow{"x_own", rowAny, nil}),
		proofMembers(t).payload(dpop.ErrMalformed,
			memberRow{"jti", rowIdentifier, nil}, memberRow{"htm", "x!xxxxxxxx", nil}, memberRow{"htu", "x!xxxxxxxx", nil}, memberRow{"iat", rowPast, nil},
			memberRow{"ath", rowRefused, dpop.ErrTokenHash}, memberRow{"nonce", "!!xxxxx!xx", nil}, memberRow{"exp", rowAny, nil}, memberRow{"x_own", rowAny, nil}),
		responseMembers("authorization response", map[string]any{"code": "c"}).payload(jarm.ErrClaims, jarmRows(
			memberRow{"code", rowIdentifier, jarm.ErrParameters}, memberRow{"error", "axxxxxxvxx", jarm.ErrParameters})...),
		responseMembers("authorization error", map[string]any{"error": "access_denied", "error_description": "no", "error_uri": "https://as"}).payload(jarm.ErrClaims, jarmRows(
			memberRow{"error", rowIdentifier, jarm.ErrParameters}, memberRow{"code", "axxxxxxvxx", jarm.ErrParameters})...),
	}
	for _, k := range memberVerifiers(t) {
		parsers = append(parsers, k.head(t))
	}
	return append(append(parsers, plainParsers()...), tokenResponseMembers(t), metadataMembers())
}

func jarRows() []memberRow {
	rows := []memberRow{
		{"iss", "a!xxxxx!xx", jar.ErrClaims}, {"client_id", "x!xxxxx!xx", jar.ErrClaims}, {"aud", rowAudience, jar.ErrClaims}, {"nbf", rowPast, jar.ErrClaims},
		{"exp", rowPast, jar.ErrClaims}, {"iat", rowNotBefore, jar.ErrClaims}, {"jti", "avxxxxxxxx", jar.ErrClaims}, {"sub", rowText, jar.ErrClaims},
		{"max_age", "axvxxxxxxx", nil}, {"resource", "avxxvxxvvx", nil}, {"x_own", rowLenientText, nil},
		{"authorization_details", "axxxvvxvvx", nil}, {"claims", "axxxxxvvxv", nil}, // a string is read as in a form
		{"request", rowRefused, jar.ErrNested}, {"request_uri", rowRefused, jar.ErrNested}, {"client_assertion", rowRefused, jar.ErrCredentials},
	}
	for _, name := range jarTexts {
		rows = append(rows, memberRow{name, rowText, nil})
	}
	return rows
}

func jarmRows(rows ...memberRow) []memberRow {
	return append(rows, []memberRow{
		{"iss", rowIssuer, nil}, {"aud", rowAudience, nil}, {"exp", rowPast, nil}, {"nbf", rowNotBefore, nil}, {"state", rowText, jarm.ErrParameters},
		// JARM-2.1-4: a number is a parameter.
		{"error_description", "avvddddvdd", nil}, {"error_uri", "avvddddvdd", nil}, {"x_own", "avvddddvdd", nil},
		{"sub", rowRefused, jarm.ErrType}, {"events", rowRefused, jarm.ErrType}, {"token_introspection", rowRefused, jarm.ErrType},
	}...)
}

// tokenResponseMembers: the refresh token has been spent when the response comes,
// and the client decides nothing by an optional member. What it cannot read is in
// oauth2.Token.Extra.
func tokenResponseMembers(t testing.TB) memberParser {
	p := newPeer(t)
	app := p.client()
	const absent = "aaaaaaaaaa"
	return memberParser{"token response", "profile/clienttoken.go",
		map[string]any{"access_token": "at", "token_type": "DPoP", "expires_in": 60, "refresh_token": "rt", "scope": "a", "authorization_details": []any{}},
		client.ErrTokenResponse, []memberRow{
			{"access_token", rowIdentifier, nil}, {"token_type", rowRefused, nil}, {"expires_in", absent, nil}, {"refresh_token", absent, nil},
			{"scope", absent, nil}, {"authorization_details", absent, nil}, {"x_own", rowAny, nil},
		}, func(t testing.TB, document []byte) ([]string, error) {
			p.token = func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, string(document)) }
			_, err := app.Refresh(t.Context(), "rt", client.Request{})
			return nil, err
		}}
}

// metadataMembers: each member of the Go type, in the row of its kind.
func metadataMembers() memberParser {
	rows := []memberRow{{"issuer", rowText, nil}, {"protected_resources", "axxxvxxxvx", nil}, {"mtls_endpoint_aliases", "axxxxxvxxv", nil}, {"x_own", rowAny, nil}}
	for i, document := 0, reflect.TypeFor[profile.ServerMetadata](); i < document.NumField(); i++ {
		field := document.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || slices.ContainsFunc(rows, func(row memberRow) bool { return row.member == name }) {
			continue
		}
		row := map[reflect.Kind]string{reflect.String: rowLenientText, reflect.Slice: rowLenientList, reflect.Bool: "addvdddddd"}[field.Type.Kind()]
		rows = append(rows, memberRow{name, row, nil})
	}
	return memberParser{"server metadata", "profile/metadata.go", map[string]any{"issuer": memberAS}, profile.ErrServerMetadata, rows,
		func(_ testing.TB, document []byte) ([]string, error) {
			var m profile.ServerMetadata
			err := m.UnmarshalJSON(document)
			return m.Dropped(), err
		}}
}

// plainParsers are those of documents that are not JWTs.
func plainParsers() []memberParser {
	introspectionRows := tokenRows(
		memberRow{"active", "xxxvxxxxxx", nil}, memberRow{"iss", "a!xxxxx!xx", nil}, memberRow{"sub", rowText, nil}, memberRow{"client_id", rowText, nil},
		memberRow{"jti", rowText, nil}, memberRow{"aud", "!!xx!xx!!x", nil}, memberRow{"exp", rowPast, nil}, memberRow{"iat", "axvxxxxxxx", nil},
		memberRow{"token_type", "a!xxxxxvxx", nil}, memberRow{"username", rowLenientText, nil}, memberRow{"cnf", rowRefused, introspection.ErrConfirmation})
	unsigned := func(bearer bool) func(testing.TB, []byte) ([]string, error) {
		return func(t testing.TB, document []byte) ([]string, error) {
			return introspect(t, "application/json", string(document), "", func(cfg *introspection.ClientConfig) { cfg.Unsigned, cfg.InsecureAllowBearer = true, bearer })
		}
	}
	return []memberParser{
		{"introspection response", "introspection/client.go", introspectionMembers(), introspection.ErrClaims, introspectionRows, unsigned(false)},
		{"introspection response about a bearer token", "introspection/client.go", introspectionMembers(), introspection.ErrClaims, introspectionRows, unsigned(true)},
		{"push response", "par/client.go", map[string]any{"request_uri": "urn:x", "expires_in": 60}, par.ErrResponse, []memberRow{
			{"request_uri", rowRefused, nil}, {"expires_in", rowAnyPast, nil}, {"x_own", rowAny, nil},
		}, func(t testing.TB, document []byte) ([]string, error) {
			c, err := par.NewClient(par.ClientConfig{Endpoint: memberAS + "/par", HTTPClient: replying(201, "application/json", string(document))})
			require.NoError(t, err)
			_, err = c.Push(t.Context(), url.Values{"client_id": {memberID}})
			return nil, err
		}},
		{"confirmation", "tokenbinding/confirmation.go", map[string]any{"jkt": memberJKT, "x5t#S256": memberJKT}, tokenbinding.ErrConfirmation, []memberRow{
			{"jkt", rowRefused, nil}, {"x5t#S256", rowRefused, nil}, {"jwk", rowAny, nil},
		}, func(_ testing.TB, document []byte) ([]string, error) {
			_, err := tokenbinding.ParseConfirmation(document)
			return nil, err
		}},
	}
}

// changed returns the document of a parser with one member changed.
func (p memberParser) changed(t testing.TB, member, raw string) []byte {
	document := maps.Clone(p.document)
	document[member] = json.RawMessage(raw)
	data, err := json.Marshal(document)
	require.NoError(t, err)
	return data
}

func TestOptionalMembers(t *testing.T) {
	for _, p := range memberParsers(t) {
		var rows []string
		for _, row := range p.rows {
			rows = append(rows, row.member)
			for i, value := range memberValues {
				t.Run(p.name+": "+row.member+" is "+value.name, func(t *testing.T) {
					dropped, err := p.parse(t, p.changed(t, row.member, value.raw))
					sentinel := p.err
					if row.err != nil {
						sentinel = row.err
					}
					switch row.want[i] {
					case memberRefused:
						require.ErrorIs(t, err, sentinel)
					case memberDiffers:
						require.Error(t, err)
						require.NotErrorIs(t, err, sentinel)
					case memberDropped:
						require.NoError(t, err)
						require.Equal(t, []string{row.member}, dropped)
					case memberAbsent, memberValue:
						require.NoError(t, err)
						require.Empty(t, dropped)
					default:
						t.Fatalf("%q is not an expectation", row.want[i])
					}
				})
			}
		}
		t.Run(p.name+": every member has a row", func(t *testing.T) {
			_, err := p.parse(t, p.changed(t, "x", "1"))
			require.NoError(t, err, "the document is accepted as it is")
			for member := range p.document {
				require.Contains(t, rows, member)
			}
			slices.Sort(rows)
			require.Equal(t, rows, slices.Compact(slices.Clone(rows)), "one row for each member")
		})
	}
}

// Two readers must not see two documents.
func TestDocumentsOfTwoReadings(t *testing.T) {
	for _, p := range memberParsers(t) {
		data, err := json.Marshal(p.document)
		require.NoError(t, err)
		for name, document := range map[string]string{
			"a byte order mark":   "\ufeff" + string(data),
			"bytes after it":      string(data) + "{}",
			"a second member":     string(data[:len(data)-1]) + `,"x_own":1,"x_own":2}`,
			"another case":        string(data[:len(data)-1]) + `,"x_own":1,"X_OWN":1}`,
			"a lone surrogate":    string(data[:len(data)-1]) + `,"x_own":"\ud800"}`,
			"a string that is it": `"` + strings.ReplaceAll(string(data), `"`, `\"`) + `"`,
		} {
			t.Run(p.name+": "+name, func(t *testing.T) {
				_, err := p.parse(t, []byte(document))
				require.Error(t, err)
			})
		}
		t.Run(p.name+": blanks around it", func(t *testing.T) {
			_, err := p.parse(t, []byte(" \r\n\t"+string(data)+"\n"))
			require.NoError(t, err)
		})
	}
}

func TestDatesInEveryJWT(t *testing.T) {
	for _, k := range memberVerifiers(t) {
		p := k.payload(nil)
		for member, want := range map[string]string{"exp": "1800000060.25", "iat": "1.8e9"} {
			if _, ok := p.document[member]; ok {
				t.Run(p.name+": "+member+" with a fraction or an exponent", func(t *testing.T) {
					_, err := p.parse(t, p.changed(t, member, want))
					require.NoError(t, err)
				})
			}
		}
	}
}

func TestAlgorithmsOfEveryJWT(t *testing.T) {
	for _, k := range memberVerifiers(t) {
		claims, err := json.Marshal(k.claims)
		require.NoError(t, err)
		for _, alg := range []string{jose.EdDSA, jose.Ed25519} {
			for _, registered := range []string{jose.EdDSA, jose.Ed25519} {
				t.Run("CASES C8: "+k.name+": "+alg+" where "+registered+" is registered", func(t *testing.T) {
					_, err := k.verify(t, memberJWS(t, k.header(t, alg, nil), claims), registered)
					require.NoError(t, err)
				})
			}
			t.Run("CASES C8: "+k.name+": "+alg+" where ES256 is registered", func(t *testing.T) {
				_, err := k.verify(t, memberJWS(t, k.header(t, alg, nil), claims), jose.ES256)
				require.ErrorIs(t, err, k.algorithm)
			})
		}
		for _, alg := range []string{"none", "RS256", "HS256", ""} {
			t.Run("CASES C13: "+k.name+": alg "+alg, func(t *testing.T) {
				token := memberJWS(t, k.header(t, alg, nil), claims)
				_, err := k.verify(t, token, "")
				require.ErrorIs(t, err, k.algorithm)
				_, err = k.verify(t, token[:strings.LastIndexByte(token, '.')+1], "")
				require.ErrorIs(t, err, k.algorithm, "without a signature")
			})
		}
		t.Run("CASES C13: "+k.name+": EdDSA without a signature", func(t *testing.T) {
			token := memberJWS(t, k.header(t, jose.EdDSA, nil), claims)
			_, err := k.verify(t, token[:strings.LastIndexByte(token, '.')+1], "")
			require.ErrorIs(t, err, k.malformed)
		})
	}
}

// TestEveryParserIsInTheTable fails if a file of a leaf reads the object of a peer
// and has no row.
func TestEveryParserIsInTheTable(t *testing.T) {
	known := map[string]bool{
		// dpop: the error response of a server, of which only the code counts, in whatever type.
		"dpop/transport.go": true,
		// grants, rar: formats of their own, whose members all say what is permitted.
		"grants/client.go": true,
		// jar, message: the signer's own claims.
		"jar/signer.go": true, "message/signer.go": true,
		// jose: keys and encrypted tokens, whose members are all strict.
		"internal/jose/key.go": true, "internal/jose/private.go": true, "internal/jose/jwe.go": true,
	}
	for _, p := range memberParsers(t) {
		known[p.file] = true
	}
	reads := regexp.MustCompile(`rules\.Open\(|strictjson\.Parse(Object|Claims)\(|\.ParseHeader\(\)`)
	for _, pattern := range []string{"../../*/*.go", "../../internal/jose/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			name := strings.TrimPrefix(filepath.ToSlash(file), "../../")
			if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "profile/") || strings.HasPrefix(name, "examples/") || strings.HasPrefix(name, "interop/") {
				continue
			}
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			if reads.Match(source) {
				require.True(t, known[name], "%s reads an object and is not in the table of optional members", name)
			}
		}
	}
}

// FuzzLeniency: no value of any member makes a token with another signature
// acceptable, and no lenient member changes the verdict about the others.
func FuzzLeniency(f *testing.F) {
	for i, value := range memberValues {
		f.Add(uint8(i), "acr", value.raw)
		f.Add(uint8(i), "aud", value.raw)
	}
	verifiers := memberVerifiers(f)
	f.Fuzz(func(t *testing.T, which uint8, member, raw string) {
		if !json.Valid([]byte(raw)) || !utf8.ValidString(member) {
			return
		}
		k := verifiers[int(which)%len(verifiers)]
		p := k.payload(nil)
		token := memberJWS(t, k.header(t, jose.EdDSA, nil), p.changed(t, member, raw))
		parts := strings.Split(token, ".")
		honest := memberJWS(t, k.header(t, jose.EdDSA, nil), p.changed(t, "x_own", "1"))
		forged := parts[0] + "." + parts[1] + honest[strings.LastIndexByte(honest, '.'):]
		if forged != token {
			_, err := k.verify(t, forged, "")
			require.Error(t, err, "a rejected signature is never accepted")
		}
		dropped, err := k.verify(t, token, "")
		if err == nil {
			for _, name := range dropped {
				require.Equal(t, member, name)
				_, err := p.parse(t, p.changed(t, name, "null"))
				require.NoError(t, err, "what is dropped may be absent")
			}
		}
	})
}
