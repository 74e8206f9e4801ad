package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// superuser is the cluster's only superuser. It has no password and comes
	// in by the Unix socket alone, whose folder is closed to others.
	superuser = "postgres"

	// A fast shutdown waits for walsenders until their clients have taken all
	// WAL, so a client that hangs would hold it up for wal_sender_timeout.
	fastShutdownLimit      = 10 * time.Second
	immediateShutdownLimit = 6 * time.Second

	// maxSocketDir is what a socket's address (107 bytes on Linux) leaves for
	// its folder.
	maxSocketDir = 107 - len("/.s.PGSQL.65535")
)

// PostgresConfig says how a PostgreSQL server differs from the usual one:
// logical decoding enabled, commits synchronous but never flushed to disk.
type PostgresConfig struct {
	// Dir is the folder below which the server's own folder is made; empty: the
	// system's folder for temporary files. Other users must be able to enter it
	// when the caller is root.
	Dir string

	// Bin is the folder of the server's programs; empty: WALSHIFT_PG_BIN, else
	// those of Debian's packages.
	Bin string

	// Settings are added to postgresql.conf, and win over all others.
	Settings map[string]string

	// TLS makes the server demand TLS of every client that comes by TCP.
	TLS *Certificate

	// Durable flushes to disk as a production server does. Without it a crash
	// of the server loses nothing, a crash of the machine may.
	Durable bool

	// OwnIdentity gives the cluster a system identifier of its own. Otherwise
	// clusters share one, as copies of the same initdb, which takes a tenth of
	// its time.
	OwnIdentity bool
}

// Postgres is a PostgreSQL server.
type Postgres struct {
	*server
	bin string
	cfg PostgresConfig
}

// StartPostgres makes a new, empty cluster and starts its server.
func StartPostgres(ctx context.Context, cfg PostgresConfig) (*Postgres, error) {
	bin, err := postgresBin(cfg.Bin)
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// SIGQUIT is PostgreSQL's immediate shutdown: what dies of it leaves
	// neither processes nor shared memory.
	srv, err := newServer("pg", cfg.Dir, account, syscall.SIGQUIT)
	if err != nil {
		return nil, err
	}
	p := &Postgres{server: srv, bin: bin, cfg: cfg}
	if err = p.create(ctx); err == nil {
		err = p.start(ctx, p.command, p.ready)
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// postgresBin finds the folder of PostgreSQL's programs.
func postgresBin(dir string) (string, error) {
	if dir = cmp.Or(dir, os.Getenv("WALSHIFT_PG_BIN")); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err != nil {
			return "", fmt.Errorf("finding PostgreSQL in %s: %w", dir, err)
		}
		return dir, nil
	}
	const debian = "/usr/lib/postgresql"
	// 15 is the version that most is known of; the newest comes next.
	found, _ := filepath.Glob(debian + "/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return rank(b) - rank(a) })
	if len(found) == 0 {
		return "", fmt.Errorf("finding PostgreSQL: no server below %s: run test/install.sh runtime, or set WALSHIFT_PG_BIN to the folder of its programs", debian)
	}
	return filepath.Dir(found[0]), nil
}

// rank orders the server programs /usr/lib/postgresql/MAJOR/bin/postgres.
func rank(program string) int {
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program))))
	if major == 15 {
		return 1 << 20
	}
	return major
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// create fills the data folder.
func (p *Postgres) create(ctx context.Context) error {
	if len(p.dir) > maxSocketDir {
		return fmt.Errorf("making a cluster in %s: the path is longer than the %d bytes that a Unix socket leaves it: set TMPDIR to a shorter one", p.dir, maxSocketDir)
	}
	if err := p.initialise(ctx); err != nil {
		return err
	}
	conf, err := p.conf()
	if err != nil {
		return err
	}
	files := map[string]string{"pg_hba.conf": p.hba(), "walshift.conf": conf}
	if p.cfg.TLS != nil {
		for name, from := range map[string]string{"server.crt": p.cfg.TLS.CertFile, "server.key": p.cfg.TLS.KeyFile} {
			pem, err := os.ReadFile(from)
			if err != nil {
				return fmt.Errorf("reading the server's certificate: %w", err)
			}
			files[name] = string(pem)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(p.data(), name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return p.chown()
}

// conf returns the settings, which replace those of initdb's postgresql.conf.
func (p *Postgres) conf() (string, error) {
	settings := map[string]string{
		"wal_level":                 "logical",
		"max_wal_senders":           "20",
		"max_replication_slots":     "20",
		"max_prepared_transactions": "10",
		"fsync":                     onOff(p.cfg.Durable),
		"full_page_writes":          onOff(p.cfg.Durable),
		"synchronous_commit":        "on",
		"listen_addresses":          host,
		"unix_socket_directories":   p.dir,
		"password_encryption":       "scram-sha-256",
		"ssl":                       onOff(p.cfg.TLS != nil),
		"log_line_prefix":           "%m [%p] %u@%d ",
		"log_timezone":              "UTC",
		"timezone":                  "UTC",
		// Segments of other kinds outlive a server that is killed.
		"dynamic_shared_memory_type": "mmap",
	}
	if p.collecting() {
		maps.Copy(settings, statementSettings())
	}
	maps.Copy(settings, p.cfg.Settings)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if strings.ContainsAny(name+settings[name], "\n\\") {
			return "", fmt.Errorf("writing setting %s: line breaks and backslashes are not supported", name)
		}
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	return text.String(), nil
}

func (p *Postgres) hba() string {
	kind := "host"
	if p.cfg.TLS != nil {
		kind = "hostssl"
	}
	return "local all " + superuser + " trust\n" +
		"local replication " + superuser + " trust\n" +
		"local all all scram-sha-256\n" +
		"local replication all scram-sha-256\n" +
		kind + " all all " + host + "/32 scram-sha-256\n" +
		kind + " replication all " + host + "/32 scram-sha-256\n"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// chown gives the cluster to the account that its server runs as.
func (p *Postgres) chown() error {
	if p.account == nil {
		return nil
	}
	err := filepath.WalkDir(p.data(), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(p.account.Uid), int(p.account.Gid))
	})
	if err != nil {
		return fmt.Errorf("giving the cluster to its server: %w", err)
	}
	return nil
}

func (p *Postgres) command(port int) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", p.data(), "-p", strconv.Itoa(port),
		"-c", "config_file="+filepath.Join(p.data(), "walshift.conf"))
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	return cmd
}

// ready returns nil when the server takes connections.
func (p *Postgres) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, p.SuperuserDSN("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Halt shuts the server down as an administrator would (pg_ctl stop -m fast)
// and keeps its data. Clients that hold it up are cut off after ten seconds.
func (p *Postgres) Halt() {
	if p.proc.End(syscall.SIGINT, fastShutdownLimit) || p.proc.End(syscall.SIGQUIT, immediateShutdownLimit) {
		return
	}
	p.Kill()
}

// Restart starts the server again on the data it left, after Halt, Kill or, if
// it still runs, a Halt of its own.
func (p *Postgres) Restart(ctx context.Context) error {
	p.Halt()
	return p.start(ctx, p.command, p.ready)
}

// Stop ends the server and removes its data. Further calls do nothing.
func (p *Postgres) Stop() error {
	p.Halt()
	p.removeSharedMemory()
	return errors.Join(p.collect(), p.remove())
}

// Log returns everything that the server wrote to its log since its first start.
func (p *Postgres) Log() (string, error) {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return "", fmt.Errorf("reading the server's log: %w", err)
	}
	return string(text), nil
}

// Port is the server's TCP port on 127.0.0.1.
func (p *Postgres) Port() int { return p.port }

// SocketDir is the folder of the server's Unix socket.
func (p *Postgres) SocketDir() string { return p.dir }

// Bin is the folder of the programs that belong to the server's version.
func (p *Postgres) Bin() string { return p.bin }

// DSN returns the URL of a database by TCP. With TLS it demands the server's
// certificate (verify-full).
func (p *Postgres) DSN(user, password, database string) string {
	query := url.Values{"sslmode": {"disable"}}
	if p.cfg.TLS != nil {
		query = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {p.cfg.TLS.CAFile}}
	}
	return dsn(user, password, p.address(), database, query)
}

// SocketDSN returns the URL of a database by the Unix socket.
func (p *Postgres) SocketDSN(user, password, database string) string {
	query := url.Values{"host": {p.dir}, "port": {strconv.Itoa(p.port)}, "sslmode": {"disable"}}
	return dsn(user, password, "", database, query)
}

// SuperuserDSN returns the URL of a database for the superuser, by the socket.
func (p *Postgres) SuperuserDSN(database string) string {
	return p.SocketDSN(superuser, "", database)
}

func dsn(user, password, address, database string, query url.Values) string {
	account := url.User(user)
	if password != "" {
		account = url.UserPassword(user, password)
	}
	u := url.URL{Scheme: "postgres", User: account, Host: address, Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}
