package openbanking

import (
	"strings"

	"github.com/gofapi/fapi2/rar"
)

// A Currency is an ISO 4217 code in upper case, for example "EUR". Codes of
// metals, funds and tests are invalid.
type Currency string

// JSONSchema returns the pattern of a Currency. It does not express the list of
// codes.
func (Currency) JSONSchema() string {
	return `{"type":"string","pattern":"^[A-Z]{3}$","description":"currency code of ISO 4217"}`
}

// The currencies, by their number of decimals.
const (
	twoDecimals = "" +
		" AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF" +
		" CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL" +
		" HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP" +
		" MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD" +
		" SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS" +
		" VED VES WST XCD XCG YER ZAR ZMW ZWG "
	noDecimals    = " BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF "
	threeDecimals = " BHD IQD JOD KWD LYD OMR TND "
)

// decimals returns the number of decimals of a currency, and whether the
// currency exists.
func (c Currency) decimals() (int, bool) {
	code := " " + string(c) + " "
	switch {
	case len(c) != 3:
		return 0, false
	case strings.Contains(twoDecimals, code):
		return 2, true
	case strings.Contains(noDecimals, code):
		return 0, true
	case strings.Contains(threeDecimals, code):
		return 3, true
	}
	return 0, false
}

// An Amount is a positive amount of money.
type Amount struct {
	// Currency is the currency.
	Currency Currency `json:"currency"`
	// Amount is the number, for example "12.34". It has at most 14 digits
	// before the point, and at most as many after it as the currency has minor
	// units.
	Amount Decimal `json:"amount"`
}

// A Decimal is a decimal number without sign, exponent and leading zeros.
type Decimal string

// JSONSchema returns the pattern of a Decimal.
func (Decimal) JSONSchema() string {
	return `{"type":"string","pattern":"^(0|[1-9][0-9]{0,13})([.][0-9]{1,3})?$","description":"decimal number"}`
}

// check returns an error for an invalid amount that has the right form.
func (a Amount) check(path string) error {
	decimals, ok := a.Currency.decimals()
	if !ok {
		return rar.FieldError(path+".currency", "unknown ISO 4217 code")
	}
	_, fraction, _ := strings.Cut(string(a.Amount), ".")
	if len(fraction) > decimals {
		return rar.FieldError(path+".amount", "too many decimals for the currency")
	}
	if a.units() == 0 {
		return rar.FieldError(path+".amount", "zero")
	}
	return nil
}

// normal returns the amount with all decimals of its currency. Each amount has
// one such spelling, because leading zeros are invalid.
func (a Amount) normal() Amount {
	decimals, _ := a.Currency.decimals()
	whole, fraction, _ := strings.Cut(string(a.Amount), ".")
	if decimals > 0 {
		whole += "." + (fraction + "000")[:decimals]
	}
	return Amount{a.Currency, Decimal(whole)}
}

// normalAmount returns the normal form of an amount that may be absent.
func normalAmount(a *Amount) *Amount {
	if a == nil {
		return nil
	}
	normal := a.normal()
	return &normal
}

// units returns the amount in thousandths. It has at most 17 digits and fits in
// an int64.
func (a Amount) units() (n int64) {
	whole, fraction, _ := strings.Cut(string(a.Amount), ".")
	for _, c := range whole + (fraction + "000")[:3] {
		n = n*10 + int64(c-'0')
	}
	return n
}

// within reports whether a is at most limit.
func (a Amount) within(limit Amount) bool {
	return a.Currency == limit.Currency && a.units() <= limit.units()
}

// Text returns the amount with all decimals of the currency, in the notation of
// the language: "12.50 EUR", or "12,50 EUR" in German ("de").
func (a Amount) Text(language string) string { return a.show(language) }

// show returns the amount in the notation of the language, with all decimals of
// the currency.
func (a Amount) show(language string) string {
	whole, fraction, _ := strings.Cut(string(a.normal().Amount), ".")
	point, separator := ".", ","
	if language == german {
		point, separator = ",", "."
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + separator + whole[i:]
	}
	if fraction != "" {
		whole += point + fraction
	}
	return whole + " " + string(a.Currency)
}
