package fapiotel

import (
	"context"
	"errors"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/store"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// These are outcomes of operations, in addition to success and failed. They are
// ordinary, for example if a code is unknown or a proof was used before.
const (
	exists   = "exists"   // Add found an entry
	absent   = "absent"   // Get found no entry
	conflict = "conflict" // Swap found another version or no entry
	canceled = "canceled" // the caller did not wait
)

// Store returns a store that measures each operation of s and records a span
// for it, as a child of the span in its context. The system is "memory",
// "sqlite", "postgresql", "mysql", "mariadb", "redis" or "valkey". Any other
// text counts as "other". If s is nil, Store returns nil. If s is a
// [store.Index], the returned store is one as well.
//
// Spans and metrics contain neither keys nor values.
func (t *Telemetry) Store(s store.Store, system string) store.Store {
	if s == nil {
		return nil
	}
	observed := &observedStore{
		observedReplays: observedReplays{s, t.operation("add", system)},
		store:           s, get: t.operation("get", system), swap: t.operation("swap", system),
	}
	if index, ok := s.(store.Index); ok {
		return struct {
			store.Store
			store.Index
		}{observed, t.Index(index, system)}
	}
	return observed
}

// Index is like [Telemetry.Store] for an index.
func (t *Telemetry) Index(i store.Index, system string) store.Index {
	if i == nil {
		return nil
	}
	return &observedIndex{
		index: i, put: t.operation("put", system), remove: t.operation("delete", system),
		list: t.operation("list", system),
	}
}

// ReplayStore is like [Telemetry.Store] for a store with the method Add alone.
func (t *Telemetry) ReplayStore(s dpop.ReplayStore, system string) dpop.ReplayStore {
	if s == nil {
		return nil
	}
	return &observedReplays{s, t.operation("add", system)}
}

type observedReplays struct {
	store dpop.ReplayStore
	add   *operation
}

func (s *observedReplays) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	ctx, call := s.add.start(ctx)
	added, err := s.store.Add(ctx, key, value, expires)
	call.end(ctx, added, exists, err)
	return added, err
}

type observedStore struct {
	observedReplays
	store     store.Store
	get, swap *operation
}

func (s *observedStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	ctx, call := s.get.start(ctx)
	value, version, err := s.store.Get(ctx, key)
	call.end(ctx, version != 0, absent, err)
	return value, version, err
}

func (s *observedStore) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (bool, error) {
	ctx, call := s.swap.start(ctx)
	swapped, err := s.store.Swap(ctx, key, version, value, expires)
	call.end(ctx, swapped, conflict, err)
	return swapped, err
}

type observedIndex struct {
	index             store.Index
	put, remove, list *operation
}

func (i *observedIndex) Put(ctx context.Context, set, member string, expires time.Time) error {
	ctx, call := i.put.start(ctx)
	err := i.index.Put(ctx, set, member, expires)
	call.end(ctx, true, "", err)
	return err
}

func (i *observedIndex) Delete(ctx context.Context, set, member string) error {
	ctx, call := i.remove.start(ctx)
	err := i.index.Delete(ctx, set, member)
	call.end(ctx, true, "", err)
	return err
}

func (i *observedIndex) List(ctx context.Context, set, after string, limit int) ([]string, error) {
	ctx, call := i.list.start(ctx)
	members, err := i.index.List(ctx, set, after, limit)
	call.end(ctx, true, "", err)
	return members, err
}

// An operation measures one method of a store. Its options are made once,
// because there are few.
type operation struct {
	telemetry *Telemetry
	name      string
	onSpan    []trace.SpanStartOption
	onMetric  map[string][]metric.RecordOption // by outcome
}

func (t *Telemetry) operation(name, system string) *operation {
	attributes := []attribute.KeyValue{keySystem.String(systems.label(system)), keyOperation.String(name)}
	o := &operation{
		telemetry: t, name: "fapi2.store " + name, onMetric: map[string][]metric.RecordOption{},
		onSpan: []trace.SpanStartOption{trace.WithAttributes(attributes...)},
	}
	for _, outcome := range []string{success, exists, absent, conflict, canceled, failed} {
		set := attribute.NewSet(append(attributes, keyOutcome.String(outcome))...)
		o.onMetric[outcome] = []metric.RecordOption{metric.WithAttributeSet(set)}
	}
	return o
}

// A call is an operation that runs.
type call struct {
	operation *operation
	span      trace.Span
	begin     time.Time
}

// start returns the context for the store.
func (o *operation) start(ctx context.Context) (context.Context, call) {
	begin := time.Now()
	ctx, span := o.telemetry.tracer.Start(ctx, o.name, o.onSpan...)
	return ctx, call{o, span, begin}
}

// end records the result: whether the operation had its effect, and otherwise
// the outcome that it had instead.
func (c call) end(ctx context.Context, done bool, instead string, err error) {
	outcome := success
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		outcome = canceled
	case err != nil: // the text may contain an address or a statement
		outcome = failed
	case !done:
		outcome = instead
	}
	if c.span.IsRecording() {
		c.span.SetAttributes(keyOutcome.String(outcome))
		if outcome == failed {
			c.span.SetStatus(codes.Error, "")
		}
	}
	if durations := c.operation.telemetry.operations; durations.Enabled(ctx) {
		durations.Record(ctx, time.Since(c.begin).Seconds(), c.operation.onMetric[outcome]...)
	}
	c.span.End()
}
