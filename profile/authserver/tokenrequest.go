package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A TokenRequest is a request to the token endpoint with an authenticated
// client and a checked proof of possession. Its sender has the key that the
// access token will be bound to. It comes from [Server.TokenRequest] alone,
// which accepts the grant types authorization_code, refresh_token and
// client_credentials. A host routes requests of other grant types before it.
//
// A host with codes and tokens of its own looks up the code, rejects one that
// was redeemed before, and calls CheckBinding. It then calls
// [TokenRequest.Commit], marks the code as redeemed in one atomic step, and
// issues the token. After a replayed code it ends the authorization. A host
// checks refresh tokens itself: their client must be ClientID.
type TokenRequest struct {
	server *Server
	client *profile.ClientMetadata
	rules  *rules.Set
	params url.Values
	auth   clientauth.Authentication
	proof  dpop.Proof // zero if the token is bound to a certificate alone
	bound  tokenbinding.Confirmation
}

// TokenRequest checks a request to the token endpoint as far as it does not
// depend on the code or refresh token in it.
func (s *Server) TokenRequest(r *http.Request) (*TokenRequest, error) {
	params, err := par.ParseForm(r)
	if err != nil {
		return nil, err
	}
	var required string
	switch grantType := params.Get("grant_type"); grantType {
	case wire.GrantAuthorizationCode:
		required = "code"
	case wire.GrantRefreshToken:
		required = "refresh_token"
	case wire.GrantClientCredentials:
	case "":
		return nil, fmt.Errorf("%w: no grant_type", ErrParameter)
	default: // SP-5.3.2.1-2, BCP-2.4-1: the password grant, among others
		return nil, fmt.Errorf("%w: %.64q", errGrantType, grantType)
	}
	if required != "" && params.Get(required) == "" {
		return nil, fmt.Errorf("%w: no %s", ErrParameter, required)
	}
	if e := eventOf(r.Context()); e != nil {
		e.GrantType = params.Get("grant_type")
	}
	from, err := s.authenticate(r.Context(), r, params, "token")
	if err != nil {
		return nil, err
	}
	client := from.client
	if !client.HasGrantType(params.Get("grant_type")) {
		return nil, errGrantTypeNotRegistered
	}
	if err := checkBinding(from.rules, client); err != nil {
		return nil, err
	}
	t := &TokenRequest{server: s, client: client, rules: from.rules, params: params, auth: from.auth}
	// SP-5.3.2.1-4, SP-5.3.2.1-5: nothing proved, no token; there is no bearer
	// token to fall back to.
	if client.TLSClientCertificateBoundAccessTokens {
		t.bound.X5TS256 = from.certificate.Thumbprint // MTLS-3-1, MTLS-3.4-1
		if t.bound.IsZero() {
			return nil, fmt.Errorf("%w: no client certificate", tokenbinding.ErrNotBound)
		}
		// A client may send a proof although its tokens are bound to
		// certificates, for example because it sent one with the push
		// (DPOP-10-1). The proof requests a DPoP-bound token (RFC 9449 §5). The
		// token is then bound to both.
		if len(r.Header.Values("DPoP")) == 0 {
			return t, nil
		}
	}
	if t.proof, err = s.tokenProofs.Check(r); err != nil { // DPOP-5.2-1
		return nil, err
	}
	if err := checkProof(t.rules, t.proof); err != nil {
		return nil, err
	}
	t.bound.JKT = t.proof.Thumbprint()
	return t, nil
}

// String names the client and the grant type, and leaves out the credentials.
func (t TokenRequest) String() string {
	if t.client == nil {
		return "token request"
	}
	return fmt.Sprintf("token request of %q (%s)", t.client.ClientID, t.params.Get("grant_type"))
}

// GoString is String.
func (t TokenRequest) GoString() string { return t.String() }

// LogValue is String.
func (t TokenRequest) LogValue() slog.Value { return slog.StringValue(t.String()) }

// ClientID returns the authenticated client.
func (t *TokenRequest) ClientID() string { return t.client.ClientID }

// Client returns the registration of the authenticated client.
func (t *TokenRequest) Client() *profile.ClientMetadata { return t.client }

// Param returns a parameter of the request, "" if it is absent: grant_type,
// code, refresh_token, scope and so on.
func (t *TokenRequest) Param(name string) string { return t.params.Get(name) }

// Resources returns the resource parameters (RFC 8707), the only ones that may
// repeat.
func (t *TokenRequest) Resources() []string { return slices.Clone(t.params["resource"]) }

// CheckBinding checks that this request may redeem an authorization code that
// is bound to b. The error is [ErrCode] or one of package pkce. After an error
// the host must neither consume the code nor revoke anything, because the
// sender might not be its owner.
func (t *TokenRequest) CheckBinding(b Binding) error {
	// BASE-6749-4.1.3-1, BCP-4.5-1: bound to client and redirect_uri.
	if b.ClientID == "" || !jose.EqualString(b.ClientID, t.client.ClientID) {
		return fmt.Errorf("%w: it is another client's", ErrCode)
	}
	if b.RedirectURI == "" || !jose.EqualString(b.RedirectURI, t.params.Get("redirect_uri")) {
		return fmt.Errorf("%w: redirect_uri differs from that of the authorization request", ErrCode)
	}
	if err := pkce.Verify(b.CodeChallenge, t.params.Get("code_verifier")); err != nil { // BCP-2.1.1-3
		return err
	}
	// DPOP-10-1, SP-5.3.2.1-12: bound to a key by dpop_jkt or by the proof at
	// the pushed request.
	if b.DPoPThumbprint != "" && t.bound.JKT == "" { // DPOP-10-1: a request without a proof
		return oautherr.Describe(fmt.Errorf("%w: missing proof for a code that is bound to a DPoP key", ErrCode),
			"the code is bound to a DPoP key: send a proof")
	}
	if b.DPoPThumbprint != "" && !jose.EqualString(b.DPoPThumbprint, t.bound.JKT) {
		return fmt.Errorf("%w: it is bound to another DPoP key", ErrCode)
	}
	return nil
}

// Commit consumes the proof and the client assertion, and returns the
// confirmation of an access token for this request. The confirmation is its
// cnf, and determines its token_type. Of any number of concurrent requests with
// the same proof or assertion at most one succeeds. Call it once, after all
// other checks and before anything is issued. [Server.Token] calls it itself.
//
// Clients registered with tls_client_certificate_bound_access_tokens receive
// tokens that are bound to the certificate of this request. If it has a proof,
// the token is bound to its key as well. All others receive tokens bound to the
// key of the proof.
func (t *TokenRequest) Commit(ctx context.Context) (tokenbinding.Confirmation, error) {
	if t == nil || t.server == nil {
		return tokenbinding.Confirmation{}, errors.New("authserver: Commit of an unchecked request")
	}
	ctx = expiring.WithClient(ctx, t.server.cfg.Issuer, t.client.ClientID)
	// The assertion is first: a request with a stolen, used one writes nothing.
	// Its proofs would count against the client that it was stolen from.
	if err := t.server.clients.Commit(ctx, t.auth); err != nil {
		return tokenbinding.Confirmation{}, err
	}
	if t.bound.JKT != "" {
		if err := t.server.tokenProofs.Commit(ctx, t.proof); err != nil {
			return tokenbinding.Confirmation{}, err
		}
	}
	return t.bound, nil
}
