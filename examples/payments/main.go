// Command payments is an API that makes each payment that a user has approved,
// once. Rich authorization requests (RFC 9396) carry the payments.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"time"

	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/uses"
	"github.com/gofapi/fapi2/store/sqlstore"
)

const (
	maxOrder = 16 << 10
	keep     = 2 * 365 * 24 * time.Hour // longer than a grant of the authorization server can live
)

func main() {
	resource := flag.String("resource", "https://api.example", "`URL` of this API, as clients see it")
	issuer := flag.String("issuer", "https://as.example", "`issuer` whose tokens are accepted")
	listen := flag.String("listen", ":8443", "`address` of the socket")
	flag.Parse()

	db, err := sql.Open("sqlite", "file:payments.db?_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newAPI(context.Background(), *resource, resourceserver.Issuer{ID: *issuer}, db)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: *listen, Handler: handler, TLSConfig: profile.TLSConfig(),
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServeTLS("api.crt", "api.key"))
}

// An api makes payments. Its ledger is a table, which a job of the bank
// executes.
type api struct {
	guard *resourceserver.Server
	types *rar.Registry
	uses  *uses.Uses
	db    *sql.DB
}

func newAPI(ctx context.Context, resource string, issuer resourceserver.Issuer, db *sql.DB) (http.Handler, error) {
	const ledger = `CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, payer TEXT, client TEXT, payment TEXT)`
	if _, err := db.ExecContext(ctx, ledger); err != nil {
		return nil, err
	}
	shared, err := sqlstore.Open(ctx, sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err != nil {
		return nil, err
	}
	types, typesErr := openbanking.NewRegistry(map[string]string{openbanking.PaymentType: "payments"})
	used, usesErr := uses.New(uses.Config{Store: shared, Issuer: issuer.ID, Keep: keep})
	guard, guardErr := resourceserver.New(resourceserver.Config{
		Resource: resource, Issuers: []resourceserver.Issuer{issuer}, AuthorizationDetails: types, Replay: shared,
	})
	if err := errors.Join(typesErr, usesErr, guardErr); err != nil {
		return nil, err
	}
	a := &api{guard, types, used, db}
	mux := http.NewServeMux()
	mux.Handle("POST /payments", a.guard.Require("payments")(http.HandlerFunc(a.pay)))
	return mux, nil
}

// pay records the use of the user's permission, and then the payment under the
// ID of the first attempt. If the process ends between the two, any retry
// completes the payment. The amount is the user's, not that of the order.
func (a *api) pay(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	orders, parseErr := a.types.New(openbanking.PaymentType, json.RawMessage(body))
	attempt := r.Header.Get("Idempotency-Key")
	if err != nil || parseErr != nil || attempt == "" {
		http.Error(w, "want a payment and an Idempotency-Key", http.StatusBadRequest)
		return
	}
	token, _ := resourceserver.TokenFromContext(r.Context())
	permission, err := permitted(token, orders[0])
	if err != nil {
		a.guard.WriteError(w, r, err)
		return
	}
	use := uses.Use{Grant: token.GrantID(), Detail: permission, Attempt: attempt, Result: rand.Text()}
	id, err := a.uses.Once(r.Context(), use)
	used := errors.Is(err, uses.ErrUsed)
	if err == nil || used {
		err = a.record(r.Context(), id, token, permission)
	}
	switch {
	case err != nil:
		log.Print("payment not recorded: ", err)
		a.guard.WriteError(w, r, err)
	case used:
		http.Error(w, "the user has approved one payment, which is "+id, http.StatusConflict)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]string{"payment_id": id})
	}
}

// permitted returns the detail by which the user permits the payment of an
// order.
func permitted(token *resourceserver.Token, order rar.Detail) (rar.Detail, error) {
	granted, err := token.Details()
	if err != nil {
		return rar.Detail{}, err
	}
	payment, err := rar.Get[openbanking.Payment](order)
	if err != nil {
		return rar.Detail{}, err
	}
	return payment.PermittedBy(granted)
}

// record adds a payment to the ledger, unless it is there.
func (a *api) record(ctx context.Context, id string, token *resourceserver.Token, payment rar.Detail) error {
	document, err := json.Marshal(payment)
	if err != nil {
		return err
	}
	const insert = `INSERT INTO payments VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	_, err = a.db.ExecContext(ctx, insert, id, token.Subject(), token.ClientID(), document)
	return err
}
