//! A source whose next item waits for room in a budget, or has not come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;

#[test]
fn a_source_that_waits_is_pulled_when_it_may_have_an_item() {
    let has_item = Arc::new(AtomicBool::new(false));
    let check = Arc::clone(&has_item);
    let simulation = Simulation::new(Retry::new(), &limiter(0, None), 2, 8, Vec::new());
    let now = simulation.zero;
    let mut dispatcher = simulation.dispatcher.with_source_check(move || check.load(Relaxed));
    let rest = Decision::Rest { at: None, turn: None };
    assert!(matches!(dispatcher.take_action(now, 0), Some(Action::Pull(()))));
    has_item.store(true, Relaxed);
    assert_eq!(dispatcher.decide(now, 0), rest, "a thread has the source");
    has_item.store(false, Relaxed);
    assert!(dispatcher.give_back_waiting(()).is_none());
    assert_eq!(dispatcher.decide(now, 0), rest, "there is no item");
    has_item.store(true, Relaxed);
    assert!(matches!(dispatcher.take_action(now, 0), Some(Action::Pull(()))));
    has_item.store(false, Relaxed);
    assert!(dispatcher.give_back(()).is_none());
    assert!(matches!(dispatcher.take_action(now, 0), Some(Action::Pull(()))));
    // The next item has to wait again.
    assert!(dispatcher.give_back_waiting(()).is_none());
    assert_eq!(dispatcher.decide(now, 0), rest);
    let (source, waiting) = dispatcher.close(now);
    assert!(source.is_some() && waiting.is_empty(), "the thread that closes drops the source");
    assert!(dispatcher.give_back_waiting(()).is_some());
}
