//! A ticket is completed twice, and its slot moves on to the next position in between. The late
//! completion is refused, and never reaches the next position.

use std::sync::Arc;

use loom::thread;
use loom_tests::{Tokens, explore};

use super::ring;

#[test]
fn duplicate_across_reuse() {
    explore("duplicate_across_reuse", Some(4), 3000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let completers = ["first", "second"].map(|name| {
            let (ring, value) = (Arc::clone(&ring), tokens.make(name));
            thread::spawn(move || ring.complete(ticket, value).is_ok().then_some(name))
        });
        let delivered = consumer.next().unwrap().unwrap().outcome.unwrap().name;

        let next = producer.reserve().unwrap();
        ring.complete(next, tokens.make("next")).expect("the next position takes its own value");
        let delivery = consumer.try_next().unwrap();
        assert_eq!((delivery.index, delivery.outcome.unwrap().name), (1, "next"));

        let winners = completers.map(|completer| completer.join().unwrap());
        assert_eq!(winners.iter().flatten().collect::<Vec<_>>(), [&delivered]);
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}
