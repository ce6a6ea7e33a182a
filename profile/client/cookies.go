package client

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

// maxFlows and maxFlowBytes bound the concurrent logins of one browser. Proxies
// accept 8 KiB for the header of a request, and the application has cookies of
// its own.
const (
	maxFlows     = 6
	maxFlowBytes = 6 << 10
)

// sessionCookies keeps sealed sessions in the browser, each in a cookie of its
// own. The session is bound to the name of its cookie.
type sessionCookies struct {
	prefix string // of the names
	sealer *sealer
}

// name returns the name of the cookie for a state. It does not reveal the
// state.
func (c *sessionCookies) name(state string) string {
	return c.prefix + jose.SHA256Base64("cookie\x00", state)[:22]
}

func (c *sessionCookies) seal(session *Session, name string) (string, error) {
	return c.sealer.seal(session, "cookie\x00"+name)
}

func (c *sessionCookies) open(cookie *http.Cookie) (*sealedSession, error) {
	return c.sealer.open(cookie.Value, "cookie\x00"+cookie.Name)
}

// all returns the session cookies of a request.
func (c *sessionCookies) all(r *http.Request) []*http.Cookie {
	return slices.DeleteFunc(r.Cookies(), func(cookie *http.Cookie) bool {
		return !strings.HasPrefix(cookie.Name, c.prefix)
	})
}

func (c *sessionCookies) set(w http.ResponseWriter, name, value string) {
	setCookie(w, name, value, int(c.sealer.maxAge/time.Second))
}

func (c *sessionCookies) remove(w http.ResponseWriter, name string) { setCookie(w, name, "", -1) }

func setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookieBytes returns the size of a cookie in the header of a request.
func cookieBytes(name, value string) int { return len(name) + len("=") + len(value) + len("; ") }

// surplus returns the names of the cookies to delete, so that one more cookie
// of this size fits.
func (c *sessionCookies) surplus(r *http.Request, room int) (names []string) {
	type flow struct {
		name  string
		bytes int
		begun time.Time // zero if the session does not open
	}
	var flows []flow
	for _, cookie := range c.all(r) {
		f := flow{name: cookie.Name, bytes: cookieBytes(cookie.Name, cookie.Value)}
		if sealed, err := c.open(cookie); err == nil {
			f.begun = sealed.begun()
		}
		flows = append(flows, f)
	}
	slices.SortStableFunc(flows, func(a, b flow) int { return b.begun.Compare(a.begun) }) // the latest first
	for i, f := range flows {
		if room += f.bytes; f.begun.IsZero() || i >= maxFlows-1 || room > maxFlowBytes {
			names = append(names, f.name)
		}
	}
	return names
}
