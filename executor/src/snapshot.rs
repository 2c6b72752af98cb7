//! Shows the open calls and what holds them up.

use std::time::Duration;
use std::{fmt, mem};

use crate::executor::Executor;
use crate::observe::BusyWorker;
use crate::primitive::now;
use crate::scheduler::{CallKind, OpenWork, Progress};
use crate::unwind::discard;

/// The state of the first missing item of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// The item has not come from the source, or was not sent, or there are no more items.
    NotPulled,
    /// A worker is pulling the source for it.
    AtSource {
        /// The name of the worker thread.
        worker: String,
        /// The time since the worker began.
        time: Duration,
    },
    /// A worker is running it, or neighbours that it claimed together with it.
    Running {
        /// The name of the worker thread.
        worker: String,
        /// The time since the worker began.
        time: Duration,
    },
    /// It has come from the source, and no worker runs it. It may be in one of these states:
    ///
    /// * It has not started.
    /// * It runs on the thread of its caller or consumer, or on a runtime.
    /// * It waits in its [dispatcher](crate::dispatch), such as for another attempt.
    /// * Its outcome waits to be taken.
    Elsewhere,
}

/// An open call. Returned by [`Snapshot::calls`].
#[derive(Clone, Debug)]
pub struct OpenCall {
    id: u64,
    age: Duration,
    progress: Progress,
    head: Head,
    due_for: Option<Duration>,
}

impl OpenCall {
    /// Returns the number of the call in its executor, from 1 on. A call that its caller runs alone
    /// has no number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the kind of the call.
    pub fn kind(&self) -> CallKind {
        self.progress.kind
    }

    /// Returns the time since the call was opened.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns the index of the first missing item.
    ///
    /// For a [`Stream`](CallKind::Stream) it is the item that the consumer asked for last. For a
    /// [`Batch`](CallKind::Batch) it is the first item of a block of at least 64, one of which is
    /// missing.
    pub fn head_index(&self) -> u64 {
        self.progress.head
    }

    /// Returns the state of the first missing item.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the number of items that have come from the source, or were sent to the queue.
    pub fn pulled(&self) -> u64 {
        self.progress.pulled
    }

    /// Returns the number of items that have run and whose outcomes were not taken: items behind
    /// the head, and the head itself if it has run.
    pub fn waiting(&self) -> u64 {
        self.progress.waiting
    }

    /// Returns the time for which a pulled item of a [dispatcher](crate::dispatch) has been due,
    /// while no thread started one of this call. All workers are busy, or inside a source.
    /// [`Snapshot::workers`] shows with which calls.
    ///
    /// A wait that the dispatcher wants does not count, such as that for a retry.
    pub fn due_for(&self) -> Option<Duration> {
        self.due_for
    }

    /// Returns the time that a worker has spent at the head, or at pulling the source for it. If an
    /// attempt [has been due](OpenCall::due_for) for longer, returns that time.
    pub fn stalled_for(&self) -> Option<Duration> {
        let at_head = match self.head {
            Head::Running { time, .. } | Head::AtSource { time, .. } => Some(time),
            Head::NotPulled | Head::Elsewhere => None,
        };
        at_head.max(self.due_for)
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
        write!(f, "; {waiting} have run and wait")?;
        match self.due_for {
            Some(time) => write!(f, "; an attempt has been due for {time:?}"),
            None => Ok(()),
        }
    }
}

/// The calls that were open at one time. Returned by
/// [`Executor::snapshot`](crate::Executor::snapshot), which has an example.
///
/// Its `Display` is a report with a line for each call, and a line for each worker that a call
/// occupies although it is no longer open.
#[derive(Clone, Debug)]
pub struct Snapshot {
    calls: Vec<OpenCall>,
    workers: Vec<WorkerActivity>,
}

/// A worker thread that runs an item of a call or pulls its source. Returned by
/// [`Snapshot::workers`].
#[derive(Clone, Debug)]
pub struct WorkerActivity {
    name: String,
    call: u64,
    is_open: bool,
    is_pulling: bool,
    time: Duration,
}

impl WorkerActivity {
    /// Returns the name of the thread.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of the call, as [`OpenCall::id`].
    pub fn call(&self) -> u64 {
        self.call
    }

    /// Returns `true` if the call is open. Otherwise a job or the source of the call occupies the
    /// thread, although no caller waits any more.
    pub fn is_call_open(&self) -> bool {
        self.is_open
    }

    /// Returns `true` if the thread is inside the source of the call.
    pub fn is_pulling(&self) -> bool {
        self.is_pulling
    }

    /// Returns the time since the thread began.
    pub fn time(&self) -> Duration {
        self.time
    }
}

impl fmt::Display for WorkerActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let does = if self.is_pulling { "pulls the source" } else { "runs an item" };
        let WorkerActivity { name, call, time, .. } = self;
        write!(f, "{name} {does} of call {call} for {time:?}")?;
        if self.is_open { Ok(()) } else { f.write_str(", which is no longer open") }
    }
}

impl Snapshot {
    /// Returns all worker threads that run an item or pull a source, also those of calls that are
    /// no longer open. A thread that has taken the place of a blocked one is among them.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let (sender, source) = mpsc::channel::<u64>();
    /// let stream = executor.stream(source, |n| n);
    /// while executor.snapshot().workers().is_empty() {
    ///     std::thread::sleep(Duration::from_millis(1));
    /// }
    /// // Its source still keeps a thread.
    /// drop(stream);
    /// let snapshot = executor.snapshot();
    /// let [worker] = snapshot.workers() else { panic!() };
    /// assert!(worker.is_pulling() && !worker.is_call_open());
    /// drop(sender);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn workers(&self) -> &[WorkerActivity] {
        &self.workers
    }

    /// Returns the calls in the order of their numbers.
    pub fn calls(&self) -> &[OpenCall] {
        &self.calls
    }

    /// Returns the calls that have [stalled](OpenCall::stalled_for) for at least `time`.
    /// [`OpenCall::head`] names the worker that the head keeps.
    pub fn stalled(&self, time: Duration) -> impl Iterator<Item = &OpenCall> {
        self.calls
            .iter()
            .filter(move |call| call.stalled_for().is_some_and(|stalled| stalled >= time))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls.iter().map(|call| call as &dyn fmt::Display);
        let kept = self.workers.iter().filter(|worker| !worker.is_open);
        let lines = calls.chain(kept.map(|worker| worker as &dyn fmt::Display));
        let mut is_empty = true;
        for line in lines {
            let newline = if mem::take(&mut is_empty) { "" } else { "\n" };
            write!(f, "{newline}{line}")?;
        }
        if is_empty { f.write_str("nothing is open") } else { Ok(()) }
    }
}

impl Executor {
    /// Returns the open calls: how far each has come, and which worker runs its head.
    ///
    /// Calls go on while the snapshot is taken, so its numbers may belong to different instants.
    /// The numbers of a call that stands still are consistent.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use reorder_executor::{Executor, Head};
    ///
    /// let executor = Executor::builder().workers(1).thread_name("squeeze").build()?;
    /// let (go, gone) = mpsc::channel::<()>();
    /// let gone = std::sync::Mutex::new(gone);
    /// let batch = executor.batch(0..3).submit(move |n, _| {
    ///     gone.lock().unwrap().recv().ok();
    ///     Ok::<_, Infallible>(n)
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
    /// // As text:
    /// // stream 1, open for 10.4ms: item 0 is with squeeze-0 for 10.1ms; 0 have run and wait
    /// drop(go);
    /// assert_eq!(batch.wait().into_values().unwrap(), [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking for a moment: it takes the lock of the list of open calls.
    pub fn snapshot(&self) -> Snapshot {
        let open = self.scheduler.open_calls();
        let now = now();
        let busy = self.scheduler.threads.busy(now);
        let call = |open: &OpenWork| {
            let (id, progress) = (open.work.fair_share().id(), open.work.progress()?);
            let age = now.saturating_duration_since(open.since);
            let due_for =
                open.work.due_since(now).map(|since| now.saturating_duration_since(since));
            Some(OpenCall { id, age, progress, head: self.head(id, progress, &busy), due_for })
        };
        let mut calls: Vec<OpenCall> = open.iter().filter_map(call).collect();
        calls.sort_unstable_by_key(OpenCall::id);
        let is_open = |id| open.iter().any(|open| open.work.fair_share().id() == id);
        let activity = |busy: &BusyWorker| WorkerActivity {
            name: self.worker_name(busy.worker),
            call: busy.call,
            is_open: is_open(busy.call),
            is_pulling: busy.is_pulling(),
            time: busy.time,
        };
        let workers = busy.iter().map(activity).collect();
        // The last reference to a call may run the user's code.
        open.into_iter().for_each(discard);
        Snapshot { calls, workers }
    }

    /// Returns the state of the first missing item of a call.
    fn head(&self, call: u64, progress: Progress, busy: &[BusyWorker]) -> Head {
        let of_call = || busy.iter().filter(|worker| worker.call == call);
        if let Some(busy) = of_call().find(|busy| busy.runs(progress.head)) {
            Head::Running { worker: self.worker_name(busy.worker), time: busy.time }
        } else if progress.head < progress.pulled {
            Head::Elsewhere
        } else if let Some(busy) = of_call().find(|busy| busy.is_pulling()) {
            Head::AtSource { worker: self.worker_name(busy.worker), time: busy.time }
        } else {
            Head::NotPulled
        }
    }
}
