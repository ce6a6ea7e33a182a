package jar_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
)

// One character of a good object changed: it never verifies.
func FuzzMutatedObject(f *testing.F) {
	s := newServer(f)
	valid := s.object(f, nil)
	if _, err := s.Check(f.Context(), s.client, form(valid)); err != nil {
		f.Fatal(err)
	}
	for i := range 16 {
		f.Add(i * len(valid) / 16)
	}
	f.Fuzz(func(t *testing.T, i int) {
		s.fetches = nil
		if r, err := s.Verify(t.Context(), s.client, form(testkit.MutateJWS(valid, i))); err == nil || r.ClientID() != "" {
			t.Fatalf("mutation %d is accepted", i)
		}
	})
}

// Any claims under a good signature: an error comes with nothing and with an answer, and what is accepted can be signed
// again and is the same request.
func FuzzClaims(f *testing.F) {
	s := newServer(f)
	signer := newSigner(f, s)
	for _, extra := range []string{
		`"state":"a"`, `"max_age":1e2`, `"max_age":1.5`, `"resource":["a","b"]`, `"resource":"a"`, `"claims":{"a":[1, "<"]}`, `"a":null`,
		`"authorization_details":[{"type":"\u2028"}]`, `"request":""`, `"nbf":1`, `"client_id":"x"`, `"state":"\ud800"`, `"":"x","b":""`,
	} {
		f.Add(extra)
	}
	f.Fuzz(func(t *testing.T, extra string) {
		s.fetches = nil
		payload := `{"client_id":"client-1","aud":"https://as.example.com","nbf":1800000000,"exp":1800000060,` + extra + `}`
		r, err := s.Check(t.Context(), s.client, form(testkit.SignJWS(t, goodHeader, payload, testkit.ECKey(t, clientID))))
		if err != nil {
			code, description, status := testkit.Wire(t, err)
			if r.ClientID() != "" || r.Raw() != "" || code != "invalid_request_object" || description == "" || status != 400 {
				t.Fatal("a result beside an error, or no answer")
			}
			return
		}
		again, err := signer.Form(r.Params())
		if err != nil && len(r.Raw()) > 60<<10 {
			return // the signer adds claims of its own
		}
		require.NoError(t, err)
		second, err := s.Check(t.Context(), s.client, again)
		require.NoError(t, err)
		require.Equal(t, r.Params(), second.Params())
	})
}

// Any parameters: what the signer signs the verifier gives back.
func FuzzSignVerify(f *testing.F) {
	s := newServer(f)
	signer := newSigner(f, s)
	f.Add(honest().Encode())
	for _, query := range []string{"", "a", "a=%00", "max_age=0", "max_age=01", "resource=&resource=b", "claims={}", "authorization_details=[ 1]", "A=1&a=2", "state=%ff", "sub=x"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		params, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		s.fetches = nil
		signed, err := signer.Form(params)
		if err != nil {
			if signed != nil {
				t.Fatal("a form beside an error")
			}
			return
		}
		r, err := s.Verify(t.Context(), s.client, signed)
		require.NoError(t, err)
		want := url.Values{"client_id": {clientID}}
		for name, values := range params {
			if values = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(values) > 0 {
				want[name] = values
			}
		}
		got := r.Params()
		for _, name := range []string{"claims", "authorization_details"} { // whitespace outside of strings does not survive
			if strings.ContainsAny(want.Get(name), " \t\r\n") {
				want.Del(name)
				got.Del(name)
			}
		}
		require.Equal(t, want, got)
	})
}
