// Package conform runs conformance cases: facts about Redshift as data, each
// with the statements and S3 objects that show it. The same cases judge the
// stand-in in `go test` and a real cluster in `make live-redshift`.
//
// A [Case] is read from YAML by [Load]; a [Target] is where it runs, with what
// it is able to do. It promises:
//
//  1. A case works in a schema and an S3 folder of its own, named by the
//     target's prefix, and both are gone when [Target.Run] returns, whatever
//     happened, unless the result says otherwise.
//  2. A case ends within the target's time, and its cleaning up within another
//     such time.
//  3. What came back is told apart from what could not be asked: a difference
//     is a [Difference], a lost connection or a missing ability is not.
//  4. No result holds a DSN or a password.
//
// The package knows nothing of walshift or of the stand-in.
package conform
