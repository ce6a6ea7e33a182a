package client

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
)

const (
	sessionKeyBytes = 32
	maxSessionKeys  = 8

	defaultSessionMaxAge = 15 * time.Minute // for somebody who has to find the bank's app first
	longestSessionMaxAge = time.Hour
	maxUsedSessions      = 1 << 20

	// maxSealed bounds a sealed session. Browsers drop cookies of more than 4096 bytes, name and attributes included.
	maxSealed = 3800
	// maxFlows and maxFlowBytes bound the concurrent logins of one browser.
	// Proxies accept 8 KiB for the header of a request, and the application has
	// cookies of its own.
	maxFlows     = 6
	maxFlowBytes = 6 << 10
)

// ErrSession: the browser has no session that the callback could belong to: it has expired or was used before, it is another
// browser's, or not of ours. The user has to begin again.
var ErrSession = errors.New("client: no such session in this browser")

// ErrClientStore reports that [SessionsConfig.Used] failed.
var ErrStore = errors.New("client: session store failed")

// SessionsConfig configures [NewSessions].
type SessionsConfig struct {
	// Keys are secrets of 32 random bytes each, at most eight, the same in all processes of the application. The first seals, all
	// of them open, so that one can be rotated: add a new key at the end everywhere, then move it to the front everywhere, then
	// drop the old one. Required.
	Keys [][]byte
	// MaxAge is how long a user can take between the beginning and the callback: 15 minutes if 0, at most an hour.
	MaxAge time.Duration
	// Used remembers the sessions that have been used. nil: in memory, where it is good for one process. In another process
	// nothing is lost without it but that a callback's URL and the browser's cookie together work once more there, where the
	// server refuses the code.
	Used dpop.ReplayStore
	// Cookie is part of the cookies' names, to tell two applications at one host apart. Default: login.
	Cookie string

	// CrossOrigin decides which requests may begin a login (SP-5.3.3.1-12). nil: those of the pages of the handler's own origin.
	CrossOrigin *http.CrossOriginProtection
	// AllowGET lets [Client.LoginHandler] accept GET as well, for a link to it. The
	// browser must report, by Sec-Fetch-Site, that the user followed a link from the
	// same origin or typed the URL. A link in an e-mail counts as typed. Images and
	// frames are rejected (Sec-Fetch-Dest). If false, only POST is accepted.
	AllowGET bool
	// Fail answers a request whose login cannot be begun or finished. nil: a short text, which tells the user what the
	// authorization server has said, by its code, and nothing else.
	Fail func(w http.ResponseWriter, r *http.Request, err error)

	Now func() time.Time // nil: time.Now
}

// String keeps the keys to itself.
func (c SessionsConfig) String() string {
	return fmt.Sprintf("client.SessionsConfig{%d keys, MaxAge: %v}", len(c.Keys), c.MaxAge)
}

// GoString is String.
func (c SessionsConfig) GoString() string { return c.String() }

// LogValue is String.
func (c SessionsConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Sessions keep the [Session] of each login under way in the browser that has begun it, encrypted, in a cookie of its own, so
// that several tabs do not get into each other's way; it can come back once. So a web application needs no memory of its
// own between the beginning of a login and the callback. One serves all clients of an application. It is safe for concurrent
// use.
//
// [Client.LoginHandler] and [Client.CallbackHandler] are all that most need. A host with handlers of its own calls Put before it
// sends the browser away, and Take in the callback. One that keeps sessions elsewhere calls Seal and Open.
type Sessions struct {
	cfg    SessionsConfig
	sealer []cipher.AEAD
	prefix string // of cookies' names
}

// NewSessions refuses keys of another length, and times out of the range that [SessionsConfig] names.
func NewSessions(cfg SessionsConfig) (*Sessions, error) {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultSessionMaxAge
	}
	switch {
	case len(cfg.Keys) == 0 || len(cfg.Keys) > maxSessionKeys:
		return nil, fmt.Errorf("client: sessions: %d keys, want 1 to %d", len(cfg.Keys), maxSessionKeys)
	case cfg.MaxAge < time.Second || cfg.MaxAge > longestSessionMaxAge:
		return nil, fmt.Errorf("client: sessions: MaxAge is %v, not between 1s and %v", cfg.MaxAge, longestSessionMaxAge)
	case strings.ContainsFunc(cfg.Cookie, func(r rune) bool { return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9') }) || len(cfg.Cookie) > 32:
		return nil, errors.New("client: sessions: Cookie is not at most 32 letters and digits")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Used == nil {
		cfg.Used = expiring.NewSet(expiring.SetConfig{MaxEntries: maxUsedSessions, Now: cfg.Now})
	}
	if cfg.CrossOrigin == nil {
		cfg.CrossOrigin = http.NewCrossOriginProtection()
	}
	if cfg.Fail == nil {
		cfg.Fail = failLogin
	}
	s := &Sessions{cfg: cfg, prefix: "__Host-" + cmp.Or(cfg.Cookie, "login") + "-"}
	for i, secret := range cfg.Keys {
		if len(secret) != sessionKeyBytes {
			return nil, fmt.Errorf("client: sessions: key %d has %d bytes, want %d", i, len(secret), sessionKeyBytes)
		}
		// A key of its own: the host may use the secret elsewhere. With it, a random nonce for each is good for 2³² sessions.
		key, err := hkdf.Key(sha256.New, secret, nil, "fapi2 profile.Session 1", sessionKeyBytes)
		if err != nil {
			return nil, fmt.Errorf("client: sessions: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("client: sessions: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("client: sessions: %w", err)
		}
		s.sealer = append(s.sealer, aead)
	}
	s.cfg.Keys = nil
	return s, nil
}

// String says how many keys there are.
func (s *Sessions) String() string { return fmt.Sprintf("client.Sessions(%d keys)", len(s.sealer)) }

// GoString is String.
func (s *Sessions) GoString() string { return s.String() }

// LogValue is String.
func (s *Sessions) LogValue() slog.Value { return slog.StringValue(s.String()) }

// sealed is what is encrypted.
type sealed struct {
	Session *Session `json:"s"`
	Begun   int64    `json:"t"` // Unix seconds
}

// Seal encrypts a session, good for MaxAge and one use, for a host that keeps it by itself. browser is what only the
// browser has that began it, the identifier of the host's own session above all: with another one it does not open. The
// result is base64url; it leaves out URL, which is of no use any more then.
func (s *Sessions) Seal(session *Session, browser string) (string, error) {
	if browser == "" { // SP-5.3.3.2-4: bound to nothing, it would be good in anybody's hands
		return "", errors.New("client: sessions: no browser to bind a session to")
	}
	return s.seal(session, "host\x00"+browser)
}

// Open returns a session that Seal has sealed for this browser, once. The error matches [ErrSession], or [ErrClientStore] when it
// cannot be known whether it was used.
func (s *Sessions) Open(ctx context.Context, value, browser string) (*Session, error) {
	session, begun, err := s.open(value, "host\x00"+browser)
	if err != nil {
		return nil, err
	}
	if err := s.use(ctx, session, begun); err != nil {
		return nil, err
	}
	return session, nil
}

func (s *Sessions) seal(session *Session, binding string) (string, error) {
	if session == nil || session.State == "" || session.CodeVerifier == "" {
		return "", errors.New("client: sessions: not a session of Begin")
	}
	kept := *session
	kept.URL = ""
	plain, err := json.Marshal(sealed{&kept, s.cfg.Now().Unix()})
	if err != nil {
		return "", fmt.Errorf("client: sessions: %w", err)
	}
	value := base64.RawURLEncoding.EncodeToString(s.sealer[0].Seal(nil, nil, plain, []byte(binding)))
	if len(value) > maxSealed {
		return "", fmt.Errorf("client: sessions: %d bytes of session, at most %d", len(value), maxSealed)
	}
	return value, nil
}

// open decrypts, and looks at the time. Whoever cannot open it learns nothing but that.
func (s *Sessions) open(value, binding string) (*Session, time.Time, error) {
	if len(value) > maxSealed {
		return nil, time.Time{}, fmt.Errorf("%w: too long", ErrSession)
	}
	encrypted, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%w: not base64url", ErrSession)
	}
	for _, aead := range s.sealer {
		plain, err := aead.Open(nil, nil, encrypted, []byte(binding))
		if err != nil {
			continue
		}
		var read sealed
		if err := json.Unmarshal(plain, &read); err != nil || read.Session == nil {
			return nil, time.Time{}, fmt.Errorf("%w: of another version", ErrSession)
		}
		begun := time.Unix(read.Begun, 0)
		if age := s.cfg.Now().Truncate(time.Second).Sub(begun); age > s.cfg.MaxAge {
			return nil, time.Time{}, fmt.Errorf("%w: begun %v ago, and may take %v", ErrSession, age, s.cfg.MaxAge)
		}
		return read.Session, begun, nil
	}
	return nil, time.Time{}, fmt.Errorf("%w: sealed for another browser, by another key, or changed", ErrSession)
}

// use lets a session through once. SP-5.3.3.2-4, AM-5.4a: a callback that is played again finds nothing.
func (s *Sessions) use(ctx context.Context, session *Session, begun time.Time) error {
	// A second more than it can be opened for: a store may round.
	first, err := s.cfg.Used.Add(ctx, jose.SHA256Base64("session\x00"+session.State), nil, begun.Add(s.cfg.MaxAge+time.Second))
	switch {
	case err != nil:
		return fmt.Errorf("%w: used sessions: %w", ErrStore, err)
	case !first:
		return fmt.Errorf("%w: it was used before", ErrSession)
	}
	return nil
}

// cookieName is where the session of a state is. The state itself need not stand in every request's header.
func (s *Sessions) cookieName(state string) string {
	return s.prefix + jose.SHA256Base64("cookie\x00" + state)[:22]
}

// Put keeps a session in the browser, in a cookie that no page can read and no other host can set. It is SameSite=Lax: it comes
// back with the GET by which the authorization server sends the browser to the redirect URI, not with a POST (form_post),
// for which [Client.Begin] never asks. r is the request that is being answered. Call it before the answer is written.
//
// A browser keeps the latest six, or fewer if they have more than 6 KiB together:
// the oldest go when there is one more.
func (s *Sessions) Put(w http.ResponseWriter, r *http.Request, session *Session) error {
	if session == nil {
		return errors.New("client: sessions: no session")
	}
	name := s.cookieName(session.State)
	value, err := s.seal(session, "cookie\x00"+name)
	if err != nil {
		return err
	}
	for _, old := range s.surplus(r, cookieBytes(name, value)) {
		s.setCookie(w, old, "", -1)
	}
	s.setCookie(w, name, value, int(s.cfg.MaxAge/time.Second))
	return nil
}

func (s *Sessions) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookieBytes is the size of a cookie in the header of each request.
func cookieBytes(name, value string) int { return len(name) + len("=") + len(value) + len("; ") }

// surplus returns the names of the cookies to delete, so that one more cookie
// of this size fits.
func (s *Sessions) surplus(r *http.Request, room int) (names []string) {
	type flow struct {
		name  string
		bytes int
		begun time.Time // zero if it cannot be opened any more
	}
	var flows []flow
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, s.prefix) {
			_, begun, _ := s.open(c.Value, "cookie\x00"+c.Name)
			flows = append(flows, flow{c.Name, cookieBytes(c.Name, c.Value), begun})
		}
	}
	slices.SortStableFunc(flows, func(a, b flow) int { return b.begun.Compare(a.begun) }) // the latest first
	for i, f := range flows {
		if room += f.bytes; f.begun.IsZero() || i >= maxFlows-1 || room > maxFlowBytes {
			names = append(names, f.name)
		}
	}
	return names
}

// Take returns the session that a callback belongs to, once, and takes it out of the browser. That the callback answers it is for
// [Client.Finish] of the client of its Issuer to find out; nothing in the callback has been believed but which cookie to
// look at. The error matches [ErrSession], or [ErrClientStore] when it cannot be known whether it was used. Call it before the
// answer is written. An encrypted response does not show what it belongs to: [Client.CallbackHandler] finds out.
func (s *Sessions) Take(w http.ResponseWriter, r *http.Request) (*Session, error) {
	callback, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: the callback has no readable query", ErrSession)
	}
	for _, state := range states(callback) {
		name := s.cookieName(state)
		cookies := r.CookiesNamed(name)
		if len(cookies) == 0 {
			continue
		}
		s.setCookie(w, name, "", -1) // whatever comes of it
		if len(cookies) > 1 {
			return nil, fmt.Errorf("%w: its cookie is there twice", ErrSession)
		}
		session, begun, err := s.open(cookies[0].Value, "cookie\x00"+name)
		if err != nil {
			return nil, err
		}
		if err := s.use(r.Context(), session, begun); err != nil {
			return nil, err
		}
		return session, nil
	}
	return nil, fmt.Errorf("%w: no cookie for this state", ErrSession)
}

// takeOne is Take for whoever has another way to tell which session it is.
func (s *Sessions) takeOne(w http.ResponseWriter, r *http.Request, which func(*Session) bool) (*Session, error) {
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, s.prefix) {
			continue
		}
		session, begun, err := s.open(c.Value, "cookie\x00"+c.Name)
		if err != nil || !which(session) {
			continue
		}
		s.setCookie(w, c.Name, "", -1)
		if err := s.use(r.Context(), session, begun); err != nil {
			return nil, err
		}
		return session, nil
	}
	return nil, fmt.Errorf("%w: no cookie for this response", ErrSession)
}

// states are those that a callback may be about: its own, or that inside a signed response, which has not been verified. A
// wrong one finds no cookie, or a session that the response does not fit.
func states(callback url.Values) (found []string) {
	if state := callback.Get("state"); state != "" {
		found = append(found, state)
	}
	response, err := jose.Split(callback.Get("response"), maxSignedResponse)
	if err != nil {
		return found
	}
	claims, err := response.PeerClaims()
	if err != nil {
		return found
	}
	if state, _, err := claims.String("state"); err == nil && state != "" {
		found = append(found, state)
	}
	return found
}

// maxSignedResponse bounds a signed authorization response, which comes in a URL.
const maxSignedResponse = 64 << 10
