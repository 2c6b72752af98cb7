//! The table of a run.

use std::fmt::Write as _;

use crate::requests::Approach;
use crate::run::{Batch, Run};
use crate::server::{LIMITS, NO_ANSWER, REFUSED, peak};

/// Returns the table, of at most 100 columns.
pub(crate) fn of(run: &Run) -> String {
    let mut table = format!("\n{}: {:.1?}\n", run.approach, run.time);
    table.push_str(
        " batch  in order  done  failed  given up  attempts  retries  time-outs  hedges  won  \
         quota s  shut s\n",
    );
    run.batches.iter().for_each(|batch| table.push_str(&row(run, batch)));
    let peaks =
        LIMITS.map(|limit| format!("{} in {:?}", peak(&run.received, &limit), limit.within));
    _ = write!(
        table,
        "  the server received {} requests, at most {}: {} exceeded a limit,\n  \
         {} got 503, {} got no answer; an outcome waited {:.0?} for other items on average",
        run.received.len(),
        peaks.join(" and "),
        run.count(REFUSED),
        run.count(503),
        run.count(NO_ANSWER),
        run.mean_wait()
    );
    table
}

fn row(run: &Run, batch: &Batch) -> String {
    let in_order = match (batch.is_complete(run.items), run.approach) {
        (false, _) => "NO",
        (true, Approach::ByKey) => "by key",
        (true, _) => "yes",
    };
    let stats = &batch.stats;
    format!(
        " {:>5}  {in_order:>8}  {:>4}  {:>6}  {:>8}  {:>8}  {:>7}  {:>9}  {:>6}  {:>3}  {:>7.2}  \
         {:>6.2}\n",
        batch.number,
        batch.done,
        batch.failed,
        batch.given_up,
        stats.attempts,
        stats.capacity_retries,
        stats.timed_out,
        stats.hedges,
        stats.hedges_won,
        stats.waited_for_quota.as_secs_f64(),
        stats.waited_for_closing.as_secs_f64()
    )
}
