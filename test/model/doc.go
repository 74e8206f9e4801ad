// Package model holds the folds of both sides, capture's (replicator/fold) and
// apply's (sink/redshift/compact), against a table that is changed row by row.
// Its tests draw a schema and a script of changes, play the script, cut
// anywhere into segments and these anywhere into runs, do to a target what
// docs/design.md 2.2 and 2.4 say, and compare. A script that fails is made
// shorter as long as it fails, and printed.
package model
