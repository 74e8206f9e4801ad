package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Probe reports whether Open could make or use a pipeline's folder below dir.
// It makes a folder and deletes it again, and leaves nothing. It may run beside
// a process that uses the spool.
func Probe(dir, pipeline string) error {
	at := filepath.Join(dir, pipeline)
	for {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		if up := filepath.Dir(at); errors.Is(err, fs.ErrNotExist) && up != at {
			at = up
			continue
		}
		return fmt.Errorf("looking for the spool folder: %w", err)
	}
	probe, err := os.MkdirTemp(at, ".walshift-check-")
	if err != nil {
		return fmt.Errorf("writing to the spool folder: %w", err)
	}
	if err := os.Remove(probe); err != nil {
		return fmt.Errorf("writing to the spool folder: %w", err)
	}
	return nil
}
