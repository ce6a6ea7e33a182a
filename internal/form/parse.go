package form

import (
	"net/url"
	"strings"
)

// usual is more than the number of parameters in usual requests.
const usual = 32

// parse is url.ParseQuery for at most n parameters. It copies only what has an
// escape. Its error does not quote the input.
func parse(encoded string, n int) (url.Values, error) {
	if strings.Contains(encoded, ";") { // another reader could take it for a separator
		return nil, ErrMalformed
	}
	n = min(n, usual) // a separator may have no parameter
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
		if len(single) == 0 {
			single = make([]string, usual)
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
	var block [256]byte // faster than appending single bytes
	for i := 0; i < len(s); {
		n := 0
		for ; n < len(block) && i < len(s); n++ {
			c := s[i]
			i++
			if c == '%' {
				if i+2 > len(s) {
					return "", false
				}
				high, low := hexValue[s[i]], hexValue[s[i+1]]
				if high|low > 15 {
					return "", false
				}
				c = high<<4 | low
				i += 2
			} else if c == '+' {
				c = ' '
			}
			block[n] = c
		}
		text.Write(block[:n])
	}
	return text.String(), true
}

// hexValue has the value of each hexadecimal digit, and 255 for all other
// bytes. It makes unescape a quarter faster.
var hexValue = func() (table [256]byte) {
	for i := range table {
		table[i] = 255
	}
	for i := range 10 {
		table['0'+i] = byte(i)
	}
	for i := range 6 {
		table['a'+i], table['A'+i] = byte(10+i), byte(10+i)
	}
	return table
}()
