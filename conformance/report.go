package conformance

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// An Outcome is how a case ended.
type Outcome string

// A warning is a deviation that certification tolerates or that other software
// handles. A skipped case was not run, and its Reason has the cause.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Warn Outcome = "warn"
	Skip Outcome = "skip"
)

// A Case is one behaviour of a server. It is a plain value.
type Case struct {
	// ID is the stable name of the case, for example "push/no-challenge".
	ID string `json:"id"`
	// Title is the tested request or document.
	Title string `json:"title"`
	// Clauses are the requirements, for example "RFC 9126 §2.1".
	Clauses []string `json:"clauses"`
	// Remedy is the recommended change if the case does not pass.
	Remedy string `json:"remedy"`
}

// A Result is what happened in a case. It is a plain value.
type Result struct {
	Case
	// Outcome is how the case ended.
	Outcome Outcome `json:"outcome"`
	// Reason is why the case did not pass. It is empty for a passed case.
	Reason string `json:"reason,omitempty"`
	// Sent is the last request of the case, without secrets.
	Sent string `json:"sent,omitempty"`
	// Expected is the response that the clauses require.
	Expected string `json:"expected,omitempty"`
	// Received is the response, without secrets.
	Received string `json:"received,omitempty"`
}

// String returns the result for a person, on several lines.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s)", r.Outcome, r.Title, strings.Join(r.Clauses, ", "))
	for _, line := range []struct{ name, text string }{
		{"reason", r.Reason}, {"sent", r.Sent}, {"expected", r.Expected}, {"received", r.Received},
		{"remedy", r.Remedy},
	} {
		if line.text != "" {
			fmt.Fprintf(&b, "\n  %-9s %s", line.name+":", line.text)
		}
	}
	return b.String()
}

// A Report has the results of all cases, in the order of the cases. It is a
// plain value.
type Report struct {
	// Issuer is the tested server.
	Issuer string
	// Results has one result for each case.
	Results []Result
	// Requests is the number of requests that were sent.
	Requests int
}

// Count returns the number of results with an outcome.
func (r *Report) Count(o Outcome) (n int) {
	for _, result := range r.Results {
		if result.Outcome == o {
			n++
		}
	}
	return n
}

// WriteTable writes one line for each case, the details of all failures and
// warnings, and the counts.
func (r *Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, result := range r.Results {
		fmt.Fprintf(table, "%s\t%s\t%s\n", result.Outcome, result.ID, result.Title)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, result := range r.Results {
		if result.Outcome == Fail || result.Outcome == Warn {
			if _, err := fmt.Fprintf(w, "\n%s %s\n", result.ID, result); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s: %d passed, %d failed, %d warnings, %d skipped, %d requests\n", r.Issuer,
		r.Count(Pass), r.Count(Fail), r.Count(Warn), r.Count(Skip), r.Requests)
	return err
}

// WriteJSON writes each result as a JSON object on a line of its own.
func (r *Report) WriteJSON(w io.Writer) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for _, result := range r.Results {
		if err := lines.Encode(result); err != nil {
			return err
		}
	}
	return nil
}

// A suite is a report in the format of JUnit.
type suite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []suiteCase `xml:"testcase"`
}

type suiteCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *suiteDetail `xml:"failure"`
	Skipped *suiteDetail `xml:"skipped"`
	Output  string       `xml:"system-out,omitempty"`
}

type suiteDetail struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report in the XML format of JUnit, which many CI
// systems read. The format has no warnings: a warning passes, and its details
// are the output of the test.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := suite{Name: r.Issuer, Tests: len(r.Results), Failures: r.Count(Fail), Skipped: r.Count(Skip)}
	for _, result := range r.Results {
		class, _, _ := strings.Cut(result.ID, "/")
		c := suiteCase{Class: "conformance." + class, Name: result.ID}
		switch result.Outcome {
		case Fail:
			c.Failure = &suiteDetail{result.Reason, result.String()}
		case Skip:
			c.Skipped = &suiteDetail{Message: result.Reason}
		case Warn:
			c.Output = result.String()
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	lines := xml.NewEncoder(w)
	lines.Indent("", "  ")
	if err := lines.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
