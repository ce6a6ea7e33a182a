package idtoken

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
)

// minPairwiseSecret is the size of the output of the hash.
const minPairwiseSecret = sha256.Size

// PairwiseSubjects returns a function that makes pairwise subject identifiers
// (OpenID Connect Core §8.1): the clients of one sector receive one identifier
// of a user, and other clients receive another one. It fits
// authserver.Config.Pairwise, and is safe for concurrent use.
//
// The identifier is the HMAC-SHA-256 of the sector identifier, a zero byte and
// the subject, in base64url without padding. The secret is at least 32 random
// bytes. Each instance requires the same secret. A change of it makes each user
// a stranger to the clients, and so does its loss.
func PairwiseSubjects(secret []byte) (func(ctx context.Context, sector, subject string) (string, error), error) {
	if len(secret) < minPairwiseSecret {
		return nil, fmt.Errorf("idtoken: secret of pairwise subjects has %d bytes, want at least %d",
			len(secret), minPairwiseSecret)
	}
	secret = slices.Clone(secret)
	return func(_ context.Context, sector, subject string) (string, error) {
		h := hmac.New(sha256.New, secret)          // CA-OIDC-8.1-1, CA-OIDC-8.1-2
		h.Write([]byte(sector + "\x00" + subject)) // a sector has no zero byte
		return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
	}, nil
}
