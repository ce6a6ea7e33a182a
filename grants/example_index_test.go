package grants_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/grants"
)

// The consent page of a bank lists the grants of a user and withdraws one of
// them. The host calls DeliverPending at an interval.
func ExampleManager_List() {
	ctx := context.Background()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	manager, err := grants.NewManager(grants.ManagerConfig{
		Issuer: "https://as.example.com",
		Now:    func() time.Time { return now },
	})
	if err != nil {
		panic(err)
	}
	for i, client := range []string{"budget app", "accountant", "lender"} {
		request, err := manager.Check(ctx, client, url.Values{"grant_management_action": {"create"}})
		if err != nil {
			panic(err)
		}
		change, err := manager.Prepare(ctx, request, grants.Approval{
			AuthorizationID: fmt.Sprintf("authorization-%06d", i), Subject: "alice",
			Scopes: []grants.Scope{{Scope: "accounts"}},
		})
		if err != nil {
			panic(err)
		}
		if _, err := manager.Claim(ctx, change); err != nil {
			panic(err)
		}
		now = now.Add(time.Hour)
	}

	show := func() {
		for after := ""; ; { // a page with a link to the next one would stop here
			page, next, err := manager.List(ctx, "alice", after, 2)
			if err != nil {
				panic(err)
			}
			for _, g := range page {
				fmt.Println(g.ClientID, g.ScopeValues(), g.Status, "since", g.CreatedAt.Format(time.Kitchen))
			}
			if next == "" {
				return
			}
			after = next
		}
	}
	show()
	page, _, err := manager.List(ctx, "alice", "", 1)
	if err != nil {
		panic(err)
	}
	fmt.Println("withdraw:", manager.Withdraw(ctx, page[0].ID))
	show()
	// Output:
	// lender [accounts] active since 2:00PM
	// accountant [accounts] active since 1:00PM
	// budget app [accounts] active since 12:00PM
	// withdraw: <nil>
	// lender [accounts] revoked since 2:00PM
	// accountant [accounts] active since 1:00PM
	// budget app [accounts] active since 12:00PM
}

// A host delivers the events that its listener has not received yet. Each
// instance may do so.
func ExampleManager_DeliverPending() {
	manager, err := grants.NewManager(grants.ManagerConfig{Issuer: "https://as.example.com"})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for range time.Tick(time.Minute) {
			if _, err := manager.DeliverPending(ctx, 100); ctx.Err() != nil {
				return
			} else if err != nil {
				fmt.Println(err) // log it; the next minute continues
			}
		}
	}()
	stop()
	// Output:
}
