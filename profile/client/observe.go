package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"golang.org/x/oauth2"
)

// Endpoints of events.
const (
	metadataEndpoint      = "metadata"
	keysEndpoint          = "jwks"
	pushEndpoint          = "pushed_authorization_request"
	authorizationEndpoint = "authorization"
	tokenEndpoint         = "token"
	introspectionEndpoint = "introspection"
	revocationEndpoint    = "revocation"
	userInfoEndpoint      = "userinfo"
	resourceEndpoint      = "resource"
)

// maxEventCode bounds an error code, which comes from a server.
const maxEventCode = 64

// An observation reports one request to Hooks.Observe. Without a hook it does
// nothing, and does not read the clock.
type observation struct {
	client *Client // nil without a hook
	start  time.Time
	event  profile.Event
}

func (c *Client) observe(endpoint, grantType string) (o observation) {
	if c.cfg.Hooks.Observe == nil {
		return o
	}
	o = observation{client: c, start: c.cfg.Hooks.Now()}
	o.event = profile.Event{
		Endpoint: endpoint, GrantType: grantType, Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID,
	}
	switch endpoint {
	case tokenEndpoint, pushEndpoint, introspectionEndpoint, revocationEndpoint:
		o.event.ClientAuth = c.cfg.MutualTLS.AuthMethod
	}
	switch endpoint {
	case tokenEndpoint, pushEndpoint, userInfoEndpoint, resourceEndpoint:
		if o.event.Binding = "DPoP"; c.cfg.MutualTLS.BindTokens {
			o.event.Binding = "mTLS"
		}
	}
	return o
}

// end reports the request with its result.
func (o *observation) end(ctx context.Context, err error) {
	if o.client != nil {
		setResult(&o.event, err)
		o.report(ctx)
	}
}

func (o *observation) report(ctx context.Context) {
	if o.event.InteractionID == "" {
		o.event.InteractionID = interactionOf(ctx).Get(wire.InteractionHeader)
	}
	o.event.Duration = o.client.cfg.Hooks.Now().Sub(o.start)
	o.client.cfg.Hooks.Observe(ctx, o.event)
}

// setResult sets the outcome, the code and the reason of an event.
func setResult(e *profile.Event, err error) {
	var received *oauth2.RetrieveError
	switch e.Reason = reason(err); {
	case err == nil:
		e.Outcome = wire.Success
	case errors.As(err, &received):
		setReceived(e, received)
	case errors.Is(err, ErrNotRepeatable):
		e.Outcome = wire.NonceChallenge
	case e.Reason == "", errors.Is(err, profile.ErrDiscovery), wire.Unavailable(err),
		errors.Is(err, idtoken.ErrUnavailable), errors.Is(err, jarm.ErrUnavailable):
		e.Outcome = wire.Failed
	default:
		e.Outcome = wire.Rejected
	}
}

// setReceived sets the outcome and the code of an error response.
func setReceived(e *profile.Event, received *oauth2.RetrieveError) {
	if len(received.ErrorCode) <= maxEventCode {
		e.Code = syntax.ErrorText(received.ErrorCode)
	}
	status := 0
	if received.Response != nil {
		status = received.Response.StatusCode
	}
	switch {
	case e.Code == "use_dpop_nonce":
		e.Outcome = wire.NonceChallenge
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests,
		e.Code == oautherr.ServerError, e.Code == "temporarily_unavailable":
		e.Outcome = wire.Failed
	default:
		e.Outcome = wire.Rejected
	}
}

// reason returns the text of an error of this module, the most specific one. It
// is empty for other errors, for example of a connection.
func reason(err error) string {
	if err == nil {
		return ""
	}
	for _, sentinel := range [...]error{
		idtoken.ErrMalformed, idtoken.ErrEncryption, idtoken.ErrAlgorithm, idtoken.ErrType, idtoken.ErrClaims,
		idtoken.ErrIssuer, idtoken.ErrAudience, idtoken.ErrAuthorizedParty, idtoken.ErrExpired, idtoken.ErrIssuedAt,
		idtoken.ErrNonce, idtoken.ErrSubject, idtoken.ErrAuthentication, idtoken.ErrAccessToken, idtoken.ErrSignature,
		idtoken.ErrUnavailable,
		jarm.ErrNoResponse, jarm.ErrMalformed, jarm.ErrEncryption, jarm.ErrAlgorithm, jarm.ErrType, jarm.ErrClaims,
		jarm.ErrIssuer, jarm.ErrAudience, jarm.ErrExpired, jarm.ErrSignature, jarm.ErrUnavailable, jarm.ErrParameters,
		jarm.ErrState,
		claims.ErrValue, ErrReauthorize, ErrTokenResponse, ErrUserInfo, ErrAuthorizationResponse, ErrNotRepeatable,
		profile.ErrIssuerMismatch, profile.ErrServerMetadata, profile.ErrDiscovery,
	} {
		if errors.Is(err, sentinel) {
			return sentinel.Error()
		}
	}
	return oautherr.Reason(err)
}
