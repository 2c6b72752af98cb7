//! The weakening of one access at a time in a model. `cargo xtask orderings run` checks that the
//! model notices it. Its place in the source identifies the access.

use std::collections::HashSet;
use std::format;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;
use std::string::String;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Returns `FILE:LINE:PART` of the access to weaken, if there is one. The part is a half of an
/// order, a refused compare-and-swap, or a fence.
fn mutant() -> Option<&'static str> {
    static MUTANT: OnceLock<Option<String>> = OnceLock::new();
    MUTANT.get_or_init(|| std::env::var("REORDER_WEAKEN").ok()).as_deref()
}

/// Returns `true` if this part of the access is to be weakened.
///
/// It also adds the part to the list of all parts, if the environment names a file for it.
fn is_weakened(place: &Location<'_>, part: &str) -> bool {
    static LISTED: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    static LIST: OnceLock<Option<String>> = OnceLock::new();
    let list = LIST.get_or_init(|| std::env::var("REORDER_ORDERINGS").ok());
    if mutant().is_none() && list.is_none() {
        return false;
    }
    let name = format!("{}:{}:{part}", place.file(), place.line());
    if let Some(list) = list {
        let mut listed = LISTED.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.get_or_insert_default().insert(name.clone()) {
            let file = OpenOptions::new().append(true).create(true).open(list);
            writeln!(file.expect("the list can be written"), "{name}")
                .expect("a line can be written");
        }
    }
    mutant() == Some(name.as_str())
}

/// Returns the order of an access at this place.
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

/// Returns the order of a refused compare-and-swap at this place.
pub(super) fn refused(order: Ordering, place: &Location<'_>) -> Ordering {
    let weak = order == Acquire && is_weakened(place, "refused");
    if weak { Relaxed } else { order }
}

/// Returns `true` if the fence at this place is left out.
pub(super) fn is_without_its_fence(place: &Location<'_>) -> bool {
    is_weakened(place, "fence")
}
