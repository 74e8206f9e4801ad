// Package statements lists every statement that walshift sends, to Redshift
// and to the source, and holds the list against what servers were really sent.
//
// With WALSHIFT_STATEMENTS set to a folder, every PostgreSQL of package
// test/cluster and every stand-in of test/redshift leaves a file of JSON lines
// there: the statements of its sessions ([Read]). A statement's shape ([Shape])
// is what remains of it without the names, values and lengths of lists that
// differ from pipeline to pipeline. A [List] is kept by hand in YAML: each
// shape with when and how often it is sent, and why; docs/statements-*.md are
// written from it.
//
// It promises:
//
//  1. A shape that was sent and is not listed, or listed without its notes,
//     fails the test; so does one that is listed and was not sent in a whole
//     run, unless its note says that it is rare, and why.
//  2. Only what walshift's own sessions sent counts: their application_name
//     begins with walshift.
//  3. Two statements with different keywords, functions, fixed columns or
//     order of clauses have different shapes.
package statements
