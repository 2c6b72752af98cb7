//! Tells the monitor whether a thread stays inside a user's source.
//!
//! ```text
//!  thread:   enter ─────── next ──────────────────────────────▶ leave
//!  monitor:          look          look: the same visit
//!                                  └── from here on, the visit counts as blocked
//! ```
//!
//! The thread only stores a number. The monitor compares two looks, about a millisecond apart.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitive::AtomicU32;

/// Counts the visits of a source by one thread at a time.
pub(crate) struct SourceWatch {
    /// The number of the visit: odd while a thread is inside.
    visit: AtomicU32,
    /// The visit that the monitor saw at its last look.
    seen: AtomicU32,
    /// The last visit that the monitor has found blocked.
    blocked: AtomicU32,
}

/// The result of a look of the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// No thread is inside.
    Outside,
    /// A thread has entered since the last look.
    Entered,
    /// A thread has been inside since the last look. Earlier looks did not find that.
    NewlyBlocked,
    /// As an earlier look has found, a thread stays inside.
    Blocked,
}

impl SourceWatch {
    pub(crate) fn new() -> SourceWatch {
        SourceWatch {
            visit: AtomicU32::new(0),
            seen: AtomicU32::new(0),
            blocked: AtomicU32::new(0),
        }
    }

    /// Notes that this thread enters a source. Returns `false` if it was inside of another one.
    pub(crate) fn enter(&self) -> bool {
        // ORDERING: source_watch:enter: Relaxed; one thread at a time writes it. The fence
        // `monitor:enter` orders it for a monitor that goes to sleep.
        let visit = self.visit.load(Relaxed);
        let is_outermost = visit % 2 == 0;
        self.visit.store(visit.wrapping_add(if is_outermost { 1 } else { 2 }), Relaxed);
        is_outermost
    }

    /// Notes that this thread leaves a source, with the answer of `enter`.
    pub(crate) fn leave(&self, is_outermost: bool) {
        // ORDERING: source_watch:leave: Relaxed; as `source_watch:enter`. The monitor may notice it
        // late.
        let visit = self.visit.load(Relaxed);
        self.visit.store(visit.wrapping_add(if is_outermost { 1 } else { 2 }), Relaxed);
    }

    /// Returns `true` if the monitor has found the present visit blocked.
    pub(crate) fn is_blocked(&self) -> bool {
        // ORDERING: source_watch:blocked: Relaxed; it lets threads look for items. Their hand-over
        // has an order of its own.
        let visit = self.visit.load(Relaxed);
        visit % 2 == 1 && self.blocked.load(Relaxed) == visit
    }

    /// Returns `true` if a thread is inside, and the monitor has not found it blocked.
    pub(crate) fn is_moving(&self) -> bool {
        // ORDERING: source_watch:moving: Relaxed; as `source_watch:blocked`.
        let visit = self.visit.load(Relaxed);
        visit % 2 == 1 && self.blocked.load(Relaxed) != visit
    }

    /// Returns the number of the present visit, to the thread that is inside.
    pub(crate) fn visit(&self) -> u32 {
        // ORDERING: source_watch:visit: Relaxed; written by this thread.
        self.visit.load(Relaxed)
    }

    /// Returns the visit that the monitor has found blocked last.
    #[inline]
    pub(crate) fn last_blocked(&self) -> u32 {
        // ORDERING: source_watch:last_blocked: Relaxed; as `source_watch:blocked`.
        self.blocked.load(Relaxed)
    }

    /// Compares the present visit with the visit at the last look. The monitor calls it.
    pub(crate) fn look(&self) -> Look {
        // ORDERING: source_watch:look: Relaxed; a visit that is seen late is blocked a look later.
        let visit = self.visit.load(Relaxed);
        if visit % 2 == 0 {
            return Look::Outside;
        }
        // ORDERING: source_watch:seen: Relaxed; written by the monitor alone.
        if self.seen.load(Relaxed) != visit {
            self.seen.store(visit, Relaxed);
            return Look::Entered;
        }
        // ORDERING: source_watch:mark: Relaxed; as `source_watch:blocked`.
        if self.blocked.load(Relaxed) == visit {
            return Look::Blocked;
        }
        self.blocked.store(visit, Relaxed);
        Look::NewlyBlocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_blocked_at_the_second_look() {
        let watch = SourceWatch::new();
        assert_eq!(watch.look(), Look::Outside);
        assert!(watch.enter());
        assert_eq!((watch.look(), watch.is_blocked()), (Look::Entered, false));
        assert_eq!((watch.look(), watch.is_blocked()), (Look::NewlyBlocked, true));
        assert_eq!((watch.look(), watch.is_blocked()), (Look::Blocked, true));
        watch.leave(true);
        assert_eq!((watch.is_blocked(), watch.look()), (false, Look::Outside));
    }

    #[test]
    fn visits_that_follow_each_other_are_not_taken_for_one() {
        let watch = SourceWatch::new();
        for _ in 0..3 {
            watch.enter();
            assert_eq!(watch.look(), Look::Entered);
            watch.leave(true);
        }
    }

    #[test]
    fn a_source_inside_of_a_source_is_a_visit_of_its_own() {
        let watch = SourceWatch::new();
        watch.enter();
        watch.look();
        assert!(!watch.enter());
        assert_eq!(watch.look(), Look::Entered);
        watch.leave(false);
        assert_eq!(watch.look(), Look::Entered, "the thread is in the outer source again");
        watch.leave(true);
        assert_eq!(watch.look(), Look::Outside);
    }
}
