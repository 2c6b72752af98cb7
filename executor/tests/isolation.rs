//! The bug that this project began with: batches that run at the same time on one executor must
//! not get each other's rows, and must not wait for each other.

mod common;

use std::collections::BTreeMap;
use std::sync::{Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::{Door, executor, without_hanging};
use reorder_executor::Executor;

/// A result that says whose it is.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    caller: usize,
    index: usize,
}

type Job<'a> = &'a (dyn Fn(usize) -> Row + Sync);

/// What can run a batch and return its rows in order.
trait Batches: Sync {
    fn execute(&self, count: usize, job: Job<'_>) -> Vec<Row>;
}

impl Batches for Executor {
    fn execute(&self, count: usize, job: Job<'_>) -> Vec<Row> {
        self.execute_batch(0..count, job).into_values().expect("no job fails")
    }
}

/// The design that had the bug: one reorder buffer, and one next index, for all batches.
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
                // It also stalls, when another batch took this one's row.
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

/// Whether every caller gets exactly its rows in order, while all of them are in the middle of
/// their batch at once.
fn callers_get_their_own(batches: &dyn Batches, callers: usize) -> bool {
    let all_started = Barrier::new(callers);
    let in_time = |caller: usize| {
        let rows = batches.execute(ROWS, &|index| {
            if index == 0 {
                all_started.wait();
            }
            // Late and early rows of all callers interleave.
            if (index + caller) % 7 == 0 {
                thread::sleep(Duration::from_micros(300));
            }
            Row { caller, index }
        });
        rows == (0..ROWS).map(|index| Row { caller, index }).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let calls: Vec<_> =
            (0..callers).map(|caller| scope.spawn(move || in_time(caller))).collect();
        let own: Vec<bool> = calls.into_iter().map(|call| call.join().unwrap()).collect();
        own.into_iter().all(|own| own)
    })
}

#[test]
fn two_callers_get_their_own_rows() {
    without_hanging(|| assert!(callers_get_their_own(&executor(2), 2)));
}

#[test]
fn eight_callers_get_their_own_rows() {
    without_hanging(|| assert!(callers_get_their_own(&executor(2), 8)));
}

#[test]
fn the_same_test_catches_a_shared_buffer() {
    for callers in [2, 8] {
        without_hanging(move || {
            assert!(!callers_get_their_own(&SharedBuffer::default(), callers));
        });
    }
}

#[test]
fn a_batch_finishes_while_another_is_held_up() {
    without_hanging(|| {
        let (executor, held_up, all_held) = (executor(2), Door::default(), Barrier::new(4));
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                executor.map(0..3, |index| {
                    // Both workers and the caller of this batch are stuck in it.
                    all_held.wait();
                    held_up.pass();
                    index
                })
            });
            all_held.wait();
            assert_eq!(executor.map(0..100, |index| index), (0..100).collect::<Vec<_>>());
            assert!(!slow.is_finished());
            held_up.open();
            assert_eq!(slow.join().unwrap(), [0, 1, 2]);
        });
    });
}
