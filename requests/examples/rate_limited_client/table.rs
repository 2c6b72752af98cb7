//! The table of a run.

use std::fmt::Write as _;

use crate::batch::{Approach, Batch, Run};
use crate::server::{LIMIT, NO_ANSWER, REFUSED, peak};

/// Returns the table, of at most 100 columns.
pub(crate) fn of(run: &Run) -> String {
    let mut table = format!("\n{}: {:.1?}\n", run.approach, run.time);
    table.push_str(
        "  batch  in order  done  failed  given up  attempts  retries  late  pace, s  closed, s  \
         per s\n",
    );
    run.batches.iter().for_each(|batch| table.push_str(&row(run, batch)));
    let (requests, peak) = (run.received.len(), peak(&run.received));
    _ = writeln!(
        table,
        "  the server received {requests} requests, at most {peak} in {:?}\n  \
         {} exceeded its limit, {} got 503, {} got no answer",
        LIMIT.within,
        run.count(REFUSED),
        run.count(503),
        run.count(NO_ANSWER)
    );
    if run.approach != Approach::Futures {
        let all = run.time * run.workers.into();
        _ = writeln!(
            table,
            "  retries waited for {:.1?} in total; {} workers spent {:.1?} of {all:.1?} \
             in requests",
            run.waited, run.workers, run.busy
        );
    }
    table
}

fn row(run: &Run, batch: &Batch) -> String {
    let in_order = if batch.is_complete(run.items) { "yes" } else { "NO" };
    let of_batch = run.received.iter().filter(|request| request.batch == batch.number);
    let times = of_batch.map(|request| request.at);
    let span = times.clone().min().zip(times.clone().max());
    let span = span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    let stats = &batch.stats;
    let service = stats.waited_for_quota + stats.waited_for_closing + stats.waited_for_in_flight;
    format!(
        "  {:>5}  {in_order:>8}  {:>4}  {:>6}  {:>8}  {:>8}  {:>7}  {:>4}  {:>7.2}  {:>9.2}  \
         {:>5.1}\n",
        batch.number,
        batch.done,
        batch.failed,
        batch.given_up,
        stats.attempts,
        stats.capacity_retries,
        batch.late,
        stats.waited_for_pace.as_secs_f64(),
        service.as_secs_f64(),
        times.count() as f64 / span.max(0.001)
    )
}
