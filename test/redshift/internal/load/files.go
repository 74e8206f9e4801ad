package load

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Store reads objects. A missing object gives an error that wraps [ErrMissing].
type Store interface {
	Open(ctx context.Context, bucket, key string) (io.ReadCloser, int64, error)
	Size(ctx context.Context, bucket, key string) (int64, error)
	List(ctx context.Context, bucket, prefix string) ([]string, error)
}

// ErrMissing says that there is no such object.
var ErrMissing = errors.New("object does not exist")

// File is one object to load.
type File struct{ Bucket, Key string }

// URL gives the file's name as the system tables show it.
func (f File) URL() string { return "s3://" + f.Bucket + "/" + f.Key }

// ParseURL cuts s3://bucket/key.
func ParseURL(url string) (File, error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	bucket, key, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" || key == "" {
		return File{}, stmtErr("The specified S3 path %q is not valid", url)
	}
	return File{bucket, key}, nil
}

type manifest struct {
	Entries []struct {
		URL       string `json:"url"`
		Mandatory bool   `json:"mandatory"`
		Meta      *struct {
			ContentLength *int64 `json:"content_length"`
		} `json:"meta"`
	} `json:"entries"`
}

// Files lists what FROM names: the manifest's entries, or all keys with that
// prefix.
func Files(ctx context.Context, st Store, url string, isManifest, needLength bool) ([]File, error) {
	at, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	if !isManifest {
		keys, err := st.List(ctx, at.Bucket, at.Key)
		if err != nil {
			return nil, stmtErr("S3ServiceException: %s", reason(err))
		}
		if len(keys) == 0 {
			return nil, stmtErr("The specified S3 prefix '%s' does not exist", at.Key)
		}
		files := make([]File, len(keys))
		for i, k := range keys {
			files[i] = File{at.Bucket, k}
		}
		return files, nil
	}
	m, err := readManifest(ctx, st, at)
	if err != nil {
		return nil, err
	}
	return m.files(ctx, st, needLength)
}

func readManifest(ctx context.Context, st Store, at File) (*manifest, error) {
	r, _, err := st.Open(ctx, at.Bucket, at.Key)
	if err != nil {
		return nil, stmtErr("Problem reading manifest file - S3ServiceException: %s", reason(err))
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxSuper))
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil || m.Entries == nil {
		return nil, stmtErr("Manifest file is not in correct json format")
	}
	return &m, nil
}

func (m *manifest) files(ctx context.Context, st Store, needLength bool) ([]File, error) {
	var files []File
	for _, e := range m.Entries {
		f, err := ParseURL(e.URL)
		if err != nil || strings.HasSuffix(f.Key, "/") {
			return nil, stmtErr("Manifest file contains an invalid entry: error code 8001, a full object path is needed")
		}
		if needLength && (e.Meta == nil || e.Meta.ContentLength == nil) {
			return nil, stmtErr("Manifest entry lacks meta.content_length, which this format needs")
		}
		size, err := st.Size(ctx, f.Bucket, f.Key)
		switch {
		case errors.Is(err, ErrMissing) && !e.Mandatory:
			continue
		case err != nil:
			return nil, stmtErr("Error accessing %s: %s", f.URL(), reason(err))
		}
		if e.Meta != nil && e.Meta.ContentLength != nil && *e.Meta.ContentLength != size {
			return nil, stmtErr("File size of %s is %d bytes, the manifest's content_length is %d", f.URL(), size, *e.Meta.ContentLength)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, stmtErr("No valid input files found: none of the files of the manifest exists")
	}
	return files, nil
}

func reason(err error) string {
	if errors.Is(err, ErrMissing) {
		return "The specified key does not exist.,Status 404,Error NoSuchKey"
	}
	return err.Error()
}

// decompress opens the stream inside a compressed file.
func decompress(r io.Reader, method string) (io.Reader, func(), error) {
	switch method {
	case "GZIP":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, stmtErr("Failed to read GZIP file: %v", err)
		}
		return z, func() {}, nil
	case "ZSTD":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, stmtErr("Failed to read ZSTD file: %v", err)
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}
