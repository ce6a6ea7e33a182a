package form

import (
	"net/url"
	"strings"
)

// parse is url.ParseQuery for at most n parameters. It copies only what has an
// escape. Its error does not quote the input.
func parse(encoded string, n int) (url.Values, error) {
	if strings.Contains(encoded, ";") { // another reader could take it for a separator
		return nil, ErrMalformed
	}
	values, single := make(url.Values, n), make([]string, n)
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok := unescape(name)
		if !ok {
			return nil, ErrMalformed
		}
		if value, ok = unescape(value); !ok {
			return nil, ErrMalformed
		}
		if all, repeated := values[name]; repeated {
			values[name] = append(all, value)
			continue
		}
		single[0] = value
		values[name] = single[:1:1]
		single = single[1:]
	}
	return values, nil
}

// unescape is url.QueryUnescape. It returns false for a malformed escape.
func unescape(s string) (string, bool) {
	escapes := strings.Count(s, "%")
	if escapes == 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	if 3*escapes > len(s) {
		return "", false
	}
	var text strings.Builder
	text.Grow(len(s) - 2*escapes)
	var block [64]byte // faster than appending single bytes
	for i := 0; i < len(s); {
		n := 0
		for ; n < len(block) && i < len(s); n++ {
			c := s[i]
			i++
			switch c {
			case '+':
				c = ' '
			case '%':
				if i+2 > len(s) {
					return "", false
				}
				high, low := hexDigit(s[i]), hexDigit(s[i+1])
				if high > 15 || low > 15 {
					return "", false
				}
				c = high<<4 | low
				i += 2
			}
			block[n] = c
		}
		text.Write(block[:n])
	}
	return text.String(), true
}

// hexDigit returns the value of a hexadecimal digit, or more than 15.
func hexDigit(c byte) byte {
	if '0' <= c && c <= '9' {
		return c - '0'
	}
	if c |= 'a' - 'A'; 'a' <= c && c <= 'f' {
		return c - 'a' + 10
	}
	return 0xff
}
