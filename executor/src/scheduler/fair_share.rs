//! The virtual run time of an open call. Workers choose the call that has the least.
//!
//! This is the idea of the Completely Fair Scheduler of Linux, with equal weights. The numbers
//! order nothing, so models need not see them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::observe::CallSpan;
use crate::primitive::hints::AtomicU64;
use crate::primitive::whole_nanos;
use crate::scheduler::gate::Gate;
use crate::scheduler::known::Listed;

/// The virtual run time of one call, or of several calls that count as one.
#[derive(Default)]
pub(crate) struct RunTime(AtomicU64);

impl RunTime {
    /// Returns the virtual run time in nanoseconds.
    pub(crate) fn get(&self) -> u64 {
        // ORDERING: fair_share:runtime: Relaxed; a number.
        self.0.load(Relaxed)
    }

    /// Adds the time that a worker has spent on the call.
    pub(crate) fn charge(&self, time: Duration) {
        // ORDERING: fair_share:charge: Relaxed; as `fair_share:runtime`.
        self.0.fetch_add(whole_nanos(time), Relaxed);
    }

    /// Raises the run time to `runtime`. A call that is new, or had nothing to claim for a while,
    /// has no claim to the time that others had meanwhile.
    pub(crate) fn catch_up(&self, runtime: u64) {
        // ORDERING: fair_share:catch_up: Relaxed; as `fair_share:runtime`.
        self.0.fetch_max(runtime, Relaxed);
    }
}

/// The numbers that the scheduler keeps for a published call.
#[derive(Default)]
pub(crate) struct FairShare {
    /// The number that the scheduler gave the call, from 1 on.
    id: AtomicU64,
    /// The run time of this call alone.
    pub(crate) runtime: RunTime,
    /// Bounds the threads of the call, if it has such a limit.
    gate: Option<Arc<Gate>>,
    /// The span in which the jobs of the call run.
    pub(crate) span: CallSpan,
    /// The workers that have listed the call.
    pub(crate) listed: Listed,
}

impl FairShare {
    pub(crate) fn new(gate: Option<Arc<Gate>>, span: CallSpan) -> FairShare {
        FairShare { gate, span, ..FairShare::default() }
    }

    /// Returns the gate of the call.
    pub(crate) fn gate(&self) -> Option<&Gate> {
        self.gate.as_deref()
    }

    /// Returns the gate, for another list of the same call.
    pub(crate) fn shared_gate(&self) -> Option<Arc<Gate>> {
        self.gate.clone()
    }

    /// Returns `true` if one more thread may run items of the call.
    pub(crate) fn is_open(&self) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.is_open())
    }

    pub(crate) fn id(&self) -> u64 {
        // ORDERING: fair_share:id: Relaxed; only shown to users.
        self.id.load(Relaxed)
    }

    /// Notes the number that the scheduler gave the call.
    pub(crate) fn note_id(&self, id: u64) {
        // ORDERING: fair_share:open: Relaxed; as `fair_share:id`.
        self.id.store(id, Relaxed);
    }
}
