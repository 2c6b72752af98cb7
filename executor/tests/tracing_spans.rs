//! The span in which a job runs, for each call and each thread, and the events of the progress. The
//! subscriber serves the whole process, so these tests have a file of their own.

mod common;

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use common::{Latch, block_on, executor, with_timeout};
use futures_util::{StreamExt as _, stream};
use reorder_executor::{Executor, IteratorExt, Job, OrderedWriter, StreamExt as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

/// A subscriber that keeps the parents of spans, and the fields of events.
#[derive(Default)]
struct Recorder {
    last: AtomicU64,
    spans: Mutex<HashMap<u64, (&'static Metadata<'static>, Option<u64>)>>,
    /// The spans that each thread has entered.
    entered: Mutex<HashMap<ThreadId, Vec<u64>>>,
    events: Mutex<Vec<HashMap<String, String>>>,
}

struct Fields<'a>(&'a mut HashMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

thread_local! {
    /// `true` if spans that this thread makes for calls are not wanted.
    static QUIET: Cell<bool> = const { Cell::new(false) };
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
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !(QUIET.get() && metadata.target().starts_with("reorder_executor"))
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

    fn event(&self, event: &Event<'_>) {
        let mut fields = HashMap::new();
        event.record(&mut Fields(&mut fields));
        self.0.events.lock().unwrap().push(fields);
    }

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
fn jobs_of_batches_run_in_the_span_of_their_call() {
    with_timeout(|| {
        let executor = executor(2);
        for items in [1, 3, 100] {
            check("batch", || executor.map(0..items, |_| spans()), |jobs| jobs);
            check("batch", || executor.map_indexed(items, |_| spans()), |jobs| jobs);
        }
        // A worker and the caller run one item each, and wait for each other.
        let started = AtomicUsize::new(0);
        let both = |_: usize, _: &Job<'_>| {
            started.fetch_add(1, SeqCst);
            while started.load(SeqCst) < 2 {
                thread::yield_now();
            }
            Ok::<_, ()>(spans())
        };
        let run = || executor.batch(0..2).concurrent().run(both);
        check("batch", run, |report| report.into_values().unwrap());
        let nested = |_| executor.map(0..2, |_| spans());
        check(
            "batch",
            || executor.map([1], nested)[0].remove(1),
            |mut inner| {
                assert_eq!(inner.remove(0), "batch");
                vec![inner]
            },
        );
    });
}

#[test]
fn jobs_of_streams_and_queues_run_in_the_span_of_their_call() {
    with_timeout(|| {
        let executor = executor(2);
        let all = |stream: reorder_executor::Ordered<'static, Spans>| stream.values().collect();
        check("stream", || executor.stream(0..5000, |_| spans()), all);
        check("stream", || (0..100).ordered_map_in(&executor, |_| spans()), Iterator::collect);
        let job = |_, _: &Job<'_>| Ok::<_, ()>(spans());
        check(
            "stream",
            || executor.batch(0..9).submit(job),
            |handle| handle.unwrap().wait().into_values().unwrap(),
        );
        check(
            "stream",
            || executor.batch(0..9).stream(job).unwrap(),
            |stream| stream.collect::<Result<_, _>>().unwrap(),
        );
        let scoped = || executor.scope(|scope| scope.stream(0..99, |_| spans()).values().collect());
        check("stream", scoped, |jobs| jobs);
        check(
            "queue",
            || executor.queue(|()| spans()).build().unwrap(),
            |(sender, results)| {
                (0..9).for_each(|_| sender.send(()).unwrap());
                drop(sender);
                all(results)
            },
        );
        // Without workers, the consumer runs the items.
        let lonely = executor_without_workers();
        check("stream", || lonely.stream(0..9, |_| spans()), all);
    });
}

/// Returns an executor that was shut down.
fn executor_without_workers() -> Executor {
    let lonely = executor(1);
    _ = lonely.shutdown(reorder_executor::Shutdown::Drain, None);
    lonely
}

#[test]
fn a_sender_that_helps_runs_jobs_in_the_span_of_their_queue() {
    with_timeout(|| {
        let executor = executor(1);
        let (inside, go_on) = (Latch::default(), Latch::default());
        let (signal, latch) = (inside.clone(), go_on.clone());
        let blocked = executor.stream(0..1, move |_| {
            signal.open();
            latch.wait();
        });
        // The only worker is busy, so the thread that writes encodes the blocks.
        inside.wait();
        let run = || {
            let encoded = Arc::new(Mutex::new(Vec::new()));
            let jobs = Arc::clone(&encoded);
            let mut writer = OrderedWriter::new(&executor, std::io::sink(), 1, move |_, _| {
                jobs.lock().unwrap().push(spans());
                Ok(())
            });
            std::io::Write::write_all(&mut writer, &[0; 9]).unwrap();
            writer.finish().unwrap();
            encoded
        };
        check("queue", run, |encoded| std::mem::take(&mut encoded.lock().unwrap()));
        go_on.open();
        drop(blocked);
    });
}

#[test]
fn futures_of_a_stream_run_in_its_span() {
    with_timeout(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let tokio = runtime.handle().clone();
        let spawner = move |task| _ = tokio.spawn(task);
        let source = stream::iter(0..9).map(|_| spans());
        let job = |of_source| {
            let of_job = spans();
            async move {
                tokio::task::yield_now().await;
                [of_source, of_job, spans()]
            }
        };
        check(
            "map_ordered",
            || source.map_ordered(spawner, 4, job),
            |results| {
                let results: Vec<_> = block_on(Box::pin(results.collect()));
                results.into_iter().flat_map(Result::unwrap).collect()
            },
        );
    });
}

#[test]
fn without_a_span_of_the_call_jobs_run_in_the_span_of_the_caller() {
    with_timeout(|| {
        let executor = executor(2);
        QUIET.set(true);
        recorder();
        let user = tracing::info_span!("user");
        let stream = user.in_scope(|| executor.stream(0..100, |_| spans()));
        assert!(stream.values().all(|job| job == ["user"]));
        QUIET.set(false);
    });
}

/// Returns the events with this message and this number of a call.
fn events(message: &str, call: u64) -> Vec<HashMap<String, String>> {
    let events = recorder().events.lock().unwrap();
    let call = call.to_string();
    let wanted = |event: &&HashMap<String, String>| {
        event.get("message").is_some_and(|it| it == message) && event.get("call") == Some(&call)
    };
    events.iter().filter(wanted).cloned().collect()
}

fn number(event: &HashMap<String, String>, field: &str) -> u64 {
    event[field].parse().unwrap()
}

#[test]
fn the_progress_is_told_at_a_bounded_rate_and_at_the_end() {
    with_timeout(|| {
        recorder();
        // The numbers of calls of this executor are those of no other test.
        let executor = executor(1);
        (0..1000).for_each(|_| drop(executor.stream(0..0, |n| n)));
        let before = Instant::now();
        let batch = executor.batch(0_u64..).window(NonZeroUsize::new(8).unwrap());
        let mut stream = batch
            .stream(|n, _| {
                thread::sleep(Duration::from_millis(1));
                if n % 3 == 0 { Err(n) } else { Ok(n) }
            })
            .unwrap();
        let call = stream.id().unwrap();
        let (mut taken, mut failed) = (0, 0);
        while events("progress", call).len() < 2 {
            taken += 1;
            failed += u64::from(stream.next().unwrap().is_err());
        }
        assert!(stream.progress().failed() >= failed);
        drop(stream);
        let elapsed = before.elapsed();
        let told = events("progress", call);
        // Each event stands for a second of its own.
        assert!(Duration::from_secs(told.len() as u64) <= elapsed, "{told:?} in {elapsed:?}");
        let closed = events("closed", call);
        assert_eq!(closed.len(), 1);
        for event in told.iter().chain(&closed) {
            let [pulled, finished, failed, delivered] =
                ["pulled", "finished", "failed", "delivered"].map(|field| number(event, field));
            assert!(delivered <= finished && finished <= pulled && pulled <= delivered + 8 + 1);
            assert!(failed <= finished && delivered <= taken);
        }
        assert_eq!(number(&closed[0], "delivered"), taken);
        assert!(number(&closed[0], "failed") >= failed);
    });
}
