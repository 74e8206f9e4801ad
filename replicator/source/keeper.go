package source

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/replicator/change"
)

// Keeper holds a snapshot open in a regular session, so that the replication
// session that exported it can end. While it lives, VACUUM can't remove what
// the snapshot sees: close it as soon as the tables are read. It is safe for
// concurrent use.
type Keeper struct {
	server   *Server
	identity Identity
	snapshot string

	mu   sync.Mutex
	conn *pgx.Conn
}

// OpenKeeper imports the session's snapshot and exports it again. Afterwards
// the session may be closed.
func (s *Server) OpenKeeper(ctx context.Context, session *SlotSession) (*Keeper, error) {
	c, id, err := s.openSnapshot(ctx, session.Identity, session.Snapshot)
	if err != nil {
		return nil, err
	}
	k := &Keeper{server: s, identity: id, conn: c}
	if err := c.QueryRow(ctx, "SELECT pg_export_snapshot()").Scan(&k.snapshot); err != nil {
		closeConn(ctx, c)
		return nil, classify("exporting the snapshot again", err)
	}
	return k, nil
}

// openSnapshot opens a session inside the named snapshot, and checks first
// that it is on the server that exported it (pitfalls N2, W18).
func (s *Server) openSnapshot(ctx context.Context, want Identity, snapshot string) (*pgx.Conn, Identity, error) {
	c, err := s.connect(ctx, "snapshot")
	if err != nil {
		return nil, Identity{}, err
	}
	id, err := sessionIdentity(ctx, c)
	if err == nil {
		err = want.sameProcess(id)
	}
	if err == nil {
		_, err = c.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "+literal(snapshot))
		err = classify("importing the snapshot", err)
	}
	if err != nil {
		closeConn(ctx, c)
		return nil, Identity{}, err
	}
	return c, id, nil
}

// Snapshot returns the name under which the keeper exports its snapshot.
func (k *Keeper) Snapshot() string { return k.snapshot }

// Alive reports whether the keeper's session, and with it the snapshot, still
// exists. Called now and then it also keeps firewalls from dropping it.
func (k *Keeper) Alive(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := k.conn.Exec(ctx, "SELECT 1")
	return classify("keeping the snapshot", err)
}

// Close ends the snapshot. Readers that are open keep theirs.
func (k *Keeper) Close(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	closeConn(ctx, k.conn)
}

// Tables returns the selected tables of the publication with their definitions
// as of the snapshot. Whether a table is published at all is as of now.
func (k *Keeper) Tables(ctx context.Context) ([]Table, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := readTables(ctx, k.conn, k.server.cfg.Publication, 0)
	return slices.DeleteFunc(all, func(t Table) bool { return !k.server.Selects(t.Relation.Schema, t.Relation.Name) }), err
}

// Part is a piece of a table's snapshot that one [Reader] reads.
type Part struct {
	Relation *change.Relation
	// Storage is the table itself or the leaf that holds the rows.
	Storage Storage
	// Filter is the publication's row filter, "" for none.
	Filter string
	// From and To bound the pages [From, To) of the part; To 0 is open.
	From, To int64
}

// String names the part for messages.
func (p *Part) String() string {
	name := p.Relation.String()
	if p.Storage.OID != p.Relation.OID {
		name += " (partition " + p.Storage.Schema + "." + p.Storage.Name + ")"
	}
	if p.From == 0 && p.To == 0 {
		return name
	}
	return fmt.Sprintf("%s pages %d to %d", name, p.From, p.To)
}

const sizeSQL = `SELECT pg_relation_size($1::oid), current_setting('block_size')::bigint`

// Parts cuts a table into parts of about so many bytes of its heap (TOAST not
// counted); bytes ≤ 0 leaves each leaf whole. PostgreSQL 13 can't scan a range
// of pages without reading the table from its beginning; there a leaf is always
// one part.
func (k *Keeper) Parts(ctx context.Context, t *Table, bytes int64) ([]Part, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var parts []Part
	for _, s := range t.Storage {
		p := Part{Relation: t.Relation, Storage: s, Filter: t.Filter}
		if bytes <= 0 || k.identity.Major() < 14 {
			parts = append(parts, p)
			continue
		}
		var size *int64 // NULL once the table is gone
		var block int64
		err := k.conn.QueryRow(ctx, sizeSQL, strconv.FormatUint(uint64(s.OID), 10)).Scan(&size, &block)
		if err != nil {
			return nil, ofTable("cutting into parts", t.Relation.String(), t.Relation.OID, err)
		}
		if size != nil {
			step := max(bytes/block, 1)
			for n := *size / block; n-p.From > step; {
				p.To = p.From + step
				parts = append(parts, p)
				p.From = p.To
			}
		}
		p.To = 0
		parts = append(parts, p)
	}
	return parts, nil
}

// OpenReader opens a reader on the keeper's snapshot. Several readers run in
// parallel, each used by one goroutine at a time.
func (k *Keeper) OpenReader(ctx context.Context) (*Reader, error) {
	c, id, err := k.server.openSnapshot(ctx, k.identity, k.snapshot)
	if err != nil {
		return nil, err
	}
	return &Reader{Identity: id, conn: c}, nil
}
