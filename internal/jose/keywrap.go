package jose

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// concatKDF derives a key of size octets from an agreed secret (RFC 7518
// §4.6.2). id is enc for a direct agreement, and alg if the key wraps another
// one.
func concatKDF(z []byte, id string, apu, apv []byte, size int) (key []byte) {
	var info []byte
	for _, field := range [][]byte{[]byte(id), apu, apv} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(field)))
		info = append(info, field...)
	}
	info = binary.BigEndian.AppendUint32(info, uint32(8*size))
	for round := uint32(1); len(key) < size; round++ {
		h := sha256.New()
		h.Write(binary.BigEndian.AppendUint32(nil, round))
		h.Write(z)
		h.Write(info)
		key = h.Sum(key)
	}
	return key[:size]
}

// wrapBlock is the block size of AES Key Wrap, and the length that it adds.
const wrapBlock = 8

// unwrap decrypts a content key with AES Key Wrap (RFC 3394 §2.2.2).
func unwrap(kek, sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil || len(sealed) < 3*wrapBlock || len(sealed)%wrapBlock != 0 {
		return nil, errContentKey
	}
	var b [aes.BlockSize]byte
	key, a := bytes.Clone(sealed[wrapBlock:]), b[:wrapBlock]
	copy(a, sealed)
	n := len(key) / wrapBlock
	for t := 6 * n; t > 0; t-- {
		part := key[(t-1)%n*wrapBlock:][:wrapBlock]
		binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(a)^uint64(t))
		copy(b[wrapBlock:], part)
		block.Decrypt(b[:], b[:])
		copy(part, b[wrapBlock:])
	}
	if subtle.ConstantTimeCompare(a, bytes.Repeat([]byte{0xa6}, wrapBlock)) != 1 {
		return nil, errContentKey
	}
	return key, nil
}
