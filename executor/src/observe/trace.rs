//! Spans and events for `tracing`, with the feature of that name. Without it, these functions do
//! nothing.
//!
//! The only event about a single item is that the consumer skipped it.

#[cfg(not(feature = "tracing"))]
pub(crate) use silent::*;
#[cfg(feature = "tracing")]
pub(crate) use told::*;

#[cfg(feature = "tracing")]
mod told {
    use tracing::span::Id;
    use tracing::{Dispatch, Span, debug, debug_span, info, warn};

    use crate::unwind::{catch_panic, discard};

    /// An entered span. A panic of the subscriber is caught, because the scheduler has open visits
    /// and counts where it calls these functions.
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
            // In two steps: a second panic while the first one unwinds would abort.
            self.tell(|id, subscriber| subscriber.exit(id));
            discard(self.0.take());
        }
    }

    /// Enters the span of a time slice of a worker.
    pub(crate) fn time_slice(worker: usize, call: u64) -> Entered {
        Entered::new(|| debug_span!("time_slice", worker, call))
    }

    /// Enters the span of a batch that its caller shares with the workers, on the caller's thread.
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

    /// The placeholder of a span.
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
