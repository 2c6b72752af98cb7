//! JetStream alone: each item is a message, and its result another one. Both are confirmed and
//! acknowledged. The results have no order, and nothing is asked for again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use futures::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::meter::{Meter, Usage};
use crate::{AnyError, Case};

const TASKS: &str = "remote_cost_bare_tasks";
const RESULTS: &str = "remote_cost_bare_results";

/// Runs jobs for a while. The owner and each worker have a connection of their own.
pub(crate) async fn run(case: Case, url: &str) -> Result<Usage, AnyError> {
    let context = connect(url).await?;
    create(&context, TASKS).await?;
    let results = create(&context, RESULTS).await?;
    let mut workers = Vec::new();
    for _ in 0..case.workers {
        let context = connect(url).await?;
        let tasks = context.get_consumer_from_stream(TASKS, TASKS).await?;
        workers.push((context, tasks));
    }
    let meter = Meter::start(case);
    let mut loops = JoinSet::new();
    for (context, tasks) in workers {
        loops.spawn(work(context, tasks, meter.clone()));
    }
    let window = Arc::new(Semaphore::new(case.window));
    loops.spawn(publish(context.clone(), Arc::clone(&window)));
    loops.spawn(receive(results, window));
    if let Ok(Some(ended)) = timeout_at(meter.end().into(), loops.join_next()).await {
        ended??;
    }
    // The last jobs end.
    tokio::time::sleep(2 * case.job).await;
    drop(loops);
    context.delete_stream(TASKS).await?;
    context.delete_stream(RESULTS).await?;
    Ok(meter.usage())
}

/// Connects to the server. A busy machine must not end the measurement.
async fn connect(url: &str) -> Result<Context, AnyError> {
    let client = async_nats::connect(url).await?;
    Ok(ContextBuilder::new().timeout(Duration::from_secs(60)).build(client))
}

/// Creates a stream, and its consumer.
async fn create(context: &Context, name: &str) -> Result<PullConsumer, AnyError> {
    let stream = context
        .create_stream(Config {
            name: name.to_owned(),
            retention: RetentionPolicy::WorkQueue,
            ..Config::default()
        })
        .await?;
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    Ok(stream.create_consumer(config).await?)
}

/// Publishes items while the window has room. Confirmations may come later.
async fn publish(context: Context, window: Arc<Semaphore>) -> Result<(), AnyError> {
    for item in 0u64.. {
        window.acquire().await?.forget();
        let confirmed = context.publish(TASKS, item.to_le_bytes().to_vec().into()).await?;
        tokio::spawn(confirmed.into_future());
    }
    Ok(())
}

/// Acknowledges results.
async fn receive(results: PullConsumer, window: Arc<Semaphore>) -> Result<(), AnyError> {
    let mut messages = results.messages().await?;
    while let Some(message) = messages.next().await {
        message?.ack().await?;
        window.add_permits(1);
    }
    Ok(())
}

/// Runs jobs. The next message waits meanwhile, as in a worker of `reorder-remote`.
async fn work(context: Context, tasks: PullConsumer, meter: Meter) -> Result<(), AnyError> {
    let mut messages = tasks.stream().max_messages_per_batch(2).messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let item = u64::from_le_bytes(message.payload[..].try_into()?);
        let meter = meter.clone();
        let item = tokio::task::spawn_blocking(move || meter.run(item)).await?;
        context.publish(RESULTS, item.to_le_bytes().to_vec().into()).await?.await?;
        message.ack().await?;
    }
    Ok(())
}
