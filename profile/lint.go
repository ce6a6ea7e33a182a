package profile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/syntax"
)

// A Finding is a defect of a metadata document. [ServerMetadata.Lint],
// [ClientMetadata.Lint] and [ResourceMetadata.Lint] return findings, and
// encoding/json writes them as a report. It is a plain value.
type Finding struct {
	// Clause is the requirement that the document does not meet. It is an ID of
	// spec/requirements.tsv in the repository of this module, and
	// spec/README.md has the prefixes. For example, "MD-2-5" is in RFC 8414 §2.
	// For a rule of an ecosystem, it is the source of the rule.
	Clause string `json:"clause"`
	// Severity is "error", "warning" or "advice".
	//
	// An error is forbidden by FAPI 2.0 or by a specification on which it
	// builds, or makes every flow impossible. Do not deploy the document.
	//
	// A warning can work, but it is a default, a contradiction or a habit that
	// causes failures with other software. Correct it, or know why not.
	//
	// Advice comes from experience. Ignore it if you have reasons.
	Severity string `json:"severity"`
	// Member is the name of the member that must be changed or added.
	Member string `json:"member"`
	// Problem is the defect. Values from the document are quoted, escaped and
	// truncated.
	Problem string `json:"problem"`
	// Remedy is the recommended change.
	Remedy string `json:"remedy"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s (%s): %s", f.Severity, f.Member, f.Problem, f.Clause, f.Remedy)
}

// A rule is a row of a lint table. The methods named …Rules build the tables of
// a document. Lint and the methods that return an error select from the same
// rows, so that they cannot disagree.
type rule struct {
	clause  string
	grade   grade
	member  string
	problem error // nil if the document follows the rule; see when
	remedy  string
}

// A grade is the severity of a rule, and which methods report it as an error.
type grade uint8

const (
	advice      grade = 1 << iota
	warning           // the severity is "warning"
	forbidden         // the severity is "error", as for the grades below
	malformed         // [ServerMetadata.Validate] and [ResourceMetadata.Validate] report it
	unusable          // [ServerMetadata.CheckBaseline] reports it
	badRedirect       // [ClientMetadata.Validate] reports it as [ErrClientRedirectURI]

	anyError = forbidden | malformed | unusable | badRedirect
)

func (g grade) severity() string {
	switch g {
	case advice:
		return "advice"
	case warning:
		return "warning"
	default:
		return "error"
	}
}

// when returns a problem if the condition is true, and nil otherwise.
func when(condition bool, format string, args ...any) error {
	if !condition {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// findings returns the problems as findings, errors first.
func findings(rules []rule) (out []Finding) {
	for _, severity := range []string{"error", "warning", "advice"} {
		for _, r := range rules {
			if r.problem != nil && r.grade.severity() == severity {
				out = append(out, Finding{r.clause, severity, r.member, r.problem.Error(), r.remedy})
			}
		}
	}
	return out
}

// problems returns the problems of some grades as errors that wrap sentinel.
func problems(rules []rule, of grade, sentinel error) (errs []error) {
	for _, r := range rules {
		if r.problem != nil && r.grade&of != 0 {
			errs = append(errs, fmt.Errorf("%w: %w", sentinel, r.problem))
		}
	}
	return errs
}

// httpsRule is the rule for a URL to which clients connect. It may be absent.
func httpsRule(clause string, g grade, member, url string) rule {
	problem := syntax.HTTPSProblem(url)
	return rule{clause, g, member, when(url != "" && problem != "", "%s %.200q %s", member, url, problem),
		"Use a plain https URL: all messages of FAPI 2.0 go over TLS."}
}

// pageRules are the rules for pairs of a member and the URL of a page for
// people. It may have a fragment or be absent.
func pageRules(pages ...[2]string) (rules []rule) {
	for _, page := range pages {
		url, _, _ := strings.Cut(page[1], "#")
		problem := syntax.HTTPSProblem(url)
		rules = append(rules, rule{"SP-5.2.1-1", warning, page[0],
			when(page[1] != "" && problem != "", "%s %.200q %s", page[0], page[1], problem),
			"Use an https URL: other programs show it as a link, and another scheme can run a script."})
	}
	return rules
}

// algorithmRule is the rule for a list of signature algorithms.
func algorithmRule(member string, algs []string) rule {
	return rule{algorithmClause(algs...), forbidden, member,
		when(!hasOnly(algs, jose.Algorithms()...), "forbidden algorithm in %s", member),
		"List PS256, ES256, EdDSA or Ed25519 only, even where another specification requires RS256."}
}

// algorithmClause returns the clause that forbids the worst of some algorithms:
// none, or all others that FAPI 2.0 does not permit.
func algorithmClause(algs ...string) string {
	if slices.Contains(algs, "none") {
		return "SP-5.4.1-1.3"
	}
	return "SP-5.4.1-1.2"
}

// encryptionRules are the rules for algorithms that encrypt keys. FAPI 2.0 does
// not restrict them.
func encryptionRules(member string, algs ...string) []rule {
	password := func(alg string) bool { return strings.HasPrefix(alg, "PBES2-") }
	sha1 := slices.Contains(algs, jose.RSAOAEP) &&
		!hasAny(algs, jose.ECDHES, jose.ECDHESA128KW, jose.ECDHESA256KW, jose.RSAOAEP256)
	return []rule{
		// One server with distinguishable errors decrypts for every attacker.
		{"JWT-3.2-2", warning, member, when(slices.Contains(algs, "RSA1_5"), "RSA1_5 in %s", member),
			"Use RSA-OAEP-256 or ECDH-ES: RSA with PKCS #1 v1.5 padding is open to padding oracles."},
		{"JWT-BIS-1", warning, member,
			when(slices.ContainsFunc(algs, password), "password-based algorithm in %s", member),
			"Use RSA-OAEP-256 or ECDH-ES: with PBES2, the sender chooses how long the receiver computes."},
		{"JWT-3.2-1", advice, member, when(sha1, "only RSA-OAEP, with SHA-1, in %s", member),
			"Use RSA-OAEP-256 or ECDH-ES: policies forbid SHA-1, although it does not weaken OAEP."},
	}
}

// scopeRules are the rules for scopes_supported.
func scopeRules(clause string, scopes []string) []rule {
	malformed := func(s string) bool { return !syntax.IsScope(s) }
	return []rule{
		{clause, advice, "scopes_supported", when(len(scopes) == 0, "missing scopes_supported"),
			"List the scopes that clients may request, except those for internal use."},
		{clause, warning, "scopes_supported",
			when(slices.ContainsFunc(scopes, malformed), "malformed scope in scopes_supported"),
			"Make each scope an element of its own, with the characters of RFC 6749 §3.3."},
	}
}

// detailsRules are the rules for a list of authorization details types.
func detailsRules(clause, member string, types []string) []rule {
	return []rule{{clause, forbidden, member, when(slices.Contains(types, ""), "empty type in %s", member),
		"Name each type."}}
}

// documentRules are the rules for all members of a document, except those
// within mtls_endpoint_aliases. An empty list is visible only in a document
// that was read, because none is ever written.
func documentRules(clause string, document any, dropped []string) (rules []rule) {
	v := reflect.ValueOf(document).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			rules = append(rules, rule{clause, advice, name, when(!f.IsNil() && f.Len() == 0, "empty %s", name),
				`Omit the member: some readers take an empty list for "nothing", others for the default.`})
		}
	}
	for _, name := range dropped {
		rules = append(rules, rule{clause, forbidden, name, when(true, "%s of the wrong type, counts as absent", name),
			"Use the type that the specification of the member requires."})
	}
	return rules
}

func isOne(s string, of ...string) bool { return slices.Contains(of, s) }

func hasAny(list []string, of ...string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(of, s) })
}

func hasOnly(list []string, of ...string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
}
