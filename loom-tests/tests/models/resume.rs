//! A ticket of the predecessor arrives while the resumed ring reserves its position.

use std::sync::Arc;

use loom::thread;
use loom_tests::{PlainFlag, Tokens, explore};
use reorder_ring::{Reason, Ring, TryNextError};

use super::ring;

/// A thread whose ticket is accepted sees what the producer did before the reservation. The ring
/// never delivers a position that it has not reserved.
#[test]
fn ticket_of_the_predecessor() {
    explore("ticket_of_the_predecessor", None, 10, || {
        let (old, tokens) = (ring(2), Tokens::default());
        let late = old.open_owned().unwrap().reserve_many(2).unwrap().get(1).unwrap();
        let ring = Arc::new(Ring::resume(old.id(), 2, 1).unwrap());
        let mut batch = ring.open_owned().unwrap();
        let flag = Arc::new(PlainFlag::default());
        let completing = thread::spawn({
            let (ring, seen, value) = (Arc::clone(&ring), Arc::clone(&flag), tokens.make("late"));
            move || match ring.complete(late, value) {
                Ok(()) => {
                    assert!(seen.is_set());
                    true
                }
                Err(refused) => {
                    // After the reservation, the own value may come first.
                    let expected = [Reason::Unreserved, Reason::Duplicate, Reason::Settled];
                    assert!(expected.contains(&refused.reason), "{refused}");
                    false
                }
            }
        });
        assert_eq!(batch.try_next().err(), Some(TryNextError::Ended));
        flag.set();
        let own = batch.reserve().unwrap();
        let refused = ring.complete(own, tokens.make("own")).err().map(|no| no.reason);
        let name = batch.try_next().map(|next| next.outcome.unwrap().name);
        match (completing.join().unwrap(), refused) {
            (true, Some(Reason::Duplicate)) => {
                // The completer may still have been writing.
                assert!(matches!(name, Ok("late") | Err(TryNextError::Pending)), "{name:?}");
            }
            (false, None) => assert_eq!(name, Ok("own")),
            other => panic!("{other:?}"),
        }
        drop((batch, ring, old));
        tokens.assert_all_gone();
    });
}
