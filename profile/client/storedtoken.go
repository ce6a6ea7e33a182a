package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

const (
	// readAgain is the time after which a StoredToken reads the store again,
	// although its token has not expired. Another process may have replaced it.
	readAgain = 10 * time.Second
	// maxSaves bounds the attempts of a login to replace an entry that other
	// processes change at the same time.
	maxSaves = 16
)

// A StoredToken is the token of one user in the store of [Config.Tokens].
// [Client.StoredToken] returns one for each request of the user. It is an
// oauth2.TokenSource for [Client.HTTPClient]. It is safe for concurrent use.
//
// A StoredToken reads the store at its first use, and then again every 10
// seconds. If the token expires, one process refreshes it and saves the new
// token. The other processes wait for that. Before the refresh, the process
// writes a lease into the entry, which ends 15 seconds after the timeout of the
// refresh. The clocks of the processes may differ by 10 seconds. Failures of
// the server are stored too: no process repeats the refresh during the pause
// that [Client.TokenSource] describes.
//
// Errors match [ErrReauthorize] if the user must authorize again. There are
// three reasons: the store has no token, the server has rejected the refresh
// token, or an expired token has no refresh token. The next Save makes the
// StoredToken usable in all processes. Other errors match [ErrStore] or
// [ErrStoredToken], or are those of [Client.Refresh]. While the store fails, a
// token that has been read is used until it expires.
//
// A refresh that has been sent is finished and saved, even if the store fails
// for some minutes. If the process ends before that, the next process sends the
// old refresh token again, after the lease. If the server has rotated the
// refresh token and rejects the old one, the user must authorize again. No
// client can prevent that. FAPI 2.0 Security Profile §5.3.2.1 permits rotation
// in extraordinary circumstances only.
type StoredToken struct {
	client  *Client
	id      string   // the key of the entry
	request *Request // of the client's own tokens; nil for the token of a user
	err     error
	held    atomic.Pointer[heldToken]
}

// A heldToken is an entry that was read, with its token.
type heldToken struct {
	*tokenEntry
	token *oauth2.Token
}

// StoredToken returns the token of a user. user is a permanent identifier of
// the host, for example the number of the account. A host that has no accounts
// of its own uses the [Subject] of the login. user must come from the host's
// own session, and never from a parameter of the request. An account that is
// connected twice to the same server needs two identifiers. If user is empty,
// the methods of the result return an error. StoredToken does not read the
// store. A client with another Issuer or ClientID has other tokens for the same
// user.
func (c *Client) StoredToken(user string) *StoredToken {
	s := &StoredToken{client: c}
	switch {
	case c.shared.vault == nil:
		s.err = errors.New("client: missing Config.Tokens")
	case user == "":
		s.err = errors.New("client: missing user of a stored token")
	default:
		s.id = c.shared.vault.key("user", user)
	}
	return s
}

// String omits the token and the user.
func (s *StoredToken) String() string { return "stored token of " + s.client.String() }

// GoString omits the token and the user.
func (s *StoredToken) GoString() string { return s.String() }

// LogValue omits the token and the user.
func (s *StoredToken) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Token implements oauth2.TokenSource. It refreshes the token if necessary.
func (s *StoredToken) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.client.leaseLife())
	defer cancel()
	return s.tokenFor(ctx)
}

// Load returns the token as it is stored, even if it has expired. It has the
// Extra values scope, grant_id and id_token of the login or of a later
// response. [Subject] and [AuthorizationDetails] return further parts.
func (s *StoredToken) Load(ctx context.Context) (*oauth2.Token, error) {
	e, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.final(s.client.cfg.Hooks.Now()); err != nil {
		return nil, err
	}
	return e.oauth2Token(), nil
}

// Save stores the token of a login in place of an earlier token of the user.
// The token comes from [Client.Finish] or [Client.CallbackHandler]. Save keeps
// its scope, grant_id, authorization_details, ID token and DPoP key. A token of
// another origin, for example from an earlier store of the host, is accepted if
// it has a refresh token. The first use then refreshes it, because its key is
// unknown.
//
// An entry that cannot be read is not replaced, see [ErrStoredToken]. Save does
// not revoke the earlier token, because both may belong to one grant.
func (s *StoredToken) Save(ctx context.Context, token *oauth2.Token) error {
	if s.err != nil {
		return s.err
	}
	if token == nil || token.AccessToken == "" && token.RefreshToken == "" {
		return errors.New("client: missing token")
	}
	record := tokenRecord{}
	record.set(token)
	key, err := s.client.recordKey(&record, token)
	if err != nil {
		return err
	}
	return s.write(ctx, record, key, func(err error) error { return err })
}

// Delete removes the entry, even if it cannot be read. It does not revoke the
// token. A user without an entry is not an error.
func (s *StoredToken) Delete(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	return s.write(ctx, tokenRecord{deleted: true}, nil, func(err error) error {
		if errors.Is(err, ErrStoredToken) {
			return nil
		}
		return err
	})
}

// Revoke ends the connection: it revokes the token at the server, and then
// removes the entry. It waits for a running refresh. If the server does not
// confirm the revocation, the entry remains, and Revoke can be called again. A
// user without a token is not an error.
func (s *StoredToken) Revoke(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	e, err := s.load(ctx)
	if err != nil {
		return err
	}
	w := newLeaseWait(e)
	for {
		if e.final(s.client.cfg.Hooks.Now()) != nil && e.RefreshToken == "" && e.AccessToken == "" {
			return s.Delete(ctx)
		}
		claimed, err := s.claim(ctx, e, w)
		if err != nil {
			return err
		}
		if claimed != nil {
			return s.revokeClaimed(ctx, claimed)
		}
		if e, err = s.await(ctx, w); err != nil {
			return err
		}
	}
}

func (s *StoredToken) revokeClaimed(ctx context.Context, claimed *tokenEntry) error {
	token, hint := claimed.RefreshToken, "refresh_token"
	if token == "" {
		token, hint = claimed.AccessToken, "access_token"
	}
	vault := s.client.shared.vault
	if err := s.client.Revoke(withProofKey(ctx, claimed.key), token, hint); err != nil {
		released := claimed.tokenRecord
		released.Lease = 0
		_, failed := vault.replace(context.WithoutCancel(ctx), s.id, claimed, released, claimed.key)
		return errors.Join(err, failed)
	}
	s.held.Store(nil)
	// If a login has replaced the entry in the meantime, its token remains.
	_, err := vault.replace(context.WithoutCancel(ctx), s.id, claimed, tokenRecord{deleted: true}, nil)
	return err
}

// write replaces the entry, whatever other processes do. A login or a deletion
// is later than their refreshes.
func (s *StoredToken) write(
	ctx context.Context, record tokenRecord, key *proofKey, accept func(unreadable error) error,
) error {
	vault := s.client.shared.vault
	for range maxSaves {
		e, err := vault.load(ctx, s.id)
		if err = accept(err); err != nil {
			return err
		}
		if e == nil || record.deleted && e.version == 0 {
			return nil
		}
		written, err := vault.replace(ctx, s.id, e, record, key)
		if err != nil {
			return err
		}
		if written != nil {
			s.held.Store(nil)
			return nil
		}
	}
	return fmt.Errorf("%w: the entry changes too often", ErrStore)
}

// recordKey returns the DPoP key of a token that is to be stored, and records
// it.
func (c *Client) recordKey(record *tokenRecord, token *oauth2.Token) (*proofKey, error) {
	key := proofKeyOf(token)
	if key == nil && c.keyPerLogin { // the token is bound to a key that ends with this or another process
		if token.RefreshToken == "" {
			return nil, errors.New("client: token without its DPoP key and without a refresh token")
		}
		var err error
		if key, err = c.newProofKey(); err != nil {
			return nil, err
		}
		record.AccessToken = ""
	}
	if c.cfg.MutualTLS.BindTokens {
		return nil, nil //nolint:nilnil // bound to the certificate
	}
	record.bind(key, c.prover)
	return key, nil
}

func (s *StoredToken) load(ctx context.Context) (*tokenEntry, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.client.shared.vault.load(ctx, s.id)
}

// tokenFor implements ownSource.
func (s *StoredToken) tokenFor(ctx context.Context) (*oauth2.Token, error) {
	held := s.held.Load()
	now := s.client.cfg.Hooks.Now()
	valid := held != nil && s.usable(held.tokenEntry, now)
	if since := now.Sub(heldSince(held)); valid && since >= 0 && since < readAgain {
		return held.token, nil
	}
	e, err := s.load(ctx)
	running := s.client.shared.storedRefreshes.published(s.id)
	if running != nil && (err != nil || e.version == running.version) {
		e, err = running, nil // a refreshed token that is not saved yet
	}
	switch {
	case err != nil && valid && errors.Is(err, ErrStore):
		again := *held.tokenEntry
		again.read = now
		s.hold(&again)
		return held.token, nil
	case err != nil:
		return nil, err
	case s.usable(e, now):
		return s.hold(e), nil
	}
	renewed, err := s.renew(ctx, e, "")
	if err == nil {
		return s.hold(renewed), nil
	}
	if !errors.Is(err, ErrReauthorize) && s.usableFor(e, s.client.cfg.Hooks.Now(), 0) { // the refresh was early
		return e.oauth2Token(), nil
	}
	return nil, err
}

func heldSince(held *heldToken) time.Time {
	if held == nil {
		return time.Time{}
	}
	return held.read
}

// hold remembers an entry, and returns its token.
func (s *StoredToken) hold(e *tokenEntry) *oauth2.Token {
	held := &heldToken{e, e.oauth2Token()}
	s.held.Store(held)
	return held.token
}

// replace implements ownSource. All processes together refresh a rejected token
// once. If the API rejects the new token too, the fault is elsewhere.
func (s *StoredToken) replace(ctx context.Context, rejected string) bool {
	held := s.held.Load()
	if held == nil || held.AccessToken != rejected {
		return held != nil // another request has replaced it
	}
	e, err := s.renew(ctx, held.tokenEntry, rejected)
	if err != nil || e.AccessToken == rejected {
		return false
	}
	s.hold(e)
	return true
}

// usable reports whether the token of an entry can be used without a refresh.
func (s *StoredToken) usable(e *tokenEntry, now time.Time) bool {
	return s.usableFor(e, now, margin(&oauth2.Token{ExpiresIn: e.ExpiresIn}))
}

// usableFor reports whether the token of an entry can be used for a time.
func (s *StoredToken) usableFor(e *tokenEntry, now time.Time, life time.Duration) bool {
	c := s.client
	switch {
	case e.AccessToken == "" || e.deleted || e.Dead || !now.Before(time.Unix(e.Ends, 0)):
		return false
	case c.tokenType().CheckTokenType(e.Type) != nil: // bound to a key or a certificate, now to the other
		return false
	case e.key == nil && c.prover != nil && e.Thumbprint != c.prover.Thumbprint(): // DPoPKey is another key now
		return false
	case e.Expires == 0:
		return true
	}
	return now.Add(life).Before(time.Unix(e.Expires, 0))
}

// final returns the reason why no request can help: the user must authorize
// again.
func (e *tokenEntry) final(now time.Time) error {
	switch {
	case e.version == 0 || e.deleted || !now.Before(time.Unix(e.Ends, 0)):
		return fmt.Errorf("%w: no stored token", ErrReauthorize)
	case e.Dead:
		return fmt.Errorf("%w: the server has rejected the refresh token", ErrReauthorize)
	}
	return nil
}
