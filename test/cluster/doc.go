// Package cluster starts the servers that tests, the demo and the benchmarks
// run against: PostgreSQL ([StartPostgres]) and an S3 server ([StartS3]), each
// in a temporary folder on a port of its own, with certificates from a private
// authority ([NewCA]) where TLS is wanted. It also does what an operator's DBA
// does before walshift is started ([Postgres.CreateSource]).
//
// It knows nothing of walshift, and runs on Linux only.
//
// What holds for every server:
//
//  1. It belongs to this process: it ends when this process ends, however that
//     happens, and a Ctrl-C at the terminal reaches this process alone.
//  2. After Stop no process, shared memory or file of it is left.
//  3. Its address stays the same from Start to Stop, through every Restart.
//  4. Start returns when the server answers, not when it was launched.
//
// A context bounds the call that it is given to, never the server's life. The
// methods of one server may not be called concurrently, except those that only
// read what never changes: addresses, DSNs, keys and paths.
package cluster
