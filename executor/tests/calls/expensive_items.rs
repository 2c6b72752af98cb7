//! Expensive items among cheap ones: how many items wait behind one, although the items of this
//! call, or of earlier calls, were cheap.

use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{executor, with_timeout};
use reorder_executor::Executor;

type Call = fn(&Executor, usize, &(dyn Fn(usize) + Sync));

/// Calls of the same job, which differ in how they find it.
const CALLS: [Call; 5] = [
    |executor, items, job| _ = executor.map(0..items, job),
    |executor, items, job| _ = executor.map_indexed(items, job),
    |executor, items, job| _ = executor.map_init(0..items, || (), |(), n| job(n)),
    |executor, items, job| _ = executor.execute_batch(0..items, job),
    |executor, items, job| {
        _ = executor.batch(0..items).run(|n, _| {
            job(n);
            Ok::<_, ()>(())
        });
    },
];

/// Blocks each thread that comes until another one is there, too. Then it blocks no more.
#[derive(Default)]
struct Meeting(Mutex<(usize, bool)>, Condvar);

impl Meeting {
    fn meet(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 += 1;
        state.1 |= state.0 == 2;
        self.1.notify_all();
        while !state.1 {
            state = self.1.wait(state).unwrap();
        }
        state.0 -= 1;
    }
}

#[test]
fn items_behind_an_expensive_one_are_as_few_as_ran_cheaply_before() {
    with_timeout(|| {
        let executor = executor(2);
        for call in CALLS {
            for cheap in [0, 1, 2, 3, 5, 16, 40] {
                (0..200).for_each(|_| call(&executor, 64, &|_| ()));
                let meeting = Meeting::default();
                call(&executor, 120, &|n| {
                    if n == cheap {
                        thread::sleep(Duration::from_millis(1));
                    } else if n > 2 * cheap {
                        meeting.meet();
                    }
                });
            }
        }
    });
}

#[test]
fn items_of_a_shared_call_are_claimed_in_small_steps() {
    with_timeout(|| {
        for call in CALLS {
            for round in 0..100 {
                let (executor, meeting) = (executor(1), Meeting::default());
                // Two cheap items, and then more than the next claim may take.
                call(&executor, 6 + round % 5, &|n| {
                    if n > 1 {
                        meeting.meet();
                    }
                });
            }
        }
    });
}

#[test]
fn chunks_of_a_stream_grow_in_small_steps() {
    with_timeout(|| {
        let executor = executor(2);
        for round in 0..200 {
            let meeting = Arc::new(Meeting::default());
            // Two cheap items, and then more than the next chunk may have.
            let job = move |n: u64| {
                if n > 1 {
                    meeting.meet();
                }
            };
            let items = 6 + round % 5;
            let outcomes = match round % 3 {
                0 => executor.stream(0..items, job).count(),
                1 => executor.stream((1..=items).map(|n| n - 1), job).count(),
                _ => executor.scope(|scope| scope.stream(0..items, job).count()),
            };
            assert_eq!(outcomes as u64, items);
        }
    });
}

#[test]
fn items_of_a_concurrent_batch_wait_for_each_other() {
    with_timeout(|| {
        let executor = executor(3);
        for round in 0..200 {
            let waits = |n: u64, barrier: &Barrier| {
                if n > 0 {
                    barrier.wait();
                }
                Ok::<_, ()>(n)
            };
            let barrier = Barrier::new(4);
            // Cheap batches of the same job.
            _ = executor.batch(vec![0; 64]).run(|n, _| waits(n, &barrier));
            let batch = executor.batch(vec![1; 4]).concurrent();
            let batch = if round % 2 == 0 { batch } else { batch.timed() };
            assert!(batch.run(|n, _| waits(n, &barrier)).into_values().is_ok());
        }
    });
}

#[test]
fn items_of_submitted_batches_and_streams_with_limits_wait_for_each_other() {
    with_timeout(|| {
        let executor = executor(3);
        for _ in 0..100 {
            let barrier = Arc::new(Barrier::new(3));
            let job = move |n: u64, _: &reorder_executor::Job<'_>| {
                if n >= 100 {
                    barrier.wait();
                }
                Ok::<_, ()>(n)
            };
            let handle = executor.batch(0..103).submit(job.clone()).unwrap();
            assert!(handle.wait().into_values().is_ok());
            let stream = executor.batch(0..103).stream(job).unwrap();
            assert_eq!(stream.filter(Result::is_ok).count(), 103);
        }
    });
}
