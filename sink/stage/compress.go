package stage

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The compressions of COPY that are written, as [Config.Compression] and the
// manifest spell them.
const (
	Zstd = "zstd"
	Gzip = "gzip"
)

// zstdWindow is far below the 8 MiB that every decoder must take (RFC 8878,
// 3.1.1.1.2), keeps an encoder's memory small, and costs the fastest level
// next to nothing.
const zstdWindow = 1 << 20

// compressor is what zstd's and gzip's writers have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

func newCompressor(name string) (compressor, error) {
	switch name {
	case Zstd:
		// One goroutine: the fastest level outruns the source on one core,
		// and a frame's bytes must not depend on scheduling.
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow))
		if err != nil {
			return nil, fmt.Errorf("making zstd encoder: %w", err)
		}
		return z, nil
	case Gzip:
		z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			return nil, fmt.Errorf("making gzip encoder: %w", err)
		}
		return z, nil
	}
	return nil, fmt.Errorf("unknown compression %q", name)
}

// extension returns the end of a data file's name.
func extension(compression string) string {
	if compression == Gzip {
		return ".csv.gz"
	}
	return ".csv.zst"
}
