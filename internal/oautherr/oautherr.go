// Package oautherr carries what an OAuth error says on the wire beside what it says locally.
//
// A sentinel made by [New] has two texts: the error text, for the operator's log, and the wire code, HTTP status and
// description, for the peer. Wrapping a sentinel with fmt.Errorf("%w: …") adds local detail; the peer keeps seeing only
// what the sentinel declares, so that no cause ever leaks by being wrapped.
package oautherr

import (
	"errors"
	"net/http"
)

// ServerError is the wire code for failures that are not the peer's doing (RFC 6749 §4.1.2.1).
const ServerError = "server_error"

// wire is the interface by which anyone, in or outside this module, reads an error's wire form.
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

// New declares a sentinel: text is local, the rest is for the peer.
func New(text, code string, status int, description string) error {
	return &sentinel{text: text, code: code, status: status, description: description}
}

// override replaces a part of the wire form and keeps the chain.
type override struct {
	error
	code, description string
	status            int
}

func (e *override) Unwrap() error                          { return e.error }
func (e *override) OAuthError() (code, description string) { return e.code, e.description }
func (e *override) HTTPStatus() int                        { return e.status }

// Describe returns err with another public description, which must be safe to show to the peer.
func Describe(err error, description string) error {
	code, _, status := From(err)
	return &override{error: err, code: code, description: description, status: status}
}

// WithStatus returns err with another HTTP status: a DPoP error is 400 at an authorization server and 401 at a
// resource server.
func WithStatus(err error, status int) error {
	code, description, _ := From(err)
	return &override{error: err, code: code, description: description, status: status}
}

// From returns what to tell the peer about err. An error without a wire form is a server_error with status 500 and no
// description, so that nothing local is shown by accident.
func From(err error) (code, description string, status int) {
	var e wire
	if errors.As(err, &e) {
		code, description = e.OAuthError()
		return code, description, e.HTTPStatus()
	}
	return ServerError, "", http.StatusInternalServerError
}

// Reason returns the error text of the sentinel behind err, without what was wrapped around it: one of a fixed set, by which
// an operator can count and watch. It is empty for an error of somebody else's.
func Reason(err error) string {
	var s *sentinel
	if errors.As(err, &s) {
		return s.text
	}
	return ""
}
