//! The step bounds of `docs/bounds.toml`. `cargo xtask bounds check` compares that file with these
//! constants. A step is an access to shared memory. Waking a side and counting a refusal take no
//! steps.

/// The largest number of steps that a call of one operation may take.
pub(crate) struct Bound {
    pub(crate) operation: &'static str,
    pub(crate) most: usize,
}

const fn bound(operation: &'static str, most: usize) -> Bound {
    Bound { operation, most }
}

pub(crate) const RESERVE: Bound = bound("reserve", 3);
pub(crate) const COMPLETE: Bound = bound("complete", 3);
pub(crate) const COMPLETE_INDEX: Bound = bound("complete_index", 5);
pub(crate) const EVICT: Bound = bound("evict", 3);
pub(crate) const TRY_NEXT: Bound = bound("try_next", 14);
pub(crate) const POLL_SPACE: Bound = bound("poll_space", 9);
pub(crate) const POLL_NEXT: Bound = bound("poll_next", 25);
pub(crate) const CANCEL: Bound = bound("cancel", 3);
pub(crate) const FROM_BITS: Bound = bound("ticket_from_bits", 1);

impl Bound {
    /// Runs one call, and returns its result and its number of steps.
    ///
    /// # Panics
    ///
    /// Panics if the call takes more steps than the bound.
    #[track_caller]
    pub(crate) fn check<R>(&self, call: impl FnOnce() -> R) -> (R, usize) {
        let (result, steps) = reorder_ring::hook::count(call);
        let Bound { operation, most } = self;
        assert!(steps <= *most, "{operation} took {steps} steps, and may take {most}");
        (result, steps)
    }
}
