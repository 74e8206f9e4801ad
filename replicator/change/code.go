package change

import (
	"errors"
	"slices"
)

// Code names a kind of fault for good: in logs, in the reasons of stopped
// tables, in alerts and in docs/errors.md. A code that was released keeps its
// meaning, and a number is never used again.
type Code string

// The codes: WS1 the source, WS2 the log on S3, WS3 Redshift, WS4
// configuration and start, WS9 walshift itself.
const (
	CodeSourceLogin     Code = "WS1001"
	CodeSourceIdentity  Code = "WS1002"
	CodePublication     Code = "WS1004"
	CodeSourceRefused   Code = "WS1005"
	CodeSlotForeign     Code = "WS1101"
	CodeSlotLost        Code = "WS1102"
	CodeStream          Code = "WS1201"
	CodeSchemaChanged   Code = "WS1301"
	CodeTableLeft       Code = "WS1302"
	CodeChangesUnusable Code = "WS1303"
	CodeSnapshotGone    Code = "WS1304"

	CodeLogRefused Code = "WS2001"
	CodeLogGap     Code = "WS2002"
	CodeLogForeign Code = "WS2003"
	CodeLogTaken   Code = "WS2004"
	CodeLogDamaged Code = "WS2005"
	CodeValue      Code = "WS2101"

	CodeWarehouseRefused Code = "WS3001"
	CodeWarehouseState   Code = "WS3002"
	CodeSuperseded       Code = "WS3003"
	CodeFenceLocked      Code = "WS3004"
	CodeCounts           Code = "WS3101"
	CodeCopyValue        Code = "WS3102"
	CodeCopyFiles        Code = "WS3103"
	CodeTableStatement   Code = "WS3104"
	CodeNotApplicable    Code = "WS3105"
	CodeTarget           Code = "WS3201"
	CodeLoadState        Code = "WS3202"
	CodeGrants           Code = "WS3203"

	CodeConfig    Code = "WS4001"
	CodeSelection Code = "WS4002"
	CodeStartMode Code = "WS4003"
	CodeFirstRun  Code = "WS4004"
	CodeChecks    Code = "WS4005"
	// CodeValuesChanged is a setting of values that would change a column's
	// type under a running pipeline.
	CodeValuesChanged Code = "WS4006"

	CodeInternal Code = "WS9001"
)

// CodeText is what the operator's page says of a code.
type CodeText struct {
	Code Code
	// Title is what has happened, Cause why it may have, Remedy what to do.
	Title, Cause, Remedy string
	// Risk says what becomes of the data meanwhile.
	Risk string
}

// CodeOf returns the code of the outermost Fault in err's chain that has one,
// or CodeInternal: an error that nobody foresaw.
func CodeOf(err error) Code {
	for {
		f, ok := errors.AsType[*Fault](err)
		switch {
		case !ok:
			return CodeInternal
		case f.Code != "":
			return f.Code
		}
		err = f.Err
	}
}

const (
	safe      = "None: nothing has been confirmed that the log does not hold, and nothing is skipped."
	tableOnly = "The table's rows on Redshift stand at the end of a whole batch and stay there; the other tables run on."
	parked    = "None: capture goes on and batches wait on S3. Apply tries again by itself every few minutes."
)

// Codes returns all codes with their texts, in order.
func Codes() []CodeText {
	return slices.Concat(sourceCodes(), logCodes(), warehouseCodes(), startCodes())
}

func sourceCodes() []CodeText {
	return []CodeText{
		{
			CodeSourceLogin, "The source refuses the login",
			"User, password, database, pg_hba.conf or TLS settings don't fit.",
			"Correct source.dsn or pg_hba.conf; `walshift check` shows which.", safe,
		},
		{
			CodeSourceIdentity, "The source is another server",
			"source.dsn leads to a server with another system identifier or timeline than the log belongs to: a wrong address, a restored copy, or a failover.",
			"Point source.dsn at the server that the pipeline was loaded from, or run `walshift teardown` and start afresh.", safe,
		},
		{
			CodePublication, "The publication is missing, was replaced or was altered",
			"It was never created, or dropped or renamed, or altered: what it publishes, its options, its owner. Changes made while it was away or narrower are lost for the slot.",
			"Create it as `walshift setup --print` says; if it existed before, run `walshift teardown` and load again.", safe,
		},
		{
			CodeSourceRefused, "The source refuses a statement",
			"A privilege was taken away, or the server reports something that does not pass by itself.",
			"Do what the message names; `walshift check` shows missing privileges.", safe,
		},
		{
			CodeSlotForeign, "The slot belongs to something else",
			"A slot of that name exists with another plugin or database, or without a log that belongs to it.",
			"Choose another source.slot, or drop the slot if nothing uses it.", safe,
		},
		{
			CodeSlotLost, "The slot no longer holds what the log needs next",
			"The slot was dropped, invalidated by max_slot_wal_keep_size or an idle timeout, or made anew.",
			"Run `walshift teardown` and start afresh; deploy/runbooks/slot-lost.md has the details.",
			"The changes of the range in the message can't be read any more. Nothing has been skipped: the daemon stops instead.",
		},
		{
			CodeStream, "The replication stream can't be read",
			"The server sent a message that the protocol does not allow, or that this version does not know.",
			"Report it with the server's version. A proxy between walshift and the server can be the cause.", safe,
		},
		{
			CodeSchemaChanged, "A table's definition changed",
			"DDL on the source changed columns, types, keys or the replica identity, or rows without a change in the stream: a rewrite with USING, a renamed enum value, a partition that was attached, detached, dropped or truncated.",
			"Undo the change where the message says so, or load the table again. The message names the LSNs between which it was seen.", tableOnly,
		},
		{
			CodeTableLeft, "A table is not published, or was not for a while",
			"It was taken out of the publication, for good or for a moment, its column list or row filter was altered, or it was dropped.",
			"Add it again and load it again, or exclude it in source.tables.", tableOnly,
		},
		{
			CodeChangesUnusable, "A table's changes can't be applied",
			"A change has no usable key (NULL in a key column, no replica identity), or keeps a value that no row has.",
			"Do what the message says on the source, then load the table again.", tableOnly,
		},
		{
			CodeSnapshotGone, "A table changed under its snapshot",
			"It was truncated or rewritten (ALTER … TYPE, VACUUM FULL, CLUSTER) while its first load was running.",
			"Start again: the load begins anew under a new snapshot.", safe,
		},
	}
}

func logCodes() []CodeText {
	return []CodeText{
		{
			CodeLogRefused, "S3 refuses",
			"Credentials, permissions, bucket, region, endpoint or KMS key don't fit.",
			"Correct them: `walshift check` tries put, get, conditional put, list and delete.",
			"None for what the log holds. While S3 refuses, the slot holds WAL back on the source: watch its disk.",
		},
		{
			CodeLogGap, "Objects of the log are missing",
			"A lifecycle rule, a clean-up script or a person deleted objects under the pipeline's prefix.",
			"Restore them (versioning helps) and take the rule off the prefix; if they are gone, run `walshift teardown` and start afresh.",
			"The changes in the missing objects are not on Redshift, and are not skipped: apply waits there.",
		},
		{
			CodeLogForeign, "The log's folder holds foreign objects",
			"Another pipeline, another program or an older format writes under the same prefix.",
			"Give every pipeline a name or prefix of its own; move what does not belong there.", safe,
		},
		{
			CodeLogTaken, "Another walshift writes this pipeline",
			"Two daemons run with the same pipeline name and prefix, and the other one has taken over.",
			"Leave one of them running.", safe,
		},
		{
			CodeLogDamaged, "An object of the log is not what was written",
			"Its size or checksum differs from the manifest, or its records contradict each other.",
			"Find out who changed it and restore it; keep the objects and report it otherwise.", safe,
		},
		{
			CodeValue, "A value does not fit its column on Redshift",
			"Too long, NaN, infinity, a year beyond 9999 or a form that Redshift does not take, and the policy for it is to fail.",
			"Choose a policy under `values`, exclude the column, or change the value; then load the table again.", tableOnly,
		},
	}
}

func warehouseCodes() []CodeText {
	return []CodeText{
		{
			CodeWarehouseRefused, "Redshift refuses",
			"Login, database, privilege or a setting that does not pass by itself.",
			"Correct what the message names; `walshift check` shows missing privileges.", parked,
		},
		{
			CodeWarehouseState, "walshift's state on Redshift is not what it left",
			"Schema walshift was dropped, edited, or restored from an older snapshot.",
			"Restore it, or run `walshift teardown` and start afresh.", parked,
		},
		{
			CodeSuperseded, "Another walshift has taken over on Redshift",
			"A newer process owns the fence.",
			"Leave this process stopped.", safe,
		},
		{
			CodeFenceLocked, "The fence is locked by another session",
			"A session of another user holds a lock on walshift's fence.",
			"Find it in SVV_TRANSACTIONS and end it.", parked,
		},
		{
			CodeCounts, "A statement touched other rows than the log says",
			"Somebody else writes to the target, or changed it by hand.",
			"Find the writer (`walshift check` lists who may write), take the right away, and load the table again.", tableOnly,
		},
		{
			CodeCopyValue, "COPY refuses a value",
			"Redshift's COPY does not take what the file holds; the message names file, line and column.",
			"Look at the line in that file, mend value or column on the source, and load the table again.", tableOnly,
		},
		{
			CodeCopyFiles, "COPY can't read its files",
			"The IAM role may not read the bucket, the region is missing, or an object is gone.",
			"Correct redshift.iam_role, log.region or the bucket's policy; `walshift check` does a real COPY.", parked,
		},
		{
			CodeTableStatement, "Redshift refuses a statement on a table",
			"The target was altered, dropped or replaced, or a value does not fit it.",
			"Undo the change to the target, then `walshift retry`, or load the table again.", tableOnly,
		},
		{
			CodeNotApplicable, "This version can't apply what the log holds",
			"A newer version has written the log.",
			"Run that version or a newer one.", tableOnly,
		},
		{
			CodeTarget, "A target table is in the way",
			"It exists already and target.existing says refuse, or its columns can't hold the source's rows.",
			"Drop or rename it, map the schema to another one, or choose target.existing.", safe,
		},
		{
			CodeLoadState, "A first load can't go on",
			"The state of the load on Redshift is not the one that this process began.",
			"Start again: the load begins anew.", safe,
		},
		{
			CodeGrants, "redshift.grants can't be carried out",
			"A user, group or role in it does not exist, or the right can't be granted.",
			"Correct the list; the load waits for it.", parked,
		},
	}
}

func startCodes() []CodeText {
	return []CodeText{
		{
			CodeConfig, "The configuration is not valid",
			"Keys are unknown, missing or out of range; all are listed.",
			"Correct them; `walshift config --print-defaults` shows every key.", safe,
		},
		{
			CodeSelection, "The configuration leaves out replicated tables",
			"source.tables no longer selects tables that this pipeline replicates.",
			"Select them again, or run `walshift teardown` and start afresh without them.", safe,
		},
		{
			CodeStartMode, "Start mode and state don't fit",
			"snapshot.mode, snapshot.lsn or target.existing contradicts what slot, log and Redshift hold.",
			"Do what the message says; nothing has been changed.", safe,
		},
		{
			CodeFirstRun, "The first start can't reach a part",
			"On the very first start source, S3 and Redshift must all be there; later each may be away.",
			"Correct the address, or start again when the part is there; nothing has been changed.", safe,
		},
		{
			CodeChecks, "Checks fail that a start depends on",
			"A setting, a privilege, a table or a neighbour breaks a condition that exactness or the application's safety depends on.",
			"Do what the message says for each finding; `walshift check` lists them all with their remedies.", safe,
		},
		{
			CodeValuesChanged, "A setting of values would change a column's type",
			"values.unbounded_numeric, for all or for a table or column, says something else than when the table was loaded.",
			"Say again what the message names, or run `walshift teardown --drop-targets` and start afresh to load the tables in the new form.", safe,
		},
		{
			CodeInternal, "walshift met what it did not foresee",
			"An error without a code of its own, or an invariant that does not hold.",
			"Report it with the log. A restart is safe.", safe,
		},
	}
}
