package stage

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// sdkAttempts is the SDK's own retry, for blips; the layer above has the
	// patience.
	sdkAttempts = 3
	sdkBackoff  = time.Second
	// minUploadRate, in bytes per second, is the slowest line that an upload
	// is given time for.
	minUploadRate = 256 << 10
	// defaultRegion signs requests to an endpoint that names no region.
	defaultRegion = "us-east-1"
)

// newClient builds the S3 client. The transport is returned for its idle
// connections to be closed.
func newClient(ctx context.Context, cfg *Config) (*s3.Client, *http.Transport, error) {
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = cfg.Parallel
			t.ResponseHeaderTimeout = cfg.Timeout
		})),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = sdkAttempts, sdkBackoff
			})
		}),
	}
	if cfg.Region != "" {
		options = append(options, config.WithRegion(cfg.Region))
	}
	if cfg.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(cfg.AccessKeyID, cfg.SecretAccessKey, cfg.SessionToken)))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("loading AWS configuration: %w", err)
	}
	if loaded.Region == "" && cfg.Endpoint != "" {
		loaded.Region = defaultRegion
	}
	if loaded.Region == "" {
		return nil, nil, errNoRegion
	}
	cfg.Region = loaded.Region
	// A client of our own around the SDK's transport (which heeds
	// AWS_CA_BUNDLE), for the SDK's can't close its idle connections.
	built, ok := loaded.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, nil, fmt.Errorf("loading AWS configuration: unexpected HTTP client %T", loaded.HTTPClient)
	}
	transport := built.GetTransport()
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: transport, CheckRedirect: followOnly307}
		o.Credentials = chain{o.Credentials}
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		o.DisableLogOutputChecksumValidationSkipped = true
		if cfg.Observe != nil {
			o.APIOptions = append(o.APIOptions, observed(cfg.Observe))
		}
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
			o.UsePathStyle = true
		}
	})
	return client, transport, nil
}

// followOnly307 follows what keeps the method and the body. S3 answers 307 for
// a new bucket in another region, and 301 for a wrong region for good.
func followOnly307(r *http.Request, _ []*http.Request) error {
	switch r.Response.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return nil
	}
	return http.ErrUseLastResponse
}

// chain marks the errors of a credentials provider, which reach callers
// without a type otherwise.
type chain struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return v, &credentialsError{err}
	}
	return v, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "finding credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
