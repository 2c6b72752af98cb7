//! Handles the messages of a queue in parallel, and commits their offsets in order.
//!
//! ```sh
//! cargo run -p reorder-executor --example ordered_commits
//! ```

use std::error::Error;
use std::thread;

use reorder_executor::{Executor, Failure};

/// The offset of the first message.
const FIRST: u64 = 1000;

struct Message {
    body: String,
}

/// Handles a message. Messages whose body is no number are not handled.
fn handle(message: &Message) -> Result<u64, String> {
    message.body.parse::<u64>().map_err(|error| format!("{:?}: {error}", message.body))
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).build()?;
    // At most 66 messages were received and are not committed: 64 in the window, one in `send`, and
    // one whose result was taken.
    let queue = executor.batch(()).queue(|message: Message, _job| handle(&message));
    let (sender, results) = queue.window(64).build()?;
    let broker = thread::spawn(move || {
        for offset in FIRST..1500 {
            let body = if offset == 1234 { "damaged".to_owned() } else { offset.to_string() };
            // `send` waits for room. It fails if the results were dropped.
            if sender.send(Message { body }).is_err() {
                break;
            }
        }
    });

    // The results come in the order of the sends. So all messages before `committed` are done.
    let (mut committed, mut dead_letters, mut sum) = (FIRST, 0, 0);
    for result in results {
        match result {
            Ok(value) => sum += value,
            Err(Failure::Failed { error, .. }) => {
                println!("dead letter {committed}: {error}");
                dead_letters += 1;
            }
            // A panic of the handler, for instance. The broker delivers the message again later.
            Err(failure) => return Err(failure.into()),
        }
        committed += 1;
    }
    broker.join().expect("no panic");
    println!("committed up to {committed}, the sum is {sum}");
    assert_eq!((committed, dead_letters), (1500, 1));
    assert_eq!(sum, (FIRST..1500).sum::<u64>() - 1234);
    Ok(())
}
