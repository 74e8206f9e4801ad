package change

// KindIncident is the kind of the files that list incidents. A segment has
// them in a list of their own; among the files of a snapshot they stand beside
// the others, but hold no rows of the table. Their columns are those of the
// warehouse's incidents table, so Columns is empty.
const KindIncident Kind = "incident"

// MaxOriginal is the length in bytes up to which an incident itself holds the
// original of its value; a longer one is in the object only.
const MaxOriginal = 1024

// Incident says that a value did not fit its column on the warehouse and that
// a policy has put something else there (docs/design.md, promise P5). It
// travels in a file of kind [KindIncident], and is on the warehouse in the same
// transaction as the row.
type Incident struct {
	// ID is 20 hex digits, unique in the pipeline, and the same when the same
	// attempt at a batch is encoded again.
	ID string
	// Seq is the batch, 0 for the first load. LSN is the commit LSN of the
	// last transaction of the row's segment, or the point of the snapshot: the
	// value was written at it or before.
	Seq uint64
	LSN LSN
	// Schema, Table and OID name the source's table.
	Schema, Table string
	OID           uint32
	// Key is the row's key as a JSON object of texts by column name; "" where
	// the table has none.
	Key string
	// Column and Attnum name the column.
	Column string
	Attnum int16
	// Reason says what was wrong ("too_long", "nan"), Policy what was done
	// ("keep_out", "set_null"); in a file, "accepted:" stands before the policy
	// where the operator accepts such values.
	Reason, Policy string
	// Bytes is the length of the original's text.
	Bytes int64
	// Original is the original's text, nil where it has more than MaxOriginal
	// bytes.
	Original []byte
	// Object is the key of the original below the pipeline's folder, "" where
	// Original is all.
	Object string
}

// DataFiles returns the files that hold rows, IncidentFiles the others.
func DataFiles(files []File) []File { return filesOf(files, false) }

// IncidentFiles returns the files of kind [KindIncident].
func IncidentFiles(files []File) []File { return filesOf(files, true) }

func filesOf(files []File, incidents bool) []File {
	var out []File
	for i := range files {
		if (files[i].Kind == KindIncident) == incidents {
			out = append(out, files[i])
		}
	}
	return out
}

// Incidents returns the numbers of incidents that the batch brings: those that
// are open, and those that the operator accepts.
func (m *Manifest) Incidents() (open, accepted int64) {
	for i := range m.Segments {
		o, a := CountIncidents(m.Segments[i].Incidents)
		open, accepted = open+o, accepted+a
	}
	return open, accepted
}

// CountIncidents returns the numbers of incidents in files: those that are
// open, and those that the operator accepts.
func CountIncidents(files []File) (open, accepted int64) {
	for i := range files {
		if f := &files[i]; f.Kind == KindIncident {
			open, accepted = open+f.Rows-f.Existed, accepted+f.Existed
		}
	}
	return open, accepted
}

// Count returns the number of rows in files.
func Count(files []File) int64 {
	var n int64
	for i := range files {
		n += files[i].Rows
	}
	return n
}
