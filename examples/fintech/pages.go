package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
)

//go:embed pages
var files embed.FS

func page(name string) *template.Template {
	return template.Must(template.ParseFS(files, "pages/frame.html", "pages/"+name))
}

var (
	homePage     = page("home.html")
	accountsPage = page("accounts.html")
	paymentPage  = page("payment.html")
	paymentsPage = page("payments.html")
	grantsPage   = page("grants.html")
	failurePage  = page("failure.html")
)

// A view is what every page shows.
type view struct {
	Title, Path, Subject string
	Connected            bool // the accounts are
	Data                 any
}

// ownPaths are those of the pages; the redirect URI has another.
var ownPaths = []string{"", "/", "/style.css", "/connect", "/accounts", "/payment", "/payments", "/grants", "/grants/revoke", "/disconnect"}

// checkPages finds what keeps this configuration from being served: -once does not care.
func (c *config) checkPages() error {
	u, err := url.Parse(c.RedirectURI)
	switch {
	case err != nil || u.Scheme != "https":
		return errors.New("redirect_uri: the pages need https, for their cookies")
	case u.EscapedPath() != u.Path || slices.Contains(ownPaths, u.Path):
		return errors.New("redirect_uri: its path is that of a page, or not plain")
	}
	return nil
}

func (a *app) handler() http.Handler {
	routes := map[string]http.Handler{
		"GET /":               http.HandlerFunc(a.home),
		"GET /style.css":      http.HandlerFunc(style),
		"POST /connect":       a.LoginHandler(a.sessions, a.connect),
		"GET /accounts":       http.HandlerFunc(a.showAccounts),
		"GET /payment":        http.HandlerFunc(a.showPaymentForm),
		"POST /payment":       a.LoginHandler(a.sessions, a.pay),
		"GET /payments":       http.HandlerFunc(a.showPayments),
		"GET /grants":         http.HandlerFunc(a.showGrants),
		"POST /grants/revoke": http.HandlerFunc(a.endGrant),
		"POST /disconnect":    http.HandlerFunc(a.endAll),
	}
	routes["GET "+a.callbackPath()] = a.CallbackHandler(a.sessions, a.done)
	// Forms lead to the bank, too: browsers apply form-action to redirects.
	policy := "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' " + origin(a.ServerMetadata().AuthorizationEndpoint)
	protection := http.NewCrossOriginProtection() // SP-5.3.3.1-12, and for the other forms
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, profile.ErrCrossOrigin) }))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		// No ServeMux, which answers other spellings of a path by a redirect. No Strict-Transport-Security either: it would be
		// for all ports of localhost. An application with a name of its own sends it.
		if route, ok := routes[r.Method+" "+r.URL.EscapedPath()]; ok {
			route.ServeHTTP(w, r)
			return
		}
		a.show(w, r, failurePage, http.StatusNotFound, "Not found", failure{Text: "There is no such page."})
	}))
}

func (a *app) callbackPath() string {
	u, err := url.Parse(a.config.RedirectURI)
	if err != nil { // checked before
		return ""
	}
	return u.Path
}

func origin(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "pages/style.css")
}

// show sends a page.
func (a *app) show(w http.ResponseWriter, r *http.Request, page *template.Template, status int, title string, data any) {
	v := view{Title: title, Path: r.URL.Path, Data: data}
	u := a.users.of(r)
	v.Connected = u.accounts() != nil
	if all := u.list(); len(all) > 0 {
		v.Subject = all[0].subject
	}
	var text bytes.Buffer
	if err := page.ExecuteTemplate(&text, "frame.html", v); err != nil {
		a.log.Error("page", "title", title, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(text.Bytes()) //nolint:errcheck // the browser is gone
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, homePage, http.StatusOK, "Your money at a glance", nil)
}

func (a *app) showAccounts(w http.ResponseWriter, r *http.Request) {
	c := a.users.of(r).accounts()
	if c == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	answer, err := a.readAccounts(r.Context(), c)
	if isOver(err) {
		a.users.of(r).drop(c)
		a.show(w, r, failurePage, http.StatusForbidden, "That is over", failure{
			Text: "The bank lets us see your accounts no longer: you have taken it back there, or its time is over. Connect it again if you like.",
		})
		return
	}
	if err != nil {
		a.fail(w, r, at(stageResource, err))
		return
	}
	a.show(w, r, accountsPage, http.StatusOK, "Your accounts", answer)
}

func (a *app) showPaymentForm(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, paymentPage, http.StatusOK, "Pay somebody", form{})
}

func (a *app) showPayments(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, paymentsPage, http.StatusOK, "Your payments", a.users.of(r).paid())
}

func (a *app) showGrants(w http.ResponseWriter, r *http.Request) {
	type line struct {
		ID, Title, Problem string
		Scopes             []string
		Details            []rar.Description
		Managed            bool // the bank can be asked about it
	}
	var lines []line
	for _, c := range a.users.of(r).list() {
		l := line{ID: c.id, Title: "Your accounts", Managed: a.grants != nil && c.grantID != ""}
		if c.payment != nil {
			l.Title = "A payment"
		}
		if l.Managed {
			// It is asked each time: at the bank the user can take back what was granted.
			g, err := a.grants.Query(r.Context(), c.grantID)
			if errors.Is(err, grants.ErrNotFound) { // taken back there
				a.users.of(r).drop(c)
				continue
			}
			if l.Scopes, l.Details = g.ScopeValues(), a.describe(g.AuthorizationDetails); err != nil {
				l.Problem = explain(err)
			}
		}
		lines = append(lines, l)
	}
	a.show(w, r, grantsPage, http.StatusOK, "What you have allowed", lines)
}

// endGrant ends one connection at the bank, and forgets its tokens.
func (a *app) endGrant(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	u, id := a.users.of(r), r.PostFormValue("id")
	if c := u.find(func(c *connection) bool { return c.id == id }); c != nil {
		if err := a.end(r.Context(), c); err != nil {
			a.fail(w, r, at(stageResource, err))
			return
		}
		u.drop(c)
	}
	http.Redirect(w, r, "/grants", http.StatusSeeOther)
}

// endAll ends all connections. It forgets them in any case: what the bank has not taken back is not used any more.
func (a *app) endAll(w http.ResponseWriter, r *http.Request) {
	for _, c := range a.users.of(r).list() {
		a.tryToEnd(r.Context(), c)
	}
	a.users.leave(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// A failure is what a user is told.
type failure struct{ Text, Stage, Reason string }

// fail shows what went wrong: in words, and as the stage and the reason that the log has, too.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	var wrong *formError
	if errors.As(err, &wrong) {
		a.show(w, r, paymentPage, http.StatusUnprocessableEntity, "Pay somebody", wrong.form)
		return
	}
	f, status := failure{Text: "Something went wrong between us and the bank. Please try again."}, http.StatusBadGateway
	f.Stage, f.Reason = stageOf(err)
	if f.Stage == "" {
		if f.Stage = stagePAR; r.URL.Path == a.callbackPath() {
			f.Stage = finishStage(err)
		}
	}
	said := (*oauth2.RetrieveError)(nil)
	switch {
	case errors.Is(err, profile.ErrCrossOrigin):
		f = failure{Text: "Another site has sent your browser here. Nothing was done."}
		status = http.StatusForbidden
	case errors.Is(err, profile.ErrSession):
		f = failure{Text: "This has expired, or was finished already. Please begin again."}
		status = http.StatusBadRequest
	case errors.Is(err, profile.ErrAuthorizationResponse):
		f.Text, status = "That was no answer to what you have begun here. Nothing was done.", http.StatusBadRequest
	case errors.As(err, &said) && said.Response == nil, errors.Is(err, errNotGranted):
		f.Text, status = "You did not agree, or the bank did not. Nothing was done.", http.StatusForbidden
	}
	a.log.LogAttrs(r.Context(), logLevel(status), "refused", attributes(r, status, f, err)...)
	a.show(w, r, failurePage, status, "That did not work", f)
}

// attributes are what an operator needs. No error of this module holds a secret, and a path none of what stands behind it.
func attributes(r *http.Request, status int, f failure, err error) []slog.Attr {
	return []slog.Attr{
		slog.String("path", r.URL.Path), slog.Int("status", status), slog.String("stage", f.Stage), slog.String("reason", explain(err)),
	}
}

func logLevel(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelError
	}
	return slog.LevelInfo
}
