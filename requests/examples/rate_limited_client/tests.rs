//! A small run of each approach. The tests do not check the speed.

use std::slice;

use clap::Parser;

use crate::args::Args;
use crate::batch::{Approach, Run};
use crate::naive::Naive;
use crate::server::{Server, peak};
use crate::{conclusion, table};

#[test]
fn every_batch_is_complete_and_in_order() {
    let args = Args::parse_from(["rate_limited_client", "--items", "40", "--batches", "2"]);
    let naive = Naive::new(&Server::start().unwrap(), &args);
    let mut printed = naive.to_string();
    for approach in [Approach::Paced, Approach::Unpaced, Approach::Futures] {
        let server = Server::start().unwrap();
        let mut run = Run::new(&server, &args, approach);
        assert!(run.batches.iter().all(|batch| batch.is_complete(40)), "{approach:?}");
        // Only the first batch has time-outs.
        assert_eq!(run.batches[1].given_up, 0);
        assert_eq!(run.batches[1].failed, 1, "the server has no content for one item");
        let attempts: u64 = run.batches.iter().map(|batch| batch.stats.attempts).sum();
        assert!(run.received.len() as u64 <= attempts, "the server received too many requests");
        assert!((1..=run.received.len()).contains(&peak(&run.received)));
        assert!(run.batches.iter().all(|batch| batch.stats.capacity_retries > 0));
        printed += &table::of(&run);
        // The peak is not certain on a busy machine, which may delay requests to the same instant.
        let is_correct = run.is_correct();
        let line = conclusion::of(&naive, slice::from_ref(&run));
        assert_eq!(line.contains(": in order, "), is_correct, "{line}");
        if approach == Approach::Futures {
            printed += &line;
        }
        run.batches[0].misplaced = 1;
        assert!(conclusion::of(&naive, &[run]).contains("WRONG: "));
    }
    for line in printed.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_arguments_are_declared_without_conflicts() {
    use clap::CommandFactory;
    Args::command().debug_assert();
    assert!(Args::try_parse_from(["rate_limited_client", "--batches", "0"]).is_err());
}
