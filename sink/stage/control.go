package stage

import (
	"context"
	"fmt"
	"strings"

	"github.com/walshift/walshift/replicator/change"
)

// controlFolder holds what operators asked of the pipeline: small objects that
// outlive restarts and a warehouse that is away. One writer changes them, the
// daemon.
const controlFolder = "control/"

// controlKey returns the key of a control object.
func controlKey(name string) (string, error) {
	if err := checkName("control object", name); err != nil {
		return "", err
	}
	return controlFolder + name + ".json", nil
}

// ReadControl returns the content of a control object, nil where there is none.
func (l *Log) ReadControl(ctx context.Context, name string) ([]byte, error) {
	key, err := controlKey(name)
	if err != nil {
		return nil, err
	}
	body, err := l.get(ctx, key)
	switch {
	case err == nil:
		return body, nil
	case isMissing(err):
		return nil, nil
	}
	return nil, l.fault("reading "+l.URL(key), err)
}

// WriteControl creates or replaces a control object. It is durable when
// WriteControl returns.
func (l *Log) WriteControl(ctx context.Context, name string, body []byte) error {
	key, err := controlKey(name)
	if err != nil {
		return err
	}
	if err := l.put(ctx, object{key: key, body: body, contentType: contentJSON}); err != nil {
		return l.fault("writing "+l.URL(key), err)
	}
	change.Reach(change.SeamControlWritten)
	return nil
}

// RemoveControl deletes a control object; one that is not there is fine.
func (l *Log) RemoveControl(ctx context.Context, name string) error {
	key, err := controlKey(name)
	if err != nil {
		return err
	}
	if _, err := l.removeKeys(ctx, []string{key}); err != nil {
		return l.fault("removing "+l.URL(key), err)
	}
	change.Reach(change.SeamControlRemoved)
	return nil
}

// Clear removes all batches and snapshots, for a start from scratch, and leaves
// what operators asked for and the kept originals. It returns the number of
// objects: manifests go first, so that an end halfway leaves none without its
// data. Nothing may write to the log meanwhile.
func (l *Log) Clear(ctx context.Context) (int64, error) {
	var total int64
	for _, folder := range []string{logFolder, ""} {
		n, err := l.remove(ctx, folder, func(e entry) verdict {
			if strings.HasPrefix(e.key, keptFolder) || strings.HasPrefix(e.key, controlFolder) {
				return keep
			}
			return drop
		})
		total += n
		if err != nil {
			return total, l.fault("clearing "+l.URL(folder), err)
		}
	}
	return total, nil
}

// Ping asks for the log's first batch: the cheapest request that shows that the
// bucket can be reached and listed.
func (l *Log) Ping(ctx context.Context) error {
	if _, err := l.First(ctx); err != nil {
		return fmt.Errorf("opening log %s: %w", l.cfg, err)
	}
	return nil
}
