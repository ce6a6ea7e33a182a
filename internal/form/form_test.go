package form_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/oautherr"
)

func TestRead(t *testing.T) {
	const formType = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		name, method, contentType, body string
		want                            error
	}{
		{"GET", "GET", formType, "a=1", form.ErrMethod},
		{"PUT", "PUT", formType, "a=1", form.ErrMethod},
		{"multipart", "POST", "multipart/form-data; boundary=x", "a=1", form.ErrMediaType},
		{"JSON", "POST", "application/json", `{"a":1}`, form.ErrMediaType},
		{"no media type", "POST", "", "a=1", form.ErrMediaType},
		{"CASES C7: a charset that is not a superset of ASCII", "POST", formType + "; charset=utf-16", "a=1", form.ErrMediaType},
		{"CASES C7: an unknown charset", "POST", formType + "; charset=x", "a=1", form.ErrMediaType},
		{"CASES C7: bytes that two charsets read differently", "POST", formType + "; charset=ISO-8859-1", "a=é", form.ErrMediaType},
		{"CASES C7: percent-encoded bytes are UTF-8 whatever the charset", "POST", formType + "; charset=ISO-8859-1", "a=%E9", form.ErrMalformed},
		{"CASES C7: ISO-8859-1", "POST", formType + "; charset=ISO-8859-1", "resource=a&resource=b&c=3", nil},
		{"CASES C7: US-ASCII", "POST", formType + ";charset=us-ascii", "resource=a&resource=b&c=3", nil},
		{"CASES C7: windows-1252", "POST", formType + `; charset="windows-1252"`, "resource=a&resource=b&c=3", nil},
		{"BASE-6749-3.1-1 repeated parameter", "POST", formType, "a=1&b=2&a=1", form.ErrDuplicate},
		{"BASE-6749-3.1-1 repeated, one of them empty", "POST", formType, "a=1&a=", form.ErrDuplicate},
		{"repeated behind percent-encoding", "POST", formType, "a=1&%61=2", form.ErrDuplicate},
		{"bad escape", "POST", formType, "a=%zz", form.ErrMalformed},
		{"semicolon", "POST", formType, "a=1;b=2", form.ErrMalformed},
		{"invalid UTF-8", "POST", formType, "a=%ff", form.ErrMalformed},
		{"invalid UTF-8 in a name", "POST", formType, "%ff=a", form.ErrMalformed},
		{"NUL", "POST", formType, "a=%00", form.ErrMalformed},
		{"too large", "POST", formType, "a=" + strings.Repeat("x", form.MaxBytes), form.ErrTooLarge},
		{"too many", "POST", formType, strings.Repeat("&", 1000), form.ErrTooLarge},
		{"RI-2-2 resource may repeat", "POST", formType + "; charset=UTF-8", "resource=a&resource=b&b=&c=3", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/par?q=1", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", tc.contentType)
			if tc.contentType == "" {
				r.Header.Del("Content-Type")
			}
			got, err := form.Read(r)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, url.Values{"resource": {"a", "b"}, "c": {"3"}}, got)
		})
	}
	r := httptest.NewRequest("POST", "/", io.NopCloser(strings.NewReader("a=1")))
	r.Header = http.Header{"Content-Type": {formType, formType}}
	_, err := form.Read(r)
	require.ErrorIs(t, err, form.ErrMediaType)
}

func TestReadIgnoresOtherSources(t *testing.T) {
	const formType = "application/x-www-form-urlencoded"
	t.Run("parameters of the URL do not count", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/token?client_id=a&client_id=b&%zz", strings.NewReader("grant_type=x&resource=a&resource=b&resource=c"))
		r.Header.Set("Content-Type", formType)
		got, err := form.Read(r)
		require.NoError(t, err)
		require.Equal(t, url.Values{"grant_type": {"x"}, "resource": {"a", "b", "c"}}, got)
		require.Equal(t, got, r.PostForm)
		require.Equal(t, got, r.Form, "the body's alone")
		require.Equal(t, "x", r.FormValue("grant_type"))
		require.Equal(t, "x", r.PostFormValue("grant_type"))
		require.Empty(t, r.FormValue("client_id"))
		got.Set("grant_type", "y")
		require.Equal(t, "x", r.PostForm.Get("grant_type"), "a map of its own")
		require.Equal(t, "x", r.Form.Get("grant_type"))
		got["resource"] = append(got["resource"], "1")
		r.PostForm["resource"] = append(r.PostForm["resource"], "2")
		require.Equal(t, []string{"a", "b", "c", "1"}, got["resource"])
		require.Equal(t, []string{"a", "b", "c", "2"}, r.PostForm["resource"])
		got.Del("grant_type")
		require.NoError(t, r.ParseForm())
		require.Equal(t, "x", r.FormValue("grant_type"))
	})
	t.Run("attack: a rejected body is not parsed for later readers", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/token", strings.NewReader("a=1&a=2"))
		r.Header.Set("Content-Type", formType)
		_, err := form.Read(r)
		require.ErrorIs(t, err, form.ErrDuplicate)
		require.Empty(t, r.PostFormValue("a"))
		require.Empty(t, r.FormValue("a"))
	})
	t.Run("attack: a body that was read before is an error, not an empty form", func(t *testing.T) {
		for name, before := range map[string]func(*http.Request){
			"ParseForm":     func(r *http.Request) { _ = r.ParseForm() },
			"FormValue":     func(r *http.Request) { _ = r.FormValue("a") },
			"PostFormValue": func(r *http.Request) { _ = r.PostFormValue("b") },
			"ReadAll":       func(r *http.Request) { _, _ = io.ReadAll(r.Body) },
			"Read":          func(r *http.Request) { _, _ = form.Read(r) },
		} {
			r := httptest.NewRequest("POST", "/token", strings.NewReader("a=1"))
			r.Header.Set("Content-Type", formType)
			before(r)
			got, err := form.Read(r)
			require.ErrorIs(t, err, form.ErrReadBefore, name)
			require.Nil(t, got)
			_, _, status := oautherr.From(err)
			require.Equal(t, http.StatusBadRequest, status)
		}
	})
	t.Run("a request without a body has no parameters", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/token", nil)
		r.Body = nil
		r.Header.Set("Content-Type", formType)
		got, err := form.Read(r)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

// counted is a body that records how much of it was read.
type counted struct {
	io.Reader
	bytes int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes += n
	return n, err
}

func TestReadBounds(t *testing.T) {
	const most = form.MaxBytes
	body := func(size int) io.Reader { return strings.NewReader("a=" + strings.Repeat("x", size-2)) }
	for _, tc := range []struct {
		name      string
		announced int64
		body      io.Reader
		want      error
		read      int
	}{
		{"the announced length", 3, body(3), nil, 3},
		{"no announced length", -1, body(3), nil, 3},
		{"a large body without announced length", -1, body(most), nil, most},
		{"a large body", most, body(most), nil, most},
		{"a large body in small parts", most, iotest.OneByteReader(body(most)), nil, most},
		{"a shorter body than announced", most, body(3), nil, 3},
		{"a longer body than announced", 3, body(most), nil, most},
		{"a body that was announced as empty", 0, body(3), nil, 3},
		{"attack: a longer announced length than permitted", most + 1, body(3), form.ErrTooLarge, 0},
		{"attack: too long, as announced", most + 1, body(most + 1), form.ErrTooLarge, 0},
		{"attack: too long, without announced length", -1, body(1 << 20), form.ErrTooLarge, most + 1},
		{"attack: too long, shorter announced", 3, body(1 << 20), form.ErrTooLarge, most + 1},
		{"a stricter bound of the host", 3, http.MaxBytesReader(nil, io.NopCloser(body(3)), 2), form.ErrTooLarge, 2},
		{"a truncated body", 9, io.MultiReader(body(3), broken{}), form.ErrMalformed, 3},
		{"a truncated body keeps the cause", 9, io.MultiReader(body(3), broken{}), io.ErrUnexpectedEOF, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reader := &counted{Reader: tc.body}
			r := httptest.NewRequest("POST", "/token", reader)
			r.ContentLength = tc.announced
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			got, err := form.Read(r)
			require.Equal(t, tc.read, reader.bytes)
			require.ErrorIs(t, err, tc.want)
			if tc.want == nil {
				require.Len(t, got.Get("a"), tc.read-2)
			}
		})
	}
}

// Senders are not authenticated when their body is read.
func TestReadMemory(t *testing.T) {
	const block = 4 << 10 // of the pool, which may be empty
	for name, tc := range map[string]struct {
		body string
		most uint64
	}{
		"attack: no body":              {"", 8 << 10},
		"attack: separators alone":     {strings.Repeat("&", 255), 8 << 10},
		"attack: one name many times":  {strings.Repeat("resource=a&", 255), 32 << 10},
		"attack: a body of many names": {numbered(255), 96 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/token", strings.NewReader(tc.body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := form.Read(r)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, tc.most+block)
		})
	}
	got, err := form.Parse(numbered(255))
	require.NoError(t, err)
	require.Len(t, got, 255)
}

// numbered returns a body with n names.
func numbered(n int) string {
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, "%d=1&", i)
	}
	return body.String()
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A form is parsed as net/url parses it. An accepted one has one value for each
// name, and is parsed to the same values after it is encoded.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=1&a=2", "resource=a&resource=b", "a", "=x", "a=%00", "a=%ff", "a;b", "%61=1&a=2", "a=+&b=%2B",
		"a=%C3%A9", "a=\xc3%A9", "a=%", "a=%4", "a=%4g", "%zz&a=1&a=2", "=&a=%aF%Fa", "a=1&&b=2&", strings.Repeat("%41+", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		values, err := form.Parse(encoded)
		if len(encoded) <= form.MaxBytes && strings.Count(encoded, "&") < 256 {
			want, malformed := url.ParseQuery(encoded)
			if malformed != nil {
				require.ErrorIs(t, err, form.ErrMalformed)
			} else if form.Check(want) == nil {
				require.NoError(t, err)
				require.Equal(t, want, values)
			} else {
				require.Error(t, err)
			}
		}
		if err != nil {
			require.Nil(t, values)
			return
		}
		for name, all := range values {
			if name != "resource" {
				require.Len(t, all, 1)
				require.NotEmpty(t, all[0])
			}
		}
		again, err := form.Parse(values.Encode())
		if len(values.Encode()) <= form.MaxBytes {
			require.NoError(t, err)
			require.Equal(t, values, again)
		}
	})
}

func TestParsedValuesCanGrow(t *testing.T) {
	values, err := form.Parse("a=1&b=2&resource=3&c=4&resource=5")
	require.NoError(t, err)
	values.Add("a", "more")
	values.Add("resource", "more")
	require.Equal(t, url.Values{"a": {"1", "more"}, "b": {"2"}, "c": {"4"}, "resource": {"3", "5", "more"}}, values)
}

func TestCheckEmpty(t *testing.T) {
	values := url.Values{"none": {}, "nil": nil, "resource": {"", "a", ""}, "a": {"1"}}
	require.NoError(t, form.Check(values))
	require.Equal(t, url.Values{"resource": {"a"}, "a": {"1"}}, values, "BASE-6749-3.1-1 empty is the same as omitted")
	values = url.Values{"resource": {""}}
	require.NoError(t, form.Check(values))
	require.Empty(t, values)
}

func TestClone(t *testing.T) {
	values := url.Values{"a": {"1", "2"}, "b": {"3"}, "c": {}}
	clone := form.Clone(values)
	require.Equal(t, values, clone)
	clone["a"][0] = "changed"
	clone.Set("d", "4")
	for name := range clone {
		clone.Add(name, "more")
	}
	require.Equal(t, url.Values{"a": {"1", "2"}, "b": {"3"}, "c": {}}, values)
	require.Equal(t, url.Values{"a": {"changed", "2", "more"}, "b": {"3", "more"}, "c": {"more"}, "d": {"4", "more"}}, clone)
	require.NotNil(t, form.Clone(nil))
}
