//! Calls of one executor from many threads at the same time.
//!
//! Each result carries its call and its index, and is counted. Some jobs panic, some sources panic,
//! and so do the drops of some results.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use reorder_executor::{Executor, Failure, Ordered};
use reorder_stress::{Counted, ItemId, Random};

const CALLS: u64 = 120;

/// Panics if there are results. No call may be running.
pub(crate) fn assert_no_results_left() {
    assert_eq!(Counted::alive(), 0, "results were lost");
}

#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: u64,
    results: u64,
    panicked: u64,
    streams_dropped: u64,
    nested: u64,
    broken_sources: u64,
    drops_panicked: u64,
}

impl Calls {
    pub(crate) fn add(&mut self, other: &Calls) {
        let Calls {
            calls,
            results,
            panicked,
            streams_dropped,
            nested,
            broken_sources,
            drops_panicked,
        } = other;
        self.calls += calls;
        self.results += results;
        self.panicked += panicked;
        self.streams_dropped += streams_dropped;
        self.nested += nested;
        self.broken_sources += broken_sources;
        self.drops_panicked += drops_panicked;
    }

    pub(crate) fn assert_all(&self) {
        let Calls {
            results,
            panicked,
            streams_dropped,
            nested,
            broken_sources,
            drops_panicked,
            ..
        } = *self;
        let all = [results, panicked, streams_dropped, nested, broken_sources, drops_panicked];
        assert!(all.iter().all(|&count| count > 0), "{self:?}");
    }
}

/// The result of a job. The drop of some results panics, unless they were taken.
struct Value {
    counted: Counted,
    taken: bool,
}

impl Value {
    fn new(id: ItemId) -> Value {
        Value { counted: Counted::new(id), taken: false }
    }

    fn take(mut self) -> ItemId {
        self.taken = true;
        self.counted.id()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if !self.taken && self.counted.id().random(16) == 0 && !thread::panicking() {
            resume_unwind(Box::new("the drop of a result panics"));
        }
    }
}

/// Runs the job of an item. Some jobs panic, with their item's identity as the payload.
fn job(id: ItemId) -> Value {
    id.work();
    if id.job_panics() {
        resume_unwind(Box::new(id));
    }
    Value::new(id)
}

pub(crate) fn run(executor: &Executor, seed: u64) -> Calls {
    let mut caller = Caller { executor, random: Random::new(seed), counts: Calls::default() };
    for call in seed * CALLS..(seed + 1) * CALLS {
        caller.call(call);
        caller.counts.calls += 1;
    }
    caller.counts
}

struct Caller<'e> {
    executor: &'e Executor,
    random: Random,
    counts: Calls,
}

impl Caller<'_> {
    fn call(&mut self, call: u64) {
        let items = self.random.below(200);
        match self.random.below(8) {
            0 => self.map(call, items),
            1 => self.map_in_map(call, items / 8),
            2 | 3 => self.batch(call, items),
            4 => self.broken_source(call, items),
            5 => self.stream(call, items, usize::MAX),
            6 => {
                let some = self.random.below(items + 1);
                self.stream(call, items, some);
            }
            _ => self.stream_in_scope(call, items),
        }
    }

    fn map(&mut self, call: u64, items: usize) {
        let indices = self.executor.map(0..items, |index| {
            ItemId { call, index }.work();
            index
        });
        assert!(indices.into_iter().eq(0..items), "call {call}");
        self.counts.results += items as u64;
    }

    fn map_in_map(&mut self, call: u64, items: usize) {
        let executor = self.executor;
        let sums = executor.map_indexed(items, |index| {
            executor.map(0..index, |inner| ItemId { call, index: inner }.work()).len()
        });
        assert!(sums.into_iter().eq(0..items), "call {call}");
        self.counts.nested += items as u64;
    }

    fn batch(&mut self, call: u64, items: usize) {
        let report = self.executor.execute_batch(0..items, |index| job(ItemId { call, index }));
        let outcomes = report.into_outcomes();
        assert_eq!(outcomes.len(), items);
        for (index, outcome) in outcomes.into_iter().enumerate() {
            self.check(ItemId { call, index }, outcome);
        }
    }

    /// Checks that the outcome is the result or the panic of this item.
    fn check(&mut self, id: ItemId, outcome: Result<Value, Failure>) {
        let found = match outcome {
            Ok(value) => {
                self.counts.results += 1;
                assert!(!id.job_panics(), "{id:?}");
                value.take()
            }
            Err(Failure::Panicked(panic)) => {
                self.counts.panicked += 1;
                *panic.into_payload().downcast().expect("the payload is the item's identity")
            }
            Err(failure) => panic!("{id:?}: {failure}"),
        };
        assert_eq!(found, id);
    }

    /// Checks that the caller gets the panic of its source. The executor drops the earlier results.
    fn broken_source(&mut self, call: u64, items: usize) {
        let source = (0..=items).inspect(|&index| {
            if index == items {
                resume_unwind(Box::new(call));
            }
        });
        let job = |index| {
            let mut value = Value::new(ItemId { call, index });
            value.taken = true;
            value
        };
        let caught = catch_unwind(AssertUnwindSafe(|| self.executor.map(source, job)));
        let payload = caught.err().expect("the source has panicked");
        assert_eq!(*payload.downcast::<u64>().expect("the payload is the call"), call);
        self.counts.broken_sources += 1;
    }

    fn stream(&mut self, call: u64, items: usize, most: usize) {
        let stream = self.executor.stream(0..items, move |index| job(ItemId { call, index }));
        self.take(call, items, most, stream);
    }

    fn stream_in_scope(&mut self, call: u64, items: usize) {
        let borrowed = call;
        let most = self.random.below(2 * items + 1);
        let executor = self.executor;
        executor.scope(|scope| {
            let call = &borrowed;
            let stream = scope.stream(0..items, |index| job(ItemId { call: *call, index }));
            self.take(*call, items, most, stream);
        });
    }

    /// Takes up to `most` outcomes, then drops the stream.
    fn take(&mut self, call: u64, items: usize, most: usize, mut stream: Ordered<'_, Value>) {
        for index in 0..items.min(most) {
            let outcome = stream.next().expect("the stream has more items");
            self.check(ItemId { call, index }, outcome);
        }
        if most > items {
            assert!(stream.next().is_none(), "call {call}");
            return;
        }
        self.counts.streams_dropped += 1;
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(stream)));
        self.counts.drops_panicked += u64::from(dropped.is_err());
    }
}
