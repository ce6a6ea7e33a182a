package clientauth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
)

// attribute is one of a name: a type in dotted form, and a value in an encoding.
type attribute struct {
	oid   string
	value asn1.RawValue
}

func stringOf(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Tag: tag, Bytes: []byte(value)}
}

func utf8String(oid, value string) attribute {
	return attribute{oid, stringOf(asn1.TagUTF8String, value)}
}

func printable(oid, value string) attribute {
	return attribute{oid, stringOf(asn1.TagPrintableString, value)}
}

func bmp(oid, value string) attribute {
	var b []byte
	for _, u := range utf16.Encode([]rune(value)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return attribute{oid, stringOf(asn1.TagBMPString, string(b))}
}

// name encodes relative names in the order of the encoding.
func name(t testing.TB, relative ...[]attribute) []byte {
	t.Helper()
	var sequence []byte
	for _, attributes := range relative {
		var set []byte
		for _, a := range attributes {
			id, err := x509.ParseOID(a.oid)
			require.NoError(t, err)
			oid, err := id.MarshalBinary()
			require.NoError(t, err)
			value, err := asn1.Marshal(a.value)
			require.NoError(t, err)
			set = append(set, tlv(t, asn1.TagSequence, append(tlv(t, asn1.TagOID, oid), value...))...)
		}
		sequence = append(sequence, tlv(t, asn1.TagSet, set)...)
	}
	return tlv(t, asn1.TagSequence, sequence)
}

func tlv(t testing.TB, tag int, content []byte) []byte {
	b, err := asn1.Marshal(asn1.RawValue{Tag: tag, IsCompound: tag == asn1.TagSequence || tag == asn1.TagSet, Bytes: content})
	require.NoError(t, err)
	return b
}

const (
	cn, o, ou, c = "2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.6"
	orgID        = "2.5.4.97"
	jurisdiction = "1.3.6.1.4.1.311.60.2.1.3"
)

func one(a ...attribute) []attribute { return a }

func TestNames(t *testing.T) {
	bank := name(t, one(printable(c, "DE")), one(utf8String(o, "Müller & Söhne, Bank")), one(utf8String(orgID, "PSDDE-BAFIN-123456")),
		one(printable(jurisdiction, "DE")), one(utf8String(cn, "client.example")))
	multi := name(t, one(utf8String(o, "Example")), one(utf8String(ou, "A"), printable(cn, "x")))
	single := func(a attribute) []byte { return name(t, one(a)) }
	hexValue := func(a attribute) string {
		der, err := asn1.Marshal(a.value)
		require.NoError(t, err)
		return "#" + hex.EncodeToString(der)
	}
	for _, row := range []struct {
		name, text string
		der        []byte
		equal      bool
	}{
		{"MTLS-2.1-2 short names", `CN=client.example,jurisdictionC=DE,organizationIdentifier=PSDDE-BAFIN-123456,O=Müller & Söhne\, Bank,C=DE`, bank, true},
		{"MTLS-2.1-2 long names in any case", `commonname=client.example,JURISDICTIONCOUNTRYNAME=DE,organizationidentifier=PSDDE-BAFIN-123456,ORGANIZATIONNAME=Müller & Söhne\, Bank,countryName=DE`, bank, true},
		{"MTLS-2.1-2 dotted numbers with strings", `2.5.4.3=client.example,1.3.6.1.4.1.311.60.2.1.3=DE,2.5.4.97=PSDDE-BAFIN-123456,2.5.4.10=Müller & Söhne\, Bank,2.5.4.6=DE`, bank, true},
		{"MTLS-2.1-2 hexadecimal values, of another string type", `CN=client.example,1.3.6.1.4.1.311.60.2.1.3=#13024445,2.5.4.97=` + hexValue(printable(orgID, "PSDDE-BAFIN-123456")) + `,O=Müller & Söhne\, Bank,C=#0c024445`, bank, true},
		{"MTLS-2.1-2 case, blanks and escapes", `cn = CLIENT.example , jurisdictionC=de, 2.5.4.97=psdde-bafin-123456, O=\ m\c3\9cller  \26 S\C3\B6hne\2C Bank\ , C=DE`, bank, true},
		{"another order of relative names", `C=DE,O=Müller & Söhne\, Bank,organizationIdentifier=PSDDE-BAFIN-123456,jurisdictionC=DE,CN=client.example`, bank, false},
		{"one relative name less", `jurisdictionC=DE,organizationIdentifier=PSDDE-BAFIN-123456,O=Müller & Söhne\, Bank,C=DE`, bank, false},
		{"a letter without its diaeresis", `CN=client.example,jurisdictionC=DE,organizationIdentifier=PSDDE-BAFIN-123456,O=Muller & Söhne\, Bank,C=DE`, bank, false},
		{"another type for a value", `OU=client.example,jurisdictionC=DE,organizationIdentifier=PSDDE-BAFIN-123456,O=Müller & Söhne\, Bank,C=DE`, bank, false},

		{"MTLS-2.1-2 attributes of a relative name in one order", "CN=x+OU=A,O=Example", multi, true},
		{"MTLS-2.1-2 attributes of a relative name in the other", "OU=A+CN=x,O=Example", multi, true},
		{"two relative names for one", "OU=A,CN=x,O=Example", multi, false},
		{"one relative name for two", "OU=A+CN=x+O=Example", multi, false},
		{"an attribute less", "OU=A,O=Example", multi, false},
		{"an attribute twice", "OU=A+CN=x+CN=x,O=Example", multi, false},

		{"BMPString", "CN=Größe", single(bmp(cn, "GRÖßE")), true},
		{"a BMPString with a surrogate is no string", `CN=\F0\9F\98\80`, single(bmp(cn, "😀")), false},
		{"a BMPString of odd length", "CN=a", single(attribute{cn, stringOf(asn1.TagBMPString, "\x00a\x00")}), false},
		{"IA5String", "1.2.840.113549.1.9.1=A@example.com", single(attribute{"1.2.840.113549.1.9.1", stringOf(asn1.TagIA5String, "a@example.com")}), true},
		{"T61String within ASCII", "CN=abc", single(attribute{cn, stringOf(asn1.TagT61String, "abc")}), true},
		{"T61String beyond ASCII is no string", "CN=ä", single(attribute{cn, stringOf(asn1.TagT61String, "\xe4")}), false},
		{"T61String beyond ASCII by its encoding", "CN=#1401e4", single(attribute{cn, stringOf(asn1.TagT61String, "\xe4")}), true},
		{"a number by its encoding", "CN=#020105", single(attribute{cn, stringOf(asn1.TagInteger, "\x05")}), true},
		{"a number as text", "CN=5", single(attribute{cn, stringOf(asn1.TagInteger, "\x05")}), false},
		{"text that looks like an encoding", `CN=\#020105`, single(attribute{cn, stringOf(asn1.TagInteger, "\x05")}), false},
		{"text that looks like an encoding, as text", `CN=\#020105`, single(utf8String(cn, "#020105")), true},
		{"text that looks like more attributes", `CN=a\,O\=b`, single(utf8String(cn, "a,O=b")), true},
		{"text with =", `CN=a=b`, single(utf8String(cn, "a=b")), true},
		{"more attributes that look like text", `CN=a,O=b`, single(utf8String(cn, "a,O=b")), false},
		{"blanks of all kinds", "CN=a b", single(utf8String(cn, "\ta\u00a0\n b \u2003")), true},
		{"no blank for one", "CN=ab", single(utf8String(cn, "a b")), false},
		{"an empty value", "CN=", single(utf8String(cn, " ")), true},
		{"the Kelvin sign for K", "CN=k", single(utf8String(cn, "\u212a")), false},
		{"the long s for s", "CN=s", single(utf8String(cn, "\u017f")), false},
		{"İ for i", "CN=i", single(utf8String(cn, "İ")), false},
		{"Greek in another case", "CN=ΑΒΓ", single(utf8String(cn, "αβγ")), true},
		{"an invisible character", "CN=ab", single(utf8String(cn, "a\u200bb")), false},
		{"a number for another that starts with it", "2.5.4.1=x", single(utf8String("2.5.4.10", "x")), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			want, err := clientauth.ParseName(row.text)
			require.NoError(t, err)
			got, err := clientauth.EncodedName(row.der)
			require.NoError(t, err)
			require.Equal(t, row.equal, want == got)

			p := newPKI(t)
			p.register(func(c *clientauth.Client) { c.SubjectDN = row.text })
			cert := *p.issue(t, nil)
			cert.RawSubject = row.der
			for range 2 { // also from the cache
				if row.equal {
					p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, &cert))
				} else {
					p.requireRefused(t, clientauth.ErrCertificate, with(clientID, &cert))
				}
			}
		})
	}
}

var malformedNames = map[string]string{
	"nothing":                      " ",
	"no type":                      "=x",
	"no =":                         "CN",
	"an unknown type":              "XYZ=x",
	"a type with a prefix":         "OID.2.5.4.3=x",
	"one number":                   "2=x",
	"a number with a leading zero": "2.05.4=x",
	"a number that ends in a dot":  "2.5.=x",
	"a comma at the end":           "CN=x,",
	"a plus at the end":            "CN=x+",
	"two commas":                   "CN=x,,O=y",
	"a comma at the beginning":     ",CN=x",
	"a comma in a value":           "O=Example, Inc.,C=US",
	"a semicolon":                  "CN=x;O=y",
	"quotes":                       `O="Example, Inc.",C=US`,
	"<":                            "CN=<x",
	"slashes":                      "/C=US/CN=x",
	"a backslash at the end":       `CN=x\`,
	"a backslash before one digit": `CN=x\4`,
	"a backslash before a letter":  `CN=\x`,
	"NUL":                          "CN=x\x00y",
	"NUL by its number":            `CN=x\00y`,
	"a control character":          `CN=x\07y`,
	"half a character":             `CN=\C3`,
	"the replacement character":    "CN=\ufffd",
	"# with nothing":               "CN=#",
	"# with an odd digit":          "CN=#13024",
	"# with what is no DER":        "CN=#1302",
	"# with more than DER":         "CN=#1302444500",
	"# with NUL":                   "CN=#0c0100",
	"# that ought to be escaped":   "CN=#1 client",
	"65 attributes":                strings.TrimSuffix(strings.Repeat("CN=x,", 65), ","),
	"4097 bytes":                   "CN=" + strings.Repeat("x", 4094),
}

func TestMalformedNames(t *testing.T) {
	for name, text := range malformedNames {
		err := clientauth.Client{ID: "c", Method: clientauth.MethodTLSClientAuth, SubjectDN: text}.Validate()
		require.Error(t, err, "MTLS-2.1-2 %s", name)
		p := newPKI(t)
		p.register(func(c *clientauth.Client) { c.SubjectDN = text })
		p.requireRefused(t, clientauth.ErrUnavailable, with(clientID, p.issue(t, nil)))
	}
	t.Run("MTLS-2.1-2 in a certificate", func(t *testing.T) {
		var many [][]attribute
		for range 65 {
			many = append(many, one(utf8String(cn, "x")))
		}
		for what, der := range map[string][]byte{
			"nothing": {}, "not DER": {0x30, 0x80}, "more than a name": append(name(t, one(utf8String(cn, "x"))), 0),
			"an empty relative name": name(t, []attribute{}), "a control character": name(t, one(utf8String(cn, "x\x00"))),
			"65 attributes": name(t, many...), "4 KiB": name(t, one(utf8String(cn, strings.Repeat("x", 4096)))),
		} {
			_, err := clientauth.EncodedName(der)
			require.Error(t, err, what)
			p := newPKI(t)
			cert := *p.issue(t, nil)
			cert.RawSubject = der
			p.requireRefused(t, clientauth.ErrCertificate, with(clientID, &cert))
		}
	})
}

// What package pkix makes of a certificate's subject is a way to register it.
func TestNamesAsPackagePKIXWritesThem(t *testing.T) {
	p := newPKI(t)
	cert := p.issue(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.Subject.SerialNumber = ` #a,b+c"d\e<f>g;h=i `, "17"
		c.Subject.Organization = []string{"Ünion", "second"}
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "PSDDE-BAFIN-1"}}
	})
	var sequence pkix.RDNSequence
	_, err := asn1.Unmarshal(cert.RawSubject, &sequence)
	require.NoError(t, err)
	require.Contains(t, sequence.String(), "#130d")
	p.register(func(c *clientauth.Client) { c.SubjectDN = sequence.String() })
	p.requireAccepted(t, clientauth.MethodTLSClientAuth, with(clientID, cert))
}
