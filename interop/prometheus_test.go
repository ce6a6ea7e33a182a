package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/store"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.yaml.in/yaml/v3"
)

const (
	dashboardFile = "../docs/telemetry/dashboard.json"
	alertsFile    = "../docs/telemetry/alerts.yaml"
)

// The dashboard and the alerts name only metrics and labels that Prometheus
// receives.
func TestDashboardAndAlerts(t *testing.T) {
	exported := exportedMetrics(t)
	used := map[string]bool{}
	for name, expressions := range map[string]map[string]string{"dashboard": dashboardExpressions(t), "alerts": alertExpressions(t)} {
		require.Greater(t, len(expressions), 10, name)
		for title, expression := range expressions {
			metrics, labels := namesIn(expression)
			require.NotEmpty(t, metrics, "%s of the %s", title, name)
			requireValues(t, expression)
			for _, metric := range metrics {
				used[strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_count")] = true
				require.Contains(t, exported, metric, "%s of the %s", title, name)
				for _, label := range labels {
					require.Contains(t, append(exported[metric], "job"), label, "%s of the %s", title, name)
				}
			}
		}
	}
	page, err := os.ReadFile("../docs/telemetry.md")
	require.NoError(t, err)
	for name := range alertExpressions(t) {
		require.Contains(t, string(page), "| `"+name+"` |", "the page lists each alert")
	}
	for metric := range exported {
		if !strings.HasSuffix(metric, "_bucket") && !strings.HasSuffix(metric, "_sum") && !strings.HasSuffix(metric, "_count") {
			require.True(t, used[metric], "%s is on neither", metric)
		}
	}
}

// requireValues requires that each value that an expression selects can occur.
func requireValues(t *testing.T, expression string) {
	reasons, err := os.ReadFile("../integrations/otel/reasons.txt")
	require.NoError(t, err)
	page, err := os.ReadFile("../docs/telemetry.md")
	require.NoError(t, err)
	for _, matcher := range regexp.MustCompile(`(fapi2_\w+)(=~?)"([^"]+)"`).FindAllStringSubmatch(expression, -1) {
		switch label, operator, value := matcher[1], matcher[2], matcher[3]; {
		case label != "fapi2_reason":
			require.Contains(t, string(page), "`"+value+"`")
		case operator == "=":
			require.Contains(t, string(reasons), "\n"+value+"\n")
		default:
			require.Regexp(t, "\n"+value+"\n", string(reasons))
		}
	}
}

// The check of names finds what it is for.
func TestNamesIn(t *testing.T) {
	metrics, labels := namesIn(`sum by (job, fapi2_a) (rate(fapi2_x_count{job=~"$job",fapi2_b="fapi2_no{}"}[5m])) / ignoring (fapi2_c) group_left () fapi2_y_total > 0`)
	require.Equal(t, []string{"fapi2_x_count", "fapi2_y_total"}, metrics)
	require.Equal(t, []string{"fapi2_a", "fapi2_b", "fapi2_c", "job"}, labels)
	metrics, _ = namesIn(`rate(http_requests_total[5m])`)
	require.Equal(t, []string{"http_requests_total"}, metrics)
}

// Prometheus loads the alerts and the expressions of the dashboard, and each
// alert fires when it should.
func TestAlertsInPrometheus(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	testkit.Require(t, "promtool of Prometheus", err == nil)
	dir := t.TempDir()
	for name, from := range map[string]string{"alerts.yaml": alertsFile, "alerts-test.yaml": "testdata/alerts-test.yaml"} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	type rule struct{ Record, Expr string }
	type group struct {
		Name  string
		Rules []rule
	}
	panels := group{Name: "dashboard"}
	for _, expression := range dashboardExpressions(t) {
		panels.Rules = append(panels.Rules, rule{"panel", strings.ReplaceAll(expression, "$__rate_interval", "5m")})
	}
	text, err := yaml.Marshal(map[string][]group{"groups": {panels}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dashboard.yaml"), text, 0o600))
	for _, arguments := range [][]string{
		{"check", "rules", "alerts.yaml", "dashboard.yaml"}, {"test", "rules", "alerts-test.yaml"},
	} {
		command := exec.Command(promtool, arguments...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
	}
	tests, err := os.ReadFile("testdata/alerts-test.yaml")
	require.NoError(t, err)
	for name := range alertExpressions(t) {
		require.Contains(t, string(tests), name, "an alert without a test")
	}
}

// exportedMetrics returns the names of the metrics that the exporter for
// Prometheus produces, with their labels.
func exportedMetrics(t *testing.T) map[string][]string {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	require.NoError(t, err)
	telemetry, err := fapiotel.New(fapiotel.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	require.NoError(t, err)
	ctx := context.Background()
	event := profile.Event{
		Endpoint: "token", Outcome: "rejected", GrantType: "authorization_code", Code: "invalid_grant", Reason: "dpop: proof replayed",
		ClientAuth: "private_key_jwt", Binding: "DPoP", Duration: time.Millisecond,
	}
	telemetry.ObserveRequest(ctx, event)
	telemetry.ObserveClient(ctx, event)
	telemetry.ObserveKeys(ctx, jwks.Fetch{Err: errors.New("down")})
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	_, _, err = telemetry.Store(memory, "memory").Get(ctx, strings.Repeat("k", store.KeyLength))
	require.NoError(t, err)

	families, err := registry.Gather()
	require.NoError(t, err)
	exported := map[string][]string{}
	for _, family := range families {
		name := family.GetName()
		if !strings.HasPrefix(name, "fapi2_") {
			require.Contains(t, []string{"target_info", "otel_scope_info"}, name)
			continue
		}
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		exported[name] = labels
		if family.GetMetric()[0].GetHistogram() != nil {
			exported[name+"_count"], exported[name+"_sum"] = labels, labels
			exported[name+"_bucket"] = append(slices.Clone(labels), "le")
		}
	}
	require.Len(t, exported, 6+3*4)
	return exported
}

// dashboardExpressions returns the expressions of the panels of the dashboard by their titles.
func dashboardExpressions(t *testing.T) map[string]string {
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Type string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	require.Len(t, dashboard.Templating.List, 2)
	all := map[string]string{}
	legend := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, panel := range dashboard.Panels {
		require.Equal(t, panel.Type == "row", len(panel.Targets) == 0, panel.Title)
		for i, target := range panel.Targets {
			all[panel.Title+strings.Repeat("'", i)] = target.Expr
			_, labels := namesIn(target.Expr)
			for _, shown := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				require.Contains(t, labels, shown[1], "legend of %s", panel.Title)
			}
		}
	}
	return all
}

// alertExpressions returns the expressions of the alerts by their names.
func alertExpressions(t *testing.T) map[string]string {
	text, err := os.ReadFile(alertsFile)
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	all := map[string]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			require.NotContains(t, all, rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"])
			require.NotEmpty(t, rule.Annotations["description"])
			all[rule.Alert] = rule.Expr
		}
	}
	return all
}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	selectors = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]`)
	groupings = regexp.MustCompile(`\b(by|without|ignoring|on|group_left|group_right)\s*\([^)]*\)`)
	words     = regexp.MustCompile(`\b[a-zA-Z_]\w*(\s*\()?`)
	keywords  = []string{"by", "without", "ignoring", "on", "group_left", "group_right", "or", "and", "unless", "offset"}
)

// namesIn returns the metrics and the labels of an expression, sorted.
func namesIn(expression string) (metrics, labels []string) {
	rest := quoted.ReplaceAllString(expression, `""`)
	found, names := map[string]bool{}, map[string]bool{}
	for _, pattern := range []*regexp.Regexp{selectors, groupings} {
		for _, part := range pattern.FindAllString(rest, -1) {
			if part[0] == '[' {
				continue
			}
			for _, word := range words.FindAllString(part, -1) {
				if word = strings.TrimRight(word, " ("); !slices.Contains(keywords, word) {
					names[word] = true
				}
			}
		}
		rest = pattern.ReplaceAllString(rest, " ")
	}
	for _, word := range words.FindAllString(rest, -1) {
		if !strings.HasSuffix(word, "(") && !slices.Contains(keywords, word) {
			found[word] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(names))
}
