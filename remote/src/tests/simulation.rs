//! Random runs of owners, workers and an engine in virtual time, compared with a reference.
//!
//! Everything is an event at an instant: a request reaches the engine, a reply reaches a process, a
//! job ends, a timer ends. Between two events, any process may die, and its requests may
//! still arrive. The engine loses, doubles, delays, swaps, truncates and forges messages, and may
//! forget all of them.
//!
//! | module | contains |
//! |---|---|
//! | `plan` | what happens in a run, made from its seed |
//! | `world` | the events, the processes and the engine |
//! | `owners`, `workers` | the drivers of the machines |
//! | `reference` | what each item must become, and what a sink may see |
//!
//! `REORDER_REMOTE_RUNS` sets the number of runs, and `REORDER_REMOTE_SEED` the first seed.

mod owners;
mod plan;
mod reference;
mod workers;
mod world;

use plan::Plan;
use world::World;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn random_runs_deliver_each_item_once_and_in_order() {
    let first = number("REORDER_REMOTE_SEED", 0);
    let runs = number("REORDER_REMOTE_RUNS", 1000);
    for seed in first..first + runs {
        let result = std::panic::catch_unwind(|| World::new(Plan::random(seed)).run());
        if let Err(panic) = result {
            eprintln!("the run of seed {seed} failed: {:?}", Plan::random(seed));
            std::panic::resume_unwind(panic);
        }
    }
}
