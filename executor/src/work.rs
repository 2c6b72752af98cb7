//! What workers, the hub and a stream's handle see of an open call.

use std::time::Instant;

use crate::account::Account;
use crate::feed::Delivered;
use crate::hub::Hub;
use crate::primitive::AtomicWaker;
use crate::requests::RequestStats;
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

    /// Whether all of its items have run, and there will be no more, though it is still lent. A batch's caller waits
    /// for it, and ends the loan.
    fn is_through(&self) -> bool {
        false
    }

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

/// What a stream's handle needs of it, whatever its source and its job are.
pub(crate) trait Stream: Published {
    /// Runs one pull of items on the consumer's thread, if that is its duty also from a source that
    /// may keep it waiting. `false` if nothing was claimable.
    fn help(&self, turn: &Turn<'_>, duty: bool) -> bool;
    /// Whether a consumer that helps would soon be back: items were measured to be cheap, and the
    /// source says that it has more.
    fn is_quick(&self) -> bool;
    /// To be called when the consumer has made room, and before it waits.
    fn made_room(&self, hub: &Hub);
    /// Ends the pulling, and drops the source unless somebody is just pulling.
    fn cancel(&self);
    /// Whether that was done.
    fn is_cancelled(&self) -> bool;
    /// To be called when the consumer has given up on this item.
    fn give_up(&self, _index: u64) {}
    /// When something will be to be done, if that is known. For a consumer whose duty it is.
    fn due(&self) -> Option<Instant> {
        None
    }
    /// What its requests met, if it has such.
    fn requests(&self) -> Option<RequestStats> {
        None
    }
    /// Where the consumer leaves its waker while it waits.
    fn consumer(&self) -> &AtomicWaker;
    /// Where the consumer says how far it is.
    fn delivered(&self) -> &Delivered;
}
