//! Running a model over its interleavings, and proving that it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Explores every interleaving of `model` with at most `bound` preemptions; `None` is all of them.
///
/// `LOOM_MAX_PREEMPTIONS` overrides the bound. Prints how many executions were completed.
///
/// # Panics
///
/// As the model does in any execution; if fewer than `floor` executions were completed under the
/// model's own bound: a model that stops being explored must not look like one that passes.
pub fn explore(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    model: impl Fn() + Sync + Send + 'static,
) {
    let mut builder = loom::model::Builder::new();
    // Either of these would end the search early and call it a success.
    builder.max_permutations = None;
    builder.max_duration = None;
    // One is for a quick look. More is for a longer one, and no model is to be explored less than without it.
    let told = builder.preemption_bound;
    builder.preemption_bound = match (bound, told) {
        (None, Some(told)) if told > 1 => None,
        (Some(own), Some(told)) if told > 1 => Some(own.max(told)),
        (own, told) => told.or(own),
    };
    let bound = builder.preemption_bound;
    let completed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&completed);
    builder.check(move || {
        model();
        count.fetch_add(1, Relaxed);
    });
    let completed = completed.load(Relaxed);
    let bound = bound.map_or("all".into(), |bound| format!("at most {bound}"));
    println!("loom: {name}: {completed} executions, {bound} preemptions");
    assert!(
        told == Some(1) || completed >= floor,
        "{name}: {completed} executions, fewer than {floor}"
    );
}
