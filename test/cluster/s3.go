package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const s3ShutdownLimit = 5 * time.Second

// S3Config says how an S3 server differs from the usual one. Empty fields take
// the values of the comments.
type S3Config struct {
	Dir       string // the folder below which the server's own is made; the system's for temporary files
	Region    string // eu-central-1
	AccessKey string // walshift
	SecretKey string // walshift-secret
	TLS       *Certificate
}

// S3 is an S3 server (versitygw) over a folder. It verifies signatures and
// checksums, and keeps conditional writes.
type S3 struct {
	*server
	program string
	cfg     S3Config
}

// StartS3 starts an empty S3 server. The program is WALSHIFT_VERSITYGW, else
// the one that test/install.sh has put into the tool cache.
func StartS3(ctx context.Context, cfg S3Config) (*S3, error) {
	program, err := versitygw()
	if err != nil {
		return nil, err
	}
	srv, err := newServer("s3", cfg.Dir, nil, syscall.SIGKILL)
	if err != nil {
		return nil, err
	}
	s := &S3{server: srv, program: program, cfg: cfg}
	for field, value := range map[*string]string{
		&s.cfg.Region: "eu-central-1", &s.cfg.AccessKey: "walshift", &s.cfg.SecretKey: "walshift-secret",
	} {
		if *field == "" {
			*field = value
		}
	}
	if err = errors.Join(os.Mkdir(s.Dir(), 0o755), os.Mkdir(s.metadata(), 0o755)); err == nil {
		err = s.start(ctx, s.command, s.ready)
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// versitygw finds the server's program.
func versitygw() (string, error) {
	program := os.Getenv("WALSHIFT_VERSITYGW")
	if program == "" {
		cache, err := cacheDir()
		if err != nil {
			return "", err
		}
		program = filepath.Join(cache, "bin", "versitygw")
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("finding the S3 server: %w: run test/install.sh runtime, or set WALSHIFT_VERSITYGW to its program", err)
	}
	return filepath.Abs(program)
}

// Dir is the folder that holds the buckets: one folder each, with a file for
// each object.
func (s *S3) Dir() string { return filepath.Join(s.dir, "buckets") }

// metadata keeps what does not fit in a file of the object's own. A folder
// works on every file system, extended attributes don't.
func (s *S3) metadata() string { return filepath.Join(s.dir, "metadata") }

func (s *S3) command(int) *exec.Cmd {
	args := []string{"--port", s.address(), "--region", s.cfg.Region, "--quiet", "--keep-alive"}
	if s.cfg.TLS != nil {
		args = append(args, "--cert", s.cfg.TLS.CertFile, "--key", s.cfg.TLS.KeyFile)
	}
	cmd := exec.Command(s.program, append(args, "posix", "--sidecar", s.metadata(), s.Dir())...)
	cmd.Dir = s.dir
	cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + s.cfg.AccessKey, "ROOT_SECRET_ACCESS_KEY=" + s.cfg.SecretKey}
	return cmd
}

// ready returns nil when the server answers.
func (s *S3) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := s.Client().ListBuckets(ctx, &s3.ListBucketsInput{})
	return err
}

// Endpoint is the server's URL. Buckets are addressed by path, not by host.
func (s *S3) Endpoint() string {
	if s.cfg.TLS != nil {
		return "https://" + s.address()
	}
	return "http://" + s.address()
}

// Region is the region that requests must be signed for.
func (s *S3) Region() string { return s.cfg.Region }

// AccessKey is the id of the only account.
func (s *S3) AccessKey() string { return s.cfg.AccessKey }

// SecretKey is the secret of the only account.
func (s *S3) SecretKey() string { return s.cfg.SecretKey }

// Client returns a client of the server's only account, which does not retry.
func (s *S3) Client() *s3.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	if s.cfg.TLS != nil {
		transport.TLSClientConfig = trusting(s.cfg.TLS.CAFile)
	}
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Endpoint()),
		Region:       s.cfg.Region,
		UsePathStyle: true,
		HTTPClient:   &http.Client{Transport: transport},
		Retryer:      aws.NopRetryer{},
		Credentials:  credentials.NewStaticCredentialsProvider(s.cfg.AccessKey, s.cfg.SecretKey, ""),
		// Options made by hand send no checksums unless told to.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
	})
}

// CreateBucket creates a bucket.
func (s *S3) CreateBucket(ctx context.Context, name string) error {
	if _, err := s.Client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		return fmt.Errorf("creating bucket %s: %w", name, err)
	}
	return nil
}

// Pause freezes the server: connections stay open and are accepted, but nothing
// is answered until Resume.
func (s *S3) Pause() { s.proc.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *S3) Resume() { s.proc.Signal(syscall.SIGCONT) }

// Halt ends the server and keeps its data; connections are refused from then on.
func (s *S3) Halt() {
	s.Resume()
	if !s.proc.End(syscall.SIGTERM, s3ShutdownLimit) {
		s.proc.Kill()
	}
}

// Restart starts the server again on the data it left, after a Halt of its own
// if it still runs.
func (s *S3) Restart(ctx context.Context) error {
	s.Halt()
	return s.start(ctx, s.command, s.ready)
}

// Stop ends the server and removes its data. Further calls do nothing.
func (s *S3) Stop() error {
	s.Halt()
	return s.remove()
}
