package tokenbinding_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/tokenbinding"
)

const (
	jkt      = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	otherJKT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	x5t      = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
	otherX5T = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"
)

func TestCheck(t *testing.T) {
	type c = tokenbinding.Confirmation
	type p = tokenbinding.Proof
	for _, row := range []struct {
		name   string
		token  c
		scheme tokenbinding.Scheme
		proof  p
		want   error
	}{
		{"DPOP-4.3-12b DPOP-6-1 the right key", c{JKT: jkt}, "DPoP", p{JKT: jkt}, nil},
		{"CS-18 the scheme in lower case", c{JKT: jkt}, "dpop", p{JKT: jkt}, nil},
		{"a certificate besides is no harm", c{JKT: jkt}, "DPoP", p{JKT: jkt, X5TS256: x5t}, nil},
		{"DPOP-4.3-12b another key", c{JKT: jkt}, "DPoP", p{JKT: otherJKT}, tokenbinding.ErrMismatch},
		{"DPOP-4.3-12b the beginning of the thumbprint", c{JKT: jkt}, "DPoP", p{JKT: jkt[:42]}, tokenbinding.ErrMismatch},
		{"DPOP-4.3-12b the thumbprint in another case", c{JKT: jkt}, "DPoP", p{JKT: strings.ToLower(jkt)}, tokenbinding.ErrMismatch},
		{"DPOP-7.1-2 no proof", c{JKT: jkt}, "DPoP", p{}, tokenbinding.ErrNoProof},
		{"DPOP-7.1-2 a certificate in place of a proof", c{JKT: jkt}, "DPoP", p{X5TS256: x5t}, tokenbinding.ErrNoProof},
		{"DPOP-7.2-1 as Bearer", c{JKT: jkt}, "Bearer", p{}, tokenbinding.ErrBearer},
		{"DPOP-7.2-1 as Bearer with a proof", c{JKT: jkt}, "Bearer", p{JKT: jkt}, tokenbinding.ErrBearer},
		{"DPOP-7.2-1 as bearer in lower case", c{JKT: jkt}, "bearer", p{JKT: jkt}, tokenbinding.ErrBearer},
		{"DPOP-7.2-1 bound to both, as Bearer with the certificate", c{JKT: jkt, X5TS256: x5t}, "Bearer", p{X5TS256: x5t}, tokenbinding.ErrBearer},
		{"SP-5.3.4-5 BCP-2.2.1-1 unbound as Bearer", c{}, "Bearer", p{}, tokenbinding.ErrUnbound},
		{"SP-5.3.4-5 BCP-2.2.1-1 unbound with every proof", c{}, "DPoP", p{JKT: jkt, X5TS256: x5t}, tokenbinding.ErrUnbound},
		{"MTLS-3-3 the right certificate", c{X5TS256: x5t}, "Bearer", p{X5TS256: x5t}, nil},
		{"MTLS-3-3 another certificate", c{X5TS256: x5t}, "Bearer", p{X5TS256: otherX5T}, tokenbinding.ErrMismatch},
		{"MTLS-3-3 no certificate", c{X5TS256: x5t}, "Bearer", p{}, tokenbinding.ErrNoCertificate},
		{"MTLS-3-3 a proof in place of a certificate", c{X5TS256: x5t}, "Bearer", p{JKT: jkt}, tokenbinding.ErrNoCertificate},
		{"bound to a certificate, as DPoP", c{X5TS256: x5t}, "DPoP", p{JKT: jkt, X5TS256: x5t}, tokenbinding.ErrMismatch},
		{"bound to both, both proved", c{JKT: jkt, X5TS256: x5t}, "DPoP", p{JKT: jkt, X5TS256: x5t}, nil},
		{"MTLS-3-3 bound to both, no certificate", c{JKT: jkt, X5TS256: x5t}, "DPoP", p{JKT: jkt}, tokenbinding.ErrNoCertificate},
		{"MTLS-3-3 bound to both, another certificate", c{JKT: jkt, X5TS256: x5t}, "DPoP", p{JKT: jkt, X5TS256: otherX5T}, tokenbinding.ErrMismatch},
		{"DPOP-7.1-2 bound to both, no proof", c{JKT: jkt, X5TS256: x5t}, "DPoP", p{X5TS256: x5t}, tokenbinding.ErrNoProof},
		{"DPOP-4.3-12b bound to both, another key", c{JKT: jkt, X5TS256: x5t}, "DPoP", p{JKT: otherJKT, X5TS256: x5t}, tokenbinding.ErrMismatch},
		{"no scheme", c{JKT: jkt}, "", p{JKT: jkt}, tokenbinding.ErrNoToken},
		{"an unknown scheme", c{JKT: jkt}, "Basic", p{JKT: jkt}, tokenbinding.ErrNoToken},
		{"the thumbprints crossed", c{JKT: jkt, X5TS256: x5t}, "DPoP", p{JKT: x5t, X5TS256: jkt}, tokenbinding.ErrMismatch},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := row.token.Check(row.scheme, row.proof)
			if row.want == nil {
				require.NoError(t, err)
				require.NoError(t, row.token.CheckScheme(row.scheme))
				return
			}
			require.ErrorIs(t, err, row.want)
			_, _, status := testkit.Wire(t, err)
			require.Equal(t, 401, status)
			require.NotContains(t, err.Error(), jkt)
			if early := row.token.CheckScheme(row.scheme); early != nil {
				require.ErrorIs(t, early, row.want, "without a proof the answer is the same")
			}
		})
	}
}

func TestBind(t *testing.T) {
	c, err := tokenbinding.Bind(tokenbinding.Proof{JKT: jkt})
	require.NoError(t, err)
	require.Equal(t, tokenbinding.Confirmation{JKT: jkt}, c)
	require.Equal(t, tokenbinding.DPoP, c.TokenType(), "DPOP-5-3")

	c, err = tokenbinding.Bind(tokenbinding.Proof{JKT: jkt, X5TS256: x5t})
	require.NoError(t, err)
	require.Equal(t, tokenbinding.Confirmation{JKT: jkt}, c)

	c, err = tokenbinding.Bind(tokenbinding.Proof{X5TS256: x5t})
	require.NoError(t, err)
	require.Equal(t, tokenbinding.Bearer, c.TokenType())

	c, err = tokenbinding.Bind(tokenbinding.Proof{})
	require.ErrorIs(t, err, tokenbinding.ErrNotBound, "SP-5.3.2.1-4 SP-5.3.2.1-5 CS-14")
	require.Zero(t, c)
	code, _, status := testkit.Wire(t, err)
	require.Equal(t, "invalid_request", code, "SP-5.3.2.1-4")
	require.Equal(t, 400, status)

	for _, p := range []tokenbinding.Proof{{JKT: "x"}, {X5TS256: "x"}, {JKT: jkt + "\n"}} {
		c, err = tokenbinding.Bind(p)
		require.ErrorIs(t, err, tokenbinding.ErrConfirmation)
		require.Zero(t, c)
	}
	require.Empty(t, tokenbinding.Confirmation{}.TokenType())
}

func TestTokenType(t *testing.T) {
	for _, good := range []string{"DPoP", "dpop", "DPOP"} {
		require.NoError(t, tokenbinding.DPoP.CheckTokenType(good), "BASE-6749-5.1-2 CS-19 "+good)
	}
	require.NoError(t, tokenbinding.Bearer.CheckTokenType("bearer"), "BASE-6749-5.1-2 CS-19")
	for _, bad := range []string{"Bearer", "bearer", "", "DPoP ", "mac", "N_A"} {
		require.ErrorIs(t, tokenbinding.DPoP.CheckTokenType(bad), tokenbinding.ErrTokenType, "DPOP-5-7 "+bad)
	}
	require.ErrorIs(t, tokenbinding.Bearer.CheckTokenType("DPoP"), tokenbinding.ErrTokenType)
	require.ErrorIs(t, tokenbinding.Scheme("").CheckTokenType(""), tokenbinding.ErrTokenType)
	require.ErrorIs(t, tokenbinding.Scheme("mac").CheckTokenType("mac"), tokenbinding.ErrTokenType)
	require.NoError(t, tokenbinding.Scheme("dpop").CheckTokenType("DPoP"), "CS-19 as in Confirmation.Check and Challenge")
	require.ErrorIs(t, tokenbinding.Scheme("dpop").CheckTokenType("Bearer"), tokenbinding.ErrTokenType, "DPOP-5-7")
}

type cnfVector struct {
	Name        string          `json:"name"`
	CNF         json.RawMessage `json:"cnf"` // in cnf-refused.json a string that holds the bytes
	JKT         string          `json:"jkt"`
	X5T         string          `json:"x5t"`
	Certificate string          `json:"certificate"`
	Want        string          `json:"want"` // class of failure, none in cnf-rfc.json
}

// parsers are all ways from bytes to a Confirmation.
var parsers = map[string]func([]byte) (tokenbinding.Confirmation, error){
	"ParseConfirmation": func(raw []byte) (tokenbinding.Confirmation, error) { return tokenbinding.ParseConfirmation(raw) },
	"UnmarshalJSON": func(raw []byte) (c tokenbinding.Confirmation, err error) {
		err = c.UnmarshalJSON(raw)
		return c, err
	},
}

func TestPublishedConfirmations(t *testing.T) {
	for _, v := range testkit.LoadVectors[cnfVector](t, "testdata/cnf-rfc.json") {
		t.Run(v.Name, func(t *testing.T) {
			for name, parse := range parsers {
				c, err := parse(v.CNF)
				require.NoError(t, err, name)
				require.Equal(t, tokenbinding.Confirmation{JKT: v.JKT, X5TS256: v.X5T}, c, "DPOP-6.1-1 DPOP-6.2-1 MTLS-3.1-2 "+name)
				raw, err := json.Marshal(c)
				require.NoError(t, err)
				require.JSONEq(t, string(v.CNF), string(raw))
			}
			if v.Certificate == "" {
				return
			}
			block, _ := pem.Decode([]byte(v.Certificate))
			require.NotNil(t, block)
			sum := sha256.Sum256(block.Bytes)
			c := tokenbinding.Confirmation{X5TS256: v.X5T}
			require.NoError(t, c.Check("Bearer", tokenbinding.Proof{X5TS256: base64.RawURLEncoding.EncodeToString(sum[:])}), "MTLS-3.1-2")
		})
	}
}

func TestRejectedConfirmations(t *testing.T) {
	classes := map[string]error{"unbound": tokenbinding.ErrUnbound, "confirmation": tokenbinding.ErrConfirmation}
	for _, v := range testkit.LoadVectors[cnfVector](t, "testdata/cnf-refused.json") {
		t.Run(v.Name, func(t *testing.T) {
			want, ok := classes[v.Want]
			require.True(t, ok)
			var raw string
			require.NoError(t, json.Unmarshal(v.CNF, &raw))
			for name, parse := range parsers {
				c, err := parse([]byte(raw))
				require.ErrorIs(t, err, want, name)
				require.Zero(t, c, name)
				code, _, status := testkit.Wire(t, err)
				require.Equal(t, "invalid_token", code)
				require.Equal(t, 401, status)
			}
		})
	}
}

func TestConfirmationInAToken(t *testing.T) {
	type token struct {
		Subject string                    `json:"sub"`
		CNF     tokenbinding.Confirmation `json:"cnf,omitzero"`
	}
	raw, err := json.Marshal(token{"user", tokenbinding.Confirmation{JKT: jkt}})
	require.NoError(t, err)
	require.JSONEq(t, `{"sub":"user","cnf":{"jkt":"`+jkt+`"}}`, string(raw), "DPOP-6.1-1")
	var back token
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Equal(t, jkt, back.CNF.JKT)
	raw, err = json.Marshal(token{Subject: "user"})
	require.NoError(t, err)
	require.JSONEq(t, `{"sub":"user"}`, string(raw))
	require.ErrorIs(t, json.Unmarshal([]byte(`{"cnf":{"jkt":""}}`), &back), tokenbinding.ErrConfirmation)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"cnf":null}`), &back), tokenbinding.ErrConfirmation)
	require.Zero(t, back.CNF)

	_, err = json.Marshal(tokenbinding.Confirmation{})
	require.ErrorIs(t, err, tokenbinding.ErrUnbound)
	for _, c := range []tokenbinding.Confirmation{{JKT: "x"}, {JKT: jkt, X5TS256: "x"}} {
		_, err = json.Marshal(c)
		require.ErrorIs(t, err, tokenbinding.ErrConfirmation)
	}
}

func FuzzConfirmation(f *testing.F) {
	f.Add(`{"jkt":"` + jkt + `"}`)
	f.Add(`{"jkt":"` + jkt + `","x5t#S256":"` + x5t + `","jwk":{}}`)
	f.Add(`{"x5t#S256":""}`)
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := tokenbinding.ParseConfirmation(json.RawMessage(raw))
		if err != nil {
			if !c.IsZero() {
				t.Fatal("an error and a confirmation")
			}
			return
		}
		formatted, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := tokenbinding.ParseConfirmation(formatted)
		if err != nil || again != c {
			t.Fatalf("%s: another confirmation, %v", formatted, err)
		}
		if c.Check(c.TokenType(), tokenbinding.Proof{}) == nil {
			t.Fatal("good without a proof")
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	c := tokenbinding.Confirmation{JKT: jkt}
	raw := json.RawMessage(`{"jkt":"` + jkt + `"}`)
	testkit.Benchmark(b, "Check", func() bool { return c.Check(tokenbinding.DPoP, tokenbinding.Proof{JKT: jkt}) == nil })
	testkit.Benchmark(b, "ParseConfirmation", func() bool { _, err := tokenbinding.ParseConfirmation(raw); return err == nil })
	der := make([]byte, 800)
	testkit.Benchmark(b, "bare SHA-256 of a certificate's size", func() bool { sha256.Sum256(der); return true })
}
