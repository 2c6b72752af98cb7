//! What is open, and what holds it up.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::executor::Executor;
use crate::observe::BusyWorker;
use crate::primitive::now;
use crate::scheduler::{CallKind, Progress, Published};
use crate::unwind::discard;

/// What is with the first item of a call that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// It has not come from the source, or there is none any more.
    NotPulled,
    /// A worker has been asking the source for it.
    AtSource {
        /// The name of its thread.
        worker: String,
        /// For how long.
        time: Duration,
    },
    /// A worker has been at it, or at its neighbours which it claimed together with it.
    Running {
        /// The name of its thread.
        worker: String,
        /// For how long.
        time: Duration,
    },
    /// It has come, and no worker is at it: it has not started, runs on the thread of its caller or consumer or on a
    /// runtime, waits for another attempt or for its limiter, or waits to be taken.
    Elsewhere,
}

/// A call that was open. From [`Snapshot::calls`].
#[derive(Clone, Debug)]
pub struct OpenCall {
    id: u64,
    age: Duration,
    progress: Progress,
    head: Head,
}

impl OpenCall {
    fn new(
        id: u64,
        age: Duration,
        progress: Progress,
        busy: &[BusyWorker],
        name: impl Fn(usize) -> String,
    ) -> OpenCall {
        let of_call = || busy.iter().filter(move |worker| worker.call == id);
        let head = if let Some(busy) = of_call().find(|busy| busy.runs(progress.head)) {
            Head::Running { worker: name(busy.worker), time: busy.time }
        } else if progress.head < progress.pulled {
            Head::Elsewhere
        } else if let Some(busy) = of_call().find(|busy| busy.is_pulling()) {
            Head::AtSource { worker: name(busy.worker), time: busy.time }
        } else {
            Head::NotPulled
        };
        OpenCall { id, age, progress, head }
    }

    /// Which call of its executor it is; they are numbered from 1 on. Calls that their caller runs alone have no number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What kind of call it is.
    pub fn kind(&self) -> CallKind {
        self.progress.kind
    }

    /// How long it was open.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// The index of the first item that is missing: of a [`Stream`](CallKind::Stream) the one that its consumer last
    /// asked for; of a [`Batch`](CallKind::Batch) the first of some neighbours, at least 64, of which one is.
    pub fn head_index(&self) -> u64 {
        self.progress.head
    }

    /// What is with it.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How many items have come from the source.
    pub fn pulled(&self) -> u64 {
        self.progress.pulled
    }

    /// How many items have run whose outcomes have not been taken: those behind the head, and the head itself if only
    /// nobody takes it.
    pub fn waiting(&self) -> u64 {
        self.progress.waiting
    }

    /// How long a worker has been at the head, or at the source for it, if one is.
    pub fn stalled_for(&self) -> Option<Duration> {
        match self.head {
            Head::Running { time, .. } | Head::AtSource { time, .. } => Some(time),
            Head::NotPulled | Head::Elsewhere => None,
        }
    }
}

impl fmt::Display for OpenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.progress.kind {
            CallKind::Batch => "batch",
            CallKind::Stream => "stream",
        };
        let Progress { head, waiting, .. } = self.progress;
        write!(f, "{kind} {}, open for {:?}: item {head} ", self.id, self.age)?;
        match &self.head {
            Head::NotPulled => f.write_str("has not come from the source")?,
            Head::Elsewhere => f.write_str("is at no worker")?,
            Head::AtSource { worker, time } => {
                write!(f, "is asked for at the source by {worker} for {time:?}")?;
            }
            Head::Running { worker, time } => write!(f, "is with {worker} for {time:?}")?,
        }
        write!(f, "; {waiting} have run and wait")
    }
}

/// What was open at about one time. From [`Executor::snapshot`](crate::Executor::snapshot), which has an example.
///
/// As text it is a report, with a line for each call.
#[derive(Clone, Debug)]
pub struct Snapshot {
    calls: Vec<OpenCall>,
}

impl Snapshot {
    /// The calls, in the order of their numbers.
    pub fn calls(&self) -> &[OpenCall] {
        &self.calls
    }

    /// Those whose head has kept a worker for at least so long: who blocks it is named in [`OpenCall::head`].
    pub fn stalled(&self, time: Duration) -> impl Iterator<Item = &OpenCall> {
        self.calls
            .iter()
            .filter(move |call| call.stalled_for().is_some_and(|stalled| stalled >= time))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.calls.is_empty() {
            return f.write_str("nothing is open");
        }
        for (index, call) in self.calls.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{call}")?;
        }
        Ok(())
    }
}

impl Executor {
    /// What is open now, and what holds it up: for each call how far it has come, and which worker is at its head.
    ///
    /// It is a look in passing, at calls that go on meanwhile. Of one that stands still it tells the truth.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use reorder_executor::{Executor, Head};
    ///
    /// let executor = Executor::builder().workers(1).thread_name("squeeze").build()?;
    /// let (go, gone) = mpsc::channel::<()>();
    /// let gone = std::sync::Mutex::new(gone);
    /// let batch = executor.batch(0..3).submit(move |n, _| {
    ///     gone.lock().unwrap().recv().ok();
    ///     Ok::<_, ()>(n)
    /// })?;
    /// let stalled = loop {
    ///     let snapshot = executor.snapshot();
    ///     if let Some(call) = snapshot.stalled(Duration::from_millis(10)).next() {
    ///         break call.clone();
    ///     }
    /// };
    /// assert_eq!(stalled.head_index(), 0);
    /// let Head::Running { worker, .. } = stalled.head() else { panic!() };
    /// assert_eq!(worker, "squeeze-0");
    /// // As text: stream 1, open for 10.4ms: item 0 is with squeeze-0 for 10.1ms; 0 have run and wait
    /// drop(go);
    /// assert_eq!(batch.wait().into_values().unwrap(), [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It waits for nobody but, for a moment, for the lock of the list of open calls.
    pub fn snapshot(&self) -> Snapshot {
        let open = self.scheduler().open_calls();
        let now = now();
        let busy = self.scheduler().worker_statuses().busy(now);
        let call = |(work, since): &(Arc<dyn Published>, Instant)| {
            let (id, age) = (work.fair_share().id(), now.saturating_duration_since(*since));
            let name = |worker| self.worker_name(worker);
            Some(OpenCall::new(id, age, work.progress()?, &busy, name))
        };
        let mut calls: Vec<OpenCall> = open.iter().filter_map(call).collect();
        calls.sort_unstable_by_key(OpenCall::id);
        // The last reference to a call may run the user's code.
        open.into_iter().for_each(discard);
        Snapshot { calls }
    }
}
