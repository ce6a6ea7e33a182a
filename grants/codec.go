package grants

import (
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// rawMembers are the members of a grant that are stored as the JSON that they
// are. Each was checked before.
var rawMembers = []string{"authorization_details", "data"}

func (r *record) encode() []byte {
	var w strictjson.Writer
	w.Object("grant", r.Grant.write)
	w.String("authorizations", encodeAuthorizations(r.Authorizations))
	w.Time("listed_until", r.ListedUntil)
	w.Objects("pending", len(r.Pending), func(w *strictjson.Writer, i int) { r.Pending[i].write(w) })
	return w.Bytes()
}

func decodeRecord(value []byte) (*record, error) {
	from := strictjson.ReadRecord(value, rawMembers...)
	r := &record{Grant: readGrant(from.Object("grant"))}
	authorizations, ok := decodeAuthorizations(from.String("authorizations"))
	if !ok {
		from.Damage("malformed list of authorizations")
	}
	r.Authorizations, r.ListedUntil = authorizations, from.Time("listed_until")
	for _, event := range from.Objects("pending") {
		r.Pending = append(r.Pending, readEvent(event))
	}
	return r, from.Err()
}

func (p *pendingEvent) write(w *strictjson.Writer) {
	w.String("kind", p.Kind)
	w.String("by", p.By)
	w.String("authorization_id", p.AuthorizationID)
	w.Strings("ended_refresh", p.EndedRefresh)
	w.Strings("ended_access", p.EndedAccess)
	w.Time("time", p.Time)
	w.Object("old", p.Old.write)
}

func readEvent(r *strictjson.Record) pendingEvent {
	return pendingEvent{
		Kind:            r.String("kind"),
		By:              r.String("by"),
		AuthorizationID: r.String("authorization_id"),
		EndedRefresh:    r.Strings("ended_refresh"),
		EndedAccess:     r.Strings("ended_access"),
		Time:            r.Time("time"),
		Old:             readGrant(r.Object("old")),
	}
}

// write writes the members of a grant. Those of a Change are permissions only.
func (g *Grant) write(w *strictjson.Writer) {
	w.String("id", g.ID)
	w.String("client_id", g.ClientID)
	w.String("subject", g.Subject)
	w.Objects("scopes", len(g.Scopes), func(w *strictjson.Writer, i int) {
		w.String("scope", g.Scopes[i].Scope)
		w.Strings("resource", g.Scopes[i].Resource)
	})
	w.Strings("claims", g.Claims)
	w.Raw("authorization_details", g.AuthorizationDetails)
	w.String("status", g.Status)
	w.Time("created_at", g.CreatedAt)
	w.Time("last_updated_at", g.UpdatedAt)
	w.Time("expires_at", g.ExpiresAt)
	w.String("updated_by", g.UpdatedBy)
	w.Int("version", g.Version)
	w.Raw("data", g.Data)
	w.Raws("extra", g.Extra)
	w.Strings("history", encodeHistory(g.History))
}

func readGrant(r *strictjson.Record) Grant {
	g := Grant{
		ID:       r.String("id"),
		ClientID: r.String("client_id"),
		Subject:  r.String("subject"),
	}
	for _, s := range r.Objects("scopes") {
		g.Scopes = append(g.Scopes, Scope{Scope: s.String("scope"), Resource: s.Strings("resource")})
	}
	g.Claims = r.Strings("claims")
	g.AuthorizationDetails = r.Raw("authorization_details")
	g.Status = r.String("status")
	g.CreatedAt = r.Time("created_at")
	g.UpdatedAt = r.Time("last_updated_at")
	g.ExpiresAt = r.Time("expires_at")
	g.UpdatedBy = r.String("updated_by")
	g.Version = r.Int("version")
	g.Data = r.Raw("data")
	g.Extra = r.Raws("extra")
	history, ok := decodeHistory(r.Strings("history"))
	if !ok {
		r.Damage("malformed history")
	}
	g.History = history
	return g
}

// encodeHistory returns a text of four words for each change. Each refresh
// decodes them. The client ID is last, because it may contain spaces.
func encodeHistory(history []Transition) []string {
	lines := make([]string, len(history))
	for i, t := range history {
		line := strconv.AppendInt(nil, t.Version, 10)
		line = strconv.AppendInt(append(line, ' '), t.Time.Unix(), 10)
		line = append(append(line, ' '), t.Kind...)
		lines[i] = string(append(append(line, ' '), t.By...))
	}
	return lines
}

func decodeHistory(lines []string) (history []Transition, ok bool) {
	for _, line := range lines {
		words := strings.SplitN(line, " ", 4)
		if len(words) != 4 {
			return nil, false
		}
		version, err1 := strconv.ParseInt(words[0], 10, 64)
		seconds, err2 := strconv.ParseInt(words[1], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, false
		}
		at := time.Unix(seconds, 0).UTC()
		history = append(history, Transition{Kind: words[2], By: words[3], Time: at, Version: version})
	}
	return history, true
}

// encodeAuthorizations returns one text with three words for each. There may be
// many, and each refresh decodes them. IDs do not contain spaces.
func encodeAuthorizations(all []authorization) string {
	var text []byte
	for _, a := range all {
		text = append(append(text, a.ID...), ' ')
		text = append(strconv.AppendInt(text, a.ClaimUntil, 10), ' ')
		text = append(strconv.AppendInt(text, a.AccessUntil, 10), ' ')
	}
	return string(text)
}

func decodeAuthorizations(text string) ([]authorization, bool) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words)%3 != 0 {
		return nil, len(words) == 0
	}
	all := make([]authorization, len(words)/3)
	for i := range all {
		claim, err1 := strconv.ParseInt(words[3*i+1], 10, 64)
		access, err2 := strconv.ParseInt(words[3*i+2], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, false
		}
		all[i] = authorization{words[3*i], claim, access}
	}
	return all, true
}
