package jose

import (
	"crypto/ed25519"
	"encoding/hex"
	"slices"
)

// fieldP is 2²⁵⁵ - 19, the prime of edwards25519, as little-endian octets like
// all numbers in this file.
var fieldP = octets32("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")

// smallOrder has the y of each point of order 1, 2, 4 and 8. The sign of x does
// not matter.
var smallOrder = [...][32]byte{
	octets32("0100000000000000000000000000000000000000000000000000000000000000"),
	octets32("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	octets32("0000000000000000000000000000000000000000000000000000000000000000"),
	octets32("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
	octets32("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
}

func octets32(text string) [32]byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return [32]byte(raw)
}

// ed25519Usable reports whether a public key of 32 octets is canonical and not
// of small order. crypto/ed25519 checks that a key is on the curve, and accepts
// points of small order. Under such a key one forged signature verifies for
// many messages, or for all. A key that is not canonical has a second
// thumbprint.
func ed25519Usable(key ed25519.PublicKey) bool {
	// JWT-3.4-1
	y := [32]byte(key)
	y[31] &= 0x7f // the sign of x
	if slices.Contains(smallOrder[:], y) {
		return false
	}
	for i := len(y) - 1; i >= 0; i-- {
		if y[i] != fieldP[i] {
			return y[i] < fieldP[i]
		}
	}
	return false
}
