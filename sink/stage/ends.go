package stage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/walshift/walshift/replicator/change"
)

const (
	// probeKeys is how many names a probe for the log's end asks for. Names
	// are cheap within a request, and each doubling saves one request.
	probeKeys = 100
	// The first stride of the search, and by how many bits each next one is
	// longer. See [Log.Last] for what follows from the numbers.
	firstStride = 10
	strideStep  = 8
	// pageKeys is the most that S3 lists or deletes in one request.
	pageKeys = 1000
)

// First returns the number of the log's oldest manifest, 0 if the log is
// empty: one request. The log may begin anywhere, for old batches are
// collected.
func (l *Log) First(ctx context.Context) (uint64, error) {
	p, err := l.probe(ctx, 0, 1)
	return p.first, err
}

// Last returns the number of the log's newest manifest, 0 if the log is empty.
//
// It takes at most 70 requests whatever the log holds: one for a log of up to
// 100 manifests, about 15 for thousands. Each probe asks for names after a
// number. After the first, strides of 2^10, 2^18, … 2^58 are at most 7 probes;
// halving what is left of 2^64 until 100 names cover it, and listing those,
// takes at most 59. Holes do no harm. A batch committed meanwhile may or
// may not be seen.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	p, err := l.probe(ctx, 0, probeKeys)
	if err != nil || !p.more {
		return p.last, err
	}
	low, high := p.last, uint64(math.MaxUint64) // the end is in [low, high]
	for bits := firstStride; bits < 64; bits += strideStep {
		beyond := low + 1<<bits
		if beyond < low {
			break
		}
		p, err := l.probe(ctx, beyond, probeKeys)
		switch {
		case err != nil:
			return 0, err
		case p.first > 0 && !p.more:
			return p.last, nil
		case p.first == 0:
			high = beyond
			bits = 64
		default:
			low = p.last
		}
	}
	for low < high {
		middle := low + (high-low)/2
		if high-low <= probeKeys {
			middle = low // the names after it are all that can be there
		}
		p, err := l.probe(ctx, middle, probeKeys)
		switch {
		case err != nil:
			return 0, err
		case p.first == 0:
			high = middle
		case !p.more:
			return p.last, nil
		default:
			low = p.last
		}
	}
	return low, nil
}

// listing is what a probe found: the lowest and highest number listed, 0 if
// there was none, and whether there are more.
type listing struct {
	first, last uint64
	more        bool
}

// probe lists up to n manifests with numbers above after.
func (l *Log) probe(ctx context.Context, after uint64, n int32) (listing, error) {
	op := fmt.Sprintf("listing batches after %d", after)
	page, err := l.list(ctx, logFolder, manifestKey(after), n)
	if err != nil {
		return listing{}, l.fault(op, err)
	}
	found := listing{more: page.more}
	for _, e := range page.entries {
		seq, ok := parseManifestKey(e.key)
		if !ok {
			return listing{}, strange(op, l.URL(e.key))
		}
		if found.first == 0 {
			found.first = seq
		}
		found.last = seq
	}
	return found, nil
}

func strange(op, url string) error {
	return &change.Fault{
		Scope: change.ScopeLoop, Code: change.CodeLogForeign, Op: op, Err: errors.New("there is an object that walshift did not write: " + url),
		Remedy: "move it out of the log's folder, and see that nothing else writes there",
	}
}

type entry struct {
	key      string // relative to the pipeline's folder
	modified time.Time
}

type page struct {
	entries []entry
	more    bool
}

// list lists up to n objects of a folder, in ascending order of their keys,
// from the first key above after on.
func (l *Log) list(ctx context.Context, folder, after string, n int32) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	in := &s3.ListObjectsV2Input{Bucket: &l.bucket, Prefix: aws.String(l.folder + folder), MaxKeys: &n}
	if after != "" {
		in.StartAfter = aws.String(l.folder + after)
	}
	out, err := l.client.ListObjectsV2(ctx, in)
	if err != nil {
		return page{}, err
	}
	p := page{more: aws.ToBool(out.IsTruncated), entries: make([]entry, 0, len(out.Contents))}
	for i := range out.Contents {
		key, ok := strings.CutPrefix(aws.ToString(out.Contents[i].Key), l.folder)
		if !ok {
			return page{}, fmt.Errorf("listing %s: the server named an object outside of it", folder)
		}
		p.entries = append(p.entries, entry{key: key, modified: aws.ToTime(out.Contents[i].LastModified)})
	}
	return p, nil
}

// ReadFrom returns up to limit consecutive batches, the first of them being
// seq, and checks their chain; none if the log ends before seq. Where batch
// seq is missing though there are later ones, the log has a gap: a fault of
// scope ScopeFatal (pitfall V21). It takes one request, and one per batch.
func (l *Log) ReadFrom(ctx context.Context, seq uint64, limit int) ([]*change.Manifest, error) {
	if seq == 0 || limit < 1 {
		return nil, fmt.Errorf("reading %d batches from %d: want at least one, from 1 on", limit, seq)
	}
	p, err := l.probe(ctx, seq-1, int32(min(limit, pageKeys)))
	switch {
	case err != nil || p.first == 0:
		return nil, err
	case p.first != seq:
		return nil, gap(seq, p.first-1, 0, 0)
	}
	var batches []*change.Manifest
	var end change.LSN
	for next := seq; next <= p.last && len(batches) < limit; next++ {
		m, err := l.Read(ctx, next)
		if errors.Is(err, ErrNotFound) {
			return nil, gap(next, next, end, 0)
		}
		if err != nil {
			return nil, err
		}
		if len(batches) > 0 {
			if err := CheckChain(batches[len(batches)-1], m); err != nil {
				return nil, err
			}
		}
		end = m.End
		batches = append(batches, m)
	}
	return batches, nil
}
