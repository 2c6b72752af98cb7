//! The span in which an attempt runs, on workers and on a runtime. The subscriber serves the whole
//! process, so this test has a file of its own.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

use common::{executor, with_timeout};
use reorder_requests::{Attempt, AttemptOutcome, RequestsExt};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// A span, and its parent.
type Span = (&'static Metadata<'static>, Option<u64>);

/// A subscriber that keeps the parents of spans.
#[derive(Default)]
struct Recorder {
    last: AtomicU64,
    spans: Mutex<HashMap<u64, Span>>,
    /// The spans that each thread has entered.
    entered: Mutex<HashMap<ThreadId, Vec<u64>>>,
}

/// The part of the recorder that `tracing` owns.
struct Handle(Arc<Recorder>);

impl Recorder {
    fn current(&self) -> Option<u64> {
        let entered = self.entered.lock().unwrap();
        entered.get(&thread::current().id())?.last().copied()
    }

    /// Returns the names of the span and of its parents, the innermost first.
    fn names(&self, span: Option<u64>) -> Vec<&'static str> {
        let spans = self.spans.lock().unwrap();
        let of = |id: &u64| spans.get(id).and_then(|(_, parent)| *parent);
        std::iter::successors(span, of).map(|id| spans[&id].0.name()).collect()
    }
}

impl Subscriber for Handle {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.last.fetch_add(1, SeqCst) + 1;
        let parent = match span.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if span.is_contextual() => self.0.current(),
            None => None,
        };
        self.0.spans.lock().unwrap().insert(id, (span.metadata(), parent));
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        let mut entered = self.0.entered.lock().unwrap();
        entered.entry(thread::current().id()).or_default().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut entered = self.0.entered.lock().unwrap();
        let of_thread = entered.entry(thread::current().id()).or_default();
        let place = of_thread.iter().rposition(|&id| id == span.into_u64());
        of_thread.remove(place.expect("the thread has entered it"));
    }

    fn current_span(&self) -> Current {
        match self.0.current() {
            Some(id) => Current::new(Id::from_u64(id), self.0.spans.lock().unwrap()[&id].0),
            None => Current::none(),
        }
    }
}

fn recorder() -> &'static Arc<Recorder> {
    static RECORDER: OnceLock<Arc<Recorder>> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = Arc::new(Recorder::default());
        tracing::subscriber::set_global_default(Handle(Arc::clone(&recorder))).unwrap();
        recorder
    })
}

/// Returns the current span of this thread, and its parents. Called inside of a job.
fn spans() -> Vec<&'static str> {
    recorder().names(recorder().current())
}

/// Makes a call in the span of a user, and checks the spans of all of its jobs.
fn check<R>(call: &'static str, run: impl FnOnce() -> R, spans_of: impl FnOnce(R) -> Vec<Spans>) {
    recorder();
    let result = {
        let user = tracing::info_span!("user");
        let _entered = user.enter();
        run()
    };
    let jobs = spans_of(result);
    assert!(!jobs.is_empty());
    for job in jobs {
        assert_eq!(job, [call, "user"], "in a job of {call}");
    }
}

type Spans = Vec<&'static str>;

#[test]
fn attempts_run_in_the_span_of_their_requests() {
    with_timeout(|| {
        let executor = executor(2);
        let batch = || executor.batch(0..9).requests();
        let job = |_: &i32, _: &Attempt| AttemptOutcome::<_, ()>::Done(spans());
        check(
            "dispatch",
            || batch().submit(job),
            |handle| handle.unwrap().wait().into_values().unwrap(),
        );
        // A future, which its runtime polls on threads of its own: in its job, before it waits, and
        // afterwards.
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let tokio = runtime.handle().clone();
        let spawner = move |task| _ = tokio.spawn(task);
        let job = |_: Arc<_>, _| {
            let of_job = spans();
            async move {
                let before = spans();
                tokio::task::yield_now().await;
                AttemptOutcome::<_, ()>::Done(vec![of_job, before, spans()])
            }
        };
        check(
            "dispatch",
            || batch().submit_async(spawner, job),
            |handle| {
                let values = handle.unwrap().wait().into_values().unwrap();
                values.into_iter().flatten().collect()
            },
        );
    });
}
