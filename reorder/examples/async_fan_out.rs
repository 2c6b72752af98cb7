//! An async service that makes a slow call for each request, several at a time, and answers in the
//! order of the requests. One call panics and one call is aborted. Each leaves a gap, and the later
//! answers do not wait for it.
//!
//! ```sh
//! cargo run -p reorder-ring --features stream --example async_fan_out
//! ```
//!
//! The producer and the consumer are tasks that do not block a thread. The producer waits for a
//! free slot, and the consumer waits for the head of line. If the client disconnects, the service
//! drops the stream of answers, and that cancels the batch.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use reorder_ring::{Gap, Producer, Ring, SpaceError};

const REQUESTS: u64 = 40;
/// The request whose call panics.
const PANICS: u64 = 13;
/// The request whose call never ends, and is aborted.
const HANGS: u64 = 21;
/// The maximum number of requests that were called and whose outcomes were not taken.
const WINDOW: usize = 8;

type SharedRing = Arc<Ring<String>>;

/// Simulates a remote call. The calls of later requests are often faster.
async fn call(request: u64) -> String {
    tokio::time::sleep(Duration::from_millis(request * 7 % 11)).await;
    assert!(request != PANICS, "this call panics on purpose");
    if request == HANGS {
        std::future::pending::<()>().await;
    }
    format!("answer {request}")
}

/// Spawns a task per request. A task that panics or is aborted drops its permit, which leaves a
/// gap.
async fn fan_out(mut producer: Producer<SharedRing>) -> Result<(), SpaceError> {
    for request in 0..REQUESTS {
        producer.wait_for_space_async().await?;
        let permit = producer.permit().expect("the ring has a free slot");
        let task = tokio::spawn(async move {
            let answer = call(request).await;
            // The ring refuses the answer if the batch was cancelled. It is not needed then.
            _ = permit.complete(answer);
        });
        if request == HANGS {
            // Simulates a timeout of the call.
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
    // With `StreamExt` of `futures` or `tokio-stream`, this is `answers.next().await`.
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
    assert_eq!(gaps, [PANICS, HANGS].map(|request| (request, Gap::Abandoned)));
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(serve())
}
