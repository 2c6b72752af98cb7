//! The answers that a run has reached. A property test does not check an answer that it never
//! reaches.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::format;
use std::string::String;
use std::vec::Vec;

#[derive(Default)]
pub(super) struct Coverage(BTreeMap<String, u32>);

/// The answers that a run has to reach, by operation. `Unreserved` of `complete` needs a forged
/// ticket.
const WANTED: [(&str, &str); 14] = [
    ("open", "Ok Leased Orphaned"),
    ("reserve", "Ok Full Cancelled Exhausted"),
    ("reserve_many", "Ok Full TooMany Cancelled Exhausted"),
    ("reserve_through", "Ok Full Cancelled Exhausted"),
    ("permit", "Ok Full Cancelled Exhausted"),
    ("complete", "Ok Foreign Stale Duplicate Evicted Abandoned Settled Unreserved"),
    ("complete_index", "Ok Stale Duplicate Evicted Abandoned Settled Unreserved"),
    ("permit_complete", "Ok Stale Duplicate Evicted Settled"),
    ("evict", "Ok Foreign Stale Duplicate Evicted Abandoned Settled Unreserved"),
    ("evict_index", "Ok Duplicate Evicted Abandoned Settled Unreserved"),
    ("next", "Value Evicted Abandoned Pending Ended Truncated Cancelled"),
    ("ticket_from_bits", "Ok Foreign Unreserved"),
    ("cancel", "true false-again false-stale"),
    ("close", "producer-first consumer-first whole orphaned"),
];

/// The states of the head of line, and the publications of a stopped completer, that it has to
/// reach.
const WANTED_STATES: [(&str, &str); 3] = [
    ("head_of_line", "Unreserved Missing Writing Ready"),
    ("publish", "value gap orphan-value orphan-gap"),
    ("wake", "complete evict abandon finish truncate cancel self publish"),
];

impl Coverage {
    pub(super) fn met(&mut self, operation: &str, answer: &str) {
        *self.0.entry(format!("{operation}: {answer}")).or_default() += 1;
    }

    /// Records the answer of an operation: `Ok`, or the name of the error without its fields.
    pub(super) fn answer<T, E: Debug>(&mut self, operation: &str, answer: &Result<T, E>) {
        match answer {
            Ok(_) => self.met(operation, "Ok"),
            Err(error) => {
                let name = format!("{error:?}");
                self.met(operation, name.split(' ').next().unwrap_or_default());
            }
        }
    }

    pub(super) fn assert_complete(&self) {
        let missed: Vec<_> = WANTED
            .iter()
            .chain(&WANTED_STATES)
            .flat_map(|(operation, answers)| {
                answers.split(' ').map(move |answer| format!("{operation}: {answer}"))
            })
            .filter(|wanted| !self.0.contains_key(wanted))
            .collect();
        assert!(missed.is_empty(), "never met: {missed:?}; met: {:#?}", self.0);
    }
}
