package authserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
)

func (s *Server) signingMetadata(m *profile.ServerMetadata) {
	m.RequestObjectSigningAlgValuesSupported = s.objects.Algorithms() // JAR-4-5
	required := s.cfg.profileUnder(s.cfg.rules())
	m.RequireSignedRequestObject = required.Has(profile.SignedRequests) // JAR-10.5-1
	m.AuthorizationSigningAlgValuesSupported = s.algorithms()           // JARM-4-1
	m.ResponseModesSupported = []string{                                // JARM-4-2
		string(jarm.ModeJWT), string(jarm.ModeQueryJWT), string(jarm.ModeFormPostJWT),
	}
	if !required.Has(profile.SignedResponses) {
		m.ResponseModesSupported = append([]string{"query"}, m.ResponseModesSupported...)
	}
	if s.cfg.Introspection != nil {
		m.IntrospectionEndpoint = s.endpoint(s.cfg.Endpoints.Introspection)
		m.IntrospectionEndpointAuthMethodsSupported = slices.Clone(m.TokenEndpointAuthMethodsSupported)
		m.IntrospectionEndpointAuthSigningAlgValuesSupported = s.clients.Algorithms()
		m.IntrospectionSigningAlgValuesSupported = s.algorithms() // INT-9701-7-1
	}
}

func (s *Server) mustSign(client *profile.ClientMetadata, set *rules.Set) bool {
	return s.cfg.profileUnder(set).Has(profile.SignedRequests) || client.RequireSignedRequestObject
}

// openRequest returns the parameters of a pushed request. If it has a request
// object, they are only those of the object. If the server or the registration
// requires one, plain parameters are rejected (MS-5.3.1-1, PAR-2.3-4).
func (s *Server) openRequest(
	ctx context.Context, from sender, form url.Values,
) (jar.Request, url.Values, error) {
	client, set := from.client, from.rules
	if !form.Has("request") && !s.mustSign(client, set) {
		return jar.Request{}, form, nil
	}
	object, err := s.objects.Check(ctx, jar.Client{
		ID: client.ClientID, Algorithm: client.RequestObjectSigningAlg, Keys: s.remoteKeys.of(client),
		Algorithms: set.Algorithms.For(set.Algorithms.RequestObject), MinRSABits: set.Algorithms.RSABits,
		MaxLifetime: set.Lifetimes.RequestObject.Max, MaxAge: set.Lifetimes.RequestObjectAge.Max,
	}, form)
	if err != nil {
		return jar.Request{}, nil, err
	}
	return object, object.Params(), nil
}

// checkAnswerable finds what no signed response could be sent for: better now
// than when the user has logged in.
func checkAnswerable(mode jarm.Mode, params url.Values) error {
	if mode == "" {
		return nil
	}
	// JARM-2.3-1: a redirect_uri with a response of its own would have two, and
	// no form can be posted to an app's own scheme.
	if err := mode.Check(params.Get("redirect_uri")); err != nil {
		return fmt.Errorf("%w: %w", ErrParameter, err)
	}
	// JARM-2.1-3, JARM-2.1-4: the state goes inside, where a control character
	// takes six.
	var state bytes.Buffer
	e := json.NewEncoder(&state)
	e.SetEscapeHTML(false)
	if err := e.Encode(params.Get("state")); err != nil || state.Len() > 4*maxState {
		return fmt.Errorf("%w: state too long for a signed response", ErrParameter)
	}
	return nil
}

// responseMode reads response_mode; query is the empty Mode. MS-5.4.1-1: a
// server that demands signed responses serves no others. MS-5.3.3-1: a client
// gets only what it is registered for, above all no unsigned response if that
// is not in it.
func (s *Server) responseMode(ctx context.Context, a *asked, parameter string) (jarm.Mode, error) {
	client := a.client
	if parameter == "" || parameter == "query" {
		if s.cfg.profileUnder(a.rules).Has(profile.SignedResponses) || !client.AllowsResponseMode("query") {
			return "", fmt.Errorf("%w: response_mode %.32q, and responses have to be signed", ErrParameter, parameter)
		}
		return "", checkMode(a.rules, "query")
	}
	mode, err := jarm.ParseMode(parameter, "code")
	if err != nil {
		return "", err
	}
	if !client.AllowsResponseMode(parameter) {
		return "", fmt.Errorf("%w: response_mode %.32q", ErrParameter, parameter)
	}
	if err := checkMode(a.rules, parameter); err != nil {
		return "", err
	}
	return mode, s.checkSigns(ctx, a)
}

// checkMode checks that the rules permit a response mode. For the code flow,
// jwt and query.jwt are two names of one mode.
func checkMode(set *rules.Set, mode string) error {
	if permitsMode(set.ResponseModes, mode) {
		return nil
	}
	return violation(ErrParameter, set, "response_mode", mode, set.ResponseModes)
}

// permitsMode is permits for response modes.
func permitsMode(list []string, mode string) bool {
	named := mode == "jwt" || mode == "query.jwt"
	return rules.Permits(list, mode) || named && (rules.Permits(list, "jwt") || rules.Permits(list, "query.jwt"))
}

// checkSigns finds a client for which no response could be signed, or encrypted
// if it wants that.
func (s *Server) checkSigns(ctx context.Context, a *asked) error {
	// JARM-3-1, JARM-2.2-2
	if _, err := s.responseSignatory(ctx, a); err != nil {
		return err
	}
	_, err := s.responseRecipient(ctx, a.client)
	return err
}

// responseSignatory returns the signatory of authorization responses.
func (s *Server) responseSignatory(ctx context.Context, a *asked) (*signatory, error) {
	return s.signatory(ctx, a.rules.Algorithms.For(nil), memberResponseAlg, a.client.AuthorizationSignedResponseAlg)
}

// errorMode returns the mode of an error response. It is the requested mode, if
// the client may use it. Otherwise the response is signed (MS-5.4.1-1). If it
// cannot be signed, errorMode fails.
func (s *Server) errorMode(ctx context.Context, a *asked, params url.Values) (jarm.Mode, error) {
	mode, err := s.responseMode(ctx, a, params.Get("response_mode"))
	if err != nil {
		if err := s.checkSigns(ctx, a); err != nil {
			return "", err
		}
		if mode, err = jarm.ParseMode(params.Get("response_mode"), "code"); err != nil {
			mode = jarm.ModeQueryJWT
		}
	}
	return mode, checkAnswerable(mode, params)
}
