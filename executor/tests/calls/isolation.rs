//! The bug that this project began with: batches that run at the same time on one executor must
//! not get each other's rows, and must not wait for each other.

use std::collections::BTreeMap;
use std::sync::{Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::Executor;

/// A result that names its caller and its index.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    caller: usize,
    index: usize,
}

type Job<'a> = &'a (dyn Fn(usize) -> Row + Sync);

/// A design that runs a batch and returns its rows in order.
trait Batches: Sync {
    fn execute(&self, count: usize, job: Job<'_>) -> Vec<Row>;
}

impl Batches for Executor {
    fn execute(&self, count: usize, job: Job<'_>) -> Vec<Row> {
        self.execute_batch(0..count, job).into_values().expect("no job fails")
    }
}

/// The design with the bug: one reorder buffer, and one next index, for all batches.
#[derive(Default)]
struct SharedBuffer {
    rows: Mutex<(BTreeMap<usize, Row>, usize)>,
    arrived: Condvar,
}

impl Batches for SharedBuffer {
    fn execute(&self, count: usize, job: Job<'_>) -> Vec<Row> {
        let complete = |index: usize| {
            let row = job(index);
            self.rows.lock().unwrap().0.insert(index, row);
            self.arrived.notify_all();
        };
        thread::scope(|scope| {
            scope.spawn(|| (0..count).step_by(2).for_each(complete));
            scope.spawn(|| (1..count).step_by(2).for_each(complete));
            let mut mine = Vec::new();
            let mut shared = self.rows.lock().unwrap();
            while mine.len() < count {
                let (rows, next) = &mut *shared;
                if let Some(row) = rows.remove(next) {
                    *next += 1;
                    mine.push(row);
                    continue;
                }
                // A batch also stalls, if another batch has taken one of its rows.
                let (guard, timeout) =
                    self.arrived.wait_timeout(shared, Duration::from_millis(500)).unwrap();
                shared = guard;
                if timeout.timed_out() {
                    break;
                }
            }
            mine
        })
    }
}

const ROWS: usize = 200;

/// Returns `true` if every caller gets exactly its own rows in order. All callers are in the middle
/// of a batch at the same time.
fn callers_get_their_own_rows(batches: &dyn Batches, callers: usize) -> bool {
    let all_started = Barrier::new(callers);
    let gets_its_rows = |caller: usize| {
        let rows = batches.execute(ROWS, &|index| {
            if index == 0 {
                all_started.wait();
            }
            // The rows of all callers complete out of order and interleaved.
            if (index + caller) % 7 == 0 {
                thread::sleep(Duration::from_micros(300));
            }
            Row { caller, index }
        });
        rows == (0..ROWS).map(|index| Row { caller, index }).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let calls: Vec<_> =
            (0..callers).map(|caller| scope.spawn(move || gets_its_rows(caller))).collect();
        let own: Vec<bool> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        own.into_iter().all(|own| own)
    })
}

#[test]
fn two_callers_get_their_own_rows() {
    with_timeout(|| assert!(callers_get_their_own_rows(&executor(2), 2)));
}

#[test]
fn eight_callers_get_their_own_rows() {
    with_timeout(|| assert!(callers_get_their_own_rows(&executor(2), 8)));
}

#[test]
fn the_same_check_fails_for_a_shared_buffer() {
    for callers in [2, 8] {
        with_timeout(move || {
            assert!(!callers_get_their_own_rows(&SharedBuffer::default(), callers));
        });
    }
}

#[test]
fn a_batch_finishes_while_another_is_stuck() {
    with_timeout(|| {
        let (executor, latch, all_stuck) = (executor(2), Latch::default(), Barrier::new(4));
        thread::scope(|scope| {
            let stuck = scope.spawn(|| {
                executor.map(0..3, |index| {
                    // Both workers and the caller of this batch wait here.
                    all_stuck.wait();
                    latch.wait();
                    index
                })
            });
            all_stuck.wait();
            assert_eq!(executor.map(0..100, |index| index), (0..100).collect::<Vec<_>>());
            assert!(!stuck.is_finished());
            latch.open();
            assert_eq!(stuck.join().unwrap(), [0, 1, 2]);
        });
    });
}
