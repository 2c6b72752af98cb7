//! The outcome of an item, and the reasons why it may have no value.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::time::Duration;

use crate::primitive::{Mutex, into_inner, whole_nanos};

mod item_error;

pub use self::item_error::ItemError;

/// The outcome of one item: its value, or the reason why it has none. `E` is the error type of the
/// job.
pub type Outcome<U, E = Infallible> = Result<U, Failure<E>>;

/// The reason why an item has no value.
///
/// It is an error that can be displayed, if the error of the job is one. Its item is known by the
/// place of the outcome, as [`attempts`](Failure::attempts) says.
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
    /// The job returned an error. If the job itself reports a time-out, that is such an error, too.
    #[non_exhaustive]
    Failed {
        /// The error of the job.
        error: E,
        /// The number of attempts at the item: 1, unless a [dispatcher](crate::dispatch) ran it.
        attempts: u32,
    },
    /// The job panicked on this item.
    Panicked(Panic),
    /// The job asked for another attempt, and its [dispatcher](crate::dispatch) allows no more
    /// attempts.
    RetriesExhausted(Unfinished<E>),
    /// The job asked for another attempt, and the budget of time of the item allows none.
    RetryDeadline(Unfinished<E>),
    /// The job asked for another attempt, and the budget of retries of its batch allows none,
    /// because too many attempts of the batch have failed.
    RetryBudgetSpent(Unfinished<E>),
    /// The batch was cancelled by its token, or it fails fast and another item failed.
    ///
    /// The item had not started. In a stream or a submitted batch it may have been running. If the
    /// job of a running item returns an error after another item has failed, that error is the
    /// [`error`](Unfinished::error) of this failure.
    Cancelled(Unfinished<E>),
    /// The executor was shut down or dropped. The item had not started, or was given up.
    ShutDown(Unfinished<E>),
    /// The batch's deadline passed before this item had a result.
    BatchDeadline(Unfinished<E>),
    /// The item took longer than its batch allows for one item.
    ItemDeadline(Unfinished<E>),
    /// The source panicked when it was asked for this item, or when it was dropped at its end. The
    /// stream ends with this outcome.
    SourcePanicked(Panic),
    /// The [`Spawn`](crate::Spawn) of the call panicked and dropped the future of the item.
    SpawnerPanicked(Panic),
    /// The runtime dropped the future of the item before it was done, for instance because it was
    /// shut down. If the item [was not pulled](Unfinished::was_pulled), the runtime dropped the
    /// task that polls the source of a [`MapOrdered`](crate::MapOrdered).
    FutureDropped(Unfinished<E>),
    /// The [`Place`](crate::Place) of this outcome was dropped before it was completed.
    PlaceDropped,
}

impl<E> Failure<E> {
    /// Returns the error of the job: its last one, if the item had several attempts.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let report = executor.batch(["1", "x"]).run(|text, _| text.parse::<u32>());
    /// let (_, failure) = report.failures().next().expect("x is no number");
    /// assert_eq!(failure.error(), "x".parse::<u32>().as_ref().err());
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn error(&self) -> Option<&E> {
        match self {
            Failure::Failed { error, .. } => Some(error),
            _ => self.unfinished()?.error(),
        }
    }

    /// Returns the error of the job by value. [`error`](Failure::error) returns a reference.
    pub fn into_error(self) -> Option<E> {
        match self {
            Failure::Failed { error, .. } => Some(error),
            Failure::RetriesExhausted(item)
            | Failure::RetryDeadline(item)
            | Failure::RetryBudgetSpent(item)
            | Failure::Cancelled(item)
            | Failure::ShutDown(item)
            | Failure::BatchDeadline(item)
            | Failure::ItemDeadline(item)
            | Failure::FutureDropped(item) => item.error,
            Failure::Panicked(_)
            | Failure::SourcePanicked(_)
            | Failure::SpawnerPanicked(_)
            | Failure::PlaceDropped => None,
        }
    }

    /// Returns the number of attempts at the item that were started:
    ///
    /// * 0 if the item did not start.
    /// * 1 if its job ran.
    /// * The number of attempts, if a [dispatcher](crate::dispatch) ran the item.
    ///
    /// An item that starts while the consumer gives up on it may count as not started. A dispatcher
    /// can exclude this, as the crate `reorder-requests` does. A [place](crate::Place)
    /// counts as started from its reservation, unless it was dropped.
    ///
    /// The failure does not know the index of its item. [`BatchReport::failures`] and
    /// [`Ordered::item_results`] tell the index.
    ///
    /// ```
    /// # use reorder_executor::{CancellationToken, Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let token = CancellationToken::new();
    /// let batch = executor.batch([0, 1]).cancelled_by(&token);
    /// let report = batch.concurrency(std::num::NonZeroUsize::MIN).run(|_, _| {
    ///     token.cancel();
    ///     Err::<(), _>("no luck")
    /// });
    /// let [Err(failed), Err(cancelled)] = report.outcomes() else { panic!() };
    /// assert_eq!((failed.attempts(), cancelled.attempts()), (1, 0));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// [`BatchReport::failures`]: crate::BatchReport::failures
    /// [`Ordered::item_results`]: crate::Ordered::item_results
    pub fn attempts(&self) -> u32 {
        match self {
            Failure::Failed { attempts, .. } => *attempts,
            Failure::Panicked(panic) | Failure::SpawnerPanicked(panic) => panic.0.attempts,
            _ => self.unfinished().map_or(0, Unfinished::attempts),
        }
    }

    /// Returns the failure of a job that returned an error at this attempt, counted from 1. For
    /// [dispatchers](crate::dispatch).
    pub fn failed(error: E, attempts: u32) -> Failure<E> {
        Failure::Failed { error, attempts }
    }

    /// Returns the failure of a job that panicked at its only attempt.
    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Failure<E> {
        Failure::Panicked(Panic::new(payload))
    }

    /// Returns `true` if the last attempt at the item exceeded the time that a
    /// [dispatcher](crate::dispatch) allows an attempt. Then [`error`](Failure::error) returns the
    /// error of an earlier attempt, if one returned an error.
    ///
    /// ```
    /// use reorder_executor::{Failure, Unfinished};
    ///
    /// let busy = Failure::RetriesExhausted(Unfinished::new(2, Some("busy")));
    /// assert!(!busy.attempt_timed_out());
    /// let item = Unfinished::new(2, Some("busy")).timed_out(true);
    /// let late = Failure::RetriesExhausted(item);
    /// assert!(late.attempt_timed_out());
    /// assert_eq!(late.error(), Some(&"busy"));
    /// ```
    pub fn attempt_timed_out(&self) -> bool {
        self.unfinished().is_some_and(Unfinished::attempt_timed_out)
    }

    fn unfinished(&self) -> Option<&Unfinished<E>> {
        match self {
            Failure::RetriesExhausted(item)
            | Failure::RetryDeadline(item)
            | Failure::RetryBudgetSpent(item)
            | Failure::Cancelled(item)
            | Failure::ShutDown(item)
            | Failure::BatchDeadline(item)
            | Failure::ItemDeadline(item)
            | Failure::FutureDropped(item) => Some(item),
            Failure::Failed { .. }
            | Failure::Panicked(_)
            | Failure::SourcePanicked(_)
            | Failure::SpawnerPanicked(_)
            | Failure::PlaceDropped => None,
        }
    }

    /// Returns the failure of an item that was ended by its limits after `attempts` attempts.
    pub(crate) fn stopped(stop: Stop, attempts: u32, error: Option<E>) -> Failure<E> {
        Failure::ended(stop, Unfinished::new(attempts, error))
    }

    /// Returns the failure of an item that a limit of its call has ended. For
    /// [dispatchers](crate::dispatch).
    ///
    /// ```
    /// use std::time::Duration;
    /// use reorder_executor::dispatch::Stop;
    /// use reorder_executor::{Failure, Unfinished};
    ///
    /// let item = Unfinished::new(2, Some("busy"));
    /// let failure = Failure::ended(Stop::BatchDeadline(Duration::from_secs(1)), item);
    /// assert_eq!((failure.attempts(), failure.error()), (2, Some(&"busy")));
    /// ```
    pub fn ended(stop: Stop, item: Unfinished<E>) -> Failure<E> {
        match stop {
            Stop::Cancelled { cause } => {
                Failure::Cancelled(item.with_detail(cause.map_or(0, |it| it + 1)))
            }
            Stop::ShutDown => Failure::ShutDown(item),
            Stop::BatchDeadline(limit) => {
                Failure::BatchDeadline(item.with_detail(whole_nanos(limit)))
            }
            Stop::ItemDeadline(limit) => {
                Failure::ItemDeadline(item.with_detail(whole_nanos(limit)))
            }
        }
    }

    /// Returns the failure of an item whose future the runtime has dropped.
    pub(crate) fn future_dropped() -> Failure<E> {
        Failure::FutureDropped(Unfinished::new(1, None))
    }

    /// Returns the failure that stands for all items of a source whose task the runtime has
    /// dropped.
    pub(crate) fn puller_dropped() -> Failure<E> {
        let mut item = Unfinished::new(0, None);
        item.detail[1] |= NOT_PULLED;
        Failure::FutureDropped(item)
    }

    /// Returns the failure that stands for the items that were not pulled.
    pub(crate) fn not_pulled(stop: Stop) -> Failure<E> {
        let mut failure = Failure::stopped(stop, 0, None);
        if let Failure::Cancelled(item) | Failure::ShutDown(item) | Failure::BatchDeadline(item) =
            &mut failure
        {
            item.detail[1] |= NOT_PULLED;
        }
        failure
    }
}

impl<E> From<Stop> for Failure<E> {
    fn from(stop: Stop) -> Self {
        Failure::stopped(stop, 0, None)
    }
}

/// The reason why an item has no result, whatever its job did. [`Failure::ended`] turns it into a
/// failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// The call was cancelled by a token, or by the failure of an item.
    Cancelled {
        /// The index of the item that failed, if the call fails fast.
        cause: Option<u64>,
    },
    /// The executor was shut down or dropped.
    ShutDown,
    /// The deadline of the batch has passed. The time is from its setting to the deadline.
    BatchDeadline(Duration),
    /// The item took longer than this limit.
    ItemDeadline(Duration),
}

/// The bit of the second half of [`Unfinished::detail`] that marks an item that was not pulled.
const NOT_PULLED: u32 = 1 << 31;

/// The bit that marks an item whose last attempt exceeded its time-out.
const TIMED_OUT: u32 = 1 << 30;

/// The bits of the second half that belong to the number.
const NUMBER: u32 = TIMED_OUT - 1;

/// The attempts, the time limit and the last error of an item without a result.
#[derive(Clone)]
pub struct Unfinished<E> {
    attempts: u32,
    /// Two halves of a word, low half first, so that outcomes stay small: the limit in nanoseconds,
    /// or the cause plus 1. The last two bits are marks.
    detail: [u32; 2],
    error: Option<E>,
}

impl<E> Unfinished<E> {
    /// Returns an item after this number of attempts, with the last error of its job. For
    /// [dispatchers](crate::dispatch).
    pub fn new(attempts: u32, error: Option<E>) -> Self {
        Unfinished { attempts, detail: [0; 2], error }
    }

    /// Sets the limit of time of [`Failure::RetryDeadline`].
    pub fn within(self, limit: Duration) -> Self {
        self.with_detail(whole_nanos(limit))
    }

    fn with_detail(mut self, detail: u64) -> Self {
        let [low, high] = &mut self.detail;
        let detail = detail.min(u64::MAX >> 2);
        *low = detail as u32;
        *high = *high & !NUMBER | (detail >> 32) as u32;
        self
    }

    fn detail(&self) -> u64 {
        let [low, high] = self.detail;
        u64::from(high & NUMBER) << 32 | u64::from(low)
    }

    /// Notes whether the last attempt exceeded its time-out.
    pub fn timed_out(mut self, timed_out: bool) -> Self {
        if timed_out {
            self.detail[1] |= TIMED_OUT;
        }
        self
    }

    /// Returns `true` if the last attempt exceeded its time-out, as
    /// [`Failure::attempt_timed_out`].
    pub fn attempt_timed_out(&self) -> bool {
        self.detail[1] & TIMED_OUT != 0
    }

    /// Returns the number of attempts at the item that were started, as [`Failure::attempts`].
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the last error of the job, if it returned one.
    pub fn error(&self) -> Option<&E> {
        self.error.as_ref()
    }

    /// Returns `true` if the item had come from the source, or a worker had taken it from the items
    /// of a submitted batch. An item that was pulled may have started. An item that was not pulled
    /// has not.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use reorder_executor::{CancellationToken, Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let token = CancellationToken::new();
    /// token.cancel();
    /// let batch = executor.batch(0..9).cancelled_by(&token);
    /// let mut outcomes = batch.stream(|n, _| Ok::<_, Infallible>(n))?;
    /// let Some(Err(Failure::Cancelled(item))) = outcomes.next() else { panic!() };
    /// assert!(!item.was_pulled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn was_pulled(&self) -> bool {
        self.detail[1] & NOT_PULLED == 0
    }
}

/// Shows no limit and no cause, because only the failure around it knows which of them it has. The
/// text of the failure says so.
impl<E: fmt::Debug> fmt::Debug for Unfinished<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unfinished")
            .field("attempts", &self.attempts)
            .field("was_pulled", &self.was_pulled())
            .field("attempt_timed_out", &self.attempt_timed_out())
            .field("error", &self.error)
            .finish()
    }
}

/// Returns `true` if the item itself failed. A call that fails fast then ends.
///
/// Returns `false` for an item that got no result because its call ended.
pub(crate) fn is_item_failure<U, E>(outcome: &Outcome<U, E>) -> bool {
    match outcome {
        Ok(_) | Err(Failure::Cancelled(_) | Failure::ShutDown(_) | Failure::BatchDeadline(_)) => {
            false
        }
        Err(_) => true,
    }
}

/// Returns `true` if the job produced this outcome.
pub(crate) fn is_job_result<U, E>(outcome: &Outcome<U, E>) -> bool {
    matches!(
        outcome,
        Ok(_)
            | Err(Failure::Failed { .. }
                | Failure::Panicked(_)
                | Failure::RetriesExhausted(_)
                | Failure::RetryDeadline(_)
                | Failure::RetryBudgetSpent(_))
    )
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The job's error is shown with its causes, if its type does so (as that of `anyhow`).
        let (unfinished, result) = match self {
            Failure::Failed { error, attempts } => {
                f.write_str("the job failed")?;
                write_later_attempt(f, *attempts)?;
                return write!(f, ": {error:#}");
            }
            Failure::Panicked(panic) => {
                f.write_str("the job panicked")?;
                write_later_attempt(f, panic.0.attempts)?;
                return write!(f, ": {panic}");
            }
            Failure::SourcePanicked(panic) => return write!(f, "the source panicked: {panic}"),
            Failure::PlaceDropped => return f.write_str("the place was dropped without a result"),
            Failure::SpawnerPanicked(panic) => {
                return write!(f, "the spawner of the future panicked: {panic}");
            }
            Failure::RetriesExhausted(item) => {
                let (text, separator) = match (item.attempts, item.attempt_timed_out()) {
                    (1, true) => ("the only attempt exceeded its time-out".to_owned(), ": "),
                    (1, false) => ("the only attempt failed".to_owned(), ": "),
                    (attempts, true) => {
                        let text = format!("all {attempts} attempts failed, the last by its");
                        (text + " time-out", "; the last error: ")
                    }
                    (attempts, false) => {
                        (format!("all {attempts} attempts failed"), ", the last with: ")
                    }
                };
                return write_error(f, text, separator, item);
            }
            Failure::RetryDeadline(item) => {
                let limit = Duration::from_nanos(item.detail());
                (item, write!(f, "no attempt succeeded within {limit:?}"))
            }
            Failure::RetryBudgetSpent(item) => {
                (item, f.write_str("not retried, because too many attempts of its batch failed"))
            }
            Failure::FutureDropped(item) => {
                f.write_str(match item.was_pulled() {
                    true => "the runtime dropped the future of the item",
                    false => "the runtime dropped the task that polls the source",
                })?;
                (item, write_later_attempt(f, item.attempts))
            }
            Failure::Cancelled(item) | Failure::ShutDown(item) => {
                let event = match self {
                    Failure::ShutDown(_) => "the executor was shut down",
                    _ => "cancelled",
                };
                let what = if item.was_pulled() { "had a result" } else { "started" };
                let result = match item.detail().checked_sub(1) {
                    Some(cause) if item.was_pulled() => {
                        write!(f, "cancelled because item {cause} failed")
                    }
                    Some(cause) => {
                        write!(f, "cancelled before it started, because item {cause} failed")
                    }
                    None => write!(f, "{event} before it {what}"),
                };
                (item, result)
            }
            Failure::BatchDeadline(item) => {
                let limit = Duration::from_nanos(item.detail());
                let what = if item.was_pulled() { "done" } else { "started" };
                (item, write!(f, "not {what} within {limit:?}, the deadline of its batch"))
            }
            Failure::ItemDeadline(item) => {
                let limit = Duration::from_nanos(item.detail());
                (item, write!(f, "took longer than {limit:?}, the limit of an item of its batch"))
            }
        };
        result?;
        if unfinished.attempt_timed_out() {
            f.write_str("; the last attempt exceeded its time-out")?;
        }
        match (unfinished.attempts, &unfinished.error) {
            (_, None) => Ok(()),
            (1, Some(error)) if matches!(self, Failure::RetryDeadline(_)) => {
                write!(f, "; 1 attempt: {error:#}")
            }
            (0 | 1, Some(error)) => write!(f, "; the job failed: {error:#}"),
            (attempts, Some(error)) => {
                write!(f, "; {attempts} attempts, the last error: {error:#}")
            }
        }
    }
}

/// Writes the number of the last attempt if it was not the first.
fn write_later_attempt(f: &mut fmt::Formatter<'_>, attempts: u32) -> fmt::Result {
    if attempts > 1 { write!(f, " at attempt {attempts}") } else { Ok(()) }
}

fn write_error<E: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    text: impl fmt::Display,
    separator: &str,
    item: &Unfinished<E>,
) -> fmt::Result {
    write!(f, "{text}")?;
    item.error.as_ref().map_or(Ok(()), |error| write!(f, "{separator}{error:#}"))
}

/// The text includes the text of the job's error, so this error is no `source` as well.
///
/// If the job's error is a boxed error, `source` returns the source of the boxed error. For other
/// types, [`Failure::error`] returns the error, with its sources.
impl<E: fmt::Debug + fmt::Display + 'static> Error for Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let error: &dyn Any = self.error()?;
        let sync = error.downcast_ref::<Box<dyn Error + Send + Sync>>();
        sync.and_then(|error| error.source())
            .or_else(|| error.downcast_ref::<Box<dyn Error + Send>>()?.source())
    }
}

/// Keeps the kind of the job's error. The new error has the failure as its inner error, with its
/// text.
///
/// ```
/// use std::io::{self, ErrorKind};
/// # use reorder_executor::Executor;
///
/// fn read_all(executor: &Executor) -> io::Result<Vec<String>> {
///     let batch = executor.batch(["/no/such/file"]);
///     let texts = batch.stream(|path, _| std::fs::read_to_string(path));
///     texts.expect("it was not shut down").map(|text| Ok(text?)).collect()
/// }
/// # let executor = Executor::builder().workers(1).build()?;
/// assert_eq!(read_all(&executor).unwrap_err().kind(), ErrorKind::NotFound);
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
impl From<Failure<io::Error>> for io::Error {
    fn from(failure: Failure<io::Error>) -> io::Error {
        let kind = failure.error().map_or(io::ErrorKind::Other, io::Error::kind);
        io::Error::new(kind, failure)
    }
}

/// A caught panic, with its message and its payload.
pub struct Panic(Box<Caught>);

/// Boxed, so that outcomes are small where nothing panics.
struct Caught {
    message: String,
    /// The lock makes it `Sync`, which payloads need not be. It is never contended.
    payload: Mutex<Box<dyn Any + Send>>,
    /// The number of attempts at the item.
    attempts: u32,
}

impl Panic {
    /// Returns the panic of the first attempt at an item, from its payload. For
    /// [dispatchers](crate::dispatch), which catch the panics of their jobs.
    pub fn new(payload: Box<dyn Any + Send>) -> Panic {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "(a payload that is not text)".to_owned());
        Panic(Box::new(Caught { message, payload: Mutex::new(payload), attempts: 1 }))
    }

    /// Sets the number of attempts at the item.
    pub fn at_attempt(mut self, attempts: u32) -> Panic {
        self.0.attempts = attempts;
        self
    }

    /// Returns the message of the panic. If the payload is not text, returns a note that says so.
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
    /// # use reorder_executor::{Executor, Failure, ItemError};
    /// # let executor = Executor::builder().workers(1).build().unwrap();
    /// let report = executor.execute_batch([1, 0], |n| 1 / n);
    /// if let Err(ItemError { failure: Failure::Panicked(panic), .. }) = report.into_values() {
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
