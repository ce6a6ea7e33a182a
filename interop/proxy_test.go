package interop_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// An answer is a response of the authorization server, which the proxy may
// change.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// A change makes a response invalid or unusual.
type change func(*proxy, *answer) error

// A proxy forwards requests to an authorization server. It logs the requests
// and can change one response.
type proxy struct {
	*world
	url string

	mu     sync.Mutex
	log    []string // method and path of each request
	at     string   // the path whose answer is changed; it may end in * for anything
	always bool     // also further ones, and those that only ask for a nonce
	make   change   // may be nil
	struck int      // requests in the log at the first change, or -1
	err    error    // of the change
}

// newProxy opens a socket. The proxy serves nothing before stand is called.
func newProxy(t *testing.T, w *world) (p *proxy, stand func(behind string)) {
	t.Helper()
	socket, address := testkit.Listen(t)
	p = &proxy{world: w, url: address}
	return p, func(behind string) {
		target, err := url.Parse(behind)
		require.NoError(t, err)
		handler := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host // the server makes its URLs of it
				p.note(r.In)
			},
			Transport:      w.authority.HTTPClient(t).Transport,
			ModifyResponse: p.modify,
		}
		w.authority.Serve(t, socket, false, handler)
	}
}

// arm clears the log and sets the next change.
func (p *proxy) arm(at string, always bool, c change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log, p.at, p.always, p.make, p.struck, p.err = nil, at, always, c, -1, nil
}

// since returns the requests after the changed response, and whether a response
// was changed.
func (p *proxy) since(t *testing.T) (requests []string, struck bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.NoError(t, p.err, "the proxy could not make the change")
	if p.struck < 0 {
		return p.log, false
	}
	return append([]string{}, p.log[p.struck:]...), true
}

func (p *proxy) note(r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, r.Method+" "+r.URL.Path)
}

func (p *proxy) meant(r *http.Response) bool {
	if p.make == nil || (p.struck >= 0 && !p.always) {
		return false
	}
	path := r.Request.URL.Path
	if prefix, ok := strings.CutSuffix(p.at, "*"); ok {
		if !strings.HasPrefix(path, prefix) {
			return false
		}
	} else if path != p.at {
		return false
	}
	switch {
	case strings.HasPrefix(path, authorizePath): // of its redirects the last one
		return strings.HasPrefix(r.Header.Get("Location"), redirectURI)
	case p.always:
		return true
	}
	return r.StatusCode < http.StatusBadRequest // neither a demand for a nonce nor the other well-known URL
}

func (p *proxy) modify(r *http.Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.meant(r) {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body.Close() //nolint:errcheck // it has been read
	if p.struck < 0 {
		p.struck = len(p.log)
	}
	a := &answer{status: r.StatusCode, header: r.Header, body: body}
	p.err = errors.Join(p.err, p.make(p, a))
	r.StatusCode, r.Status = a.status, ""
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(a.body)), int64(len(a.body))
	r.Header.Set("Content-Length", strconv.Itoa(len(a.body)))
	return nil
}

// The changes.

// members changes the JSON document.
func members(f func(map[string]any)) change {
	return func(_ *proxy, a *answer) error {
		var document map[string]any
		if err := json.Unmarshal(a.body, &document); err != nil {
			return err
		}
		f(document)
		var err error
		a.body, err = json.Marshal(document)
		return err
	}
}

func with(name string, value any) change {
	return members(func(m map[string]any) { m[name] = value })
}

func without(name string) change {
	return members(func(m map[string]any) { delete(m, name) })
}

// text inserts a text into the document after its opening brace.
func text(insert string) change {
	return func(_ *proxy, a *answer) error {
		rest, ok := bytes.CutPrefix(a.body, []byte("{"))
		if !ok {
			return errors.New("no JSON object")
		}
		a.body = append([]byte("{"+insert+","), rest...)
		return nil
	}
}

// instead replaces the response.
func instead(status int, mediaType, body string) change {
	return func(_ *proxy, a *answer) error {
		a.status, a.body = status, []byte(body)
		a.header.Set("Content-Type", mediaType)
		return nil
	}
}

func status(code int) change {
	return func(_ *proxy, a *answer) error {
		a.status = code
		return nil
	}
}

// sendTo redirects to the same origin, which a careless client would follow.
func sendTo(code int) change {
	return func(p *proxy, a *answer) error {
		a.status = code
		a.header.Set("Location", p.url+"/elsewhere")
		return nil
	}
}

// anotherNonce demands a nonce for every request.
func anotherNonce(_ *proxy, a *answer) error {
	a.status, a.body = http.StatusBadRequest, []byte(`{"error":"use_dpop_nonce","error_description":"once more"}`)
	a.header.Set("Content-Type", "application/json")
	a.header.Set("DPoP-Nonce", "again-and-again")
	return nil
}

// callback changes the parameters of the authorization response.
func callback(f func(url.Values)) change {
	return func(_ *proxy, a *answer) error {
		to, err := url.Parse(a.header.Get("Location"))
		if err != nil {
			return err
		}
		query := to.Query()
		f(query)
		to.RawQuery = query.Encode()
		a.header.Set("Location", to.String())
		return nil
	}
}

// A forgery changes a JWT and returns the key to sign it with. If it returns
// nil, the authorization server's key with the JWT's kid signs it.
type forgery func(p *proxy, j *testkit.JWT) crypto.Signer

// claim changes claims and keeps the signature valid.
func claim(f func(p *proxy, claims map[string]any)) forgery {
	return func(p *proxy, j *testkit.JWT) crypto.Signer {
		f(p, j.Claims)
		return nil
	}
}

func claimIs(name string, value any) forgery {
	return claim(func(_ *proxy, claims map[string]any) { claims[name] = value })
}

func claimGone(name string) forgery {
	return claim(func(_ *proxy, claims map[string]any) { delete(claims, name) })
}

func (p *proxy) forge(token string, f forgery) (string, error) {
	j, err := testkit.ParseJWT(token)
	if err != nil {
		return "", err
	}
	key := f(p, j)
	if key == nil {
		if key = p.asKey; j.Header["kid"] == asRSAKeyID {
			key = p.asRSAKey
		}
	}
	return j.Sign(key)
}

// idToken forges the ID token in a token response.
func idToken(f forgery) change {
	return func(p *proxy, a *answer) (err error) {
		return errors.Join(members(func(m map[string]any) {
			token, _ := m["id_token"].(string)
			m["id_token"], err = p.forge(token, f)
		})(p, a), err)
	}
}

// signedResponse forges the signed authorization response.
func signedResponse(f forgery) change {
	return func(p *proxy, a *answer) (err error) {
		return errors.Join(callback(func(q url.Values) {
			var response string
			response, err = p.forge(q.Get("response"), f)
			q.Set("response", response)
		})(p, a), err)
	}
}
