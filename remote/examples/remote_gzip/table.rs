//! The table that the owner prints in the end: a line for each worker, and one for the owner.
//!
//! | column | counts |
//! |---|---|
//! | blocks | the blocks whose result from this worker was accepted |
//! | started | the blocks that the worker has started, if this program has started the worker |
//! | redelivered | tasks that the worker had already, and results that the owner had already |
//! | repeated | accepted blocks that the owner had asked for again |
//! | stale, foreign, duplicate | the refused results of the worker |

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};

use reorder_remote::{AnswerStats, OwnerStats};

use crate::AnyError;

pub(crate) struct Table {
    owner: OwnerStats,
    lines: BTreeMap<u64, Line>,
}

#[derive(Default)]
struct Line {
    answers: AnswerStats,
    /// The blocks that the worker has started, and the tasks that it had already. A worker that
    /// this program has not started has no such numbers here.
    own: Option<(u64, u64)>,
}

impl Table {
    pub(crate) fn new(owner: OwnerStats, workers: BTreeMap<u64, AnswerStats>) -> Table {
        let line = |(id, answers)| (id, Line { answers, own: None });
        Table { owner, lines: workers.into_iter().map(line).collect() }
    }

    /// Adds the numbers that a worker has counted itself.
    pub(crate) fn add_worker(&mut self, id: u32, started: u64, redelivered: u64) {
        self.lines.entry(id.into()).or_default().own = Some((started, redelivered));
    }

    /// Prints the table. The files are complete by now, so the program succeeds without a reader.
    pub(crate) fn print(&self) -> Result<(), AnyError> {
        match write!(io::stdout(), "{self}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>10} {:>8} {:>8} {:>12} {:>9} {:>6} {:>8} {:>10}",
            "worker",
            "blocks",
            "started",
            "redelivered",
            "repeated",
            "stale",
            "foreign",
            "duplicate"
        )?;
        for (id, Line { answers, own }) in &self.lines {
            let started = own.map_or_else(String::new, |(started, _)| started.to_string());
            let redelivered = answers.redelivered + own.map_or(0, |(_, redelivered)| redelivered);
            let AnswerStats { accepted, repeated, refused, .. } = answers;
            writeln!(
                f,
                "{id:>10} {accepted:>8} {started:>8} {redelivered:>12} {repeated:>9} {:>6} {:>8} \
                 {:>10}",
                refused.stale, refused.foreign, refused.duplicate
            )?;
        }
        let OwnerStats { asked, asked_again, refused, .. } = self.owner;
        let refused = refused.total();
        writeln!(f, "owner: {asked} requests, {asked_again} repeated; {refused} results refused")
    }
}
