package clientauth_test

import (
	"strings"
	"testing"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

// One character of a good assertion changed: it never verifies.
func FuzzMutatedAssertion(f *testing.F) {
	s := newServer(f)
	valid := s.assertion(f, nil)
	if _, err := s.Check(f.Context(), credentials(valid)); err != nil {
		f.Fatal(err)
	}
	for i := range 16 {
		f.Add(i * len(valid) / 16)
	}
	f.Fuzz(func(t *testing.T, i int) {
		s.fetches = nil
		if a, err := s.Verify(t.Context(), credentials(testkit.MutateJWS(valid, i))); err == nil || a != (clientauth.Authentication{}) {
			t.Fatalf("mutation %d is accepted", i)
		}
	})
}

// Anything as a form: an error comes with nothing, and only what the client has signed is accepted.
func FuzzCheck(f *testing.F) {
	s := newServer(f)
	valid := s.assertion(f, nil)
	for _, v := range []string{valid, "", "a.b.c", `{"payload":""}`, strings.Repeat(".", 100),
		sign(f, claims{"alg": "ES256"}, s.good(nil), testkit.ECKey(f, "foreign"))} {
		f.Add(v, jwtType, clientID, "")
	}
	f.Fuzz(func(t *testing.T, assertion, kind, id, secret string) {
		s.fetches = nil
		a, err := s.Check(t.Context(), credentials(assertion, "client_assertion_type", kind, "client_id", id, "client_secret", secret))
		switch {
		case err != nil && a != (clientauth.Authentication{}):
			t.Fatal("an error and an authentication")
		case err == nil && (assertion != valid || a.ClientID() != clientID):
			t.Fatal("accepted what the client has not signed")
		}
		if err != nil {
			if code, description, status := wire(t, err); code == "" || description == "" || status < 400 {
				t.Fatal("no answer for the peer")
			}
		}
	})
}
