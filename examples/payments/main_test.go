package main

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

const (
	payment = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"12.50"},` +
		`"creditorName":"ACME","creditorAccount":{"iban":"DE02100100109307118603"}}`
	larger = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"1250"},` +
		`"creditorName":"ACME","creditorAccount":{"iban":"DE02100100109307118603"}}`
	respelled = `{"type":"payment_initiation","actions":["initiate","initiate"],"instructedAmount":{"amount":"12.5",` +
		`"currency":"EUR"},"creditorName":"ACME","creditorAccount":{"iban":"DE02100100109307118603"}}`
)

// A world is the API with its database, and the issuer of its tokens.
type world struct {
	t      *testing.T
	issuer *profiletest.Issuer
	db     *sql.DB
	mux    *http.ServeMux
	http   *httptest.Server
}

func newWorld(t *testing.T) *world {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "payments.db")+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, issuer: profiletest.NewIssuer(t, profiletest.IssuerConfig{}), db: db}
	w.http = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(rw, r) }))
	t.Cleanup(w.http.Close)
	w.restart()
	return w
}

// restart is a new process of the API with the same database.
func (w *world) restart() {
	handler, err := newAPI(w.t.Context(), w.http.URL, resourceserver.Issuer{ID: w.issuer.ID(), Keys: w.issuer.Keys}, w.db)
	require.NoError(w.t, err)
	w.mux = http.NewServeMux()
	w.mux.Handle("/", handler)
}

// order orders a payment with a token of a consent, and returns the status and
// the ID of the payment.
func (w *world) order(grant, granted, attempt, order string) (int, string) {
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.http.URL+"/payments", strings.NewReader(order))
	require.NoError(w.t, err)
	w.issuer.SetToken(w.t, r, accesstoken.Claims{
		Scope: "payments", GrantID: grant, AuthorizationDetails: json.RawMessage("[" + granted + "]"),
	})
	if attempt != "" {
		r.Header.Set("Idempotency-Key", attempt)
	}
	response, err := w.http.Client().Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	var made struct {
		ID string `json:"payment_id"`
	}
	_ = json.Unmarshal(body, &made) // errors have none
	return response.StatusCode, made.ID
}

// paid returns the payments in the ledger.
func (w *world) paid() (documents []string) {
	rows, err := w.db.QueryContext(w.t.Context(), "SELECT payment FROM payments")
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var document string
		require.NoError(w.t, rows.Scan(&document))
		documents = append(documents, document)
	}
	require.NoError(w.t, rows.Err())
	return documents
}

func TestOneConsentIsOnePayment(t *testing.T) {
	w := newWorld(t)
	status, id := w.order("consent-1", payment, "a", payment)
	require.Equal(t, http.StatusCreated, status)

	t.Run("a retry is the same payment, also after a restart", func(t *testing.T) {
		w.restart()
		status, again := w.order("consent-1", payment, "a", payment)
		require.Equal(t, http.StatusCreated, status)
		require.Equal(t, id, again)
	})
	for name, order := range map[string]string{"the same order": payment, "another spelling": respelled} {
		t.Run("attack: pay twice with "+name, func(t *testing.T) {
			status, _ := w.order("consent-1", payment, "b", order)
			require.Equal(t, http.StatusConflict, status)
		})
	}
	require.Len(t, w.paid(), 1)
	status, other := w.order("consent-2", payment, "a", payment)
	require.Equal(t, http.StatusCreated, status, "the user has approved another payment")
	require.NotEqual(t, id, other)
	require.Len(t, w.paid(), 2)
}

func TestOneOfManyOrdersWins(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	statuses := make([]int, 16)
	for i := range statuses {
		all.Go(func() { statuses[i], _ = w.order("consent", payment, "attempt-"+string(rune('a'+i)), payment) })
	}
	all.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusConflict: 15}, counts)
	require.Len(t, w.paid(), 1)
}

// A payment whose use was recorded is not lost if the process ended then.
func TestRetryCompletesAPayment(t *testing.T) {
	for name, attempt := range map[string]string{"the same attempt": "a", "another attempt": "b"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.db.ExecContext(t.Context(), "ALTER TABLE payments RENAME TO away")
			require.NoError(t, err)
			status, _ := w.order("consent", payment, "a", payment)
			require.Equal(t, http.StatusInternalServerError, status)
			_, err = w.db.ExecContext(t.Context(), "ALTER TABLE away RENAME TO payments")
			require.NoError(t, err)
			w.order("consent", payment, attempt, payment)
			require.Len(t, w.paid(), 1)
		})
	}
}

func TestOrdersThatAreRejected(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		status                         int
		grant, granted, attempt, order string
	}{
		"attack: a larger amount":       {403, "consent", payment, "a", larger},
		"attack: a permission to look":  {403, "consent", strings.Replace(payment, `{`, `{"actions":["status"],`, 1), "a", payment},
		"attack: a repeated member":     {400, "consent", payment, "a", strings.Replace(payment, `{`, `{"creditorName":"Eve",`, 1)},
		"an order of more than 16 KiB":  {400, "consent", payment, "a", payment + strings.Repeat(" ", 16<<10)},
		"no idempotency key":            {400, "consent", payment, "", payment},
		"a token that names no consent": {500, "", payment, "a", payment},
	} {
		t.Run(name, func(t *testing.T) {
			status, _ := w.order(c.grant, c.granted, c.attempt, c.order)
			require.Equal(t, c.status, status)
		})
	}
	require.Empty(t, w.paid())
}

// The user has chosen the account, which the client does not have to repeat.
func TestTheGrantedPaymentIsMade(t *testing.T) {
	w := newWorld(t)
	granted := strings.Replace(payment, `{`, `{"debtorAccount":{"iban":"DE89370400440532013000"},`, 1)
	status, _ := w.order("consent", granted, "a", payment)
	require.Equal(t, http.StatusCreated, status)
	require.Len(t, w.paid(), 1)
	require.JSONEq(t, granted, w.paid()[0])
}
