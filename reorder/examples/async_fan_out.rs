//! An async service that calls something slow for each request, many at a time, and answers in the
//! order of the requests. One call dies and one is aborted; their places are gaps, and the others do
//! not wait for them.
//!
//! ```sh
//! cargo run -p reorder-ring --features stream --example async_fan_out
//! ```
//!
//! Both sides are tasks that wait without blocking a thread: one for room in the window, the other for
//! the head of line. Dropping the stream of answers cancels the batch, as when a client hangs up.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use reorder_ring::{Gap, Producer, Ring, SpaceError};

const REQUESTS: u64 = 40;
/// The one whose call panics.
const POISONED: u64 = 13;
/// The one whose call never ends, and is given up.
const HUNG: u64 = 21;
/// At most so many calls are under way, or done and not answered.
const WINDOW: usize = 8;

type SharedRing = Arc<Ring<String>>;

/// Stands for a remote call; later requests are often faster.
async fn call(request: u64) -> String {
    tokio::time::sleep(Duration::from_millis(request * 7 % 11)).await;
    assert!(request != POISONED, "this call dies, on purpose");
    if request == HUNG {
        std::future::pending::<()>().await;
    }
    format!("answer {request}")
}

/// Spawns a task per request. A task that dies or is aborted drops its permit, and so leaves a gap.
async fn fan_out(mut producer: Producer<SharedRing>) -> Result<(), SpaceError> {
    for request in 0..REQUESTS {
        poll_fn(|cx| producer.poll_space(cx)).await?;
        let permit = producer.permit().expect("there is room");
        let task = tokio::spawn(async move {
            let answer = call(request).await;
            // Refused if the batch was given up meanwhile; nobody wants the answer then.
            _ = permit.complete(answer);
        });
        if request == HUNG {
            // Stands for a timeout around the call.
            task.abort();
        }
    }
    producer.finish();
    Ok(())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let ring: SharedRing = Arc::new(Ring::with_capacity(WINDOW)?);
    let (producer, consumer) = ring.open_owned()?.split();
    let fanning_out = tokio::spawn(fan_out(producer));

    let mut answers = consumer.into_stream();
    let (mut expected, mut gaps) = (0, Vec::new());
    // `StreamExt` of the crates futures or tokio-stream spares the `poll_fn`.
    while let Some(delivery) = poll_fn(|cx| Pin::new(&mut answers).poll_next(cx)).await {
        let delivery = delivery?;
        assert_eq!(delivery.index, expected, "out of order");
        expected += 1;
        match delivery.outcome {
            Ok(answer) => println!("{:2}: {answer}", delivery.index),
            Err(gap) => {
                println!("{:2}: no answer: {gap}", delivery.index);
                gaps.push((delivery.index, gap));
            }
        }
    }
    fanning_out.await??;
    assert_eq!(expected, REQUESTS);
    assert_eq!(gaps, [POISONED, HUNG].map(|request| (request, Gap::Abandoned)));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(serve())
}
