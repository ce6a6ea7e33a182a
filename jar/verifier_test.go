package jar_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

func TestAccepted(t *testing.T) {
	ahead := func(seconds int64) func(s *server) obj {
		return func(s *server) obj {
			at := s.clock.Now().Unix() + seconds
			return obj{"nbf": at, "iat": at}
		}
	}
	for _, tc := range []struct {
		name   string
		header any
		key    any
		change func(*server) obj
	}{
		{"MS-5.3.1-1 ES256", goodHeader, testkit.ECKey(t, clientID), nil},
		{"MS-5.3.1-1 PS256", obj{"alg": "PS256"}, testkit.RSAKey(t, clientID), nil},
		{"MS-5.3.1-1 EdDSA", obj{"alg": "EdDSA"}, testkit.Ed25519Key(t, clientID), nil},
		{"MS-5.3.1-1 Ed25519", obj{"alg": "Ed25519"}, testkit.Ed25519Key(t, clientID), nil},
		{"MS-5.3.1-5 no typ", obj{"alg": "ES256"}, testkit.ECKey(t, clientID), nil},
		{"MS-5.3.1-5 the generic typ", obj{"alg": "ES256", "typ": "JWT"}, testkit.ECKey(t, clientID), nil},
		{"JAR-4-6 MS-5.3.1-5 typ as a media type in any case", obj{"alg": "ES256", "typ": "Application/OAuth-AuthZ-Req+JWT"}, testkit.ECKey(t, clientID), nil},
		{"members of the header that mean nothing", obj{"alg": "ES256", "x": 1, "jku": "https://evil.example"}, testkit.ECKey(t, clientID), nil},
		{"MS-5.3.1-2 an audience among others", nil, nil, func(*server) obj { return obj{"aud": []any{"https://other.example", issuer}} }},
		{"PAR-3-4 JAR-4-4 no iss", nil, nil, func(*server) obj { return obj{"iss": nil} }},
		{"no iat and no jti", nil, nil, func(*server) obj { return obj{"iat": nil, "jti": nil} }},
		{"sub that is not the client", nil, nil, func(*server) obj { return obj{"sub": "somebody"} }},
		{"SP-5.3.2.1-13a CS-2 nbf 8 s ahead", nil, nil, ahead(8)},
		{"SP-5.3.2.1-13a CS-2 nbf 10 s ahead", nil, nil, ahead(10)},
		{"MS-5.3.1-3 MS-5.3.1-4 nbf almost 60 minutes ago", nil, nil, func(s *server) obj {
			return obj{"nbf": s.clock.Now().Unix() - 3599, "exp": s.clock.Now().Unix() + 1}
		}},
		{"MS-5.3.1-4 a life of 60 minutes", nil, nil, func(s *server) obj { return obj{"exp": s.clock.Now().Unix() + 3600} }},
		{"dates with a fraction", nil, nil, func(s *server) obj { return obj{"nbf": float64(s.clock.Now().Unix()) - 0.5} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			var change obj
			if tc.change != nil {
				change = tc.change(s)
			}
			if tc.header == nil {
				tc.header, tc.key = goodHeader, testkit.ECKey(t, clientID)
			}
			object := testkit.SignJWS(t, tc.header, s.good(change), tc.key)
			for _, verify := range []entry{s.Check, s.Verify} {
				r, err := verify(t.Context(), s.client, form(object))
				require.NoError(t, err)
				require.Equal(t, clientID, r.ClientID())
				require.Equal(t, object, r.Raw())
				require.Equal(t, tc.key.(crypto.Signer).Public(), r.PublicKey())
				require.Equal(t, url.Values{"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {"https://client.example.com/cb"},
					"code_challenge_method": {"S256"}}, r.Params(), "JAR-6.3-1 no claim of the JWT itself is a parameter")
			}
		})
	}
}

func TestSignatureRefused(t *testing.T) {
	s := newServer(t)
	own, foreign := testkit.ECKey(t, clientID), testkit.ECKey(t, "client-2")
	with := func(change obj) obj {
		h := obj{"alg": "ES256", "typ": "oauth-authz-req+jwt"}
		for name, value := range change {
			h[name] = value
		}
		return h
	}
	none := testkit.Segment(t, obj{"alg": "none"}) + "." + testkit.Segment(t, s.good(nil)) + "."
	good := s.object(t, nil)
	parts := strings.Split(good, ".")
	for _, tc := range []struct {
		name   string
		want   error
		object string
	}{
		{"JAR-6.2-1 PAR-3-2 the key of another client", jar.ErrSignature, testkit.SignJWS(t, with(nil), s.good(nil), foreign)},
		{"JAR-6.2-1 a kid that the client does not have", jar.ErrSignature, testkit.SignJWS(t, with(obj{"kid": "k2"}), s.good(nil), own)},
		{"JAR-6.2-1 a key of the client's, but of another type than alg", jar.ErrSignature, testkit.SignJWS(t, with(obj{"alg": "PS256"}), s.good(nil), own)},
		{"JAR-10.2-1 the signature of another object", jar.ErrSignature, parts[0] + "." + testkit.Segment(t, s.good(obj{"scope": "all"})) + "." + parts[2]},
		{"CS-3 RS256", jar.ErrAlgorithm, testkit.SignJWS(t, with(obj{"alg": "RS256"}), s.good(nil), testkit.PKCS1Key{PrivateKey: testkit.RSAKey(t, clientID)})},
		{"CS-3 HS256", jar.ErrAlgorithm, testkit.SignJWS(t, with(obj{"alg": "HS256"}), s.good(nil), []byte("secret"))},
		{"CASES C13: JAR-4-3 none without a signature", jar.ErrAlgorithm, none},
		{"JAR-4-3 none with something like one", jar.ErrAlgorithm, none + "AA"},
		{"JAR-4-3 None", jar.ErrAlgorithm, testkit.SignJWS(t, with(obj{"alg": "None"}), s.good(nil), own)},
		{"JAR-6.2-1 no alg", jar.ErrAlgorithm, testkit.SignJWS(t, obj{"typ": "oauth-authz-req+jwt"}, s.good(nil), own)},
		{"alg is no string", jar.ErrMalformed, testkit.SignJWS(t, with(obj{"alg": 1}), s.good(nil), own)},
		{"typ is no string", jar.ErrMalformed, testkit.SignJWS(t, with(obj{"typ": 1}), s.good(nil), own)},
		{"crit", jar.ErrMalformed, testkit.SignJWS(t, with(obj{"crit": []string{"x"}, "x": 1}), s.good(nil), own)},
		{"b64", jar.ErrMalformed, testkit.SignJWS(t, with(obj{"b64": false}), s.good(nil), own)},
		{"kid without end", jar.ErrMalformed, testkit.SignJWS(t, with(obj{"kid": strings.Repeat("k", 1025)}), s.good(nil), own)},
		{"JAR-10.8-2 typ of a client assertion", jar.ErrType, testkit.SignJWS(t, with(obj{"typ": "client-authentication+jwt"}), s.good(nil), own)},
		{"JAR-10.8-2 typ of a DPoP proof", jar.ErrType, testkit.SignJWS(t, with(obj{"typ": "dpop+jwt"}), s.good(nil), own)},
		{"JAR-10.8-2 a DPoP proof without its typ", jar.ErrType, testkit.SignJWS(t, obj{"alg": "ES256"}, s.good(obj{"htm": "POST"}), own)},
		{"JAR-6.1-1 an encrypted object", jar.ErrEncrypted, "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.AA.AA.AA.AA"},
		{"four segments", jar.ErrMalformed, good + ".AA"},
		{"two segments", jar.ErrMalformed, parts[0] + "." + parts[1]},
		{"JSON serialization", jar.ErrMalformed, `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		{"a line break", jar.ErrMalformed, good + "\n"},
		{"padding", jar.ErrMalformed, good + "=="},
		{"64 KiB and one byte", jar.ErrMalformed, good + strings.Repeat("A", 64<<10+1-len(good))},
		{"1 MiB with the dots of an encrypted object", jar.ErrMalformed, strings.Repeat("A", 1<<20) + ".A.A.A.A"},
		{"claims that are no object", jar.ErrMalformed, testkit.SignJWS(t, with(nil), `[]`, own)},
		{"bytes after the claims", jar.ErrMalformed, testkit.SignJWS(t, with(nil), `{} {}`, own)},
		{"a claim twice", jar.ErrMalformed, testkit.SignJWS(t, with(nil), `{"scope":"a","scope":"b"}`, own)},
		{"a claim in two spellings", jar.ErrMalformed, testkit.SignJWS(t, with(nil), `{"scope":"a","Scope":"b"}`, own)},
		{"JAR-4-2 not UTF-8", jar.ErrMalformed, testkit.SignJWS(t, with(nil), "{\"scope\":\"\xff\"}", own)},
	} {
		t.Run(tc.name, func(t *testing.T) { s.requireRefused(t, tc.want, form(tc.object)) })
	}
}

func TestClaimsRefused(t *testing.T) {
	s := newServer(t)
	now := s.clock.Now().Unix()
	for _, tc := range []struct {
		name   string
		want   error
		change obj
	}{
		{"PAR-3-3 no client_id", jar.ErrClaims, obj{"client_id": nil}},
		{"PAR-3-3 client_id is no string", jar.ErrClaims, obj{"client_id": []string{clientID}}},
		{"PAR-3-3 JAR-6.3-1 another client", jar.ErrClient, obj{"client_id": "client-2"}},
		{"JAR-4-4 PAR-3-4 iss is another client", jar.ErrClient, obj{"iss": "client-2"}},
		{"iss is no string", jar.ErrClaims, obj{"iss": 1}},
		{"MS-5.3.1-2 JAR-4-4 no aud", jar.ErrClaims, obj{"aud": nil}},
		{"MS-5.3.1-2 aud is an object", jar.ErrClaims, obj{"aud": obj{}}},
		{"MS-5.3.1-2 an endpoint's URL", jar.ErrAudience, obj{"aud": issuer + "/par"}},
		{"MS-5.3.1-2 a trailing slash", jar.ErrAudience, obj{"aud": issuer + "/"}},
		{"MS-5.3.1-2 an array without the issuer", jar.ErrAudience, obj{"aud": []string{"https://other.example"}}},
		{"CASES C13: MS-5.3.1-2 an empty array", jar.ErrClaims, obj{"aud": []string{}}},
		{"MS-5.3.1-2 an array with something else than strings", jar.ErrClaims, obj{"aud": []any{issuer, 1}}},
		{"MS-5.3.1-3 no nbf", jar.ErrClaims, obj{"nbf": nil}},
		{"MS-5.3.1-3 nbf is a string", jar.ErrClaims, obj{"nbf": fmt.Sprint(now)}},
		{"MS-5.3.1-3 nbf 60 minutes and a second ago", jar.ErrTooOld, obj{"nbf": now - 3601, "exp": now + 1}},
		{"MS-5.3.1-4 no exp", jar.ErrClaims, obj{"exp": nil}},
		{"MS-5.3.1-4 exp is a string", jar.ErrClaims, obj{"exp": "never"}},
		{"MS-5.3.1-4 exp in the year 10000", jar.ErrClaims, obj{"exp": int64(253402300800)}},
		{"MS-5.3.1-4 exp has passed", jar.ErrExpired, obj{"nbf": now - 10, "exp": now - 1}},
		{"MS-5.3.1-4 exp is now", jar.ErrExpired, obj{"nbf": now - 10, "exp": now}},
		{"MS-5.3.1-4 exp before nbf", jar.ErrLifetime, obj{"nbf": now + 8, "exp": now + 5}},
		{"MS-5.3.1-4 exp 60 minutes and a second after nbf", jar.ErrLifetime, obj{"exp": now + 3601}},
		{"SP-5.3.2.1-13b nbf 11 s ahead with the default", jar.ErrNotYetValid, obj{"nbf": now + 11}},
		{"SP-5.3.2.1-13b CS-2 nbf 61 s ahead", jar.ErrNotYetValid, obj{"nbf": now + 61}},
		{"SP-5.3.2.1-13b CS-2 iat 61 s ahead", jar.ErrNotYetValid, obj{"iat": now + 61}},
		{"iat is no date", jar.ErrClaims, obj{"iat": "now"}},
		{"jti is no string", jar.ErrClaims, obj{"jti": 1}},
		{"jti is empty", jar.ErrClaims, obj{"jti": ""}},
		{"JAR-10.8-1 sub is the client", jar.ErrType, obj{"sub": clientID}},
		{"sub is no string", jar.ErrClaims, obj{"sub": []string{clientID}}},
		{"CS-6 JAR-4-1 request_uri inside", jar.ErrNested, obj{"request_uri": "urn:ietf:params:oauth:request_uri:x"}},
		{"CS-6 JAR-4-1 an empty request_uri inside", jar.ErrNested, obj{"request_uri": ""}},
		{"JAR-4-1 request inside", jar.ErrNested, obj{"request": "a.b.c"}},
		{"JAR-4-1 request inside is no string", jar.ErrNested, obj{"request": 1}},
		{"a client assertion inside", jar.ErrCredentials, obj{"client_assertion": "a.b.c"}},
		{"its type inside", jar.ErrCredentials, obj{"client_assertion_type": "x"}},
		{"a client secret inside", jar.ErrCredentials, obj{"client_secret": ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.fetches = nil
			s.requireRefused(t, tc.want, form(s.object(t, tc.change)))
			require.Empty(t, s.fetches, "no key is asked for")
		})
	}
}

// The limits of a verifier and those of one client: the shorter ones apply.
func TestNarrowLimits(t *testing.T) {
	now := newServer(t).clock.Now().Unix()
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	verifier := func(life, age int) func(*jar.VerifierConfig) {
		return func(c *jar.VerifierConfig) { c.MaxLifetime, c.MaxAge = minutes(life), minutes(age) }
	}
	rsa := func(c *jar.Client) {
		c.Keys = testkit.KeySource(testkit.RSAKey(t, clientID).Public(), nil, "k1")
	}
	for _, row := range []struct {
		name   string
		change func(*jar.VerifierConfig)
		client func(*jar.Client)
		object obj
		want   error
	}{
		{"exp 10 min after nbf", verifier(10, 10), nil, obj{"exp": now + 600}, nil},
		{"exp 10 min and a second after nbf", verifier(10, 10), nil, obj{"exp": now + 601}, jar.ErrLifetime},
		{"nbf 10 min ago", verifier(20, 10), nil, obj{"nbf": now - 600}, nil},
		{"nbf 10 min and a second ago", verifier(20, 10), nil, obj{"nbf": now - 601}, jar.ErrTooOld},
		{"exp at the client's limit", verifier(20, 20), func(c *jar.Client) { c.MaxLifetime = minutes(10) }, obj{"exp": now + 600}, nil},
		{"exp after the client's limit", verifier(20, 20), func(c *jar.Client) { c.MaxLifetime = minutes(10) }, obj{"exp": now + 601}, jar.ErrLifetime},
		{"nbf at the client's limit", verifier(20, 20), func(c *jar.Client) { c.MaxAge = minutes(10) }, obj{"nbf": now - 600}, nil},
		{"nbf before the client's limit", verifier(20, 20), func(c *jar.Client) { c.MaxAge = minutes(10) }, obj{"nbf": now - 601}, jar.ErrTooOld},
		{"a client's limit that is longer", verifier(10, 10), func(c *jar.Client) { c.MaxLifetime = minutes(20) }, obj{"exp": now + 601}, jar.ErrLifetime},
		{"an algorithm that the client may use", verifier(0, 0), func(c *jar.Client) { c.Algorithms = []string{"PS256", "ES256"} }, nil, nil},
		{"another algorithm", verifier(0, 0), func(c *jar.Client) { c.Algorithms = []string{"PS256", "EdDSA"} }, nil, jar.ErrAlgorithm},
		{"a key that is not RSA", verifier(0, 0), func(c *jar.Client) { c.MinRSABits = 4096 }, nil, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newServer(t, row.change)
			if row.client != nil {
				row.client(&s.client)
			}
			f := form(s.object(t, row.object))
			if row.want != nil {
				s.requireRefused(t, row.want, f)
				return
			}
			_, err := s.Verify(t.Context(), s.client, f)
			require.NoError(t, err)
		})
	}
	for bits, want := range map[int]error{0: nil, 2048: nil, 2049: jar.ErrAlgorithm} {
		s := newServer(t)
		rsa(&s.client)
		s.client.MinRSABits = bits
		f := form(testkit.SignJWS(t, obj{"alg": "PS256", "kid": "k1"}, s.good(nil), testkit.RSAKey(t, clientID)))
		if want != nil {
			s.requireRefused(t, want, f)
			continue
		}
		_, err := s.Verify(t.Context(), s.client, f)
		require.NoError(t, err)
	}
}

func TestFutureSkew(t *testing.T) {
	s := newServer(t, func(c *jar.VerifierConfig) { c.FutureSkew = time.Minute })
	now := s.clock.Now().Unix()
	_, err := s.Check(t.Context(), s.client, form(s.object(t, obj{"nbf": now + 60})))
	require.NoError(t, err)
	s.requireRefused(t, jar.ErrNotYetValid, form(s.object(t, obj{"nbf": now + 61, "test": "SP-5.3.2.1-13b never more than 60 s"})))
}

func TestFormRefused(t *testing.T) {
	s := newServer(t)
	good := s.object(t, nil)
	for _, tc := range []struct {
		name string
		want error
		form url.Values
	}{
		{"PAR-2.3-4 MS-5.3.1-1 plain parameters", jar.ErrUnsigned, url.Values{"client_id": {clientID}, "response_type": {"code"}, "resource": {"a", "b"}}},
		{"PAR-2.3-4 an empty request", jar.ErrUnsigned, form("")},
		{"PAR-2.3-4 nothing", jar.ErrUnsigned, nil},
		{"PAR-3-1 JAR-5-3 a parameter beside the object", jar.ErrForm, form(good, "scope", "all")},
		{"PAR-3-1 the same parameter as inside", jar.ErrForm, form(good, "response_type", "code")},
		{"PAR-3-1 resource", jar.ErrForm, form(good, "resource", "https://a.example")},
		{"JAR-5-1 CS-6 request_uri beside request", jar.ErrForm, form(good, "request_uri", "urn:x")},
		{"CS-6 request_uri alone", jar.ErrForm, url.Values{"client_id": {clientID}, "request_uri": {"urn:x"}}},
		{"JAR-5-2 JAR-6.3-1 client_id of another client", jar.ErrForm, form(good, "client_id", "client-2")},
		{"request twice", jar.ErrForm, url.Values{"request": {good, good}}},
		{"client_id twice", jar.ErrForm, url.Values{"request": {good}, "client_id": {clientID, "client-2"}}},
	} {
		t.Run(tc.name, func(t *testing.T) { s.requireRefused(t, tc.want, tc.form) })
	}
	for name, f := range map[string]url.Values{
		"no client_id, as the assertion names the client": {"request": {good}, "client_assertion": {"a.b.c"}, "client_assertion_type": {"x"}},
		"nothing but the object, with mutual TLS":         {"request": {good}},
		"parameters without a value":                      {"request": {good}, "client_id": {""}, "scope": {""}, "state": {}},
	} {
		t.Run("accepted: "+name, func(t *testing.T) {
			_, err := s.Check(t.Context(), s.client, f)
			require.NoError(t, err)
		})
	}
}

func TestClient(t *testing.T) {
	s := newServer(t)
	good := s.object(t, nil)
	check := func(c jar.Client) error {
		r, err := s.Check(t.Context(), c, form(good))
		if err != nil {
			require.Zero(t, r)
		}
		return err
	}
	require.ErrorIs(t, check(jar.Client{Keys: s.client.Keys}), jar.ErrClient, "JAR-10.2-1 nobody has authenticated")
	require.ErrorIs(t, check(jar.Client{ID: "a\x00b", Keys: s.client.Keys}), jar.ErrClient)
	require.ErrorIs(t, check(jar.Client{ID: clientID}), jar.ErrSignature, "a client without keys")
	require.ErrorIs(t, check(jar.Client{ID: clientID, Algorithm: "PS256", Keys: s.client.Keys}), jar.ErrAlgorithm, "JAR-6.2-1 registered for another algorithm")
	require.ErrorIs(t, check(jar.Client{ID: clientID, Algorithm: "none", Keys: s.client.Keys}), jar.ErrAlgorithm, "JAR-6.2-1 registered for none")
	require.NoError(t, check(jar.Client{ID: clientID, Algorithm: "ES256", Keys: s.client.Keys}))

	cause := errors.New("no route to the client's key set")
	s.keysErr = cause
	s.requireRefused(t, jar.ErrUnavailable, form(good))
	require.ErrorIs(t, check(s.client), cause)

	crowd := make([]crypto.PublicKey, 8)
	for i := range crowd {
		crowd[i] = testkit.ECKey(t, "decoy").Public()
	}
	keys := func(list ...crypto.PublicKey) jar.Client {
		return jar.Client{ID: clientID, Keys: testkit.KeySource(list...)}
	}
	own := testkit.ECKey(t, clientID).Public()
	require.NoError(t, check(keys(append(crowd[:7:7], nil, "no key", testkit.RSAKey(t, clientID).Public(), own)...)), "keys that do not fit do not count")
	require.ErrorIs(t, check(keys(append(crowd, own)...)), jar.ErrSignature, "no more than eight signature checks")
}

func TestAlgorithmsOfTheServer(t *testing.T) {
	s := newServer(t, func(c *jar.VerifierConfig) { c.Algorithms = []string{"PS256"} })
	require.Equal(t, []string{"PS256"}, s.Algorithms())
	s.requireRefused(t, jar.ErrAlgorithm, form(s.object(t, nil)))
	require.Equal(t, []string{"ES256", "PS256", "EdDSA", "Ed25519"}, newServer(t).Algorithms())
}

func TestNewVerifierRefuses(t *testing.T) {
	var nobody *testkit.Recorder
	testkit.RejectChanges(t, jar.NewVerifier, jar.VerifierConfig{Issuer: issuer}, map[string]func(*jar.VerifierConfig){
		"no issuer":                   func(c *jar.VerifierConfig) { c.Issuer = "" },
		"an issuer with a query":      func(c *jar.VerifierConfig) { c.Issuer += "?" },
		"an issuer with a fragment":   func(c *jar.VerifierConfig) { c.Issuer += "#" },
		"CS-3 RS256":                  func(c *jar.VerifierConfig) { c.Algorithms = []string{"ES256", "RS256"} },
		"JAR-4-3 none":                func(c *jar.VerifierConfig) { c.Algorithms = []string{"none"} },
		"SP-5.3.2.1-13a 9 s ahead":    func(c *jar.VerifierConfig) { c.FutureSkew = 9 * time.Second },
		"SP-5.3.2.1-13b 61 s ahead":   func(c *jar.VerifierConfig) { c.FutureSkew = 61 * time.Second },
		"a nil store":                 func(c *jar.VerifierConfig) { c.Replay = nobody },
		"a lifetime of 61 minutes":    func(c *jar.VerifierConfig) { c.MaxLifetime = 61 * time.Minute },
		"a negative lifetime":         func(c *jar.VerifierConfig) { c.MaxLifetime = -1 },
		"an age of 61 minutes":        func(c *jar.VerifierConfig) { c.MaxAge = 61 * time.Minute },
		"a claim as a parameter":      func(c *jar.VerifierConfig) { c.JSONParameters = []string{"aud"} },
		"request as a JSON parameter": func(c *jar.VerifierConfig) { c.JSONParameters = []string{"request"} },
		"client_id as JSON":           func(c *jar.VerifierConfig) { c.JSONParameters = []string{"client_id"} },
	})
}

func TestRequestKeepsItsSecrets(t *testing.T) {
	s := newServer(t)
	object := s.object(t, obj{"login_hint": "alice", "resource": []string{"https://a.example"}})
	r, err := s.Check(t.Context(), s.client, form(object))
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("pushed", "request", r)
	for _, printed := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r), log.String()} {
		require.Contains(t, printed, clientID)
		for _, part := range strings.Split(object, ".") {
			require.NotContains(t, printed, part)
		}
		require.NotContains(t, printed, "alice")
	}
	r.Params().Set("login_hint", "mallory")
	r.Params()["resource"][0] = "https://evil.example"
	require.Equal(t, "alice", r.Params().Get("login_hint"), "a copy")
	require.Equal(t, "https://a.example", r.Params().Get("resource"))
	require.Equal(t, "ES256", r.Algorithm())
	require.Equal(t, "k1", r.KeyID())
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(r.Raw(), ".")[1])
	require.NoError(t, err)
	require.Contains(t, string(payload), "alice", "the evidence")
}
