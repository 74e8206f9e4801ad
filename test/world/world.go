package world

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/redshift"
)

// Bucket and role names of every world.
const (
	Bucket   = "lake"
	Pipeline = "shop"
	loader   = "loader"
	loaderPW = "Loader-secret-pw1"
	iamRole  = "arn:aws:iam::123456789012:role/walshift-copy"
)

// Config says how a world differs from the usual one.
type Config struct {
	// DDL makes the application's tables, run as their owner.
	DDL string
	// Publish lists the tables of schema public to publish; empty: what Include
	// selects.
	Publish []string
	// Include is source.tables.include; empty: public.*.
	Include []string
	// Settings of the source's postgresql.conf.
	Settings map[string]string
	// Race builds the daemon with the race detector.
	Race bool
	// Tags are build tags of the daemon.
	Tags string
	// TLS makes the source and the stand-in demand TLS, by a CA of their own.
	TLS bool
	// Elsewhere says that the log and the warehouse are not this world's: it
	// starts no S3 server and no stand-in, and Sections must name both.
	Elsewhere bool
	// Wrap may put something between the daemon and the warehouse: it gets the
	// stand-in's address and returns the one to use.
	Standin func(*redshift.Config)
}

// World is everything around walshift. Its methods are not safe for concurrent
// use unless they say so.
type World struct {
	Dir     string
	PG      *cluster.Postgres
	Source  *cluster.Source
	Backend *cluster.Postgres
	S3      *cluster.S3
	Target  *redshift.Server
	// Extra is YAML appended to the configuration by WriteConfig.
	Extra string
	// Sections override whole lines of the configuration by their key, for
	// instance "batch": "{interval: 200ms}".
	Sections map[string]string

	cfg    Config
	binary string
	addr   string
	daemon *Daemon
	// targetDSN is kept, so that it can be used while the target is down.
	targetDSN string
	target    redshift.Config
	// prepared says for which target sections the loader has its rights.
	prepared map[string]bool
}

// Start starts a world. Stop must be called, also after an error.
func Start(ctx context.Context, cfg Config) (*World, error) {
	w := &World{cfg: cfg, Sections: map[string]string{}, prepared: map[string]bool{}}
	return w, w.start(ctx)
}

func (w *World) start(ctx context.Context) error {
	var err error
	if w.Dir, err = os.MkdirTemp("", "walshift-world-"); err != nil {
		return err
	}
	if err := os.Chmod(w.Dir, 0o755); err != nil { // PostgreSQL's user must reach its folder in it
		return err
	}
	var sourceTLS, targetTLS *cluster.Certificate
	if w.cfg.TLS {
		ca, err := cluster.NewCA(w.Dir)
		if err != nil {
			return err
		}
		if sourceTLS, err = ca.Issue("127.0.0.1"); err != nil {
			return err
		}
		targetTLS = sourceTLS
	}
	settings := map[string]string{"autovacuum": "off"}
	maps.Copy(settings, w.cfg.Settings)
	// WALSHIFT_SOURCE_PG_BIN sets the source's version alone: the stand-in
	// needs PostgreSQL 15 or later.
	if w.PG, err = cluster.StartPostgres(ctx, cluster.PostgresConfig{
		Settings: settings, TLS: sourceTLS, Bin: os.Getenv("WALSHIFT_SOURCE_PG_BIN"),
	}); err != nil {
		return fmt.Errorf("starting the source: %w", err)
	}
	if w.Source, err = w.PG.CreateApplication(ctx, cluster.SourceConfig{Database: Pipeline, DDL: w.cfg.DDL}); err != nil {
		return fmt.Errorf("making the application: %w", err)
	}
	if !w.cfg.Elsewhere {
		if err := w.startElse(ctx, targetTLS); err != nil {
			return err
		}
	}
	if w.addr, err = freeAddr(ctx); err != nil {
		return err
	}
	if w.binary, err = Build(ctx, w.cfg.Race, w.cfg.Tags); err != nil {
		return err
	}
	if err := w.prepareSource(ctx); err != nil {
		return err
	}
	return w.prepareTarget(ctx)
}

// startElse starts what is beside the source.
func (w *World) startElse(ctx context.Context, targetTLS *cluster.Certificate) (err error) {
	if w.S3, err = cluster.StartS3(ctx, cluster.S3Config{}); err != nil {
		return fmt.Errorf("starting S3: %w", err)
	}
	if err := w.S3.CreateBucket(ctx, Bucket); err != nil {
		return err
	}
	return w.startTarget(ctx, targetTLS)
}

func (w *World) startTarget(ctx context.Context, tls *cluster.Certificate) error {
	var err error
	if w.Backend, err = cluster.StartPostgres(ctx, cluster.PostgresConfig{}); err != nil {
		return fmt.Errorf("starting the stand-in's backend: %w", err)
	}
	cfg := redshift.Config{
		Backend: w.Backend.SuperuserDSN("dev"),
		S3: redshift.S3{
			Endpoint: w.S3.Endpoint(), Region: w.S3.Region(), PathStyle: true,
			AccessKey: w.S3.AccessKey(), Secret: w.S3.SecretKey(),
		},
	}
	if tls != nil {
		if cfg.TLS, err = tlsConfig(tls); err != nil {
			return err
		}
	}
	if w.cfg.Standin != nil {
		w.cfg.Standin(&cfg)
	}
	if w.Target, err = redshift.Start(ctx, cfg); err != nil {
		return fmt.Errorf("starting the stand-in: %w", err)
	}
	w.targetDSN = w.Target.DSN(loader, loaderPW, "")
	w.target = cfg
	w.target.Listen = w.Target.Addr()
	if err := w.createAdmin(ctx); err != nil {
		return fmt.Errorf("creating the stand-in's administrator: %w", err)
	}
	return nil
}

// HaltTarget makes the warehouse unreachable: sessions end, connections are
// refused. Its data stay.
func (w *World) HaltTarget() error { return w.Target.Close() }

// RestartTarget brings the warehouse back at the same address.
func (w *World) RestartTarget(ctx context.Context) error {
	s, err := redshift.Start(ctx, w.target)
	if err != nil {
		return fmt.Errorf("starting the stand-in again: %w", err)
	}
	w.Target = s
	return nil
}

// Stop ends everything and removes its files.
func (w *World) Stop() error {
	var errs []error
	if w.Dir != "" {
		errs = append(errs, w.leaked())
	}
	w.KillDaemon()
	if w.Target != nil {
		errs = append(errs, w.Target.Close())
	}
	if w.Backend != nil {
		errs = append(errs, w.Backend.Stop())
	}
	if w.S3 != nil {
		errs = append(errs, w.S3.Stop())
	}
	if w.PG != nil {
		errs = append(errs, w.PG.Stop())
	}
	if w.Dir != "" {
		errs = append(errs, os.RemoveAll(w.Dir))
	}
	return errors.Join(errs...)
}

// StopTarget ends the warehouse for good.
func (w *World) StopTarget() error {
	t := w.Target
	w.Target = nil
	if t == nil {
		return nil
	}
	return t.Close()
}

// TargetDSN is the loader's DSN of the warehouse.
func (w *World) TargetDSN() string { return w.targetDSN }

// Config returns the daemon's configuration as YAML.
func (w *World) Config() string {
	sections := map[string]string{
		"pipeline": Pipeline,
		"source":   fmt.Sprintf("{dsn: %q, tables: {include: [%s]}}", w.Source.ReplicatorDSN(), w.include()),
		"batch":    "{interval: 300ms, max_age: 1s}",
		"http":     fmt.Sprintf("{listen: %q}", w.addr),
		"logging":  "{level: debug}",
	}
	if !w.cfg.Elsewhere {
		sections["log"] = fmt.Sprintf("{url: %q, region: %q, endpoint: %q}", "s3://"+Bucket+"/test", w.S3.Region(), w.S3.Endpoint())
		sections["redshift"] = fmt.Sprintf("{dsn: %q, iam_role: %q}", w.TargetDSN(), iamRole)
	}
	maps.Copy(sections, w.Sections)
	// Worlds share the machine, and its usual folder is not theirs.
	if limits := strings.TrimPrefix(sections["limits"], "{"); !strings.Contains(limits, "spool_dir") {
		if limits == "" {
			limits = "}"
		}
		sections["limits"] = strings.Replace(fmt.Sprintf("{spool_dir: %q, %s", w.SpoolDir(), limits), ", }", "}", 1)
	}
	var b strings.Builder
	for k, v := range sections {
		fmt.Fprintf(&b, "%s: %s\n", k, v)
	}
	return b.String()
}

// SpoolDir is where the daemon keeps transactions in progress.
func (w *World) SpoolDir() string { return filepath.Join(w.Dir, "spool") }

// include is the list of source.tables.include.
func (w *World) include() string {
	patterns := []string{`"public.*"`}
	if len(w.cfg.Include) > 0 {
		patterns = patterns[:0]
		for _, p := range w.cfg.Include {
			patterns = append(patterns, fmt.Sprintf("%q", p))
		}
	}
	return strings.Join(patterns, ", ")
}

// Env is the daemon's environment beside the caller's.
func (w *World) Env() []string {
	if w.cfg.Elsewhere {
		return nil
	}
	return []string{
		"AWS_ACCESS_KEY_ID=" + w.S3.AccessKey(), "AWS_SECRET_ACCESS_KEY=" + w.S3.SecretKey(),
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// WriteConfig writes the configuration and returns its path.
func (w *World) WriteConfig() (string, error) {
	path := filepath.Join(w.Dir, "walshift.yaml")
	// Another process may be reading the file that this one replaces.
	if err := os.WriteFile(path+".new", []byte(w.Config()), 0o600); err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}

// Run starts the daemon. Only one runs at a time.
func (w *World) Run(ctx context.Context, env ...string) (*Daemon, error) {
	if err := w.prepareTarget(ctx); err != nil {
		return nil, err
	}
	path, err := w.WriteConfig()
	if err != nil {
		return nil, err
	}
	w.daemon, err = w.startDaemon(ctx, path, append(w.Env(), env...))
	return w.daemon, err
}

// KillDaemon ends the daemon that was started last, if it still runs.
func (w *World) KillDaemon() {
	if w.daemon != nil {
		w.daemon.Kill()
	}
}

// Command runs another subcommand to its end and returns its output and exit
// code.
func (w *World) Command(ctx context.Context, args ...string) (string, int, error) {
	if err := w.prepareTarget(ctx); err != nil {
		return "", 0, err
	}
	path, err := w.WriteConfig()
	if err != nil {
		return "", 0, err
	}
	cmd := exec.CommandContext(ctx, w.binary, append(args, "-c", path)...)
	cmd.Env = append(os.Environ(), w.Env()...)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	err = errors.Join(err, leaks("walshift "+args[0], string(out)))
	return string(out), cmd.ProcessState.ExitCode(), err
}

// SQL runs statements on the source as the application's owner.
func (w *World) SQL(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, w.Source.OwnerDSN())
	if err != nil {
		return fmt.Errorf("connecting as the owner: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("running %.80q: %w", s, err)
		}
	}
	return nil
}

// SourceSide and TargetSide are the two databases to compare, read as the
// application's owner and as the loader.
func (w *World) SourceSide() Side {
	return Side{DSN: w.Source.OwnerDSN(), Prepare: []string{"SET TimeZone = 'UTC'", "SET DateStyle = 'ISO'", "SET extra_float_digits = 3"}}
}

// TargetSide is the warehouse, read as the loader.
func (w *World) TargetSide() Side { return Side{DSN: w.TargetDSN()} }

// Compare compares a table by the same column list on both sides, and returns
// what differs, "" if nothing does.
func (w *World) Compare(ctx context.Context, table, columns string) (string, error) {
	q := "SELECT " + columns + " FROM " + table
	src, err := w.SourceSide().Rows(ctx, q)
	if err != nil {
		return "", fmt.Errorf("reading %s on the source: %w", table, err)
	}
	dst, err := w.TargetSide().Rows(ctx, q)
	if err != nil {
		return "", fmt.Errorf("reading %s on the target: %w", table, err)
	}
	return Difference(src, dst), nil
}

// WaitApplied runs `walshift wait`.
func (w *World) WaitApplied(ctx context.Context, timeout time.Duration) error {
	out, code, err := w.Command(ctx, "wait", "--timeout", timeout.String())
	if err != nil {
		return err
	}
	if code != 0 {
		tail := ""
		if w.daemon != nil {
			tail = w.daemon.LogTail(30)
		}
		return fmt.Errorf("walshift wait: exit code %d: %s\n%s", code, out, tail)
	}
	return nil
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// builds remembers the binaries of this process, by flags.
var builds sync.Map //nolint:gochecknoglobals // one build per process and flag set

// Build builds ./cmd/walshift once per process and returns the binary's path.
// Go's build cache makes later processes cheap.
func Build(ctx context.Context, race bool, tags string) (string, error) {
	key := fmt.Sprint(race, tags)
	once, _ := builds.LoadOrStore(key, sync.OnceValues(func() (string, error) {
		return build(context.WithoutCancel(ctx), race, tags)
	}))
	return once.(func() (string, error))() //nolint:forcetypeassert // stored above
}

func build(ctx context.Context, race bool, tags string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "walshift-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "walshift")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	if tags != "" {
		args = append(args, "-tags", tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/walshift")...)
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building walshift: %w\n%s", err, out)
	}
	return path, nil
}

// Cleanup removes the binaries that this process built.
func Cleanup() {
	builds.Range(func(_, once any) bool {
		if path, err := once.(func() (string, error))(); err == nil { //nolint:forcetypeassert // stored by Build
			_ = os.RemoveAll(filepath.Dir(path))
		}
		return true
	})
}
