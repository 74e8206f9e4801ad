package stage

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// leastLife is the life, in days, below which a rule that deletes objects is
// refused: batches wait on S3 for as long as the warehouse is away.
const leastLife = 30

// lifecycle looks for rules that delete or move the log's objects (pitfall V21).
func (c *checker) lifecycle(ctx context.Context) {
	ctx, cancel := c.request(ctx)
	defer cancel()
	out, err := c.l.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &c.l.bucket})
	if err != nil {
		if _, code := answer(err); code == "NoSuchLifecycleConfiguration" {
			c.f.Pass(checkLifecycle, "the bucket has no lifecycle rules")
			return
		}
		c.f.Skip(checkLifecycle, "the bucket's rules can't be read: "+reasonOf(err)+
			" (s3:GetLifecycleConfiguration); none may delete or move objects below "+c.l.URL(""))
		return
	}
	for i := range out.Rules {
		c.rule(&out.Rules[i])
	}
	if !c.f.Found(checkLifecycle) {
		c.f.Pass(checkLifecycle, "no rule deletes or moves objects below "+c.l.URL(""))
	}
}

func (c *checker) rule(r *types.LifecycleRule) {
	if r.Status != types.ExpirationStatusEnabled || !reaches(r, c.l.folder) {
		return
	}
	name := fmt.Sprintf("rule %q", aws.ToString(r.ID))
	remedy := "limit the rule to other prefixes, or disable it: aws s3api put-bucket-lifecycle-configuration --bucket " + c.l.bucket + " …"
	if e := r.Expiration; e != nil && (e.Days != nil || e.Date != nil) {
		seen := fmt.Sprintf("%s deletes objects below %s after %d days", name, c.l.URL(""), aws.ToInt32(e.Days))
		if e.Days == nil || *e.Days < leastLife {
			c.f.Fail(checkLifecycle, seen+": batches that are not applied by then would be lost", remedy)
		} else {
			c.f.Warn(checkLifecycle, seen+": a longer outage, and the originals under kept/, would not survive", remedy)
		}
	}
	for i := range r.Transitions {
		class := r.Transitions[i].StorageClass
		switch class {
		case types.TransitionStorageClassGlacier, types.TransitionStorageClassDeepArchive:
			c.f.Fail(checkLifecycle, fmt.Sprintf("%s moves objects below %s to %s, which COPY can't read", name, c.l.URL(""), class), remedy)
		case types.TransitionStorageClassStandardIa, types.TransitionStorageClassOnezoneIa,
			types.TransitionStorageClassIntelligentTiering, types.TransitionStorageClassGlacierIr:
			c.f.Warn(checkLifecycle, fmt.Sprintf("%s moves objects below %s to %s, which costs more than it saves for objects of a day",
				name, c.l.URL(""), class), remedy)
		}
	}
}

// reaches reports whether a rule can apply to objects of the folder. Those have
// no tags, and any size.
func reaches(r *types.LifecycleRule, folder string) bool {
	prefix := aws.ToString(r.Prefix) //nolint:staticcheck // old rules have it here
	if f := r.Filter; f != nil {
		if f.Tag != nil || f.And != nil && len(f.And.Tags) > 0 {
			return false
		}
		if f.Prefix != nil {
			prefix = *f.Prefix
		}
		if f.And != nil && f.And.Prefix != nil {
			prefix = *f.And.Prefix
		}
	}
	return strings.HasPrefix(folder, prefix) || strings.HasPrefix(prefix, folder)
}
