//! The executor makes a call on a thread that has a subscriber of its own. It tells that subscriber
//! all about the call, and tells nothing to the subscriber of the process.
//!
//! The tests of a file share the subscriber of the process, so this test has a file of its own.

mod common;

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Latch, executor, with_timeout};
use reorder_executor::Shutdown;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps what a subscriber was told.
#[derive(Default)]
struct Told {
    spans: HashSet<u64>,
    /// The messages of the events.
    events: Vec<String>,
    /// The number of events without a parent.
    roots: usize,
    /// The names of the spans, and the names of their parents.
    names: Vec<(&'static str, Option<u64>)>,
    /// The number of identifiers that the subscriber did not give.
    foreign: usize,
    /// The recorded numbers of calls.
    calls: Vec<String>,
}

/// A subscriber whose identifiers begin at `first`.
#[derive(Clone)]
struct Recorder {
    next: Arc<AtomicU64>,
    told: Arc<Mutex<Told>>,
}

impl Recorder {
    fn new(first: u64) -> Recorder {
        Recorder { next: Arc::new(AtomicU64::new(first)), told: Arc::default() }
    }

    fn check(&self, id: &Id) {
        let mut told = self.told.lock().unwrap();
        told.foreign += usize::from(!told.spans.contains(&id.into_u64()));
    }
}

struct Text<'a>(&'a str, &'a mut Vec<String>);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == self.0 {
            self.1.push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("reorder_executor")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        if let Some(parent) = span.parent() {
            self.check(parent);
        }
        let id = self.next.fetch_add(1, SeqCst);
        let mut told = self.told.lock().unwrap();
        told.spans.insert(id);
        told.names.push((span.metadata().name(), span.parent().map(Id::into_u64)));
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.check(id);
        values.record(&mut Text("call", &mut self.told.lock().unwrap().calls));
    }

    fn record_follows_from(&self, id: &Id, _: &Id) {
        self.check(id);
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(parent) = event.parent() {
            self.check(parent);
        }
        let mut told = self.told.lock().unwrap();
        told.roots += usize::from(event.parent().is_none());
        event.record(&mut Text("message", &mut told.events));
    }

    fn enter(&self, id: &Id) {
        self.check(id);
    }

    fn exit(&self, id: &Id) {
        self.check(id);
    }
}

#[test]
fn a_call_is_told_to_the_subscriber_of_its_span_alone() {
    let of_process = Recorder::new(1);
    tracing::subscriber::set_global_default(of_process.clone()).unwrap();
    let of_caller = Recorder::new(1 << 32);
    let subscriber = of_caller.clone();
    with_timeout(|| {
        let executor = executor(2);
        tracing::subscriber::with_default(subscriber, || {
            let slow = |n: usize| {
                std::thread::sleep(Duration::from_millis(1));
                n
            };
            assert_eq!(executor.map(0..10_usize, slow).len(), 10);
            // The source says at least 0 items, so the executor collects it, in the same span.
            assert_eq!(executor.map((0..10_usize).filter(|n| n % 2 == 0), slow).len(), 5);
            assert_eq!(executor.stream(0..10_usize, slow).count(), 10);
            // A worker runs it, while the caller waits.
            let handle = executor.batch(0..10_usize).submit(move |n, _| Ok::<_, ()>(slow(n)));
            assert_eq!(handle.unwrap().wait().into_outcomes().len(), 10);
            // The consumer gives its item up.
            let latch = Latch::default();
            let inside = latch.clone();
            let batch = executor.batch(0..1).item_timeout(Duration::from_millis(10));
            let handle = batch.submit(move |_, _| {
                inside.wait();
                Ok::<_, ()>(())
            });
            assert_eq!(handle.unwrap().wait().failures().count(), 1);
            latch.open();
            // The job of a stream ends a while after the stream was dropped.
            let (inside, go_on) = (Latch::default(), Latch::default());
            let (signal, latch) = (inside.clone(), go_on.clone());
            let stream = executor.stream(0..1, move |_| {
                signal.open();
                latch.wait();
            });
            inside.wait();
            drop(stream);
            std::thread::sleep(Duration::from_millis(1100));
            go_on.open();
        });
        assert!(executor.shutdown(Shutdown::Drain, None).is_complete());
    });
    let (caller, process) = (of_caller.told.lock().unwrap(), of_process.told.lock().unwrap());
    assert_eq!((caller.foreign, process.foreign), (0, 0));
    // It is about no call, and has no span.
    assert_eq!(process.events, ["shut down, with so many left"]);
    assert_eq!((caller.roots, process.roots), (0, 1));
    let spans = |name| caller.names.iter().filter(|&&(other, _)| other == name).count();
    assert_eq!((spans("batch"), spans("stream")), (2, 4));
    assert!(spans("time_slice") > 0);
    let slices = caller.names.iter().filter(|&&(name, _)| name == "time_slice");
    assert!(slices.clone().all(|(_, parent)| parent.is_some()));
    // No progress is sent after the end of a call.
    assert_eq!(caller.events.last().map(String::as_str), Some("closed"));
    for (message, count) in [("opened", 6), ("gave up", 1), ("closed", 6)] {
        assert_eq!(caller.events.iter().filter(|event| *event == message).count(), count);
    }
    assert_eq!(caller.calls, ["1", "2", "3", "4", "5", "6"]);
}
