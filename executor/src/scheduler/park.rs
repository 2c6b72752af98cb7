//! Blocks a thread that is not an idle worker, until its batch, stream or visitors need it.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use reorder_ring::{Consumer, Delivery, HeadState, NextError, RingRef};

use crate::primitive::{AtomicWaker, Parker, sleep, thread_local};
use crate::scheduler::gate::Gate;

/// The first and the longest sleep behind a worker that was stopped while it writes a value.
const SLICES: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(10));

/// Runs `f` with a parker of the current thread and its waker.
///
/// No user code runs inside `f`. A waker of an earlier wait on this thread may still be used later.
/// So every wait looks again before and after it parks.
pub(crate) fn with_current<R>(f: impl FnOnce(&Parker, &Waker) -> R) -> R {
    thread_local! {
        #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
        static SPARE: Cell<Option<(Parker, Waker)>> = Cell::new(None);
    }
    let (parker, waker) = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_else(|| {
        let parker = Parker::new();
        let waker = Waker::from(parker.unparker());
        (parker, waker)
    });
    let result = f(&parker, &waker);
    _ = SPARE.try_with(|spare| spare.set(Some((parker, waker))));
    result
}

/// Checks that this thread may block, if the feature `tokio` is on.
///
/// # Panics
///
/// If the thread runs a task of a tokio runtime, which other tasks need.
pub(crate) fn assert_may_block() {
    #[cfg(feature = "tokio")]
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        // This panics in a task, as each blocking call of tokio does, but not where tokio allows
        // blocking. The future is ready, so nothing waits.
        runtime.block_on(std::future::ready(()));
    }
}

/// Returns `true` if the feature `tokio` is on and this thread belongs to a tokio runtime.
pub(crate) fn is_in_runtime() -> bool {
    #[cfg(feature = "tokio")]
    return tokio::runtime::Handle::try_current().is_ok();
    #[cfg(not(feature = "tokio"))]
    false
}

type Next<T> = Result<Option<Delivery<T>>, NextError>;

/// Blocks until the consumer has a delivery, or its batch has ended.
///
/// Returns `None` at `until`, or when `has_work` says that this thread has something else to do. A
/// thread that makes `has_work` true wakes `helper` afterwards, or leaves the `gate`.
pub(crate) fn wait_for_head<R: RingRef>(
    consumer: &mut Consumer<R>,
    helper: &AtomicWaker,
    gate: Option<&Gate>,
    until: Option<Instant>,
    has_work: impl Fn() -> bool,
) -> Option<Next<R::Value>> {
    with_current(|parker, waker| {
        let (mut slice, longest) = SLICES;
        loop {
            helper.register(waker);
            if let Some(gate) = gate {
                gate.waiter.register(waker);
            }
            if has_work() {
                return None;
            }
            if let Poll::Ready(next) = consumer.poll_next(&mut Context::from_waker(waker)) {
                return Some(next);
            }
            if consumer.head_of_line().state == HeadState::Writing {
                // The ring used the waker itself, and no other thread will: the value is a few
                // instructions away, unless its writer was stopped.
                sleep(slice);
                slice = (slice * 2).min(longest);
            } else if let Some(until) = until {
                if !parker.park_deadline(until) {
                    return None;
                }
            } else {
                parker.park();
            }
        }
    })
}
