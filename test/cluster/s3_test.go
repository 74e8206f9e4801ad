package cluster_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/walshift/walshift/test/cluster"
)

const bucket = "logs"

func put(ctx context.Context, server *cluster.S3, key, body string) error {
	_, err := server.Client().PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
	})
	return err
}

func read(t *testing.T, server *cluster.S3, key string) string {
	t.Helper()
	object, err := server.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	text, err := io.ReadAll(object.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func runS3(t *testing.T, cfg cluster.S3Config) *cluster.S3 {
	t.Helper()
	server := cluster.RunS3(t, cfg)
	if err := server.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	return server
}

// The log's batches are committed by conditional writes: one of many must win.
func TestS3ConditionalWriteHasOneWinner(t *testing.T) {
	t.Parallel()
	server := runS3(t, cluster.S3Config{})
	const racers = 20
	var winners atomic.Int32
	var winner atomic.Value
	var racing sync.WaitGroup
	for i := range racers {
		racing.Go(func() {
			body := strings.Repeat(string(rune('a'+i)), 100)
			err := put(t.Context(), server, "log/1.json", body)
			var refusal smithy.APIError
			switch {
			case err == nil:
				winners.Add(1)
				winner.Store(body)
			case !errors.As(err, &refusal) || refusal.ErrorCode() != "PreconditionFailed":
				t.Errorf("a loser got %v", err)
			}
		})
	}
	racing.Wait()
	if winners.Load() != 1 {
		t.Fatalf("%d racers won", winners.Load())
	}
	if got := read(t, server, "log/1.json"); got != winner.Load() {
		t.Errorf("the object holds %s, the winner wrote %s", got, winner.Load())
	}
}

func TestS3RefusesBadSignature(t *testing.T) {
	t.Parallel()
	server := runS3(t, cluster.S3Config{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Endpoint()+"/"+bucket, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("status is %s", answer.Status)
	}
}

func TestS3Outages(t *testing.T) {
	t.Parallel()
	server := runS3(t, cluster.S3Config{Region: "us-west-2", AccessKey: "id", SecretKey: "secret-of-id"})
	if err := put(t.Context(), server, "a", "1"); err != nil {
		t.Fatal(err)
	}
	endpoint := server.Endpoint()

	server.Pause()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := put(short, server, "b", "2"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a frozen server answered: %v", err)
	}
	server.Resume()
	if err := put(t.Context(), server, "c", "3"); err != nil {
		t.Errorf("after the freeze: %v", err)
	}

	server.Halt()
	var refused *net.OpError
	if err := put(t.Context(), server, "d", "4"); !errors.As(err, &refused) {
		t.Errorf("a server that is down answered: %v", err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Pause() // a frozen server can be restarted
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, server, "a"); got != "1" || server.Endpoint() != endpoint {
		t.Errorf("after the restart %s serves %q, before it was %s", server.Endpoint(), got, endpoint)
	}
}

func TestS3LeavesNothing(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	server, err := cluster.StartS3(t.Context(), cluster.S3Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	pids := processesOf(t, dir)
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if len(pids) != 1 || running(pids[0]) {
		t.Errorf("processes are left of %v", pids)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestS3TLS(t *testing.T) {
	t.Parallel()
	ca, err := cluster.NewCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := runS3(t, cluster.S3Config{TLS: cert})
	if err := put(t.Context(), server, "a", "1"); err != nil || !strings.HasPrefix(server.Endpoint(), "https://") {
		t.Errorf("%s: %v", server.Endpoint(), err)
	}
}
