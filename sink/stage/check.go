package stage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/walshift/walshift/replicator/change"
)

// IDs of the checks. The first is for callers whose [Open] fails.
const (
	CheckConnection = "s3.connection"
	checkPut        = "s3.put"
	checkOnce       = "s3.conditional_put"
	checkGet        = "s3.get"
	checkEncryption = "s3.encryption"
	checkDelete     = "s3.delete"
	checkRegion     = "s3.region"
	checkClock      = "s3.clock"
	checkVersioning = "s3.versioning"
	checkLifecycle  = "s3.lifecycle"
)

// CheckIDs are the ids of the checks that need a connection, in their order.
func CheckIDs() []string {
	return []string{
		checkRegion, checkPut, checkOnce, checkGet, checkClock, checkEncryption, checkDelete, checkVersioning, checkLifecycle,
	}
}

// maxSkew is where a clock deserves a word; at 15 minutes S3 refuses requests.
const maxSkew = time.Minute

// probeBody is what the probe object holds.
const probeBody = "walshift check: this object may be deleted\n"

// Check tries on S3 what the log relies on, and looks at the bucket's settings.
// It writes one small object and deletes it again; nothing else is changed.
// What the credentials may not read, or the server does not know, is skipped.
func (l *Log) Check(ctx context.Context) change.Findings {
	c := &checker{l: l, key: copyFolder + "check-" + randomID()}
	place := "bucket " + l.bucket + ", objects below " + l.URL("")
	if l.cfg.Endpoint != "" {
		place += ", server " + l.cfg.Endpoint
	}
	c.f.Pass(CheckConnection, place)
	c.bucket(ctx)
	c.objects(ctx)
	c.versioning(ctx)
	c.lifecycle(ctx)
	return c.f
}

// checker collects findings.
type checker struct {
	l   *Log
	f   change.Findings
	key string // of the probe object
}

// request bounds one request.
func (c *checker) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.l.cfg.Timeout)
}

// fail reports a request that failed, with the remedy of the loops.
func (c *checker) fail(id string, err error) {
	remedy := c.l.permissions()
	if status, code := answer(err); c.l.remedy(status, code) != "" {
		remedy = c.l.remedy(status, code)
	}
	c.f.Fail(id, reasonOf(err), remedy)
}

// reasonOf is an error of S3 without the request's history.
func reasonOf(err error) string {
	status, code := answer(err)
	switch {
	case code != "" && status != 0:
		return fmt.Sprintf("%s (HTTP %d)", code, status)
	case code != "":
		return code
	}
	return err.Error()
}

// bucket looks where the bucket is. S3 says so even to those who may not ask.
func (c *checker) bucket(ctx context.Context) {
	ctx, cancel := c.request(ctx)
	defer cancel()
	out, err := c.l.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.l.bucket})
	var region string
	if err == nil {
		region = aws.ToString(out.BucketRegion)
	} else if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		region = response.Response.Header.Get("X-Amz-Bucket-Region")
	}
	switch region {
	case "":
		c.f.Skip(checkRegion, "the server doesn't say in which region the bucket is")
	case c.l.cfg.Region:
		c.f.Pass(checkRegion, region)
	default:
		c.f.Fail(checkRegion, "the bucket is in "+region+", log.region says "+c.l.cfg.Region, "log.region: "+region)
	}
}

// clock compares the time of an answer with this machine's.
func (c *checker) clock(answer middleware.Metadata) {
	skew, ok := awsmiddleware.GetAttemptSkew(answer)
	switch {
	case !ok:
		c.f.Skip(checkClock, "the server doesn't say its time")
	case skew.Abs() > maxSkew:
		c.f.Warn(checkClock, fmt.Sprintf("this machine's clock differs from the server's by %s; at 15 minutes requests are refused",
			skew.Abs().Round(time.Second)), "set this machine's clock (NTP)")
	default:
		c.f.Pass(checkClock, "this machine's clock agrees with the server's")
	}
}

// objects tries the life of an object.
func (c *checker) objects(ctx context.Context) {
	probe := object{key: c.key, body: []byte(probeBody), contentType: contentData, once: true}
	err := c.l.put(ctx, probe)
	if err != nil && !isTaken(err) { // taken: the answer to the first try was lost
		c.fail(checkPut, err)
		for _, id := range []string{checkOnce, checkGet, checkClock, checkEncryption, checkDelete} {
			c.f.Skip(id, "nothing can be written")
		}
		return
	}
	c.f.Pass(checkPut, "objects can be written")
	c.once(ctx, probe)
	c.read(ctx)
	c.encryption(ctx)
	c.remove(ctx)
}

// isTaken reports the answer to a conditional write that met an object.
func isTaken(err error) bool {
	status, code := answer(err)
	return status == http.StatusPreconditionFailed || code == "PreconditionFailed"
}

// once checks the rule by which a batch is committed.
func (c *checker) once(ctx context.Context, probe object) {
	const remedy = "use Amazon S3, or a server that keeps conditional writes (If-None-Match: *)"
	switch err := c.l.put(ctx, probe); {
	case err == nil:
		c.f.Fail(checkOnce, "the server replaces an object in spite of If-None-Match: two writers could both commit one batch", remedy)
	case isTaken(err):
		c.f.Pass(checkOnce, "a second write is refused (412)")
	default:
		c.f.Fail(checkOnce, "a conditional write failed: "+reasonOf(err), remedy)
	}
}

func (c *checker) read(ctx context.Context) {
	switch body, err := c.l.get(ctx, c.key); {
	case err != nil:
		c.fail(checkGet, err)
	case !bytes.Equal(body, []byte(probeBody)):
		c.f.Fail(checkGet, "the object that was read differs from the one that was written", "use a server that keeps objects as they are")
	default:
		c.f.Pass(checkGet, "objects can be read")
	}
}

// encryption compares how the object is stored with the configuration.
func (c *checker) encryption(ctx context.Context) {
	ctx, cancel := c.request(ctx)
	defer cancel()
	out, err := c.l.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.l.bucket, Key: aws.String(c.l.folder + c.key)})
	if err != nil {
		c.f.Skip(checkEncryption, "the object's encryption can't be read: "+reasonOf(err))
		c.f.Skip(checkClock, "the server doesn't say its time")
		return
	}
	c.clock(out.ResultMetadata)
	want, is, by := c.l.cfg.KMSKey, string(out.ServerSideEncryption), aws.ToString(out.SSEKMSKeyId)
	switch {
	case want == "" && is == "":
		c.f.Pass(checkEncryption, "the server states none; log.kms_key is not set")
	case want == "":
		c.f.Pass(checkEncryption, "as the bucket says: "+strings.TrimSpace(is+" "+by))
	case out.ServerSideEncryption != types.ServerSideEncryptionAwsKms:
		c.f.Fail(checkEncryption, "log.kms_key is set, and the object is not encrypted by KMS",
			"take log.kms_key out of the configuration, or use a server that encrypts")
	case by != "" && !sameKey(by, want):
		c.f.Fail(checkEncryption, "the object is encrypted by "+by+", not by log.kms_key", "correct log.kms_key or the bucket's policy")
	default:
		c.f.Pass(checkEncryption, "by KMS key "+by)
	}
}

// sameKey compares a key's ARN with what the configuration names it by. Aliases
// can't be told.
func sameKey(arn, want string) bool {
	return arn == want || strings.HasSuffix(arn, "/"+want) || strings.Contains(want, "alias/")
}

func (c *checker) remove(ctx context.Context) {
	if _, err := c.l.removeKeys(ctx, []string{c.key}); err != nil {
		c.f.Fail(checkDelete, reasonOf(err), c.l.permissions()+"; then delete "+c.l.URL(c.key))
		return
	}
	if _, err := c.l.get(ctx, c.key); err == nil || !isMissing(err) {
		c.f.Fail(checkDelete, "a deleted object is still there", "delete "+c.l.URL(c.key)+"; use a server that deletes what it is told to")
		return
	}
	c.f.Pass(checkDelete, "objects can be deleted")
}

func (c *checker) versioning(ctx context.Context) {
	ctx, cancel := c.request(ctx)
	defer cancel()
	out, err := c.l.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.l.bucket})
	switch {
	case err != nil:
		c.f.Skip(checkVersioning, "it can't be read: "+reasonOf(err)+" (s3:GetBucketVersioning)")
	case out.Status == types.BucketVersioningStatusEnabled:
		c.f.Warn(checkVersioning, "the bucket keeps old versions: batches that walshift deletes go on costing",
			"add a lifecycle rule with NoncurrentVersionExpiration for prefix "+c.l.folder)
	default:
		c.f.Pass(checkVersioning, "off: what walshift deletes is gone")
	}
}

// Probe is a small file with its COPY manifest, for a COPY that tries the
// warehouse's way to S3.
type Probe struct {
	File change.File
	// Manifest is its URL.
	Manifest string

	name string
}

// ProbeMarker, ProbeRows and the two columns of text are what a probe file has.
const (
	ProbeMarker = "_NULL_"
	ProbeRows   = 2
)

// PutProbe writes a probe. [Log.RemoveProbe] must follow, also after an error.
func (l *Log) PutProbe(ctx context.Context) (*Probe, error) {
	p := &Probe{name: "check-" + randomID()}
	p.File.Key = copyFolder + p.name + extension(l.cfg.Compression)
	f, err := l.PutRecords(ctx, p.name, ProbeMarker, ProbeRows, []byte("walshift,check\n"+ProbeMarker+",\n"))
	if err != nil {
		return p, err
	}
	p.File = f
	p.Manifest, err = l.putCopyManifest(ctx, p.name, []change.File{f})
	return p, err
}

// RemoveProbe deletes a probe's objects, as far as they are there.
func (l *Log) RemoveProbe(ctx context.Context, p *Probe) error {
	_, err := l.removeKeys(ctx, []string{p.File.Key, copyFolder + p.name + copyExtension})
	if err != nil {
		return l.fault("deleting the probe "+p.name, err)
	}
	return nil
}

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
