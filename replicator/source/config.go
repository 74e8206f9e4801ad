package source

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
)

// Defaults of [Config]'s durations and sizes.
const (
	DefaultConnectTimeout = 15 * time.Second
	DefaultLockTimeout    = 10 * time.Second
	DefaultSlotTimeout    = 5 * time.Minute
	DefaultReadBuffer     = 512 << 10
)

// maxIdentifier is NAMEDATALEN - 1: the longest identifier of PostgreSQL.
const maxIdentifier = 63

// slotName is what PostgreSQL accepts as a replication slot's name.
var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// Config says where the source is and what of it is replicated.
type Config struct {
	// DSN is a connection URL or a keyword/value string as libpq takes it;
	// PG* environment variables and ~/.pgpass fill what it leaves out.
	DSN string
	// Slot is the replication slot's name: a-z, 0-9 and _, at most 63.
	Slot string
	// Publication is the publication's name as it is stored, unquoted.
	Publication string
	// Managed says that walshift makes the publication where it doesn't exist.
	Managed bool
	// Include and Exclude are globs over schema.table in which * stands for
	// any characters and ? for one. A table is replicated when it is in the
	// publication, matches Include (empty: everything) and not Exclude.
	Include, Exclude []string
	// ConnectTimeout bounds each attempt to connect; 0 means the default.
	ConnectTimeout time.Duration
	// LockTimeout bounds the wait for walshift's own ACCESS SHARE locks; 0
	// means the default. While one waits, later requests queue behind it.
	LockTimeout time.Duration
	// SlotTimeout bounds the wait for a new slot's consistent point, which
	// takes as long as the oldest transaction runs; 0 means the default.
	SlotTimeout time.Duration
	// ReadBuffer is the stream's buffer in bytes, 64 KiB to 16 MiB; it grows
	// for a larger message and shrinks again. 0 means the default.
	ReadBuffer int
}

// withDefaults returns c with zero fields filled.
func (c Config) withDefaults() Config {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = DefaultLockTimeout
	}
	if c.SlotTimeout == 0 {
		c.SlotTimeout = DefaultSlotTimeout
	}
	if c.ReadBuffer == 0 {
		c.ReadBuffer = DefaultReadBuffer
	}
	return c
}

// Validate reports all faults of c at once, joined; nil if there is none.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	d := c.withDefaults()
	if c.DSN == "" {
		bad("source.dsn is empty: want a URL (postgres://user@host/db) or keywords (host=… dbname=…)")
	} else if _, err := parseDSN(c.DSN); err != nil {
		errs = append(errs, err)
	}
	if !slotName.MatchString(c.Slot) {
		bad("source.slot %q: want 1 to 63 of a-z, 0-9 and _", c.Slot)
	}
	if c.Publication == "" || len(c.Publication) > maxIdentifier {
		bad("source.publication.name %q: want 1 to %d bytes", c.Publication, maxIdentifier)
	}
	for _, g := range c.Include {
		if g == "" {
			bad("source.tables.include has an empty pattern")
		}
	}
	for _, g := range c.Exclude {
		if g == "" {
			bad("source.tables.exclude has an empty pattern")
		}
	}
	if d.ConnectTimeout < time.Second || d.ConnectTimeout > time.Hour {
		bad("source connect timeout %s: want 1s to 1h", d.ConnectTimeout)
	}
	if d.LockTimeout < 100*time.Millisecond || d.LockTimeout > time.Hour {
		bad("source lock timeout %s: want 100ms to 1h", d.LockTimeout)
	}
	if d.SlotTimeout < 100*time.Millisecond {
		bad("source slot timeout %s: want at least 100ms", d.SlotTimeout)
	}
	if d.ReadBuffer < 64<<10 || d.ReadBuffer > 16<<20 {
		bad("source read buffer %d: want 65536 to 16777216 bytes", d.ReadBuffer)
	}
	return errors.Join(errs...)
}

// errDSN stands in for the driver's error, whose text quotes the connection
// string and masks passwords only where it recognises them.
var errDSN = errors.New("source.dsn is not a valid connection string: " +
	"check its syntax, sslmode, certificate files and service name " +
	"(percent-encode special characters of a password in a URL)")

func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	cc, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errDSN
	}
	return cc, nil
}
