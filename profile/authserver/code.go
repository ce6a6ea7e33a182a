package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
)

// A codeRecord is the stored value of an authorization code. It contains the
// code_challenge, and the code does not (PKCE-4.4-1).
type codeRecord struct {
	Binding Binding `json:"binding"`
	Grant   grant   `json:"grant"`
	Expires int64   `json:"expires"` // of the code; the record is kept longer
	// Change takes effect with the redemption of the code.
	Change *grants.Change `json:"change,omitempty"`
	// Attempt is the ID of the token request that redeemed the code. The record
	// of a redeemed code has only the Binding, Expires and the ID of the Grant.
	Attempt string `json:"attempt,omitempty"`
}

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

func (s *Server) loadCode(ctx context.Context, code string) (c storedCode, err error) {
	c.key = s.storeKey(kindCode, code)
	c.value, c.version, err = s.load(ctx, s.stores.codes, c.key, &c.record, ErrCode)
	return c, err
}

// replayed rejects a request for a code that was redeemed before. No token is
// made for it.
func (s *Server) replayed(ctx context.Context, t *TokenRequest, code storedCode) error {
	if err := s.checkRevoked(ctx, code.record.Grant.ID, ErrCodeReplayed); err != nil {
		return err
	}
	if err := t.Commit(ctx); err != nil {
		return err
	}
	return s.endReplayed(ctx, code)
}

// endReplayed revokes the authorization of a replayed code. One of the two
// senders may be an attacker, and the server does not know which one.
func (s *Server) endReplayed(ctx context.Context, code storedCode) error {
	// SP-5.3.2.2-9, BASE-6749-4.1.2-1, BCP-4.5-1, CS-9
	if err := s.revoke(ctx, code.record.Grant.ID); err != nil {
		return err
	}
	return ErrCodeReplayed
}

// redeemAnyway redeems a code that has expired, or whose grant change is no
// longer possible, so that a replay is still recognised. It returns reason.
func (s *Server) redeemAnyway(ctx context.Context, t *TokenRequest, code storedCode, reason error) error {
	if err := t.Commit(ctx); err != nil {
		return err
	}
	if err := s.redeemOnce(ctx, code); err != nil {
		return err
	}
	return reason
}

// redeemOnce marks the code as redeemed by this request. Of any number of
// requests exactly one succeeds, and only that one may send its tokens.
func (s *Server) redeemOnce(ctx context.Context, code storedCode) error {
	record := codeRecord{
		Binding: code.record.Binding, Expires: code.record.Expires, Grant: grant{ID: code.record.Grant.ID},
		Attempt: jose.RandomString(grantIDBytes),
	}
	used, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("%w: redeeming a code: %w", ErrStore, err)
	}
	version := code.version
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
// would look like a replay, and revoke an authorization whose tokens nobody
// received.
//
// While the client waits, settle completes the attempt. If its request is
// cancelled, settle reopens the code for the next request: the tokens of the
// attempt are never sent. In both cases its own Swap prevents that the failed
// one takes effect later. If the store remains unavailable, settle returns
// failed, and a code that was redeemed stays redeemed: RFC 6749 §4.1.2 forbids
// a second use, and no process knows that the first one sent nothing.
func (s *Server) settle(ctx context.Context, code storedCode, a redeeming, failed error) error {
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
	ctx context.Context, code storedCode, attempt string,
) (mine bool, version int64, err error) {
	var now codeRecord
	_, version, err = s.load(ctx, s.stores.codes, code.key, &now, ErrCode)
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
