package stage

import (
	"fmt"

	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// reason says why a value can't be written to a file; fits means that it can.
// It is a number so that the hot path returns it without an allocation.
type reason uint8

const (
	fits reason = iota
	// collides is no fault of the value: the file needs another marker.
	collides
	absent
	misplacedKept
	empty
	tooLong
	holdsNUL
	notUTF8
	emptyIsNull
	notBool
	notNumber
	notANumber
	infinite
	tooManyDigits
	notDate
	notTime
	beforeChrist
	yearTooHigh
	hour24
	notHex
	notJSON
	jsonTooDeep
	jsonStringTooLong
	jsonNumberTooLong
	jsonSurrogate
	jsonNUL
	notArray
	notRow
	otherFields
	notHstore
	rowTooLong
)

// String completes the sentence "the value …".
func (r reason) String() string {
	switch r {
	case fits, collides:
		return "is fine"
	case absent:
		return "is absent from the row image"
	case misplacedKept:
		return "is marked as unchanged where a value is needed"
	case empty:
		return "is empty"
	case tooLong:
		return "has more bytes than the target column holds"
	case holdsNUL:
		return "holds a NUL byte"
	case notUTF8:
		return "is not valid UTF-8"
	case emptyIsNull:
		return "is empty, and COPY loads an empty field of this type as NULL"
	case notBool:
		return "is not t or f"
	case notNumber:
		return "is not a number in plain notation"
	case notANumber:
		return "is NaN"
	case infinite:
		return "is infinite"
	case tooManyDigits:
		return "has more digits than the target column holds"
	case notDate:
		return "is not a date in ISO style"
	case notTime:
		return "is not a time of day in ISO style with a zone of whole minutes"
	case beforeChrist:
		return "lies before year 1"
	case yearTooHigh:
		return "lies after year 9999"
	case hour24:
		return "is 24:00:00"
	case notHex:
		return `is not a byte string in hex format (\x…)`
	case rowTooLong:
		return fmt.Sprintf("would make a record of more than %d bytes", maxRecord)
	default:
		return r.superString()
	}
}

// superString is String for what SUPER can't hold.
func (r reason) superString() string {
	switch r {
	case notJSON:
		return "is not JSON"
	case jsonTooDeep:
		return fmt.Sprintf("is JSON nested deeper than %d levels", maxDepth)
	case jsonStringTooLong:
		return fmt.Sprintf("is JSON that holds a string of more than %d bytes", maxJSONString)
	case jsonNumberTooLong:
		return "is JSON that holds a number which SUPER can't hold exactly"
	case jsonSurrogate:
		return "is JSON that holds half of a surrogate pair"
	case jsonNUL:
		return `is JSON that holds the character \u0000`
	case notArray:
		return "is not an array in PostgreSQL's notation"
	case notRow:
		return "is not a composite value in PostgreSQL's notation"
	case otherFields:
		return "is a composite with another number of fields than its type had when the table was loaded"
	case notHstore:
		return "is not an hstore in PostgreSQL's notation"
	default:
		return "can't be loaded"
	}
}

// remedy is the operator's next step.
func (r reason) remedy() string {
	if r.misfit() != "" {
		return "set a policy for such values (docs/types.md), change the value at the source, or exclude its column or table, " +
			"then load the table again"
	}
	switch r {
	case absent:
		return "report this as a fault of walshift; the table must be loaded again"
	case misplacedKept:
		return "set REPLICA IDENTITY FULL on the table, and load it again"
	case otherFields:
		return "undo the ALTER TYPE, or load the table again"
	case notBool, notNumber, notDate, notTime, notHex, notUTF8:
		return "check that nothing between walshift and the source changes session settings " +
			"(client_encoding, DateStyle, TimeZone, bytea_output), then load the table again"
	default:
		return "change the value at the source or exclude its column or table, then load the table again"
	}
}

// misfit returns the policy that a reason asks for, "" where there is none:
// what the source would never send by itself is no matter of policies.
func (r reason) misfit() sqltext.Misfit {
	switch r {
	case tooLong, tooManyDigits, jsonTooDeep, jsonStringTooLong, jsonNumberTooLong, jsonSurrogate, jsonNUL, rowTooLong:
		return sqltext.MisfitOversize
	case notANumber:
		return sqltext.MisfitNaN
	case infinite:
		return sqltext.MisfitInfinity
	case beforeChrist, yearTooHigh, hour24:
		return sqltext.MisfitOutOfRange
	case emptyIsNull:
		return sqltext.MisfitEmptyBytes
	default:
		return ""
	}
}

// code names a reason in an incident; it is stable, for people filter by it.
func (r reason) code() string {
	switch r {
	case tooLong:
		return "too_long"
	case tooManyDigits:
		return "too_many_digits"
	case jsonTooDeep:
		return "json_too_deep"
	case jsonStringTooLong:
		return "json_string_too_long"
	case jsonNumberTooLong:
		return "json_number_too_long"
	case jsonSurrogate:
		return "json_half_surrogate"
	case jsonNUL:
		return "json_nul"
	case rowTooLong:
		return "row_too_long"
	case notANumber:
		return "nan"
	case infinite:
		return "infinite"
	case beforeChrist:
		return "before_year_1"
	case yearTooHigh:
		return "after_year_9999"
	case hour24:
		return "hour_24"
	case emptyIsNull:
		return "empty_bytes"
	default:
		return "unexpected"
	}
}

// ValueError reports a value that Redshift can't hold as it is. It never
// carries the value.
type ValueError struct {
	// Column is the source's column name; Attnum identifies it. Both are
	// empty where the row as a whole is at fault.
	Column string
	Attnum int16
	// Reason completes the sentence "the value …".
	Reason string
}

// Error implements error.
func (e *ValueError) Error() string {
	if e.Column == "" {
		return "the row " + e.Reason
	}
	return fmt.Sprintf("the value of column %q %s", e.Column, e.Reason)
}
