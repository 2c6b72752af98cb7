//! A small run of the whole program. The tests do not check the speed.

use clap::Parser;
use reorder_requests::RequestStats;

use crate::args::Args;
use crate::requests::Approach;
use crate::run::Run;
use crate::{conclusion, naive, report, server};

#[test]
fn every_batch_is_complete_and_in_order_and_the_last_line_says_so() {
    let args = Args::parse_from(["rate_limited_client", "--items", "40", "--batches", "2"]);
    let mut printed = String::new();
    let mut print = |text: String| printed += &(text + "\n");
    let mut runs = report(&args, &mut print).unwrap();
    for line in printed.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    for run in &runs {
        check(run, &printed);
    }
    let hedged: u64 = runs.iter().map(|run| sum(run, |stats| stats.hedges)).sum();
    assert!(hedged > 0, "the first item without an outcome takes 150 ms or longer");

    let last = printed.lines().last().unwrap();
    // The peak is not certain on a busy machine, which may delay requests to the same instant.
    match runs.iter().all(Run::is_correct) {
        true => assert!(last.starts_with("conclusion: futures with hedges, by key: "), "{last}"),
        false => assert!(last.contains(" exceeded a limit of the server"), "{last}"),
    }
    runs[1].batches[0].misplaced = 1;
    let naive = naive::Naive::new(&server::Server::start().unwrap(), &args);
    assert!(conclusion::of(&naive, &runs).contains("WRONG: "));
}

/// Returns the sum of a number over all batches.
fn sum(run: &Run, of: impl Fn(&RequestStats) -> u64) -> u64 {
    run.batches.iter().map(|batch| of(&batch.stats)).sum()
}

fn check(run: &Run, printed: &str) {
    let approach = run.approach;
    assert!(run.is_complete(), "{approach}");
    assert!(run.received.len() as u64 <= sum(run, |stats| stats.attempts), "{approach}");
    // Two attempts at one item of each batch get no answer.
    assert!(run.batches.iter().all(|batch| batch.stats.timed_out > 0), "{approach}");
    assert!(run.batches.iter().all(|batch| batch.stats.capacity_retries > 0), "{approach}");
    let hedges = sum(run, |stats| stats.hedges);
    assert!(matches!(approach, Approach::Hedged | Approach::ByKey) || hedges == 0);
    assert!(sum(run, |stats| stats.hedges_won) <= hedges, "{approach}");
    // The table has these counts.
    for batch in &run.batches {
        let stats = &batch.stats;
        let of_row = [stats.attempts, stats.capacity_retries, stats.timed_out, stats.hedges];
        let is_row = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let counts = of_row.map(|count| count.to_string());
            words.windows(4).any(|four| four == counts)
        };
        assert!(printed.lines().any(is_row), "{approach}: {of_row:?}");
    }
}

#[test]
fn the_arguments_are_declared_without_conflicts() {
    use clap::CommandFactory;
    Args::command().debug_assert();
    assert!(Args::try_parse_from(["rate_limited_client", "--batches", "0"]).is_err());
}
