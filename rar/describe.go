package rar

import (
	"strings"
)

// A Description says in a user's language what a detail permits.
type Description struct {
	// Language is the tag of the language that it is in; "" when it is in none, as the default description.
	Language string
	// Title says what it is about: "Payment".
	Title string
	// Fields are the lines, in order.
	Fields []Field
}

// A Field is one line of a [Description]. A label may occur several times, once for each value of a list, so that no value
// can pass for two.
type Field struct {
	// Label names it, in the language of the description: "Amount".
	Label string
	// Value is what the detail says: "12.34 EUR".
	Value string
}

// Describe returns what a consent page shows: the description by the detail's type in the first of languages (BCP 47 tags,
// as in ui_locales; de-CH is content with de) that the type knows, or in the type's first language. A type without
// Describe, or whose Describe returns neither title nor fields, has all members listed under their names. It does not fail,
// whatever is in the detail.
//
// RAR-12-3: all text has gone through [EscapeText]. It is text, not HTML: html/template escapes it for that.
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
	escape := func(text string) string { return EscapeText(text, description.Language) }
	description.Title = escape(description.Title)
	fields := make([]Field, len(description.Fields))
	for i, f := range description.Fields {
		fields[i] = Field{escape(f.Label), escape(f.Value)}
	}
	description.Fields = fields
	return description
}

// matchLanguage is the lookup of RFC 4647 §3.4: each tag in turn, shortened until it fits.
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

// listMembers is the default description: every value with the names, or the titles in the schema, that lead to it.
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

// child returns what is said about a member, if it is said directly.
func (n *node) child(name string) *node {
	for n != nil {
		if child := n.properties[name]; child != nil {
			return child
		}
		n = n.ref
	}
	return nil
}
