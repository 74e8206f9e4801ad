package source_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/walshift/walshift/replicator/source"
)

// pooler stands in front of a server as connection poolers do: it gives clients
// process ids of its own, and may refuse replication or drop settings.
type pooler struct {
	server string
	// refuse replication connections.
	refuse bool
	// drop the settings of the startup packet.
	drop bool
}

func (p *pooler) serve(client net.Conn) {
	defer client.Close()
	back := pgproto3.NewBackend(client, client)
	first, err := back.ReceiveStartupMessage()
	start, ok := first.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	if start.Parameters["replication"] != "" && p.refuse {
		back.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "unsupported startup parameter: replication"})
		_ = back.Flush()
		return
	}
	if p.drop {
		start.Parameters = map[string]string{"user": start.Parameters["user"], "database": start.Parameters["database"]}
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	hello, err := start.Encode(nil)
	if err != nil {
		return
	}
	if _, err := server.Write(hello); err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer server.Close()
		_, _ = io.Copy(server, client) // nothing follows the startup message before its answer
	})
	defer client.Close()
	answer(client, bufio.NewReader(server))
}

// answer passes the server's messages on, with another process id.
func answer(client io.Writer, server io.Reader) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(server, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'K' {
			binary.BigEndian.PutUint32(body, binary.BigEndian.Uint32(body)+100_000)
		}
		if _, err := client.Write(append(head[:], body...)); err != nil {
			return
		}
	}
}

// start returns a source configuration that leads through the pooler.
func (p *pooler) start(t *testing.T, cfg source.Config) source.Config {
	t.Helper()
	cc, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	p.server = net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		wg.Wait()
	})
	cfg.DSN = strings.Replace(cfg.DSN, p.server, l.Addr().String(), 1)
	return cfg
}

// TestV20Pooler: replication refused and settings dropped are fails, a process
// id that is not the server's own a warning.
func TestV20Pooler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE t (id int PRIMARY KEY)")
	w.publish()
	for name, c := range map[string]struct {
		pooler pooler
		want   string
		fails  bool
	}{
		"session pool":      {pooler{}, "announced as process", false},
		"no replication":    {pooler{refuse: true}, "doesn't speak the replication protocol", true},
		"settings are lost": {pooler{drop: true, refuse: true}, "settings that are sent when connecting don't arrive", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := source.New(c.pooler.start(t, w.cfg))
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.Preflight(t.Context())
			if p == nil || (err != nil) != c.fails {
				t.Fatalf("Preflight: %v", err)
			}
			if got := findings(p.Findings, "source.pooler"); !strings.Contains(got, c.want) {
				t.Errorf("found %s", got)
			}
		})
	}
}
