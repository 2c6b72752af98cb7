//! A source whose next item waits for room in a budget.

use super::*;

#[test]
fn a_source_whose_item_finds_no_room_is_pulled_when_there_is_some() {
    let weights = Arc::new(Budget::new(10));
    let simulation = Simulation::new(Retry::new(), &limiter(0, None), 2, 8, Vec::new());
    let now = simulation.zero;
    let mut dispatcher = simulation.dispatcher.with_budget(Some(Arc::clone(&weights)));
    let rest = Decision::Rest { at: None, turn: None };
    assert!(matches!(dispatcher.take_action(now, 0), Some(Action::Pull(()))));
    assert!(weights.admit(8) && !weights.admit(3));
    assert_eq!(dispatcher.decide(now, 0), rest, "a thread has the source");
    assert!(dispatcher.give_back_refused(()).is_none());
    assert_eq!(dispatcher.decide(now, 0), rest, "there is no room");
    weights.set(0, 7);
    assert!(matches!(dispatcher.take_action(now, 0), Some(Action::Pull(()))));
    // The item was admitted, and the next one is refused again.
    assert!(weights.admit(3) && !weights.admit(1));
    assert!(dispatcher.give_back_refused(()).is_none());
    assert_eq!(dispatcher.decide(now, 0), rest);
    let (source, waiting) = dispatcher.close(now);
    assert!(source.is_some() && waiting.is_empty(), "the thread that closes drops the source");
    assert!(dispatcher.give_back_refused(()).is_some());
}
