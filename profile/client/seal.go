package client

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/refresh"
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
	keys   *refresh.Secrets[cipher.AEAD]
	maxAge time.Duration
	now    func() time.Time
}

// A sealedSession is the plaintext of a sealed session.
type sealedSession struct {
	Session *Session `json:"s"`
	Begun   int64    `json:"t"` // Unix seconds
}

func (s *sealedSession) begun() time.Time { return time.Unix(s.Begun, 0) }

func newSealer(cfg *SessionsConfig) (*sealer, error) {
	keys, err := refresh.NewSecrets(refresh.SecretsConfig[cipher.AEAD]{
		Keys: cfg.Keys, Source: cfg.KeySource, Every: cfg.KeyRefresh, Report: cfg.Report, Now: cfg.Now,
		Max: maxSessionKeys, Derive: newSessionAEAD,
	})
	if err != nil {
		return nil, fmt.Errorf("client: sessions: %w", err)
	}
	return &sealer{keys: keys, maxAge: cfg.MaxAge, now: cfg.Now}, nil
}

func newSessionAEAD(secret []byte) (cipher.AEAD, error) {
	return newAEAD(secret, "fapi2 profile.Session 1")
}

// newAEAD derives a key for one use, because the host may use the secret
// elsewhere. Random nonces are safe for 2³² messages per key.
func newAEAD(secret []byte, use string) (cipher.AEAD, error) {
	if len(secret) != sessionKeyBytes {
		return nil, fmt.Errorf("%d bytes, want %d", len(secret), sessionKeyBytes)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, use, sessionKeyBytes)
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
	now := s.now()
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false) // an address in Keep would have 6 bytes for each "&"
	if err := encoder.Encode(sealedSession{&kept, now.Unix()}); err != nil {
		return "", fmt.Errorf("client: sessions: %w", err)
	}
	ring := s.keys.At(context.Background(), now)
	sealed := ring.Keys[ring.Maker(now)].Seal(nil, nil, plain.Bytes(), []byte(binding))
	value := base64.RawURLEncoding.EncodeToString(sealed)
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
	now := s.now()
	for _, key := range s.keys.At(context.Background(), now).Keys {
		plain, err := key.Open(nil, nil, encrypted, []byte(binding))
		if err != nil {
			continue
		}
		var sealed sealedSession
		if err := json.Unmarshal(plain, &sealed); err != nil || sealed.Session == nil {
			return nil, fmt.Errorf("%w: unknown format", ErrSession)
		}
		if age := now.Truncate(time.Second).Sub(sealed.begun()); age > s.maxAge {
			return nil, fmt.Errorf("%w: expired, age %v, want at most %v", ErrSession, age, s.maxAge)
		}
		return &sealed, nil
	}
	return nil, fmt.Errorf("%w: wrong browser, unknown key or changed value", ErrSession)
}
