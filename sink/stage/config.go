package stage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// Defaults and limits of [Config].
const (
	DefaultFileBytes = 32 << 20
	DefaultParallel  = 8
	DefaultTimeout   = 30 * time.Second

	minFileBytes = 64 << 10
	// COPY wants files of up to 1 GB after compression (redshift-facts 1.14).
	maxFileBytes = 1 << 30
	maxParallel  = 64
	minTimeout   = time.Second
)

// Config says where the log is and how its files are written. Fields that are
// zero take the defaults named at them.
type Config struct {
	// URL is s3://bucket/prefix; the prefix may be empty.
	URL string
	// Pipeline names the folder below the prefix.
	Pipeline string
	// Region is the bucket's; by default what the AWS SDK finds in the
	// environment or profile.
	Region string
	// Endpoint is the URL of an S3-compatible server, addressed by path; by
	// default AWS.
	Endpoint string
	// KMSKey is the id or ARN of the key for SSE-KMS; by default objects are
	// encrypted as the bucket says.
	KMSKey string
	// AccessKeyID, SecretAccessKey and SessionToken are static credentials;
	// by default the SDK's chain (environment, profile, role).
	AccessKeyID     string
	SecretAccessKey string `json:"-"`
	SessionToken    string `json:"-"`
	// Compression is Zstd (the default) or Gzip.
	Compression string
	// FileBytes is the compressed size at which a file is cut, 64 KiB to
	// 1 GiB; DefaultFileBytes.
	FileBytes int64
	// Parallel is the number of concurrent requests, 1 to 64;
	// DefaultParallel.
	Parallel int
	// Timeout bounds each request, without the time that a body needs at
	// minUploadRate; at least 1 s; DefaultTimeout.
	Timeout time.Duration
	// Values say what becomes of values that don't fit their column. The zero
	// value stops a table at the first.
	Values sqltext.ValueRules
	// Observe is told of every request that went out, by S3's name of the
	// operation; it is called from many goroutines at once. May be nil.
	Observe func(operation string, o Outcome) `json:"-"`
}

// String names the place and nothing secret.
func (c Config) String() string { return c.URL + " (pipeline " + c.Pipeline + ")" }

// GoString is String: %#v must not show the secret either.
func (c Config) GoString() string { return c.String() }

// WithDefaults returns c with defaults in the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.Compression == "" {
		c.Compression = Zstd
	}
	if c.FileBytes == 0 {
		c.FileBytes = DefaultFileBytes
	}
	if c.Parallel == 0 {
		c.Parallel = DefaultParallel
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return c
}

// Validate reports every fault of the configuration, defaults applied, by
// field, value and allowed range.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	if _, _, err := c.place(); err != nil {
		errs = append(errs, err)
	}
	if err := checkName("pipeline", c.Pipeline); err != nil {
		errs = append(errs, err)
	}
	if c.Compression != Zstd && c.Compression != Gzip {
		errs = append(errs, fmt.Errorf("compression %q: want %q or %q", c.Compression, Zstd, Gzip))
	}
	if c.FileBytes < minFileBytes || c.FileBytes > maxFileBytes {
		errs = append(errs, fmt.Errorf("file bytes %d: want %d to %d", c.FileBytes, minFileBytes, maxFileBytes))
	}
	if c.Parallel < 1 || c.Parallel > maxParallel {
		errs = append(errs, fmt.Errorf("parallel %d: want 1 to %d", c.Parallel, maxParallel))
	}
	if c.Timeout < minTimeout {
		errs = append(errs, fmt.Errorf("timeout %s: want at least %s", c.Timeout, minTimeout))
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		errs = append(errs, errors.New("access key id and secret access key: want both or neither"))
	}
	errs = append(errs, c.Values.Validate())
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, fmt.Errorf("endpoint %q: want http://host:port or https://host", c.Endpoint))
		}
	}
	return errors.Join(errs...)
}

// place splits the URL into bucket and the pipeline's folder, which ends in a
// slash.
func (c Config) place() (bucket, folder string, err error) {
	rest, ok := strings.CutPrefix(c.URL, "s3://")
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" || strings.ContainsAny(bucket, ":@?#") {
		return "", "", fmt.Errorf("log url %q: want s3://bucket/prefix", c.URL)
	}
	prefix = strings.Trim(prefix, "/")
	if strings.Contains(prefix, "//") || strings.ContainsAny(prefix, "?#\\\"'") {
		return "", "", fmt.Errorf("log url %q: want a prefix without empty parts, quotes, backslashes, ? and #", c.URL)
	}
	if prefix != "" {
		prefix += "/"
	}
	return bucket, prefix + c.Pipeline + "/", nil
}

// Memory is an upper bound, in bytes, of what the log holds while writers
// segments or snapshot parts are being written at the same time: for each a
// file that grows, for all together the files on their way to S3 and one idle
// buffer. Buffers grow by a quarter at a time.
func (c Config) Memory(writers int) int64 {
	c = c.WithDefaults()
	file := c.FileBytes + c.FileBytes/4
	idle := file + int64(c.Parallel)*idleCoderBytes
	return int64(writers)*(file+coderBytes+incidentBytes) + c.inFlight() + idle
}

const (
	// coderBytes covers a zstd encoder with its window, a record of the
	// largest size that waits to be compressed, and what a file exceeds
	// FileBytes by; idleCoderBytes the encoder alone.
	coderBytes     = 16 << 20
	idleCoderBytes = 5 << 20
	// incidentBytes is what a writer of incidents holds.
	incidentBytes = idleCoderBytes + 2*incidentFileBytes
)

// inFlight is how many bytes of finished files may be on their way at once.
func (c Config) inFlight() int64 { return 2 * c.FileBytes }
