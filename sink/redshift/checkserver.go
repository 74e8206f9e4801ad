package redshift

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

const (
	// maxSkew is how far clocks may be apart.
	maxSkew = time.Minute
	// fewTables is the smallest limit on tables in a cluster, that of its
	// smallest nodes (amazon-redshift-limits).
	fewTables = 9900
)

// optional judges the answer to a query that not every user may ask and not
// every server knows. True means that there is an answer; the error is for a
// server that gave none.
func (c *checker) optional(id, what string, rows int, err error) (bool, error) {
	switch {
	case err == nil && rows > 0:
		return true, nil
	case err == nil:
		c.f.Skip(id, what+" is not shown to the user")
	case answered(err):
		c.f.Skip(id, what+" can't be read: "+err.Error())
	default:
		return false, err
	}
	return false, nil
}

// server checks what doesn't depend on tables.
func (c *checker) server(ctx context.Context) error {
	if err := c.connection(ctx); err != nil {
		return err
	}
	if err := c.clock(ctx); err != nil {
		return err
	}
	levels, err := c.s.texts(ctx)(sqltext.IsolationLevel(), nil)
	ok, err := c.optional(checkIsolation, "the isolation level (stv_db_isolation_level)", len(levels), err)
	if err != nil {
		return err
	}
	if ok {
		level := strings.ToUpper(strings.TrimSpace(levels[0]))
		if strings.Contains(level, "SNAPSHOT") {
			c.f.Pass(checkIsolation, level)
		} else {
			c.f.Warn(checkIsolation, level+": readers and writers of the same tables can end each other's transactions (error 1023); walshift tries again",
				"ALTER DATABASE "+ident(c.database)+" ISOLATION LEVEL SNAPSHOT;")
		}
	}
	if c.w.db.ignoresCase {
		c.f.Warn(checkCollation, "the database ignores case: walshift makes text columns case-sensitive; text in your own tables and views is not", "")
	} else {
		c.f.Pass(checkCollation, "case-sensitive")
	}
	if c.w.db.folds {
		c.f.Pass(checkCase, "names are folded to lower case (enable_case_sensitive_identifier is off)")
	} else {
		c.f.Warn(checkCase, "names keep their case: every session that reads the tables needs the same setting",
			"ALTER USER <reader> SET enable_case_sensitive_identifier TO true;")
	}
	return nil
}

func (c *checker) connection(ctx context.Context) error {
	super := false
	err := c.s.query(ctx, 3, func(r record) error {
		c.user, c.database, super = r.text(0), r.text(1), r.text(2) == "1"
		return nil
	})(sqltext.Whoami(), nil)
	if err != nil {
		return err
	}
	conn := c.s.conn.PgConn().Conn()
	seen := fmt.Sprintf("%s, database %s, user %s", conn.RemoteAddr(), c.database, c.user)
	tcp, isTCP := conn.RemoteAddr().(*net.TCPAddr)
	t, isTLS := conn.(*tls.Conn)
	switch {
	case isTLS:
		c.f.Pass(CheckConnection, seen+", "+tls.VersionName(t.ConnectionState().Version))
	case isTCP && !tcp.IP.IsLoopback():
		c.f.Warn(CheckConnection, seen+", without TLS: passwords and rows cross the network in clear", "redshift.dsn: sslmode=verify-full")
	default:
		c.f.Pass(CheckConnection, seen+", no TLS on this machine")
	}
	if super {
		c.f.Warn(checkPrivileges, "user "+c.user+" is a superuser, which walshift doesn't need", "make a user of its own: `walshift setup --print`")
	}
	versions, err := c.s.texts(ctx)(sqltext.Version(), nil)
	ok, err := c.optional(checkVersion, "the version", len(versions), err)
	if err != nil || !ok {
		return err
	}
	if _, redshift, found := strings.Cut(versions[0], "Redshift "); found {
		c.f.Pass(checkVersion, "Redshift "+redshift)
	} else {
		c.f.Warn(checkVersion, "the server doesn't call itself Redshift: "+versions[0], "name the warehouse in redshift.dsn")
	}
	return nil
}

func (c *checker) clock(ctx context.Context) error {
	asked := time.Now()
	texts, err := c.s.texts(ctx)(sqltext.Clock(), nil)
	ok, err := c.optional(checkClock, "the server's time", len(texts), err)
	if err != nil || !ok {
		return err
	}
	theirs, err := time.Parse(time.DateTime, texts[0])
	if err != nil {
		c.f.Skip(checkClock, "the server's time can't be read")
		return nil //nolint:nilerr // it is said
	}
	if skew := theirs.Sub(asked.Add(time.Since(asked) / 2).UTC()); skew.Abs() > maxSkew {
		c.f.Warn(checkClock, fmt.Sprintf("the server's clock differs from this machine's by %s", skew.Abs().Round(time.Second)),
			"set this machine's clock (NTP)")
	} else {
		c.f.Pass(checkClock, "the server's clock agrees with this machine's")
	}
	return nil
}

// room checks that the tables fit.
func (c *checker) room(ctx context.Context, tables int, bytes int64) error {
	counts, err := c.s.numbers(ctx)(sqltext.CountTables(), nil)
	ok, err := c.optional(checkTables, "the number of tables", len(counts), err)
	if err != nil {
		return err
	}
	if ok {
		seen := fmt.Sprintf("%d in the database, %d to come", counts[0], tables)
		if counts[0]+int64(tables) > fewTables {
			c.f.Warn(checkTables, fmt.Sprintf("%s: the smallest nodes allow %d", seen, fewTables), "compare with the quota of your node type")
		} else {
			c.f.Pass(checkTables, seen)
		}
	}
	var capacity, used int64
	rows := 0
	err = c.s.query(ctx, 2, func(r record) error {
		if r.null(0) || r.null(1) {
			return nil
		}
		rows++
		var err error
		if capacity, err = r.number(0); err == nil {
			used, err = r.number(1)
		}
		return err
	})(sqltext.Disk(), nil)
	if ok, err = c.optional(checkDisk, "free disk (stv_partitions, provisioned clusters only)", rows, err); err != nil || !ok {
		return err
	}
	seen := fmt.Sprintf("%d of %d MB are free, the source's tables have about %d MB", capacity-used, capacity, bytes>>20)
	if capacity-used < bytes>>20 {
		c.f.Warn(checkDisk, seen, "resize the cluster, or load fewer tables")
	} else {
		c.f.Pass(checkDisk, seen)
	}
	return nil
}
