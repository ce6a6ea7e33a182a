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
)

func (s *Server) signingMetadata(m *profile.ServerMetadata) {
	m.RequestObjectSigningAlgValuesSupported = s.objects.Algorithms()        // JAR-4-5
	m.RequireSignedRequestObject = s.cfg.Profile.Has(profile.SignedRequests) // JAR-10.5-1
	m.AuthorizationSigningAlgValuesSupported = s.algorithms()                // JARM-4-1
	m.ResponseModesSupported = []string{                                     // JARM-4-2
		string(jarm.ModeJWT), string(jarm.ModeQueryJWT), string(jarm.ModeFormPostJWT),
	}
	if !s.cfg.Profile.Has(profile.SignedResponses) {
		m.ResponseModesSupported = append([]string{"query"}, m.ResponseModesSupported...)
	}
	if s.cfg.Introspection != nil {
		m.IntrospectionEndpoint = s.endpoint(s.cfg.Endpoints.Introspection)
		m.IntrospectionEndpointAuthMethodsSupported = slices.Clone(m.TokenEndpointAuthMethodsSupported)
		m.IntrospectionEndpointAuthSigningAlgValuesSupported = s.clients.Algorithms()
		m.IntrospectionSigningAlgValuesSupported = s.algorithms() // INT-9701-7-1
	}
}

func (s *Server) mustSign(client *profile.ClientMetadata) bool {
	return s.cfg.Profile.Has(profile.SignedRequests) || client.RequireSignedRequestObject
}

// openRequest returns the parameters of a pushed request. If it has a request
// object, they are only those of the object. If the server or the registration
// requires one, plain parameters are rejected (MS-5.3.1-1, PAR-2.3-4).
func (s *Server) openRequest(
	ctx context.Context, client *profile.ClientMetadata, form url.Values,
) (jar.Request, url.Values, error) {
	if !form.Has("request") && !s.mustSign(client) {
		return jar.Request{}, form, nil
	}
	object, err := s.objects.Check(ctx, jar.Client{
		ID: client.ClientID, Algorithm: client.RequestObjectSigningAlg, Keys: s.remoteKeys.of(client),
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
func (s *Server) responseMode(
	ctx context.Context, client *profile.ClientMetadata, parameter string,
) (jarm.Mode, error) {
	if parameter == "" || parameter == "query" {
		if s.cfg.Profile.Has(profile.SignedResponses) || !client.AllowsResponseMode("query") {
			return "", fmt.Errorf("%w: response_mode %.32q, and responses have to be signed", ErrParameter, parameter)
		}
		return "", nil
	}
	mode, err := jarm.ParseMode(parameter, "code")
	if err != nil {
		return "", err
	}
	if !client.AllowsResponseMode(parameter) {
		return "", fmt.Errorf("%w: response_mode %.32q", ErrParameter, parameter)
	}
	return mode, s.checkSigns(ctx, client)
}

// checkSigns finds a client for which no response could be signed, or encrypted
// if it wants that.
func (s *Server) checkSigns(ctx context.Context, client *profile.ClientMetadata) error {
	// JARM-3-1, JARM-2.2-2
	if _, err := s.signatory(ctx, memberResponseAlg, client.AuthorizationSignedResponseAlg); err != nil {
		return err
	}
	_, err := s.responseRecipient(ctx, client)
	return err
}

// errorMode returns the mode of an error response. It is the requested mode, if
// the client may use it. Otherwise the response is signed (MS-5.4.1-1). If it
// cannot be signed, errorMode fails.
func (s *Server) errorMode(ctx context.Context, client *profile.ClientMetadata, params url.Values) (jarm.Mode, error) {
	mode, err := s.responseMode(ctx, client, params.Get("response_mode"))
	if err != nil {
		if err := s.checkSigns(ctx, client); err != nil {
			return "", err
		}
		if mode, err = jarm.ParseMode(params.Get("response_mode"), "code"); err != nil {
			mode = jarm.ModeQueryJWT
		}
	}
	return mode, checkAnswerable(mode, params)
}
