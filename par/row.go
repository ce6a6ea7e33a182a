package par

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	// rowVersion changes with the meaning of a stored value.
	rowVersion = 3
	// maxStored bounds a stored value. It leaves room for a large state or
	// large authorization_details (SP-5.3.2.2-N4).
	maxStored = 132 << 10
	// maxHead bounds the part of a row before its content.
	maxHead = 128
)

// A row is the value in the store. Params are names and values in turn. The
// client chooses the names, and JSON members may not have all of these ("State"
// together with "state"). The row of a consumed request has only Attempt. It is
// smaller than any other, so consuming cannot fail in a full store.
type row struct {
	Version    int64
	Key        string // finds rows that changed places
	Expires    int64  // Unix milliseconds
	Params     []string
	Thumbprint string // if it is not dpop_jkt
	Data       json.RawMessage
	Attempt    string // hash of the attempt that consumed the request
}

// seal returns the content of a row: an object of all members except the head.
// It fails if the request is too large, or if Data is not JSON that Load can
// read again. The client receives that error at the push, and no user at the
// authorization endpoint.
func (r Request) seal() ([]byte, error) {
	if r.data != nil && strictjson.Valid(r.data) != nil {
		return nil, errors.New("par: PushRequest.Data is not JSON, or nests deeper than 32 levels")
	}
	var w strictjson.Writer
	w.Strings("params", r.params)
	if r.thumbprint != r.params.get("dpop_jkt") {
		w.String("jkt", r.thumbprint)
	}
	w.Raw("data", r.data)
	content := w.Bytes()
	if size := maxHead + len(content); size > maxStored {
		return nil, tooLarge(size)
	}
	return content, nil
}

// tooLarge is the error of a request that cannot be stored (PAR-2.3-6).
func tooLarge(size int) error {
	err := fmt.Errorf("%w: %d bytes to store", ErrInvalidRequest, size)
	err = oautherr.Describe(err, "the request is too large")
	return oautherr.WithStatus(err, http.StatusRequestEntityTooLarge)
}

// params are names and values in turn. They are smaller than a map, and no
// caller can change them.
type params []string

// listed returns values sorted by name.
func listed(values url.Values) params {
	list := make(params, 0, 2*len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			list = append(list, name, value)
		}
	}
	return list
}

// get returns the first value of a parameter, or "".
func (p params) get(name string) string {
	for i := 0; i+1 < len(p); i += 2 {
		if p[i] == name {
			return p[i+1]
		}
	}
	return ""
}

// values returns a map of its own.
func (p params) values() url.Values {
	all, list := make(url.Values, len(p)/2), make([]string, 0, len(p)/2)
	for i := 0; i+1 < len(p); i += 2 {
		list = append(list, p[i+1])
		value := list[len(list)-1 : len(list) : len(list)] // appending to it copies it
		if before, repeated := all[p[i]]; repeated {
			value = append(before, value...)
		}
		all[p[i]] = value
	}
	return all
}

// seal returns a row with this content.
func seal(key string, expires time.Time, content []byte) []byte {
	w := head(key)
	w.Int("expires", expires.UnixMilli())
	w.Members(content)
	return w.Bytes()
}

// sealUsed returns the row of a consumed request.
func sealUsed(key, attempt string) []byte {
	w := head(key)
	w.String("attempt", attempt)
	return w.Bytes()
}

func head(key string) *strictjson.Writer {
	w := new(strictjson.Writer)
	w.Int("v", rowVersion)
	w.String("key", key)
	return w
}

// open reads a row. The store may contain damaged values and other rows.
func open(key string, value []byte) (row, error) {
	if len(value) > maxStored {
		return row{}, errors.New("the value is too large")
	}
	from := strictjson.ReadRecord(value, "data")
	r := row{
		Version:    from.Int("v"),
		Key:        from.String("key"),
		Expires:    from.Int("expires"),
		Params:     from.Strings("params"),
		Thumbprint: from.String("jkt"),
		Data:       from.Raw("data"),
		Attempt:    from.String("attempt"),
	}
	if err := from.Err(); err != nil {
		return row{}, fmt.Errorf("the value is unreadable: %w", err)
	}
	if r.Version != rowVersion || r.Key != key || (len(r.Params) == 0) != (r.Attempt != "") {
		return row{}, fmt.Errorf("the value belongs elsewhere: version %d, want %d", r.Version, rowVersion)
	}
	return r, nil
}

// request returns the request of a row that is not consumed, and its
// parameters as a map.
func (r row) request() (Request, url.Values, error) {
	list := params(r.Params)
	values := list.values()
	names := len(values)
	clientID, thumbprint := list.get("client_id"), r.Thumbprint
	if len(list)%2 != 0 || form.Check(values) != nil || len(values) != names || clientID == "" {
		return Request{}, nil, errors.New("the value has unreadable parameters")
	}
	if thumbprint == "" {
		thumbprint = list.get("dpop_jkt")
	}
	return Request{
		clientID: clientID, params: list, expires: time.UnixMilli(r.Expires), thumbprint: thumbprint, data: r.Data,
	}, values, nil
}
