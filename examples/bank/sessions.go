package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
)

const (
	sessionCookie   = "__Host-session"
	flowCookie      = "__Host-flow-"
	sessionLifetime = 30 * time.Minute
	flowLifetime    = 12 * time.Minute // more than a pushed request lasts
	maxFlows        = 8                // of one browser at a time
	maxSessionID    = 64               // bytes; longer cookies are not from this bank
)

// A session is a browser in which a user has logged in.
type session struct {
	id    string
	user  string
	began time.Time // the time of the login
}

// A storedSession is the record of a session. Its name is the value of the
// cookie, of which the store has only a hash.
type storedSession struct {
	User    string    `json:"user,omitempty"` // empty after a logout
	Began   time.Time `json:"began"`
	Expires time.Time `json:"expires"`
}

// A flow is the request of a browser that was sent to the login page: an
// authorization, or one of the bank's own pages. The browser keeps it in a
// sealed cookie, one for each tab. The bank therefore stores nothing before a
// login.
type flow struct {
	ID         string    `json:"-"`
	ClientID   string    `json:"client_id,omitempty"` // empty for the bank's own pages
	RequestURI string    `json:"request_uri,omitempty"`
	Began      time.Time `json:"began"`
}

// sessions recognizes browsers by their cookies.
type sessions struct {
	now     func() time.Time
	secrets func(use string) [][]byte // the first one makes new values
	records *records.Records
}

func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func setCookie(w http.ResponseWriter, name, value string, lifetime time.Duration) {
	maxAge := int(lifetime / time.Second)
	if value == "" {
		maxAge = -1
	}
	// Lax, as the browser comes here from the client's site.
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
}

// logIn starts a new session of the browser, in place of an existing one.
func (s *sessions) logIn(w http.ResponseWriter, r *http.Request, user string) error {
	if err := s.logOut(w, r); err != nil {
		return err
	}
	id, now := rand.Text(), s.now()
	err := records.Update(r.Context(), s.records, "session", id, sessionLifetime, func(v *storedSession) (bool, error) {
		*v = storedSession{User: user, Began: now, Expires: now.Add(sessionLifetime)}
		return true, nil
	})
	if err == nil {
		setCookie(w, sessionCookie, id, sessionLifetime)
	}
	return err
}

// sessionKey is the key of the session in the context of a request.
type sessionKey struct{}

// of returns the session of the browser that withSession has found. It returns
// nil if there is none.
func (s *sessions) of(r *http.Request) *session {
	in, _ := r.Context().Value(sessionKey{}).(*session)
	return in
}

// find returns the session of the browser. It returns nil if there is none.
func (s *sessions) find(r *http.Request) (*session, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || cookie.Value == "" || len(cookie.Value) > maxSessionID {
		return nil, nil
	}
	var stored storedSession
	_, err = s.records.Get(r.Context(), "session", cookie.Value, &stored)
	if err != nil || stored.User == "" || !stored.Expires.After(s.now()) {
		return nil, err
	}
	return &session{id: cookie.Value, user: stored.User, began: stored.Began}, nil
}

// withSession adds the session of the browser to the context of the request.
// The sessions of a deleted user have ended.
func (b *bank) withSession(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := b.sessions.find(r)
		exists := false
		if in != nil && err == nil {
			exists, err = b.users.exists(r.Context(), in.user)
		}
		if err != nil {
			b.fail(w, r, errStore, err)
			return
		}
		if exists {
			r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, in))
		}
		next(w, r)
	}
}

// logOut ends the session of the browser.
func (s *sessions) logOut(w http.ResponseWriter, r *http.Request) error {
	in, err := s.find(r)
	if err != nil || in == nil {
		return err
	}
	err = records.Update(r.Context(), s.records, "session", in.id, time.Minute, func(v *storedSession) (bool, error) {
		*v = storedSession{}
		return true, nil
	})
	if err == nil {
		setCookie(w, sessionCookie, "", 0)
	}
	return err
}

// begin stores a flow in the browser. It reuses an existing flow for the same
// request, so a reload adds none. Above the bound it drops the oldest flow.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, clientID, requestURI string) (*flow, error) {
	all := s.flows(r)
	for _, f := range all {
		if f.ClientID == clientID && f.RequestURI == requestURI {
			return f, nil
		}
	}
	for ; len(all) >= maxFlows; all = all[1:] {
		s.end(w, all[0])
	}
	f := &flow{ID: rand.Text(), ClientID: clientID, RequestURI: requestURI, Began: s.now()}
	plain, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	aead, err := sealer(s.secrets(useFlows)[0])
	if err != nil {
		return nil, err
	}
	sealed := aead.Seal(nil, nil, plain, []byte(f.ID))
	setCookie(w, flowCookie+f.ID, base64.RawURLEncoding.EncodeToString(sealed), flowLifetime)
	return f, nil
}

func (s *sessions) end(w http.ResponseWriter, f *flow) { setCookie(w, flowCookie+f.ID, "", 0) }

// keepAMoment keeps a finished flow in the browser for a second request of the
// same form.
func (s *sessions) keepAMoment(w http.ResponseWriter, r *http.Request, f *flow) {
	if cookie, err := r.Cookie(flowCookie + f.ID); err == nil {
		setCookie(w, cookie.Name, cookie.Value, answerKept)
	}
}

// flow returns the flow with an ID. It returns nil if this browser has no such
// flow.
func (s *sessions) flow(r *http.Request, id string) *flow {
	for _, f := range s.flows(r) {
		if f.ID == id {
			return f
		}
	}
	return nil
}

// flows returns the browser's flows, the oldest first.
func (s *sessions) flows(r *http.Request) (all []*flow) {
	for _, cookie := range r.Cookies() {
		id, ok := strings.CutPrefix(cookie.Name, flowCookie)
		if !ok || len(all) >= 4*maxFlows {
			continue
		}
		sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil {
			continue
		}
		f := &flow{ID: id}
		if s.unseal(sealed, f) && s.now().Sub(f.Began) <= flowLifetime {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *flow) int { return a.Began.Compare(b.Began) })
	return all
}

// unseal reads the content of a flow. Only the bank can have sealed it.
func (s *sessions) unseal(sealed []byte, f *flow) bool {
	for _, key := range s.secrets(useFlows) {
		if aead, err := sealer(key); err == nil {
			if plain, err := aead.Open(nil, nil, sealed, []byte(f.ID)); err == nil {
				return json.Unmarshal(plain, f) == nil
			}
		}
	}
	return false
}

// formToken returns the value that a form has to contain. Only a page in this
// browser shows it.
func (s *sessions) formToken(of ...string) string { return tag(s.secrets(useForms)[0], of) }

func (s *sessions) checkForm(token string, of ...string) bool { return s.isTag(useForms, token, of) }

// isTag reports whether a tag is from one of the keys of a use.
func (s *sessions) isTag(use, got string, of []string) bool {
	return slices.ContainsFunc(s.secrets(use), func(key []byte) bool {
		return subtle.ConstantTimeCompare([]byte(got), []byte(tag(key, of))) == 1
	})
}

// tag returns a message authentication code for a list of texts.
func tag(key []byte, of []string) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range of {
		mac.Write([]byte(part + "\x00"))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
