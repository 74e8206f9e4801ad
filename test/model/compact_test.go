package model_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/compact"
)

const marker = "~N00000000"

// files are a segment's data files, as package stage would write them.
func files(s *schema, seg *change.Segment) []compact.File {
	var all, keys []int16
	for i := range s.rel.Columns {
		all = append(all, s.rel.Columns[i].Attnum)
	}
	for _, k := range s.rel.Keys {
		keys = append(keys, s.rel.Columns[k].Attnum)
	}
	var out []compact.File
	add := func(f change.File, records [][]string) {
		if len(records) == 0 {
			return
		}
		var b bytes.Buffer
		for _, r := range records {
			for i, v := range r {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString(field(v))
			}
			b.WriteByte('\n')
		}
		f.Key, f.Rows, f.NullMarker = string(f.Kind), int64(len(records)), marker
		out = append(out, compact.File{Entry: &f, Records: b.Bytes()})
	}
	rows := func(images []change.Tuple, more ...string) [][]string {
		var list [][]string
		for _, image := range images {
			list = append(list, append(row(image), more...))
		}
		return list
	}
	deletes := change.File{Kind: change.KindDelete, Columns: keys, Pad: len(keys) == 1}
	if deletes.Pad {
		add(deletes, rows(seg.Deletes.Images, "1"))
	} else {
		add(deletes, rows(seg.Deletes.Images))
	}
	partials := change.File{Kind: change.KindPartial, Columns: all, Origin: keys, KeptColumns: all}
	var records [][]string
	for i, image := range seg.Partials.Images {
		if seg.Partials.Existed[i] {
			partials.Existed++
		}
		r := row(image)
		flags := make([]byte, len(r))
		for c := range r {
			if flags[c] = '0'; r[c] == kept {
				flags[c], r[c] = '1', null
			}
		}
		records = append(records, append(append(r, row(seg.Partials.Origins[i])...), string(flags)))
	}
	add(partials, records)
	one := change.File{Columns: all, Pad: len(all) == 1}
	var pad []string
	if one.Pad {
		pad = []string{"1"}
	}
	one.Kind = change.KindUpsert
	add(one, rows(seg.Upserts.Images, pad...))
	one.Kind = change.KindInsert
	add(one, rows(seg.Inserts.Images, pad...))
	return out
}

func field(v string) string {
	switch v {
	case null:
		return marker
	case "":
		return `""`
	}
	return v
}

// value undoes field.
func value(f []byte) string {
	if f == nil {
		return null
	}
	return strings.Trim(string(f), `"`)
}

// result does to the target what the statements of a shared staging table do:
// fill, remove, insert.
func (t table) result(s *schema, res compact.Result) error {
	if res.Truncated {
		clear(t)
	}
	images := make([][]string, len(res.Rows))
	for i, r := range res.Rows {
		for c, v := range r.Image {
			image := value(v)
			if r.Kept != nil && r.Kept[c] {
				image = kept
			}
			images[i] = append(images[i], image)
		}
		if r.Kept == nil {
			continue
		}
		var origin []string
		for _, v := range r.Origin {
			origin = append(origin, value(v))
		}
		filled, err := t.fill(s, images[i], name(origin))
		if err != nil {
			return err
		}
		images[i] = filled
	}
	var removed int64
	for i, r := range res.Rows {
		if key := name(s.keyOf(images[i])); r.Op != compact.Insert && t[key] != nil {
			delete(t, key)
			removed++
		}
	}
	if removed != res.Existed {
		return fmt.Errorf("%d keys existed, %d were said to", removed, res.Existed)
	}
	for i, r := range res.Rows {
		key := name(s.keyOf(images[i]))
		switch {
		case r.Op == compact.Delete:
		case t[key] != nil:
			return fmt.Errorf("%v is written where a row is", images[i])
		default:
			t[key] = slices.Clone(images[i])
		}
	}
	return nil
}
