//! What `tracing` is told, with the feature of that name; nothing without it.
//!
//! Nothing is told of single items but that one was given up.

#[cfg(not(feature = "tracing"))]
pub(crate) use silent::*;
#[cfg(feature = "tracing")]
pub(crate) use told::*;

#[cfg(feature = "tracing")]
mod told {
    use tracing::span::Id;
    use tracing::{Dispatch, Span, debug, debug_span, info, warn};

    use crate::unwind::{catch_panic, discard};

    /// A subscriber may panic. Loans and counts are open where it is told of something.
    pub(crate) struct Entered(Option<Span>);

    impl Entered {
        fn new(span: impl FnOnce() -> Span) -> Entered {
            let mut entered = Entered(None);
            catch_panic(|| entered.0 = Some(span()));
            entered.tell(|id, subscriber| subscriber.enter(id));
            entered
        }

        fn tell(&self, f: impl FnOnce(&Id, &Dispatch)) {
            catch_panic(|| {
                _ = self.0.as_ref().map(|span| span.with_subscriber(|(id, to)| f(id, to)))
            });
        }
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            // Apart: a second panic while the first one unwinds would abort.
            self.tell(|id, subscriber| subscriber.exit(id));
            discard(self.0.take());
        }
    }

    /// A worker's turn at a call, while the span lives.
    pub(crate) fn time_slice(worker: usize, call: u64) -> Entered {
        Entered::new(|| debug_span!("time_slice", worker, call))
    }

    /// A batch that its caller shares with the workers, on the caller's thread.
    pub(crate) fn batch(items: usize) -> Entered {
        Entered::new(|| debug_span!("batch", items))
    }

    pub(crate) fn opened(call: u64) {
        catch_panic(|| debug!(call, "opened"));
    }

    pub(crate) fn closed(call: u64) {
        catch_panic(|| debug!(call, "closed"));
    }

    pub(crate) fn skipped(call: u64, item: u64, why: &dyn std::fmt::Debug) {
        catch_panic(|| warn!(call, item, ?why, "gave up"));
    }

    pub(crate) fn shut_down(calls: usize, workers: usize) {
        catch_panic(|| info!(calls, workers, "shut down, with so many left"));
    }
}

#[cfg(not(feature = "tracing"))]
mod silent {

    /// Stands for a span.
    pub(crate) struct NoSpan;

    pub(crate) fn time_slice(_worker: usize, _call: u64) -> NoSpan {
        NoSpan
    }

    pub(crate) fn batch(_items: usize) -> NoSpan {
        NoSpan
    }

    pub(crate) fn opened(_call: u64) {}

    pub(crate) fn closed(_call: u64) {}

    pub(crate) fn skipped(_call: u64, _item: u64, _why: &dyn std::fmt::Debug) {}

    pub(crate) fn shut_down(_calls: usize, _workers: usize) {}
}
