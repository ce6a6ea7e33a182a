package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/profile"
)

// The stages of an authorization, by the names that -once prints.
const (
	stageDiscovery = "discovery"              // metadata and keys of the server
	stagePAR       = "par"                    // the pushed authorization request
	stageResponse  = "authorization_response" // all that happens in the browser, and what comes back from there
	stageToken     = "token"
	stageIDToken   = "id_token"
	stageResource  = "resource"
)

// A stageError says where an authorization came to its end.
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

// stageOf returns the stage of an error of at, and what happened there.
func stageOf(err error) (stage, reason string) {
	var its *stageError
	if errors.As(err, &its) {
		return its.stage, explain(its.err)
	}
	return "", explain(err)
}

// finishStage tells the stages of profile.Client.Finish apart. What the server said comes from the browser if there is no
// response that it stood in, and else from the token endpoint.
func finishStage(err error) string {
	var said *oauth2.RetrieveError
	switch {
	case errors.Is(err, profile.ErrAuthorizationResponse):
		return stageResponse
	case errors.As(err, &said) && said.Response == nil:
		return stageResponse
	case errors.Is(err, profile.ErrTokenResponse) && isAboutIDToken(err):
		return stageIDToken
	}
	return stageToken
}

func isAboutIDToken(err error) bool {
	for _, sentinel := range []error{
		idtoken.ErrMalformed, idtoken.ErrAlgorithm, idtoken.ErrType, idtoken.ErrClaims, idtoken.ErrIssuer, idtoken.ErrAudience,
		idtoken.ErrAuthorizedParty, idtoken.ErrExpired, idtoken.ErrIssuedAt, idtoken.ErrNonce, idtoken.ErrSubject,
		idtoken.ErrAuthentication, idtoken.ErrAccessToken, idtoken.ErrSignature, idtoken.ErrUnavailable,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// maxReason bounds what is told of an error, as a server can have a part in it.
const maxReason = 300

var unprintable = regexp.MustCompile(`[^\x20-\x7e]+`)

// explain makes an error fit to be shown. Of what a server said it keeps the code, since the rest may repeat our request; of
// a failed request what failed, since a URL of the browser's has secrets in it.
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
