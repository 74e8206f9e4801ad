package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pglogrepl"

	"github.com/walshift/walshift/replicator/change"
)

// maxMarkers bounds the markers tried for one row; markers after the first
// can't be foreseen, so the second one that collides is already a wonder.
const maxMarkers = 16

// maxIdleRaw is how much a coder keeps for records while nobody uses it.
const maxIdleRaw = 1 << 20

// writer writes rows of one layout into as many files as they need, and sends
// each on its way while the next is being filled. One goroutine uses it.
type writer struct {
	log    *Log
	layout *layout
	rel    *change.Relation
	// at and seq are the place named in faults.
	at  pglogrepl.LSN
	seq uint64
	// name returns the key of the n-th file, counted from 0.
	name    func(n int) string
	uploads *uploads
	// fileBytes is the compressed size at which a file is cut.
	fileBytes int64
	// incidents takes the misfits of the rows; nil in a writer of incidents.
	incidents *writer
	// reported counts the incidents written.
	reported int64

	coder *coder
	open  bool
	next  int // number of the file that is open or comes next
	try   int // markers given up so far
	files []*change.File
}

// add writes a row. Where a value equals the marker, the file ends before the
// row, and the next has another marker.
func (w *writer) add(ctx context.Context, image, origin change.Tuple, existed bool) error {
	for range maxMarkers {
		if err := w.begin(); err != nil {
			return err
		}
		rec, err := w.coder.add(image, origin, existed)
		switch {
		case err != nil:
			return err
		case rec.reason == collides:
			w.try++
			if err := w.cut(ctx); err != nil {
				return err
			}
		case rec.reason != fits:
			return w.fault(rec)
		}
		if rec.reason == collides {
			continue
		}
		if err := w.report(ctx, image); err != nil {
			return err
		}
		if w.coder.size() >= w.fileBytes {
			return w.cut(ctx)
		}
		return nil
	}
	return fmt.Errorf("choosing null marker for table %s: %d markers equal values of one row", w.rel, maxMarkers)
}

func (w *writer) begin() error {
	if w.open {
		return nil
	}
	if err := w.uploads.failed(); err != nil {
		return err
	}
	if w.coder == nil {
		c, err := w.log.takeCoder()
		if err != nil {
			return err
		}
		w.coder = c
	}
	// The first marker is the pipeline's, so that one COPY can load files of
	// many batches; the next ones hold the bits of the attempt's id.
	seed := w.log.folder
	if w.try > 0 {
		seed = w.name(w.next)
	}
	w.coder.begin(w.layout, newMarker(seed, w.try), w.log.takeBuffer())
	w.open = true
	return nil
}

// cut ends the open file, if it has rows, and starts its upload.
func (w *writer) cut(ctx context.Context) error {
	if !w.open {
		return nil
	}
	w.open = false
	n := w.coder.counts
	if n.rows == 0 {
		w.log.giveBuffer(w.coder.release())
		return nil
	}
	body, err := w.coder.finish()
	if err != nil {
		return err
	}
	f := w.layout.file()
	f.Key = w.name(w.next)
	f.Rows, f.Existed, f.Kept = n.rows, n.existed, n.kept
	f.NullMarker, f.Compression, f.Bytes = string(w.coder.marker), w.log.cfg.Compression, int64(len(body))
	w.next++
	w.files = append(w.files, &f)
	change.Reach(change.SeamFileEncoded)
	return w.uploads.start(ctx, w.log, &f, body)
}

// end gives the coder back. The writer must not be used afterwards, but for
// rows of another layout.
func (w *writer) end() {
	if w.coder != nil {
		w.log.giveCoder(w.coder)
		w.coder = nil
	}
}

func (w *writer) fault(rec record) error {
	e, remedy := &ValueError{Reason: rec.reason.String()}, rec.reason.remedy()
	if rec.at != nil {
		e.Column, e.Attnum = rec.at.name, rec.at.attnum
		if rec.at.key && rec.reason.misfit() != "" {
			remedy = "no policy applies to a key: change the value at the source, choose another replica identity, or exclude " +
				"the table, then load the table again"
		}
	}
	return &change.Fault{
		Scope: change.ScopeTable, Code: change.CodeValue, Op: "encoding row", Table: w.rel.String(), TableOID: w.rel.OID,
		LSN: w.at, Seq: w.seq, Err: e, Remedy: remedy,
	}
}

// uploads are files on their way.
type uploads struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

// start sends body and fills f's checksum; it waits while too much is on its
// way already. body belongs to the upload from then on.
func (u *uploads) start(ctx context.Context, l *Log, f *change.File, body []byte) error {
	return u.send(ctx, l, int64(len(body)), func() error {
		sum := sha256.Sum256(body)
		f.SHA256 = hex.EncodeToString(sum[:])
		err := l.createFile(ctx, f.Key, body, f.SHA256)
		change.Reach(change.SeamFileUploaded)
		l.giveBuffer(body)
		return err
	})
}

// send runs an upload of so many bytes beside its caller; it waits while too
// much is on its way already.
func (u *uploads) send(ctx context.Context, l *Log, bytes int64, upload func() error) error {
	size := min(bytes, l.cfg.inFlight())
	if err := l.bytes.Acquire(ctx, size); err != nil {
		return fmt.Errorf("waiting to upload: %w", err)
	}
	if err := l.slots.Acquire(ctx, 1); err != nil {
		l.bytes.Release(size)
		return fmt.Errorf("waiting to upload: %w", err)
	}
	u.wg.Go(func() {
		defer l.bytes.Release(size)
		defer l.slots.Release(1)
		if err := upload(); err != nil {
			u.fail(err)
		}
	})
	return nil
}

func (u *uploads) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

func (u *uploads) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *uploads) wait() error {
	u.wg.Wait()
	return u.failed()
}

// takeCoder returns a coder that nobody uses. Encoders are kept, for each
// costs some megabytes to make.
func (l *Log) takeCoder() (*coder, error) {
	select {
	case c := <-l.coders:
		return c, nil
	default:
	}
	z, err := newCompressor(l.cfg.Compression)
	if err != nil {
		return nil, err
	}
	return &coder{compressor: z}, nil
}

func (l *Log) giveCoder(c *coder) {
	l.giveBuffer(c.release())
	if cap(c.raw) > maxIdleRaw {
		c.raw = nil
	}
	select {
	case l.coders <- c:
	default:
	}
}

func (l *Log) takeBuffer() []byte {
	select {
	case b := <-l.buffers:
		return b
	default:
		return nil
	}
}

func (l *Log) giveBuffer(b []byte) {
	if b == nil {
		return
	}
	select {
	case l.buffers <- b[:0]:
	default:
	}
}

func values(files []*change.File) []change.File {
	list := make([]change.File, 0, len(files))
	for _, f := range files {
		list = append(list, *f)
	}
	return slices.Clip(list)
}
