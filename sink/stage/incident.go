package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
)

const (
	// incidentFileBytes is the compressed size at which a file of incidents is
	// cut.
	incidentFileBytes = 1 << 20
	// asyncOriginal is the size up to which an original is copied and uploaded
	// beside the encoding; larger ones are worth the wait.
	asyncOriginal = 1 << 20
	// idDigits is the length of an incident's id.
	idDigits = 20
)

// incidentLayout is the shape of files of incidents: text in every field.
func incidentLayout() *layout {
	l := &layout{kind: change.KindIncident}
	for _, f := range sqltext.IncidentColumns() {
		l.columns = append(l.columns, newColumn(f.Name, f.Mapping, nil))
	}
	return l
}

// incidentWriter returns the writer of the incidents of a segment or snapshot
// part.
func incidentWriter(parent *writer, name func(n int) string) *writer {
	return &writer{
		log: parent.log, layout: incidentLayout(), rel: parent.rel, at: parent.at, seq: parent.seq,
		uploads: parent.uploads, name: name, fileBytes: incidentFileBytes,
	}
}

// report writes an incident for each misfit of the row just added, and sends
// the originals on their way. Copies of a multiset's row that are taken away
// were reported when they came: of those it keeps the originals alone, for
// the record may be loaded again for copies that remain.
func (w *writer) report(ctx context.Context, image change.Tuple) error {
	if len(w.layout.misfits) == 0 {
		return nil
	}
	key := w.rowKey(image)
	for i := range w.layout.misfits {
		m := &w.layout.misfits[i]
		e := change.Incident{
			ID: w.incidents.nextID(), Seq: w.seq, LSN: change.LSN(w.at),
			Schema: w.rel.Schema, Table: w.rel.Name, OID: w.rel.OID, Key: key,
			Column: m.column.name, Attnum: m.column.attnum,
			Reason: m.reason.code(), Policy: m.recorded, Bytes: int64(len(m.original)),
		}
		if len(m.original) <= change.MaxOriginal {
			e.Original = m.original
		}
		if m.object {
			e.Object = keptKey(m.sum)
			if err := w.uploads.keep(ctx, w.log, m); err != nil {
				return err
			}
		}
		if w.layout.kind == change.KindMultiset {
			continue
		}
		if err := w.incidents.add(ctx, incidentTuple(&e), nil, m.accepted); err != nil {
			return fmt.Errorf("writing an incident: %w", err)
		}
	}
	return nil
}

// nextID derives the next incident's id from the name of its file's folder and
// place, so that the same attempt gives the same ids.
func (w *writer) nextID() string {
	w.reported++
	sum := sha256.Sum256([]byte(w.name(0) + "#" + strconv.FormatInt(w.reported, 10)))
	return hex.EncodeToString(sum[:])[:idDigits]
}

// incidentTuple returns the fields of e in the order of the file's columns.
func incidentTuple(e *change.Incident) change.Tuple {
	var t []byte
	text := func(s string) {
		t = change.AppendValue(t, change.Value{Kind: change.ValueText, Text: []byte(s)})
	}
	optional := func(s []byte) {
		if s == nil {
			t = append(t, change.ValueNull)
			return
		}
		t = change.AppendValue(t, change.Value{Kind: change.ValueText, Text: s})
	}
	text(e.ID)
	text(strconv.FormatUint(e.Seq, 10))
	text(e.LSN.String())
	text(e.Schema)
	text(e.Table)
	text(strconv.FormatUint(uint64(e.OID), 10))
	optional(nonEmpty(e.Key))
	text(e.Column)
	text(strconv.Itoa(int(e.Attnum)))
	text(e.Reason)
	text(e.Policy)
	text(strconv.FormatInt(e.Bytes, 10))
	optional(e.Original)
	optional(nonEmpty(e.Object))
	return t
}

func nonEmpty(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// rowKey returns the key of a row image as JSON, or its SHA-256 where that is
// longer than a VARCHAR. A multiset's rows have their hash for a key.
func (w *writer) rowKey(image change.Tuple) string {
	rel := w.rel
	switch {
	case w.layout.hash != nil:
		return `{"` + change.RowColumn + `":"` + string(w.layout.hash.text[:]) + `"}`
	case !rel.HasKey():
		return ""
	}
	key := []byte{'{'}
	var v change.Value
	for i := range rel.Columns {
		if v, image = image.Next(); !rel.IsKey(i) {
			continue
		}
		if len(key) > 1 {
			key = append(key, ',')
		}
		key = append(appendJSONString(key, []byte(rel.Columns[i].Name)), ':')
		key = appendJSONString(key, v.Text)
	}
	key = append(key, '}')
	if len(key) > sqltext.MaxVarchar {
		sum := sha256.Sum256(key)
		return `{"sha256":"` + hex.EncodeToString(sum[:]) + `"}`
	}
	return string(key)
}

func appendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, b := range text {
		dst = appendJSONByte(dst, b)
	}
	return append(dst, '"')
}

// keptKey is the name of an original's object.
func keptKey(sum string) string { return keptFolder + sum }

// keep uploads an original.
func (u *uploads) keep(ctx context.Context, l *Log, m *misfit) error {
	if len(m.original) > asyncOriginal {
		return l.keep(ctx, m.sum, m.original)
	}
	body, sum := append([]byte(nil), m.original...), m.sum
	return u.send(ctx, l, int64(len(body)), func() error { return l.keep(ctx, sum, body) })
}

// keep puts the original of a value; one that is there already is the same,
// for its name is its content's hash.
func (l *Log) keep(ctx context.Context, sum string, body []byte) error {
	o := object{key: keptKey(sum), body: body, contentType: contentData, sum: sum}
	err := l.create(ctx, o, func() (bool, error) { return true, nil })
	if err != nil {
		return l.fault("keeping the original of a value", err)
	}
	return nil
}

// Kept returns the original of a value by its object's key, as an incident
// names it: the text that PostgreSQL printed. The error wraps [ErrNotFound]
// where it is gone.
func (l *Log) Kept(ctx context.Context, key string) ([]byte, error) {
	body, err := l.read(ctx, key, maxOriginal)
	switch {
	case err == nil:
	case isMissing(err):
		return nil, fmt.Errorf("reading the original %s: %w", l.URL(key), ErrNotFound)
	default:
		return nil, l.fault("reading the original of a value", err)
	}
	if sum := sha256.Sum256(body); key != keptKey(hex.EncodeToString(sum[:])) {
		return nil, fmt.Errorf("reading the original %s: its content is not what its name says", l.URL(key))
	}
	return body, nil
}
