package main

import (
	"github.com/walshift/walshift/replicator"
	"github.com/walshift/walshift/replicator/change"
	"github.com/walshift/walshift/replicator/spool"
)

// checkSpoolID is the check of the folder for transactions in progress.
const checkSpoolID = "daemon.spool"

// checkSpool looks at the folder for transactions in progress, of the machine
// that the command runs on. One that nobody named is not missed.
func (c *fileConfig) checkSpool() change.Findings {
	var f change.Findings
	cfg := replicator.SpoolConfig{Dir: c.Limits.SpoolDir, Limit: int64(c.Limits.Spool)}
	if cfg.Limit == 0 {
		f.Skip(checkSpoolID, "limits.spool is 0: transactions in progress are not asked for")
		return f
	}
	err := spool.Probe(cfg.Folder(), c.Pipeline)
	switch {
	case err == nil:
		f.Pass(checkSpoolID, "up to "+bytesText(cfg.Limit)+" of transactions in progress are kept in "+cfg.Folder())
	case cfg.Dir == "":
		f.Skip(checkSpoolID, "transactions in progress are not asked for: "+err.Error()+"; make the folder for the daemon's user, or name one in limits.spool_dir")
	default:
		f.Fail(checkSpoolID, "limits.spool_dir: "+err.Error(), "make the folder and give it to the daemon's user, or set limits.spool to 0 to do without")
	}
	return f
}
