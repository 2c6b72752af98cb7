//! Spans and events for `tracing`, with the feature of that name. Without it, these functions do
//! nothing.
//!
//! Each call has a span. Threads enter it while they run the jobs of the call, so it is the parent
//! of spans and events of jobs. Its own parent is the span in which the call was made.
//!
//! The only event about a single item is that the consumer skipped it. The progress of a call is an
//! event at most once a second.
//!
//! A subscriber may be the default one of a single thread. So the events about a call go to the
//! subscriber of its span: no other one knows the number of that span.

#[cfg(not(feature = "tracing"))]
pub(crate) use silent::*;
#[cfg(feature = "tracing")]
pub(crate) use told::*;

/// The numbers of items of a call.
#[derive(Default)]
#[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "they are not sent"))]
pub(crate) struct Counts {
    pub(crate) pulled: u64,
    pub(crate) finished: u64,
    /// `None` if the call counts no failures.
    pub(crate) failed: Option<u64>,
    pub(crate) delivered: u64,
}

#[cfg(feature = "tracing")]
mod told {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::Instant;

    use tracing::span::Id;
    use tracing::{
        Dispatch, Level, Span, debug, debug_span, dispatcher, event_enabled, info, warn,
    };

    use super::Counts;
    use crate::unwind::{catch_panic, discard};

    /// The minimum time between two events of the progress of one call, in milliseconds.
    const INTERVAL: u64 = 1000;

    /// Calls `f` with the identifier of a span, while its subscriber is the default one of this
    /// thread. Without a span, the default subscriber stays, and it makes a root of what `f` sends.
    fn to_subscriber_of(span: Option<&Span>, f: impl FnOnce(Option<Id>)) {
        catch_panic(|| {
            let parts = |(id, to): (&Id, &Dispatch)| (id.clone(), to.clone());
            match span.and_then(|span| span.with_subscriber(parts)) {
                Some((id, to)) => dispatcher::with_default(&to, || f(Some(id))),
                None => f(None),
            }
        });
    }

    /// Calls a function of the subscriber of a span. A panic of the subscriber is caught, because
    /// the scheduler has open visits and counts where it calls these functions.
    fn tell(span: Option<&Span>, f: impl FnOnce(&Id, &Dispatch)) {
        catch_panic(|| _ = span.map(|span| span.with_subscriber(|(id, to)| f(id, to))));
    }

    /// The span of a call. Clones are the same span.
    #[derive(Clone, Default)]
    pub(crate) struct CallSpan(Option<Arc<Parts>>);

    struct Parts {
        /// The span in which the jobs run. `None` while it is dropped.
        span: Option<Span>,
        /// `true` if the span was made for the call. `false` if it is the span of the caller.
        is_own: bool,
        opened: Instant,
        /// When the last event of the progress was due, in milliseconds from `opened` on.
        told: AtomicU64,
    }

    impl Drop for Parts {
        fn drop(&mut self) {
            discard(self.span.take());
        }
    }

    impl CallSpan {
        /// Makes the span of a call. If the subscriber does not want it, the jobs run in the span
        /// of the caller.
        fn new(span: impl FnOnce() -> Span) -> CallSpan {
            let mut parts = None;
            catch_panic(|| {
                let own = span();
                let is_own = !own.is_disabled();
                let span = if is_own { own } else { Span::current() };
                if !span.is_disabled() {
                    let (opened, told) = (Instant::now(), AtomicU64::new(0));
                    parts = Some(Arc::new(Parts { span: Some(span), is_own, opened, told }));
                }
            });
            CallSpan(parts)
        }

        pub(crate) fn batch(items: usize) -> CallSpan {
            CallSpan::new(|| debug_span!("batch", call = tracing::field::Empty, items))
        }

        pub(crate) fn stream() -> CallSpan {
            CallSpan::new(|| debug_span!("stream", call = tracing::field::Empty))
        }

        pub(crate) fn queue() -> CallSpan {
            CallSpan::new(|| debug_span!("queue", call = tracing::field::Empty))
        }

        pub(crate) fn dispatch() -> CallSpan {
            CallSpan::new(|| debug_span!("dispatch", call = tracing::field::Empty))
        }

        pub(crate) fn map_ordered() -> CallSpan {
            CallSpan::new(|| debug_span!("map_ordered"))
        }

        fn span(&self) -> Option<&Span> {
            self.0.as_ref()?.span.as_ref()
        }

        /// Enters the span on this thread, until the answer is dropped.
        pub(crate) fn enter(&self) -> Entered<'_> {
            tell(self.span(), |id, subscriber| subscriber.enter(id));
            Entered(self.span())
        }

        /// Sends an event of the progress of the call, unless there was one in the last second.
        /// After the call was closed, only a thread that was chosen before sends one.
        pub(crate) fn progress(&self, call: u64, counts: impl FnOnce() -> Option<Counts>) {
            let Some(parts) = &self.0 else { return };
            let now = u64::try_from(parts.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            // ORDERING: trace:told: Relaxed; the exchange chooses the thread that sends.
            let told = parts.told.load(Relaxed);
            if now < told.saturating_add(INTERVAL) {
                return;
            }
            to_subscriber_of(self.span(), |parent| {
                if !event_enabled!(Level::DEBUG) {
                    return;
                }
                // ORDERING: trace:tell: Relaxed; as `trace:told`.
                let is_chosen = parts.told.compare_exchange(told, now, Relaxed, Relaxed).is_ok();
                let Some(counts) = is_chosen.then(counts).flatten() else { return };
                let Counts { pulled, finished, failed, delivered } = counts;
                debug!(parent: parent, call, pulled, finished, failed, delivered, "progress");
            });
        }

        /// Records the number of the call in its span, and sends an event.
        pub(crate) fn opened(&self, call: u64) {
            to_subscriber_of(self.span(), |parent| {
                if self.0.as_ref().is_some_and(|parts| parts.is_own) {
                    self.span().map(|span| span.record("call", call));
                }
                debug!(parent: parent, call, "opened");
            });
        }

        /// Sends the last event of the call.
        pub(crate) fn closed(&self, call: u64, counts: impl FnOnce() -> Option<Counts>) {
            if let Some(parts) = &self.0 {
                // ORDERING: trace:closed: Relaxed; as `trace:told`.
                parts.told.store(u64::MAX, Relaxed);
            }
            to_subscriber_of(self.span(), |parent| {
                if !event_enabled!(Level::DEBUG) {
                    return;
                }
                match counts() {
                    Some(Counts { pulled, finished, failed, delivered }) => {
                        debug!(parent: parent, call, pulled, finished, failed, delivered, "closed");
                    }
                    None => debug!(parent: parent, call, "closed"),
                }
            });
        }

        pub(crate) fn skipped(&self, call: u64, item: u64, why: &dyn std::fmt::Debug) {
            to_subscriber_of(self.span(), |parent| {
                warn!(parent: parent, call, item, ?why, "gave up");
            });
        }
    }

    /// The span of a call that this thread has entered.
    pub(crate) struct Entered<'a>(Option<&'a Span>);

    impl Drop for Entered<'_> {
        fn drop(&mut self) {
            tell(self.0, |id, subscriber| subscriber.exit(id));
        }
    }

    /// The span of a time slice that this thread has entered.
    pub(crate) struct EnteredSlice(Option<Span>);

    impl Drop for EnteredSlice {
        fn drop(&mut self) {
            // In two steps: a second panic while the first one unwinds would abort.
            tell(self.0.as_ref(), |id, subscriber| subscriber.exit(id));
            discard(self.0.take());
        }
    }

    /// Enters the span of a time slice of a worker.
    pub(crate) fn time_slice(worker: usize, call: u64, of: &CallSpan) -> EnteredSlice {
        let mut slice = EnteredSlice(None);
        to_subscriber_of(of.span(), |parent| {
            slice.0 = Some(debug_span!(parent: parent, "time_slice", worker, call));
        });
        tell(slice.0.as_ref(), |id, subscriber| subscriber.enter(id));
        slice
    }

    pub(crate) fn shut_down(calls: usize, workers: usize) {
        catch_panic(|| info!(calls, workers, "shut down, with so many left"));
    }
}

#[cfg(not(feature = "tracing"))]
mod silent {
    use super::Counts;

    /// The placeholder of the span of a call.
    #[derive(Clone, Default)]
    pub(crate) struct CallSpan(());

    impl CallSpan {
        pub(crate) fn batch(_items: usize) -> CallSpan {
            CallSpan(())
        }

        pub(crate) fn stream() -> CallSpan {
            CallSpan(())
        }

        pub(crate) fn queue() -> CallSpan {
            CallSpan(())
        }

        pub(crate) fn dispatch() -> CallSpan {
            CallSpan(())
        }

        pub(crate) fn map_ordered() -> CallSpan {
            CallSpan(())
        }

        pub(crate) fn enter(&self) -> NoSpan {
            NoSpan
        }

        pub(crate) fn progress(&self, _call: u64, _counts: impl FnOnce() -> Option<Counts>) {}

        pub(crate) fn opened(&self, _call: u64) {}

        pub(crate) fn closed(&self, _call: u64, _counts: impl FnOnce() -> Option<Counts>) {}

        pub(crate) fn skipped(&self, _call: u64, _item: u64, _why: &dyn std::fmt::Debug) {}
    }

    /// The placeholder of a span that a thread has entered.
    pub(crate) struct NoSpan;

    pub(crate) fn time_slice(_worker: usize, _call: u64, _of: &CallSpan) -> NoSpan {
        NoSpan
    }

    pub(crate) fn shut_down(_calls: usize, _workers: usize) {}
}
