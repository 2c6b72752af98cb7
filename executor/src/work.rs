//! What workers see of an open batch or stream.

use crate::account::Account;
use crate::snapshot::Progress;
use crate::turn::Turn;

/// Something open that has items to run. Workers take turns at all of them.
pub(crate) trait Work: Send + Sync {
    /// Claims items and runs them until nothing is claimable or the turn is over. `false` if
    /// nothing was claimed. The caller of a batch does not come through here.
    fn turn(&self, turn: &Turn<'_>) -> bool;

    /// Whether a turn would find something to claim. To be asked after a `SeqCst` fence by whoever
    /// goes to sleep on the answer.
    fn claimable(&self) -> bool;

    /// How far it has come; `None` if it is over.
    fn progress(&self) -> Option<Progress>;

    /// Tells the one who waits for this work that it should look after it itself.
    fn nudge(&self);
}

/// Work as the hub keeps it: what it owes and what is left of it can be asked at any time.
pub(crate) trait Published: Work {
    /// How long it was served by the workers.
    fn account(&self) -> &Account;

    /// Whether all of its items have run, and there will be no more.
    fn is_done(&self) -> bool;
}
