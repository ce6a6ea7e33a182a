package authserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// kept returns the time until which the record is kept. A replay of the code is
// recognised until then.
func (r codeRecord) kept() time.Time { return time.Unix(r.Expires+1, 0).Add(codeMemory) }

// A storedCode is a code as a token request has found it.
type storedCode struct {
	key     string
	value   []byte
	version int64
	record  codeRecord
}

// A redemption is the planned result of redeeming a code.
type redemption struct {
	code     storedCode
	replayed bool  // the code was redeemed before
	rejected error // not nil if the code is consumed, and no token is made

	grant    grant        // the authorization
	current  grants.Grant // of grant management, as it will be; zero without
	token    grant        // narrowed, for the access token
	claims   accesstoken.Claims
	idTokens idTokenIssuer // zero if no ID token is to be issued
}

// redeem serves the authorization code grant. It plans without writes, then
// consumes the assertion and the proof, and then fulfils the plan.
func (s *Server) redeem(ctx context.Context, t *TokenRequest) (*TokenResponse, error) {
	var r redemption
	if err := s.plan(ctx, t, &r); err != nil {
		return nil, err
	}
	if _, err := t.Commit(ctx); err != nil {
		return nil, err
	}
	return s.fulfil(ctx, t, &r)
}

// plan makes all checks and writes nothing. It detects everything that cannot
// be issued, while the code and the grant are unchanged.
func (s *Server) plan(ctx context.Context, t *TokenRequest, r *redemption) (err error) {
	r.code.key = s.storeKey(kindCode, t.Param("code"))
	record := &r.code.record
	if r.code.value, r.code.version, err = s.loadCode(ctx, r.code.key, record); err != nil {
		return err
	}
	if err := t.CheckBinding(record.Binding); err != nil { // CS-11, CS-15
		return err
	}
	r.replayed = record.Attempt != ""
	if !r.replayed && s.cfg.Hooks.Now().Unix() >= record.Expires { // SP-5.3.2.1-11, CS-10
		r.rejected = fmt.Errorf("%w: expired", ErrCode)
		return nil
	}
	// A code whose grant is revoked was replayed before, or the host revoked
	// it.
	if err := s.checkRevoked(ctx, record.Grant.ID, ErrCodeReplayed); err != nil || r.replayed {
		return err
	}
	err = s.planTokens(ctx, t, r)
	if record.Change != nil && errors.Is(err, grants.ErrInactive) {
		r.rejected, err = err, nil
	}
	return err
}

// planTokens determines the tokens of a redemption.
func (s *Server) planTokens(ctx context.Context, t *TokenRequest, r *redemption) (err error) {
	record := &r.code.record
	r.grant = record.Grant
	permitted := record.Grant.permission()
	if record.Change != nil {
		if s.grants == nil {
			return fmt.Errorf("%w: its grant management has been turned off", ErrCode)
		}
		if r.current, err = s.grants.Plan(ctx, record.Change); err != nil {
			return err
		}
		if permitted, err = s.permitted(t, record.Grant, r.current); err != nil {
			return err
		}
		r.grant.Managed = r.current.ID
	}
	if r.token, err = s.narrow(t, permitted); err != nil {
		return err
	}
	if r.claims, err = s.claims(t, r.token); err != nil {
		return err
	}
	if slices.Contains(record.Grant.Scopes, scopeOpenID) {
		r.idTokens, err = s.idTokenIssuer(ctx, t.client, t.rules) // its registration may have changed
	}
	return err
}

// fulfil makes the tokens of a plan, then changes the grant, and consumes the
// code last. Until then the client can repeat its request. A change of a grant
// ends the client's refresh tokens, so it follows the tokens that replace them.
//
// No token is made for a replay. A code that is rejected is consumed, so that a
// replay of it is recognised.
func (s *Server) fulfil(ctx context.Context, t *TokenRequest, r *redemption) (response *TokenResponse, err error) {
	switch {
	case r.replayed:
		return nil, s.endReplayed(ctx, &r.code)
	case r.rejected == nil:
		if response, err = s.makeTokens(ctx, t, r); err != nil {
			return nil, err
		}
		if r.code.record.Change != nil {
			err = s.claimGrant(ctx, t, r, response)
		}
		if errors.Is(err, grants.ErrInactive) {
			response, r.rejected = nil, err
		} else if err != nil {
			return nil, err
		}
	}
	if err := s.redeemOnce(ctx, &r.code); err != nil {
		return nil, err
	}
	return response, r.rejected
}

// makeTokens makes all tokens of a redemption.
func (s *Server) makeTokens(ctx context.Context, t *TokenRequest, r *redemption) (*TokenResponse, error) {
	response, err := s.issue(ctx, t, r.token, r.claims)
	if err != nil {
		return nil, err
	}
	if r.idTokens.by != nil {
		if response.IDToken, err = r.idTokens.issue(r.grant); err != nil {
			return nil, err
		}
	}
	if t.client.HasGrantType(wire.GrantRefreshToken) && !r.grant.NoRefresh {
		if response.RefreshToken, err = s.newRefreshToken(ctx, t.rules, r.grant); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// endReplayed revokes the authorization of a replayed code. One of the two
// senders may be an attacker, and the server does not know which one.
func (s *Server) endReplayed(ctx context.Context, code *storedCode) error {
	// SP-5.3.2.2-9, BASE-6749-4.1.2-1, BCP-4.5-1, CS-9
	if err := s.revoke(ctx, code.record.Grant.ID); err != nil {
		return err
	}
	return ErrCodeReplayed
}

// redeemOnce marks the code as redeemed by this request. Of any number of
// requests exactly one succeeds, and only that one may send its tokens.
func (s *Server) redeemOnce(ctx context.Context, code *storedCode) error {
	record := codeRecord{
		Binding: code.record.Binding, Expires: code.record.Expires, Grant: grant{ID: code.record.Grant.ID},
		Attempt: jose.RandomString(grantIDBytes),
	}
	used, version := record.encode(), code.version
	for range races {
		swapped, err := s.stores.codes.Swap(ctx, code.key, version, used, record.kept())
		switch {
		case err != nil:
			failed := fmt.Errorf("%w: redeeming a code: %w", ErrStore, err)
			return s.settle(ctx, code, redeeming{version, used, record.Attempt}, failed)
		case swapped:
			return nil
		}
		// The code was redeemed, or another request has reopened it.
		if _, version, err = s.redeemedBy(ctx, code, record.Attempt); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: redeeming a code: too many concurrent requests", ErrStore)
}

// redeeming is an attempt to redeem a code whose outcome is unknown.
type redeeming struct {
	version int64 // before the attempt
	used    []byte
	attempt string
}

// settle finds out whether an attempt has redeemed the code although the store
// returned an error. Without that, the client's next request with the code
// would look like a replay, and revoke an authorization whose tokens no client
// received.
//
// While the client waits, settle completes the attempt. If its request is
// cancelled, settle reopens the code for the next request: the tokens of the
// attempt are never sent. In both cases its own Swap prevents that the failed
// one takes effect later. If the store remains unavailable, settle returns
// failed, and a redeemed code stays redeemed. RFC 6749 §4.1.2 forbids a second
// use, and no process knows that the first one sent nothing.
func (s *Server) settle(ctx context.Context, code *storedCode, a redeeming, failed error) error {
	value, cancelled := a.used, ctx.Err() != nil
	if cancelled {
		value = code.value
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	version := a.version
	for range races {
		done, err := s.stores.codes.Swap(ctx, code.key, version, value, code.record.kept())
		if err != nil {
			return failed
		}
		if !done {
			var mine bool
			mine, version, err = s.redeemedBy(ctx, code, a.attempt)
			if errors.Is(err, ErrStore) {
				return failed
			}
			if err != nil {
				return err
			}
			done = mine && !cancelled
		}
		switch {
		case done && cancelled:
			return failed
		case done:
			return nil
		}
	}
	return failed
}

// redeemedBy reports whether an attempt has redeemed the code, and returns its
// version. If another attempt has, the code is replayed.
func (s *Server) redeemedBy(
	ctx context.Context, code *storedCode, attempt string,
) (mine bool, version int64, err error) {
	var now codeRecord
	_, version, err = s.loadCode(ctx, code.key, &now)
	switch {
	case err != nil:
		return false, 0, err
	case now.Attempt == "":
		return false, version, nil
	case now.Attempt == attempt:
		return true, version, nil
	}
	return false, 0, s.endReplayed(ctx, code)
}
