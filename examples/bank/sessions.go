package main

import (
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
	"sync"
	"time"
)

const (
	sessionCookie   = "__Host-session"
	flowCookie      = "__Host-flow-"
	sessionLifetime = 30 * time.Minute
	flowLifetime    = 12 * time.Minute // more than a pushed request lasts
	maxFlows        = 8                // of one browser at a time
	maxSessions     = 100_000
)

// A session is a browser in which a user has logged in.
type session struct {
	id      string
	user    string
	began   time.Time // the time of the login
	expires time.Time
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
	now  func() time.Time
	aead cipher.AEAD // seals flows
	key  []byte      // of form tokens

	mu   sync.Mutex
	byID map[[32]byte]*session // by the hash of the cookie, so that the comparison does not depend on the secret
}

func newSessions(now func() time.Time) (*sessions, error) {
	sealing, tokens := make([]byte, 32), make([]byte, 32)
	rand.Read(sealing)
	rand.Read(tokens)
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sessions{now: now, aead: aead, key: tokens, byID: make(map[[32]byte]*session)}, err
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
func (s *sessions) logIn(w http.ResponseWriter, r *http.Request, user string) *session {
	s.logOut(w, r)
	now := s.now()
	in := &session{id: rand.Text(), user: user, began: now, expires: now.Add(sessionLifetime)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= maxSessions {
		s.makeRoom(now)
	}
	s.byID[sha256.Sum256([]byte(in.id))] = in
	setCookie(w, sessionCookie, in.id, sessionLifetime)
	return in
}

// makeRoom ends expired sessions, and at least one session. The user of a
// session that is not expired has to log in again.
func (s *sessions) makeRoom(now time.Time) {
	var some [32]byte
	for id, in := range s.byID {
		if some = id; !in.expires.After(now) {
			delete(s.byID, id)
		}
	}
	delete(s.byID, some)
}

// of returns the session of the browser. It returns nil if there is none.
func (s *sessions) of(r *http.Request) *session {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.byID[sha256.Sum256([]byte(cookie.Value))]
	if in == nil || !in.expires.After(s.now()) {
		return nil
	}
	return in
}

func (s *sessions) logOut(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sha256.Sum256([]byte(cookie.Value)))
	setCookie(w, sessionCookie, "", 0)
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
	sealed := s.aead.Seal(nil, nil, plain, []byte(f.ID))
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
		plain, err := s.aead.Open(nil, nil, sealed, []byte(id))
		if err != nil || json.Unmarshal(plain, f) != nil || s.now().Sub(f.Began) > flowLifetime {
			continue
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *flow) int { return a.Began.Compare(b.Began) })
	return all
}

// formToken returns the value that a form has to contain. Only a page in this
// browser shows it.
func (s *sessions) formToken(of ...string) string {
	mac := hmac.New(sha256.New, s.key)
	for _, part := range of {
		mac.Write([]byte(part + "\x00"))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *sessions) checkForm(token string, of ...string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.formToken(of...))) == 1
}
