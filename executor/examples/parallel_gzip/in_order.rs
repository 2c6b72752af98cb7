//! Runs jobs on a few threads, and delivers the results in the order of the items.

use reorder_executor::{Executor, Outcome};

/// Runs `job` for each item on up to `threads` threads. Calls `deliver` on this thread with each
/// outcome, in the order of the items.
///
/// # Errors
///
/// Fails if the threads cannot start.
pub(crate) fn in_order<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    job: impl Fn(T) -> R + Send + Sync,
    deliver: impl FnMut(Outcome<R>),
) -> Result<(), String> {
    // The workers of the engine deflate blocks, and must not wait for files.
    let executor = Executor::builder().workers(threads).thread_name("file").build();
    let executor = executor.map_err(|error| error.to_string())?;
    executor.scope(|scope| scope.stream(items, job).for_each(deliver));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_outcome_of_its_item() {
        let mut texts = Vec::new();
        let job = |n| if n == 1 { panic!("no such sector") } else { n };
        in_order(vec![0, 1, 2], 2, job, |outcome| {
            texts.push(outcome.map_or_else(|failure| failure.to_string(), |n| n.to_string()));
        })
        .unwrap();
        assert_eq!(texts, ["0", "the job panicked: no such sector", "2"]);
    }
}
