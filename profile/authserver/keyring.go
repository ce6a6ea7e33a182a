package authserver

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// A keyring has the keys that KeySource returned in one call. It is never
// changed.
type keyring struct {
	asked  time.Time // when the call began
	lines  []line    // one for each algorithm, in the order at New
	set    *jwks.Set
	issued *accesstoken.Verifier // reads our own JWTs, revoked ones too
}

// A line has the signatories of one algorithm, the latest SignsFrom first.
type line struct {
	algorithm   string
	signatories []*signatory
}

// at returns the signatory at a time: the latest whose time has come and that
// readers know. If there is none, the key that readers have known longest signs
// at once, because the other keys were withdrawn.
func (l *line) at(now time.Time) *signatory {
	for _, s := range l.signatories {
		if !s.SignsFrom.After(now) && !s.known.After(now) {
			return s
		}
	}
	return slices.MinFunc(l.signatories, func(a, b *signatory) int {
		return cmp.Or(a.known.Compare(b.known), a.SignsFrom.Compare(b.SignsFrom))
	})
}

// find returns the signatory with a kid, or nil.
func (r *keyring) find(kid string) *signatory {
	for _, l := range r.lines {
		for _, s := range l.signatories {
			if s.KeyID == kid {
				return s
			}
		}
	}
	return nil
}

// signatory returns the first signatory at a time with this algorithm, or with
// any if it is empty, among the permitted algorithms. It returns nil if there
// is none.
func (r *keyring) signatory(now time.Time, permitted []string, algorithm string) *signatory {
	for i := range r.lines {
		l := &r.lines[i]
		if (algorithm == "" || l.algorithm == algorithm) && jose.Accepts(permitted, l.algorithm) {
			return l.at(now)
		}
	}
	return nil
}

// newKeyring makes the keyring of completed keys, which were asked for at a
// time. The keyring before is nil at New.
func (s *Server) newKeyring(keys []profile.SigningKey, asked time.Time, before *keyring) (*keyring, error) {
	ring := &keyring{asked: asked}
	if before != nil {
		for _, l := range before.lines {
			ring.lines = append(ring.lines, line{algorithm: l.algorithm})
		}
	}
	for _, key := range keys {
		k, err := newSignatory(&s.cfg, key)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(ring.lines, func(l line) bool { return l.algorithm == key.Algorithm })
		switch {
		case i < 0 && before != nil:
			return nil, fmt.Errorf("new algorithm %s, which requires a restart", key.Algorithm)
		case i < 0:
			i = len(ring.lines)
			ring.lines = append(ring.lines, line{algorithm: key.Algorithm})
		}
		if before != nil {
			if k.known, err = s.cfg.knownFrom(k, before); err != nil {
				return nil, err
			}
		}
		ring.lines[i].signatories = append(ring.lines[i].signatories, k)
	}
	for _, l := range ring.lines {
		if len(l.signatories) == 0 {
			return nil, fmt.Errorf("missing key for %s, which requires a restart", l.algorithm)
		}
		slices.SortFunc(l.signatories, func(a, b *signatory) int { return b.SignsFrom.Compare(a.SignsFrom) })
	}
	return ring, s.publish(ring, keys, before)
}

// publish adds the JWK Set and the verifier of our own tokens. The verifier
// caches tokens, so it must not outlive a key that was withdrawn.
func (s *Server) publish(ring *keyring, keys []profile.SigningKey, before *keyring) (err error) {
	if ring.set, err = s.cfg.newKeySet(keys); err != nil {
		return err
	}
	if before != nil && same(ring.set, before.set) {
		ring.set, ring.issued = before.set, before.issued
		return nil
	}
	ring.issued, err = accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer: s.cfg.Issuer, Audience: append(slices.Clone(s.cfg.Resources), s.ownResources()...),
		Keys: ring.set.Keys, Now: s.cfg.Hooks.Now,
	})
	return err
}

func same(a, b *jwks.Set) bool {
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// knownFrom returns when all readers know a key. Every process of the server
// publishes it after KeyRefresh, and the last cached set without it has expired
// after publishedAge.
//
// A process that was idle or cut off from the source does not know how old a
// key is. The zero time then leaves the decision to SignsFrom, as at New. A
// reader may have to fetch the new key. The alternative is worse: an old key
// that signs for longer may be removed before its last token expires.
func (cfg *Config) knownFrom(k *signatory, before *keyring) (time.Time, error) {
	now, old := cfg.Hooks.Now(), before.find(k.KeyID)
	switch {
	case old == nil && now.Sub(before.asked) > cfg.KeyRefresh:
		return time.Time{}, nil
	case old == nil:
		return now.Add(cfg.KeyRefresh + publishedAge), nil
	case !jose.Equal(k.public, old.public) || k.Algorithm != old.Algorithm:
		// Readers have cached the old key for this kid, and would not fetch the
		// new one.
		return time.Time{}, fmt.Errorf("another key with the kid %q of a published key", k.KeyID)
	}
	return old.known, nil
}

// logRotation logs what changed between two keyrings, above all a rotation that
// was too fast.
func (s *Server) logRotation(before, after *keyring) {
	log, now := s.cfg.Hooks.Logger, s.cfg.Hooks.Now()
	for i, l := range after.lines {
		old := before.lines[i]
		for _, k := range l.signatories {
			switch {
			case before.find(k.KeyID) != nil:
			case l.at(now) == k && k.known.After(now):
				log.Warn("a new signing key signs at once, because no other key is left", "kid", k.KeyID)
			case k.SignsFrom.Before(k.known) && !k.SignsFrom.IsZero():
				log.Warn("a signing key was published too late for its SignsFrom",
					"kid", k.KeyID, "signs_from", k.known)
			default:
				log.Info("a signing key is published", "kid", k.KeyID, "signs_from", later(k.SignsFrom, k.known))
			}
		}
		signed := old.at(now.Add(-max(s.longestAccess(), responseLifetime)))
		for _, k := range old.signatories {
			switch {
			case after.find(k.KeyID) != nil:
			case k == signed || k == old.at(now):
				log.Warn("a signing key was removed before its last token expired", "kid", k.KeyID)
			default:
				log.Info("a signing key was removed", "kid", k.KeyID)
			}
		}
	}
}

// responseLifetime is the lifetime of ID tokens and authorization responses.
const responseLifetime = 5 * time.Minute

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
