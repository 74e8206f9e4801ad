package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/walshift/walshift/replicator/change"
)

// Verdict says what a difference between two looks at a table means.
type Verdict struct {
	// Reason is why the table can't go on, "" if the difference is harmless.
	Reason string
	Code   change.Code
	// Wait says that what is still to come in the stream may explain the
	// difference: it is to be judged again when that has been read.
	Wait bool
	// Later says that a lock is in the way of judging.
	Later bool
}

// Remedy is what helps a table that the watch has stopped.
const Remedy = "the table has to be loaded again: run `walshift teardown` and start afresh"

// judge is one judgement.
type judge struct {
	c       *Catalog
	rel     *change.Relation
	horizon uint32
	was, is *marks
	// truncates are the transactions that the stream brought a TRUNCATE of the
	// table in: the newest.
	truncates []uint32
}

// Judge finds out what the difference between a look at a table and its marks
// now means. Marks that are "" say that it does not exist. It asks the catalog
// again for what the marks don't say; where a relfilenode has changed it may
// look at up to 500 rows of the table, under ACCESS SHARE. truncates are the
// newest transactions in which the stream brought a TRUNCATE of the table.
func (c *Catalog) Judge(ctx context.Context, rel *change.Relation, was *change.Watch, now string, truncates []uint32) (Verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now == "" {
		return c.dropped(ctx, rel)
	}
	before, err := parseMarks(was.Marks)
	if err != nil {
		return Verdict{Reason: "the log does not tell how the table was: " + err.Error(), Code: change.CodeSchemaChanged}, nil
	}
	after, err := parseMarks(now)
	if err != nil {
		return Verdict{}, err
	}
	j := &judge{c: c, rel: rel, horizon: was.Horizon, was: before, is: after, truncates: truncates}
	v, err := j.verdict(ctx)
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == codeLockNotAvailable {
		return Verdict{Later: true}, nil
	}
	return v, err
}

func stop(format string, args ...any) Verdict {
	return Verdict{Reason: fmt.Sprintf(format, args...), Code: change.CodeSchemaChanged}
}

func (j *judge) verdict(ctx context.Context) (Verdict, error) {
	if what, code := j.was.published(j.is, j.c.publication); what != "" {
		return Verdict{Reason: what, Code: code}, nil
	}
	if of, enum := j.was.alteredType(j.is); of != "" {
		name, err := j.c.ask(ctx, "SELECT format_type($1::oid, NULL)", of)
		if enum {
			return stop("a value of enum type %s was renamed: older rows have the new name too, without a change in the stream", name), err
		}
		return stop("composite type %s was altered: older rows look different, without a change in the stream", name), err
	}
	if j.is.persistence != 'p' {
		return stop("the table is no longer LOGGED: its changes are not in the stream"), nil
	}
	t, v, err := j.definition(ctx)
	if err != nil || v.Reason != "" {
		return v, err
	}
	if j.is.kind != 'p' {
		return j.storage(ctx)
	}
	for _, oid := range leafOIDs(j.was, j.is) {
		if v, err := j.leaf(ctx, t, oid); err != nil || v.Reason != "" {
			return v, err
		}
	}
	return Verdict{}, nil
}

// definition compares columns, keys and names. The stream announces such
// changes at their place, so it has the first word.
func (j *judge) definition(ctx context.Context) (*Table, Verdict, error) {
	tables, err := readTables(ctx, j.c.conn, j.c.publication, j.rel.OID)
	if err != nil {
		return nil, Verdict{}, err
	}
	if len(tables) == 0 {
		return nil, Verdict{Reason: "the table is published as a partition of another one now, or not at all", Code: change.CodeTableLeft, Wait: true}, nil
	}
	if diff := j.rel.Diff(tables[0].Relation); diff != "" {
		return nil, Verdict{Reason: diff, Code: change.CodeSchemaChanged, Wait: true}, nil
	}
	return &tables[0], Verdict{}, nil
}

// storage judges a plain table's new relfilenode. TRUNCATE, CLUSTER and VACUUM
// FULL are harmless, and keep the TOAST relation; ALTER TABLE makes a new one.
func (j *judge) storage(ctx context.Context) (Verdict, error) {
	if j.was.filenode == j.is.filenode {
		return Verdict{}, nil
	}
	// PostgreSQL does not make a table UNLOGGED that a publication lists.
	_, listed := j.is.entries["r"+strconv.FormatUint(uint64(j.rel.OID), 10)]
	column := j.was.touched(j.is, j.rel)
	if j.was.toast == j.is.toast && j.is.toast != 0 || column == "" && listed || j.truncated(j.is.xmin) {
		return Verdict{}, nil
	}
	old, err := j.oldRow(ctx, j.rel.OID)
	if err != nil || old {
		return Verdict{}, err
	}
	if column == "" {
		return Verdict{Code: change.CodeSchemaChanged, Wait: true, Reason: "the table's storage was replaced: by VACUUM FULL, CLUSTER or TRUNCATE, " +
			"or by SET UNLOGGED and back, which loses changes and can't be told from them for a table that the publication does not name"}, nil
	}
	return j.rewritten(column), nil
}

// truncated reports whether storage with this xmin in pg_class is that of a
// TRUNCATE which the stream brought.
//
// In a subtransaction the TRUNCATE leaves the subtransaction's number, and the
// stream tells that of the transaction, which is lower. Then all partitions
// have the same number, and nobody else can have given it to all of them: they
// are locked until the transaction ends, and whoever truncates them one by one
// in one subtransaction after a TRUNCATE of all did what that did. Only
// transactions that may have ended after the last look count.
func (j *judge) truncated(xmin uint32) bool {
	if slices.Contains(j.truncates, xmin) {
		return true
	}
	same := 0
	for oid, is := range j.is.leaves {
		was, had := j.was.leaves[oid]
		if !had || is.kind == 'p' {
			continue
		}
		if is.xmin != xmin || is.filenode == was.filenode {
			return false
		}
		same++
	}
	return same > 1 && slices.ContainsFunc(j.truncates, func(top uint32) bool {
		return int32(top-j.horizon) >= 0 && int32(xmin-top) > 0 // modulo 2^32, as transactions are numbered
	})
}

func (j *judge) rewritten(column string) Verdict {
	return stop("column %q was rewritten, as by ALTER TABLE … TYPE … USING: rows changed without being in the stream", column)
}

// leaf judges one partition of the table.
func (j *judge) leaf(ctx context.Context, t *Table, oid uint32) (Verdict, error) {
	was, had := j.was.leaves[oid]
	is, has := j.is.leaves[oid]
	if !had {
		return j.newLeaf(ctx, t, oid, &is)
	}
	if has && was == is {
		return Verdict{}, nil
	}
	name, err := j.c.ask(ctx, nameSQL, oid)
	if err != nil {
		return Verdict{}, err
	}
	switch {
	case name == "":
		return stop("the partition with oid %d was dropped: its rows are gone without a change in the stream", oid), nil
	case !has:
		return stop("partition %s was detached: its rows are gone without a change in the stream", name), nil
	case was.link != is.link:
		return stop("partition %s was detached, and attached again: changes made in between are not in the stream", name), nil
	case is.persistence != 'p':
		return stop("partition %s is no longer LOGGED: its changes are not in the stream", name), nil
	case was.identity != is.identity || was.index != is.index:
		return stop("the replica identity of partition %s was altered", name), nil
	case was.filenode == is.filenode || j.truncated(is.xmin):
		return Verdict{}, nil
	}
	old, err := j.oldRow(ctx, oid)
	if err != nil || old {
		return Verdict{}, err
	}
	if column := j.was.touched(j.is, j.rel); column != "" {
		return j.rewritten(column), nil
	}
	return Verdict{Code: change.CodeSchemaChanged, Wait: true, Reason: fmt.Sprintf(
		"the storage of partition %s was replaced, by TRUNCATE, which is not in the stream, or by VACUUM FULL or CLUSTER: "+
			"it has no row left that would tell which", name)}, nil
}

// newLeaf judges a partition that was not there before: the rows that it had
// then were never in the stream.
func (j *judge) newLeaf(ctx context.Context, t *Table, oid uint32, is *leafMarks) (Verdict, error) {
	if is.kind == 'p' {
		return Verdict{}, nil
	}
	name, err := j.c.ask(ctx, nameSQL, oid)
	if err != nil {
		return Verdict{}, err
	}
	if is.kind != 'r' || is.persistence != 'p' {
		return stop("partition %s, which is new, is a foreign or UNLOGGED table: its changes are not in the stream", name), nil
	}
	keys := make([]string, 0, len(j.rel.Keys))
	for _, c := range j.rel.KeyColumns() {
		keys = append(keys, c.Name)
	}
	slices.Sort(keys)
	for _, s := range t.Storage {
		own := slices.Sorted(slices.Values(s.KeyNames))
		if s.OID == oid && s.Identity != string(rune(change.IdentityFull)) && !slices.Equal(own, keys) {
			return stop("partition %s, which is new, has the identity (%s), the table itself (%s)", name, names(own), names(keys)), nil
		}
	}
	fresh, err := j.fresh(ctx, oid)
	if err != nil || fresh {
		return Verdict{}, err
	}
	return stop("partition %s was attached: rows that it had before are not in the stream, and nothing proves that it had none", name), nil
}

// fresh reports whether a partition had no row when it became one, or none that
// is left: it was made as a partition, or is empty, or all of its rows are newer.
func (j *judge) fresh(ctx context.Context, oid uint32) (bool, error) {
	known, err := j.c.ask(ctx, freshSQL, oid)
	if err != nil || known != "false" {
		return known == "true", err
	}
	return j.proves(ctx, oid, "SELECT (NOT EXISTS (SELECT 1 FROM ONLY %s r WHERE age(r.xmin) >= "+
		"(SELECT age(h.xmin) FROM pg_inherits h WHERE h.inhrelid = $1::oid)))::text", oid)
}

// nameSQL names a relation, or gives no row.
const nameSQL = `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`

// freshSQL tells whether a partition can't have had a row when it became one: it
// is empty, or was made as a partition; "large" is one that is too large to look
// at its rows (16 MiB). ATTACH writes the rows of its columns
// in pg_attribute, so that they are as old as the one in pg_inherits; those of
// a table made by PARTITION OF are as old as its row type, to the command.
const freshSQL = `SELECT CASE WHEN pg_relation_size(c.oid) = 0 OR EXISTS (
         SELECT 1 FROM pg_attribute a
           JOIN pg_type t ON t.oid = c.reltype AND t.xmin = a.xmin AND t.cmin = a.cmin
           JOIN pg_inherits h ON h.inhrelid = c.oid AND h.xmin = a.xmin
          WHERE a.attrelid = c.oid AND a.attnum > 0) THEN 'true'
       WHEN pg_relation_size(c.oid) > 16777216 THEN 'large' ELSE 'false' END
  FROM pg_class c WHERE c.oid = $1::oid`

const placeSQL = `SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`

// oldRows is how many rows are looked at for one that proves something.
const oldRows = 500

// oldRow reports whether the relation has a row, among the first, that was
// there at the last look: TRUNCATE would have removed it, and ALTER TABLE given
// it the xmin of the rewrite. VACUUM FULL and CLUSTER do neither.
func (j *judge) oldRow(ctx context.Context, oid uint32) (bool, error) {
	return j.proves(ctx, oid, "SELECT coalesce(bool_or(age(r.x) > age($1::xid)), false)::text "+
		fmt.Sprintf("FROM (SELECT xmin AS x FROM ONLY %%s LIMIT %d) r", oldRows), j.horizon)
}

// proves asks the rows of a relation, whose name is put into the query.
func (j *judge) proves(ctx context.Context, oid uint32, query string, arg any) (bool, error) {
	var schema, name string
	switch err := j.c.conn.QueryRow(ctx, placeSQL, strconv.FormatUint(uint64(oid), 10)).Scan(&schema, &name); {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, classify("judging a change of the catalog", err)
	}
	found, err := j.c.ask(ctx, fmt.Sprintf(query, quote(schema)+"."+quote(name)), arg)
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && (pe.Code == codeNoPrivilege || pe.Code == codeUndefinedTable) {
		return false, nil // it proves nothing
	}
	return found == "true", err
}

// ask returns a query's only text, "" if it has no row. It is called with mu
// held.
func (c *Catalog) ask(ctx context.Context, sql string, arg any) (string, error) {
	var text string
	err := c.conn.QueryRow(ctx, sql, fmt.Sprint(arg)).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return text, classify("judging a change of the catalog", err)
}

const againSQL = `SELECT c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname || '.' || c.relname = $1 AND c.relkind IN ('r', 'p')`

// dropped says what became of a table whose oid is gone (pitfall W8).
func (c *Catalog) dropped(ctx context.Context, rel *change.Relation) (Verdict, error) {
	again, err := c.ask(ctx, againSQL, rel.String())
	v := Verdict{Code: change.CodeTableLeft, Reason: "the table was dropped"}
	if again != "" {
		v.Reason = fmt.Sprintf("the table was dropped and created again: its oid was %d, is %s", rel.OID, again)
	}
	return v, err
}
