//! Prints the table of a run.

use crate::batch::{Approach, Batch, Run};
use crate::server::{LIMIT, NO_ANSWER, peak};

pub(crate) fn print(run: &Run) {
    let approach = match run.approach {
        Approach::Paced => format!("blocking requests, {} workers, paced", run.workers),
        Approach::Throttled => {
            format!("blocking requests, {} workers, throttle only", run.workers)
        }
        Approach::Futures => "futures, paced".to_owned(),
    };
    println!("\n{approach}: {:.1?}", run.time);
    println!(
        "  batch  in order   done  failed  given up  attempts  retries  late results  pace, s  \
         throttle, s  requests/s"
    );
    run.batches.iter().for_each(|batch| row(run, batch));
    let count = |status| run.received.iter().filter(|request| request.status == status).count();
    println!(
        "  the server received {} requests, at most {} in {:?}; {} exceeded its limit, {} got 503, \
         {} got no answer",
        run.received.len(),
        peak(&run.received),
        LIMIT.within,
        count(429),
        count(503),
        count(NO_ANSWER)
    );
    if run.approach != Approach::Futures {
        let all = run.time * run.workers.into();
        println!(
            "  retries waited for {:.1?} in total; the workers spent {:.1?} of {all:.1?} in \
             requests",
            run.waited, run.busy
        );
    }
}

fn row(run: &Run, batch: &Batch) {
    let in_order = if batch.is_complete(run.items) { "yes" } else { "NO" };
    let of_batch = run.received.iter().filter(|request| request.batch == batch.number);
    let times = of_batch.map(|request| request.at);
    let span = times.clone().min().zip(times.clone().max());
    let span = span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    let stats = &batch.stats;
    println!(
        "  {:>5}  {in_order:>8}  {:>5}  {:>6}  {:>8}  {:>8}  {:>7}  {:>12}  {:>7.2}  {:>11.2}  \
         {:>10.1}",
        batch.number,
        batch.done,
        batch.failed,
        batch.given_up,
        stats.attempts,
        stats.capacity_retries,
        batch.late,
        stats.waited_for_pace.as_secs_f64(),
        stats.waited_for_throttle.as_secs_f64(),
        times.count() as f64 / span.max(0.001)
    );
}
