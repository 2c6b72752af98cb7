//! A link over NATS JetStream, by the vendor's client `async-nats`.
//!
//! | of a job | at the server |
//! |---|---|
//! | tasks, results | a stream each: a work queue, with one pull consumer and explicit acknowledgement |
//! | the id of a message | its header `Nats-Msg-Id`, by which the server drops copies |
//! | progress of a worker | the acknowledgement `+WPI`, which starts the wait again |
//! | the entry | a key of a key-value bucket, which changes by compare-and-set |
//!
//! | module | contains |
//! |---|---|
//! | `builder` | the settings, and the connection |
//! | `storage` | the streams, the consumers and the bucket: how they are found, or made again |
//! | `error` | the reasons of failures |
//!
//! After a failed operation, the link looks for its streams, its consumers and its bucket before
//! the next one. It creates what is missing, unless it waits for its owner. So a server that has
//! lost its storage gets a new one.

mod builder;
mod error;
mod storage;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{AckKind, Context, Message as Delivered, context, kv};
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures_util::{StreamExt as _, future};
use tokio::time::{self, Instant};

use crate::link::{Acknowledgement, Channel, Entry, Link, LinkError, Message, MessageId};
pub use builder::NatsBuilder;
pub use error::{NatsError, NatsOperation};
use storage::{KEY, Names, Storage, StorageSettings, delete_stream, purge_stream};

/// The longest wait of a receiver for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The shortest time between two requests for messages of which the first one got none.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
/// The most bytes of the headers of a message.
const HEADERS: usize = 128;
/// The most messages of one request.
const MOST_AT_ONCE: usize = 1024;

/// A [`Link`] over NATS JetStream. Its clones share one connection.
///
/// All owners and workers of a job use the same name of the job. Different jobs may share a server.
///
/// ```no_run
/// use reorder_remote::{Link as _, NatsLink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let link = NatsLink::builder("thumbnails").replicas(3).connect("nats://localhost:4222").await?;
/// println!("a message has at most {} bytes", link.max_message());
/// # Ok(())
/// # }
/// ```
///
/// # What the server keeps
///
/// Two streams, `reorder_JOB_tasks` and `reorder_JOB_results`, and the bucket `reorder_JOB`. The
/// first link creates them by its settings. Later links use them as they are. In a cluster, only
/// the owner's link creates them: see [`NatsBuilder::wait_for_owner`].
///
/// [`clear`](NatsLink::clear) deletes their messages. [`remove`](NatsLink::remove) deletes the
/// streams and the bucket.
#[derive(Clone)]
pub struct NatsLink {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    context: Context,
    names: Names,
    settings: StorageSettings,
    time_limit: Duration,
    /// The largest message of the streams, headers included.
    largest: AtomicUsize,
    /// `None` after a failed operation.
    storage: Mutex<Option<Arc<Storage>>>,
    /// Held by the one operation that looks for the storage.
    opening: tokio::sync::Mutex<()>,
}

/// Acknowledges a message of a [`NatsLink`].
#[derive(Clone, Debug)]
pub struct NatsReceipt {
    reply: Subject,
}

impl fmt::Debug for NatsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLink").field("job", &self.shared.names.job).finish_non_exhaustive()
    }
}

impl NatsLink {
    /// Returns the settings of a link, with their defaults.
    ///
    /// The name of a job has letters, digits, `-` and `_`.
    pub fn builder(job: impl Into<String>) -> NatsBuilder {
        NatsBuilder::new(job.into())
    }

    /// Deletes the messages and the entry of the job. Its streams and its bucket stay. So the name
    /// of the job may be used for a new job at once.
    ///
    /// # Errors
    ///
    /// Returns [`NatsError::Left`] if the server has not confirmed it for each stream in time. The
    /// caller may try again.
    pub async fn clear(&self) -> Result<(), NatsError> {
        self.for_each_stream(NatsOperation::Clear, purge_stream).await
    }

    /// Deletes the streams and the bucket of the job. It succeeds if they do not exist.
    ///
    /// Owners and workers that still run create them again. In a cluster, this may fail: a server
    /// of version 2.9 that starts again may take the new stream for the deleted one, and then does
    /// not serve it. So call [`clear`](NatsLink::clear) to begin a job again, and `remove` if the
    /// name is not used any more.
    ///
    /// # Errors
    ///
    /// Returns [`NatsError::Left`] if the server has not confirmed each deletion in time. The
    /// caller may try again.
    pub async fn remove(&self) -> Result<(), NatsError> {
        self.forget();
        self.for_each_stream(NatsOperation::Remove, delete_stream).await
    }

    /// Changes all streams at once, so that a request without an answer does not delay the others.
    async fn for_each_stream<F: Future<Output = Result<(), NatsError>>>(
        &self,
        operation: NatsOperation,
        change: impl Fn(Context, String) -> F,
    ) -> Result<(), NatsError> {
        let Shared { context, names, .. } = &*self.shared;
        let changes = names.streams().map(|name| {
            let change = self.limited(operation, change(context.clone(), name.clone()));
            async { change.await.map_err(|error| (name, error)) }
        });
        let (mut streams, mut first) = (Vec::new(), None);
        for change in future::join_all(changes).await {
            if let Err((name, error)) = change {
                streams.push(name);
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), |error| Err(NatsError::Left { streams, source: Box::new(error) }))
    }

    /// Returns the storage. Creates what is missing, if an operation has failed before.
    async fn storage(&self) -> Result<Arc<Storage>, NatsError> {
        if let Some(storage) = &*self.lock() {
            return Ok(Arc::clone(storage));
        }
        let Shared { context, names, settings, opening, largest, .. } = &*self.shared;
        let open = async {
            let _opening = opening.lock().await;
            // Another operation may have opened the storage meanwhile.
            let found = self.lock().clone();
            if let Some(storage) = found {
                return Ok(storage);
            }
            let storage = Arc::new(Storage::open(context, names, settings).await?);
            // ORDERING: the number publishes no other data.
            largest.store(storage.largest, Ordering::Relaxed);
            *self.lock() = Some(Arc::clone(&storage));
            Ok(storage)
        };
        self.limited(NatsOperation::Open, open).await
    }

    /// Runs an operation, which ends by the time limit. After an error, the next operation looks
    /// for the storage first.
    async fn run<T, F>(
        &self,
        operation: NatsOperation,
        limit: Duration,
        future: impl FnOnce(Arc<Storage>) -> F,
    ) -> Result<T, LinkError>
    where
        F: Future<Output = Result<T, LinkError>>,
    {
        let storage = self.storage().await.map_err(LinkError::from)?;
        let result = match time::timeout(limit, future(Arc::clone(&storage))).await {
            Ok(result) => result,
            Err(_) => Err(NatsError::NoAnswer { operation, after: limit }.into()),
        };
        if matches!(result, Err(LinkError::Unavailable(_))) {
            let mut current = self.lock();
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &storage)) {
                *current = None;
            }
        }
        result
    }

    async fn limited<T>(
        &self,
        operation: NatsOperation,
        future: impl Future<Output = Result<T, NatsError>>,
    ) -> Result<T, NatsError> {
        let after = self.shared.time_limit;
        let result = time::timeout(after, future).await;
        result.unwrap_or(Err(NatsError::NoAnswer { operation, after }))
    }

    fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Storage>>> {
        self.shared.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link for NatsLink {
    type Receipt = NatsReceipt;

    fn max_message(&self) -> usize {
        let server = self.shared.client.max_payload();
        // ORDERING: the number comes with no other data.
        let streams = self.shared.largest.load(Ordering::Relaxed);
        server.min(streams).saturating_sub(HEADERS)
    }

    async fn publish(&self, channel: Channel, id: MessageId, body: Bytes) -> Result<(), LinkError> {
        let (given, allowed) = (body.len(), self.max_message());
        if given > allowed {
            return Err(LinkError::TooLarge { given, allowed });
        }
        let operation = NatsOperation::Publish;
        let publish = async |_| {
            let message = PublishMessage::build().payload(body).message_id(id.to_string());
            let subject = self.shared.names.subject(channel).to_owned();
            let confirmed = match self.shared.context.send_publish(subject, message).await {
                Ok(confirmed) => confirmed.await,
                Err(error) => Err(error),
            };
            match confirmed {
                Ok(_) => Ok(()),
                // The server that the client has just reconnected to has another limit.
                Err(error) if error.kind() == context::PublishErrorKind::MaxPayloadExceeded => {
                    Err(LinkError::TooLarge { given, allowed: self.max_message() })
                }
                Err(error) => Err(refused(operation, error)),
            }
        };
        self.run(operation, self.shared.time_limit, publish).await
    }

    async fn receive(
        &self,
        channel: Channel,
        most: usize,
    ) -> Result<Vec<Message<NatsReceipt>>, LinkError> {
        let operation = NatsOperation::Receive;
        let begin = Instant::now();
        let receive = async |storage: Arc<Storage>| {
            // The server answers as soon as it has messages, or at the end of the wait.
            let request = storage.consumer(channel).fetch().expires(LONGEST_WAIT);
            let request = request.max_messages(most.clamp(1, MOST_AT_ONCE)).messages().await;
            let mut batch = request.map_err(|error| refused(operation, error))?;
            let mut messages = Vec::new();
            while let Some(delivered) = batch.next().await {
                match delivered {
                    Ok(delivered) => messages.extend(message(delivered)),
                    Err(error) if messages.is_empty() => return Err(refused(operation, error)),
                    Err(_) => break,
                }
            }
            Ok(messages)
        };
        let limit = LONGEST_WAIT + self.shared.time_limit / 2;
        let result = self.run(operation, limit, receive).await;
        // The server refuses a request at once while other receivers wait for more than it has.
        if result.as_ref().is_ok_and(Vec::is_empty) {
            time::sleep_until(begin + SHORTEST_WAIT).await;
        }
        result
    }

    async fn acknowledge(
        &self,
        receipt: &NatsReceipt,
        with: Acknowledgement,
    ) -> Result<(), LinkError> {
        let operation = NatsOperation::Acknowledge;
        let kind = match with {
            Acknowledgement::Done => AckKind::Ack,
            Acknowledgement::Progress => AckKind::Progress,
            Acknowledgement::Again(after) => AckKind::Nak(Some(after)),
            Acknowledgement::Refused => AckKind::Term,
        };
        let client = &self.shared.client;
        let acknowledge = async {
            let sent = client.publish(receipt.reply.clone(), kind.into()).await;
            sent.map_err(|error| NatsError::refused(operation, error))?;
            // A process that ends at once must not lose it.
            client.flush().await.map_err(|error| NatsError::refused(operation, error))
        };
        Ok(self.limited(operation, acknowledge).await?)
    }

    async fn load(&self) -> Result<Option<Entry>, LinkError> {
        let operation = NatsOperation::Load;
        let load = async |storage: Arc<Storage>| {
            // The leader answers this request. Any replica may answer the bucket's `get`.
            let subject = format!("{}{KEY}", storage.bucket.prefix);
            match storage.bucket.stream.get_last_raw_message_by_subject(&subject).await {
                // An operator has deleted the key.
                Ok(found) if found.headers.get("KV-Operation").is_some() => Ok(None),
                Ok(found) => Ok(Some(Entry { value: found.payload, revision: found.sequence })),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(refused(operation, error)),
            }
        };
        self.run(operation, self.shared.time_limit, load).await
    }

    async fn store(&self, value: Bytes, expected: Option<u64>) -> Result<Option<u64>, LinkError> {
        let operation = NatsOperation::Store;
        let store = async |storage: Arc<Storage>| match expected {
            Some(revision) => match storage.bucket.update(KEY, value, revision).await {
                Ok(revision) => Ok(Some(revision)),
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
                Err(error) => Err(refused(operation, error)),
            },
            None => match storage.bucket.create(KEY, value).await {
                Ok(revision) => Ok(Some(revision)),
                Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(refused(operation, error)),
            },
        };
        self.run(operation, self.shared.time_limit, store).await
    }
}

/// Returns a received message, or `None` if it does not come from a stream.
fn message(delivered: Delivered) -> Option<Message<NatsReceipt>> {
    let info = delivered.info().ok()?;
    let (sequence, deliveries) = (info.stream_sequence, u64::try_from(info.delivered).ok()?);
    let message = delivered.message;
    let receipt = NatsReceipt { reply: message.reply? };
    Some(Message { sequence, deliveries, body: message.payload, receipt })
}

fn refused(operation: NatsOperation, error: impl Into<Box<dyn Error + Send + Sync>>) -> LinkError {
    NatsError::refused(operation, error).into()
}
