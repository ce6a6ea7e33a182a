package interop_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// form is an issue form, with the members that the forge documents.
type form struct {
	Name, Description, Title string
	Labels, Assignees        []string
	Body                     []struct {
		Type, ID   string
		Attributes struct {
			Label, Description, Placeholder, Value, Render string
			Multiple                                       bool
			Options                                        []string
			Default                                        int
		}
		Validations struct{ Required bool }
	}
}

// TestFormsOfTheForge reads the issue forms as strictly as the forge does. It
// ignores a form that it cannot read, and shows a blank issue.
func TestFormsOfTheForge(t *testing.T) {
	names, err := filepath.Glob("../.github/ISSUE_TEMPLATE/*.yml")
	require.NoError(t, err)
	require.Len(t, names, 3)
	asksForClause := false
	for _, name := range names {
		if filepath.Base(name) == "config.yml" {
			continue
		}
		var f form
		decode(t, name, &f)
		require.NotEmpty(t, f.Name, name)
		require.NotEmpty(t, f.Description, name)
		require.NotEmpty(t, f.Body, name)
		ids := make(map[string]bool)
		for _, field := range f.Body {
			switch field.Type {
			case "markdown":
				require.NotEmpty(t, field.Attributes.Value, name)
				continue
			case "dropdown":
				require.NotEmpty(t, field.Attributes.Options, name)
			case "input", "textarea":
				require.Empty(t, field.Attributes.Options, name)
			default:
				require.Failf(t, "unknown type", "%s: %s", name, field.Type)
			}
			require.NotEmpty(t, field.Attributes.Label, name)
			require.Regexp(t, `^[\w-]+$`, field.ID, name)
			require.False(t, ids[field.ID], "%s: %s is repeated", name, field.ID)
			ids[field.ID] = true
			asksForClause = asksForClause || field.ID == "clause" && field.Validations.Required
		}
	}
	require.True(t, asksForClause)
}

func TestSettingsOfTheForge(t *testing.T) {
	var config struct {
		Blank bool                                `yaml:"blank_issues_enabled"`
		Links []struct{ Name, URL, About string } `yaml:"contact_links"`
	}
	decode(t, "../.github/ISSUE_TEMPLATE/config.yml", &config)
	require.False(t, config.Blank)
	require.Len(t, config.Links, 2)
	for _, link := range config.Links {
		require.NotEmpty(t, link.Name)
		require.NotEmpty(t, link.About)
		require.Regexp(t, `^https://github\.com/gofapi/fapi2/`, link.URL)
	}

	var dependabot struct {
		Version int
		Updates []struct {
			Ecosystem string `yaml:"package-ecosystem"`
			Directory string
			Schedule  struct{ Interval string }
			Groups    map[string]struct{ Patterns []string }
		}
	}
	decode(t, "../.github/dependabot.yml", &dependabot)
	require.Equal(t, 2, dependabot.Version)
	for _, u := range dependabot.Updates {
		require.Contains(t, []string{"gomod", "npm", "github-actions"}, u.Ecosystem)
		require.Equal(t, "weekly", u.Schedule.Interval)
		require.DirExists(t, filepath.Join("..", u.Directory))
	}
}

func decode(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	require.NoError(t, d.Decode(into), name)
}
