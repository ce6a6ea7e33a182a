package jose

import "fmt"

// An ECDSA signature of a JWS is r||s of fixed size (RFC 7518 §3.4).
// crypto.Signer and crypto/ecdsa use ASN.1 DER.
const (
	ecdsaHalf    = 32
	ecdsaRawSize = 2 * ecdsaHalf
	ecdsaDERMax  = 2 + 2*(2+1+ecdsaHalf)
)

// appendDER appends SEQUENCE { INTEGER r, INTEGER s }.
func appendDER(dst, raw []byte) []byte {
	start := len(dst)
	dst = append(dst, 0x30, 0)
	for _, half := range [2][]byte{raw[:ecdsaHalf], raw[ecdsaHalf:ecdsaRawSize]} {
		for len(half) > 1 && half[0] == 0 {
			half = half[1:]
		}
		if half[0] < 0x80 {
			dst = append(dst, 0x02, byte(len(half)))
		} else {
			dst = append(dst, 0x02, byte(len(half)+1), 0)
		}
		dst = append(dst, half...)
	}
	dst[start+1] = byte(len(dst) - start - 2)
	return dst
}

var errDER = fmt.Errorf("%w: malformed ECDSA-Sig-Value of the signer", ErrKey)

// fromDER is the reverse of appendDER, for the result of a signer. It accepts
// only the DER of two positive integers. A faulty device fails here and not at
// every peer.
func fromDER(der []byte) ([]byte, error) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 || der[1] >= 0x80 {
		return nil, errDER
	}
	raw := make([]byte, ecdsaRawSize)
	rest := der[2:]
	for _, half := range [2][]byte{raw[:ecdsaHalf], raw[ecdsaHalf:]} {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, errDER
		}
		n := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(n):]
		if len(n) > 1 && n[0] == 0 && n[1] >= 0x80 {
			n = n[1:]
		} else if len(n) == 0 || n[0] == 0 || n[0] >= 0x80 { // zero, negative or not minimal
			return nil, errDER
		}
		if len(n) > ecdsaHalf {
			return nil, errDER
		}
		copy(half[ecdsaHalf-len(n):], n)
	}
	if len(rest) != 0 {
		return nil, errDER
	}
	return raw, nil
}
