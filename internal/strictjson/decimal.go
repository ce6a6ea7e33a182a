package strictjson

import (
	"cmp"
	"math/big"
	"strconv"
	"strings"
)

// A Decimal is the exact value of a JSON number: digits × 10^exp, without zeros
// at either end of digits. The zero value is 0, and so is -0.
type Decimal struct {
	negative bool
	digits   string
	exp      int
}

// maxExponent is larger than the exponent of each number that [Survives].
const maxExponent = 4096

// ParseDecimal parses a JSON number. It returns false if the exponent is too
// large.
func ParseDecimal(text string) (Decimal, bool) {
	var d Decimal
	text, d.negative = strings.CutPrefix(text, "-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exp, err := strconv.Atoi(strings.TrimPrefix(text[i+1:], "+"))
		if err != nil || exp > maxExponent || exp < -maxExponent {
			return Decimal{}, false
		}
		d.exp, text = exp, text[:i]
	}
	if whole, fraction, ok := strings.Cut(text, "."); ok {
		d.exp -= len(fraction)
		text = whole + fraction
	}
	trimmed := strings.TrimRight(text, "0")
	d.exp += len(text) - len(trimmed)
	d.digits = strings.TrimLeft(trimmed, "0")
	if d.digits == "" {
		return Decimal{}, true
	}
	return d, true
}

// Text returns the spelling that normal forms use.
func (d Decimal) Text() string {
	sign := ""
	if d.negative {
		sign = "-"
	}
	switch point := len(d.digits) + d.exp; {
	case d.digits == "":
		return "0"
	case point > 21 || point < -6:
		fraction := ""
		if len(d.digits) > 1 {
			fraction = "." + d.digits[1:]
		}
		return sign + d.digits[:1] + fraction + "e" + strconv.Itoa(point-1)
	case d.exp >= 0:
		return sign + d.digits + strings.Repeat("0", d.exp)
	case point > 0:
		return sign + d.digits[:point] + "." + d.digits[point:]
	default:
		return sign + "0." + strings.Repeat("0", -point) + d.digits
	}
}

// Integral reports whether the number is an integer.
func (d Decimal) Integral() bool { return d.exp >= 0 }

// Compare returns a negative number if d is less than e, 0 if they are equal,
// and a positive number otherwise.
func (d Decimal) Compare(e Decimal) int {
	switch {
	case d.Sign() != e.Sign():
		return cmp.Compare(d.Sign(), e.Sign())
	case d.negative:
		return magnitude(e, d)
	}
	return magnitude(d, e)
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// magnitude compares absolute values by the place of the first digit, then
// digit by digit.
func magnitude(d, e Decimal) int {
	return cmp.Or(cmp.Compare(len(d.digits)+d.exp, len(e.digits)+e.exp), strings.Compare(d.digits, e.digits))
}

// FloatDecimal returns the shortest Decimal that rounds to f. It is the number
// that the author of a schema wrote.
func FloatDecimal(f float64) Decimal {
	d, _ := ParseDecimal(strconv.FormatFloat(f, 'e', -1, 64))
	return d
}

// Rat returns the number as a fraction.
func (d Decimal) Rat() *big.Rat {
	digits := d.digits
	if digits == "" {
		digits = "0"
	}
	r, _ := new(big.Rat).SetString(digits + "e" + strconv.Itoa(d.exp))
	if d.negative {
		r.Neg(r)
	}
	return r
}

// Survives reports whether a reader with floating point numbers reads the
// number without rounding. Otherwise such a reader could show one amount to the
// user and book another.
func Survives(text string) bool {
	if len(text) <= 15 && !strings.ContainsAny(text, "eE") {
		return true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return false
	}
	d, ok := ParseDecimal(text)
	return ok && d == FloatDecimal(f)
}
