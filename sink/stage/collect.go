package stage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/walshift/walshift/replicator/change"
)

// minCopyAge is how long COPY manifests are kept at least: far longer than the
// COPY that was made for one takes to read it.
const minCopyAge = 24 * time.Hour

// Horizon says what [Log.Collect] must leave.
type Horizon struct {
	// Seq is the first batch that anything may still need: what Redshift's
	// fence stores, or less if a table that is pending needs more. Batches
	// below it may go.
	Seq uint64
	// Retention is how long objects are kept after they were written.
	Retention time.Duration
	// Now is the time to reckon from.
	Now time.Time
	// SnapshotNeeded reports whether a snapshot is still to be loaded. Where
	// it is nil no snapshot is removed.
	SnapshotNeeded func(SnapshotID) bool
}

// Collected counts the objects that [Log.Collect] removed.
type Collected struct{ Manifests, Data, Snapshots, Copies int64 }

// Collect removes what lies before the horizon: manifests in ascending order,
// so that what stays is one unbroken run; then the data of all batches before
// the first that stays, also of attempts that died; then snapshots that are not
// needed and COPY manifests, once they are old. A manifest goes before its
// data, so that none is ever without; stopped in between, the next call removes
// the rest. The newest manifest always stays, and kept/ is not touched.
//
// The counts hold with an error too.
func (l *Log) Collect(ctx context.Context, h Horizon) (Collected, error) {
	var n Collected
	old := func(e entry, age time.Duration) bool { return h.Now.Sub(e.modified) >= age }

	first, err := l.collectManifests(ctx, h, &n)
	change.Reach(change.SeamCollectManifestsDeleted)
	if err == nil && first > 0 {
		n.Data, err = l.remove(ctx, dataFolder, func(e entry) verdict {
			seq, ok := parseDataKey(e.key)
			switch {
			case !ok:
				return keep
			case seq >= first:
				return stop
			}
			return drop
		})
	}
	if err == nil && h.SnapshotNeeded != nil {
		n.Snapshots, err = l.remove(ctx, snapshotFolder, func(e entry) verdict {
			if id, ok := parseSnapshotKey(e.key); ok && old(e, h.Retention) && !h.SnapshotNeeded(id) {
				return drop
			}
			return keep
		})
	}
	if err == nil {
		n.Copies, err = l.remove(ctx, copyFolder, func(e entry) verdict {
			if old(e, max(h.Retention, minCopyAge)) {
				return drop
			}
			return keep
		})
	}
	if err != nil {
		return n, l.fault("collecting old objects", err)
	}
	return n, nil
}

// collectManifests removes manifests and returns the first that stays, 0 if
// there is none.
func (l *Log) collectManifests(ctx context.Context, h Horizon, n *Collected) (first uint64, err error) {
	var held *entry // may go as soon as a later manifest is seen
	after := manifestKey(0)
	for {
		p, err := l.list(ctx, logFolder, after, pageKeys)
		if err != nil {
			return 0, err
		}
		var doomed []string
		for i := range p.entries {
			e := &p.entries[i]
			seq, ok := parseManifestKey(e.key)
			if !ok {
				return 0, strange("collecting old objects", l.URL(e.key))
			}
			if held != nil {
				doomed = append(doomed, held.key)
			}
			first, held, after = seq, e, e.key
			if seq >= h.Seq || h.Now.Sub(e.modified) < h.Retention {
				held = nil
				break
			}
		}
		removed, err := l.removeKeys(ctx, doomed)
		n.Manifests += removed
		if err != nil || held == nil || !p.more {
			return first, err
		}
	}
}

// DeleteAll removes everything of the pipeline, for a start from scratch or a
// teardown, and returns the number of objects: manifests first, so that an end
// halfway leaves no manifest without its data. kept/ stays unless withKept.
// Nothing may write to the log meanwhile.
func (l *Log) DeleteAll(ctx context.Context, withKept bool) (int64, error) {
	var total int64
	for _, folder := range []string{logFolder, ""} {
		n, err := l.remove(ctx, folder, func(e entry) verdict {
			if strings.HasPrefix(e.key, keptFolder) && !withKept {
				return keep
			}
			return drop
		})
		total += n
		if err != nil {
			return total, l.fault("deleting "+l.URL(folder), err)
		}
	}
	return total, nil
}

type verdict int

const (
	keep verdict = iota
	drop
	stop // this one and all after it stay
)

// remove deletes the objects of a folder that judge drops, and counts them.
func (l *Log) remove(ctx context.Context, folder string, judge func(entry) verdict) (int64, error) {
	var total int64
	for after := ""; ; {
		p, err := l.list(ctx, folder, after, pageKeys)
		if err != nil {
			return total, err
		}
		var doomed []string
		stopped := false
		for _, e := range p.entries {
			v := judge(e)
			if v == stop {
				stopped = true
				break
			}
			if v == drop {
				doomed = append(doomed, e.key)
			}
			after = e.key
		}
		n, err := l.removeKeys(ctx, doomed)
		total += n
		if err != nil || stopped || !p.more {
			return total, err
		}
	}
}

// removeKeys deletes at most a page of objects.
func (l *Log) removeKeys(ctx context.Context, keys []string) (int64, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	ids := make([]types.ObjectIdentifier, len(keys))
	for i, k := range keys {
		ids[i].Key = aws.String(l.folder + k)
	}
	out, err := l.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &l.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return 0, err
	}
	if len(out.Errors) > 0 {
		e := out.Errors[0]
		return int64(len(keys) - len(out.Errors)), fmt.Errorf("deleting %s (and %d more): %w",
			aws.ToString(e.Key), len(out.Errors)-1, refusal(aws.ToString(e.Code), aws.ToString(e.Message)))
	}
	return int64(len(keys)), nil
}
