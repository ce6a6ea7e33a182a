package authserver

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// responseContentEncryption is the only one for authorization responses.
const responseContentEncryption = jose.A256GCM

// encryptionMetadata publishes the algorithms of encrypted responses. Each
// client chooses by its registration, and the responses of others are not
// encrypted.
func (s *Server) encryptionMetadata(m *profile.ServerMetadata) {
	algs, encs := jose.EncryptionAlgorithms, jose.ContentEncryptions
	if s.cfg.EncryptedResponses { // JARM-4-1
		m.AuthorizationEncryptionAlgValuesSupported = algs()
		m.AuthorizationEncryptionEncValuesSupported = []string{responseContentEncryption}
	}
	if slices.Contains(s.cfg.Scopes, scopeOpenID) {
		m.IDTokenEncryptionAlgValuesSupported, m.IDTokenEncryptionEncValuesSupported = algs(), encs()
	}
	if s.userInfo != nil {
		m.UserInfoEncryptionAlgValuesSupported, m.UserInfoEncryptionEncValuesSupported = algs(), encs()
	}
	if s.cfg.Introspection != nil { // INT-9701-7-1
		m.IntrospectionEncryptionAlgValuesSupported, m.IntrospectionEncryptionEncValuesSupported = algs(), encs()
	}
}

// wanted has the members of a registration that request encryption.
type wanted struct {
	member   string // their names, without _alg and _enc
	alg, enc string
}

func idTokenWanted(c *profile.ClientMetadata) wanted {
	return wanted{"id_token_encrypted_response", c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc}
}

func userInfoWanted(c *profile.ClientMetadata) wanted {
	return wanted{"userinfo_encrypted_response", c.UserInfoEncryptedResponseAlg, c.UserInfoEncryptedResponseEnc}
}

func introspectionWanted(c *profile.ClientMetadata) wanted {
	return wanted{"introspection_encrypted_response",
		c.IntrospectionEncryptedResponseAlg, c.IntrospectionEncryptedResponseEnc}
}

// contentEncryption returns enc with its default (CA-REG-2-1, INT-9701-6-1).
func (w wanted) contentEncryption() string { return cmp.Or(w.enc, jose.A128CBCHS256) }

// recipient returns the key of a client and the algorithms for it, or nil if
// the client is not registered for encryption. It does not fall back to other
// algorithms or to none. The error of a set of keys that cannot be fetched is
// unavailable, and the client can repeat its request.
func (s *Server) recipient(
	ctx context.Context, client *profile.ClientMetadata, w wanted,
) (*jose.Encryption, error) {
	if w.alg == "" {
		return nil, nil
	}
	w.enc = w.contentEncryption()
	algs, encs := jose.EncryptionAlgorithms(), jose.ContentEncryptions()
	if !slices.Contains(algs, w.alg) || !slices.Contains(encs, w.enc) {
		return nil, oautherr.Describe(
			fmt.Errorf("%w: unsupported %s %.20q with %.20q, want one of %q with one of %q",
				ErrClientNotAllowed, w.member, w.alg, w.enc, algs, encs),
			"the client's "+w.member+"_alg and _enc are not among the algorithms that this server encrypts with")
	}
	keys, err := s.remoteKeys.encryption(ctx, client, w.alg)
	bits := s.rulesIn(ctx, client).Algorithms.RSABits
	i := slices.IndexFunc(keys, func(key jwks.Key) bool { return jose.HasRSABits(key.Public, bits) })
	switch {
	case wire.Unavailable(err):
		return nil, err
	case err != nil || i < 0: // CA-OIDC-10.2-2
		return nil, oautherr.Describe(
			fmt.Errorf("%w: missing key with use enc for %s (%s_alg): %v", ErrClientNotAllowed, w.alg, w.member, err),
			"the client has no key with use enc for its "+w.member+"_alg")
	}
	return &jose.Encryption{
		Key: keys[i].Public, KeyID: keys[i].KeyID, Algorithm: w.alg, ContentEncryption: w.enc,
	}, nil
}

func (s *Server) idTokenRecipient(ctx context.Context, c *profile.ClientMetadata) (*jose.Encryption, error) {
	return s.recipient(ctx, c, idTokenWanted(c))
}

// userInfoRecipient requires that an encrypted response is signed as well.
// Every party can encrypt to a public key.
func (s *Server) userInfoRecipient(ctx context.Context, c *profile.ClientMetadata) (*jose.Encryption, error) {
	if c.UserInfoEncryptedResponseAlg != "" && c.UserInfoSignedResponseAlg == "" { // CA-OIDC-10.2-1
		return nil, oautherr.Describe(
			fmt.Errorf("%w: userinfo_encrypted_response_alg without %s", ErrClientNotAllowed, memberUserInfoAlg),
			"the client's registration requires userinfo_signed_response_alg as well")
	}
	return s.recipient(ctx, c, userInfoWanted(c))
}

func (s *Server) introspectionRecipient(ctx context.Context, c *profile.ClientMetadata) (*jose.Encryption, error) {
	return s.recipient(ctx, c, introspectionWanted(c))
}

// responseRecipient returns the recipient of authorization responses. MS-6.1-1:
// the server has to be configured for their encryption. JARM-3-2: a
// registration without enc means A128CBC-HS256, which is not supported here.
func (s *Server) responseRecipient(ctx context.Context, c *profile.ClientMetadata) (*jose.Encryption, error) {
	w := wanted{"authorization_encrypted_response",
		c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc}
	if w.alg != "" && (!s.cfg.EncryptedResponses || w.enc != responseContentEncryption) {
		return nil, fmt.Errorf("%w: unsupported encryption of authorization responses", ErrClientNotAllowed)
	}
	return s.recipient(ctx, c, w)
}
