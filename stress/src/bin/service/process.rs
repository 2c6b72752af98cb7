//! The bytes and the threads of this process.

#[path = "../../../../executor/tests/common/counting_bytes.rs"]
mod counting_bytes;

use std::fs;

pub(crate) use counting_bytes::bytes;

/// Returns the number of threads, or 0 if the system does not report it. Leaves out the thread for
/// timers, which the process has once and for all.
pub(crate) fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")));
    names.filter(|name| name.as_ref().is_ok_and(|name| name.trim() != "reorder-timers")).count()
}
