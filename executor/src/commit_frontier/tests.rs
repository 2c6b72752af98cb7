//! The frontier against a set of done positions.

use std::collections::BTreeSet;

use super::*;

/// Returns the lowest position from `first` that is not in the set, and the ranges behind it.
fn reference(first: u64, done: &BTreeSet<u64>) -> (u64, Vec<RangeInclusive<u64>>) {
    let frontier = (first..).find(|position| !done.contains(position)).expect("a free one");
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for &position in done.range(frontier..) {
        match ranges.last_mut() {
            Some(range) if *range.end() + 1 == position => *range = *range.start()..=position,
            _ => ranges.push(position..=position),
        }
    }
    (frontier, ranges)
}

#[test]
fn random_positions_are_as_in_a_set() {
    for seed in 0..300 {
        let mut state: u64 = seed;
        let first = seed % 7;
        let (mut frontier, mut done) = (CommitFrontier::new(first), BTreeSet::new());
        for _ in 0..60 {
            // An LCG: the crate has no random numbers without its features.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let position = (state >> 33) % 40;
            let before = frontier.position();
            let is_new = position >= first && done.insert(position);
            let (expected, ranges) = reference(first, &done);
            let moved = (before != Some(expected)).then_some(expected);
            let answer = if is_new { Ok(moved) } else { Err(AlreadyDone { position }) };
            assert_eq!(frontier.done(position), answer, "seed {seed}, position {position}");
            assert_eq!(frontier.position(), Some(expected));
            assert_eq!(frontier.ranges().collect::<Vec<_>>(), ranges, "seed {seed}");
        }
    }
}

#[test]
fn the_last_position_ends_the_frontier() {
    let mut frontier = CommitFrontier::new(u64::MAX - 2);
    assert_eq!(frontier.done(u64::MAX), Ok(None));
    assert_eq!(frontier.done(u64::MAX - 2), Ok(Some(u64::MAX - 1)));
    assert_eq!(frontier.done(u64::MAX - 1), Ok(None));
    assert_eq!((frontier.position(), frontier.ranges().len()), (None, 0));
    let refused = Err(AlreadyDone { position: u64::MAX });
    assert_eq!(frontier.done(u64::MAX), refused);
    assert_eq!(frontier.done(0), Err(AlreadyDone { position: 0 }));
}

#[test]
fn a_frontier_that_is_ended_at_once_refuses_all() {
    let mut frontier = CommitFrontier::new(u64::MAX);
    assert_eq!(frontier.done(u64::MAX), Ok(None));
    assert_eq!(frontier.position(), None);
    assert!(frontier.done(u64::MAX).is_err());
}
