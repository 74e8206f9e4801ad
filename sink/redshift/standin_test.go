package redshift_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/sink/redshift"
	"github.com/walshift/walshift/test/cluster"
	standin "github.com/walshift/walshift/test/redshift"
)

// house is the stand-in for Redshift with its S3 server.
type house struct {
	s3     *cluster.S3
	server *standin.Server
	faults *standin.Injector
	user   string
	reader *pgx.Conn
	n      int
}

const bucket = "log"

// TestAgainstStandIn runs everything whose meaning depends on Redshift's rules
// against the stand-in: each part has one of its own over common servers.
func TestAgainstStandIn(t *testing.T) {
	t.Parallel()
	servers := &house{s3: cluster.RunS3(t, cluster.S3Config{})}
	if err := servers.s3.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	for name, test := range map[string]func(t *testing.T, h *house){
		"model": applyFollowsTheModel, "faults": faultsOnTheWay, "takeover": takeover,
		"zombie": frozenZombieLosesItsLock, "edited": editedTargetStops, "bad_file": badFileExplained,
		"interrupted": interruptedLoadStartsOver, "large": largeValues,
		"kept": keptByKey, "kept_moves": keptMoves, "kept_without_row": keptWithoutRow, "kept_too_large": keptTooLarge, "kept_marker": keptMarker, "kept_faults": keptFaults,
		"multiset": multisetFollowsTheModel, "copies": multisetCopies, "paged": multisetInPages,
		"multiset_faults": multisetFaults, "multiset_edited": multisetEdited, "multiset_existing": multisetExisting,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newHouse(t, servers.s3, pg.SuperuserDSN("dev_"+name), "loader_"+name))
		})
	}
}

func newHouse(t *testing.T, store *cluster.S3, backend, user string) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{s3: store, user: user, faults: new(standin.Injector)}
	var err error
	h.server, err = standin.Start(ctx, standin.Config{
		Backend: backend, Faults: h.faults,
		S3: standin.S3{
			Endpoint: h.s3.Endpoint(), Region: h.s3.Region(), PathStyle: true,
			AccessKey: h.s3.AccessKey(), Secret: h.s3.SecretKey(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.server.Close() })
	if err := h.server.CreateUser(ctx, user, "hunter2"); err != nil {
		t.Fatal(err)
	}
	h.reader, err = pgx.Connect(ctx, h.dsn())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.reader.Close(context.WithoutCancel(ctx)) })
	return h
}

func (h *house) dsn() string { return h.server.DSN(h.user, "hunter2", "") }

func (h *house) warehouse(t *testing.T, adjust func(c *redshift.Config)) *redshift.Warehouse {
	t.Helper()
	cfg := redshift.DefaultConfig()
	cfg.DSN, cfg.IAMRole, cfg.Pipeline = h.dsn(), "arn:aws:iam::123456789012:role/loader", "shop"
	cfg.Schemas = map[string]string{"public": "shop"}
	if adjust != nil {
		adjust(&cfg)
	}
	w, err := redshift.New(cfg, h, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.WithoutCancel(t.Context())) })
	return w
}

func (h *house) put(ctx context.Context, key string, body []byte) error {
	b := bucket
	_, err := h.s3.Client().PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader(body)})
	return err
}

// ReadRecords implements redshift.Files.
func (h *house) ReadRecords(ctx context.Context, f *change.File, limit int64) ([]byte, error) {
	r, err := h.OpenRecords(ctx, f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	records, err := io.ReadAll(r)
	if int64(len(records)) > limit {
		return nil, change.ErrTooLarge
	}
	return records, err
}

// OpenRecords implements redshift.Files.
func (h *house) OpenRecords(ctx context.Context, f *change.File) (io.ReadCloser, error) {
	b := bucket
	out, err := h.s3.Client().GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: &f.Key})
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(out.Body)
	if err != nil {
		_ = out.Body.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{z, out.Body}, nil
}

// PutRecords implements redshift.Files.
func (h *house) PutRecords(ctx context.Context, name, marker string, rows int64, records []byte) (change.File, error) {
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := z.Write(records); err != nil {
		return change.File{}, err
	}
	if err := z.Close(); err != nil {
		return change.File{}, err
	}
	f := change.File{
		Key: "copy/" + h.user + "/" + name + ".csv.gz", Rows: rows, NullMarker: marker, Compression: "gzip", Bytes: int64(body.Len()),
	}
	return f, h.put(ctx, f.Key, body.Bytes())
}

// PutCopyManifest implements redshift.Files.
func (h *house) PutCopyManifest(ctx context.Context, name string, files []change.File) (string, error) {
	var entries []any
	for _, f := range files {
		entries = append(entries, map[string]any{
			"url": "s3://" + bucket + "/" + f.Key, "mandatory": true, "meta": map[string]int64{"content_length": f.Bytes},
		})
	}
	body, err := json.Marshal(map[string]any{"entries": entries})
	if err != nil {
		return "", err
	}
	key := "copy/" + name + ".manifest"
	return "s3://" + bucket + "/" + key, h.put(ctx, key, body)
}

// null is a cell that holds NULL.
const null = "\x00"

// file writes a data file of rows and returns what a manifest says of it.
func (h *house) file(t *testing.T, f change.File, rows [][]string) change.File {
	t.Helper()
	var csv strings.Builder
	for _, row := range rows {
		if f.Pad {
			row = append(slices.Clone(row), "1")
		}
		for i, v := range row {
			if i > 0 {
				csv.WriteByte(',')
			}
			if v == null {
				csv.WriteString("~null~")
			} else {
				csv.WriteString(`"` + strings.ReplaceAll(v, `"`, `""`) + `"`)
			}
		}
		csv.WriteByte('\n')
	}
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := z.Write([]byte(csv.String())); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h.n++
	f.Key = fmt.Sprintf("data/%s/%06d/%s.csv.gz", h.user, h.n, f.Kind)
	f.Rows, f.NullMarker, f.Compression, f.Bytes = int64(len(rows)), "~null~", "gzip", int64(body.Len())
	if err := h.put(t.Context(), f.Key, body.Bytes()); err != nil {
		t.Fatal(err)
	}
	return f
}

// rows reads a query's rows, all as text.
func (h *house) rows(t *testing.T, sql string) [][]string {
	t.Helper()
	rows, err := h.reader.Query(t.Context(), sql, pgx.QueryExecModeExec)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	var out [][]string
	for rows.Next() {
		var row []string
		for _, v := range rows.RawValues() {
			if v == nil {
				row = append(row, null)
			} else {
				row = append(row, string(v))
			}
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}
