package authserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

const (
	subjectPublic   = "public"
	subjectPairwise = "pairwise"
	// kindSubject is the kind of the entries with the subject of the host for
	// an authorization whose tokens have a pairwise one.
	kindSubject = "subject"
)

// checkPairwise checks that there is a subject type that the rules permit.
func (cfg *Config) checkPairwise(bad func(format string, args ...any)) {
	if len(cfg.subjectTypes(cfg.rules())) == 0 {
		bad("Rules.SubjectTypes are %q, and Pairwise is nil", cfg.rules().SubjectTypes)
	}
}

// subjectTypes returns the subject types that the server supports under rules.
func (cfg *Config) subjectTypes(set *rules.Set) []string {
	types := []string{subjectPublic}
	if cfg.Pairwise != nil {
		types = append(types, subjectPairwise)
	}
	return only(types, rules.Permits, set.SubjectTypes)
}

// sectorOf returns the sector of a client whose tokens have pairwise subjects,
// and "" for a client whose tokens have public ones. The default is public, or
// pairwise if the rules permit nothing else.
func (s *Server) sectorOf(set *rules.Set, client *profile.ClientMetadata) (string, error) {
	wanted := client.SubjectType
	if wanted == "" && rules.Permits(set.SubjectTypes, subjectPublic) {
		wanted = subjectPublic
	}
	switch {
	case wanted == subjectPublic && rules.Permits(set.SubjectTypes, subjectPublic):
		return "", nil
	case wanted != "" && wanted != subjectPairwise, s.cfg.Pairwise == nil,
		!rules.Permits(set.SubjectTypes, subjectPairwise):
		return "", oautherr.Describe(fmt.Errorf("%w: subject_type %.64q, want one of %q", ErrClientNotAllowed,
			client.SubjectType, s.cfg.subjectTypes(set)), "the registered subject_type is not supported")
	}
	sector, err := client.SectorIdentifier() // CA-OIDC-8.1-3
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrClientNotAllowed, err)
	}
	return sector, nil
}

// isSubject reports whether a text can be a subject.
func isSubject(text string) bool {
	unprintable := func(r rune) bool { return r < 0x20 || r > 0x7e }
	return text != "" && len(text) <= maxSubject && !strings.ContainsFunc(text, unprintable)
}

// withSubject adds to an approval the subject of its tokens.
func (s *Server) withSubject(ctx context.Context, a *Authorization, approval Approval) (Approval, error) {
	if !isSubject(approval.Subject) {
		return approval, errors.New("authserver: approval: Subject is not 1 to 255 ASCII characters")
	}
	var err error
	approval.sub, err = s.subjectIn(ctx, a.sector, approval.Subject)
	return approval, err
}

// subjectIn returns the subject of tokens for the clients of a sector.
func (s *Server) subjectIn(ctx context.Context, sector, subject string) (string, error) {
	if sector == "" {
		return subject, nil
	}
	pairwise, err := s.cfg.Pairwise(ctx, sector, subject) // CA-OIDC-8.1-1, CA-OIDC-8.1-2
	if err != nil {
		return "", fmt.Errorf("%w: pairwise subject: %w", ErrStore, err)
	}
	if !isSubject(pairwise) || pairwise == subject {
		return "", errors.New("authserver: approval: Pairwise returned no pairwise subject")
	}
	return pairwise, nil
}

// keepSubject stores the subject of the host for tokens with a pairwise one.
func (s *Server) keepSubject(ctx context.Context, g grant, approval Approval) error {
	if g.Subject == approval.Subject {
		return nil
	}
	expires := s.cfg.Hooks.Now().Add(s.longestLife())
	key := s.storeKey(kindSubject, g.ID)
	if err := s.add(ctx, s.stores.refresh, g.ClientID, key, []byte(approval.Subject), expires); err != nil {
		return fmt.Errorf("%w: storing a subject", err)
	}
	return nil
}

// LocalSubject returns the [Approval.Subject] of an access token of this
// server. The subject of the token itself can be pairwise: see
// [Config.Pairwise]. A host calls it in [Config.UserInfo], and in APIs of the
// same process. Other APIs know a user by the pairwise subject alone. A token
// of the client credentials grant has its client_id as subject.
//
// The error matches [accesstoken.ErrRevoked] if the subject is not known any
// more, and [ErrStore] if the store failed.
func (s *Server) LocalSubject(ctx context.Context, token *resourceserver.Token) (string, error) {
	subject := token.Subject()
	if s.cfg.Pairwise == nil || subject == token.ClientID() || !wire.HasGrant(token.ID()) {
		return subject, nil
	}
	key := s.storeKey(kindSubject, token.ID()[:wire.GrantIDLength])
	local, version, err := s.stores.refresh.Get(ctx, key)
	if err != nil {
		return "", fmt.Errorf("%w: subject of a token: %w", ErrStore, err)
	}
	if version != 0 {
		return string(local), nil
	}
	client, err := s.client(ctx, token.ClientID())
	switch {
	case errors.Is(err, clientauth.ErrUnknownClient):
		return "", fmt.Errorf("%w: its client is gone", accesstoken.ErrRevoked)
	case err != nil:
		return "", err
	}
	if sector, err := s.sectorOf(s.rulesIn(ctx, client), client); err != nil || sector != "" {
		return "", fmt.Errorf("%w: its local subject is unknown", accesstoken.ErrRevoked)
	}
	return subject, nil
}

// isAbout reports whether claims with a sub are about the user of a token.
func (s *Server) isAbout(ctx context.Context, token *resourceserver.Token, sub any) (bool, error) {
	if sub == any(token.Subject()) {
		return true, nil
	}
	local, err := s.LocalSubject(ctx, token)
	return err == nil && sub == any(local), err
}
