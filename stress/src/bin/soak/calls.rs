//! Calls of one executor from many threads at once. Each result says for whom it is, and is counted; some
//! jobs panic, as do some sources, and some results when they are dropped.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use reorder_executor::{Executor, Failure, Ordered};
use reorder_stress::Random;

const CALLS: u64 = 120;

/// How many results there are that nobody has dropped.
static ALIVE: AtomicU64 = AtomicU64::new(0);

/// For when nobody calls.
pub(crate) fn assert_nothing_is_left() {
    assert_eq!(ALIVE.load(SeqCst), 0, "results were lost");
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

/// A call, and an index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    call: u64,
    index: usize,
}

impl Name {
    /// A number that repeats, and that no neighbour has.
    fn mark(self, bound: usize) -> usize {
        Random::new(self.call << 20 ^ self.index as u64).below(bound)
    }

    fn job_panics(self) -> bool {
        self.mark(64) == 0
    }

    /// A few nanoseconds, mostly; sometimes a turn for others, or a sleep.
    fn work(self) {
        match self.mark(1000) {
            0 => thread::sleep(Duration::from_micros(100)),
            1..20 => thread::yield_now(),
            _ => {}
        }
    }
}

/// What a job returns.
struct Value {
    name: Name,
    taken: bool,
}

impl Value {
    fn new(name: Name) -> Value {
        ALIVE.fetch_add(1, SeqCst);
        Value { name, taken: false }
    }

    fn take(mut self) -> Name {
        self.taken = true;
        self.name
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, SeqCst);
        if !self.taken && self.name.mark(16) == 0 && !thread::panicking() {
            resume_unwind(Box::new("a fragile result"));
        }
    }
}

/// The job of an index, which may panic with its name.
fn job(name: Name) -> Value {
    name.work();
    if name.job_panics() {
        resume_unwind(Box::new(name));
    }
    Value::new(name)
}

pub(crate) fn run(executor: &Executor, seed: u64) -> Calls {
    let mut caller = Caller { executor, random: Random::new(seed), met: Calls::default() };
    for call in seed * CALLS..(seed + 1) * CALLS {
        caller.call(call);
        caller.met.calls += 1;
    }
    caller.met
}

struct Caller<'e> {
    executor: &'e Executor,
    random: Random,
    met: Calls,
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
            Name { call, index }.work();
            index
        });
        assert!(indices.into_iter().eq(0..items), "call {call}");
        self.met.results += items as u64;
    }

    fn map_in_map(&mut self, call: u64, items: usize) {
        let executor = self.executor;
        let sums = executor.map_indexed(items, |index| {
            executor.map(0..index, |inner| Name { call, index: inner }.work()).len()
        });
        assert!(sums.into_iter().eq(0..items), "call {call}");
        self.met.nested += items as u64;
    }

    fn batch(&mut self, call: u64, items: usize) {
        let report = self.executor.execute_batch(0..items, |index| job(Name { call, index }));
        let outcomes = report.into_outcomes();
        assert_eq!(outcomes.len(), items);
        for (index, outcome) in outcomes.into_iter().enumerate() {
            self.check(Name { call, index }, outcome);
        }
    }

    /// A result of this very item, or the panic of it.
    fn check(&mut self, name: Name, outcome: Result<Value, Failure>) {
        let found = match outcome {
            Ok(value) => {
                self.met.results += 1;
                assert!(!name.job_panics(), "{name:?}");
                value.take()
            }
            Err(Failure::Panicked(panic)) => {
                self.met.panicked += 1;
                *panic.into_payload().downcast().expect("the name is the payload")
            }
            Err(failure) => panic!("{name:?}: {failure}"),
        };
        assert_eq!(found, name);
    }

    /// The panic of a source is the caller's, and what was mapped before is dropped.
    fn broken_source(&mut self, call: u64, items: usize) {
        let source = (0..=items).inspect(|&index| {
            if index == items {
                resume_unwind(Box::new(call));
            }
        });
        let made = |index| {
            let mut value = Value::new(Name { call, index });
            value.taken = true;
            value
        };
        let caught = catch_unwind(AssertUnwindSafe(|| self.executor.map(source, made)));
        let payload = caught.err().expect("the source has panicked");
        assert_eq!(*payload.downcast::<u64>().expect("the call is the payload"), call);
        self.met.broken_sources += 1;
    }

    fn stream(&mut self, call: u64, items: usize, most: usize) {
        let stream = self.executor.stream(0..items, move |index| job(Name { call, index }));
        self.take(call, items, most, stream);
    }

    fn stream_in_scope(&mut self, call: u64, items: usize) {
        let borrowed = call;
        let most = self.random.below(2 * items + 1);
        let executor = self.executor;
        executor.scope(|scope| {
            let call = &borrowed;
            let stream = scope.stream(0..items, |index| job(Name { call: *call, index }));
            self.take(*call, items, most, stream);
        });
    }

    /// Takes so many, then drops the rest.
    fn take(&mut self, call: u64, items: usize, most: usize, mut stream: Ordered<'_, Value>) {
        for index in 0..items.min(most) {
            let outcome = stream.next().expect("there are more");
            self.check(Name { call, index }, outcome);
        }
        if most > items {
            assert!(stream.next().is_none(), "call {call}");
            return;
        }
        self.met.streams_dropped += 1;
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(stream)));
        self.met.drops_panicked += u64::from(dropped.is_err());
    }
}
