package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/rar"
)

// KnownDetails parses an array of authorization details. It ignores entries
// whose type is not registered or not among types.
func KnownDetails(registry *rar.Registry, raw json.RawMessage, types []string) (rar.Details, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	v, _, err := strictjson.Parse(string(raw), 0)
	if err != nil || v.Kind == strictjson.KindNull {
		return nil, err
	}
	if v.Kind != strictjson.KindArray {
		return nil, fmt.Errorf("%w: not an array", strictjson.ErrInvalid)
	}
	var kept bytes.Buffer
	known := registry.Types()
	for i := range v.Items {
		entry := &v.Items[i]
		name := entry.Get("type")
		switch {
		case entry.Kind != strictjson.KindObject:
			return nil, fmt.Errorf("%w: element %d is not an object", strictjson.ErrInvalid, i)
		case name == nil || name.Kind == strictjson.KindNull:
			continue
		case name.Kind != strictjson.KindString:
			return nil, fmt.Errorf("%w: the type of element %d is not a string", strictjson.ErrInvalid, i)
		}
		if slices.Contains(known, name.Text) && slices.Contains(types, name.Text) {
			kept.WriteByte("[,"[min(kept.Len(), 1)])
			// The registry bounds the size without spaces.
			if err := json.Compact(&kept, []byte(entry.Raw)); err != nil {
				return nil, err
			}
		}
	}
	if kept.Len() == 0 {
		return nil, nil
	}
	kept.WriteByte(']')
	return registry.Parse(kept.Bytes(), known)
}
