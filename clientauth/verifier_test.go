package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestAssertionsRefusedForTheirClaims(t *testing.T) {
	at := func(s *server, d time.Duration) int64 { return s.clock.Now().Add(d).Unix() }
	set := func(name string, value any) func(*server) claims {
		return func(*server) claims { return claims{name: value} }
	}
	when := func(name string, d time.Duration) func(*server) claims {
		return func(s *server) claims { return claims{name: at(s, d)} }
	}
	for _, row := range []struct {
		name   string
		change func(*server) claims
		want   error
	}{
		{"SP-5.3.2.1-8 CS-1 CA-BIS-4-3 aud as an array of one", set("aud", []string{issuer}), clientauth.ErrAudience},
		{"SP-5.3.2.1-8 CS-1 aud as an array with the issuer in it", set("aud", []string{issuer, "https://other.example"}), clientauth.ErrAudience},
		{"SP-5.3.2.1-8 CS-1 PAR-2-6 CA-BIS-4-2 aud is the token endpoint", set("aud", issuer+"/token"), clientauth.ErrAudience},
		{"SP-5.3.2.1-8 CS-1 PAR-2-6 CA-BIS-5-1 aud is the PAR endpoint", set("aud", issuer+"/par"), clientauth.ErrAudience},
		{"CA-BIS-4-8 aud with a trailing slash", set("aud", issuer+"/"), clientauth.ErrAudience},
		{"CA-BIS-4-8 aud in another case", set("aud", "https://AS.example.com"), clientauth.ErrAudience},
		{"CASES C13: CA-7523-3-3 no aud", set("aud", nil), clientauth.ErrMalformed},
		{"CA-7523-3-3 aud of another type", set("aud", 7), clientauth.ErrAudience},
		{"CA-7523-3-3 aud of another server", set("aud", "https://other.example"), clientauth.ErrAudience},
		{"CA-7523-3-1 no iss", set("iss", nil), clientauth.ErrMalformed},
		{"CA-7523-3-1 empty iss", func(*server) claims { return claims{"iss": "", "sub": ""} }, clientauth.ErrMalformed},
		{"CA-7523-3-1 iss that is no string", set("iss", 1), clientauth.ErrMalformed},
		{"iss with a line break", func(*server) claims { return claims{"iss": "a\nb", "sub": "a\nb"} }, clientauth.ErrMalformed},
		{"iss of 1025 bytes", func(*server) claims {
			id := strings.Repeat("a", 1025)
			return claims{"iss": id, "sub": id}
		}, clientauth.ErrMalformed},
		{"CASES C13: CA-7523-3-2 no sub", set("sub", nil), clientauth.ErrMalformed},
		{"CA-7523-3-2 CA-OIDC-9-1 sub is somebody else", set("sub", "client-2"), clientauth.ErrClient},
		{"CA-7523-3-2 sub that is no string", set("sub", []string{clientID}), clientauth.ErrMalformed},
		{"CA-7523-3-4 no exp", set("exp", nil), clientauth.ErrMalformed},
		{"CA-7523-3-4 exp as a string", set("exp", "2030"), clientauth.ErrMalformed},
		{"CA-7523-3-4 exp is negative", set("exp", -1), clientauth.ErrMalformed},
		{"CA-7523-3-4 exp is now", when("exp", 0), clientauth.ErrExpired},
		{"CA-7523-3-4 exp has passed", when("exp", -5*time.Minute), clientauth.ErrExpired},
		{"CA-7521-5.2-1 exp an hour and 11 s ahead", when("exp", time.Hour+11*time.Second), clientauth.ErrExpired},
		{"CA-7521-5.2-1 exp in the year 9999", set("exp", int64(253402300799)), clientauth.ErrExpired},
		{"CA-7523-3-6 iat an hour ago", when("iat", -time.Hour), clientauth.ErrExpired},
		{"SP-5.3.2.1-13b iat 61 s ahead", when("iat", 61*time.Second), clientauth.ErrNotYetValid},
		{"SP-5.3.2.1-13b CA-7523-3-5 nbf 61 s ahead", when("nbf", 61*time.Second), clientauth.ErrNotYetValid},
		{"CS-2 iat a day ahead", when("iat", 24*time.Hour), clientauth.ErrNotYetValid},
		{"iat that is no date", set("iat", "now"), clientauth.ErrMalformed},
		{"nbf that is no date", set("nbf", true), clientauth.ErrMalformed},
		{"CA-OIDC-9-1 no jti", set("jti", nil), clientauth.ErrMalformed},
		{"CA-OIDC-9-1 empty jti", set("jti", ""), clientauth.ErrMalformed},
		{"jti of 257 bytes", set("jti", strings.Repeat("j", 257)), clientauth.ErrMalformed},
		{"jti that is no string", set("jti", 1), clientauth.ErrMalformed},
		{"JWT-3.12-1 an access token of the client, as it is for the server", func(*server) claims {
			return claims{"iss": issuer, "client_id": clientID}
		}, clientauth.ErrClient},
		{"JWT-3.12-1 an ID token", func(*server) claims { return claims{"iss": issuer, "aud": clientID, "sub": "user"} }, clientauth.ErrClient},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newServer(t)
			err := s.requireRefused(t, row.want, credentials(s.assertion(t, row.change(s)), "client_id", clientID))
			code, _, status := testkit.Wire(t, err)
			require.Equal(t, "invalid_client", code, "CA-7521-4.2.1-1")
			require.Equal(t, 401, status, "CA-7521-4.2.1-1")
			require.Empty(t, s.fetches, "keys were looked for in vain")
		})
	}
}

func TestAssertionsRefusedForTheirForm(t *testing.T) {
	s := newServer(t)
	key, foreign := testkit.ECKey(t, clientID), testkit.ECKey(t, "foreign")
	header := func(change claims) claims {
		h := claims{"alg": "ES256", "kid": "k1"}
		for k, v := range change {
			h[k] = v
		}
		return h
	}
	good := s.good(nil)
	valid := s.assertion(t, nil)
	parts := strings.Split(valid, ".")
	for _, row := range []struct {
		name, assertion string
		want            error
	}{
		{"CA-7523-3-9 JWT-3.8-1 a foreign key", testkit.SignJWS(t, header(nil), good, foreign), clientauth.ErrSignature},
		{"CA-7523-3-9 another client's key", testkit.SignJWS(t, header(nil), good, testkit.ECKey(t, "client-2")), clientauth.ErrSignature},
		{"CA-7523-3-9 a signature of another header", testkit.Segment(t, header(nil)) + "." + parts[1] + "." + parts[2], clientauth.ErrSignature},
		{"CA-7523-3-9 a signature in non-canonical base64url", nonCanonical(valid), clientauth.ErrSignature},
		{"CS-3 SP-5.4.1-1.2 RS256", testkit.SignJWS(t, header(claims{"alg": "RS256"}), good, testkit.PKCS1Key{PrivateKey: testkit.RSAKey(t, clientID)}), clientauth.ErrAlgorithm},
		{"SP-5.4.1-1.2 HS256 with the public key as secret", testkit.SignJWS(t, header(claims{"alg": "HS256"}), good, []byte("public key")), clientauth.ErrAlgorithm},
		{"SP-5.4.1-1.3 none", testkit.Segment(t, header(claims{"alg": "none"})) + "." + parts[1] + "." + parts[2], clientauth.ErrAlgorithm},
		{"CASES C13: SP-5.4.1-1.3 none without a signature", testkit.Segment(t, header(claims{"alg": "none"})) + "." + parts[1] + ".", clientauth.ErrAlgorithm},
		{"JWT-3.1-2 the alg of another key", testkit.SignJWS(t, header(claims{"alg": "PS256"}), good, key), clientauth.ErrSignature},
		{"no alg", testkit.SignJWS(t, claims{"kid": "k1"}, good, key), clientauth.ErrAlgorithm},
		{"alg that is no string", testkit.SignJWS(t, header(claims{"alg": 1}), good, key), clientauth.ErrMalformed},
		{"CA-BIS-4-6 a proof's typ", testkit.SignJWS(t, header(claims{"typ": "dpop+jwt"}), good, key), clientauth.ErrMalformed},
		{"CA-BIS-4-6 an access token's typ", testkit.SignJWS(t, header(claims{"typ": "at+jwt"}), good, key), clientauth.ErrMalformed},
		{"CA-BIS-4-6 a request object's typ", testkit.SignJWS(t, header(claims{"typ": "oauth-authz-req+jwt"}), good, key), clientauth.ErrMalformed},
		{"CA-BIS-4-6 an introspection response's typ", testkit.SignJWS(t, header(claims{"typ": "application/token-introspection+jwt"}), good, key), clientauth.ErrMalformed},
		{"typ that is no string", testkit.SignJWS(t, header(claims{"typ": []string{"JWT"}}), good, key), clientauth.ErrMalformed},
		{"an unknown critical header", testkit.SignJWS(t, header(claims{"crit": []string{"x"}, "x": 1}), good, key), clientauth.ErrMalformed},
		{"b64 in the header", testkit.SignJWS(t, header(claims{"b64": false}), good, key), clientauth.ErrMalformed},
		{"kid of 1025 bytes", testkit.SignJWS(t, header(claims{"kid": strings.Repeat("k", 1025)}), good, key), clientauth.ErrMalformed},
		{"a member twice in the header", testkit.SignJWS(t, `{"alg":"ES256","alg":"ES256"}`, good, key), clientauth.ErrMalformed},
		{"aud twice", testkit.SignJWS(t, header(nil), `{"aud":"x","aud":"`+issuer+`"}`, key), clientauth.ErrMalformed},
		{"bytes after the claims", testkit.SignJWS(t, header(nil), `{} {}`, key), clientauth.ErrMalformed},
		{"claims that are an array", testkit.SignJWS(t, header(nil), `[]`, key), clientauth.ErrMalformed},
		{"a JWS in JSON serialization", `{"payload":"","signatures":[]}`, clientauth.ErrMalformed},
		{"four segments", valid + ".a", clientauth.ErrMalformed},
		{"padding", valid + "=", clientauth.ErrMalformed},
		{"a line break", parts[0] + "\n." + parts[1] + "." + parts[2], clientauth.ErrMalformed},
		{"more than 64 KiB", valid + strings.Repeat("A", 64<<10), clientauth.ErrMalformed},
		{"JWT-3.12-1 CA-OIDC-9-1 a request object without typ and sub", testkit.SignJWS(t, claims{"alg": "ES256"}, s.good(claims{"sub": nil, "client_id": clientID}), key), clientauth.ErrMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := s.requireRefused(t, row.want, credentials(row.assertion))
			code, _, status := testkit.Wire(t, err)
			require.Equal(t, "invalid_client", code, "CA-7521-4.2.1-1")
			require.Equal(t, 401, status)
		})
	}
}

// nonCanonical sets a stray bit in the last character, which stands for two significant bits.
func nonCanonical(assertion string) string {
	const last = "AQgw"
	i := strings.IndexByte(last, assertion[len(assertion)-1])
	return assertion[:len(assertion)-1] + string("BRhx"[i])
}

func TestRequestsRefused(t *testing.T) {
	s := newServer(t)
	valid := s.assertion(t, nil)
	basic := []string{"Basic Y2xpZW50LTE6c2VjcmV0"}
	for _, row := range []struct {
		name        string
		credentials clientauth.Credentials
		want        error
		code        string
		status      int
	}{
		{"CS-12 no authentication at all", clientauth.Credentials{Form: url.Values{"grant_type": {"x"}}}, clientauth.ErrNoCredentials, "invalid_client", 401},
		{"no form", clientauth.Credentials{}, clientauth.ErrNoCredentials, "invalid_client", 401},
		{"SP-5.3.2.1-3 a public client", clientauth.Credentials{Form: url.Values{"client_id": {clientID}}}, clientauth.ErrNoCredentials, "invalid_client", 401},
		{"CS-12 an empty assertion", credentials("", "client_id", clientID), clientauth.ErrNoCredentials, "invalid_client", 401},
		{"SP-5.3.2.1-6 BCP-2.5-1 client_secret_post", clientauth.Credentials{Form: url.Values{"client_id": {clientID}, "client_secret": {"s"}}}, clientauth.ErrMethod, "invalid_client", 401},
		{"SP-5.3.2.1-6 client_secret_basic", clientauth.Credentials{Authorization: basic}, clientauth.ErrMethod, "invalid_client", 401},
		{"CA-7521-4.2-2 an assertion beside a secret", credentials(valid, "client_secret", "s"), clientauth.ErrMultipleMethods, "invalid_request", 400},
		{"CA-7521-4.2-2 an assertion beside an Authorization header", clientauth.Credentials{Form: form(valid), Authorization: basic}, clientauth.ErrMultipleMethods, "invalid_request", 400},
		{"CA-7521-4.2-2 an assertion beside an empty Authorization header", clientauth.Credentials{Form: form(valid), Authorization: []string{""}}, clientauth.ErrMultipleMethods, "invalid_request", 400},
		{"CA-7523-2.2-1 two assertions", clientauth.Credentials{Form: url.Values{"client_assertion_type": {jwtType}, "client_assertion": {valid, valid}}}, clientauth.ErrMultipleMethods, "invalid_request", 400},
		{"two client_id", clientauth.Credentials{Form: url.Values{"client_assertion_type": {jwtType}, "client_assertion": {valid}, "client_id": {clientID, "client-2"}}}, clientauth.ErrMultipleMethods, "invalid_request", 400},
		{"CA-7523-2.2-1 no assertion type", credentials(valid, "client_assertion_type", ""), clientauth.ErrMethod, "invalid_client", 401},
		{"CA-BIS-S-1 a SAML assertion", credentials(valid, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), clientauth.ErrMethod, "invalid_client", 401},
		{"CA-7523-2.2-1 the grant type in place of the assertion type", credentials(valid, "client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), clientauth.ErrMethod, "invalid_client", 401},
		{"CS-13 CA-7521-4.2-1 another client's client_id", credentials(valid, "client_id", "client-2"), clientauth.ErrClient, "invalid_client", 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, _, status := testkit.Wire(t, s.requireRefused(t, row.want, row.credentials))
			require.Equal(t, row.code, code)
			require.Equal(t, row.status, status)
		})
	}
}

func TestAssertionsAccepted(t *testing.T) {
	at := func(s *server, d time.Duration) int64 { return s.clock.Now().Add(d).Unix() }
	ec := claims{"alg": "ES256"}
	for _, row := range []struct {
		name   string
		header claims
		change func(*server) claims
		key    func(t *testing.T) any
	}{
		{"SP-5.3.2.1-13a CS-2 iat and nbf 10 s ahead", ec, func(s *server) claims {
			return claims{"iat": at(s, 10*time.Second), "nbf": at(s, 10*time.Second)}
		}, nil},
		{"SP-5.3.2.1-13a CS-2 nbf 8 s ahead", ec, func(s *server) claims { return claims{"nbf": at(s, 8*time.Second)} }, nil},
		{"fractional dates", ec, func(s *server) claims { return claims{"iat": float64(at(s, 0)) + 0.5, "exp": float64(at(s, 0)) + 9.25} }, nil},
		{"CASES F4: exp an hour ahead", ec, func(s *server) claims { return claims{"exp": at(s, time.Hour)} }, nil},
		{"CA-OIDC-9-1 no iat", ec, func(*server) claims { return claims{"iat": nil} }, nil},
		{"unknown claims and headers", claims{"alg": "ES256", "x": 1, "jku": "https://x", "x5t": "y"}, func(*server) claims { return claims{"x": claims{"y": 1}} }, nil},
		{"jti of 256 bytes", ec, func(*server) claims { return claims{"jti": strings.Repeat("j", 256)} }, nil},
		{"CA-BIS-4-6 no typ", ec, nil, nil},
		{"CA-BIS-4-6 typ JWT", claims{"alg": "ES256", "typ": "JWT"}, nil, nil},
		{"CA-BIS-4-6 typ in another case", claims{"alg": "ES256", "typ": "application/Client-Authentication+JWT"}, nil, nil},
		{"SP-5.4.1-1.2 PS256", claims{"alg": "PS256"}, nil, func(t *testing.T) any { return testkit.RSAKey(t, clientID) }},
		{"SP-5.4.1-1.2 EdDSA", claims{"alg": "EdDSA"}, nil, func(t *testing.T) any { return testkit.Ed25519Key(t, clientID) }},
		{"SP-5.4.1-1.2 Ed25519", claims{"alg": "Ed25519"}, nil, func(t *testing.T) any { return testkit.Ed25519Key(t, clientID) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newServer(t)
			var change claims
			if row.change != nil {
				change = row.change(s)
			}
			var key any = testkit.ECKey(t, clientID)
			if row.key != nil {
				key = row.key(t)
			}
			a, err := s.Verify(t.Context(), credentials(testkit.SignJWS(t, row.header, s.good(change), key)))
			require.NoError(t, err)
			require.Equal(t, clientID, a.ClientID(), "CS-13: the client comes from the assertion when there is no client_id")
			require.Equal(t, "private_key_jwt", a.Method())
		})
	}
}

func TestUnknownClientLooksLikeABadSignature(t *testing.T) {
	key := testkit.ECKey(t, "foreign")
	var seen []string
	for _, change := range []func(s *server) claims{
		func(*server) claims { return nil },
		func(*server) claims { return claims{"iss": "nobody", "sub": "nobody"} },
		func(s *server) claims { return s.registered(func(c *clientauth.Client) { c.Algorithm = "PS256" }) },
		func(s *server) claims {
			return s.registered(func(c *clientauth.Client) { c.Method = "tls_client_auth" })
		},
		func(s *server) claims { return s.registered(func(c *clientauth.Client) { c.Method = "none" }) },
		func(s *server) claims { return s.registered(func(c *clientauth.Client) { c.Keys = nil }) },
		func(s *server) claims { return s.registered(func(c *clientauth.Client) { c.ID = "Client-1" }) },
	} {
		s := newServer(t)
		_, err := s.Verify(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": "ES256"}, s.good(change(s)), key)))
		code, description, status := testkit.Wire(t, err)
		seen = append(seen, fmt.Sprint(code, description, status))
	}
	for _, s := range seen {
		require.Equal(t, seen[0], s)
	}
}

// registered changes the registration of the client.
func (s *server) registered(change func(*clientauth.Client)) claims {
	c := s.clients[clientID]
	change(&c)
	s.clients[clientID] = c
	return nil
}

func TestRegistrationDecides(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*clientauth.Client)
		want   error
	}{
		{"CA-OIDC-9-2 another algorithm is registered", func(c *clientauth.Client) { c.Algorithm = "PS256" }, clientauth.ErrAlgorithm},
		{"CA-OIDC-9-2 this algorithm is registered", func(c *clientauth.Client) { c.Algorithm = "ES256" }, nil},
		{"another algorithm is permitted", func(c *clientauth.Client) { c.Algorithms = []string{"PS256", "EdDSA"} }, clientauth.ErrAlgorithm},
		{"this algorithm is permitted", func(c *clientauth.Client) { c.Algorithms = []string{"PS256", "ES256"} }, nil},
		{"a lifetime of 59 s is permitted", func(c *clientauth.Client) { c.MaxLifetime = 59 * time.Second }, clientauth.ErrExpired},
		{"a lifetime of 60 s is permitted", func(c *clientauth.Client) { c.MaxLifetime = time.Minute }, nil},
		{"a longer lifetime than the verifier's is permitted", func(c *clientauth.Client) { c.MaxLifetime = 3 * time.Hour }, nil},
		{"larger RSA keys are required", func(c *clientauth.Client) { c.MinRSABits = 4096 }, nil},
		{"PAR-2-4 the method is registered", func(c *clientauth.Client) { c.Method = "private_key_jwt" }, nil},
		{"PAR-2-4 another method is registered", func(c *clientauth.Client) { c.Method = "tls_client_auth" }, clientauth.ErrMethod},
		{"SP-5.3.2.1-3 the method none is registered", func(c *clientauth.Client) { c.Method = "none" }, clientauth.ErrMethod},
		{"no keys", func(c *clientauth.Client) { c.Keys = nil }, clientauth.ErrSignature},
		{"the registry found another client", func(c *clientauth.Client) { c.ID = "CLIENT-1" }, clientauth.ErrUnknownClient},
		{"SP-5.4.3-1 no key fits", func(c *clientauth.Client) {
			c.Keys = testkit.KeySource(testkit.RSAKey(t, clientID).Public(), nil, "key")
		}, clientauth.ErrSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newServer(t)
			s.registered(row.change)
			c := credentials(s.assertion(t, nil))
			if row.want != nil {
				s.requireRefused(t, row.want, c)
				return
			}
			_, err := s.Verify(t.Context(), c)
			require.NoError(t, err)
		})
	}
}

// A verified key with too few bits does not authenticate.
func TestSizeOfRSAKeys(t *testing.T) {
	for bits, want := range map[int]error{0: nil, 2048: nil, 2049: clientauth.ErrAlgorithm} {
		s := newServer(t)
		s.registered(func(c *clientauth.Client) { c.MinRSABits = bits })
		c := credentials(testkit.SignJWS(t, claims{"alg": "PS256", "kid": "k1"}, s.good(nil), testkit.RSAKey(t, clientID)))
		if want != nil {
			s.requireRefused(t, want, c)
			continue
		}
		_, err := s.Verify(t.Context(), c)
		require.NoError(t, err)
	}
}

func TestVerifierAlgorithms(t *testing.T) {
	s := newServer(t, func(c *clientauth.VerifierConfig) { c.Algorithms = []string{"PS256"} })
	s.requireRefused(t, clientauth.ErrAlgorithm, credentials(s.assertion(t, nil)))
	require.Equal(t, []string{"PS256"}, s.Algorithms())
	require.Equal(t, []string{"ES256", "PS256", "EdDSA", "Ed25519"}, newServer(t).Algorithms())
}

func TestKeysAreAskedForWithAnAllowedAlgorithm(t *testing.T) {
	s := newServer(t)
	_, err := s.Check(t.Context(), credentials(s.assertion(t, nil)))
	require.NoError(t, err)
	require.Equal(t, []string{"k1 ES256"}, s.fetches)
}

func TestFailuresOfOursAreNotTheClients(t *testing.T) {
	cause := errors.New("connection refused")
	for name, change := range map[string]func(*server, *clientauth.VerifierConfig){
		"keys out of reach": func(s *server, _ *clientauth.VerifierConfig) { s.keysErr = cause },
		"registry out of reach": func(_ *server, c *clientauth.VerifierConfig) {
			c.Lookup = func(context.Context, string) (clientauth.Client, error) {
				return clientauth.Client{ID: clientID}, cause
			}
		},
		"replay store out of reach": func(s *server, _ *clientauth.VerifierConfig) { s.replay.Err = cause },
	} {
		t.Run(name, func(t *testing.T) {
			var config *clientauth.VerifierConfig
			s := newServer(t, func(c *clientauth.VerifierConfig) { config = c })
			change(s, config)
			v, err := clientauth.NewVerifier(*config)
			require.NoError(t, err)
			a, err := v.Verify(t.Context(), credentials(s.assertion(t, nil)))
			require.ErrorIs(t, err, clientauth.ErrUnavailable)
			require.ErrorIs(t, err, cause)
			require.Zero(t, a)
			code, description, status := testkit.Wire(t, err)
			require.Equal(t, "server_error", code)
			require.Equal(t, 503, status)
			require.NotContains(t, description, "connection")
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	lookup := func(context.Context, string) (clientauth.Client, error) { return clientauth.Client{}, nil }
	testkit.Reject(t, clientauth.NewVerifier, map[string]clientauth.VerifierConfig{
		"nothing":                          {},
		"no lookup":                        {Issuer: issuer},
		"no issuer":                        {Lookup: lookup},
		"an issuer that is no URL":         {Issuer: "as", Lookup: lookup},
		"an issuer with a query":           {Issuer: issuer + "?a", Lookup: lookup},
		"an issuer with a fragment":        {Issuer: issuer + "#a", Lookup: lookup},
		"SP-5.4.1-1.2 RS256":               {Issuer: issuer, Lookup: lookup, Algorithms: []string{"RS256"}},
		"SP-5.4.1-1.3 none":                {Issuer: issuer, Lookup: lookup, Algorithms: []string{"none"}},
		"SP-5.3.2.1-13a a skew of 9 s":     {Issuer: issuer, Lookup: lookup, FutureSkew: 9 * time.Second},
		"SP-5.3.2.1-13b a skew of 61 s":    {Issuer: issuer, Lookup: lookup, FutureSkew: 61 * time.Second},
		"a lifetime of two hours":          {Issuer: issuer, Lookup: lookup, MaxLifetime: 2 * time.Hour},
		"a nil store":                      {Issuer: issuer, Lookup: lookup, Replay: (*testkit.Recorder)(nil)},
		"a negative lifetime":              {Issuer: issuer, Lookup: lookup, MaxLifetime: -1},
		"an issuer with an empty query":    {Issuer: issuer + "?", Lookup: lookup},
		"an issuer with an empty fragment": {Issuer: issuer + "#", Lookup: lookup},
	})
}

func TestSkewIsConfigurable(t *testing.T) {
	s := newServer(t, func(c *clientauth.VerifierConfig) { c.FutureSkew = time.Minute })
	at := func(d time.Duration) claims {
		return claims{"iat": s.clock.Now().Add(d).Unix(), "exp": s.clock.Now().Unix() + 300}
	}
	_, err := s.Check(t.Context(), credentials(s.assertion(t, at(60*time.Second))))
	require.NoError(t, err)
	_, err = s.Check(t.Context(), credentials(s.assertion(t, at(61*time.Second))))
	require.ErrorIs(t, err, clientauth.ErrNotYetValid, "SP-5.3.2.1-13b")
	require.Contains(t, err.Error(), "now ")
}

func TestCredentialsAreNotPrinted(t *testing.T) {
	c := credentials("eyJsecret", "client_secret", "hunter2")
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), slog.AnyValue(c).Resolve().String()} {
		require.NotContains(t, text, "eyJ")
		require.NotContains(t, text, "hunter2")
	}
}

type vector struct {
	Name      string         `json:"name"`
	Assertion string         `json:"assertion"`
	JWK       map[string]any `json:"jwk"` // the key, where it is published
	Client    string         `json:"client"`
	Issuer    string         `json:"issuer"`
	Now       int64          `json:"now"`  // within the assertion's life
	Want      string         `json:"want"` // "algorithm" or "malformed" (it lacks a jti)
}

// The published assertions are not to be accepted under FAPI: one is signed with RS256, none has a jti.
func TestVectors(t *testing.T) {
	classes := map[string]error{"algorithm": clientauth.ErrAlgorithm, "malformed": clientauth.ErrMalformed}
	for _, v := range testkit.LoadVectors[vector](t, "testdata/*.json") {
		t.Run(v.Name, func(t *testing.T) {
			want, ok := classes[v.Want]
			require.True(t, ok)
			s := newServer(t, func(c *clientauth.VerifierConfig) {
				c.Issuer, c.Now = v.Issuer, func() time.Time { return time.Unix(v.Now, 0) }
			})
			s.requireRefused(t, want, credentials(v.Assertion))
			s.requireRefused(t, want, credentials(v.Assertion, "client_id", v.Client))
		})
	}
}

func TestKeysThatAreNone(t *testing.T) {
	for name, key := range map[string]crypto.Signer{
		"nil *ecdsa.PrivateKey": (*ecdsa.PrivateKey)(nil), "nil *rsa.PrivateKey": (*rsa.PrivateKey)(nil), "nil ed25519": ed25519.PrivateKey(nil),
		"empty ecdsa": &ecdsa.PrivateKey{}, "empty rsa": &rsa.PrivateKey{}, "short ed25519": make(ed25519.PrivateKey, 3),
	} {
		_, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "c", Audience: issuer, Key: key})
		require.Error(t, err, name)
	}
	s := newServer(t)
	keys := testkit.KeySource(nil, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, (*rsa.PublicKey)(nil), &rsa.PublicKey{},
		ed25519.PublicKey(nil), ed25519.PublicKey("short"), ecdsa.PublicKey{}, testkit.ECKey(t, clientID).Public())
	s.registered(func(c *clientauth.Client) { c.Keys = keys })
	for _, alg := range []string{"ES256", "PS256", "EdDSA", "Ed25519"} {
		_, err := s.Check(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": alg}, s.good(nil), testkit.ECKey(t, clientID))))
		require.Equal(t, alg == "ES256", err == nil, "%s: %v", alg, err)
	}
}

// The edges of each limit, to the nanosecond where JSON allows it.
func TestClockEdges(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   time.Duration // the verifier's clock from the second in which the assertion was made
		set  func(now int64) claims
		want error
	}{
		{"CA-7523-3-4 the last nanosecond before exp", 60*time.Second - 1, func(int64) claims { return nil }, nil},
		{"CA-7523-3-4 at exp", 60 * time.Second, func(int64) claims { return nil }, clientauth.ErrExpired},
		{"CA-7523-3-4 exp with a fraction, before it", 60*time.Second + 400*time.Millisecond, func(n int64) claims { return claims{"exp": float64(n) + 60.5} }, nil},
		{"CA-7523-3-4 exp with a fraction, at it", 60*time.Second + 500*time.Millisecond, func(n int64) claims { return claims{"exp": float64(n) + 60.5} }, clientauth.ErrExpired},
		{"SP-5.3.2.1-13a iat 10 s ahead", 0, func(n int64) claims { return claims{"iat": n + 10} }, nil},
		{"iat a nanosecond more ahead", -1, func(n int64) claims { return claims{"iat": n + 10} }, clientauth.ErrNotYetValid},
		{"nbf alone, a long time ago", 0, func(n int64) claims { return claims{"iat": nil, "nbf": n - 86400} }, nil},
		{"neither iat nor nbf", 0, func(int64) claims { return claims{"iat": nil} }, nil},
		{"CA-7521-5.2-1 exp an hour and 10 s ahead, by a fast clock", 0, func(n int64) claims { return claims{"iat": n + 10, "exp": n + 3610} }, nil},
		{"CA-7523-3-6 exp an hour and 1 s after iat", 0, func(n int64) claims { return claims{"exp": n + 3601} }, clientauth.ErrExpired},
		{"exp as an exponent", 0, func(int64) claims { return claims{"exp": -1e-9} }, clientauth.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			c := credentials(s.assertion(t, tc.set(s.clock.Now().Unix())))
			s.clock.Advance(tc.at)
			_, err := s.Verify(t.Context(), c)
			require.ErrorIs(t, err, tc.want)
		})
	}
}

// An explicit type leaves nothing to guess: whatever other claims there are mean nothing here.
func TestTypeDecidesBeforeClaims(t *testing.T) {
	for _, extra := range []claims{{"response_type": "code"}, {"htm": "POST"}} {
		s := newServer(t)
		_, err := s.Check(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": "ES256", "typ": "client-authentication+jwt"}, s.good(extra), testkit.ECKey(t, clientID))))
		require.NoError(t, err, "CA-BIS-4-5 %v", extra)
		for _, typ := range []any{"JWT", ""} {
			_, err = s.Check(t.Context(), credentials(testkit.SignJWS(t, claims{"alg": "ES256", "typ": typ}, s.good(extra), testkit.ECKey(t, clientID))))
			require.ErrorIs(t, err, clientauth.ErrMalformed, "JWT-3.12-1 %v", extra)
		}
	}
}

// What a caller changes after a call changes nothing.
func TestNothingIsShared(t *testing.T) {
	algorithms := []string{"ES256"}
	s := newServer(t, func(c *clientauth.VerifierConfig) { c.Algorithms = algorithms })
	algorithms[0] = "PS256"
	s.Algorithms()[0] = "PS256"
	c := credentials(s.assertion(t, nil))
	before := c.Form.Encode()
	a, err := s.Check(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, before, c.Form.Encode(), "credentials are only read")
	c.Form.Set("client_assertion", "x")
	require.NoError(t, s.Commit(t.Context(), a))
	require.ErrorIs(t, s.Commit(t.Context(), a), clientauth.ErrReplayed)
}
