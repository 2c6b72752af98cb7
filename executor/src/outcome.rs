//! The outcome of an item, and the reasons why it may have no value.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::resume_unwind;

use reorder_ring::Gap;

use crate::primitive::{Mutex, into_inner};

/// The outcome of one item: its value, or the reason why it has none. `E` is the error type of the
/// job.
pub type Outcome<U, E = Infallible> = Result<U, Failure<E>>;

/// The reason why an item has no value.
///
/// ```
/// use reorder_executor::{Executor, Failure};
///
/// let executor = Executor::builder().workers(1).build()?;
/// let source = (0..10).inspect(|&n| assert!(n < 2, "no more of these"));
/// let outcomes: Vec<_> = executor.stream(source, |n| n).collect();
/// let [Ok(0), Ok(1), Err(failure @ Failure::SourcePanicked(_))] = &outcomes[..] else { panic!() };
/// assert_eq!(failure.to_string(), "the source panicked: no more of these");
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure<E = Infallible> {
    /// The job returned this error. A time-out that the job reports itself is one, too.
    Failed(E),
    /// The job panicked on this item.
    Panicked(Panic),
    /// The job asked for another attempt, and its [`Retry`](crate::Retry) allows no further one.
    /// Holds the error of the last attempt.
    RetriesExhausted(E),
    /// The batch was cancelled by its token, or it fails fast and another item failed.
    ///
    /// The item had not started. In a stream or a submitted batch it may have been running.
    Cancelled,
    /// The executor was shut down or dropped. The item had not started, or was given up.
    ShutDown,
    /// The batch's deadline passed before this item had a result.
    BatchDeadline,
    /// The item took longer than its batch allows for one item.
    ItemDeadline,
    /// The source panicked when it was asked for this item, or when it was dropped at its end. The
    /// stream ends with this outcome.
    SourcePanicked(Panic),
    /// The item's position was given up, because the runtime dropped the future of its attempt.
    Gap(Gap),
}

/// Returns `true` if the item itself failed. A call that fails fast then ends.
///
/// Returns `false` for an item that got no result because its call ended.
pub(crate) fn is_item_failure<U, E>(outcome: &Outcome<U, E>) -> bool {
    matches!(
        outcome,
        Err(Failure::Failed(_)
            | Failure::Panicked(_)
            | Failure::RetriesExhausted(_)
            | Failure::SourcePanicked(_)
            | Failure::ItemDeadline
            | Failure::Gap(_))
    )
}

/// Returns `true` if the job produced this outcome.
pub(crate) fn is_job_result<U, E>(outcome: &Outcome<U, E>) -> bool {
    matches!(
        outcome,
        Ok(_) | Err(Failure::Failed(_) | Failure::Panicked(_) | Failure::RetriesExhausted(_))
    )
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(error) => write!(f, "the job failed: {error}"),
            Failure::RetriesExhausted(error) => write!(f, "no attempts are left: {error}"),
            Failure::Cancelled => f.write_str("cancelled before it had a result"),
            Failure::ShutDown => f.write_str("the executor was shut down before it had a result"),
            Failure::BatchDeadline => f.write_str("not done by the deadline of its batch"),
            Failure::ItemDeadline => f.write_str("took longer than an item of its batch may"),
            Failure::Panicked(panic) => write!(f, "the job panicked: {panic}"),
            Failure::SourcePanicked(panic) => write!(f, "the source panicked: {panic}"),
            Failure::Gap(gap) => gap.fmt(f),
        }
    }
}

/// The text includes the text of the job's error. So the error is no `source` as well.
impl<E: std::error::Error> std::error::Error for Failure<E> {}

/// A caught panic, with its payload. Its methods return at once.
pub struct Panic(Box<Caught>);

/// Boxed, so that outcomes are small where nothing panics.
struct Caught {
    message: String,
    /// The lock makes it `Sync`, which payloads need not be. It is never contended.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Panic {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "(a payload that is not text)".to_owned());
        Panic(Box::new(Caught { message, payload: Mutex::new(payload) }))
    }

    /// Returns the text that the panic was raised with, or a note that it was no text.
    /// [`Executor::execute_batch`](crate::Executor::execute_batch) has an example.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the payload, as [`std::panic::catch_unwind`] gave it.
    ///
    /// ```
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let job = |_| std::panic::panic_any(404_u16);
    /// let outcome: Option<Result<(), _>> = executor.execute_batch([()], job).into_iter().next();
    /// let Some(Err(Failure::Panicked(panic))) = outcome else { panic!() };
    /// assert_eq!(panic.into_payload().downcast_ref(), Some(&404_u16));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        into_inner(self.0.payload)
    }

    /// Resumes the panic on this thread. The panic hook has run once, and is not called again.
    ///
    /// ```should_panic
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build().unwrap();
    /// let report = executor.execute_batch([1, 0], |n| 1 / n);
    /// if let Err((_index, Failure::Panicked(panic))) = report.into_values() {
    ///     panic.resume();
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Always.
    pub fn resume(self) -> ! {
        resume_unwind(self.into_payload())
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.0.message).finish()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}
