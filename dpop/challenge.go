package dpop

import "strings"

// challengesNonce reports whether WWW-Authenticate has a DPoP challenge with error="use_dpop_nonce".
//
// DPOP-7.1-6: parameters that mean nothing to us are passed over, as are challenges of other schemes.
func challengesNonce(values []string) bool {
	for _, value := range values {
		s := challengeScanner{text: value}
		for s.next() {
			// DPOP-7.1-1: scheme and parameter names in whatever case.
			if strings.EqualFold(s.scheme, "DPoP") && strings.EqualFold(s.name, "error") && s.value == codeNonce {
				return true
			}
		}
	}
	return false
}

// challengeScanner walks over the parameters of a list of challenges (RFC 9110 §11.6.1):
//
//	Bearer, Negotiate a87421000000==, DPoP algs="ES256 PS256", error=use_dpop_nonce
//
// The grammar is ambiguous at each comma. A token is a parameter's name if one equals sign and a value follow, and
// a scheme otherwise.
type challengeScanner struct {
	text                string
	scheme, name, value string
}

// next goes to the next parameter.
func (s *challengeScanner) next() bool {
	for s.text != "" {
		s.skip(" \t,")
		token := s.token()
		if token == "" {
			s.drop() // part of a token68, or no challenge at all
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

// drop passes over one character, or a quoted string.
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
	s.text = "" // it does not end
	return "", false
}
