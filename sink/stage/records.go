package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/walshift/walshift/replicator/change"
)

// ReadRecords returns the records of a data file, uncompressed, after comparing
// the object with its entry in the manifest. Records above limit bytes, of
// which not more are unpacked, are [change.ErrTooLarge]. A file that is gone or
// changed is a fault of scope ScopeLoop.
func (l *Log) ReadRecords(ctx context.Context, f *change.File, limit int64) ([]byte, error) {
	r, err := l.OpenRecords(ctx, f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	records, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: decompressing: %w", f.Key, err)
	case int64(len(records)) > limit:
		return nil, fmt.Errorf("reading %s: %w", f.Key, change.ErrTooLarge)
	}
	return records, nil
}

// OpenRecords is ReadRecords for records of any size: the object, of at most
// [Config.FileBytes] or little more, is held in memory and compared, and its
// records are unpacked as they are read. The caller closes the reader.
func (l *Log) OpenRecords(ctx context.Context, f *change.File) (io.ReadCloser, error) {
	op := "reading " + f.Key
	body, err := l.getFile(ctx, f)
	switch {
	case err != nil && isMissing(err):
		return nil, &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeLogGap, Op: op, Err: errors.New("the object is missing"),
			Remedy: "restore the object, and take any lifecycle rule off the log's prefix",
		}
	case err != nil:
		return nil, l.fault(op, err)
	}
	sum := sha256.Sum256(body)
	if got := hex.EncodeToString(sum[:]); int64(len(body)) != f.Bytes || f.SHA256 != "" && got != f.SHA256 {
		return nil, &change.Fault{
			Scope: change.ScopeLoop, Code: change.CodeLogDamaged, Op: op,
			Err:    fmt.Errorf("the object has %d bytes with SHA-256 %.12s, the manifest says %d with %.12s", len(body), got, f.Bytes, f.SHA256),
			Remedy: "find out who changed the object and restore it",
		}
	}
	r, err := unpack(f.Compression, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return r, nil
}

func (l *Log) getFile(ctx context.Context, f *change.File) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	out, err := l.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &l.bucket, Key: aws.String(l.folder + f.Key)})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(io.LimitReader(out.Body, f.Bytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	return body, nil
}

// unpack returns a reader of what body is when decompressed.
func unpack(compression string, body []byte) (io.ReadCloser, error) {
	switch compression {
	case Zstd:
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("reading zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	case Gzip:
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("reading gzip: %w", err)
		}
		return z, nil
	}
	return nil, fmt.Errorf("unknown compression %q", compression)
}

// PutRecords writes records, which apply has put together of several files, as
// copy/<name>.csv.zst (or .gz), and returns the entry for a COPY manifest. An
// older file of the same name is replaced, so name must hold the id of the
// attempt. It goes when the COPY manifests go.
func (l *Log) PutRecords(ctx context.Context, name, marker string, rows int64, records []byte) (change.File, error) {
	f := change.File{
		Key: copyFolder + name + extension(l.cfg.Compression), Rows: rows, NullMarker: marker, Compression: l.cfg.Compression,
	}
	if err := checkName("file", name); err != nil {
		return f, fmt.Errorf("writing records: %w", err)
	}
	c, err := l.takeCoder()
	if err != nil {
		return f, fmt.Errorf("writing records: %w", err)
	}
	defer l.giveCoder(c)
	c.begin(nil, marker, l.takeBuffer())
	if _, err := c.compressor.Write(records); err != nil {
		return f, fmt.Errorf("compressing records: %w", err)
	}
	body, err := c.finish()
	if err != nil {
		return f, err
	}
	defer l.giveBuffer(body)
	f.Bytes = int64(len(body))
	sum := sha256.Sum256(body)
	f.SHA256 = hex.EncodeToString(sum[:])
	if err := l.put(ctx, object{key: f.Key, body: body, contentType: contentData, sum: f.SHA256}); err != nil {
		return f, l.fault("writing "+f.Key, err)
	}
	change.Reach(change.SeamRecordsPut)
	return f, nil
}
