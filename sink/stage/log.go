package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/semaphore"

	"github.com/walshift/walshift/replicator/change"
)

const (
	contentJSON = "application/json"
	contentData = "application/octet-stream"
	// sumHeader is the user metadata that holds a data file's SHA-256.
	sumHeader = "sha256"
	// maxManifest bounds what is read of a manifest.
	maxManifest = 256 << 20
	// maxOriginal bounds what is read of a kept original: PostgreSQL has no
	// value above 1 GB, and prints a byte by two digits.
	maxOriginal = 2<<30 + 2
	// A conditional write that meets another one is tried again this often,
	// waiting at first up to conflictWait, at last up to maxConflictWait.
	conflictTries   = 8
	conflictWait    = 50 * time.Millisecond
	maxConflictWait = 2 * time.Second
)

// Log is the log of one pipeline on S3. It is safe for concurrent use.
type Log struct {
	client    *s3.Client
	transport *http.Transport
	cfg       Config
	bucket    string
	folder    string // of the pipeline, ends in a slash

	slots, bytes *semaphore.Weighted
	coders       chan *coder
	buffers      chan []byte
}

// Open is [New] and [Log.Ping]: it checks that the bucket can be listed. It
// creates nothing. The error is a [change.Fault] with a remedy where an
// operator can do something.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	l, err := New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := l.Ping(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// New returns the log without asking for anything of it: S3 may be away. Where
// no region or credentials are set it looks for them as the AWS SDK does.
func New(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	cfg = cfg.WithDefaults()
	bucket, folder, err := cfg.place()
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	l := &Log{
		bucket: bucket, folder: folder,
		slots:   semaphore.NewWeighted(int64(cfg.Parallel)),
		bytes:   semaphore.NewWeighted(cfg.inFlight()),
		coders:  make(chan *coder, cfg.Parallel),
		buffers: make(chan []byte, 1),
	}
	if l.client, l.transport, err = newClient(ctx, &cfg); err != nil {
		return nil, l.fault("opening log "+cfg.String(), err)
	}
	l.cfg = cfg
	return l, nil
}

// Close drops idle connections. No other method may run or be called then.
func (l *Log) Close() { l.transport.CloseIdleConnections() }

// Region returns the bucket's region, for COPY's REGION.
func (l *Log) Region() string { return l.cfg.Region }

// Commit creates the manifest of batch m.Seq, and with it the batch. All of
// its files must be durable. It may be called again after any error: an
// earlier call whose answer was lost counts (pitfall V17).
//
// A [TakenError] means that another attempt has committed that number. Errors
// of scope ScopeRetry leave open whether the batch exists.
func (l *Log) Commit(ctx context.Context, m *change.Manifest) error {
	op := fmt.Sprintf("committing batch %d", m.Seq)
	body, err := m.Encode()
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if _, err := change.DecodeManifest(body); err != nil {
		return &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeInternal, Op: op, Seq: m.Seq, Err: err,
			Remedy: "report this as a fault of walshift; nothing was written",
		}
	}
	o := object{key: manifestKey(m.Seq), body: body, contentType: contentJSON}
	err = l.create(ctx, o, func() (bool, error) {
		there, err := l.Read(ctx, m.Seq)
		switch {
		case errors.Is(err, ErrNotFound):
			return false, nil
		case err != nil:
			return false, err
		case there.Attempt != m.Attempt:
			return false, &TakenError{Manifest: there}
		}
		return true, nil
	})
	var taken *TakenError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &taken):
		return taken
	}
	return l.fault(op, err)
}

// Read returns the manifest of batch seq. The error wraps [ErrNotFound] where
// there is none; a manifest that is not what its place says is a fault of
// scope ScopeFatal.
func (l *Log) Read(ctx context.Context, seq uint64) (*change.Manifest, error) {
	op := fmt.Sprintf("reading batch %d", seq)
	body, err := l.get(ctx, manifestKey(seq))
	switch {
	case err == nil, errors.Is(err, change.ErrBadManifest):
	case isMissing(err):
		return nil, fmt.Errorf("%s: %w", op, ErrNotFound)
	default:
		return nil, l.fault(op, err)
	}
	var m *change.Manifest
	if err == nil {
		m, err = change.DecodeManifest(body)
	}
	switch {
	case err != nil:
	case m.Pipeline != l.cfg.Pipeline:
		err = fmt.Errorf("%w: it belongs to pipeline %q", change.ErrBadManifest, m.Pipeline)
	case m.Seq != seq:
		err = fmt.Errorf("%w: it says that it is batch %d", change.ErrBadManifest, m.Seq)
	default:
		return m, nil
	}
	return nil, &change.Fault{
		Scope: change.ScopeFatal, Code: change.CodeLogDamaged, Op: op, Seq: seq, Err: err,
		Remedy: "run the newest walshift that wrote to this log; if " + l.URL(manifestKey(seq)) +
			" was changed by hand, restore it, or load the tables again",
	}
}

// object is what is put.
type object struct {
	key         string // relative to the pipeline's folder
	body        []byte
	contentType string
	sum         string // SHA-256 for the metadata, or ""
	once        bool   // refuse to replace what is there
}

func (l *Log) put(ctx context.Context, o object) error {
	limit := l.cfg.Timeout + time.Duration(len(o.body))*time.Second/minUploadRate
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	in := &s3.PutObjectInput{
		Bucket: &l.bucket, Key: aws.String(l.folder + o.key), Body: bytes.NewReader(o.body),
		ContentType: &o.contentType,
	}
	if o.once {
		in.IfNoneMatch = aws.String("*")
	}
	if o.sum != "" {
		in.Metadata = map[string]string{sumHeader: o.sum}
	}
	if l.cfg.KMSKey != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &l.cfg.KMSKey
	}
	_, err := l.client.PutObject(ctx, in)
	return err
}

// get reads a small object.
func (l *Log) get(ctx context.Context, key string) ([]byte, error) {
	return l.read(ctx, key, maxManifest)
}

func (l *Log) read(ctx context.Context, key string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	out, err := l.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.bucket, Key: aws.String(l.folder + key)})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", key, err)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("%w: %s has more than %d bytes", change.ErrBadManifest, key, limit)
	}
	return body, nil
}

// create puts an object that must not exist. Where one exists, mine judges it:
// true means that it is ours (our answer was lost), false without an error that
// it is gone again. S3 answers 409 when another conditional write or a delete
// is under way.
func (l *Log) create(ctx context.Context, o object, mine func() (bool, error)) error {
	o.once = true
	var err error
	for try := range conflictTries {
		if try > 0 {
			if err := pause(ctx, try); err != nil {
				return err
			}
		}
		if err = l.put(ctx, o); err == nil {
			return nil
		}
		status, code := answer(err)
		switch {
		case status == http.StatusPreconditionFailed || code == "PreconditionFailed":
			if ours, judged := mine(); ours || judged != nil {
				return judged
			}
		case status == http.StatusConflict, isMissing(err):
		default:
			return err
		}
	}
	return err
}

// createFile puts a data file. One that is there already is ours if it is the
// same.
func (l *Log) createFile(ctx context.Context, key string, body []byte, sum string) error {
	op := "uploading " + key
	err := l.create(ctx, object{key: key, body: body, contentType: contentData, sum: sum}, func() (bool, error) {
		head, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
		defer cancel()
		there, err := l.client.HeadObject(head, &s3.HeadObjectInput{Bucket: &l.bucket, Key: aws.String(l.folder + key)})
		switch {
		case err != nil && isMissing(err):
			return false, nil
		case err != nil:
			return false, err
		case there.Metadata[sumHeader] == sum && aws.ToInt64(there.ContentLength) == int64(len(body)):
			return true, nil
		}
		return false, &change.Fault{
			Scope: change.ScopeFatal, Code: change.CodeLogTaken, Op: op,
			Err:    errors.New("another file of that name is there, and names hold the id of one attempt"),
			Remedy: "find the other writer of this pipeline's folder and stop it, then start walshift again",
		}
	})
	if err != nil {
		return l.fault(op, err)
	}
	return nil
}

// pause waits before the given try, with jitter so that racers part.
func pause(ctx context.Context, try int) error {
	wait := min(conflictWait<<(try-1), maxConflictWait)
	wait = wait/2 + rand.N(wait/2) //nolint:gosec // jitter is no secret
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
