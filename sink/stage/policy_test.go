package stage_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift/sqltext"
	"github.com/walshift/walshift/sink/stage"
)

// incidentsOf reads the files of incidents, field by field.
func incidentsOf(t *testing.T, f *fakeS3, files []change.File) [][]string {
	t.Helper()
	rel := &change.Relation{Schema: "walshift", Name: "incidents"}
	for i, c := range sqltext.IncidentColumns() {
		rel.Columns = append(rel.Columns, change.Column{Attnum: int16(i + 1), Name: c.Name, Type: "text", TypeKind: "b", Typmod: -1})
	}
	var rows [][]string
	for i := range files {
		if files[i].Kind != change.KindIncident || len(files[i].Columns) > 0 {
			t.Errorf("file %+v", files[i])
		}
		files[i].Columns = make([]int16, len(rel.Columns))
		for c := range files[i].Columns {
			files[i].Columns[c] = int16(c + 1)
		}
		rows = append(rows, rowsOf(t, f, rel, &files[i])...)
	}
	return rows
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestT5T9MisfitLeavesIncident: what a policy changes is told by an incident,
// its original is there before the segment is, and the same segment written
// again gives the same files, by stream and by snapshot.
func TestT5T9MisfitLeavesIncident(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Values = sqltext.DefaultRules()
	l := open(t, cfg)
	rel := relation([]int{0, 2}, "int4", "text", "text", "float8", "jsonb", "bytea")
	long, number := strings.Repeat("é", 40_000), `{"n": 1e999}`
	rows := []change.Tuple{
		tuple("1", "fits", `k"1`, "1.5", "{}", `\x00`),
		tuple("2", long, "k2", "NaN", number, `\x`),
		tuple("3", null, "k3", null, null, null),
	}
	s := &change.Segment{Relation: rel, Upserts: change.Rows{Images: rows}, Last: 0x10}
	entry, err := l.WriteSegment(t.Context(), 7, "a", 3, s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.WriteSegment(t.Context(), 7, "a", 3, s)
	if err != nil || again.Incidents[0].SHA256 != entry.Incidents[0].SHA256 || again.Files[0].SHA256 != entry.Files[0].SHA256 {
		t.Errorf("written again: %v, %+v, then %+v", err, entry, again)
	}
	w, err := l.SnapshotFile(rel, 0x10, "b", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Write(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for way, files := range map[string][2][]change.File{
		"stream": {entry.Files, entry.Incidents}, "snapshot": {change.DataFiles(loaded), change.IncidentFiles(loaded)},
	} {
		got := rowsOf(t, f, rel, &files[0][0])
		want := []string{"2", "walshift:kept:" + sumOf(long), "k2", null, `"walshift:kept:` + sumOf(number) + `"`, null}
		if len(got) != 3 || strings.Join(got[1], "|") != strings.Join(want, "|") || got[0][1] != "fits" || got[2][0] != "3" {
			t.Errorf("%s: rows %q, want the second %q", way, got, want)
		}
		incidents := incidentsOf(t, f, files[1])
		if len(incidents) != 4 || change.Count(files[1]) != 4 {
			t.Fatalf("%s: incidents %q", way, incidents)
		}
		ids := map[string]bool{}
		for i, e := range []struct{ column, reason, policy, original, object string }{
			{"c2", "too_long", "keep_out", null, "kept/" + sumOf(long)},
			{"c4", "nan", "set_null", "NaN", null},
			{"c5", "json_number_too_long", "keep_out", number, "kept/" + sumOf(number)},
			{"c6", "empty_bytes", "set_null", `\x`, null},
		} {
			row := incidents[i]
			ids[row[0]] = true
			if row[2] != "0/10" || row[3]+"."+row[4] != rel.String() || row[6] != `{"c1":"2","c3":"k2"}` ||
				row[7] != e.column || row[9] != e.reason || row[10] != e.policy || row[12] != e.original || row[13] != e.object {
				t.Errorf("%s: incident %q, want %+v", way, row, e)
			}
		}
		if len(ids) != 4 {
			t.Errorf("%s: ids are not unique: %q", way, incidents)
		}
	}
	for _, text := range []string{long, number} {
		if got, err := l.Kept(t.Context(), "kept/"+sumOf(text)); err != nil || string(got) != text {
			t.Errorf("the original came back as %.40q, %v", got, err)
		}
	}
	if _, err := l.Kept(t.Context(), "kept/"+sumOf("no")); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("an original that is not there: %v", err)
	}
}

// TestV19KeysHaveNoPolicy: a misfit in the key stops the table, whatever the
// policies.
func TestV19KeysHaveNoPolicy(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Values = sqltext.DefaultRules()
	l := open(t, cfg)
	for typ, text := range map[string]string{"float8": "NaN", "date": "infinity", "time": "24:00:00", "numeric": "1" + strings.Repeat("0", 30)} {
		rel := relation([]int{1}, "int4", typ)
		for _, s := range []*change.Segment{
			{Relation: rel, Inserts: change.Rows{Images: []change.Tuple{tuple("1", text)}}},
			{Relation: rel, Deletes: change.Rows{Images: []change.Tuple{tuple(text)}}},
		} {
			_, err := l.WriteSegment(t.Context(), 1, "a", 0, s)
			if change.ScopeOf(err) != change.ScopeTable || !strings.Contains(err.Error(), "no policy applies to a key") {
				t.Errorf("%s: %v", typ, err)
			}
		}
	}
}

// TestRowTooLong: a row above 4 MB loses its largest values first, and only as
// many as it must.
func TestRowTooLong(t *testing.T) {
	t.Parallel()
	f := newFakeS3(t)
	cfg := f.config()
	cfg.Values = sqltext.DefaultRules()
	cfg.Values.Tables = []sqltext.TableValues{{Match: "*", Columns: map[string]sqltext.Values{"c5": {Oversize: sqltext.PolicyFail}}}}
	l := open(t, cfg)
	document := func(n int) string {
		b, err := json.Marshal(strings.Split(strings.TrimSuffix(strings.Repeat(strings.Repeat("x", 999)+",", n), ","), ","))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	rel := relation([]int{0}, "int4", "jsonb", "jsonb", "jsonb", "jsonb")
	row := []string{"1", document(1500), document(1700), document(100), document(1800)}
	s := &change.Segment{Relation: rel, Inserts: change.Rows{Images: []change.Tuple{tuple(row...)}}}
	entry, err := l.WriteSegment(t.Context(), 1, "a", 0, s)
	if err != nil {
		t.Fatal(err)
	}
	got := rowsOf(t, f, rel, &entry.Files[0])[0]
	if got[1] != row[1] || got[3] != row[3] || got[4] != row[4] || got[2] != `"walshift:kept:`+sumOf(row[2])+`"` {
		t.Errorf("fields of %d, %d, %d, %d bytes", len(got[1]), len(got[2]), len(got[3]), len(got[4]))
	}
	if e := incidentsOf(t, f, entry.Incidents); len(e) != 1 || e[0][9] != "row_too_long" || e[0][7] != "c3" {
		t.Errorf("incidents %q", e)
	}
	row[4] = document(4100)
	s.Inserts.Images[0] = tuple(row...)
	if _, err := l.WriteSegment(t.Context(), 2, "a", 0, s); change.ScopeOf(err) != change.ScopeTable {
		t.Errorf("a row that no policy makes short enough: %v", err)
	}
}
