//! Calls from the destructor of a thread-local value, while the thread exits. Other thread-local
//! values, of the executor and its dependencies, may be gone by then.

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use crate::common::{executor, with_timeout};
use reorder_executor::{Executor, Job};

type Calls = Vec<(&'static str, fn(&Executor) -> u64)>;

/// Runs calls when it is dropped.
struct Flush {
    executor: Executor,
    calls: Calls,
    done: mpsc::Sender<(&'static str, u64)>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        for (name, call) in &self.calls {
            _ = self.done.send((name, call(&self.executor)));
        }
    }
}

thread_local! {
    static FLUSH: RefCell<Option<Flush>> = const { RefCell::new(None) };
}

/// A job that makes other threads take part if the call is not the first of its type.
fn job(n: u64) -> u64 {
    thread::yield_now();
    n
}

fn with_limits(n: u64, _: &Job<'_>) -> Result<u64, ()> {
    Ok(job(n))
}

fn calls() -> Calls {
    vec![
        ("map", |executor| executor.map(0..100, job).into_iter().sum()),
        ("map_indexed", |executor| executor.map_indexed(100, |n| job(n as u64)).into_iter().sum()),
        ("map_init", |executor| {
            executor.map_init(0..100, || 0, |_, n| job(n)).into_iter().sum::<u64>()
        }),
        ("execute_batch", |executor| {
            executor.execute_batch(0..100, job).into_values().unwrap().into_iter().sum()
        }),
        ("run", |executor| {
            let batch = executor.batch(0..100).timed().fail_fast();
            batch.run(with_limits).into_values().unwrap().into_iter().sum()
        }),
        ("submit", |executor| {
            let handle = executor.batch(0..100).submit(with_limits).unwrap();
            handle.wait().into_values().unwrap().into_iter().sum()
        }),
        ("stream", |executor| executor.stream(0..100, job).map(Result::unwrap).sum()),
        ("scope", |executor| {
            executor.scope(|scope| scope.stream(0..100, job).map(Result::unwrap).sum())
        }),
        ("snapshot", |executor| {
            _ = executor.snapshot().to_string();
            4950
        }),
    ]
}

#[test]
fn every_call_works_while_its_thread_exits() {
    with_timeout(|| {
        for warm in [true, false] {
            let (done, results) = mpsc::channel();
            let thread = thread::spawn(move || {
                let flush = Flush { executor: executor(2), calls: calls(), done };
                // The values of `FLUSH` and of the executor are dropped in an order that depends on
                // their first uses.
                if warm {
                    FLUSH.with(|_| ());
                    calls()
                        .iter()
                        .for_each(|(name, call)| assert_eq!(call(&flush.executor), 4950, "{name}"));
                }
                FLUSH.set(Some(flush));
            });
            thread.join().unwrap();
            let results: Vec<_> = results.iter().collect();
            assert_eq!(results.len(), calls().len());
            results.iter().for_each(|(name, sum)| assert_eq!(*sum, 4950, "{name}"));
        }
    });
}
