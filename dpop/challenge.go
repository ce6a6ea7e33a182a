package dpop

import "strings"

// challengesNonce reports whether WWW-Authenticate has a DPoP challenge with
// error="use_dpop_nonce". It ignores unknown parameters and other schemes.
func challengesNonce(values []string) bool { // DPOP-7.1-6
	for _, value := range values {
		s := challengeScanner{text: value}
		for s.next() {
			// DPOP-7.1-1: scheme and parameter names are case-insensitive.
			if strings.EqualFold(s.scheme, "DPoP") && strings.EqualFold(s.name, "error") && s.value == codeNonce {
				return true
			}
		}
	}
	return false
}

// A challengeScanner iterates over the parameters of a list of challenges (RFC
// 9110 §11.6.1):
//
//	Bearer, Negotiate a87421000000==, DPoP algs="ES256 PS256", error=use_dpop_nonce
//
// The grammar is ambiguous at each comma. A token is the name of a parameter if
// an equals sign and a value follow. Otherwise it is a scheme.
type challengeScanner struct {
	text                string
	scheme, name, value string
}

// next advances to the next parameter.
func (s *challengeScanner) next() bool {
	for s.text != "" {
		s.skip(" \t,")
		token := s.token()
		if token == "" {
			s.drop() // part of a token68, or malformed
			continue
		}
		s.skip(" \t")
		if !strings.HasPrefix(s.text, "=") {
			s.scheme = token
			continue
		}
		s.text = s.text[1:]
		s.skip(" \t")
		value, ok := s.parameterValue()
		if !ok {
			continue // the padding of a token68
		}
		s.name, s.value = token, value
		return true
	}
	return false
}

func (s *challengeScanner) skip(cutset string) { s.text = strings.TrimLeft(s.text, cutset) }

// drop skips one character or a quoted string.
func (s *challengeScanner) drop() {
	if strings.HasPrefix(s.text, `"`) {
		s.parameterValue()
	} else if s.text != "" {
		s.text = s.text[1:]
	}
}

func (s *challengeScanner) token() string {
	i := 0
	for i < len(s.text) && isTokenCharacter(s.text[i]) {
		i++
	}
	token := s.text[:i]
	s.text = s.text[i:]
	return token
}

func (s *challengeScanner) parameterValue() (string, bool) {
	if !strings.HasPrefix(s.text, `"`) {
		value := s.token()
		return value, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.text = s.text[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(s.text):
			i++
			b.WriteByte(s.text[i])
		default:
			b.WriteByte(c)
		}
	}
	s.text = "" // unterminated
	return "", false
}
