// Package deploy holds the tests of what is shipped for operators: metrics and
// their documentation, alerts, dashboard and runbooks. They must agree with each
// other and with a running daemon.
//
// Prometheus' own promtool judges metrics and rules; test/install.sh brings it.
// Commands in runbooks are compared with the command tree in cmd/walshift, which
// only that package can see.
package deploy
