//! Faults of this program, which its checks must notice.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use reorder_stress::ItemId;

/// A fault that an argument selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// Two results are swapped.
    Swapped,
    /// An item is never dropped.
    Leaked,
    /// A job runs twice.
    Repeated,
    /// One job never ends.
    Stuck,
    /// Each call leaves 4 KiB behind.
    Growing,
    /// A thread goes on after its executor was dropped.
    Thread,
}

pub(crate) static FAULT: OnceLock<Fault> = OnceLock::new();
/// Set once the job of [`Fault::Stuck`] runs.
static STUCK: AtomicBool = AtomicBool::new(false);

/// Returns `true` for one of 64 calls, if the program runs with the fault.
pub(crate) fn has_fault(fault: Fault, call: u64) -> bool {
    FAULT.get() == Some(&fault) && ItemId { call, index: 0 }.random(64) == 1
}

/// Keeps the first item of a `map` for ever, if the program runs with [`Fault::Stuck`].
pub(crate) fn stick(call: u64, name: &str) {
    // Early in a round, so that the others go on.
    let is_early = call % (1 << 24) < 5;
    let may_stick = is_early && name == "maps" && FAULT.get() == Some(&Fault::Stuck);
    if may_stick && !STUCK.swap(true, SeqCst) {
        thread::sleep(Duration::MAX);
    }
}
