package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/walshift/walshift/replicator/change"
)

const copyExtension = ".manifest"

// copyManifest is what COPY … MANIFEST reads (redshift-facts 1.2).
type copyManifest struct {
	Entries []copyEntry `json:"entries"`
}

type copyEntry struct {
	URL string `json:"url"`
	// Mandatory defaults to false on Redshift, which would skip a missing
	// file without a word (pitfall W1).
	Mandatory bool     `json:"mandatory"`
	Meta      copyMeta `json:"meta"`
}

type copyMeta struct {
	ContentLength int64 `json:"content_length"`
}

// PutCopyManifest writes copy/<name>.manifest and returns its URL for COPY's
// FROM. The files must share marker, compression and column list, for a COPY
// has one of each; one that stands in the list twice would be loaded twice, and
// is refused. An older manifest of the same name is replaced, so name must hold
// the id of the attempt.
func (l *Log) PutCopyManifest(ctx context.Context, name string, files []change.File) (string, error) {
	url, err := l.putCopyManifest(ctx, name, files)
	if err == nil {
		change.Reach(change.SeamCopyManifestPut)
	}
	return url, err
}

func (l *Log) putCopyManifest(ctx context.Context, name string, files []change.File) (string, error) {
	if err := checkName("copy manifest", name); err != nil {
		return "", fmt.Errorf("writing copy manifest: %w", err)
	}
	if strings.Contains(name, copyExtension) {
		// FROM is a prefix of keys (pitfall W2): no key may begin another.
		return "", fmt.Errorf("writing copy manifest %s: the name contains %s", name, copyExtension)
	}
	if len(files) == 0 {
		return "", fmt.Errorf("writing copy manifest %s: no files", name)
	}
	m := copyManifest{Entries: make([]copyEntry, len(files))}
	seen := make(map[string]bool, len(files))
	for i := range files {
		f := &files[i]
		switch {
		case seen[f.Key]:
			return "", fmt.Errorf("writing copy manifest %s: file %s is listed twice", name, f.Key)
		case f.NullMarker != files[0].NullMarker || f.Compression != files[0].Compression:
			return "", fmt.Errorf("writing copy manifest %s: file %s differs in null marker or compression", name, f.Key)
		}
		seen[f.Key] = true
		m.Entries[i] = copyEntry{URL: l.URL(f.Key), Mandatory: true, Meta: copyMeta{ContentLength: f.Bytes}}
	}
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return "", fmt.Errorf("writing copy manifest %s: %w", name, err)
	}
	key := copyFolder + name + copyExtension
	if err := l.put(ctx, object{key: key, body: body, contentType: contentJSON}); err != nil {
		return "", l.fault("writing copy manifest "+key, err)
	}
	return l.URL(key), nil
}

// URL returns the s3:// URL of a key as [change.File] holds it.
func (l *Log) URL(key string) string { return "s3://" + l.bucket + "/" + l.folder + key }
