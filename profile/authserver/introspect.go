package authserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// serveIntrospection responds to a resource server that introspects an access
// token (RFC 7662, RFC 9701).
func (s *Server) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	if err := s.introspect(w, r); err != nil {
		s.reportError(r, err)
	}
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	fail := func(err error) error {
		wire.SetRetryAfter(w.Header(), err)
		s.first().answers.WriteError(w, err)
		return err
	}
	request, err := introspection.ParseRequest(r)
	if err != nil {
		return fail(err)
	}
	// INT-7662-2.1-1, INT-9701-3-1: unknown clients receive no information.
	from, err := s.authenticate(ctx, r, request.Form, "introspection")
	if err != nil {
		return fail(err)
	}
	client := from.client
	// INT-9701-6-1
	signatory, err := s.signatory(ctx, from.rules.Algorithms.For(nil), memberIntrospectionAlg,
		client.IntrospectionSignedResponseAlg)
	if err != nil {
		return fail(err)
	}
	err = checkEncrypted(from.rules, from.rules.Encryption.Introspection, introspectionWanted(client))
	if err != nil {
		return fail(err)
	}
	to, err := s.introspectionRecipient(ctx, client)
	if err != nil {
		return fail(err)
	}
	asking := introspection.ResourceServer{
		ID: client.ClientID,
		RequireJWT: client.IntrospectionSignedResponseAlg != "" || // INT-9701-6-1
			s.cfg.profileUnder(from.rules).Has(profile.SignedIntrospection),
	}
	if find := s.cfg.Introspection.ResourceServers; find != nil {
		resources, err := find(ctx, client.ClientID)
		if err != nil {
			return fail(errors.Join(ErrStore, err))
		}
		asking.Audience = slices.Clone(resources)
	}
	if err := s.clients.Commit(ctx, from.auth); err != nil {
		return fail(err)
	}
	response, err := s.describe(ctx, client, &asking, request.Token)
	if err != nil {
		return fail(err)
	}
	var signed string
	if to != nil {
		asking.Encrypt = func(jws string) (string, error) {
			signed = jws
			return idtoken.Encryption(*to).Seal(jws)
		}
	}
	mediaType, body, err := signatory.answers.Answer(asking, request.WantsJWT, response)
	if err == nil && mediaType != "application/json" { // signed
		err = s.archiveIntrospection(ctx, client, signatory, cmp.Or(signed, string(body)))
	}
	if err != nil {
		return fail(err)
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	_, err = w.Write(body)
	return err
}

// archiveIntrospection archives a signed response.
func (s *Server) archiveIntrospection(
	ctx context.Context, client *profile.ClientMetadata, by *signatory, signed string,
) error {
	return wire.Archive(ctx, s.cfg.Hooks.Evidence, profile.Evidence{
		Kind: profile.EvidenceIntrospection, Issued: true, ClientID: client.ClientID,
		JWT: signed, Key: by.public, Time: s.cfg.Hooks.Now(),
	})
}

// describe returns the response about a token to a client that introspects it
// as a resource server, or as the owner of a refresh token.
func (s *Server) describe(
	ctx context.Context, client *profile.ClientMetadata, asking *introspection.ResourceServer, token string,
) (introspection.Response, error) {
	if s.cfg.Introspection.RefreshTokens {
		response, err := s.refreshTokenState(ctx, client, token)
		if err != nil || response.Active {
			asking.Audience = response.Audience
			return response, err
		}
	}
	response, err := s.tokenState(ctx, token)
	if err != nil {
		return introspection.Response{}, err
	}
	err = s.limit(ctx, asking, &response)
	return response, err
}

// refreshTokenState returns the response about a refresh token to its own
// client. A token with which a refresh would fail is inactive, for any reason.
func (s *Server) refreshTokenState(
	ctx context.Context, client *profile.ClientMetadata, token string,
) (introspection.Response, error) {
	if !client.HasGrantType(wire.GrantRefreshToken) {
		return introspection.Response{}, nil
	}
	t := &TokenRequest{server: s, client: client, rules: s.rulesIn(ctx, client), params: url.Values{}}
	record, issue, err := s.refreshable(ctx, t, token)
	if err == nil {
		err = s.checkRevoked(ctx, record.Grant.ID, ErrRefreshToken)
	}
	switch {
	case wire.Unavailable(err):
		return introspection.Response{}, err
	case err != nil:
		return introspection.Response{}, nil
	}
	expires := time.Unix(record.Expires, 0)
	if !issue.Ends.IsZero() && issue.Ends.Before(expires) {
		expires = issue.Ends
	}
	return introspection.Response{
		Active: true, RefreshToken: true, Audience: []string{client.ClientID},
		Expires: expires, Scope: strings.Join(issue.Scopes, " "), Extra: extraMembers(issue.Members),
	}, nil
}

// limit removes the audience, details and scopes of other resource servers
// (INT-9701-5-5, INT-7662-2.2-3).
func (s *Server) limit(
	ctx context.Context, asking *introspection.ResourceServer, response *introspection.Response,
) error {
	response.Audience = slices.DeleteFunc(slices.Clone(response.Audience), func(resource string) bool {
		return !slices.Contains(asking.Audience, resource)
	})
	registry := s.cfg.AuthorizationDetails
	if registry == nil { // the resource servers of the details are unknown now
		response.AuthorizationDetails = nil
	} else if response.Active { // RAR-9.2-1
		details, err := wire.KnownDetails(registry, response.AuthorizationDetails, registry.Types())
		if err != nil {
			return fmt.Errorf("%w: the details of a token are no longer valid under their types: %w", ErrStore, err)
		}
		if response.AuthorizationDetails, err = encodeDetails(s.detailsFor(details, response.Audience)); err != nil {
			return fmt.Errorf("%w: authorization details: %w", ErrStore, err)
		}
	}
	if s.cfg.Introspection.Scopes == nil {
		return nil
	}
	asking.Scopes = []string{}
	for _, resource := range response.Audience { // not of what it serves besides, and this token is not for
		asking.Scopes = append(asking.Scopes, s.cfg.Introspection.Scopes[resource]...)
	}
	scopes, err := s.intentScopes(ctx, response)
	asking.Scopes = append(asking.Scopes, scopes...)
	return err
}

// tokenState returns the introspection response of a token. A token that does
// not verify for any reason is inactive (INT-7662-4-1).
func (s *Server) tokenState(ctx context.Context, raw string) (introspection.Response, error) {
	token, err := s.liveToken(ctx, raw)
	if wire.Unavailable(err) {
		return introspection.Response{}, err
	}
	if err != nil {
		return introspection.Response{}, nil
	}
	extra, err := s.keptMembers(ctx, token.ID)
	if err != nil {
		return introspection.Response{}, err
	}
	return introspection.Response{
		Active: true, Scope: strings.Join(token.Scopes, " "),
		ClientID: token.ClientID, Subject: token.Subject, Audience: token.Audience,
		Expires: token.ExpiresAt, IssuedAt: token.IssuedAt, ID: token.ID,
		JKT: token.Confirmation.JKT, X5TS256: token.Confirmation.X5TS256,
		AuthTime: token.AuthTime, ACR: token.ACR, AMR: token.AMR, AuthorizationDetails: token.AuthorizationDetails,
		GrantID: token.GrantID, Extra: extra,
	}, nil
}

// checkIntrospection requires an entry for each resource server, so that a
// misspelt name does not hide scopes from it.
func (cfg *Config) checkIntrospection(bad func(format string, args ...any)) {
	if cfg.Introspection.ResourceServers == nil && !cfg.Introspection.RefreshTokens {
		bad("missing Introspection.ResourceServers")
	}
	if cfg.Introspection.Scopes == nil {
		return
	}
	for _, resource := range cfg.Resources {
		if _, ok := cfg.Introspection.Scopes[resource]; !ok {
			bad("Introspection.Scopes has no entry for the resource %q", resource)
		}
	}
	for resource, scopes := range cfg.Introspection.Scopes {
		if !slices.Contains(cfg.Resources, resource) {
			bad("Introspection.Scopes has an entry for %q, which is not among Resources", resource)
		}
		for _, scope := range scopes {
			if !slices.Contains(cfg.Scopes, scope) {
				bad("Introspection.Scopes has %q for %q, which is not among Scopes", scope, resource)
			}
		}
	}
}
