//! Runs a model over its interleavings, and checks that it was explored.

use std::panic;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Once};

/// The largest number of preemptions of a quick search. Most known bugs show with two.
const QUICK: usize = 2;

/// Explores every interleaving of `model` with at most `bound` preemptions, or all if it is `None`.
///
/// `LOOM_MAX_PREEMPTIONS` overrides the bound. The search stops after `LOOM_MAX_PERMUTATIONS`
/// executions. Prints the number of completed executions, and whether the search was cut. With
/// `REORDER_END_AT_PANIC`, the first panic ends the process: loom may hang when it unwinds.
///
/// # Panics
///
/// Panics if the model panics in any execution. Panics also if fewer than `floor` executions were
/// completed under the model's own bound: a model that is no longer explored must not pass.
pub fn explore(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    model: impl Fn() + Sync + Send + 'static,
) {
    if std::env::var_os("REORDER_END_AT_PANIC").is_some() {
        end_at_panic();
    }
    let mut builder = loom::model::Builder::new();
    // A limit in time would make the coverage depend on the machine.
    builder.max_duration = None;
    // An override of 1 or 2 is for a quick search. A larger one is for a longer search, and never
    // lowers the model's own bound.
    let override_bound = builder.preemption_bound;
    builder.preemption_bound = match (bound, override_bound) {
        (None, Some(larger)) if larger > QUICK => None,
        (Some(own), Some(larger)) if larger > QUICK => Some(own.max(larger)),
        (own, quick) => quick.or(own),
    };
    let is_quick = override_bound.is_some_and(|bound| bound <= QUICK);
    // Some executions of whole calls have more steps than loom allows by itself.
    builder.max_branches = 4000;
    let (bound, limit) = (builder.preemption_bound, builder.max_permutations);
    let completed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&completed);
    builder.check(move || {
        model();
        count.fetch_add(1, Relaxed);
    });
    let completed = completed.load(Relaxed);
    let bound = bound.map_or("all".into(), |bound| format!("at most {bound}"));
    let cut = if limit.is_some_and(|limit| completed + 1 >= limit) { ", cut" } else { "" };
    println!("loom: {name}: {completed} executions{cut}, {bound} preemptions");
    let floor = limit.map_or(floor, |limit| floor.min(limit - 1));
    assert!(is_quick || completed >= floor, "{name}: {completed} executions, fewer than {floor}");
}

/// Lets a panic end the process, after its message.
fn end_at_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            print(info);
            process::exit(101);
        }));
    });
}
