package rar

import (
	"strings"
)

// A Description describes in a user's language what a detail permits.
type Description struct {
	// Language is the tag of the description's language. It is empty for the
	// default description, which has no language.
	Language string
	// Title is the heading, for example "Payment".
	Title string
	// Fields are the lines, in order.
	Fields []Field
}

// A Field is one line of a [Description]. A list has one field for each value,
// all with the same label. A single value can therefore not look like two.
type Field struct {
	// Label names the value in the language of the description, for example
	// "Amount".
	Label string
	// Value is a value of the detail, for example "12.34 EUR".
	Value string
}

// Describe returns the description for the consent page. It uses the first of
// languages that the type knows, or else the type's first language. The
// languages are BCP 47 tags as in ui_locales. If the type does not know de-CH,
// that tag matches de. For a type without Describe, or if Describe returns
// neither title nor fields, the description lists all members under their
// names. Describe never fails.
//
// All text is escaped by [EscapeText] (RFC 9396 §12). The text is not HTML;
// html/template escapes it for HTML.
func (d Detail) Describe(languages ...string) Description {
	if d.d == nil {
		return Description{}
	}
	t := d.d.typ
	var description Description
	if t.describe != nil {
		language := matchLanguage(t.languages, languages)
		description = t.describe(d, language)
		if description.Language == "" {
			description.Language = language
		}
	}
	if description.Title == "" && len(description.Fields) == 0 {
		description = Description{Title: t.title, Fields: listMembers(nil, "", &d.d.value, t.schema.root, true)}
	}
	// RAR-12-3: no text reaches the page unescaped.
	escape := func(text string) string { return EscapeText(text, description.Language) }
	description.Title = escape(description.Title)
	fields := make([]Field, len(description.Fields))
	for i, f := range description.Fields {
		fields[i] = Field{escape(f.Label), escape(f.Value)}
	}
	description.Fields = fields
	return description
}

// matchLanguage is the lookup of RFC 4647 §3.4. It shortens each tag in turn
// until a known language matches.
func matchLanguage(have, want []string) string {
	for _, tag := range want {
		for tag != "" {
			for _, known := range have {
				if strings.EqualFold(known, tag) {
					return known
				}
			}
			tag = tag[:max(strings.LastIndexByte(tag, '-'), 0)]
		}
	}
	if len(have) > 0 {
		return have[0]
	}
	return ""
}

// listMembers is the default description. It lists every value with the names
// or schema titles that lead to it.
func listMembers(to []Field, label string, v *value, n *node, top bool) []Field {
	switch {
	case v.Kind == objectKind && len(v.Members) > 0:
		for i := range v.Members {
			name := v.Members[i].Name
			if top && name == "type" {
				continue
			}
			child := n.child(name)
			shown := name
			if child != nil && child.title != "" {
				shown = child.title
			}
			if label != "" {
				shown = label + " / " + shown
			}
			to = listMembers(to, shown, &v.Members[i].Value, child, false)
		}
		return to
	case v.Kind == arrayKind && len(v.Items) > 0:
		for i := range v.Items {
			var items *node
			if n != nil {
				items = n.items
			}
			to = listMembers(to, label, &v.Items[i], items, false)
		}
		return to
	case v.Kind == stringKind:
		return append(to, Field{label, v.Text})
	case v.Kind == objectKind:
		return append(to, Field{label, "{}"})
	case v.Kind == arrayKind:
		return append(to, Field{label, "[]"})
	}
	return append(to, Field{label, v.Raw})
}

// child returns the schema of a member, if n or a schema to which it refers
// names the member.
func (n *node) child(name string) *node {
	for n != nil {
		if child := n.properties[name]; child != nil {
			return child
		}
		n = n.ref
	}
	return nil
}
