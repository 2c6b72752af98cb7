//! The outcomes of a batch: in order, or in order by key.

use std::time::Duration;

use reorder_executor::{Ordered, OrderedByKey, Outcome};
use reorder_requests::RequestStats;

use crate::client::Error;

/// The number of keys. The key of an item is its index modulo this number.
pub(crate) const KEYS: u32 = 8;

pub(crate) enum Outcomes {
    InOrder { outcomes: Ordered<'static, String, Error>, next: u64 },
    ByKey(OrderedByKey<'static, String, Error>),
}

impl Outcomes {
    pub(crate) fn in_order(outcomes: Ordered<'static, String, Error>) -> Outcomes {
        Outcomes::InOrder { outcomes, next: 0 }
    }

    pub(crate) fn by_key(outcomes: OrderedByKey<'static, String, Error>) -> Outcomes {
        Outcomes::ByKey(outcomes)
    }

    /// Returns the next outcome, with the index of its item.
    pub(crate) fn next(&mut self) -> Option<(u64, Outcome<String, Error>)> {
        match self {
            Outcomes::InOrder { outcomes, next } => {
                let outcome = outcomes.next()?;
                *next += 1;
                Some((*next - 1, outcome))
            }
            Outcomes::ByKey(outcomes) => outcomes.next().map(|next| (next.index, next.outcome)),
        }
    }

    /// Returns for how long the last outcome waited for other items.
    pub(crate) fn waited(&self) -> Duration {
        let timing = match self {
            Outcomes::InOrder { outcomes, .. } => outcomes.timing(),
            Outcomes::ByKey(outcomes) => outcomes.timing(),
        };
        timing.expect("the batch is timed").waited()
    }

    pub(crate) fn stats(&self) -> RequestStats {
        let stats = match self {
            Outcomes::InOrder { outcomes, .. } => outcomes.stats(),
            Outcomes::ByKey(outcomes) => outcomes.stats(),
        };
        stats.expect("they are requests")
    }
}
