package main

import "time"

// fileConfig is the configuration file. Each key's default, range and text
// stand in settings; a test compares the two, both ways.
type fileConfig struct {
	Pipeline string         `koanf:"pipeline"`
	Source   sourceSection  `koanf:"source"`
	Snapshot snapSection    `koanf:"snapshot"`
	Log      logSection     `koanf:"log"`
	Redshift houseSection   `koanf:"redshift"`
	Target   targetSection  `koanf:"target"`
	Batch    batchSection   `koanf:"batch"`
	Apply    applySection   `koanf:"apply"`
	Values   valuesSection  `koanf:"values"`
	Tables   []tableSection `koanf:"tables"`
	Limits   limitsSection  `koanf:"limits"`
	HTTP     httpSection    `koanf:"http"`
	Logging  loggingSection `koanf:"logging"`
}

type sourceSection struct {
	DSN           string             `koanf:"dsn"`
	Slot          string             `koanf:"slot"`
	SlotTimeout   time.Duration      `koanf:"slot_timeout"`
	WatchInterval time.Duration      `koanf:"watch_interval"`
	Publication   publicationSection `koanf:"publication"`
	Tables        tablesSection      `koanf:"tables"`
}

type publicationSection struct {
	Name string `koanf:"name"`
	Mode string `koanf:"mode"`
}

type tablesSection struct {
	Include []string `koanf:"include"`
	Exclude []string `koanf:"exclude"`
}

type snapSection struct {
	Mode          string      `koanf:"mode"`
	LSN           string      `koanf:"lsn"`
	Parallelism   int         `koanf:"parallelism"`
	RowsPerSecond int         `koanf:"rows_per_second"`
	Window        windowSpecs `koanf:"window"`
	FileBytes     byteSize    `koanf:"file_bytes"`
}

// windowSpecs are the spans of a window, for replicator.ParseWindow; a single
// one may be written as plain text.
type windowSpecs []string

type logSection struct {
	URL         string        `koanf:"url"`
	Region      string        `koanf:"region"`
	Endpoint    string        `koanf:"endpoint"`
	KMSKey      string        `koanf:"kms_key"`
	Compression string        `koanf:"compression"`
	Retention   time.Duration `koanf:"retention"`
}

type houseSection struct {
	DSN     string         `koanf:"dsn"`
	IAMRole string         `koanf:"iam_role"`
	Session sessionSection `koanf:"session"`
	Grants  []grantSection `koanf:"grants"`
}

type sessionSection struct {
	QueryGroup       string        `koanf:"query_group"`
	StatementTimeout time.Duration `koanf:"statement_timeout"`
}

// grantSection is one GRANT on the target tables, and USAGE on their schemas.
type grantSection struct {
	// To is "user NAME", "group NAME", "role NAME" or "public"; the name is
	// everything after the first blank, unquoted. See grantee.
	To         string   `koanf:"to"`
	Privileges []string `koanf:"privileges"`
	Tables     []string `koanf:"tables"`
}

type targetSection struct {
	Schemas       map[string]string `koanf:"schemas"`
	Existing      string            `koanf:"existing"`
	CaseSensitive bool              `koanf:"case_sensitive"`
}

type batchSection struct {
	Interval time.Duration `koanf:"interval"`
	MaxAge   time.Duration `koanf:"max_age"`
	MaxBytes byteSize      `koanf:"max_bytes"`
}

type applySection struct {
	Strategy    string        `koanf:"strategy"`
	CheckCounts bool          `koanf:"check_counts"`
	Sessions    int           `koanf:"sessions"`
	Window      windowSpecs   `koanf:"window"`
	ParkedRetry time.Duration `koanf:"parked_retry"`
}

// valuesSection says what becomes of values that Redshift can't hold. In a
// table's section, and in a column's in it, "" stands for the next wider one.
type valuesSection struct {
	Oversize         string `koanf:"oversize"`
	UnboundedNumeric string `koanf:"unbounded_numeric"`
	NaN              string `koanf:"nan"`
	Infinity         string `koanf:"infinity"`
	OutOfRange       string `koanf:"out_of_range"`
	EmptyBytes       string `koanf:"empty_bytes"`
	// Accept is nil where the section doesn't say it.
	Accept []string `koanf:"accept"`
}

// tableSection holds what differs for the tables that match.
type tableSection struct {
	Match   string                   `koanf:"match"`
	Values  valuesSection            `koanf:"values"`
	Columns map[string]valuesSection `koanf:"columns"`
}

type limitsSection struct {
	Memory   byteSize `koanf:"memory"`
	SpoolDir string   `koanf:"spool_dir"`
	Spool    byteSize `koanf:"spool"`
}

type httpSection struct {
	Listen    string `koanf:"listen"`
	WebConfig string `koanf:"web_config"`
}

type loggingSection struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}
