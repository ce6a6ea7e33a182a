// Package cluster runs several instances of examples/bank on one store, behind
// HAProxy. It serves tests only, and its types are not for applications.
//
// [Start] builds the bank and starts the instances and the load balancer on the
// loopback interface:
//
//	c := cluster.Start(t, cluster.Config{Instances: 3, Store: server.PostgreSQLURL("postgres", "")})
//	driver := c.NewDriver(t, cluster.DriverConfig{})
//	tokens, err := driver.Flow(t.Context())
//
// HAProxy ends TLS, spreads the requests over the instances, and checks /readyz
// ten times a second. If no instance is ready, it responds with status 503 and
// Retry-After. [Cluster.HTTPClient] sends requests through HAProxy.
// [Instance.HTTPClient] sends the same requests to one instance.
//
// A [Driver] is an application with one user in a browser. [Driver.Flow] pushes
// an authorization request, authorizes it, redeems the code, calls the API and
// refreshes the token. With [Config.Pages], the user logs in and consents on
// the pages of the bank. Without it, the bank approves each request.
//
// All processes end with the test, and also when the test process is killed.
// The tests of this package stop servers and cut connections under a load of
// whole flows, see docs/faults.md.
package cluster
