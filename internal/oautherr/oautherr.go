// Package oautherr has errors with two texts: one for the operator's log, and
// one for the peer.
//
// A sentinel of [New] has a local text, and the wire code, HTTP status and
// description for the peer. fmt.Errorf("%w: …") adds local detail to a
// sentinel. The peer still receives only the texts of the sentinel, so that
// wrapping never reveals a cause.
package oautherr

import (
	"errors"
	"net/http"
)

// ServerError is the wire code of errors that the peer did not cause (RFC 6749
// §4.1.2.1).
const ServerError = "server_error"

// wire is the interface of the wire form of an error. Other packages and
// modules may implement it.
type wire interface {
	error
	OAuthError() (code, description string)
	HTTPStatus() int
}

type sentinel struct {
	text, code, description string
	status                  int
}

func (e *sentinel) Error() string                          { return e.text }
func (e *sentinel) OAuthError() (code, description string) { return e.code, e.description }
func (e *sentinel) HTTPStatus() int                        { return e.status }

// New returns a sentinel. The text is local. The other arguments are for the
// peer.
func New(text, code string, status int, description string) error {
	return &sentinel{text: text, code: code, status: status, description: description}
}

// override replaces a part of the wire form and wraps the error.
type override struct {
	error
	code, description string
	status            int
}

func (e *override) Unwrap() error                          { return e.error }
func (e *override) OAuthError() (code, description string) { return e.code, e.description }
func (e *override) HTTPStatus() int                        { return e.status }

// Describe returns err with another description, which the peer may see.
func Describe(err error, description string) error {
	code, _, status := From(err)
	return &override{error: err, code: code, description: description, status: status}
}

// WithStatus returns err with another HTTP status. For example, a DPoP error is
// 400 at an authorization server and 401 at a resource server.
func WithStatus(err error, status int) error {
	code, description, _ := From(err)
	return &override{error: err, code: code, description: description, status: status}
}

// From returns the wire form of err. An error without a wire form is
// server_error with status 500 and no description, so that the peer never
// receives a local text.
func From(err error) (code, description string, status int) {
	var e wire
	if errors.As(err, &e) {
		code, description = e.OAuthError()
		return code, description, e.HTTPStatus()
	}
	return ServerError, "", http.StatusInternalServerError
}

// Reason returns the text of the sentinel that err wraps, without local detail.
// An operator can count errors by it. It is empty for an error of another
// package.
func Reason(err error) string {
	var s *sentinel
	if errors.As(err, &s) {
		return s.text
	}
	return ""
}
