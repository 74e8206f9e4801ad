package stage

import (
	"context"
	"errors"
	"net/http"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// Outcome is how one request to S3 ended.
type Outcome string

// The outcomes of a request.
const (
	OutcomeOK        Outcome = "ok"
	OutcomeNotFound  Outcome = "not_found"    // 404: often what was to be found out
	OutcomeConflict  Outcome = "conflict"     // 409 and 412: the object is there already
	OutcomeDenied    Outcome = "denied"       // 401 and 403
	OutcomeThrottled Outcome = "throttled"    // 429 and 503
	OutcomeServer    Outcome = "server_error" // any other 5xx
	OutcomeClient    Outcome = "client_error" // any other 3xx and 4xx
	OutcomeNetwork   Outcome = "network"      // no answer
	OutcomeCancelled Outcome = "cancelled"    // given up by ourselves
)

// Outcomes returns all of them.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeOK, OutcomeNotFound, OutcomeConflict, OutcomeDenied, OutcomeThrottled,
		OutcomeServer, OutcomeClient, OutcomeNetwork, OutcomeCancelled,
	}
}

// Operations returns the requests that a [Log] sends, by S3's names for them.
func Operations() []string {
	return []string{"PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObjects"}
}

// outcomeOf judges an error of the SDK.
func outcomeOf(err error) Outcome {
	status, _ := answer(err)
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, context.Canceled):
		return OutcomeCancelled
	case status == 0:
		return OutcomeNetwork
	case status == http.StatusNotFound:
		return OutcomeNotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return OutcomeConflict
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return OutcomeDenied
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return OutcomeThrottled
	case status >= http.StatusInternalServerError:
		return OutcomeServer
	}
	return OutcomeClient
}

// observed reports each request that goes out, the SDK's own repetitions among
// them: it stands behind the SDK's retry.
func observed(report func(operation string, o Outcome)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("walshift/observe",
			func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
				middleware.FinalizeOutput, middleware.Metadata, error,
			) {
				out, meta, err := next.HandleFinalize(ctx, in)
				report(awsmiddleware.GetOperationName(ctx), outcomeOf(err))
				return out, meta, err
			}), "Retry", middleware.After)
	}
}
