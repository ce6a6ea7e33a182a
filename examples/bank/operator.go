package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/storage"
)

// minOperatorSecret is long enough for a random secret that cannot be guessed.
const minOperatorSecret = 16

// checkOperator checks the members of the operator's page. The page is on a
// loopback address and has a secret, because other users and programs of the
// machine can connect as well.
func (c *config) checkOperator(p *configfile.Problems) {
	p.Require((c.operatorListen == "") == (c.operatorSecret == ""), "operator_listen",
		"the two members operator_listen and operator_secret go together")
	if c.operatorListen == "" {
		return
	}
	host, port, err := net.SplitHostPort(c.operatorListen)
	p.Require(err == nil && isLoopback(host) && port != "" && port != "0", "operator_listen",
		"%.100q is not host:port with a loopback address", c.operatorListen)
	p.Require(c.operatorListen != c.listen && c.operatorListen != c.mtlsListen, "operator_listen",
		"the same as listen or mtls_listen")
	p.Require(len(c.operatorSecret) >= minOperatorSecret && len(c.operatorSecret) <= maxPassword, "operator_secret",
		"want %d to %d bytes, for example from openssl rand -base64 24", minOperatorSecret, maxPassword)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// operatorHandler serves the operator's page on its own listener.
func (b *bank) operatorHandler() http.Handler {
	protection := http.NewCrossOriginProtection()
	pages := map[string]http.Handler{
		"/":          only(map[string]http.HandlerFunc{http.MethodGet: b.operatorPage}),
		"/delete":    only(map[string]http.HandlerFunc{http.MethodPost: b.deleteUser}),
		"/keys":      only(map[string]http.HandlerFunc{http.MethodPost: b.changeKeys}),
		"/style.css": only(map[string]http.HandlerFunc{http.MethodGet: file("style.css")}),
		"/once.js":   only(map[string]http.HandlerFunc{http.MethodGet: file("once.js")}),
	}
	if metrics := b.telemetry.Metrics(); metrics != nil {
		pages["/metrics"] = only(map[string]http.HandlerFunc{http.MethodGet: metrics.ServeHTTP})
	}
	return b.observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.EscapedPath()]
		switch {
		case !isLoopback(hostOf(r.Host)): // attack: a name of a website that resolves to this machine
			http.Error(w, "misdirected request", http.StatusMisdirectedRequest)
		case !b.isOperator(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="operator of the bank", charset="UTF-8"`)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
		case !ok:
			http.NotFound(w, r)
		default:
			protection.Handler(page).ServeHTTP(w, r)
		}
	}))
}

func hostOf(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return hostPort
}

// isOperator checks the secret, which is the password of HTTP Basic. The user
// name is ignored. Failures are counted as those of logins.
func (b *bank) isOperator(r *http.Request) bool {
	_, secret, ok := r.BasicAuth()
	if !ok {
		return false
	}
	bound := []limited{{"operator", failuresOfAddress}}
	if !b.users.take(bound[0].key, bound[0].full) {
		return false
	}
	got, want := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(b.cfg.operatorSecret))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return false
	}
	b.users.forgive(bound)
	return true
}

// A shownStore is a store on the operator's page.
type shownStore struct {
	Kind    string
	Counted bool // the engine can count
	Entries int64
}

// A shownUser is a user on the operator's page.
type shownUser struct {
	Name                  string
	Deleted               bool
	Permissions, Payments int
}

// maxShownUsers bounds the page of the operator.
const maxShownUsers = 200

// operatorPage shows what is in the store. The keys of the store are hashes, so
// it can count its entries, but not by kind. The bank counts its own records.
func (b *bank) operatorPage(w http.ResponseWriter, r *http.Request) {
	b.showOperator(w, r, http.StatusOK, "")
}

func (b *bank) showOperator(w http.ResponseWriter, r *http.Request, status int, notice string) {
	data := struct {
		view
		Notice string
		Stores []shownStore
		Keys   []shownKeys
		Users  []shownUser
		Count  int // of all users
	}{view: b.view(r, "operator.title", nil, "operator"), Notice: notice}
	data.Base = ""
	names, err := b.users.names(r.Context())
	if err == nil {
		data.Count, names = len(names), names[:min(len(names), maxShownUsers)]
		data.Users, err = b.shownUsers(r.Context(), names)
	}
	if err == nil {
		data.Stores, err = b.kept.shown(r.Context())
	}
	if err == nil {
		data.Keys, err = b.shownKeys(r.Context(), data.Lang)
	}
	if err != nil {
		b.operatorFailed(w, r, err)
		return
	}
	b.show(w, r, operatorPage, status, staysHere, data)
}

func (b *bank) operatorFailed(w http.ResponseWriter, r *http.Request, err error) {
	b.log.ErrorContext(r.Context(), "store failed", "reason", err.Error())
	w.Header().Set("Retry-After", "5")
	http.Error(w, "the store is not available", http.StatusServiceUnavailable)
}

// readOperatorForm reads a form of the page. Otherwise it sends an error and
// returns false.
func (b *bank) readOperatorForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || !b.sessions.checkForm(r.PostForm.Get("form"), "operator") {
		http.Error(w, "the form is not from this page", http.StatusForbidden)
		return false
	}
	return true
}

func (b *bank) shownUsers(ctx context.Context, names []string) ([]shownUser, error) {
	all := make([]shownUser, len(names))
	for i, name := range names {
		exists, err := b.users.exists(ctx, name)
		if err != nil {
			return nil, err
		}
		permissions, err := b.permissionsOf(ctx, name)
		if err != nil {
			return nil, err
		}
		payments, err := b.payments.of(ctx, name)
		if err != nil {
			return nil, err
		}
		all[i] = shownUser{name, !exists, len(permissions), len(payments)}
	}
	return all, nil
}

// shown returns the stores with their numbers of entries.
func (k *kept) shown(ctx context.Context) (all []shownStore, err error) {
	for _, s := range []*storage.Storage{k.main, k.second} {
		if s == nil {
			continue
		}
		entries, ok, err := s.Count(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, shownStore{s.Kind, ok, entries})
	}
	return all, nil
}

// deleteUser processes the form of the operator.
func (b *bank) deleteUser(w http.ResponseWriter, r *http.Request) {
	if !b.readOperatorForm(w, r) {
		return
	}
	name, language := r.PostForm.Get("username"), b.view(r, "operator.title", nil).Lang
	if !r.PostForm.Has("confirm") {
		b.showOperator(w, r, http.StatusBadRequest, texts.Get(language, "operator.unconfirmed"))
		return
	}
	err := b.forget(r.Context(), name)
	switch {
	case errors.Is(err, errUnknownUser):
		b.showOperator(w, r, http.StatusNotFound, texts.Get(language, "operator.unknown"))
	case errors.Is(err, errAutoApprove):
		b.showOperator(w, r, http.StatusConflict, texts.Get(language, "operator.auto"))
	case err != nil:
		b.log.ErrorContext(r.Context(), "user not deleted completely", "reason", err.Error())
		w.Header().Set("Retry-After", "5")
		b.showOperator(w, r, http.StatusServiceUnavailable, texts.Get(language, "operator.incomplete"))
	default:
		b.log.InfoContext(r.Context(), "user deleted", "subject", name)
		b.showOperator(w, r, http.StatusOK, texts.Get(language, "operator.done"))
	}
}

var (
	errUnknownUser = errors.New("unknown user")
	errAutoApprove = errors.New("user of auto_approve")
)

// forget deletes the data of a user: first the login with the sessions, so that
// the user can give no further consent, then all permissions with their grants
// and tokens, and then the payments. The name stays with a mark. After an error
// it can be repeated. The records of used permissions contain no personal data
// and stay, so that no payment can be made again.
func (b *bank) forget(ctx context.Context, name string) error {
	names, err := b.users.names(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(names, name) {
		return errUnknownUser
	}
	if name == b.cfg.autoApprove {
		return errAutoApprove
	}
	if err := b.users.remove(ctx, name); err != nil {
		return err
	}
	all, err := b.permissions.close(ctx, name)
	if err != nil {
		return err
	}
	given, err := b.grantsOf(ctx, name)
	if err != nil {
		return err
	}
	for _, one := range append(all, given...) {
		if err := b.end(ctx, name, one); err != nil {
			return err
		}
	}
	return b.payments.remove(ctx, name)
}
