package redshift

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/walshift/walshift/test/redshift/internal/load"
)

// objects reads S3 for COPY and writes it for UNLOAD.
type objects struct {
	client *s3.Client
	http   *http.Client
}

func newObjects(cfg S3) *objects {
	region := cfg.Region
	if region == "" {
		region = "us-east-1"
	}
	tr := &http.Transport{MaxIdleConnsPerHost: 8}
	if cfg.InsecureSkipVerify {
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // a test server's own certificate
	}
	hc := &http.Client{Transport: tr}
	opt := s3.Options{
		Region: region, UsePathStyle: cfg.PathStyle, HTTPClient: hc,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if cfg.Endpoint != "" {
		opt.BaseEndpoint = aws.String(cfg.Endpoint)
	}
	if cfg.AccessKey != "" {
		opt.Credentials = credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.Secret, "")
	}
	return &objects{client: s3.New(opt), http: hc}
}

func missing(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "NoSuchKey", "NotFound", "NoSuchBucket":
			return fmt.Errorf("%w: %s", load.ErrMissing, api.ErrorCode())
		}
		return fmt.Errorf("%s,%s: %w", api.ErrorCode(), api.ErrorMessage(), err)
	}
	return err
}

// Open reads an object.
func (o *objects) Open(ctx context.Context, bucket, key string) (io.ReadCloser, int64, error) {
	out, err := o.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, 0, missing(err)
	}
	return out.Body, aws.ToInt64(out.ContentLength), nil
}

// Size gives an object's length.
func (o *objects) Size(ctx context.Context, bucket, key string) (int64, error) {
	out, err := o.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return 0, missing(err)
	}
	return aws.ToInt64(out.ContentLength), nil
}

// Put writes an object.
func (o *objects) Put(ctx context.Context, bucket, key string, body []byte) error {
	_, err := o.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		return missing(err)
	}
	return nil
}

// Delete removes an object.
func (o *objects) Delete(ctx context.Context, bucket, key string) error {
	if _, err := o.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		return missing(err)
	}
	return nil
}

// List gives the keys with a prefix, in order.
func (o *objects) List(ctx context.Context, bucket, prefix string) ([]string, error) {
	var keys []string
	p := s3.NewListObjectsV2Paginator(o.client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, missing(err)
		}
		for _, obj := range page.Contents {
			keys = append(keys, aws.ToString(obj.Key))
		}
	}
	return keys, nil
}
