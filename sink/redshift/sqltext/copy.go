package sqltext

import "fmt"

// Copy describes one COPY of CSV files named by a manifest.
type Copy struct {
	// Target without a schema is a temporary table.
	Target Name
	// Columns are the target's columns in file order.
	Columns []string
	// Manifest is the s3:// URL of the COPY manifest.
	Manifest string
	// NullMarker is the unquoted text that stands for NULL. It must not hold
	// a backslash: inside a literal that is an escape, and the documentation
	// disagrees with itself about how often it must be doubled here.
	NullMarker string
	// Compression is "zstd" or "gzip".
	Compression string
	// IAMRole is an ARN (or several, joined by commas) or "default".
	IAMRole string
	// Region is the bucket's region, "" if it is the warehouse's.
	Region string
}

// CopyFrom returns the COPY statement.
//
// The word 'auto' for dates and times reads ISO text with and without an
// offset. COMPUPDATE and STATUPDATE off keep an empty table from being
// analysed, and its encodings from being changed, by every small COPY.
// MAXERROR stays 0, so one bad value fails the whole.
func CopyFrom(c Copy) (string, error) {
	var method string
	switch c.Compression {
	case "zstd":
		method = "ZSTD"
	case "gzip":
		method = "GZIP"
	default:
		return "", fmt.Errorf("%w: compression %q is none of zstd, gzip", ErrBadValue, c.Compression)
	}
	for _, b := range []byte(c.NullMarker) {
		if b == '\\' || b == '\n' || b == '\r' {
			return "", fmt.Errorf("%w: the null marker contains a backslash or a line break", ErrBadValue)
		}
	}
	if c.NullMarker == "" {
		return "", fmt.Errorf("%w: the null marker is empty, which would make '' NULL", ErrBadValue)
	}
	w := new(writer)
	w.raw("COPY ")
	if c.Target.Schema == "" {
		w.ident(c.Target.Table)
	} else {
		w.name(c.Target)
	}
	w.raw(" (").idents(c.Columns).raw(")\nFROM ").lit(c.Manifest)
	if c.IAMRole == "default" {
		w.raw("\nIAM_ROLE default")
	} else {
		w.raw("\nIAM_ROLE ").lit(c.IAMRole)
	}
	if c.Region != "" {
		w.raw("\nREGION ").lit(c.Region)
	}
	w.raw("\nMANIFEST\nFORMAT AS CSV\nNULL AS ").lit(c.NullMarker)
	w.raw("\n", method, "\nDATEFORMAT 'auto'\nTIMEFORMAT 'auto'\nCOMPUPDATE OFF\nSTATUPDATE OFF")
	return w.done()
}

// LastCopyCount returns the query for the rows of the session's last COPY. A
// COPY that fails while being parsed leaves the earlier number.
func LastCopyCount() string { return "SELECT pg_last_copy_count()" }

// LoadError returns the query for the newest load error of files whose name
// contains the given part of a key. Its columns: file_name, line_number,
// column_name, column_type, error_code. error_message is left out, for it
// quotes the value. The columns are padded with blanks. It must run after
// ROLLBACK; errors outlive it.
func LoadError(keyPart string) (string, error) {
	w := new(writer)
	w.raw("SELECT file_name, line_number, column_name, column_type, error_code\n" +
		"FROM sys_load_error_detail\nWHERE STRPOS(file_name, ").lit(keyPart)
	return w.raw(") > 0\nORDER BY start_time DESC, line_number\nLIMIT 1").done()
}
