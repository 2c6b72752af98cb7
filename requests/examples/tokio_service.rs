//! A service on tokio: each client sends a stream of questions, of which 64 are in flight. A
//! question that takes too long gets a failure. A client that disconnects ends its calls.
//!
//! ```sh
//! cargo run -p reorder-requests --example tokio_service
//! ```

use std::error::Error;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use reorder_executor::{Executor, Failure, Outcome, Refused};
use reorder_requests::RequestsExt;

const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(64).unwrap();
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Asks the backend, which never answers question 13.
async fn ask(question: u64) -> io::Result<String> {
    CALLS.fetch_add(1, Relaxed);
    let time = if question == 13 { Duration::MAX } else { Duration::from_millis(question % 5) };
    tokio::time::sleep(time).await;
    Ok(format!("answer {question}"))
}

/// Returns the answers to one client, in the order of its questions.
fn answers<Q: Stream<Item = u64> + Send + 'static>(
    executor: &Executor,
    questions: Q,
) -> Result<impl Stream<Item = Outcome<String, io::Error>> + use<Q>, Refused<Q>> {
    let runtime = tokio::runtime::Handle::current();
    let spawner = move |task| _ = runtime.spawn(task);
    let batch = executor.batch(questions).item_timeout(Duration::from_secs(1));
    let calls = batch.requests().window(IN_FLIGHT);
    let job = |question: Arc<u64>, _| async move { ask(*question).await.into() };
    Ok(calls.map_stream_async(spawner, job)?.into_stream())
}

async fn serve(executor: &Executor) -> Result<(), Box<dyn Error>> {
    let mut all = answers(executor, stream::iter(0..200))?.enumerate();
    while let Some((index, answer)) = all.next().await {
        match answer {
            Ok(text) => assert_eq!(text, format!("answer {index}")),
            Err(failure @ Failure::ItemDeadline(_)) => println!("question {index}: {failure}"),
            Err(failure) => return Err(failure.into()),
        }
    }
    // This client leaves after 20 answers of an endless stream. Its other calls are aborted.
    let before = CALLS.load(Relaxed);
    let first = answers(executor, stream::iter(1000..))?.take(20).count().await;
    // Calls that went on would be counted.
    tokio::time::sleep(Duration::from_millis(100)).await;
    println!("{first} answers to a client that left, {} calls", CALLS.load(Relaxed) - before);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::builder().workers(2).build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    runtime.block_on(serve(&executor))?;
    assert!(CALLS.load(Relaxed) <= 200 + 20 + 64, "a client that left has no more calls");
    Ok(())
}
