package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/walshift/walshift/replicator/change"
)

// ErrNotFound reports that the log has no manifest of the number asked for.
var ErrNotFound = errors.New("the log has no such batch")

var errNoRegion = errors.New("no region is known")

// TakenError reports that another attempt has committed a batch of the number
// that was to be committed. What that means is the caller's to say: in a
// takeover the batch is adopted, later this writer is the zombie.
type TakenError struct {
	// Manifest is the batch that is there.
	Manifest *change.Manifest
}

// Error implements error.
func (e *TakenError) Error() string {
	return fmt.Sprintf("batch %d is taken: attempt %s of epoch %d committed it up to %s",
		e.Manifest.Seq, e.Manifest.Attempt, e.Manifest.Epoch, e.Manifest.End)
}

// status and code of an answer from S3; zero where there was none.
func answer(err error) (status int, code string) {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = response.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	return status, code
}

func isMissing(err error) bool {
	status, code := answer(err)
	return code == "NoSuchKey" || code == "NotFound" || status == http.StatusNotFound && code != "NoSuchBucket"
}

// fault classifies an error of S3. What time may heal is to be retried; what
// an operator must heal parks the loop and names the step.
func (l *Log) fault(op string, err error) error {
	var known *change.Fault
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", op, err)
	}
	f := &change.Fault{Scope: change.ScopeRetry, Code: change.CodeLogRefused, Op: op, Err: err}
	status, code := answer(err)
	if remedy := l.remedy(status, code); remedy != "" {
		f.Scope, f.Remedy = change.ScopeLoop, remedy
		return f
	}
	var missing *credentialsError
	switch {
	case errors.Is(err, errNoRegion):
		f.Scope, f.Remedy = change.ScopeLoop, "set log.region to the region of bucket "+l.bucket
	case errors.As(err, &missing):
		f.Scope = change.ScopeLoop
		f.Remedy = "give the daemon AWS credentials: environment, profile, or a role of its machine or pod"
	case status >= 400 && status < 500 && !passing(status, code):
		f.Scope, f.Remedy = change.ScopeLoop, "look the error code up in the documentation of the S3 server"
	}
	return f
}

// remedy returns the step that an answer asks an operator for, if it does.
func (l *Log) remedy(status int, code string) string {
	switch code {
	case "NoSuchBucket":
		return "create bucket " + l.bucket + ", or correct log.url"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken",
		"TokenRefreshRequired", "InvalidSecurity", "AuthorizationQueryParametersError":
		return "correct or renew the credentials for the log"
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return l.permissions()
	case "RequestTimeTooSkewed":
		return "set this machine's clock"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return "set log.region to the region of bucket " + l.bucket
	}
	switch status {
	case http.StatusMovedPermanently:
		return "set log.region to the region of bucket " + l.bucket
	case http.StatusUnauthorized, http.StatusForbidden:
		return l.permissions()
	}
	return ""
}

func (l *Log) permissions() string {
	return fmt.Sprintf("allow the daemon s3:ListBucket on bucket %s, and s3:GetObject, s3:PutObject and "+
		"s3:DeleteObject below %s, and use of the KMS key if there is one", l.bucket, l.URL("*"))
}

// passing tells the 4xx answers that a second try may not meet again: S3 asks
// for slowness or for time, or the body was broken on its way.
func passing(status int, code string) bool {
	switch code {
	case "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded",
		"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
		"OperationAborted", "ConditionalRequestConflict":
		return true
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusTooManyRequests:
		return true
	}
	return false
}

// refusal is the answer for one object of several.
func refusal(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message}
}
