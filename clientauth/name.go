package clientauth

import (
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Distinguished names are compared by normal forms, which are equal strings for
// equal names (MTLS-2.1-2). The comparison is distinguishedNameMatch of RFC
// 4517 §4.2.15. The order of relative names matters, and the order of
// attributes within one does not. Strings are compared by caseIgnoreMatch in
// any encoding, other values by their DER.
//
// Strings are prepared by a part of RFC 4518: transcoding to Unicode, folding
// of case by code point, insignificant space. Compatibility normalization and
// the removal of invisible characters are omitted, and a letter outside ASCII
// never equals one within. Names can only become unequal by these omissions.
// Control characters are rejected and not ignored.

const maxAttributes = 64 // of a name

// attributeTypes has the attribute types of RFC 4514 §3 and RFC 4519. It also
// has those in certificates of banks (ETSI EN 319 412-1, EV guidelines), by the
// names of OpenSSL.
var attributeTypes = map[string]string{
	"cn": "2.5.4.3", "commonname": "2.5.4.3",
	"sn": "2.5.4.4", "surname": "2.5.4.4",
	"serialnumber": "2.5.4.5",
	"c":            "2.5.4.6", "countryname": "2.5.4.6",
	"l": "2.5.4.7", "localityname": "2.5.4.7",
	"st": "2.5.4.8", "stateorprovincename": "2.5.4.8",
	"street": "2.5.4.9", "streetaddress": "2.5.4.9",
	"o": "2.5.4.10", "organizationname": "2.5.4.10",
	"ou": "2.5.4.11", "organizationalunitname": "2.5.4.11",
	"title":            "2.5.4.12",
	"description":      "2.5.4.13",
	"businesscategory": "2.5.4.15",
	"postalcode":       "2.5.4.17",
	"name":             "2.5.4.41",
	"gn":               "2.5.4.42", "givenname": "2.5.4.42",
	"initials":            "2.5.4.43",
	"generationqualifier": "2.5.4.44",
	"dnqualifier":         "2.5.4.46", "pseudonym": "2.5.4.65",
	"organizationidentifier": "2.5.4.97",
	"uid":                    "0.9.2342.19200300.100.1.1", "userid": "0.9.2342.19200300.100.1.1",
	"dc": "0.9.2342.19200300.100.1.25", "domaincomponent": "0.9.2342.19200300.100.1.25",
	"e": "1.2.840.113549.1.9.1", "emailaddress": "1.2.840.113549.1.9.1",
	"jurisdictionl": "1.3.6.1.4.1.311.60.2.1.1", "jurisdictionlocalityname": "1.3.6.1.4.1.311.60.2.1.1",
	"jurisdictionst": "1.3.6.1.4.1.311.60.2.1.2", "jurisdictionstateorprovincename": "1.3.6.1.4.1.311.60.2.1.2",
	"jurisdictionc": "1.3.6.1.4.1.311.60.2.1.3", "jurisdictioncountryname": "1.3.6.1.4.1.311.60.2.1.3",
}

// normalName returns the normal form of a name, whose attributes come from
// normalAttribute.
func normalName(relative [][]string) string {
	var b []byte
	for _, attributes := range relative {
		slices.Sort(attributes)
		b = binary.AppendUvarint(b, uint64(len(attributes)))
		for _, a := range attributes {
			b = binary.AppendUvarint(b, uint64(len(a)))
			b = append(b, a...)
		}
	}
	return string(b)
}

// normalAttribute returns the normal form of an attribute. The kind separates
// strings from DER.
func normalAttribute(oid, kind, value string) string { return oid + kind + value }

const (
	kindString = "="
	kindDER    = "#"
)

type attributeTypeAndValue struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attributeTypeAndValue // encoding/asn1 detects a SET by the suffix of the name

// encodedName returns the normal form of a DER-encoded name.
func encodedName(der []byte) (string, error) {
	if len(der) > maxSubject {
		return "", fmt.Errorf("name of %d bytes, want at most %d", len(der), maxSubject)
	}
	var sequence []relativeNameSET
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return "", errors.New("malformed DER of a name")
	}
	relative, count := make([][]string, len(sequence)), 0
	for i, set := range sequence {
		if count += len(set); len(set) == 0 || count > maxAttributes {
			return "", fmt.Errorf("empty relative name or more than %d attributes", maxAttributes)
		}
		for _, a := range set {
			attribute, err := encodedAttribute(a.Type.String(), a.Value)
			if err != nil {
				return "", err
			}
			relative[i] = append(relative[i], attribute)
		}
	}
	return normalName(relative), nil
}

func encodedAttribute(oid string, v asn1.RawValue) (string, error) {
	s, ok := stringValue(v)
	if !ok {
		return normalAttribute(oid, kindDER, string(v.FullBytes)), nil
	}
	s, err := normalString(s)
	if err != nil {
		return "", fmt.Errorf("%s: %w", oid, err)
	}
	return normalAttribute(oid, kindString, s), nil
}

const tagVisibleString = 26

// stringValue returns the text of a string type.
func stringValue(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagPrintableString, asn1.TagNumericString, asn1.TagIA5String, tagVisibleString, asn1.TagT61String:
		// The encodings of T.61 beyond ASCII differ, so such a value is not a
		// string.
		return string(v.Bytes), !slices.ContainsFunc(v.Bytes, func(c byte) bool { return c >= utf8.RuneSelf })
	case asn1.TagBMPString:
		var b strings.Builder
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			r := rune(binary.BigEndian.Uint16(v.Bytes[i:]))
			if !utf8.ValidRune(r) { // UCS-2 has no surrogates
				return "", false
			}
			b.WriteRune(r)
		}
		return b.String(), len(v.Bytes)%2 == 0
	}
	return "", false
}

// normalString returns the normal form of a string.
func normalString(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("value is not UTF-8")
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case unicode.IsControl(r) || r == utf8.RuneError:
			return "", fmt.Errorf("value with the character %U", r)
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(fold(r))
	}
	return b.String(), nil
}

// fold lowers the case of a letter. It does not map letters such as the Kelvin
// sign to ASCII.
func fold(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	if r < utf8.RuneSelf {
		return r
	}
	if l := unicode.ToLower(r); l >= utf8.RuneSelf {
		return l
	}
	return r
}

// parseName returns the normal form of an RFC 4514 string. It accepts spaces
// around separators (RFC 2253). It rejects the quotes and semicolons of older
// forms.
func parseName(text string) (string, error) {
	if len(text) > maxSubject {
		return "", fmt.Errorf("name of %d bytes, want at most %d", len(text), maxSubject)
	}
	var relative [][]string
	var attributes []string
	for count := 1; ; count++ {
		if count > maxAttributes {
			return "", fmt.Errorf("more than %d attributes", maxAttributes)
		}
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return "", fmt.Errorf("missing = after %.64q", text)
		}
		oid, err := attributeType(strings.Trim(key, " "))
		if err != nil {
			return "", err
		}
		attribute, rest, err := parseValue(oid, strings.TrimLeft(rest, " "))
		if err != nil {
			return "", err
		}
		attributes = append(attributes, attribute)
		if rest == "" || rest[0] == ',' {
			relative = append(relative, attributes)
			attributes = nil
		}
		if rest == "" {
			break
		}
		text = rest[1:]
	}
	slices.Reverse(relative) // RFC 4514 §2.1: the last relative name is first
	return normalName(relative), nil
}

func attributeType(key string) (string, error) {
	if oid, ok := attributeTypes[lower(key)]; ok {
		return oid, nil
	}
	arcs := strings.Split(key, ".")
	for _, arc := range arcs {
		if len(arcs) < 2 || arc == "" || len(arc) > 1 && arc[0] == '0' || strings.Trim(arc, "0123456789") != "" {
			return "", fmt.Errorf("unknown attribute type %.64q, want a name or a dotted number", key)
		}
	}
	return key, nil
}

const (
	special  = `"+,;<>\`             // to be escaped in a value
	escapees = special + ` #=`       // may be escaped by a backslash alone
	unquoted = "\"" + `;<>` + "\x00" // must be escaped and are not separators
)

// parseValue returns an attribute and the text after its value, which is empty
// or starts with a separator.
func parseValue(oid, text string) (attribute, rest string, err error) {
	if strings.HasPrefix(text, "#") {
		end := strings.IndexAny(text, ",+")
		if end < 0 {
			end = len(text)
		}
		der, err := hex.DecodeString(strings.TrimRight(text[1:end], " "))
		if err != nil {
			return "", "", fmt.Errorf("%s: value after # is not hexadecimal", oid)
		}
		var v asn1.RawValue
		if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) > 0 {
			return "", "", fmt.Errorf("%s: value after # is not DER", oid)
		}
		attribute, err = encodedAttribute(oid, v)
		return attribute, text[end:], err
	}
	var value []byte
	i := 0
scan:
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == ',' || c == '+':
			break scan
		case strings.IndexByte(unquoted, c) >= 0:
			return "", "", fmt.Errorf("%s: unescaped %q", oid, c)
		case c != '\\':
			value = append(value, c)
		case i+1 < len(text) && strings.IndexByte(escapees, text[i+1]) >= 0:
			i++
			value = append(value, text[i])
		default:
			value, err = hex.AppendDecode(value, []byte(text[i+1:min(i+3, len(text))]))
			if err != nil || i+2 >= len(text) {
				return "", "", fmt.Errorf("%s: malformed escape sequence", oid)
			}
			i += 2
		}
	}
	s, err := normalString(string(value))
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", oid, err)
	}
	return normalAttribute(oid, kindString, s), text[i:], nil
}
