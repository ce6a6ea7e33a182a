package client

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/refresh"
	"golang.org/x/oauth2"
)

const subjectKey = "client: subject"

// A storedSubject is the Extra value of subjectKey. No JSON document can
// produce its type.
type storedSubject string

// A tokenRecord is the plaintext of a stored token. Times are Unix seconds or,
// for the short times of a refresh, milliseconds.
type tokenRecord struct {
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Type         string `json:"token_type,omitempty"`
	Expires      int64  `json:"expires,omitempty"` // 0 if it is unknown
	ExpiresIn    int64  `json:"expires_in,omitempty"`
	Scope        string `json:"scope,omitempty"`
	GrantID      string `json:"grant_id,omitempty"`
	Details      []byte `json:"authorization_details,omitempty"` // encoding/json would change a RawMessage
	IDToken      string `json:"id_token,omitempty"`
	Subject      string `json:"sub,omitempty"`

	ProofKey   []byte `json:"dpop_key,omitempty"` // PKCS #8, unless DPoPKey or a certificate is used
	Thumbprint string `json:"jkt,omitempty"`      // of DPoPKey, unless there is a ProofKey
	Replaced   bool   `json:"replaced,omitempty"` // an API rejected the token before this one
	Dead       bool   `json:"dead,omitempty"`     // the server has rejected the refresh token
	Holder     string `json:"holder,omitempty"`   // of the latest lease
	Lease      int64  `json:"lease,omitempty"`    // end of the lease, or 0
	Failures   int    `json:"failures,omitempty"` // consecutive failed refreshes
	Pause      int64  `json:"pause,omitempty"`    // end of the pause after a failure
	Failure    string `json:"failure,omitempty"`  // error code of the failure
	Ends       int64  `json:"ends"`

	deleted bool // a tombstone, without the other fields
}

// set copies the members of a token, which may come from a refresh. A member
// that a refresh omits is unchanged.
func (r *tokenRecord) set(token *oauth2.Token) {
	r.AccessToken, r.Type, r.ExpiresIn, r.Expires = token.AccessToken, token.TokenType, token.ExpiresIn, 0
	if !token.Expiry.IsZero() {
		r.Expires = token.Expiry.Unix()
	}
	r.RefreshToken = cmp.Or(token.RefreshToken, r.RefreshToken)
	text := func(name, old string) string {
		value, _ := token.Extra(name).(string)
		return cmp.Or(value, old)
	}
	r.Scope, r.GrantID = text("scope", r.Scope), text("grant_id", r.GrantID)
	if details := AuthorizationDetails(token); details != nil {
		r.Details = details
	}
	r.IDToken, r.Subject = text("id_token", r.IDToken), cmp.Or(Subject(token), r.Subject)
	r.Dead, r.Lease, r.Failures, r.Pause, r.Failure = false, 0, 0, 0, ""
}

// bind records the key that the token is bound to. If key is nil, it is that of
// prover or, without one, a certificate.
func (r *tokenRecord) bind(key *proofKey, prover *dpop.Prover) {
	switch {
	case key != nil:
		r.ProofKey, r.Thumbprint = key.pkcs8, ""
	case prover != nil:
		r.Thumbprint = prover.Thumbprint()
	}
}

// oauth2Token returns the token with the Extra values of [StoredToken.Load].
func (e *tokenEntry) oauth2Token() *oauth2.Token {
	token := &oauth2.Token{
		AccessToken: e.AccessToken, RefreshToken: e.RefreshToken, TokenType: e.Type, ExpiresIn: e.ExpiresIn,
	}
	if e.Expires != 0 {
		token.Expiry = time.Unix(e.Expires, 0)
	}
	extra := map[string]any{}
	for name, value := range map[string]string{
		"scope": e.Scope, "grant_id": e.GrantID, "id_token": e.IDToken,
	} {
		if value != "" {
			extra[name] = value
		}
	}
	if e.Subject != "" {
		extra[subjectKey] = storedSubject(e.Subject)
	}
	if e.Details != nil {
		extra[detailsKey] = json.RawMessage(e.Details)
	}
	if e.key != nil {
		extra[proofKeyKey] = e.key
	}
	return token.WithExtra(extra)
}

// Subject returns the sub of the ID token that came with the login. The token
// comes from [Client.Finish] or from a [StoredToken]. A sub identifies a user
// at one issuer: another server may use the same sub for another user. Subject
// returns an empty string if the login had no ID token.
func Subject(token *oauth2.Token) string {
	if verified, ok := IDToken(token); ok {
		return verified.Subject()
	}
	if token == nil {
		return ""
	}
	subject, _ := token.Extra(subjectKey).(storedSubject)
	return string(subject)
}

const (
	tokenKeyID = 8 // bytes
	// The first byte of an entry is its format.
	plainEntry, sealedEntry, deletedEntry = 0, 1, 2
)

// A tokenSealer encrypts records. The key of the entry is the additional data,
// so that a record cannot be moved to another user.
type tokenSealer struct {
	keys       *refresh.Secrets[tokenKey] // nil if records are not encrypted
	allowPlain bool
	now        func() time.Time
}

// A tokenKey is a key with an identifier that does not reveal it.
type tokenKey struct {
	id   string
	aead cipher.AEAD
}

func newTokenSealer(t *Tokens, now func() time.Time) (*tokenSealer, error) {
	s := &tokenSealer{allowPlain: t.InsecureAllowPlaintext, now: now}
	if !t.encrypted() {
		return s, nil
	}
	var err error
	s.keys, err = refresh.NewSecrets(refresh.SecretsConfig[tokenKey]{
		Keys: t.Keys, Source: t.KeySource, Every: t.KeyRefresh, Report: t.Report, Now: now,
		Max: maxSessionKeys, Derive: newTokenKey,
	})
	return s, err
}

func newTokenKey(secret []byte) (key tokenKey, err error) {
	if key.aead, err = newAEAD(secret, "fapi2 client.Tokens 1"); err != nil {
		return key, err
	}
	id, err := hkdf.Key(sha256.New, secret, nil, "fapi2 client.Tokens 1 key ID", tokenKeyID)
	return tokenKey{string(id), key.aead}, err
}

// seal returns the value of an entry. Tombstones are not encrypted. A process
// with a wrong key can delete an entry that it cannot read, and the others can
// then write a new one.
func (s *tokenSealer) seal(ctx context.Context, record tokenRecord, entry string) ([]byte, error) {
	if record.deleted {
		return []byte{deletedEntry}, nil
	}
	plain, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if s.keys == nil {
		return append([]byte{plainEntry}, plain...), nil
	}
	now := s.now()
	ring := s.keys.At(ctx, now)
	key := ring.Keys[ring.Maker(now)]
	return key.aead.Seal(append([]byte{sealedEntry}, key.id...), nil, plain, []byte(entry)), nil
}

// open returns the record of an entry. Every error matches ErrStoredToken.
func (s *tokenSealer) open(value []byte, entry string) (record tokenRecord, err error) {
	if len(value) == 1 && value[0] == deletedEntry {
		return tokenRecord{deleted: true}, nil
	}
	plain, err := s.plaintext(value, entry)
	if err != nil {
		return record, fmt.Errorf("%w: %w", ErrStoredToken, err)
	}
	if json.Unmarshal(plain, &record) != nil || record.Ends == 0 { // the error of encoding/json may quote a token
		return tokenRecord{}, fmt.Errorf("%w: unknown format", ErrStoredToken)
	}
	return record, nil
}

func (s *tokenSealer) plaintext(value []byte, entry string) ([]byte, error) {
	switch {
	case len(value) > 0 && value[0] == plainEntry && s.allowPlain:
		return value[1:], nil
	case len(value) > 0 && value[0] == plainEntry:
		return nil, fmt.Errorf("entry is not encrypted, and InsecureAllowPlaintext is false")
	case len(value) < 1+tokenKeyID || value[0] != sealedEntry:
		return nil, fmt.Errorf("unknown format")
	case s.keys == nil:
		return nil, fmt.Errorf("entry is encrypted, and Keys are missing")
	}
	id, sealed := string(value[1:1+tokenKeyID]), value[1+tokenKeyID:]
	var known []string
	for _, key := range s.keys.At(context.Background(), s.now()).Keys {
		if key.id == id {
			plain, err := key.aead.Open(nil, nil, sealed, []byte(entry))
			if err != nil {
				return nil, fmt.Errorf("entry was changed, or belongs to another user")
			}
			return plain, nil
		}
		known = append(known, hex.EncodeToString([]byte(key.id)))
	}
	return nil, fmt.Errorf("encrypted with key %x, have %s", id, strings.Join(known, ", "))
}
