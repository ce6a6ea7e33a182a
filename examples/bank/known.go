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
func knownName(key []byte, user string) string {
	return knownCookie + tag(key, []string{"known name", user})[:16]
}

// know marks a browser in which a user has logged in. It keeps an existing ID,
// so that another login does not reset the count of failures.
func (s *sessions) know(w http.ResponseWriter, user, id string) {
	if id == "" {
		id = rand.Text()
	}
	until := strconv.FormatInt(s.now().Add(knownLifetime).Unix(), 10)
	key := s.secrets(useBrowsers)[0]
	setCookie(w, knownName(key, user), id+"."+until+"."+tag(key, []string{"known", user, id, until}), knownLifetime)
}

// known returns the ID of a browser in which that user has logged in before. It
// returns "" for any other browser.
func (s *sessions) known(r *http.Request, user string) string {
	for _, key := range s.secrets(useBrowsers) {
		cookie, err := r.Cookie(knownName(key, user))
		if err != nil {
			continue
		}
		parts := strings.Split(cookie.Value, ".")
		if len(parts) != 3 || !s.isTag(useBrowsers, parts[2], []string{"known", user, parts[0], parts[1]}) {
			continue
		}
		until, err := strconv.ParseInt(parts[1], 10, 64)
		if err == nil && s.now().Before(time.Unix(until, 0)) {
			return parts[0]
		}
	}
	return ""
}
