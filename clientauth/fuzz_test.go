package clientauth_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

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
		testkit.SignJWS(f, claims{"alg": "ES256"}, s.good(nil), testkit.ECKey(f, "foreign"))} {
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
			if code, description, status := testkit.Wire(t, err); code == "" || description == "" || status < 400 {
				t.Fatal("no answer for the peer")
			}
		}
	})
}

// Any text as a distinguished name: an error comes with nothing, and the case of ASCII makes no difference.
func FuzzParseName(f *testing.F) {
	for _, text := range malformedNames {
		f.Add(text)
	}
	for _, text := range []string{registeredDN, `cn=\ #a\2C + 2.5.4.97=#0c024445 , O=M\c3\9cller\<`, "CN=,O="} {
		f.Add(text)
	}
	upper := strings.NewReplacer(func() (pairs []string) {
		for c := 'a'; c <= 'z'; c++ {
			pairs = append(pairs, string(c), string(c-'a'+'A'))
		}
		return pairs
	}()...)
	f.Fuzz(func(t *testing.T, text string) {
		name, err := clientauth.ParseName(text)
		if (err != nil) != (name == "") {
			t.Fatalf("%q with error %v", name, err)
		}
		if err == nil {
			if again, err := clientauth.ParseName(upper.Replace(text)); err != nil || again != name {
				t.Fatalf("%q in upper case is another name, %v", text, err)
			}
		}
	})
}

// Anything as an encoded name: what package pkix writes of it, if it can, is a text for it.
func FuzzEncodedName(f *testing.F) {
	f.Add(name(f, one(printable(c, "US")), one(utf8String(ou, "A"), bmp(cn, "Größe"))))
	f.Add(name(f, one(utf8String(orgID, ` #a,b+c"d\e<f>g;h=i `))))
	f.Fuzz(func(t *testing.T, der []byte) {
		got, err := clientauth.EncodedName(der)
		if err != nil {
			if got != "" {
				t.Fatal("an error and a name")
			}
			return
		}
		var sequence pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 || len(sequence) == 0 {
			return
		}
		for _, set := range sequence {
			for _, a := range set {
				if s, ok := a.Value.(string); !ok || !utf8.ValidString(s) {
					return // which pkix does not write as RFC 4514 has it
				}
			}
		}
		if strings.Contains(string(der), "\x14") { // perhaps the tag of a T61String, which pkix takes for UTF-8
			return
		}
		if want, err := clientauth.ParseName(sequence.String()); err != nil || want != got {
			t.Fatalf("%q is another name, %v", sequence.String(), err)
		}
	})
}

// Two names of two values each, as text and encoded: the text of one is that of the other's encoding just if theirs are
// the other way round, and just if the two are one.
func FuzzNamesAgree(f *testing.F) {
	f.Add("a", "b", "A", "b ", uint8(0))
	f.Add("a,O=b", "", "a", "b", uint8(9))
	f.Add("\u212a", "#0c00", "k", "", uint8(255))
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string, how uint8) {
		forms := func(v1, v2 string, how uint8) (text, encoded string, ok bool) {
			two := []attribute{utf8String(cn, v1), utf8String(orgID, v2)}
			if how&1 != 0 && !strings.ContainsFunc(v1, func(r rune) bool { return r > 0xffff }) && utf8.ValidString(v1) {
				two[0] = bmp(cn, v1)
			}
			texts := []string{"CN=" + escaped(v1, how&2 != 0), "2.5.4.97=" + escaped(v2, how&4 != 0)}
			if how&8 != 0 {
				two[0], two[1] = two[1], two[0]
			}
			encoded, err := clientauth.EncodedName(name(t, one(utf8String(o, "x")), two))
			if err != nil {
				return "", "", false
			}
			full := strings.Join(texts, "+") + " , o = X"
			if len(full) > 4096 { // escaping makes a text longer than its encoding, and longer than is read
				return "", "", false
			}
			text, err = clientauth.ParseName(full)
			if (err == nil) != (utf8.ValidString(v1) && utf8.ValidString(v2)) {
				t.Fatalf("%q, %v", texts, err)
			}
			return text, encoded, err == nil
		}
		textA, encodedA, okA := forms(a1, a2, how)
		textB, encodedB, okB := forms(b1, b2, how>>4)
		if !okA || !okB {
			return
		}
		if textA != encodedA || textB != encodedB {
			t.Fatal("text and encoding of one name differ")
		}
		if (textA == encodedB) != (textB == encodedA) {
			t.Fatal("not symmetric")
		}
		if textA != textB && a1 == b1 && a2 == b2 {
			t.Fatal("one name in two forms")
		}
	})
}

// escaped writes a value in one of the ways of RFC 4514.
func escaped(value string, numbers bool) string {
	var b strings.Builder
	for i := range len(value) {
		switch c := value[i]; {
		case numbers:
			b.WriteString(`\` + hex.EncodeToString([]byte{c}))
		case strings.IndexByte(`"+,;<>\ #=`, c) >= 0:
			b.WriteString(`\` + string(c))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
