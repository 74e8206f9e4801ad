package stage

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

// keptPrefix begins what a text or SUPER column holds in the place of a value
// that is kept out; the SHA-256 of the value follows, which is the name of the
// object below kept/ that holds it.
const keptPrefix = "walshift:kept:"

// keptBytes is the length of such a reference.
const keptBytes = len(keptPrefix) + 2*sha256.Size

// misfit is a value that a policy has changed.
type misfit struct {
	column *column
	reason reason
	policy sqltext.Policy
	// recorded is how the incident names the policy, and accepted says that
	// the operator knows of such values.
	recorded string
	accepted bool
	// original aliases the row's image.
	original []byte
	// sum is the original's SHA-256 where its object is wanted: where the
	// column refers to it, or it is long.
	sum    string
	object bool
}

// misfit appends what the column's policy puts in the place of the value v,
// and notes it. It returns the reason again where there is no policy, the
// policy is to stop, or the column belongs to the key.
func (l *layout) misfit(dst []byte, c *column, v, marker []byte, r reason) ([]byte, reason) {
	kind := r.misfit()
	if kind == "" || c.key {
		return dst, r
	}
	m := misfit{column: c, reason: r, policy: c.values.Policy(kind), original: v, object: len(v) > change.MaxOriginal}
	if m.policy == sqltext.PolicyFail {
		return dst, r
	}
	m.recorded, m.accepted = c.values.Recorded(kind)
	refers := m.policy == sqltext.PolicyKeepOut && (c.super || c.form == sqltext.FormPlain && c.maxBytes >= keptBytes)
	if m.object || refers {
		sum := sha256.Sum256(v)
		m.sum, m.object = hex.EncodeToString(sum[:]), true
	}
	dst, r = c.appendSubstitute(dst, m, marker)
	if r == fits {
		l.misfits = append(l.misfits, m)
	}
	return dst, r
}

// appendSubstitute appends what stands in the place of the misfit.
func (c *column) appendSubstitute(dst []byte, m misfit, marker []byte) ([]byte, reason) {
	switch {
	case m.policy == sqltext.PolicyKeepOut && c.super:
		dst = append(dst, `"""`...) // a JSON string in a CSV field
		dst = append(dst, keptPrefix...)
		dst = append(dst, m.sum...)
		return append(dst, `"""`...), fits
	case m.policy == sqltext.PolicyKeepOut && m.sum != "" && c.form == sqltext.FormPlain:
		return append(append(dst, keptPrefix...), m.sum...), fits
	case m.policy == sqltext.PolicyTruncate && c.form == sqltext.FormPlain:
		if m.reason == rowTooLong { // cut where the row is as long as it may be
			return append(dst, marker...), fits
		}
		return appendText(dst, cut(m.original, c.maxBytes), marker)
	case m.policy == sqltext.PolicyClamp:
		return c.appendNearest(dst, m), fits
	}
	return append(dst, marker...), fits
}

// cut returns the longest beginning of v that has at most n bytes and whole
// characters.
func cut(v []byte, n int) []byte {
	if len(v) <= n {
		return v
	}
	for n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n]
}

// appendNearest appends the value nearest to the misfit that the column holds.
func (c *column) appendNearest(dst []byte, m misfit) []byte {
	low := m.reason == beforeChrist || m.original[0] == '-'
	switch c.form {
	case sqltext.FormDate, sqltext.FormTimestamp, sqltext.FormTimestampTZ:
		day, clock := "9999-12-31", " 23:59:59.999999"
		if low {
			day, clock = "0001-01-01", " 00:00:00"
		}
		if dst = append(dst, day...); c.form == sqltext.FormDate {
			return dst
		}
		if dst = append(dst, clock...); c.form == sqltext.FormTimestampTZ {
			dst = append(dst, "+00"...)
		}
		return dst
	case sqltext.FormTime, sqltext.FormTimeTZ:
		dst = append(dst, "23:59:59.999999"...)
		if c.form == sqltext.FormTimeTZ { // after 24:00:00
			dst = append(dst, m.original[len("24:00:00"):]...)
		}
		return dst
	case sqltext.FormDecimal, sqltext.FormFloat:
	default:
		return dst
	}
	if low {
		dst = append(dst, '-')
	}
	switch {
	case c.form == sqltext.FormDecimal:
		dst = append(dst, strings.Repeat("9", c.precision-c.scale)...)
		if c.scale > 0 {
			dst = append(append(dst, '.'), strings.Repeat("9", c.scale)...)
		}
	case c.bits == 32:
		dst = append(dst, "3.4028235e+38"...)
	default:
		dst = append(dst, "1.7976931348623157e+308"...)
	}
	return dst
}

// leaveOut marks the row's largest value that a policy may touch, and reports
// whether there was one.
func (l *layout) leaveOut(image change.Tuple) bool {
	if l.out == nil {
		l.out = make([]bool, len(l.columns))
	}
	// References are longer than what they would replace below this size.
	largest, at := 2*keptBytes, -1
	var v change.Value
	for i := 0; i < len(l.columns) && len(image) > 0; i++ {
		v, image = image.Next()
		c := &l.columns[i]
		if l.out[i] || c.key || c.values.Policy(sqltext.MisfitOversize) == sqltext.PolicyFail {
			continue
		}
		if len(v.Text) > largest {
			largest, at = len(v.Text), i
		}
	}
	if at >= 0 {
		l.out[at] = true
	}
	return at >= 0
}
