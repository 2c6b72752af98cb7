//! One access at a time can be weakened in a model, so that `ci/orderings.sh` sees whether it notices. An
//! access is named by its place in the source, and the labels stay in the notes.

use std::collections::HashSet;
use std::format;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;
use std::string::String;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// `FILE:LINE:PART` of the access to weaken, if there is one. A part is a half of an order, a refused
/// compare-and-swap, or a fence.
fn mutant() -> Option<&'static str> {
    static MUTANT: OnceLock<Option<String>> = OnceLock::new();
    MUTANT.get_or_init(|| std::env::var("REORDER_WEAKEN").ok()).as_deref()
}

/// Whether this part of the access is to be weakened. Tells of it, if it is asked to tell of all.
fn is_weakened(place: &Location<'_>, part: &str) -> bool {
    static TOLD: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    static LIST: OnceLock<Option<String>> = OnceLock::new();
    let list = LIST.get_or_init(|| std::env::var("REORDER_ORDERINGS").ok());
    if mutant().is_none() && list.is_none() {
        return false;
    }
    let name = format!("{}:{}:{part}", place.file(), place.line());
    if let Some(list) = list {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get_or_insert_default().insert(name.clone()) {
            let file = OpenOptions::new().append(true).create(true).open(list);
            writeln!(file.expect("the list can be written"), "{name}").expect("as can a line");
        }
    }
    mutant() == Some(name.as_str())
}

pub(super) fn order(order: Ordering, place: &Location<'_>) -> Ordering {
    let acquires = matches!(order, Acquire | AcqRel | SeqCst) && !is_weakened(place, "acquire");
    let releases = matches!(order, Release | AcqRel | SeqCst) && !is_weakened(place, "release");
    match (acquires, releases) {
        (true, true) => order,
        (true, false) => Acquire,
        (false, true) => Release,
        (false, false) => Relaxed,
    }
}

/// The order of a refused compare-and-swap.
pub(super) fn refused(order: Ordering, place: &Location<'_>) -> Ordering {
    let weak = order == Acquire && is_weakened(place, "refused");
    if weak { Relaxed } else { order }
}

pub(super) fn is_without_its_fence(place: &Location<'_>) -> bool {
    is_weakened(place, "fence")
}
