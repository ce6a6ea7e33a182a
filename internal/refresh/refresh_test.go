package refresh_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofapi/fapi2/internal/refresh"
	"github.com/stretchr/testify/require"
)

// A source is a host's function. Its value is the time of the call, and takes a
// while.
type source struct {
	takes    time.Duration
	stubborn bool // it ignores its context
	err      error
	panics   bool

	calls, running, most atomic.Int32
	mu                   sync.Mutex
	reports              []error
}

var errSource = errors.New("the secret store is down")

func (s *source) load(ctx context.Context, _ time.Time) (time.Time, error) {
	s.calls.Add(1)
	s.most.Store(max(s.most.Load(), s.running.Add(1)))
	defer s.running.Add(-1)
	asked := time.Now()
	s.mu.Lock()
	takes := s.takes
	if s.stubborn {
		ctx = context.Background()
	}
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic("a bug of the host")
	}
	return asked, s.err
}

func (s *source) observe(_ context.Context, _ time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, err)
}

// settle waits until nothing runs, and returns the outcomes of the calls.
func (s *source) settle() []error {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reports)
}

func (s *source) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *source) value() *refresh.Value[time.Time] {
	return refresh.New(refresh.Config[time.Time]{Load: s.load, Every: time.Minute, Observe: s.observe, Now: time.Now}, time.Now(), time.Now())
}

// use returns the age of the value at a request, and how long the request
// waited for it.
func use(ctx context.Context, v *refresh.Value[time.Time]) (age, waited time.Duration) {
	now := time.Now()
	value := v.At(ctx, now)
	return now.Sub(value), time.Since(now)
}

func TestARefreshHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: 2 * time.Second}
		v := s.value()
		for _, tc := range []struct {
			name  string
			after time.Duration
			age   time.Duration
			calls int32
		}{
			{"a new value serves", 0, 0, 0},
			{"a value serves for half of the interval", 30*time.Second - 1, 30*time.Second - 1, 0},
			{"an older one serves while the next is loaded", 1, 30 * time.Second, 1},
			{"the call runs", time.Second, 31 * time.Second, 1},
			{"the next value serves", 2 * time.Second, 3 * time.Second, 1},
			{"and is loaded again in its turn", 27 * time.Second, 30 * time.Second, 2},
		} {
			time.Sleep(tc.after)
			age, waited := use(t.Context(), v)
			synctest.Wait()
			require.Equal(t, tc.age, age, tc.name)
			require.Zero(t, waited, tc.name)
			require.Equal(t, tc.calls, s.calls.Load(), tc.name)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.EqualValues(t, 2, s.calls.Load(), "nothing is loaded without a request")
		require.Equal(t, []error{nil, nil}, s.settle())
	})
}

func TestAnUnusedValueIsLoadedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: 2 * time.Second}
		v := s.value()
		time.Sleep(time.Minute)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				age, waited := use(t.Context(), v)
				require.Zero(t, age)
				require.Equal(t, s.takes, waited)
			})
		}
		all.Wait()
		require.EqualValues(t, 1, s.calls.Load(), "one call serves them all")

		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		age, waited := use(ctx, v)
		require.Equal(t, time.Second, waited, "the wait ends with the request")
		require.Greater(t, age, time.Hour)
		time.Sleep(time.Second)
		age, _ = use(t.Context(), v)
		require.Equal(t, 2*time.Second, age, "and the call goes on")
	})
}

func TestAFailingSourceKeepsTheOldValue(t *testing.T) {
	for name, s := range map[string]*source{
		"an error":         {err: errSource, takes: time.Second},
		"a slow source":    {takes: time.Hour},
		"a panic":          {panics: true},
		"a stubborn error": {err: errSource, takes: time.Minute, stubborn: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := s.value()
				start := time.Now()
				for range 600 {
					time.Sleep(time.Second)
					age, waited := use(t.Context(), v)
					require.Equal(t, time.Since(start), age)
					require.Zero(t, waited, "after %v", age)
				}
				reports := s.settle()
				require.Greater(t, s.calls.Load(), int32(8))
				require.Less(t, s.calls.Load(), int32(60), "it backs off")
				require.EqualValues(t, 1, s.most.Load())
				require.InDelta(t, s.calls.Load(), len(reports), 1, "each failure is reported once")
				for _, err := range reports {
					require.Error(t, err)
				}
				s.change(func() { s.err, s.takes, s.panics = nil, 0, false })
				time.Sleep(70 * time.Second)
				use(t.Context(), v)
				synctest.Wait()
				age, _ := use(t.Context(), v)
				require.Zero(t, age, "it recovers")
				reports = s.settle()
				require.NoError(t, reports[len(reports)-1])
			})
		})
	}
}

func TestAPanicOfTheObserverEndsNothing(t *testing.T) {
	for name, s := range map[string]*source{"after a value": {}, "after an error": {err: errSource}, "of an overdue call": {takes: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := refresh.New(refresh.Config[time.Time]{
					Load: s.load, Every: time.Minute, Observe: func(context.Context, time.Duration, error) { panic("a bug of the host") }, Now: time.Now,
				}, time.Now(), time.Now())
				for range 100 {
					time.Sleep(time.Second)
					use(t.Context(), v)
				}
				require.Greater(t, s.calls.Load(), int32(1), "it goes on")
			})
		})
	}
}

func TestACallThatNeverReturnsIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: 100 * time.Minute, stubborn: true}
		v := s.value()
		time.Sleep(time.Minute)
		_, waited := use(t.Context(), v)
		require.Equal(t, 10*time.Second, waited, "the wait is bounded")
		for range 3600 {
			time.Sleep(time.Second)
			_, waited := use(t.Context(), v)
			require.Zero(t, waited)
		}
		require.ErrorContains(t, v.Refresh(t.Context()), "no answer in time")
		require.EqualValues(t, 1, s.calls.Load())
		require.Len(t, s.settle(), 1)
		require.ErrorContains(t, s.settle()[0], "no answer in time")
		time.Sleep(time.Hour)
		require.Len(t, s.settle(), 2)
		require.NoError(t, s.settle()[1], "a late value is a value")
	})
}

func TestAClockThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		v := s.value()
		past := time.Now().Add(-time.Hour)
		for i := range 30 {
			v.At(t.Context(), past.Add(time.Duration(i)*time.Second))
			synctest.Wait()
		}
		require.EqualValues(t, 1, s.calls.Load(), "it is loaded again, and then serves for half of the interval")
	})
}

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{takes: 2 * time.Second}
		v := s.value()
		require.NoError(t, v.Refresh(t.Context()))
		age, _ := use(t.Context(), v)
		require.Equal(t, 2*time.Second, age)

		go v.Refresh(t.Context())
		time.Sleep(time.Second)
		called := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				require.NoError(t, v.Refresh(t.Context()))
				require.False(t, v.Latest().Before(called), "the value was asked for after the call")
			})
		}
		all.Wait()
		require.EqualValues(t, 3, s.calls.Load(), "callers share a call that began after theirs")

		s.change(func() { s.err = errSource })
		require.ErrorIs(t, v.Refresh(t.Context()), errSource)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, v.Refresh(ctx), context.DeadlineExceeded)
		time.Sleep(time.Minute)
	})
	fixed := refresh.New(refresh.Config[int]{}, 7, time.Time{})
	require.NoError(t, fixed.Refresh(t.Context()))
	require.Equal(t, 7, fixed.At(t.Context(), time.Unix(1<<40, 0)), "a value without a source is never old")
}

// Whatever the pauses between requests and however long the calls take: no
// value in use is older than the interval.
func TestNoValueInUseIsOlderThanTheInterval(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := &source{}
			v := s.value()
			for range 200 {
				s.change(func() { s.takes = time.Duration(random.Int64N(int64(9 * time.Second))) })
				pause := []time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}[random.IntN(4)]
				time.Sleep(time.Duration(random.Int64N(int64(pause))))
				now := time.Now()
				require.Less(t, now.Sub(v.At(t.Context(), now)), time.Minute, "seed %d", seed)
				synctest.Wait()
			}
			time.Sleep(10 * time.Second)
			require.EqualValues(t, 1, max(s.most.Load(), 1))
		})
	}
}

func BenchmarkAt(b *testing.B) {
	s := &source{}
	v := s.value()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		v.At(b.Context(), now)
	}
}
