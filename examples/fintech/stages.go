package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// These are the stages of an authorization, as -once prints them.
const (
	stageDiscovery = "discovery"              // metadata and keys of the server
	stagePAR       = "par"                    // the pushed authorization request
	stageResponse  = "authorization_response" // the browser's part, and the authorization response
	stageToken     = "token"
	stageIDToken   = "id_token"
	stageResource  = "resource"
)

// A stageError is an error with the stage at which an authorization failed.
type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.stage + ": " + explain(e.err) }
func (e *stageError) Unwrap() error { return e.err }

func at(stage string, err error) error {
	if err == nil {
		return nil
	}
	return &stageError{stage, err}
}

// stageOf returns the stage and the reason of an error that the function at has
// returned.
func stageOf(err error) (stage, reason string) {
	var its *stageError
	if errors.As(err, &its) {
		return its.stage, explain(its.err)
	}
	return "", explain(err)
}

// finishStage returns the stage of an error of client.Client.Finish. An error
// of the server without an HTTP response came through the browser. Any other
// error of the server came from the token endpoint.
func finishStage(err error) string {
	var said *oauth2.RetrieveError
	switch {
	case errors.Is(err, client.ErrAuthorizationResponse):
		return stageResponse
	case errors.As(err, &said) && said.Response == nil:
		return stageResponse
	case errors.Is(err, client.ErrTokenResponse) && isAboutIDToken(err):
		return stageIDToken
	}
	return stageToken
}

func isAboutIDToken(err error) bool {
	for _, sentinel := range []error{
		idtoken.ErrMalformed, idtoken.ErrAlgorithm, idtoken.ErrType, idtoken.ErrClaims, idtoken.ErrIssuer,
		idtoken.ErrAudience,
		idtoken.ErrAuthorizedParty, idtoken.ErrExpired, idtoken.ErrIssuedAt, idtoken.ErrNonce, idtoken.ErrSubject,
		idtoken.ErrAuthentication, idtoken.ErrAccessToken, idtoken.ErrSignature, idtoken.ErrUnavailable,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// maxReason bounds the text of an error, because a server may have written part
// of it.
const maxReason = 300

var unprintable = regexp.MustCompile(`[^\x20-\x7e]+`)

// explain returns the text of an error for display. It reduces an error
// response to its code, because the other members may repeat the request. It
// reduces a failed request to the failure, because the URL may contain secrets.
func explain(err error) string {
	var said *oauth2.RetrieveError
	var failed *url.Error
	text := err.Error()
	switch {
	case errors.As(err, &said) && said.ErrorCode != "" && said.Response == nil:
		text = said.ErrorCode
	case errors.As(err, &said) && said.ErrorCode != "":
		text = fmt.Sprintf("%s (status %d)", said.ErrorCode, said.Response.StatusCode)
	case errors.As(err, &said) && said.Response != nil:
		text = fmt.Sprintf("status %d without an error code", said.Response.StatusCode)
	case errors.As(err, &failed):
		text = strings.ToLower(failed.Op) + ": " + failed.Err.Error()
	}
	return printable(text)
}

func printable(text string) string {
	text = unprintable.ReplaceAllString(text, " ")
	return text[:min(len(text), maxReason)]
}

// secretLike matches text that could be a token, a code or a request_uri.
// Servers may repeat parts of a request in an error_description.
var secretLike = regexp.MustCompile(`[A-Za-z0-9_.~+/=:-]{24,}`)

// description returns the error_description of a server without text that could
// be a secret.
func description(err error) string {
	var said *oauth2.RetrieveError
	if !errors.As(err, &said) {
		return ""
	}
	return printable(secretLike.ReplaceAllString(said.ErrorDescription, "(left out)"))
}
