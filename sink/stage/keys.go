package stage

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/walshift/walshift/replicator/change"
)

// Folders of a pipeline.
const (
	logFolder      = "log/"
	dataFolder     = "data/"
	snapshotFolder = "snapshot/"
	copyFolder     = "copy/"
	keptFolder     = "kept/"
)

// seqDigits is enough for every uint64, so that keys sort as numbers do.
const seqDigits = 20

func manifestKey(seq uint64) string { return fmt.Sprintf("%s%0*d.json", logFolder, seqDigits, seq) }

// parseManifestKey returns the seq of a key below the pipeline's folder.
func parseManifestKey(key string) (seq uint64, ok bool) {
	digits, ok := strings.CutPrefix(key, logFolder)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, ".json"); !ok {
		return 0, false
	}
	return parseSeq(digits)
}

func parseSeq(digits string) (uint64, bool) {
	if len(digits) != seqDigits {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil && seq > 0
}

// dataFolderOf names the folder of a batch's data files.
func dataFolderOf(seq uint64, attempt string) string {
	return fmt.Sprintf("%s%0*d-%s/", dataFolder, seqDigits, seq, attempt)
}

// dataName names a data file in that folder, without its extension; the
// numbers grow wider when they must.
func dataName(index int, kind change.Kind, part int) string {
	return fmt.Sprintf("%04d-%s-%02d", index, kind, part)
}

// parseDataKey returns the seq of the batch that a data file was staged for.
func parseDataKey(key string) (seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(key, dataFolder)
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	return parseSeq(digits)
}

// snapshotFolderOf names the folder of a table's snapshot files.
func snapshotFolderOf(oid uint32, x change.LSN, attempt string) string {
	return fmt.Sprintf("%s%d/%016X-%s/", snapshotFolder, oid, uint64(x), attempt)
}

// SnapshotID says which snapshot a file belongs to.
type SnapshotID struct {
	OID     uint32
	X       change.LSN
	Attempt string
}

// parseSnapshotKey is the inverse of snapshotFolderOf for a key in the folder.
func parseSnapshotKey(key string) (id SnapshotID, ok bool) {
	rest, ok := strings.CutPrefix(key, snapshotFolder)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return id, false
	}
	oid, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil {
		return id, false
	}
	lsn, attempt, ok := strings.Cut(parts[1], "-")
	x, err := strconv.ParseUint(lsn, 16, 64)
	if err != nil || !ok {
		return id, false
	}
	return SnapshotID{OID: uint32(oid), X: change.LSN(x), Attempt: attempt}, true
}

// checkName refuses what must not stand in a key as a part of one folder name.
func checkName(what, name string) error {
	if name == "" || len(name) > 128 || strings.Trim(name, ".") == "" {
		return fmt.Errorf("%s %q: want 1 to 128 characters", what, name)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r) {
			return fmt.Errorf("%s %q: want letters, digits, dots, underscores and hyphens only", what, name)
		}
	}
	return nil
}
