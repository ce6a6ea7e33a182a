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

// A distinguished name is brought into a normal form, in which equal names are equal strings: MTLS-2.1-2, the
// distinguishedNameMatch of RFC 4517 §4.2.15. Relative names are compared in their order, the attributes of one relative
// name in none. Values that are strings are compared by caseIgnoreMatch, whichever encoding they have, all others by their
// DER.
//
// Of the preparation of strings for caseIgnoreMatch (RFC 4518) this much is done: transcoding to Unicode, folding of case by
// code point, insignificant space. Not done are compatibility normalization and the removal of invisible characters, and
// no letter outside ASCII equals one within. All of these only make names differ that could be equal. Control characters
// are refused instead of ignored.

const maxAttributes = 64 // of a name

// attributeTypes: RFC 4514 §3, RFC 4519, and what certificates of banks have besides (ETSI EN 319 412-1, the EV guidelines)
// under the names that OpenSSL and others give them.
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

// normalName puts together a name of relative names, those of attributes made by normalAttribute.
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

// normalAttribute: kind tells strings from DER.
func normalAttribute(oid, kind, value string) string { return oid + kind + value }

const (
	kindString = "="
	kindDER    = "#"
)

type attributeTypeAndValue struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attributeTypeAndValue // by the suffix encoding/asn1 knows the SET

// encodedName returns the normal form of a DER-encoded name.
func encodedName(der []byte) (string, error) {
	if len(der) > maxSubject {
		return "", fmt.Errorf("name of %d bytes, at most %d", len(der), maxSubject)
	}
	var sequence []relativeNameSET
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return "", errors.New("no DER-encoded name")
	}
	relative, count := make([][]string, len(sequence)), 0
	for i, set := range sequence {
		if count += len(set); len(set) == 0 || count > maxAttributes {
			return "", fmt.Errorf("an empty relative name, or more than %d attributes", maxAttributes)
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

// stringValue transcodes a string type.
func stringValue(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagPrintableString, asn1.TagNumericString, asn1.TagIA5String, tagVisibleString, asn1.TagT61String:
		// What T.61 has beyond ASCII is written in several ways, so it is no string here.
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

// normalString prepares a string for comparison.
func normalString(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("a value that is not UTF-8")
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
			return "", fmt.Errorf("a value with the character %U", r)
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(fold(r))
	}
	return b.String(), nil
}

// fold keeps letters such as the Kelvin sign from turning into ones of ASCII.
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

// parseName returns the normal form of an RFC 4514 string. Blanks around its separators are let pass, as RFC 2253 has it;
// the quotes and semicolons of older forms are not.
func parseName(text string) (string, error) {
	if len(text) > maxSubject {
		return "", fmt.Errorf("name of %d bytes, at most %d", len(text), maxSubject)
	}
	var relative [][]string
	var attributes []string
	for count := 1; ; count++ {
		if count > maxAttributes {
			return "", fmt.Errorf("more than %d attributes", maxAttributes)
		}
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return "", fmt.Errorf("no = after %.64q", text)
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
	slices.Reverse(relative) // RFC 4514 §2.1: the last one is written first
	return normalName(relative), nil
}

func attributeType(key string) (string, error) {
	if oid, ok := attributeTypes[lower(key)]; ok {
		return oid, nil
	}
	arcs := strings.Split(key, ".")
	for _, arc := range arcs {
		if len(arcs) < 2 || arc == "" || len(arc) > 1 && arc[0] == '0' || strings.Trim(arc, "0123456789") != "" {
			return "", fmt.Errorf("%.64q is no attribute type known here, and no dotted number", key)
		}
	}
	return key, nil
}

const (
	special  = `"+,;<>\`             // to be escaped in a value
	escapees = special + ` #=`       // may be escaped by a backslash alone
	refused  = "\"" + `;<>` + "\x00" // what is left of special between values
)

// parseValue returns an attribute, and what follows its value: nothing, or a separator and more.
func parseValue(oid, text string) (attribute, rest string, err error) {
	if strings.HasPrefix(text, "#") {
		end := strings.IndexAny(text, ",+")
		if end < 0 {
			end = len(text)
		}
		der, err := hex.DecodeString(strings.TrimRight(text[1:end], " "))
		if err != nil {
			return "", "", fmt.Errorf("%s: a value that starts with # and is not hexadecimal", oid)
		}
		var v asn1.RawValue
		if rest, err := asn1.Unmarshal(der, &v); err != nil || len(rest) > 0 {
			return "", "", fmt.Errorf("%s: a value of # that is not DER", oid)
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
		case strings.IndexByte(refused, c) >= 0:
			return "", "", fmt.Errorf("%s: %q must be escaped by a backslash", oid, c)
		case c != '\\':
			value = append(value, c)
		case i+1 < len(text) && strings.IndexByte(escapees, text[i+1]) >= 0:
			i++
			value = append(value, text[i])
		default:
			if value, err = hex.AppendDecode(value, []byte(text[i+1:min(i+3, len(text))])); err != nil || i+2 >= len(text) {
				return "", "", fmt.Errorf("%s: a backslash before neither a special character nor two hexadecimal digits", oid)
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
