//! The tables.

use crate::batch::{Approach, Batch, Fleet};
use crate::server::{DEAD, LIMIT, busiest};

pub(crate) fn print(fleet: &Fleet) {
    let what = match fleet.approach {
        Approach::Paced => format!("requests that block, {} workers, paced", fleet.workers),
        Approach::Throttled => {
            format!("requests that block, {} workers, throttle alone", fleet.workers)
        }
        Approach::Futures => "requests that are futures, paced".to_owned(),
    };
    println!("\n{what}: {:.1?}", fleet.time);
    println!(
        "  batch  in order   done  failed  given up  attempts  retries  refused late  pace, s  throttle, s  requests/s"
    );
    fleet.batches.iter().for_each(|batch| row(fleet, batch));
    let count = |status| fleet.seen.iter().filter(|seen| seen.status == status).count();
    println!(
        "  the server saw {} requests, at most {} in {:?}; {} were over its limit, {} met 503, {} no answer",
        fleet.seen.len(),
        busiest(&fleet.seen),
        LIMIT.within,
        count(429),
        count(503),
        count(DEAD)
    );
    if fleet.approach != Approach::Futures {
        let all = fleet.time * fleet.workers.into();
        println!(
            "  retries waited for {:.1?} in all; the workers were at requests for {:.1?} of {all:.1?}",
            fleet.waited, fleet.busy
        );
    }
}

fn row(fleet: &Fleet, batch: &Batch) {
    let in_order = if batch.is_whole(fleet.items) { "yes" } else { "NO" };
    let seen = fleet.seen.iter().filter(|seen| seen.batch == batch.name).map(|seen| seen.at);
    let span = seen.clone().min().zip(seen.clone().max());
    let span = span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    let stats = &batch.stats;
    println!(
        "  {:>5}  {in_order:>8}  {:>5}  {:>6}  {:>8}  {:>8}  {:>7}  {:>12}  {:>7.2}  {:>11.2}  {:>10.1}",
        batch.name,
        batch.done,
        batch.failed,
        batch.given_up,
        stats.attempts,
        stats.capacity_retries,
        batch.late,
        stats.waited_for_pace.as_secs_f64(),
        stats.waited_for_throttle.as_secs_f64(),
        seen.count() as f64 / span.max(0.001)
    );
}
