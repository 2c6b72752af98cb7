//! Queues: a sender that waits for room is told of it.

use std::sync::Arc;

use loom::thread;
use loom_tests::explore;
use reorder_executor::model::FullWindow;

/// A sender waits while the consumer takes an outcome. Otherwise it would wait for good.
#[test]
fn a_waiting_sender_is_told_of_room() {
    explore("a_waiting_sender_is_told_of_room", None, 10, || {
        let window = Arc::new(FullWindow::default());
        let sender = {
            let window = Arc::clone(&window);
            thread::spawn(move || window.wait_for_room(1))
        };
        window.take();
        sender.join().unwrap();
    });
}
