package uses_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/uses"
)

const (
	issuer = "https://as.example"
	iban   = `{"iban":"DE02100100109307118603"}`
)

func registry(t testing.TB) *rar.Registry {
	r, err := openbanking.NewRegistry(nil)
	require.NoError(t, err)
	return r
}

// payment returns the detail of a payment with some members more.
func payment(t testing.TB, amount string, more ...string) rar.Detail {
	r := registry(t)
	text := `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"` + amount + `"},"creditorName":"ACME","creditorAccount":` + iban
	details, err := r.Parse([]byte(text+strings.Join(append([]string{""}, more...), ",")+"}]"), r.Types())
	require.NoError(t, err)
	return details[0]
}

// shared is a store in memory.
type shared struct {
	mu      sync.Mutex
	records map[string]record
	now     func() time.Time
}

type record struct {
	value   []byte
	expires time.Time
}

func (s *shared) Add(_ context.Context, key string, value []byte, expires time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !expires.After(s.now()) {
		return false, errors.New("expired already")
	}
	if r, ok := s.records[key]; ok && r.expires.After(s.now()) {
		return false, nil
	}
	s.records[key] = record{bytes.Clone(value), expires}
	return true, nil
}

func (s *shared) Get(_ context.Context, key string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.records[key]; ok && r.expires.After(s.now()) {
		return bytes.Clone(r.value), 1, nil
	}
	return nil, 0, nil
}

func newUses(t testing.TB) (*uses.Uses, *shared, *testkit.Clock) {
	clock := testkit.NewClock(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	s := &shared{records: make(map[string]record), now: clock.Now}
	u, err := uses.New(uses.Config{Store: s, Issuer: issuer, Keep: time.Hour, Now: clock.Now})
	require.NoError(t, err)
	return u, s, clock
}

func TestOnce(t *testing.T) {
	actions := func(list string) string { return `"actions":[` + list + `]` }
	first := uses.Use{Grant: "g1", Detail: payment(t, "12.50", actions(`"initiate","status"`), `"locations":["https://a.example","https://b.example"]`), Attempt: "k1", Result: "p1"}
	for _, tc := range []struct {
		name   string
		change func(u *uses.Use)
		want   string // the result
		err    error
	}{
		{"the same attempt", func(*uses.Use) {}, "p1", nil},
		{"the same attempt with another result", func(u *uses.Use) { u.Result = "p2" }, "p1", nil},
		{"another attempt", func(u *uses.Use) { u.Attempt = "k2" }, "p1", uses.ErrUsed},
		{"no attempt", func(u *uses.Use) { u.Attempt = "" }, "p1", uses.ErrUsed},
		{"a part of the attempt", func(u *uses.Use) { u.Attempt = "k" }, "p1", uses.ErrUsed},
		{"A1 a token that was narrowed to an action", func(u *uses.Use) {
			u.Attempt, u.Detail = "k2", payment(t, "12.50", actions(`"initiate"`), `"locations":["https://a.example","https://b.example"]`)
		}, "p1", uses.ErrUsed},
		{"A1 an action twice, three times", func(u *uses.Use) {
			u.Attempt, u.Detail = "k2", payment(t, "12.50", actions(`"initiate","initiate","initiate"`), `"locations":["https://a.example"]`)
		}, "p1", uses.ErrUsed},
		{"A1 a location twice", func(u *uses.Use) {
			u.Attempt, u.Detail = "k2", payment(t, "12.50", actions(`"status","initiate"`), `"locations":["https://b.example","https://b.example"]`)
		}, "p1", uses.ErrUsed},
		{"A3 the amount with fewer zeros", func(u *uses.Use) { u.Attempt, u.Detail = "k2", payment(t, "12.5") }, "p1", uses.ErrUsed},
		{"A4 another consent", func(u *uses.Use) { u.Grant, u.Result = "g2", "p2" }, "p2", nil},
		{"another payment of the consent", func(u *uses.Use) {
			u.Detail, u.Result = payment(t, "12.50", `"endToEndIdentification":"2"`), "p2"
		}, "p2", nil},
		{"another amount", func(u *uses.Use) { u.Detail, u.Result = payment(t, "12.51"), "p2" }, "p2", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, _, _ := newUses(t)
			result, err := u.Once(t.Context(), first)
			require.NoError(t, err)
			require.Equal(t, "p1", result)
			use := first
			tc.change(&use)
			result, err = u.Once(t.Context(), use)
			require.Equal(t, tc.want, result)
			require.ErrorIs(t, err, tc.err)
			if tc.err != nil {
				code, description, status := oautherr.From(err)
				require.Equal(t, []any{"insufficient_scope", "the permission was already used", 409}, []any{code, description, status})
			}
		})
	}
}

func TestWithoutAttempt(t *testing.T) {
	u, _, _ := newUses(t)
	use := uses.Use{Grant: "g", Detail: payment(t, "1"), Result: "p"}
	_, err := u.Once(t.Context(), use)
	require.NoError(t, err)
	for _, attempt := range []string{"", "k", "\x00"} {
		use.Attempt = attempt
		result, err := u.Once(t.Context(), use)
		require.ErrorIs(t, err, uses.ErrUsed)
		require.Equal(t, "p", result)
	}
}

func TestInvalidUses(t *testing.T) {
	u, s, _ := newUses(t)
	r := registry(t)
	information, err := r.New(openbanking.AccountInformationType, openbanking.AccountInformation{Actions: []openbanking.Permission{openbanking.ListAccounts}})
	require.NoError(t, err)
	for name, use := range map[string]uses.Use{
		"no grant":                        {Detail: payment(t, "1"), Attempt: "k", Result: "p"},
		"the zero detail":                 {Grant: "g", Attempt: "k", Result: "p"},
		"a type without a single part":    {Grant: "g", Detail: information[0], Attempt: "k", Result: "p"},
		"a result that is a byte too big": {Grant: "g", Detail: payment(t, "1"), Attempt: "k", Result: strings.Repeat("x", uses.MaxResult+1)},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := u.Once(t.Context(), use)
			require.ErrorIs(t, err, uses.ErrUse)
			require.Empty(t, result)
			code, description, status := oautherr.From(err)
			require.Equal(t, []any{"server_error", "", 500}, []any{code, description, status})
		})
	}
	require.Empty(t, s.records)
	large := strings.Repeat("x", uses.MaxResult)
	result, err := u.Once(t.Context(), uses.Use{Grant: "g", Detail: payment(t, "1"), Attempt: strings.Repeat("k", 1<<20), Result: large})
	require.NoError(t, err)
	require.Equal(t, large, result)

	for name, cfg := range map[string]uses.Config{
		"missing Store": {Issuer: issuer, Keep: time.Hour}, "missing Issuer": {Store: s, Keep: time.Hour},
		"invalid Keep 0s": {Store: s, Issuer: issuer}, "invalid Keep -1s": {Store: s, Issuer: issuer, Keep: -time.Second},
	} {
		_, err := uses.New(cfg)
		require.ErrorContains(t, err, name)
	}
}

// A record is kept as long as it has to be, under a key of the store's form,
// which does not disclose the grant.
func TestRecords(t *testing.T) {
	u, s, clock := newUses(t)
	use := uses.Use{Grant: "secret-grant", Detail: payment(t, "1"), Attempt: "secret-attempt", Result: "p"}
	_, err := u.Once(t.Context(), use)
	require.NoError(t, err)
	key, err := u.Key(use.Grant, use.Detail)
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`), key)
	require.Contains(t, s.records, key)
	require.NotContains(t, string(s.records[key].value), "secret")
	require.Equal(t, clock.Now().Add(time.Hour), s.records[key].expires)

	other, err := uses.New(uses.Config{Store: s, Issuer: issuer + "/other", Keep: time.Hour, Now: clock.Now})
	require.NoError(t, err)
	otherKey, err := other.Key(use.Grant, use.Detail)
	require.NoError(t, err)
	require.NotEqual(t, key, otherKey, "a grant of another issuer is another one")
	for _, grant := range []string{"secret-gran", "secret-grant2", "secret-grant\x00"} {
		otherKey, err := u.Key(grant, use.Detail)
		require.NoError(t, err)
		require.NotEqual(t, key, otherKey)
	}

	use.Attempt = "another"
	clock.Advance(time.Hour - time.Nanosecond)
	_, err = u.Once(t.Context(), use)
	require.ErrorIs(t, err, uses.ErrUsed)
	clock.Advance(time.Nanosecond)
	_, err = u.Once(t.Context(), use)
	require.NoError(t, err, "Keep has passed, and the grant with it")
}

// A host that counts more finds one key for everything that a grant's detail
// covers.
func TestKeyOfRecurringPayments(t *testing.T) {
	u, _, _ := newUses(t)
	r := registry(t)
	detail := func(limits string) rar.Detail {
		d, err := r.Parse([]byte(`[{"type":"recurring_payment","creditorName":"Gym","creditorAccount":`+iban+`,"validUntil":"2027-12-31",`+limits+`}]`), r.Types())
		require.NoError(t, err)
		return d[0]
	}
	wide := detail(`"maximumAmount":{"currency":"EUR","amount":"30"}`)
	narrow := detail(`"maximumAmount":{"currency":"EUR","amount":"20.00"},"maximumCount":1,"validFrom":"2027-06-01"`)
	require.NoError(t, rar.Details{wide}.Covers(rar.Details{narrow}))
	one, err := u.Key("g", wide)
	require.NoError(t, err)
	two, err := u.Key("g", narrow)
	require.NoError(t, err)
	require.Equal(t, one, two)
}

func TestOneOfManyWins(t *testing.T) {
	u, _, _ := newUses(t)
	for round := range 20 {
		var attempts atomic.Int32
		var results sync.Map
		detail, ctx := payment(t, fmt.Sprint(round+1)), t.Context()
		testkit.OneWinner(t, uses.ErrUsed, func() error {
			id := fmt.Sprint(attempts.Add(1))
			result, err := u.Once(ctx, uses.Use{Grant: "g", Detail: detail, Attempt: id, Result: id})
			results.Store(result, true)
			return err
		})
		n := 0
		results.Range(func(any, any) bool { n++; return true })
		require.Equal(t, 1, n, "all find the result of the winner")
	}
}

// broken fails after a call took effect, or instead.
type broken struct {
	*shared
	before, after, get error
	lost               bool
	record             []byte
}

func (b *broken) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	if b.before != nil {
		return false, b.before
	}
	added, err := b.shared.Add(ctx, key, value, expires)
	if b.after != nil {
		return false, b.after
	}
	return added, err
}

func (b *broken) Get(ctx context.Context, key string) ([]byte, int64, error) {
	switch {
	case b.get != nil:
		return nil, 0, b.get
	case b.lost:
		return nil, 0, nil
	case b.record != nil:
		return b.record, 1, nil
	}
	return b.shared.Get(ctx, key)
}

func TestStoreFailures(t *testing.T) {
	cause := errors.New("the cause")
	_, memory, clock := newUses(t)
	b := &broken{shared: memory}
	u, err := uses.New(uses.Config{Store: b, Issuer: issuer, Keep: time.Hour, Now: clock.Now})
	require.NoError(t, err)
	failing := func(use uses.Use) {
		t.Helper()
		result, err := u.Once(t.Context(), use)
		require.Empty(t, result)
		require.ErrorIs(t, err, uses.ErrStore)
		code, description, status := oautherr.From(err)
		require.Equal(t, []any{"server_error", "try again later", 503}, []any{code, description, status})
	}
	use := uses.Use{Grant: "g", Detail: payment(t, "1"), Attempt: "k", Result: "p1"}

	b.before = cause
	failing(use)
	b.before = nil
	b.after = cause // the record was written, and the API does not know
	failing(use)
	b.after = nil
	retry := use
	retry.Result = "p2"
	result, err := u.Once(t.Context(), retry)
	require.NoError(t, err)
	require.Equal(t, "p1", result, "the retry goes on with the ID of the first call")
	retry.Attempt = "another"
	result, err = u.Once(t.Context(), retry)
	require.ErrorIs(t, err, uses.ErrUsed)
	require.Equal(t, "p1", result)

	b.get = cause
	failing(use)
	b.get, b.lost = nil, true
	failing(use)
	b.lost = false
	for _, record := range [][]byte{{}, {1}, make([]byte, 32), make([]byte, 40), append([]byte{3}, make([]byte, 40)...)} {
		b.record = record
		failing(use)
	}
}

// files is a store in a directory that processes share: a key is created by
// linking a file that has been written.
type files string

func (f files) Add(_ context.Context, key string, value []byte, _ time.Time) (bool, error) {
	written, err := os.CreateTemp(string(f), "new-")
	if err != nil {
		return false, err
	}
	defer os.Remove(written.Name())
	_, err1 := written.Write(value)
	if err := errors.Join(err1, written.Close()); err != nil {
		return false, err
	}
	err = os.Link(written.Name(), filepath.Join(string(f), key))
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

func (f files) Get(_ context.Context, key string) ([]byte, int64, error) {
	value, err := os.ReadFile(filepath.Join(string(f), key))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	return value, 1, err
}

const directory = "USES_TEST_DIRECTORY"

// TestOneOfManyProcessesWins runs itself in other processes: each uses the same
// 20 permissions and writes those that it has won.
func TestOneOfManyProcessesWins(t *testing.T) {
	if dir := os.Getenv(directory); dir != "" {
		useAll(t, dir)
		return
	}
	dir := t.TempDir()
	var commands []*exec.Cmd
	var outputs []*bytes.Buffer
	for range 8 {
		command := exec.Command(os.Args[0], "-test.run", "^TestOneOfManyProcessesWins$", "-test.v")
		command.Env = append(os.Environ(), directory+"="+dir)
		out := new(bytes.Buffer)
		command.Stdout, command.Stderr = out, out
		require.NoError(t, command.Start())
		commands, outputs = append(commands, command), append(outputs, out)
	}
	won := make(map[string]int)
	for i, command := range commands {
		require.NoError(t, command.Wait(), "%s", outputs[i])
		for lines := bufio.NewScanner(outputs[i]); lines.Scan(); {
			if permission, ok := strings.CutPrefix(lines.Text(), "won "); ok {
				won[permission]++
			}
		}
	}
	require.Len(t, won, 20)
	for permission, times := range won {
		require.Equal(t, 1, times, "A1 permission %s", permission)
	}
}

func useAll(t *testing.T, dir string) {
	u, err := uses.New(uses.Config{Store: files(dir), Issuer: issuer, Keep: time.Hour})
	require.NoError(t, err)
	for i := range 20 {
		id := fmt.Sprint(i+1, "-", os.Getpid())
		_, err := u.Once(t.Context(), uses.Use{Grant: "g", Detail: payment(t, fmt.Sprint(i+1)), Attempt: id, Result: id})
		if err == nil {
			fmt.Println("won", i+1)
			continue
		}
		require.ErrorIs(t, err, uses.ErrUsed)
	}
}

// The clocks of an API and of its store differ. A use is recorded or fails.
func TestClocksThatDiffer(t *testing.T) {
	for name, tc := range map[string]struct {
		ahead time.Duration // the store's clock
		want  error
		kept  time.Duration // on the store's clock
	}{
		"the store is ahead":                    {ahead: time.Minute, kept: time.Hour - time.Minute},
		"the store is behind":                   {ahead: -time.Minute, kept: time.Hour + time.Minute},
		"the store is ahead by Keep":            {ahead: time.Hour, want: uses.ErrStore},
		"the store is ahead by more than Keep":  {ahead: 2 * time.Hour, want: uses.ErrStore},
		"the store is behind by more than Keep": {ahead: -2 * time.Hour, kept: 3 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			api := testkit.NewClock(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
			clock := testkit.NewClock(api.Now().Add(tc.ahead))
			u, err := uses.New(uses.Config{Store: &shared{records: make(map[string]record), now: clock.Now}, Issuer: issuer, Keep: time.Hour, Now: api.Now})
			require.NoError(t, err)
			use := uses.Use{Grant: "g", Detail: payment(t, "1"), Result: "p1"}
			result, err := u.Once(t.Context(), use)
			require.ErrorIs(t, err, tc.want)
			if tc.want != nil {
				require.Empty(t, result)
				return
			}
			use.Result = "p2"
			clock.Advance(tc.kept - time.Nanosecond)
			api.Advance(tc.kept - time.Nanosecond)
			result, err = u.Once(t.Context(), use)
			require.ErrorIs(t, err, uses.ErrUsed, "until the last nanosecond")
			require.Equal(t, "p1", result)
		})
	}
}
