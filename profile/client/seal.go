package client

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	sessionKeyBytes = 32
	maxSessionKeys  = 8
	// maxSealed bounds a sealed session. Browsers drop cookies of more than
	// 4096 bytes, including the name and the attributes.
	maxSealed = 3800
)

// A sealer encrypts sessions with AES-256-GCM. The binding is the additional
// data: a sealed session opens only with the binding that it was sealed with.
// It is safe for concurrent use.
type sealer struct {
	keys   []cipher.AEAD // the first key seals, every key opens
	maxAge time.Duration
	now    func() time.Time
}

// A sealedSession is the plaintext of a sealed session.
type sealedSession struct {
	Session *Session `json:"s"`
	Begun   int64    `json:"t"` // Unix seconds
}

func (s *sealedSession) begun() time.Time { return time.Unix(s.Begun, 0) }

func newSealer(secrets [][]byte, maxAge time.Duration, now func() time.Time) (*sealer, error) {
	if len(secrets) == 0 || len(secrets) > maxSessionKeys {
		return nil, fmt.Errorf("client: sessions: %d keys, want 1 to %d", len(secrets), maxSessionKeys)
	}
	s := &sealer{maxAge: maxAge, now: now}
	for i, secret := range secrets {
		if len(secret) != sessionKeyBytes {
			return nil, fmt.Errorf("client: sessions: key %d has %d bytes, want %d", i, len(secret), sessionKeyBytes)
		}
		key, err := newAEAD(secret)
		if err != nil {
			return nil, fmt.Errorf("client: sessions: %w", err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// newAEAD derives a key for sessions, because the host may use the secret
// elsewhere. Random nonces are safe for 2³² sessions per key.
func newAEAD(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "fapi2 profile.Session 1", sessionKeyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal returns the session as base64url. It omits URL, which the browser has
// already received.
func (s *sealer) seal(session *Session, binding string) (string, error) {
	if session == nil || session.State == "" || session.CodeVerifier == "" {
		return "", errors.New("client: sessions: incomplete session")
	}
	kept := *session
	kept.URL = ""
	plain, err := json.Marshal(sealedSession{&kept, s.now().Unix()})
	if err != nil {
		return "", fmt.Errorf("client: sessions: %w", err)
	}
	value := base64.RawURLEncoding.EncodeToString(s.keys[0].Seal(nil, nil, plain, []byte(binding)))
	if len(value) > maxSealed {
		return "", fmt.Errorf("client: sessions: session of %d bytes, want at most %d", len(value), maxSealed)
	}
	return value, nil
}

// open returns a session that has not expired. Every error matches ErrSession.
func (s *sealer) open(value, binding string) (*sealedSession, error) {
	if len(value) > maxSealed {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrSession, maxSealed)
	}
	encrypted, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrSession)
	}
	for _, key := range s.keys {
		plain, err := key.Open(nil, nil, encrypted, []byte(binding))
		if err != nil {
			continue
		}
		var sealed sealedSession
		if err := json.Unmarshal(plain, &sealed); err != nil || sealed.Session == nil {
			return nil, fmt.Errorf("%w: unknown format", ErrSession)
		}
		if age := s.now().Truncate(time.Second).Sub(sealed.begun()); age > s.maxAge {
			return nil, fmt.Errorf("%w: expired, age %v, want at most %v", ErrSession, age, s.maxAge)
		}
		return &sealed, nil
	}
	return nil, fmt.Errorf("%w: wrong browser, unknown key or changed value", ErrSession)
}
