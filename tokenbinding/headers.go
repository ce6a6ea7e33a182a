package tokenbinding

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// Each parser receives the header values of one request. It returns
// certificates in DER, the client's own first, or none if the client presented
// none. A parser accepts only the form of its proxy, because a header with two
// readings comes from an attacker. The errors contain no part of the value.

var (
	errBase64  = errors.New("malformed base64")
	errEscape  = errors.New("malformed percent-encoding")
	errPEM     = errors.New("malformed PEM certificate")
	errTooMany = errors.New("too many certificates")
)

// decode64 decodes base64 with padding, without any other characters.
func decode64(s string) ([]byte, error) {
	if s == "" || strings.ContainsAny(s, "\r\n") { // the decoder would skip them
		return nil, errBase64
	}
	der, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errBase64
	}
	return der, nil
}

// parseRFC9440 parses Client-Cert, a Structured Fields item (RFC 9440 §2.2),
// and Client-Cert-Chain, the list of the other certificates (RFC 9440 §2.3).
// The list requires the item.
func parseRFC9440(values []string) ([][]byte, error) {
	if values[0] == "" {
		return nil, errors.New("chain without Client-Cert")
	}
	// RFC 9110 §5.5: surrounding blanks do not belong to a value.
	leaf, err := byteSequence(strings.Trim(values[0], " \t"))
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

// byteSequence parses :base64: (RFC 8941 §3.3.5). It rejects parameters, which
// RFC 9440 does not define.
func byteSequence(s string) ([]byte, error) {
	inner, ok := strings.CutPrefix(s, ":")
	if ok {
		inner, ok = strings.CutSuffix(inner, ":")
	}
	if !ok {
		return nil, errors.New("malformed byte sequence, want base64 between colons")
	}
	return decode64(inner)
}

// parseEscapedPEM parses percent-encoded PEM. nginx escapes all but unreserved
// characters. Application Load Balancers also leave +, = and / unescaped, so a
// plus sign is a plus sign.
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

// pemCertificates parses PEM (RFC 7468) that contains only certificates. The
// decoder of the standard library skips other text, so that two readers could
// find two certificates. A line ends with CRLF or LF. RFC 7468 §3 also permits
// a lone CR, which no proxy sends.
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

// parseBase64DER parses ssl_c_der,base64 of HAProxy, with or without the
// quotation marks of the format %{+Q}.
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

// parseTraefik parses the chain of Traefik: the bodies of PEM without line
// breaks, separated by commas. Older versions percent-encode it.
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

// An xfccElement describes the client certificate that one proxy has received.
type xfccElement struct{ hash, cert, chain string }

// parseXFCC parses X-Forwarded-Client-Cert of Envoy. Each of the proxies adds
// an element.
//
// Envoy does not quote names from the certificate (URI=…). A client that can
// choose a name in its certificate can therefore add pairs and elements after
// its own. For that reason the last element and repeated pairs are never
// trusted. Hash precedes all names and is always sent, so the certificate must
// match it.
func parseXFCC(proxies int) func([]string) ([][]byte, error) {
	return func(values []string) ([][]byte, error) {
		elements, err := xfccElements(values[0], proxies)
		if err != nil {
			return nil, err
		}
		if len(elements) < proxies { // the outermost proxy received no certificate
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
			return nil, errors.New("Cert differs from the first certificate of Chain")
		}
		if chain == nil {
			chain = leaf
		}
	}
	if chain == nil {
		return nil, errors.New("missing Cert and Chain; see set_current_client_cert_details")
	}
	sum := sha256.Sum256(chain[0])
	if !strings.EqualFold(e.hash, hex.EncodeToString(sum[:])) {
		return nil, errors.New("mismatching Hash")
	}
	return chain, nil
}

// xfccElements splits the elements: key=value;key="value",key=value and so on.
func xfccElements(s string, most int) (elements []xfccElement, err error) {
	var e xfccElement
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || strings.ContainsFunc(key, func(c rune) bool { return !headerNameRune(c) }) {
			return nil, errors.New("missing or malformed name")
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
				return nil, errors.New("more elements than proxies; does the outermost remove the client's header?")
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

// xfccValue returns the first value of s, and the remaining text, which is
// empty or begins with a separator.
func xfccValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, `,;"`)
		switch {
		case end < 0:
			return s, "", nil
		case s[end] == '"':
			return "", "", errors.New("quotation mark in the middle of a value")
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
				return "", "", errors.New("text after a quoted value")
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("unterminated quoted value")
}

// set stores a pair. It ignores names of the certificate.
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
		return errors.New("empty or repeated Hash, Cert or Chain")
	}
	*to = value
	return nil
}
