package main

import (
	"cmp"
	"embed"
	"errors"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/rar"
)

//go:embed pages/*.html pages/style.css pages/once.js
var pageFiles embed.FS

var (
	loginPage   = page("login")
	consentPage = page("consent")
	errorPage   = page("error")
	appsPage    = page("apps")
	revokePage  = page("revoke")

	operatorPage = page("operator")
)

func page(name string) *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/frame.html", "pages/"+name+".html"))
}

// maxForm bounds the size of a form.
const maxForm = 64 << 10

// A pageError is a problem that a page explains. The code is for logs and for
// developers, text is a key of texts.
type pageError struct {
	status        int
	code, text    string
	codeExplained string // for developers; may be empty
}

// Error implements error.
func (e pageError) Error() string { return e.code }

var (
	errNoFlow   = pageError{status: http.StatusBadRequest, code: "no_login_in_progress", text: "error.flow"}
	errForm     = pageError{status: http.StatusForbidden, code: "form_not_from_here", text: "error.form"}
	errTooLarge = pageError{status: http.StatusRequestEntityTooLarge, code: "form_unreadable", text: "error.large"}
	errStore    = pageError{status: http.StatusServiceUnavailable, code: "store_unavailable", text: "error.internal"}
	errInternal = pageError{status: http.StatusInternalServerError, code: "internal_error", text: "error.internal"}
)

// pages returns the bank's own pages, by path. Cross-site forms are rejected
// before they are read, by the headers that browsers send. readForm rejects
// them again by their form token.
func (b *bank) pages() map[string]http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.fail(w, r, errForm, nil)
	}))
	all := map[string]http.Handler{}
	add := func(path string, handlers map[string]http.HandlerFunc) {
		all[b.cfg.path(path)] = protection.Handler(b.withSession(only(handlers).ServeHTTP))
	}
	add("/login", map[string]http.HandlerFunc{http.MethodGet: b.loginForm, http.MethodPost: b.logIn})
	add("/consent", map[string]http.HandlerFunc{http.MethodGet: b.consentForm, http.MethodPost: b.consent})
	add("/logout", map[string]http.HandlerFunc{http.MethodPost: b.logOut})
	add("/apps", map[string]http.HandlerFunc{http.MethodGet: b.apps})
	add("/apps/revoke", map[string]http.HandlerFunc{http.MethodPost: b.revoke})
	add("/", map[string]http.HandlerFunc{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) {
		redirect(w, b.cfg.path("/apps"))
	}})
	for path, handler := range map[string]http.HandlerFunc{
		"/style.css": file("style.css"), "/once.js": file("once.js"), "/healthz": b.probe.Live,
		"/readyz": b.probe.Ready,
	} {
		all[b.cfg.path(path)] = protection.Handler(only(map[string]http.HandlerFunc{http.MethodGet: handler}))
	}
	return all
}

func file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, pageFiles, "pages/"+name)
	}
}

// readForm reads a form that one of the pages in the list has created.
// Otherwise it sends an error page and returns false.
func (b *bank) readForm(w http.ResponseWriter, r *http.Request, of ...string) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		b.fail(w, r, errTooLarge, err)
		return false
	}
	if !b.sessions.checkForm(r.PostForm.Get("form"), of...) {
		b.fail(w, r, errForm, nil)
		return false
	}
	return true
}

// A view contains the data that every page shows.
type view struct {
	Lang, Title, Base, Form string
	User                    string // the user of the session
	LogOut                  string // form token
}

// T returns a sentence in the language of the page.
func (v view) T(key string, args ...any) string { return texts.Get(v.Lang, key, args...) }

// view returns a view whose title is a key of texts.
func (b *bank) view(r *http.Request, title string, in *session, formOf ...string) view {
	v := view{Lang: webtext.Language(r), Base: b.cfg.path(""), Form: b.sessions.formToken(formOf...)}
	v.Title = v.T(title)
	if in != nil {
		v.User, v.LogOut = in.user, b.sessions.formToken("logout", in.id)
	}
	return v
}

// These are the values of form-action. Browsers apply form-action to all
// redirects that follow, including those of the client. A page from which the
// browser returns to a client therefore has no form-action.
const (
	staysHere  = "; form-action 'self'"
	leavesHere = ""
)

// show sends a page.
func (b *bank) show(w http.ResponseWriter, r *http.Request, page *template.Template, status int, formAction string,
	data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'"+formAction)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers omit the origin of our own forms
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	if err := page.ExecuteTemplate(w, "frame", data); err != nil {
		b.log.DebugContext(r.Context(), "page not sent", "reason", err.Error()) // the browser has disconnected
	}
}

// redirect sends the browser to another page. The browser uses GET there.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

func origin(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func urlPath(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.EscapedPath()
}

// networkOf returns the host of an address. For IPv6 it returns the network,
// because each customer has a whole network.
func networkOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return host
}

func (b *bank) showLogin(w http.ResponseWriter, r *http.Request, f *flow, a *authserver.Authorization, refused error) {
	data := struct {
		view
		Flow, Client, Name, Problem string
	}{view: b.view(r, "login.title", nil, "login", f.ID), Flow: f.ID, Name: r.PostForm.Get("username")}
	if a != nil {
		data.Client = clientName(a.Client(), data.Lang)
		if data.Name == "" {
			data.Name = a.Params().Get("login_hint")
		}
	}
	status := http.StatusOK
	switch {
	case errors.Is(refused, errThrottled):
		data.Problem, status = data.T("login.throttled"), http.StatusTooManyRequests
		w.Header().Set("Retry-After", "60")
	case errors.Is(refused, errWrongPassword):
		data.Problem = data.T("login.wrong")
	case refused != nil:
		b.fail(w, r, errStore, refused)
		return
	}
	b.show(w, r, loginPage, status, leavesHere, data)
}

// clientName returns the name of a client, without characters that imitate
// other names.
func clientName(c *profile.ClientMetadata, language string) string {
	return rar.EscapeText(cmp.Or(c.ClientName, c.ClientID), language)
}

// scopeText returns the description of a scope, or the scope itself if the bank
// does not know it.
func scopeText(language, scope string) string {
	if _, known := texts["scope."+scope]; known && scope != "other" {
		return texts.Get(language, "scope."+scope)
	}
	return texts.Get(language, "scope.other", rar.EscapeText(scope, language))
}

// errorPage shows an error that cannot be sent to a client.
func (b *bank) errorPage(w http.ResponseWriter, r *http.Request, err error) {
	var told interface {
		OAuthError() (code, description string)
		HTTPStatus() int
	}
	shown := errInternal
	if errors.As(err, &told) {
		shown.code, shown.codeExplained = told.OAuthError()
		shown.status = told.HTTPStatus()
	}
	// browsers have no credentials for it
	if shown.status == http.StatusUnauthorized || shown.status < 400 || shown.status > 599 {
		shown.status = http.StatusBadRequest
	}
	if shown.status < http.StatusInternalServerError {
		shown.text = "error.request"
	}
	b.showError(w, r, shown)
}

// fail shows an error of a request to a page.
func (b *bank) fail(w http.ResponseWriter, r *http.Request, shown pageError, cause error) {
	attrs := []any{"reason", shown.code, "path", r.URL.Path, "status", shown.status}
	if cause != nil {
		attrs = append(attrs, "cause", cause.Error())
	}
	b.log.Log(r.Context(), slogLevel(shown.status), "page refused", attrs...)
	b.showError(w, r, shown)
}

func (b *bank) showError(w http.ResponseWriter, r *http.Request, shown pageError) {
	data := struct {
		view
		Code, Text, Description, Time string
	}{
		view: b.view(r, "error.title", nil), Code: shown.code, Description: shown.codeExplained,
		Time: b.now().UTC().Format(time.DateTime),
	}
	data.Text = data.T(shown.text)
	if shown.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	b.show(w, r, errorPage, shown.status, staysHere, data)
}
