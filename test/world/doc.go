// Package world starts everything that walshift needs around it (a source, an
// S3 server, the Redshift stand-in), runs the daemon's real binary against it
// as least-privilege roles, and compares both sides with code of its own.
//
// It knows walshift only from outside: its configuration, its HTTP answers,
// its exit code. End-to-end tests, the benchmark and the kill runs share it.
package world
