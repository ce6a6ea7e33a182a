package main

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	knownCookie   = "__Host-known-"
	knownLifetime = 180 * 24 * time.Hour
)

// knownName returns the name of the cookie for one user. The name does not
// disclose the user.
func (s *sessions) knownName(user string) string {
	return knownCookie + s.formToken("known name", user)[:16]
}

// know marks a browser in which a user has logged in. It keeps an existing ID,
// so that another login does not reset the count of failures.
func (s *sessions) know(w http.ResponseWriter, user, id string) {
	if id == "" {
		id = rand.Text()
	}
	until := strconv.FormatInt(s.now().Add(knownLifetime).Unix(), 10)
	setCookie(w, s.knownName(user), id+"."+until+"."+s.formToken("known", user, id, until), knownLifetime)
}

// known returns the ID of a browser in which that user has logged in before. It
// returns "" for any other browser.
func (s *sessions) known(r *http.Request, user string) string {
	cookie, err := r.Cookie(s.knownName(user))
	if err != nil {
		return ""
	}
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 3 || !s.checkForm(parts[2], "known", user, parts[0], parts[1]) {
		return ""
	}
	until, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || !s.now().Before(time.Unix(until, 0)) {
		return ""
	}
	return parts[0]
}
