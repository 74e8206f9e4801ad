// Command live holds walshift's assumptions against a real Redshift cluster:
// it runs the conformance cases of test/redshift/facts and then walshift
// itself, from a PostgreSQL that it starts here, under load, with a kill -9 on
// the way, and compares both sides. It writes a report of what a real cluster
// settles.
//
//	make live-redshift DSN=… BUCKET=… IAM_ROLE=… [REGION=… ENDPOINT=…]
//
// DSN is a user's who may create schemas in the database, BUCKET a bucket in
// the cluster's region, IAM_ROLE the ARN of a role of the cluster's that may
// read it. REGION is the bucket's (else AWS_REGION), ENDPOINT an S3 server
// that is not AWS'. OTHER_DSN is a second user's, without rights of its own;
// without it the cases that need one are skipped. AWS credentials come from
// the SDK's usual chain. Set in the environment, a DSN may hold any character;
// on make's command line $ must be written $$.
//
// It promises:
//
//  1. Whatever it makes in the database, the bucket and here is named
//     walshift_live_<random> or lies below walshift-live-<random>/, except the
//     pipeline's tables in schema walshift, and is gone when it ends, also
//     after a failure or a signal. What could not be removed is in the report,
//     and makes it fail.
//  2. Each case is bounded in time, and so is the whole.
//  3. Neither the DSN nor its password is printed, whatever fails.
package main
