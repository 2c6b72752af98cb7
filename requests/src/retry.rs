//! The limits of an item in time and attempts, and the waits between its attempts.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::retry_budget::RetryBudget;
use reorder_executor::dispatch::DiscardOnDrop;

/// The budget of each item of [`Requests`](crate::Requests) in time and attempts, and the waits
/// between attempts.
///
/// An item whose job returns [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry), or takes
/// longer than the [time-out](Retry::attempt_timeout) of an attempt, ends
///
/// * with [`Failure::RetriesExhausted`](crate::Failure::RetriesExhausted) after its last attempt
/// * with [`Failure::RetryDeadline`](crate::Failure::RetryDeadline) if the next attempt would not
///   start within the budget of time
/// * with [`Failure::RetryBudgetSpent`](crate::Failure::RetryBudgetSpent) if too many attempts of
///   its batch have failed, and there is a [`RetryBudget`].
///
/// An attempt that starts within the budget counts whenever it ends.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use reorder_requests::{Retry, RetryBudget};
///
/// let millis = Duration::from_millis;
/// // What ends first: a minute, or 9 attempts.
/// let both = Retry::new().within(Duration::from_secs(60)).retries(8);
/// // 9 attempts, however long they take.
/// let attempts = Retry::attempts(NonZeroU32::new(9).unwrap());
/// // Any iterator of waits. Its end is the end of the attempts.
/// let waits = Retry::new().waits(move || [millis(10), millis(500)]);
/// // No retries while more attempts fail than succeed.
/// let tokens = NonZeroU32::new(100).unwrap();
/// let bounded = Retry::new().budget(RetryBudget::new(tokens, 1.0));
/// # _ = (both, attempts, waits, bounded);
/// ```
#[derive(Clone)]
#[must_use = "it is a setting"]
pub struct Retry {
    pub(crate) within: Duration,
    retries: u32,
    waits: Waits,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) budget: Option<RetryBudget>,
}

/// The waits of one item.
pub(crate) struct ItemWaits(Box<dyn Iterator<Item = Duration> + Send>);

type MakeWaits = dyn Fn() -> ItemWaits + Send + Sync;

#[derive(Clone)]
enum Waits {
    Exponential { first: Duration, longest: Duration, has_jitter: bool },
    Custom(Arc<DiscardOnDrop<Box<MakeWaits>>>),
}

impl Retry {
    /// Returns a budget of 30 seconds and any number of attempts. The waits are random, with a
    /// maximum of 100 ms, 200 ms, and so on up to 10 s.
    pub fn new() -> Retry {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        Retry {
            within: Duration::from_secs(30),
            retries: u32::MAX,
            waits: Waits::Exponential { first, longest, has_jitter: true },
            attempt_timeout: None,
            budget: None,
        }
    }

    /// Returns a budget of up to `attempts` attempts, the first one included, in any time. The
    /// waits are those of [`Retry::new`].
    pub fn attempts(attempts: NonZeroU32) -> Retry {
        Retry::new().within(Duration::MAX).retries(attempts.get() - 1)
    }

    /// Returns a budget of one attempt.
    pub fn never() -> Retry {
        Retry::new().retries(0)
    }

    /// Sets the budget in time. An item starts no further attempt once this time has passed since
    /// its first attempt started. The time in which the [service is
    /// closed](crate::RateLimiter::close_until) does not count.
    pub fn within(mut self, budget: Duration) -> Retry {
        self.within = budget;
        self
    }

    /// Sets the maximum number of attempts after the first one.
    ///
    /// The budget in time stays: 30 seconds, unless [`within`](Retry::within) sets another one. For
    /// a bound of attempts alone, add `.within(Duration::MAX)`, or use [`Retry::attempts`].
    pub fn retries(mut self, retries: u32) -> Retry {
        self.retries = retries;
        self
    }

    /// Sets the longest wait before the second attempt, unless the job returns another one. Each
    /// further maximum is twice as long as the one before, up to `longest`. The waits have full
    /// jitter: each is a random time from zero to its maximum. So items that were refused together
    /// do not come back together.
    ///
    /// If `longest` is below `first`, each maximum is `longest`. The wait that a job returns is
    /// taken as it is: it has no jitter, and `longest` does not bound it.
    pub fn wait(mut self, first: Duration, longest: Duration) -> Retry {
        self.waits = Waits::Exponential { first, longest, has_jitter: true };
        self
    }

    /// Makes each wait as long as its maximum, without jitter. Waits of
    /// [`waits`](Retry::waits) are not affected.
    pub fn without_jitter(mut self) -> Retry {
        if let Waits::Exponential { has_jitter, .. } = &mut self.waits {
            *has_jitter = false;
        }
        self
    }

    /// Sets a function that makes the waits of an item. It is called after the first attempt at an
    /// item that asks for another one. The iterator is asked once for each further attempt. At its
    /// end, the item has no further attempt, as after the last of [`retries`](Retry::retries).
    ///
    /// The waits are taken as they are. A wait that a job returns replaces the wait of the
    /// iterator. The budget in time and the maximum of `retries` stay.
    ///
    /// Builders of the crate `backon` fit, for instance
    /// `.waits(move || ExponentialBuilder::default().with_jitter().build())`.
    ///
    /// A panic of the function or the iterator counts as a panic of the job. Neither should block,
    /// because a worker waits for it, or a thread of the runtime.
    ///
    /// ```
    /// use std::iter;
    /// use std::time::Duration;
    /// use reorder_requests::Retry;
    ///
    /// // 10 ms, 30 ms, 90 ms, and then no further attempt.
    /// let waits = || iter::successors(Some(Duration::from_millis(10)), |wait| Some(*wait * 3));
    /// let retry = Retry::new().waits(move || waits().take(3));
    /// # _ = retry;
    /// ```
    pub fn waits<F, I>(mut self, waits: F) -> Retry
    where
        F: Fn() -> I + Send + Sync + 'static,
        I: IntoIterator<Item = Duration, IntoIter: Send + 'static>,
    {
        let make = move || ItemWaits(Box::new(waits().into_iter()));
        self.waits = Waits::Custom(Arc::new(DiscardOnDrop::new(Box::new(make))));
        self
    }

    /// Sets the time that each attempt may take. By default, there is no such limit.
    ///
    /// An attempt that takes longer counts as failed, and its item is retried as after
    /// [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry). If there is no further attempt,
    /// [`Failure::attempt_timed_out`](crate::Failure::attempt_timed_out) tells that the last one
    /// exceeded its time. [`item_timeout`](crate::BatchBuilder::item_timeout) bounds all attempts
    /// and waits of an item together.
    ///
    /// * A future is dropped on its runtime.
    /// * A job that blocks goes on until it returns, because no thread can end it. It keeps its
    ///   worker and its permit. The next attempt needs another worker, and runs at the same time.
    ///   The job learns by [`should_stop`](crate::Attempt::should_stop) and
    ///   [`deadline`](crate::Attempt::deadline) that its time is over. Give the time that is left
    ///   to the calls that it makes.
    /// * A result that comes later is dropped, and counts in
    ///   [`late_results`](crate::BatchReport::late_results).
    /// * A [`Throttle`](crate::Throttle) backs off when the attempt ends, as after `Retry`.
    /// * After [`Shutdown::FinishRunning`](crate::Shutdown::FinishRunning) there are no workers.
    ///   Then the thread that waits for the outcomes ends such attempts.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use reorder_requests::{Attempt, AttemptOutcome, Executor, RequestStats, RequestsExt, Retry};
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    /// let handle = runtime.handle().clone();
    /// let executor = Executor::builder().workers(1).build()?;
    /// let retry = Retry::new().attempt_timeout(Duration::from_millis(20));
    /// let job = |n: Arc<u32>, attempt: Attempt| async move {
    ///     if attempt.number() == 1 {
    ///         // The first attempt gets no answer.
    ///         std::future::pending::<()>().await;
    ///     }
    ///     AttemptOutcome::<_, ()>::Done(*n)
    /// };
    /// let spawner = move |task| _ = handle.spawn(task);
    /// let batch = executor.batch([7]).requests().retry(retry);
    /// let answers = batch.submit_async(spawner, job)?.wait();
    /// assert_eq!(answers.stats::<RequestStats>().expect("they were requests").timed_out, 1);
    /// assert_eq!(answers.into_values().unwrap(), [7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attempt_timeout(mut self, timeout: Duration) -> Retry {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Bounds the extra load of retries: without a retry budget, each item is retried whatever
    /// happens to the others. [`RetryBudget`] has an example. By default there is none.
    pub fn budget(mut self, budget: RetryBudget) -> Retry {
        self.budget = Some(budget);
        self
    }

    /// Returns the wait after `attempts` attempts. If the job stated one, that counts. `own` keeps
    /// the waits of the item.
    ///
    /// This runs code of the user, and may panic.
    pub(crate) fn wait_after(
        &self,
        attempts: u32,
        stated: Option<Duration>,
        own: &mut Option<Box<ItemWaits>>,
    ) -> RetryWait {
        if attempts > self.retries {
            return RetryWait::Never;
        }
        let wait = match &self.waits {
            Waits::Exponential { first, longest, has_jitter } => {
                let doublings = attempts.saturating_sub(1).min(31);
                let wait = first.saturating_mul(1 << doublings).min(*longest);
                if *has_jitter { RetryWait::UpTo(wait) } else { RetryWait::For(wait) }
            }
            Waits::Custom(make) => match own.get_or_insert_with(|| Box::new(make())).0.next() {
                Some(wait) => RetryWait::For(wait),
                None => return RetryWait::Never,
            },
        };
        stated.map_or(wait, RetryWait::For)
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry::new()
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Retry");
        text.field("within", &self.within).field("retries", &self.retries);
        if let Waits::Exponential { first, longest, has_jitter } = &self.waits {
            text.field("first", first).field("longest", longest).field("has_jitter", has_jitter);
        }
        text.field("attempt_timeout", &self.attempt_timeout);
        text.field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// The wait of an item before its next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryWait {
    For(Duration),
    /// A random time, up to this one.
    UpTo(Duration),
    /// The service is closed, and the limiter keeps the item.
    Closed,
    /// The item has had all its attempts.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use RetryWait::{For, Never, UpTo};

    const MS: Duration = Duration::from_millis(1);

    fn after(retry: &Retry, attempts: u32) -> RetryWait {
        retry.wait_after(attempts, None, &mut None)
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = Retry::new().retries(50);
        let waits = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        for (attempts, wait) in (1..).zip(waits) {
            assert_eq!(after(&retry, attempts), UpTo(wait * MS));
            assert_eq!(after(&retry.clone().without_jitter(), attempts), For(wait * MS));
        }
        assert_eq!(after(&retry, 50), UpTo(Duration::from_secs(10)));
        assert_eq!(after(&retry, 51), Never);
        assert_eq!(after(&Retry::never(), 1), Never);
    }

    #[test]
    fn attempts_alone_bound_a_budget() {
        for attempts in [1, 2, 9, u32::MAX] {
            let retry = Retry::attempts(NonZeroU32::new(attempts).unwrap());
            assert_eq!(retry.within, Duration::MAX);
            assert!(attempts == 1 || after(&retry, attempts - 1) != Never);
            assert_eq!(after(&retry, attempts), Never);
        }
    }

    #[test]
    fn a_first_wait_beyond_the_longest_is_that() {
        let retry = Retry::new().wait(Duration::MAX, Duration::from_secs(1));
        assert_eq!(after(&retry, 2), UpTo(Duration::from_secs(1)));
    }

    #[test]
    fn each_item_has_its_own_iterator_whose_end_is_final() {
        let retry = Retry::new().waits(|| [3 * MS, 5 * MS, 8 * MS]).retries(3);
        let mut items = [None, None];
        let mut next =
            |item: usize, attempts, stated| retry.wait_after(attempts, stated, &mut items[item]);
        assert_eq!(next(0, 1, None), For(3 * MS));
        assert_eq!(next(0, 2, Some(7 * MS)), For(7 * MS), "it replaces a wait");
        assert_eq!(next(1, 1, None), For(3 * MS));
        assert_eq!(next(0, 3, None), For(8 * MS));
        assert_eq!(next(0, 4, Some(MS)), Never);
        assert_eq!(next(1, 4, None), Never, "the maximum stays");
        let endless = Retry::new().waits(|| [MS]);
        let mut own = None;
        assert_eq!(endless.wait_after(1, None, &mut own), For(MS));
        assert_eq!(endless.wait_after(2, Some(MS), &mut own), Never);
    }
}
