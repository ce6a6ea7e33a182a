package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// rejected checks that the server rejected a request with one of the error
// codes.
func rejected(a *answer, r *Result, codes ...string) error {
	r.Expected = "status 400 or 401 with the error " + strings.Join(codes, " or ")
	switch code := a.failure(); {
	case a.status < http.StatusBadRequest:
		return errors.New("the server did not reject the request")
	case a.status >= http.StatusInternalServerError:
		return errors.New("the server failed")
	case code == "":
		return errors.New("the response has no error code in JSON")
	case !slices.Contains(codes, code):
		return warning(fmt.Sprintf("the server rejected the request with the error %.60q", code))
	case a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized:
		return warning(fmt.Sprintf("the server rejected the request with status %d", a.status))
	}
	return nil
}

// A pushedResponse is the response to a pushed request (RFC 9126 §2.2).
type pushedResponse struct {
	RequestURI string      `json:"request_uri"`
	ExpiresIn  json.Number `json:"expires_in"`
}

func readPushed(a *answer) (pushed pushedResponse, err error) {
	switch {
	case a.status != http.StatusCreated:
		return pushed, errors.New("the server did not accept a valid pushed request")
	case !a.isJSON():
		return pushed, errors.New("the response is not application/json")
	}
	if err := json.Unmarshal(a.body, &pushed); err != nil {
		return pushed, errors.New("the response is not the expected JSON")
	}
	if pushed.RequestURI == "" {
		return pushed, errors.New("the response has no request_uri")
	}
	return pushed, nil
}

// A tokenResponse is a token response (RFC 6749 §5.1).
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	IDToken     string `json:"id_token"`
}

func readToken(a *answer) (token tokenResponse, err error) {
	switch {
	case a.status != http.StatusOK:
		return token, errors.New("the server did not accept a valid token request")
	case !a.isJSON():
		return token, errors.New("the response is not application/json")
	}
	if err := json.Unmarshal(a.body, &token); err != nil {
		return token, errors.New("the response is not the expected JSON")
	}
	if token.AccessToken == "" {
		return token, errors.New("the response has no access_token")
	}
	return token, nil
}
