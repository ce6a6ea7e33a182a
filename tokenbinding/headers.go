package tokenbinding

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// The parsers of headers take the values of one request and return certificates in DER, the client's own first, none if the
// proxy says that the client presented none. They accept what the proxies send and nothing besides: a header that can be
// read in two ways comes from somebody else. Their errors contain nothing of the value.

var (
	errBase64  = errors.New("not base64")
	errEscape  = errors.New("malformed percent-encoding")
	errPEM     = errors.New("not a certificate in PEM")
	errTooMany = errors.New("too many certificates")
)

// decode64 decodes base64 with padding and nothing else in it.
func decode64(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") { // which the decoder would skip
		return nil, errBase64
	}
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errBase64
	}
	return der, nil
}

// parseRFC9440 reads Client-Cert, a Structured Fields item (RFC 9440 §2.2), and Client-Cert-Chain, a list of the others
// (§2.3), which does not come without it.
func parseRFC9440(values []string) ([][]byte, error) {
	if values[0] == "" {
		return nil, errors.New("a chain without Client-Cert")
	}
	leaf, err := byteSequence(strings.Trim(values[0], " \t")) // RFC 9110 §5.5: blanks around a value are not part of it
	if err != nil {
		return nil, err
	}
	chain := [][]byte{leaf}
	if values[1] == "" {
		return chain, nil
	}
	for member := range strings.SplitSeq(values[1], ",") {
		der, err := byteSequence(strings.Trim(member, " \t"))
		if err != nil {
			return nil, err
		}
		if chain = append(chain, der); len(chain) > maxChain {
			return nil, errTooMany
		}
	}
	return chain, nil
}

// byteSequence reads :base64: (RFC 8941 §3.3.5). Parameters, which RFC 9440 does not know, are refused.
func byteSequence(s string) ([]byte, error) {
	inner, ok := strings.CutPrefix(s, ":")
	if ok {
		inner, ok = strings.CutSuffix(inner, ":")
	}
	if !ok {
		return nil, errors.New("not a byte sequence between colons")
	}
	return decode64(inner)
}

// parseEscapedPEM reads percent-encoded PEM. nginx escapes all but unreserved characters, Application Load Balancers leave
// +, = and / as well: a plus sign stands for itself.
func parseEscapedPEM(most int) func([]string) ([][]byte, error) {
	return func(values []string) ([][]byte, error) { return escapedPEM(values[0], most) }
}

func escapedPEM(s string, most int) ([][]byte, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, errEscape
	}
	return pemCertificates(text, most)
}

// pemCertificates reads PEM (RFC 7468) that is nothing but certificates. The standard library's decoder is for files: it
// skips what it does not understand, so that two readers could see two certificates.
// RFC 7468 §3: a line ends with CRLF, CR or LF. A lone CR is rejected, as no proxy sends it.
func pemCertificates(text string, most int) (chain [][]byte, err error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for text != "" {
		body, ok := strings.CutPrefix(text, "-----BEGIN CERTIFICATE-----\n")
		if !ok {
			return nil, errPEM
		}
		if body, text, ok = strings.Cut(body, "\n-----END CERTIFICATE-----"); !ok {
			return nil, errPEM
		}
		text = strings.TrimPrefix(text, "\n")
		der, err := decode64(strings.ReplaceAll(body, "\n", ""))
		if err != nil {
			return nil, err
		}
		if chain = append(chain, der); len(chain) > most {
			return nil, errTooMany
		}
	}
	if len(chain) == 0 {
		return nil, errPEM
	}
	return chain, nil
}

// parseBase64DER reads HAProxy's ssl_c_der,base64, also in the quotation marks of the format %{+Q}.
func parseBase64DER(values []string) ([][]byte, error) {
	s := values[0]
	if s == `""` {
		return nil, nil
	}
	if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	der, err := decode64(s)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// parseTraefik reads the chain of Traefik: the insides of PEM without line breaks, separated by commas; percent-encoded by
// older versions.
func parseTraefik(values []string) (chain [][]byte, err error) {
	text, err := url.PathUnescape(values[0])
	if err != nil {
		return nil, errEscape
	}
	for member := range strings.SplitSeq(text, ",") {
		der, err := decode64(member)
		if err != nil {
			return nil, err
		}
		if chain = append(chain, der); len(chain) > maxChain {
			return nil, errTooMany
		}
	}
	return chain, nil
}

// xfccElement is what one proxy says of the one before it.
type xfccElement struct{ hash, cert, chain string }

// parseXFCC reads X-Forwarded-Client-Cert of Envoy, to which so many proxies add an element.
//
// Envoy writes names from the certificate (URI=…) without quoting them. Who gets a certificate with a name of their choice
// can so add pairs and whole elements behind their own. Hence neither the last element nor a repeated pair is ever taken
// for good, and Hash, which comes before all names and is always sent, has to fit.
func parseXFCC(proxies int) func([]string) ([][]byte, error) {
	return func(values []string) ([][]byte, error) {
		elements, err := xfccElements(values[0], proxies)
		if err != nil {
			return nil, err
		}
		if len(elements) < proxies { // the outermost has had nothing to add
			return nil, nil
		}
		return elements[0].certificates()
	}
}

func (e xfccElement) certificates() (chain [][]byte, err error) {
	if e.chain != "" {
		if chain, err = escapedPEM(e.chain, maxChain); err != nil {
			return nil, err
		}
	}
	if e.cert != "" {
		leaf, err := escapedPEM(e.cert, 1)
		if err != nil {
			return nil, err
		}
		if chain != nil && string(chain[0]) != string(leaf[0]) {
			return nil, errors.New("the Cert is not the first of Chain")
		}
		if chain == nil {
			chain = leaf
		}
	}
	if chain == nil {
		return nil, errors.New("neither Cert nor Chain: set_current_client_cert_details has to ask for one")
	}
	sum := sha256.Sum256(chain[0])
	if !strings.EqualFold(e.hash, hex.EncodeToString(sum[:])) {
		return nil, errors.New("the Hash is not that of the certificate")
	}
	return chain, nil
}

// xfccElements takes the elements apart: key=value;key="value",key=value and so on.
func xfccElements(s string, most int) (elements []xfccElement, err error) {
	var e xfccElement
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || strings.ContainsFunc(key, func(c rune) bool { return !headerNameRune(c) }) {
			return nil, errors.New("a name is missing")
		}
		value, rest, err := xfccValue(rest)
		if err != nil {
			return nil, err
		}
		if err := e.set(key, value); err != nil {
			return nil, err
		}
		if rest == "" || rest[0] == ',' {
			if elements = append(elements, e); len(elements) > most {
				return nil, errors.New("more elements than there are proxies; does the outermost one remove what clients send?")
			}
			e = xfccElement{}
		}
		if rest == "" {
			return elements, nil
		}
		s = rest[1:]
		if rest[0] == ',' {
			s = strings.TrimLeft(s, " \t")
		}
	}
}

// xfccValue returns the value that s starts with, and the rest, which is empty or starts with a separator.
func xfccValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, `,;"`)
		switch {
		case end < 0:
			return s, "", nil
		case s[end] == '"':
			return "", "", errors.New("a quotation mark in the middle of a value")
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"':
			if rest = s[i+1:]; rest != "" && rest[0] != ',' && rest[0] != ';' {
				return "", "", errors.New("something behind a quoted value")
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a quoted value without an end")
}

// set takes note of a pair. Names are for others.
func (e *xfccElement) set(key, value string) error {
	var to *string
	switch strings.ToLower(key) {
	case "hash":
		to = &e.hash
	case "cert":
		to = &e.cert
	case "chain":
		to = &e.chain
	default:
		return nil
	}
	if *to != "" || value == "" {
		return errors.New("a Hash, Cert or Chain that is empty or repeated")
	}
	*to = value
	return nil
}
