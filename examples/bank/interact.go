package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
)

// interact is the part of the authorization endpoint that FAPI leaves to the
// bank: the login and the consent of the user. The browser continues at the
// bank's own pages. A flow in a cookie leads it back to this request, since a
// user may take longer than a request_uri lasts.
func (b *bank) interact(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	b.withSession(func(w http.ResponseWriter, r *http.Request) { b.begin(w, r, a) })(w, r)
}

func (b *bank) begin(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	if end, _ := b.lasts(a); !end.IsZero() && !end.After(b.now()) {
		response, err := b.server.Deny(r.Context(), a, "access_denied", "the requested permission has ended")
		b.leave(w, r, a, response, err)
		return
	}
	if b.cfg.autoApprove != "" {
		b.approve(w, r, nil, a, authserver.Approval{Subject: b.cfg.autoApprove, Scopes: a.Scopes(),
			Details:  a.Details(),
			AuthTime: b.now(), AMR: []string{"pwd"}})
		return
	}
	// OpenID Connect Core §3.1.2.1
	if prompt := strings.Fields(a.Params().Get("prompt")); slices.Contains(prompt, "none") {
		code := "consent_required" // no consent lasts
		if b.mustLogIn(a, b.sessions.of(r), time.Time{}) {
			code = "login_required"
		}
		if len(prompt) > 1 {
			code = "invalid_request"
		}
		response, err := b.server.Deny(r.Context(), a, code, "")
		b.leave(w, r, a, response, err)
		return
	}
	f, err := b.sessions.begin(w, r, a.ClientID(), a.RequestURI())
	if err != nil {
		b.fail(w, r, errInternal, err)
		return
	}
	redirect(w, b.cfg.path("/consent?flow="+f.ID))
}

// mustLogIn reports whether the user has to enter the password. That is so
// without a session. It is also so if the client requires a login after the
// beginning of the flow, or a more recent login.
func (b *bank) mustLogIn(a *authserver.Authorization, in *session, flowBegan time.Time) bool {
	if in == nil {
		return true
	}
	params := a.Params()
	if slices.Contains(strings.Fields(params.Get("prompt")), "login") && in.began.Before(flowBegan) {
		return true
	}
	maxAge, err := strconv.ParseInt(params.Get("max_age"), 10, 32)
	return err == nil && in.began.Before(flowBegan) && b.now().Sub(in.began) > time.Duration(maxAge)*time.Second
}

// approve completes an authorization with the user's approval, and ends the
// flow in the browser if there is one.
func (b *bank) approve(w http.ResponseWriter, r *http.Request, f *flow, a *authserver.Authorization,
	approval authserver.Approval) {
	approval.ACR, approval.Expires = b.cfg.loginClass(a), b.ends(a)
	_, refreshes := b.lasts(a)
	approval.NoRefreshToken, approval.TokenMembers = !refreshes, b.cfg.tokenMembers(a.ClientID())
	var err error
	if approval.IDTokenClaims, err = b.cfg.requestedClaims(approval.Subject, a.Claims().IDToken); err != nil {
		b.fail(w, r, errInternal, err)
		return
	}
	response, err := b.server.Approve(r.Context(), a, approval)
	if errors.Is(err, authserver.ErrNothingGranted) && f != nil {
		b.deny(w, r, f, a)
		return
	}
	if err == nil {
		// If the permission cannot be stored, the code is not sent: the user
		// could not withdraw it.
		if err := b.remember(r.Context(), a, response, approval); err != nil {
			b.fail(w, r, errStore, err)
			return
		}
		if id := a.Intent().ID; id != "" {
			err := b.consents.decide(r.Context(), a.ClientID(), id, consentAuthorised, response.AuthorizationID())
			if err != nil { // the client receives no code
				b.fail(w, r, errStore, err)
				return
			}
		}
		if f != nil {
			b.sessions.keepAMoment(w, r, f)
		}
		b.log.InfoContext(r.Context(), "access granted", "client", a.ClientID(), "subject", approval.Subject)
	}
	b.leave(w, r, a, response, err)
}

// leave sends the browser back to the client.
func (b *bank) leave(w http.ResponseWriter, r *http.Request, a *authserver.Authorization,
	response *authserver.AuthorizationResponse, err error) {
	if err != nil {
		b.server.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// resume returns the flow of a page and, if the flow is an authorization, the
// request. If resume responds to the browser itself, ok is false.
func (b *bank) resume(w http.ResponseWriter, r *http.Request) (f *flow, a *authserver.Authorization, ok bool) {
	if f = b.sessions.flow(r, r.URL.Query().Get("flow")); f == nil {
		b.fail(w, r, errNoFlow, nil)
		return nil, nil, false
	}
	if f.ClientID == "" {
		return f, nil, true
	}
	// the user returns after the decision
	if in := b.sessions.of(r); r.Method != http.MethodPost && in != nil && b.answers.has(f.ID+" "+in.id, b.now()) {
		b.fail(w, r, errNoFlow, nil)
		return nil, nil, false
	}
	a, err := b.server.Resume(r.Context(), f.ClientID, f.RequestURI)
	if err != nil {
		b.sessions.end(w, f)
		b.server.WriteAuthorizationError(w, r, a, err)
		return nil, nil, false
	}
	return f, a, true
}

// loginForm shows the login page.
func (b *bank) loginForm(w http.ResponseWriter, r *http.Request) {
	if f, a, ok := b.resume(w, r); ok {
		b.showLogin(w, r, f, a, nil)
	}
}

// logIn processes the login form.
func (b *bank) logIn(w http.ResponseWriter, r *http.Request) {
	f, a, ok := b.resume(w, r)
	if !ok || !b.readForm(w, r, "login", f.ID) {
		return
	}
	if r.PostForm.Has("deny") && a != nil {
		b.deny(w, r, f, a)
		return
	}
	name := r.PostForm.Get("username")
	from := peer{address: networkOf(r.RemoteAddr), browser: b.sessions.known(r, name)}
	if err := b.users.check(r.Context(), name, r.PostForm.Get("password"), from); err != nil {
		b.log.InfoContext(r.Context(), "login refused", "reason", err.Error())
		b.showLogin(w, r, f, a, err)
		return
	}
	if err := b.sessions.logIn(w, r, name); err != nil {
		b.fail(w, r, errStore, err)
		return
	}
	b.sessions.know(w, name, from.browser)
	b.log.InfoContext(r.Context(), "login", "subject", name)
	if a == nil {
		b.sessions.end(w, f)
		redirect(w, b.cfg.path("/apps"))
		return
	}
	redirect(w, b.cfg.path("/consent?flow="+f.ID))
}

// consentForm shows the consent page, after the login page if necessary.
func (b *bank) consentForm(w http.ResponseWriter, r *http.Request) {
	f, a, ok := b.resume(w, r)
	if !ok {
		return
	}
	if a == nil {
		redirect(w, b.cfg.path("/apps"))
		return
	}
	in := b.sessions.of(r)
	if b.mustLogIn(a, in, f.Began) {
		redirect(w, b.cfg.path("/login?flow="+f.ID))
		return
	}
	b.showConsent(w, r, f, a, in)
}

// consent processes the consent form.
func (b *bank) consent(w http.ResponseWriter, r *http.Request) {
	in, f := b.sessions.of(r), b.sessions.flow(r, r.URL.Query().Get("flow"))
	if in == nil || f == nil {
		b.decide(w, r)
		return
	}
	if !b.readForm(w, r, "consent", f.ID, in.user) {
		return
	}
	// A double click sends the form twice, and the browser shows the second
	// response.
	b.answers.once(w, f.ID+" "+in.id, b.now(), func(w http.ResponseWriter) { b.decide(w, r) })
}

func (b *bank) decide(w http.ResponseWriter, r *http.Request) {
	f, a, ok := b.resume(w, r)
	if !ok {
		return
	}
	in := b.sessions.of(r)
	if a == nil || b.mustLogIn(a, in, f.Began) { // the session has ended while the page was open
		redirect(w, b.cfg.path("/login?flow="+f.ID))
		return
	}
	if !r.PostForm.Has("approve") {
		b.deny(w, r, f, a)
		return
	}
	// The approval contains only permissions that were requested and that the
	// user has ticked.
	approval := authserver.Approval{Subject: in.user, AuthTime: in.began, AMR: []string{"pwd"}}
	var err error
	if approval.Details, err = grantedDetails(a, in.user, r.PostForm); err != nil {
		b.leave(w, r, a, nil, err)
		return
	}
	ticked := slices.DeleteFunc(a.Choices(), func(scope string) bool {
		return !slices.Contains(r.PostForm["scope"], scope)
	})
	approval.Scopes = a.ScopesFor(ticked, approval.Details)
	b.approve(w, r, f, a, approval)
}

func (b *bank) deny(w http.ResponseWriter, r *http.Request, f *flow, a *authserver.Authorization) {
	if id := a.Intent().ID; id != "" {
		err := b.consents.decide(r.Context(), a.ClientID(), id, consentRejected, "")
		if err != nil && !errors.Is(err, errConsentState) {
			b.fail(w, r, errStore, err)
			return
		}
	}
	b.sessions.keepAMoment(w, r, f)
	response, err := b.server.Deny(r.Context(), a, "access_denied", "the user said no")
	if err == nil {
		b.log.InfoContext(r.Context(), "access denied", "client", a.ClientID())
	}
	b.leave(w, r, a, response, err)
}

// logOut ends the session.
func (b *bank) logOut(w http.ResponseWriter, r *http.Request) {
	in := b.sessions.of(r)
	if in != nil && !b.readForm(w, r, "logout", in.id) {
		return
	}
	if err := b.sessions.logOut(w, r); err != nil {
		b.fail(w, r, errStore, err)
		return
	}
	redirect(w, b.cfg.path("/apps"))
}
