package profile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
)

// A Finding is one thing that Lint has to say about a metadata document: see [ServerMetadata.Lint], [ClientMetadata.Lint]
// and [ResourceMetadata.Lint]. A plain value, safe for concurrent reading; encoding/json makes a report of it.
type Finding struct {
	// Clause is the requirement that it is about: an ID of spec/requirements.tsv in this module's repository, such as
	// "MD-2-5", which is section 2 of RFC 8414.
	Clause string `json:"clause"`
	// Severity is one of three. "error": FAPI 2.0 or a specification that it builds on forbids it, or no flow is possible; do
	// not deploy it. "warning": it may work, but a default, a contradiction or an old habit of peers will bite; mend it or know
	// why not. "advice": experience recommends otherwise; leave it if you have reasons.
	Severity string `json:"severity"`
	// Member is the name of the member of the document that has to change, or has to be there.
	Member string `json:"member"`
	// What is wrong. It can quote the document, escaped and cut.
	What string `json:"what"`
	// Mend says what to do about it.
	Mend string `json:"mend"`
}

const (
	severityError   = "error"
	severityWarning = "warning"
	severityAdvice  = "advice"
)

// String returns the finding as one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s (%s): %s", f.Severity, f.Member, f.What, f.Clause, f.Mend)
}

// A view is one of the methods that judge a document for a narrower purpose than Lint and return an error.
type view uint8

const (
	malformed     view = 1 << iota // [ServerMetadata.Validate], [ResourceMetadata.Validate]
	unusable                       // [ServerMetadata.CheckBaseline]
	redirectFault                  // of what [ClientMetadata.Validate] reports as [ErrClientRedirectURI]
)

// A linter collects what the rules find. Each rule is stated once, in a lint… method; what the methods that return an
// error refuse is a selection of the same findings, so that they and Lint cannot disagree.
type linter struct{ list []judged }

type judged struct {
	Finding
	views view
	cause error // stands for What in errors if there is one
}

// unless adds a finding if ok does not hold, which these views are about too.
func (l *linter) unless(ok bool, f Finding, views ...view) {
	if ok {
		return
	}
	j := judged{Finding: f}
	for _, v := range views {
		j.views |= v
	}
	l.list = append(l.list, j)
}

// findings returns everything, what matters most first, in the order of the rules otherwise.
func (l *linter) findings() []Finding {
	var out []Finding
	for _, severity := range []string{severityError, severityWarning, severityAdvice} {
		for _, j := range l.list {
			if j.Severity == severity {
				out = append(out, j.Finding)
			}
		}
	}
	return out
}

// because adds a finding that an error tells of.
func (l *linter) because(cause error, f Finding, views ...view) {
	f.What = cause.Error()
	l.unless(false, f, views...)
	l.list[len(l.list)-1].cause = cause
}

// problemOf takes the sentinel, which repeats what a finding is about, off an error of this package.
func problemOf(err error) error {
	_, problem, _ := strings.Cut(strings.TrimPrefix(err.Error(), "profile: "), ": ")
	return errors.New(problem)
}

// problems returns the findings of severity error that are wanted, as errors.
func (l *linter) problems(sentinel error, want func(view) bool) problems {
	p := problems{sentinel: sentinel}
	for _, j := range l.list {
		switch {
		case j.Severity != severityError || !want(j.views):
		case j.cause != nil:
			p.unless(false, "%w", j.cause)
		default:
			p.unless(false, "%s", j.What)
		}
	}
	return p
}

// in selects the findings of one view, notIn those that are not of it.
func in(v view) func(view) bool    { return func(of view) bool { return of&v != 0 } }
func notIn(v view) func(view) bool { return func(of view) bool { return of&v == 0 } }

// https wants a URL that can be connected to over TLS, or none.
func (l *linter) https(clause, member, url string, views ...view) {
	if url == "" {
		return
	}
	problem := syntax.HTTPSProblem(url)
	l.unless(problem == "", Finding{clause, severityError, member, fmt.Sprintf("%s %.200q %s", member, url, problem),
		"Give a plain https URL: everything that FAPI 2.0 sends goes over TLS."}, views...)
}

// pages wants https for what people are to read: pairs of a member and its URL.
func (l *linter) pages(list ...[2]string) {
	for _, page := range list {
		if page[1] != "" {
			url, _, _ := strings.Cut(page[1], "#") // a place in a page is no harm
			problem := syntax.HTTPSProblem(url)
			l.unless(problem == "", Finding{"SP-5.2.1-1", severityWarning, page[0], fmt.Sprintf("%s %.200q %s", page[0], page[1], problem),
				"Give an https URL: others show it as a link, and one with another scheme can do more than open a page."})
		}
	}
}

// algorithms wants nothing but the algorithms of FAPI 2.0.
func (l *linter) algorithms(member string, algs []string) {
	l.unless(haveOnly(algs, jose.Algorithms()...),
		Finding{algorithmClause(algs...), severityError, member, member + " has what FAPI 2.0 forbids",
			"List PS256, ES256, EdDSA or Ed25519 and nothing else, even where another specification wants RS256."})
}

// algorithmClause names the clause that forbids what is worst in a list of algorithms: SP-5.4.1-1.3 is about none,
// SP-5.4.1-1.2 about everything that is not among those of FAPI 2.0, RS256 above all.
func algorithmClause(algs ...string) string {
	if slices.Contains(algs, "none") {
		return "SP-5.4.1-1.3"
	}
	return "SP-5.4.1-1.2"
}

// encryption looks at algorithms that encrypt keys, none of which FAPI 2.0 restricts.
func (l *linter) encryption(member string, algs ...string) {
	// JWT-3.2-2: padding that can be asked about; one server whose errors differ decrypts for everybody.
	l.unless(!slices.Contains(algs, "RSA1_5"), Finding{"JWT-3.2-2", severityWarning, member, member + " has RSA1_5",
		"Use RSA-OAEP-256 or ECDH-ES: RSA with PKCS #1 v1.5 padding is open to padding oracles."})
	// JWT-BIS-1: the sender chooses how long the receiver computes.
	l.unless(!slices.ContainsFunc(algs, func(alg string) bool { return strings.HasPrefix(alg, "PBES2-") }),
		Finding{"JWT-BIS-1", severityWarning, member,
			member + " has an algorithm for passwords", "Use RSA-OAEP-256 or ECDH-ES: with PBES2 the sender chooses how much the receiver has to compute."})
}

// scopes looks at a list of scopes that the document announces.
func (l *linter) scopes(clause string, scopes []string) {
	l.unless(len(scopes) > 0, Finding{clause, severityAdvice, "scopes_supported", "no scopes_supported",
		"List the scopes that clients may ask for, those of internal use left out."})
	l.unless(!slices.ContainsFunc(scopes, func(s string) bool { return !syntax.IsScope(s) }),
		Finding{clause, severityWarning, "scopes_supported",
			"scopes_supported has what is no scope value", "Give each scope an element of its own, of the characters of RFC 6749 §3.3."})
}

// emptyLists looks for lists without an element, which a document leaves out. It sees them only in a document that has
// been read: none is ever written.
func (l *linter) emptyLists(clause string, document any) {
	v := reflect.ValueOf(document).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice || f.IsNil() || f.Len() > 0 {
			continue
		}
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		l.unless(false, Finding{clause, severityAdvice, name, name + " has no element",
			"Leave the member out: some readers take an empty list for \"nothing\", others for the default."})
	}
}
