package load

import (
	"compress/bzip2"
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

// entry is a file of a manifest.
type entry struct {
	URL       *string `json:"url"`
	Mandatory bool    `json:"mandatory"`
	Meta      *struct {
		ContentLength *int64 `json:"content_length"`
	} `json:"meta"`
}

// Files lists what FROM names: the manifest's entries, or all keys with that
// prefix.
func Files(ctx context.Context, st Store, url string, isManifest, needLength bool) ([]File, error) {
	at, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	if isManifest {
		m, err := readManifest(ctx, st, at)
		if err != nil {
			return nil, err
		}
		return manifestFiles(ctx, st, m, needLength)
	}
	keys, err := st.List(ctx, at.Bucket, at.Key)
	if err != nil {
		return nil, s3Error(url, err)
	}
	if len(keys) == 0 {
		return nil, &StatementError{Message: fmt.Sprintf("The specified S3 prefix '%s' does not exist", at.Key), Context: url}
	}
	files := make([]File, len(keys))
	for i, k := range keys {
		files[i] = File{at.Bucket, k}
	}
	return files, nil
}

func s3Error(url string, err error) error {
	return &StatementError{Message: "S3ServiceException:" + reason(err), Context: url}
}

// notKey is the answer to a manifest, or an entry of one, that names a prefix.
func notKey(f File) error {
	return &StatementError{
		Message: "COPY with MANIFEST parameter requires full path of an S3 object.", Code: CodeManifestKey, Context: f.URL(), Recorded: true,
	}
}

// isPrefix reports whether a missing key is the beginning of others.
func isPrefix(ctx context.Context, st Store, f File) bool {
	keys, err := st.List(ctx, f.Bucket, f.Key)
	return err == nil && len(keys) > 0
}

func readManifest(ctx context.Context, st Store, at File) ([]entry, error) {
	r, _, err := st.Open(ctx, at.Bucket, at.Key)
	if errors.Is(err, ErrMissing) && isPrefix(ctx, st, at) {
		return nil, notKey(at)
	}
	if err != nil {
		return nil, &StatementError{Message: "Problem reading manifest file - S3ServiceException:" + reason(err), Context: at.URL()}
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxManifest))
	if err != nil {
		return nil, &StatementError{Message: "Problem reading manifest file - S3ServiceException:" + reason(err), Context: at.URL()}
	}
	return ParseManifest(body)
}

// maxManifest bounds what is read of a manifest or a JSONPaths file.
const maxManifest = 64 << 20

// ParseManifest reads the entries of a manifest. Keys that COPY does not know
// are passed over: those that UNLOAD writes have some.
func ParseManifest(body []byte) ([]entry, error) {
	if !json.Valid(body) {
		return nil, stmtErr("Manifest file is not in correct json format")
	}
	var root map[string]json.RawMessage
	if json.Unmarshal(body, &root) != nil || root == nil {
		return nil, stmtErr("Root must be a json object in the manifest file")
	}
	format := stmtErr("Manifest file is not in expected format: 'entries' must be an array of objects with 'url', 'mandatory' and 'meta'")
	var m []entry
	if json.Unmarshal(root["entries"], &m) != nil || len(m) == 0 {
		return nil, format
	}
	for _, e := range m {
		if e.URL == nil {
			return nil, stmtErr("Manifest file is not in expected format - 'url' field missing")
		}
	}
	return m, nil
}

func manifestFiles(ctx context.Context, st Store, entries []entry, needLength bool) ([]File, error) {
	var files []File
	for _, e := range entries {
		f, err := ParseURL(*e.URL)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(f.Key, "/") {
			return nil, notKey(f)
		}
		length := int64(-1)
		if e.Meta != nil && e.Meta.ContentLength != nil {
			length = *e.Meta.ContentLength
		}
		if needLength && length < 0 {
			return nil, &StatementError{Message: "Manifest file entry lacks meta.content_length, which this format needs", Context: f.URL()}
		}
		size, err := st.Size(ctx, f.Bucket, f.Key)
		switch {
		case errors.Is(err, ErrMissing) && isPrefix(ctx, st, f):
			return nil, notKey(f)
		case errors.Is(err, ErrMissing) && !e.Mandatory:
			continue
		case errors.Is(err, ErrMissing):
			return nil, &StatementError{Message: "Mandatory url is not present in manifest file. S3ServiceException:" + reason(err), Context: f.URL()}
		case err != nil:
			return nil, s3Error(f.URL(), err)
		case length >= 0 && length != size:
			return nil, &StatementError{Message: fmt.Sprintf("File size is %d bytes, the manifest's content_length is %d", size, length), Context: f.URL()}
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
	case "BZIP2":
		return bzip2.NewReader(r), func() {}, nil
	}
	return r, func() {}, nil
}
