//! A small run of each kind. Nothing is said of its speed.

use clap::Parser;

use crate::args::Args;
use crate::batch::{Approach, Fleet};
use crate::server::{Server, busiest};

#[test]
fn every_batch_comes_complete_and_in_order() {
    let args = Args::parse_from(["rate_limited_client", "--items", "40", "--batches", "2"]);
    for approach in [Approach::Paced, Approach::Throttled, Approach::Futures] {
        let server = Server::start().unwrap();
        let fleet = Fleet::run(&server, &args, approach);
        assert!(fleet.batches.iter().all(|batch| batch.is_whole(40)), "{approach:?}");
        // The first has deadlines.
        assert_eq!(fleet.batches[1].given_up, 0);
        assert_eq!(fleet.batches[1].failed, 1, "one is missing for good");
        let attempts: u64 = fleet.batches.iter().map(|batch| batch.stats.attempts).sum();
        assert!(fleet.seen.len() as u64 <= attempts, "the server has counted, too");
        assert!((1..=fleet.seen.len()).contains(&busiest(&fleet.seen)));
        assert!(fleet.batches.iter().all(|batch| batch.stats.capacity_retries > 0));
    }
}

#[test]
fn arguments_are_what_clap_takes_them_for() {
    use clap::CommandFactory;
    Args::command().debug_assert();
    assert!(Args::try_parse_from(["rate_limited_client", "--batches", "0"]).is_err());
}
