package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"golang.org/x/oauth2"
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
	endPage      = page("end.html")
	failurePage  = page("failure.html")
)

// A view contains the data that every page shows.
type view struct {
	Lang, Title, Path, Subject string
	Connected                  bool        // the accounts of a bank are connected
	Banks                      []shownBank // if there are several
	Data                       any
}

// T returns a sentence in the language of the page.
func (v view) T(key string, args ...any) string { return texts.Get(v.Lang, key, args...) }

// ownPaths are the paths of the pages. The redirect URI has another path.
var ownPaths = []string{"", "/", "/style.css", "/connect", "/accounts", "/payment", "/payments", "/payments/retry",
	"/grants", "/grants/revoke", "/disconnect", "/problem", "/healthz", "/readyz"}

// checkPages reports the problems of a configuration that concern the pages.
// They do not matter with -once.
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
		"GET /":                http.HandlerFunc(a.home),
		"GET /style.css":       http.HandlerFunc(style),
		"POST /connect":        a.set.LoginHandler(a.sessions, a.connect),
		"GET /accounts":        http.HandlerFunc(a.showAccounts),
		"GET /payment":         http.HandlerFunc(a.showPaymentForm),
		"POST /payment":        a.set.LoginHandler(a.sessions, a.pay),
		"GET /payments":        http.HandlerFunc(a.showPayments),
		"POST /payments/retry": http.HandlerFunc(a.retryPayment),
		"GET /problem":         http.HandlerFunc(a.showProblem),
		"GET /grants":          http.HandlerFunc(a.showGrants),
		"POST /grants/revoke":  http.HandlerFunc(a.endGrant),
		"POST /disconnect":     http.HandlerFunc(a.endAll),
	}
	routes["GET "+a.callbackPath()] = a.set.CallbackHandler(a.sessions, a.done)
	protection := http.NewCrossOriginProtection() // SP-5.3.3.1-12, and for the other forms
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, client.ErrCrossOrigin)
	}))
	pages := a.withUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", a.policy(r.Context()))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		// http.ServeMux would redirect other spellings of a path. There is no
		// Strict-Transport-Security header, because it would apply to all ports
		// of localhost. An application with its own host name sends it.
		if route, ok := routes[r.Method+" "+r.URL.EscapedPath()]; ok {
			route.ServeHTTP(w, r)
			return
		}
		a.show(w, r, failurePage, http.StatusNotFound, "failure.title", failure{Text: "failure.not_found"})
	}))
	return a.telemetry.Handler(protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/healthz":
			a.probe.Live(w, r)
		case "/readyz":
			a.probe.Ready(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})), "fintech")
}

// policy returns the Content-Security-Policy. Forms lead to the banks as well,
// because browsers apply form-action to redirects. Before a bank is discovered,
// its issuer is the best guess.
func (a *app) policy(ctx context.Context) string {
	policy := "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	for _, b := range a.config.banks {
		endpoint := b.Issuer
		if ours, err := a.known(ctx, b.Issuer); err == nil {
			endpoint = ours.ServerMetadata().AuthorizationEndpoint
		}
		policy += " " + origin(endpoint)
	}
	return policy
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

// show sends a page. The title is a key of texts.
func (a *app) show(w http.ResponseWriter, r *http.Request, page *template.Template, status int, title string,
	data any) {
	v := view{Lang: webtext.Language(r), Path: r.URL.Path, Data: data}
	v.Title = v.T(title)
	v.Banks = a.shownBanks(r.Context(), a.users.of(r))
	v.Connected = slices.ContainsFunc(v.Banks, func(b shownBank) bool { return b.Connected })
	if !a.several() {
		v.Subject, v.Banks = v.Banks[0].Subject, nil
	}
	var text bytes.Buffer
	if err := page.ExecuteTemplate(&text, "frame.html", v); err != nil {
		a.log.Error("page", "title", title, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	w.Write(text.Bytes()) //nolint:errcheck // the browser is gone
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, homePage, http.StatusOK, "home.title", nil)
}

// shownAccounts are the accounts at one bank.
type shownAccounts struct {
	accounts
	Bank    string // empty if there is one
	Problem string // a key of texts; empty if the bank has responded
	err     error
}

// showAccounts shows the accounts at all banks. A bank that does not respond
// hides the others only if it is the only one.
func (a *app) showAccounts(w http.ResponseWriter, r *http.Request) {
	u := a.users.of(r)
	var connections, over []connection
	for _, b := range a.config.banks {
		if c := u.accounts(b.Issuer); c != nil {
			connections = append(connections, *c)
		}
	}
	if connections == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	all := each(r.Context(), patience, connections, func(ctx context.Context, c connection) shownAccounts {
		answer, err := a.readAccounts(ctx, c)
		return shownAccounts{accounts: answer, Bank: a.bankName(c.Issuer), err: err}
	})
	var failed error
	missing := 0
	for i := range all {
		switch its := &all[i]; {
		case its.err == nil:
			continue
		case isOver(its.err):
			its.Problem, over = "over.text", append(over, connections[i])
		default:
			its.Problem, failed = "accounts.problem", its.err
			a.log.WarnContext(r.Context(), "a bank does not show accounts", "bank", connections[i].Issuer,
				"reason", explain(its.err))
		}
		missing++
	}
	if over != nil {
		if err := a.users.edit(r.Context(), u, func(u *user) { u.drop(over...) }); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	switch {
	case missing < len(all):
		a.show(w, r, accountsPage, http.StatusOK, "accounts.title", all)
	case failed != nil:
		a.fail(w, r, at(stageResource, failed))
	default:
		a.show(w, r, failurePage, http.StatusForbidden, "over.title", failure{Text: "over.text"})
	}
}

func (a *app) showPaymentForm(w http.ResponseWriter, r *http.Request) {
	a.show(w, r, paymentPage, http.StatusOK, "payment.title", form{})
}

// A shownPayment is a payment on its page.
type shownPayment struct {
	ID, Title, Bank, Status string
	Made                    bool
	Fields                  []rar.Field
}

func (a *app) showPayments(w http.ResponseWriter, r *http.Request) {
	language := webtext.Language(r)
	var all []shownPayment
	for _, p := range a.users.of(r).payments() {
		shown := shownPayment{ID: p.ID, Bank: a.bankName(p.Issuer), Status: p.Status, Made: p.Status != ""}
		if parsed, err := a.types.New(openbanking.PaymentType, p.Detail); err == nil {
			shown.Fields = parsed[0].Describe(language).Fields
			if about, err := rar.Get[openbanking.Payment](parsed[0]); err == nil {
				shown.Title = texts.Get(language, "payments.one", about.InstructedAmount.Text(language),
					rar.EscapeText(string(about.CreditorName), language))
			}
		}
		all = append(all, shown)
	}
	a.show(w, r, paymentsPage, http.StatusOK, "payments.title", all)
}

// retryPayment repeats a payment whose outcome is unknown.
func (a *app) retryPayment(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	u, id := a.users.of(r), r.PostFormValue("id")
	c := u.find(func(c connection) bool { return c.Payment != "" && c.Payment == id })
	if p := u.payment(id); c != nil && p != nil {
		if err := a.makePayment(r.Context(), u, *c, *p); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	http.Redirect(w, r, "/payments", http.StatusSeeOther)
}

// A shownGrant is what a connection permits.
type shownGrant struct {
	ID, Title, Bank string
	Problem         bool // the bank has not responded
	Scopes          []string
	Details         []rar.Description
	Managed         bool // the bank manages it
	over            bool // the user has revoked it at the bank
}

func (a *app) showGrants(w http.ResponseWriter, r *http.Request) {
	language := webtext.Language(r)
	data := struct {
		Grants []shownGrant
		Ended  bool
	}{Ended: r.URL.Query().Has("ended")}
	u := a.users.of(r)
	connections := slices.Clone(u.list())
	var over []connection
	for i, g := range each(r.Context(), patience, connections, func(ctx context.Context, c connection) shownGrant {
		return a.queryGrant(ctx, language, c)
	}) {
		if g.over {
			over = append(over, connections[i])
			continue
		}
		data.Grants = append(data.Grants, g)
	}
	if over != nil {
		if err := a.users.edit(r.Context(), u, func(u *user) { u.drop(over...) }); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	a.show(w, r, grantsPage, http.StatusOK, "grants.title", data)
}

// queryGrant returns what a connection permits. The user can revoke the grant
// at the bank, so each page queries it.
func (a *app) queryGrant(ctx context.Context, language string, c connection) shownGrant {
	g := shownGrant{ID: c.ID, Bank: a.bankName(c.Issuer), Title: texts.Get(language, "grants.accounts")}
	if c.Payment != "" {
		g.Title = texts.Get(language, "grants.payment")
	}
	_, ours, err := a.bank(ctx, c.Issuer)
	if err == nil && !managed(ours, c) {
		return g
	}
	g.Managed = true
	var management *grants.Client
	if err == nil {
		management, err = grantsAt(ours)
	}
	var granted grants.Grant
	if err == nil {
		granted, err = management.Query(ctx, c.GrantID)
	}
	g.over = errors.Is(err, grants.ErrNotFound)
	if err != nil && !g.over {
		g.Problem = true
		a.log.WarnContext(ctx, "the bank does not tell of a grant", "bank", c.Issuer, "reason", explain(err))
	}
	g.Scopes = scopeTexts(language, granted.ScopeValues())
	g.Details = a.describe(language, granted.AuthorizationDetails)
	return g
}

// scopeTexts returns the descriptions of scopes.
func scopeTexts(language string, scopes []string) (all []string) {
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		text := rar.EscapeText(scope, language)
		if _, known := texts["scope."+scope]; known {
			text = texts.Get(language, "scope."+scope)
		}
		all = append(all, text)
	}
	return all
}

// endGrant ends one connection at the bank, and forgets its tokens, after the
// user has confirmed it.
func (a *app) endGrant(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	u, id := a.users.of(r), r.PostFormValue("id")
	c := u.find(func(c connection) bool { return c.ID == id })
	switch {
	case c == nil:
		http.Redirect(w, r, "/grants", http.StatusSeeOther)
		return
	case r.PostFormValue("confirm") == "":
		a.show(w, r, endPage, http.StatusOK, "end.title", id)
		return
	}
	if err := a.end(r.Context(), *c); err != nil {
		a.fail(w, r, at(stageResource, err))
		return
	}
	if err := a.users.edit(r.Context(), u, func(u *user) { u.drop(*c) }); err != nil {
		a.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/grants?ended", http.StatusSeeOther)
}

// endAll ends all connections, or those to the bank in the form. It drops their
// tokens even if the bank has not revoked them.
func (a *app) endAll(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	u, issuer := a.users.of(r), r.PostFormValue("bank")
	a.tryToEnd(r.Context(), slices.DeleteFunc(slices.Clone(u.list()), func(c connection) bool {
		return issuer != "" && c.Issuer != issuer
	})...)
	var err error
	switch {
	case issuer == "":
		err = a.users.leave(w, r)
	case u != nil:
		err = a.users.edit(r.Context(), u, func(u *user) { u.forget(issuer) })
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// A failure is the text for the user, as a key of texts, and the logged reason
// for developers.
type failure struct {
	Text, Stage, Reason string
	Status              int
}

const (
	problemCookie = "__Host-fintech-problem"
	problemShown  = 10 * time.Minute
)

// keep stores a failure in the browser. A page shows it after a redirect, so
// that the address bar does not contain a code.
func (f failure) keep(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: problemCookie, Value: base64.RawURLEncoding.EncodeToString(asJSON(f)), Path: "/",
		MaxAge: int(problemShown / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// showProblem shows a failure of the callback.
func (a *app) showProblem(w http.ResponseWriter, r *http.Request) {
	f := failure{Text: "failure.expired", Status: http.StatusBadRequest}
	if cookie, err := r.Cookie(problemCookie); err == nil {
		var kept failure
		text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		valid := err == nil && json.Unmarshal(text, &kept) == nil && texts[kept.Text][0] != ""
		if valid && kept.Status/100 >= 4 && kept.Status/100 <= 5 {
			f = kept
		}
	}
	a.show(w, r, failurePage, f.Status, "failure.title", f)
}

// fail shows an error in words. It also shows the stage and the reason that are
// in the log.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	var wrong *formError
	if errors.As(err, &wrong) {
		a.show(w, r, paymentPage, http.StatusUnprocessableEntity, "payment.title", wrong.form)
		return
	}
	f, status := failure{Text: "failure.again"}, http.StatusBadGateway
	f.Stage, f.Reason = stageOf(err)
	if f.Stage == "" {
		if f.Stage = stagePAR; r.URL.Path == a.callbackPath() {
			f.Stage = finishStage(err)
		}
	}
	said := (*oauth2.RetrieveError)(nil)
	switch {
	case errors.As(err, new(storeError)), errors.Is(err, client.ErrStore):
		f, status = failure{Text: "failure.store"}, http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	case errors.Is(err, client.ErrUnknownServer):
		f, status = failure{Text: "failure.bank"}, http.StatusBadRequest
	case errors.Is(err, errNoAccounts):
		f, status = failure{Text: "failure.partial"}, http.StatusForbidden
	case errors.Is(err, client.ErrCrossOrigin):
		f = failure{Text: "failure.site"}
		status = http.StatusForbidden
	case errors.Is(err, client.ErrSession):
		f = failure{Text: "failure.expired"}
		status = http.StatusBadRequest
	case errors.Is(err, client.ErrAuthorizationResponse):
		f.Text, status = "failure.answer", http.StatusBadRequest
	case errors.As(err, &said) && said.Response == nil, errors.Is(err, errNotGranted):
		f.Text, status = "failure.denied", http.StatusForbidden
	}
	a.log.LogAttrs(r.Context(), logLevel(status), "refused", attributes(r, status, f, err)...)
	if f.Status = status; r.URL.Path == a.callbackPath() {
		f.keep(w)
		http.Redirect(w, r, "/problem", http.StatusSeeOther)
		return
	}
	a.show(w, r, failurePage, status, "failure.title", f)
}

// attributes returns the log attributes for an operator. The errors of this
// module contain no secrets, and the path does not include the query.
func attributes(r *http.Request, status int, f failure, err error) []slog.Attr {
	return []slog.Attr{
		slog.String("path", r.URL.Path), slog.Int("status", status), slog.String("stage", f.Stage),
		slog.String("reason", explain(err)),
	}
}

func logLevel(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelError
	}
	return slog.LevelInfo
}
