package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

const (
	defaultSessionMaxAge = 15 * time.Minute // the user may have to install the bank's app first
	longestSessionMaxAge = time.Hour
	maxUsedSessions      = 1 << 20
	maxCookieName        = 32
)

var (
	// ErrSession means that the browser has no session for the callback. The
	// session has expired, was used before, or belongs to another browser. The
	// user must start again.
	ErrSession = errors.New("client: no session for this callback")
	// ErrStore means that a store failed: [SessionsConfig.Used] or the store of
	// [Config.Tokens].
	ErrStore = errors.New("client: store failed")
)

// SessionsConfig configures [NewSessions].
type SessionsConfig struct {
	// Keys are one to eight secrets of 32 random bytes. All processes of the
	// application have the same keys. The first key encrypts, every key
	// decrypts. To rotate a key, append the new key in all processes. Then move
	// it to the front in all processes. Then remove the old key, after MaxAge.
	// Required, unless KeySource is set.
	Keys [][]byte
	// KeySource returns the keys, in place of Keys, for example from a file or
	// a secret store. NewSessions calls it once. The keys rotate without a
	// restart, because later logins call it again when KeyRefresh requires it.
	// Logins do not wait for it, except after a time without logins. If it
	// fails or returns unsuitable keys, the old keys are used and it is called
	// again. It must return when ctx ends, because it is not called again until
	// it returns.
	//
	// A new first key encrypts after KeyRefresh, when all processes know it.
	// Until then, the first of the other keys encrypts.
	KeySource func(ctx context.Context) ([][]byte, error)
	// KeyRefresh is the maximum age of the keys in use while KeySource works:
	// 10 seconds to 1 hour. The default is 1 minute.
	KeyRefresh time.Duration
	// Report receives each error of KeySource after the start. It must not
	// block. If nil, nothing is reported.
	Report func(ctx context.Context, err error)
	// MaxAge is the longest time between the login request and the callback. It
	// is at most one hour. The default is 15 minutes.
	MaxAge time.Duration
	// Used remembers the used sessions. Every store.Store is suitable. If nil,
	// each process remembers its own sessions in memory. A copy of both the
	// callback URL and the cookie then works once in every other process, but
	// the authorization server rejects the code.
	Used dpop.ReplayStore
	// SeveralInstances declares that several processes serve the logins.
	// NewSessions then rejects a nil or memory Used. It does not recognize a
	// memory store that is wrapped in another type.
	SeveralInstances bool
	// Cookie is part of the names of the cookies: up to 32 letters and digits.
	// It must differ between applications on one host. The default is "login".
	Cookie string

	// CrossOrigin decides which POST requests may begin a login. If nil, only
	// requests from the origin of the handler are accepted. A request with
	// neither Sec-Fetch-Site nor Origin is accepted, because browsers send one
	// of them.
	CrossOrigin *http.CrossOriginProtection
	// AllowGET lets [Client.LoginHandler] accept GET as well, for a link to it.
	// The browser must report, by Sec-Fetch-Site, that the user followed a link
	// from the same origin or typed the URL. A link in an e-mail counts as
	// typed. Images and frames are rejected (Sec-Fetch-Dest). If false, only
	// POST is accepted.
	AllowGET bool
	// Fail writes the response to a login or a callback that failed. If nil,
	// the response is a short text. It quotes the error code of the
	// authorization server, and no other detail. The error is not logged.
	Fail func(w http.ResponseWriter, r *http.Request, err error)

	// Now is the clock. If nil, time.Now is used.
	Now func() time.Time
}

// String omits the keys.
func (c SessionsConfig) String() string {
	return fmt.Sprintf("client.SessionsConfig{%d keys, MaxAge: %v}", len(c.Keys), c.MaxAge)
}

// GoString omits the keys.
func (c SessionsConfig) GoString() string { return c.String() }

// LogValue omits the keys.
func (c SessionsConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Sessions stores the [Session] of each unfinished login in the browser, in an
// encrypted cookie. Each login has its own cookie, so that several tabs do not
// interfere. A session can be used once. The application needs no memory
// between the login request and the callback. One Sessions serves all clients
// of an application. It is safe for concurrent use.
//
// Most applications use [Client.LoginHandler] and [Client.CallbackHandler]
// only. Handlers of the host call Put before they redirect the browser, and
// Take in the callback. Hosts with their own session storage call Seal and
// Open.
type Sessions struct {
	cfg     SessionsConfig
	sealer  *sealer
	cookies *sessionCookies
}

// NewSessions returns an error if a field of cfg is outside its limits.
func NewSessions(cfg SessionsConfig) (*Sessions, error) {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultSessionMaxAge
	}
	if cfg.MaxAge < time.Second || cfg.MaxAge > longestSessionMaxAge {
		return nil, fmt.Errorf("client: sessions: MaxAge %v, want 1s to %v", cfg.MaxAge, longestSessionMaxAge)
	}
	if len(cfg.Cookie) > maxCookieName || strings.ContainsFunc(cfg.Cookie, notAlphanumeric) {
		return nil, fmt.Errorf("client: sessions: invalid Cookie, want at most %d letters and digits", maxCookieName)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if problem := wire.Unshared("Used", cfg.Used); cfg.SeveralInstances && problem != "" {
		return nil, errors.New("client: sessions: " + problem)
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
	sealer, err := newSealer(&cfg)
	if err != nil {
		return nil, err
	}
	cfg.Keys = nil
	return &Sessions{cfg, sealer, &sessionCookies{"__Host-" + cmp.Or(cfg.Cookie, "login") + "-", sealer}}, nil
}

func notAlphanumeric(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
}

// String returns the number of keys.
func (s *Sessions) String() string {
	return fmt.Sprintf("client.Sessions(%d keys)", len(s.sealer.keys.Latest().Keys))
}

// GoString returns the number of keys.
func (s *Sessions) GoString() string { return s.String() }

// LogValue returns the number of keys.
func (s *Sessions) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Seal encrypts a session for a host that stores it. The result is base64url
// without the URL of the session. Open decrypts it once within MaxAge, for the
// same browser only. browser is a secret of the browser that began the login,
// for example the identifier of the host's own session. It must not be empty.
func (s *Sessions) Seal(session *Session, browser string) (string, error) {
	if browser == "" { // SP-5.3.3.2-4: without a binding, any browser could use the session
		return "", errors.New("client: sessions: missing browser")
	}
	return s.sealer.seal(session, "host\x00"+browser)
}

// Open returns a session that Seal has encrypted for this browser. Open returns
// each session once. The error matches [ErrSession] or, if it is unknown
// whether the session was used, [ErrStore].
func (s *Sessions) Open(ctx context.Context, value, browser string) (*Session, error) {
	sealed, err := s.sealer.open(value, "host\x00"+browser)
	if err != nil {
		return nil, err
	}
	return s.use(ctx, sealed)
}

// use returns the session the first time. A replayed callback has no session.
func (s *Sessions) use(ctx context.Context, sealed *sealedSession) (*Session, error) {
	// SP-5.3.3.2-4, AM-5.4a: the entry lives one second longer than the
	// session, because a store may round.
	expires := sealed.begun().Add(s.cfg.MaxAge + time.Second)
	first, err := s.cfg.Used.Add(ctx, jose.SHA256Base64("session\x00", sealed.Session.State), nil, expires)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	case !first:
		return nil, fmt.Errorf("%w: used before", ErrSession)
	}
	return sealed.Session, nil
}

// Put stores a session in a cookie of the browser. Call it before the response
// to r is written. Scripts cannot read the cookie, and other hosts cannot set
// it. It is SameSite=Lax: the browser sends it with the GET request to the
// redirect URI, and not with a POST. [Client.Begin] never requests form_post.
//
// A browser keeps the six latest sessions, or fewer if they exceed 6 KiB. Put
// deletes older cookies.
func (s *Sessions) Put(w http.ResponseWriter, r *http.Request, session *Session) error {
	if session == nil {
		return errors.New("client: sessions: missing session")
	}
	name := s.cookies.name(session.State)
	value, err := s.cookies.seal(session, name)
	if err != nil {
		return err
	}
	for _, old := range s.cookies.surplus(r, cookieBytes(name, value)) {
		s.cookies.remove(w, old)
	}
	s.cookies.set(w, name, value)
	return nil
}

// Take returns the session of a callback once and deletes its cookie. Call it
// before the response is written. Take finds the cookie by the state, which is
// not verified yet; [Client.Finish] verifies the callback. The error matches
// [ErrSession] or, if it is unknown whether the session was used, [ErrStore].
// Take does not find the session of an encrypted response. Use
// [Client.CallbackHandler] for such responses.
func (s *Sessions) Take(w http.ResponseWriter, r *http.Request) (*Session, error) {
	callback, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed query", ErrSession)
	}
	for _, state := range unverifiedStates(callback) {
		name := s.cookies.name(state)
		cookies := r.CookiesNamed(name)
		if len(cookies) == 0 {
			continue
		}
		s.cookies.remove(w, name)
		if len(cookies) > 1 {
			return nil, fmt.Errorf("%w: repeated cookie", ErrSession)
		}
		sealed, err := s.cookies.open(cookies[0])
		if err != nil {
			return nil, err
		}
		return s.use(r.Context(), sealed)
	}
	return nil, fmt.Errorf("%w: missing cookie", ErrSession)
}

// takeMatching is Take for an encrypted response, which does not show its
// state. It calls decrypt once, and only for a browser with a session. Other
// senders cause no operation of the private key.
func (s *Sessions) takeMatching(
	w http.ResponseWriter, r *http.Request, decrypt func() (*jarm.Response, error),
) (*Session, error) {
	var response *jarm.Response
	for _, cookie := range s.cookies.all(r) {
		sealed, err := s.cookies.open(cookie)
		if err != nil {
			continue
		}
		if response == nil {
			if response, err = decrypt(); err != nil {
				return nil, err
			}
		}
		if response.CheckState(sealed.Session.State) == nil {
			s.cookies.remove(w, cookie.Name)
			return s.use(r.Context(), sealed)
		}
	}
	return nil, fmt.Errorf("%w: missing cookie", ErrSession)
}
