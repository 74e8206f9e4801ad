package change

// Seam names a step between two durable effects, at which a crash must lose
// nothing and repeat nothing. Builds with the tag walshift_seams end the
// process there on request; in all other builds Reach is empty and inlined
// away.
type Seam string

// The seams, in the order in which data passes them. Every one is hit by a
// test that kills the daemon there (test/e2e).
const (
	// Start and first load.
	SeamSlotBeforeCreate  Seam = "slot-before-create"
	SeamSlotCreated       Seam = "slot-created"
	SeamKeeperOpen        Seam = "keeper-open"
	SeamLogBegun          Seam = "log-begun"
	SeamWarehouseBegun    Seam = "warehouse-begun"
	SeamSnapshotPartRead  Seam = "snapshot-part-read"
	SeamLoadShadowCreated Seam = "load-shadow-created"
	SeamLoadCopied        Seam = "load-copied"
	SeamLoadBeforeCommit  Seam = "load-before-commit"
	SeamLoadCommitted     Seam = "load-committed"
	SeamGoLiveCommitted   Seam = "go-live-committed"

	// Capture.
	SeamStreamStarted     Seam = "stream-started"
	SeamTakeoverWritten   Seam = "takeover-written"
	SeamBeginReceived     Seam = "begin-received"
	SeamRowReceived       Seam = "row-received"
	SeamCommitReceived    Seam = "commit-received"
	SeamBatchSealed       Seam = "batch-sealed"
	SeamFileEncoded       Seam = "file-encoded"
	SeamFileUploaded      Seam = "file-uploaded"
	SeamSegmentWritten    Seam = "segment-written"
	SeamManifestBeforePut Seam = "manifest-before-put"
	SeamManifestPut       Seam = "manifest-put"
	SeamStaged            Seam = "staged"
	SeamBeforeConfirm     Seam = "before-confirm"
	SeamConfirmed         Seam = "confirmed"

	// Apply.
	SeamArrived                 Seam = "arrived"
	SeamGathered                Seam = "gathered"
	SeamRecordsPut              Seam = "records-put"
	SeamCopyManifestPut         Seam = "copy-manifest-put"
	SeamStagingCreated          Seam = "staging-created"
	SeamStagingLoaded           Seam = "staging-loaded"
	SeamFenceMoved              Seam = "fence-moved"
	SeamApplyDeleted            Seam = "apply-deleted"
	SeamApplyMerged             Seam = "apply-merged"
	SeamApplyInserted           Seam = "apply-inserted"
	SeamApplyBeforeCommit       Seam = "apply-before-commit"
	SeamApplyCommitted          Seam = "apply-committed"
	SeamStagingDropped          Seam = "staging-dropped"
	SeamAppliedNoted            Seam = "applied-noted"
	SeamCollectBefore           Seam = "collect-before"
	SeamCollectManifestsDeleted Seam = "collect-manifests-deleted"
	SeamCollected               Seam = "collected"
)

// The seams of start modes that [Seams] does not pass; [ModeSeams] lists them.
const (
	// A managed publication.
	SeamPublicationChecked      Seam = "publication-checked"
	SeamPublicationBeforeCommit Seam = "publication-before-commit"
	SeamPublicationCreated      Seam = "publication-created"
	// A load that nothing follows.
	SeamOnceBegun    Seam = "once-begun"
	SeamOnceLoaded   Seam = "once-loaded"
	SeamOnceFinished Seam = "once-finished"
	SeamOnceCleared  Seam = "once-cleared"
	// Taking tables as they are.
	SeamAdopted    Seam = "adopted"
	SeamAdoptedLog Seam = "adopted-log"
	// What an operator asked for.
	SeamControlWritten Seam = "control-written"
	SeamControlRemoved Seam = "control-removed"
)

// ModeSeams returns the seams of start modes, for the tests of those.
func ModeSeams() []Seam {
	return []Seam{
		SeamPublicationChecked, SeamPublicationBeforeCommit, SeamPublicationCreated,
		SeamOnceBegun, SeamOnceLoaded, SeamOnceFinished, SeamOnceCleared, SeamAdopted, SeamAdoptedLog,
		SeamControlWritten, SeamControlRemoved,
	}
}

// Seams returns all seams, for the test that enumerates them.
func Seams() []Seam {
	return []Seam{
		SeamSlotBeforeCreate, SeamSlotCreated, SeamKeeperOpen, SeamLogBegun, SeamWarehouseBegun,
		SeamSnapshotPartRead, SeamLoadShadowCreated, SeamLoadCopied,
		SeamLoadBeforeCommit, SeamLoadCommitted, SeamGoLiveCommitted,
		SeamStreamStarted, SeamTakeoverWritten, SeamBeginReceived, SeamRowReceived, SeamCommitReceived,
		SeamBatchSealed, SeamFileEncoded, SeamFileUploaded, SeamSegmentWritten, SeamManifestBeforePut,
		SeamManifestPut, SeamStaged, SeamBeforeConfirm, SeamConfirmed,
		SeamArrived, SeamGathered, SeamRecordsPut, SeamCopyManifestPut, SeamStagingCreated, SeamStagingLoaded, SeamFenceMoved,
		SeamApplyDeleted, SeamApplyMerged, SeamApplyInserted, SeamApplyBeforeCommit, SeamApplyCommitted,
		SeamStagingDropped, SeamAppliedNoted, SeamCollectBefore, SeamCollectManifestsDeleted, SeamCollected,
	}
}
