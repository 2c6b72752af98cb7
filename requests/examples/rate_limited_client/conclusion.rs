//! Compares the runs in one line.

use crate::naive::Naive;
use crate::run::Run;
use crate::server::REFUSED;

/// Returns the conclusion from the runs, the last of which has the best approach.
pub(crate) fn of(naive: &Naive, runs: &[Run]) -> String {
    if let Some(run) = runs.iter().find(|run| !run.is_correct()) {
        let problem = if run.is_complete() {
            "exceeded a limit of the server"
        } else {
            "returned a batch that is incomplete or out of order"
        };
        return format!("\nconclusion: WRONG: {} {problem}", run.approach);
    }
    let best = runs.last().expect("there is a run");
    format!(
        "\nconclusion: {}: {:.1} times as fast as the naive pool, {} refused instead of {}",
        best.approach,
        naive.time.as_secs_f64() / best.time.as_secs_f64().max(1e-9),
        best.count(REFUSED),
        naive.refused
    )
}
