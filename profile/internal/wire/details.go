package wire

import (
	"encoding/json"
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
	var entries []json.RawMessage
	if err := strictjson.Decode(raw, &entries); err != nil {
		return nil, err
	}
	known := registry.Types()
	kept := make([]json.RawMessage, 0, len(entries))
	for _, entry := range entries {
		object, err := strictjson.ParseObject(entry)
		if err != nil {
			return nil, err
		}
		name, _, err := object.String("type")
		if err != nil {
			return nil, err
		}
		if slices.Contains(known, name) && slices.Contains(types, name) {
			kept = append(kept, entry)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	kept = slices.Clip(kept)
	array, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	return registry.Parse(array, known)
}
