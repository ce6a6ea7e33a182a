package fapiotel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	fapiotel "github.com/gofapi/fapi2/integrations/otel"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/storetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
)

// A brokenStore returns the error, and finds nothing.
type brokenStore struct{ err error }

func (s brokenStore) Add(context.Context, string, []byte, time.Time) (bool, error) {
	return false, s.err
}

func (s brokenStore) Get(context.Context, string) ([]byte, int64, error) { return nil, 0, s.err }

func (s brokenStore) Swap(context.Context, string, int64, []byte, time.Time) (bool, error) {
	return false, s.err
}

// A brokenIndex is the same for an index.
type brokenIndex struct{ err error }

func (i brokenIndex) Put(context.Context, string, string, time.Time) error { return i.err }

func (i brokenIndex) Delete(context.Context, string, string) error { return i.err }

func (i brokenIndex) List(context.Context, string, string, int) ([]string, error) { return nil, i.err }

var key = strings.Repeat("k", store.KeyLength)

func TestStore(t *testing.T) {
	ctx, expires := context.Background(), time.Now().Add(time.Minute)
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	r := record(t)
	s := r.Store(memory, "memory")
	ctx, parent := r.traces.Tracer("test").Start(ctx, "POST /token")
	for range 2 {
		_, _, err = s.Get(ctx, key)
		require.NoError(t, err)
		_, err = s.Add(ctx, key, []byte("secret"), expires)
		require.NoError(t, err)
		_, err = s.Swap(ctx, key, 1, nil, expires)
		require.NoError(t, err)
	}
	added, err := r.ReplayStore(memory, "redis").Add(ctx, key, nil, expires)
	require.NoError(t, err)
	require.False(t, added)

	const outcome, operation, system = "fapi2.outcome=", ",fapi2.store.operation=", ",fapi2.store.system=memory"
	require.Equal(t, map[string]uint64{
		outcome + "absent" + operation + "get" + system: 1, outcome + "success" + operation + "get" + system: 1,
		outcome + "success" + operation + "add" + system: 1, outcome + "exists" + operation + "add" + system: 1,
		outcome + "success" + operation + "swap" + system: 1, outcome + "conflict" + operation + "swap" + system: 1,
		outcome + "exists" + operation + "add,fapi2.store.system=redis": 1,
	}, r.points()["fapi2.store.operation.duration"])
	spans := r.spans.GetSpans()
	require.Len(t, spans, 7)
	require.Equal(t, "fapi2.store get", spans[0].Name)
	require.Equal(t, outcome+"absent"+operation+"get"+system, attributes(spans[0]))
	for _, span := range spans {
		require.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())
		require.Equal(t, codes.Unset, span.Status.Code, "a lost race is not an error")
		require.NotContains(t, fmt.Sprint(span), key)
		require.NotContains(t, fmt.Sprint(span), "secret")
	}
}

func TestStoreFailures(t *testing.T) {
	down := errors.New("dial 10.0.0.1 as admin")
	for _, tc := range []struct {
		name    string
		ctx     context.Context
		err     error
		outcome string
		status  codes.Code
	}{
		{"a failure", context.Background(), down, "failed", codes.Error},
		{"a failure while the caller is gone", ended(), down, "failed", codes.Error},
		{"a caller that is gone", ended(), fmt.Errorf("query: %w", context.Canceled), "canceled", codes.Unset},
		{"a store that cancels by itself", context.Background(), context.Canceled, "failed", codes.Error},
		{"a store that is slow", context.Background(), context.DeadlineExceeded, "failed", codes.Error},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := record(t)
			s := r.Store(brokenStore{tc.err}, "postgresql")
			_, err := s.Add(tc.ctx, key, nil, time.Now())
			require.Equal(t, tc.err, err, "the caller receives the error itself")
			_, _, err = s.Get(tc.ctx, key)
			require.Equal(t, tc.err, err)
			_, err = s.Swap(tc.ctx, key, 1, nil, time.Now())
			require.Equal(t, tc.err, err)
			for _, name := range []string{"add", "get", "swap"} {
				require.EqualValues(t, 1, r.points()["fapi2.store.operation.duration"][fmt.Sprintf(
					"fapi2.outcome=%s,fapi2.store.operation=%s,fapi2.store.system=postgresql", tc.outcome, name)])
			}
			for _, span := range r.spans.GetSpans() {
				require.Equal(t, tc.status, span.Status.Code)
				require.NotContains(t, fmt.Sprint(span), "10.0.0.1", "the error can contain an address")
			}
		})
	}
}

// An unset store stays unset, so that a role uses its default.
func TestNoStore(t *testing.T) {
	r := record(t)
	require.True(t, r.Store(nil, "memory") == nil)
	require.True(t, r.ReplayStore(nil, "memory") == nil)
	require.True(t, r.Index(nil, "memory") == nil)
}

// A store that is observed keeps the contract.
func TestStoreContract(t *testing.T) {
	t.Parallel()
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	s := record(t, func(c *fapiotel.Config) { c.TracerProvider = trace.NewTracerProvider() }).Store(memory, "memory")
	storetest.Test(t, func(*testing.T) store.Store { return s })
	storetest.TestIndex(t, func(*testing.T) store.Index { return s.(store.Index) })
}

// The optional interface of a store is kept, and not invented.
func TestIndex(t *testing.T) {
	ctx, expires := context.Background(), time.Now().Add(time.Minute)
	memory, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	r := record(t)
	_, ok := r.Store(brokenStore{}, "memory").(store.Index)
	require.False(t, ok)
	index, ok := r.Store(memory, "memory").(store.Index)
	require.True(t, ok)
	require.NoError(t, index.Put(ctx, key, "secret", expires))
	members, err := index.List(ctx, key, "", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"secret"}, members)
	require.NoError(t, index.Delete(ctx, key, "secret"))
	require.Error(t, r.Index(memory, "sqlite").Put(ctx, key, "secret", time.Time{}))
	require.Equal(t, map[string]uint64{
		"fapi2.outcome=success,fapi2.store.operation=put,fapi2.store.system=memory":    1,
		"fapi2.outcome=success,fapi2.store.operation=list,fapi2.store.system=memory":   1,
		"fapi2.outcome=success,fapi2.store.operation=delete,fapi2.store.system=memory": 1,
		"fapi2.outcome=failed,fapi2.store.operation=put,fapi2.store.system=sqlite":     1,
	}, r.points()["fapi2.store.operation.duration"])
	require.Len(t, r.spans.GetSpans(), 4)
	require.NotContains(t, fmt.Sprint(r.spans.GetSpans()), "secret")
}
