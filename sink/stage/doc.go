// Package stage is the log on S3: it turns folded rows and snapshot rows into
// compressed CSV files for Redshift's COPY, commits batches by their manifests,
// reads them back, finds the log's ends, and removes what nobody needs.
//
// It does not decide what belongs to a batch, what may be confirmed, or what a
// lost race for a manifest means: callers do. It retries nothing beyond the
// SDK's own few attempts and a conditional write that met another one; what is
// worth another try comes back as a [change.Fault] of scope ScopeRetry.
//
// Invariants:
//
//  1. A batch exists when, and only when, its manifest does: the manifest is
//     created with If-None-Match "*" after all of its data files, and removed
//     before the first of them.
//  2. No object that a manifest names is ever overwritten. Data files are
//     created conditionally under names that hold the attempt's id, and the
//     same attempt, encoded again, gives the same bytes (pitfall A8).
//  3. Equal values give equal bytes, whether a snapshot or the stream brought
//     them: there is one encoder.
//  4. In every file NULL is the file's marker, and no value equals the marker
//     (pitfalls W3, T11). The marker holds no backslash and needs no quotes.
//  5. What COPY would refuse, cut or change is refused here, by a fault that
//     names table, column, position and reason, and never the value.
//  6. The log's newest manifest is never removed while the pipeline lives.
//
// The layout, below s3://bucket/prefix/pipeline/:
//
//	log/<seq, 20 digits>.json                                  manifest
//	data/<seq, 20 digits>-<attempt>/<index>-<kind>-<part>.csv.zst
//	snapshot/<oid>/<x, 16 hex digits>-<attempt>/<part>-<try>-<n>.csv.zst
//	copy/<name>.manifest                                       for COPY … MANIFEST
//	kept/…                                                     originals, never removed here unless asked
package stage
