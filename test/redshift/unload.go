package redshift

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/klauspost/compress/zstd"

	"github.com/walshift/walshift/test/redshift/internal/load"
	"github.com/walshift/walshift/test/redshift/internal/sqlrule"
)

// unloadSlices is how many files a parallel UNLOAD writes: one per slice that
// STV_SLICES shows.
const unloadSlices = 2

// unloadRun is one UNLOAD while it runs.
type unloadRun struct {
	def   *sqlrule.UnloadDef
	cols  []column
	files []bytes.Buffer
	rows  int64
}

// runUnload writes the result of a query to S3. An empty result writes nothing.
func (c *session) runUnload(ctx context.Context, st *sqlrule.Statement) (outcome, error) {
	d := st.Unload
	if region := or(c.srv.cfg.S3.Region, "us-east-1"); d.Region != "" && d.Region != region {
		return outcome{}, c.copyError(&load.StatementError{Message: "S3ServiceException:The specified bucket is not in this region,Status 301,Error PermanentRedirect", Context: d.Target}, 0)
	}
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(d.Target, "s3://"), "/")
	if err := c.clearTarget(ctx, d, bucket, prefix); err != nil {
		return outcome{}, err
	}
	u := &unloadRun{def: d, files: make([]bytes.Buffer, unloadSlices)}
	if d.Serial {
		u.files = u.files[:1]
	}
	if err := c.unloadRows(u, st.Backend[0]); err != nil {
		return outcome{}, err
	}
	if u.rows > 0 {
		if err := c.putUnloaded(ctx, u, bucket, prefix); err != nil {
			return outcome{}, err
		}
	}
	c.copyNotice(fmt.Sprintf("UNLOAD completed, %d record(s) unloaded successfully.", u.rows))
	return outcome{tag: "UNLOAD", rows: u.rows}, nil
}

func (c *session) clearTarget(ctx context.Context, d *sqlrule.UnloadDef, bucket, prefix string) error {
	keys, err := c.srv.s3.List(ctx, bucket, prefix)
	if err != nil {
		return c.copyError(&load.StatementError{Message: "S3ServiceException:" + err.Error(), Context: d.Target}, 0)
	}
	if len(keys) > 0 && !d.AllowOverwrite && !d.CleanPath {
		return c.copyError(&load.StatementError{
			Message: "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, " +
				"manually removing the target files in S3, or using the ALLOWOVERWRITE option.", Context: d.Target,
		}, 0)
	}
	if !d.CleanPath {
		return nil
	}
	for _, key := range keys {
		if err := c.srv.s3.Delete(ctx, bucket, key); err != nil {
			return c.copyError(&load.StatementError{Message: "S3ServiceException:" + err.Error(), Context: d.Target}, 0)
		}
	}
	return nil
}

// unloadRows runs the query and deals its rows out to the files.
func (c *session) unloadRows(u *unloadRun, sql string) error {
	c.b.fe.SendQuery(&pgproto3.Query{String: sql})
	if err := c.b.fe.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errBackend, err)
	}
	var failure error
	for {
		msg, err := c.b.recv()
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.RowDescription:
			u.cols = c.columns(m)
			failure = errors.Join(failure, u.header())
		case *pgproto3.DataRow:
			for i := range m.Values {
				m.Values[i] = c.show(u.cols[i], m.Values[i])
			}
			u.row(&u.files[int(u.rows)%len(u.files)], m.Values)
			u.rows++
		case *pgproto3.ErrorResponse:
			e := *m
			failure = errors.Join(&backendError{&e}, failure)
		case *pgproto3.ReadyForQuery:
			return failure
		}
	}
}

// header writes the columns' names into each file, and checks them for JSON.
func (u *unloadRun) header() error {
	names := make([][]byte, len(u.cols))
	seen := map[string]bool{}
	for i := range u.cols {
		names[i] = bytes.Clone(u.cols[i].field.Name)
		if u.def.Format == "JSON" && seen[string(names[i])] {
			return refusal(sqlrule.CodeDuplicate, fmt.Sprintf("column %q is there twice, which JSON cannot hold", names[i]))
		}
		seen[string(names[i])] = true
		if oid := u.cols[i].field.DataTypeOID; oid == oidVarbyte && (u.def.Format == "JSON" || u.def.AddQuotes) {
			return refusal(sqlrule.CodeUnsupported, "VARBYTE columns can be unloaded to text or CSV only, without ADDQUOTES")
		}
	}
	if u.def.Header {
		for i := range u.files {
			u.flat(&u.files[i], names)
		}
	}
	return nil
}

func (u *unloadRun) row(w *bytes.Buffer, values [][]byte) {
	if u.def.Format == "JSON" {
		u.object(w, values)
		return
	}
	u.flat(w, values)
}

// flat writes a line of text or CSV.
func (u *unloadRun) flat(w *bytes.Buffer, values [][]byte) {
	d := u.def
	for i, v := range values {
		if i > 0 {
			w.WriteString(d.Delimiter)
		}
		switch {
		case v == nil:
			w.WriteString(d.Null)
		case d.Format == "CSV" && bytes.ContainsAny(v, d.Delimiter+"\"\n\r"):
			w.WriteByte('"')
			w.Write(bytes.ReplaceAll(v, []byte(`"`), []byte(`""`)))
			w.WriteByte('"')
		case d.AddQuotes:
			w.WriteByte('"')
			w.Write(u.escape(v))
			w.WriteByte('"')
		default:
			w.Write(u.escape(v))
		}
	}
	w.WriteByte('\n')
}

// escape puts a backslash before what COPY … ESCAPE would take for syntax.
func (u *unloadRun) escape(v []byte) []byte {
	d := u.def
	special := "\n\r\\" + d.Delimiter
	if d.AddQuotes {
		special += `"'`
	}
	if !d.Escape || !bytes.ContainsAny(v, special) {
		return v
	}
	out := make([]byte, 0, len(v)+1)
	for _, b := range v {
		if strings.IndexByte(special, b) >= 0 {
			out = append(out, '\\')
		}
		out = append(out, b)
	}
	return out
}

// object writes a line of JSON. Numbers and SUPER stand as they are.
func (u *unloadRun) object(w *bytes.Buffer, values [][]byte) {
	w.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			w.WriteByte(',')
		}
		writeString(w, string(u.cols[i].field.Name))
		w.WriteByte(':')
		switch {
		case v == nil:
			w.WriteString("null")
		case plainJSON(u.cols[i].field.DataTypeOID) && json.Valid(v):
			w.Write(v)
		default:
			writeString(w, string(v))
		}
	}
	w.WriteString("}\n")
}

func writeString(w *bytes.Buffer, s string) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // text always encodes
	w.Truncate(w.Len() - 1)
}

// plainJSON reports whether values of a type are JSON themselves.
func plainJSON(oid uint32) bool {
	switch oid {
	case 20, 21, 23, 700, 701, oidNumeric, oidSuper:
		return true
	}
	return false
}

// putUnloaded compresses and writes the files and the manifest.
func (c *session) putUnloaded(ctx context.Context, u *unloadRun, bucket, prefix string) error {
	type entry struct {
		URL string `json:"url"`
	}
	var manifest struct {
		Entries []entry `json:"entries"`
	}
	for i := range u.files {
		key := fmt.Sprintf("%s%04d_part_00", prefix, i)
		if u.def.Serial {
			key = prefix + "000"
		}
		body, ending, err := packUnloaded(u.files[i].Bytes(), u.def.Compression)
		if err != nil {
			return fmt.Errorf("compressing unloaded rows: %w", err)
		}
		key += ending
		if err := c.srv.s3.Put(ctx, bucket, key, body); err != nil {
			return c.copyError(&load.StatementError{Message: "S3ServiceException:" + err.Error(), Context: u.def.Target}, 0)
		}
		manifest.Entries = append(manifest.Entries, entry{"s3://" + bucket + "/" + key})
	}
	if !u.def.Manifest {
		return nil
	}
	body, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding manifest: %w", err)
	}
	if err := c.srv.s3.Put(ctx, bucket, prefix+"manifest", body); err != nil {
		return c.copyError(&load.StatementError{Message: "S3ServiceException:" + err.Error(), Context: u.def.Target}, 0)
	}
	return nil
}

func packUnloaded(body []byte, method string) (packed []byte, ending string, err error) {
	var b bytes.Buffer
	switch method {
	case "GZIP":
		z := gzip.NewWriter(&b)
		_, err = z.Write(body)
		return closeInto(&b, z, err, ".gz")
	case "ZSTD":
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err == nil {
			_, err = z.Write(body)
		}
		return closeInto(&b, z, err, ".zst")
	}
	return body, "", nil
}

func closeInto(b *bytes.Buffer, z interface{ Close() error }, err error, ending string) ([]byte, string, error) {
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, "", err
	}
	return b.Bytes(), ending, nil
}
