//! The streams, the consumers and the bucket of a job.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, DeleteStreamErrorKind};
use async_nats::jetstream::stream::{
    self, DiscardPolicy, PurgeErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, Context, ErrorCode, kv};
use futures_util::TryStreamExt as _;

use crate::link::Channel;
use crate::machine::new_identity;
use crate::nats::error::{NatsError, NatsOperation};

/// The key of the entry.
pub(super) const KEY: &str = "record";

/// The first part of the name of each consumer.
const CONSUMER: &str = "reorder";
/// The longest name of a job, so that all names are valid names of files.
const LONGEST_NAME: usize = 128;

/// The settings of the storage of a job. Most of them count when it is created.
#[derive(Clone, Debug)]
pub(super) struct StorageSettings {
    /// Says whether the link creates what is missing.
    pub(super) creates: bool,
    pub(super) replicas: usize,
    pub(super) storage: StorageType,
    pub(super) acknowledgement_wait: Duration,
    pub(super) duplicate_window: Duration,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_messages: Option<u64>,
    pub(super) max_message: Option<u32>,
}

impl Default for StorageSettings {
    fn default() -> StorageSettings {
        StorageSettings {
            creates: true,
            replicas: 1,
            storage: StorageType::File,
            acknowledgement_wait: Duration::from_secs(30),
            duplicate_window: Duration::from_secs(120),
            max_bytes: None,
            max_messages: None,
            max_message: None,
        }
    }
}

/// The names of what a job has at the server.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) job: String,
    tasks: String,
    results: String,
}

impl Names {
    pub(super) fn new(job: &str) -> Result<Names, NatsError> {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if job.is_empty() || job.len() > LONGEST_NAME || !job.chars().all(is_valid) {
            return Err(NatsError::JobName { given: job.to_owned() });
        }
        Ok(Names {
            job: job.to_owned(),
            tasks: format!("reorder.{job}.tasks"),
            results: format!("reorder.{job}.results"),
        })
    }

    pub(super) fn subject(&self, channel: Channel) -> &str {
        match channel {
            Channel::Tasks => &self.tasks,
            Channel::Results => &self.results,
        }
    }

    fn stream(&self, channel: Channel) -> String {
        self.subject(channel).replace('.', "_")
    }

    fn bucket(&self) -> String {
        format!("reorder_{}", self.job)
    }

    /// Returns the names of the streams. A bucket is a stream, too.
    pub(super) fn streams(&self) -> [String; 3] {
        let bucket = format!("KV_{}", self.bucket());
        [self.stream(Channel::Tasks), self.stream(Channel::Results), bucket]
    }
}

/// Deletes a stream, if it exists.
pub(super) async fn delete_stream(context: Context, name: String) -> Result<(), NatsError> {
    match context.delete_stream(name).await {
        Err(error) => match error.kind() {
            DeleteStreamErrorKind::JetStream(reason) if is_missing(&reason) => Ok(()),
            _ => Err(NatsError::refused(NatsOperation::Remove, error)),
        },
        Ok(_) => Ok(()),
    }
}

/// Deletes the messages of a stream, if it exists.
pub(super) async fn purge_stream(context: Context, name: String) -> Result<(), NatsError> {
    let refused = |error| NatsError::refused(NatsOperation::Clear, error);
    let stream = context.get_stream_no_info(name).await.map_err(|error| refused(error.into()))?;
    match stream.purge().await {
        Err(error) => match error.kind() {
            PurgeErrorKind::JetStream(reason) if is_missing(&reason) => Ok(()),
            _ => Err(refused(Box::<dyn Error + Send + Sync>::from(error))),
        },
        Ok(_) => Ok(()),
    }
}

fn is_missing(reason: &jetstream::Error) -> bool {
    reason.error_code() == ErrorCode::STREAM_NOT_FOUND
}

/// The streams, the consumers and the bucket of a job, as the server has confirmed them.
pub(super) struct Storage {
    tasks: Consumer<pull::Config>,
    results: Consumer<pull::Config>,
    pub(super) bucket: kv::Store,
    /// The largest message of both streams, headers included.
    pub(super) largest: usize,
}

impl Storage {
    /// Finds the storage of a job, and creates what is missing.
    pub(super) async fn open(
        context: &Context,
        names: &Names,
        settings: &StorageSettings,
    ) -> Result<Storage, NatsError> {
        let (tasks, most_tasks) = channel(context, names, settings, Channel::Tasks).await?;
        let (results, most_results) = channel(context, names, settings, Channel::Results).await?;
        let bucket = bucket(context, names, settings).await?;
        Ok(Storage { tasks, results, bucket, largest: most_tasks.min(most_results) })
    }

    pub(super) fn consumer(&self, channel: Channel) -> &Consumer<pull::Config> {
        match channel {
            Channel::Tasks => &self.tasks,
            Channel::Results => &self.results,
        }
    }
}

/// Returns the consumer of a channel, and the largest message of its stream.
async fn channel(
    context: &Context,
    names: &Names,
    settings: &StorageSettings,
    channel: Channel,
) -> Result<(Consumer<pull::Config>, usize), NatsError> {
    let config = stream::Config {
        name: names.stream(channel),
        subjects: vec![names.subject(channel).to_owned()],
        retention: RetentionPolicy::WorkQueue,
        // A full stream refuses new messages. It must not drop old ones, whose senders are gone.
        discard: DiscardPolicy::New,
        storage: settings.storage,
        num_replicas: settings.replicas,
        duplicate_window: settings.duplicate_window,
        max_bytes: number(settings.max_bytes),
        max_messages: number(settings.max_messages),
        max_message_size: settings
            .max_message
            .map_or(-1, |most| i32::try_from(most).unwrap_or(i32::MAX)),
        ..stream::Config::default()
    };
    let stream = find_or_create(context, config, settings.creates).await?;
    let largest = match stream.cached_info().config.max_message_size {
        ..=0 => usize::MAX,
        most => most as usize,
    };
    let config = pull::Config {
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.acknowledgement_wait,
        // Workers notice by themselves which messages were delivered too often.
        max_deliver: -1,
        // The window of the owner bounds the messages that wait for their acknowledgement.
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    Ok((find_or_create_consumer(&stream, config, settings.creates).await?, largest))
}

/// Returns the consumer of a stream, or creates it by a name of its own.
///
/// A receipt contains this name. So a late acknowledgement reaches no stream that has replaced the
/// stream of the receipt. There, its number would be the number of another message, or of none. In
/// a cluster, the latter makes the replicas of the stream start again. With some servers, the
/// stream is of no use after that (nats-server#6109 and #7348).
///
/// Links that create consumers at once do so by different names. So the server refuses all but one,
/// because a work queue has one consumer at most.
async fn find_or_create_consumer(
    stream: &Stream,
    config: pull::Config,
    creates: bool,
) -> Result<Consumer<pull::Config>, NatsError> {
    if let Some(consumer) = find_consumer(stream).await? {
        return Ok(consumer);
    }
    if !creates {
        return Err(not_opened("the consumer was not found"));
    }
    let identity = u64::from(new_identity().map_err(not_opened)?);
    let durable_name = Some(format!("{CONSUMER}_{identity:016x}"));
    match stream.create_consumer(pull::Config { durable_name, ..config }).await {
        Ok(consumer) => Ok(consumer),
        // Another link has just created one.
        Err(error) => find_consumer(stream).await?.ok_or_else(|| not_opened(error)),
    }
}

async fn find_consumer(stream: &Stream) -> Result<Option<Consumer<pull::Config>>, NatsError> {
    match stream.consumer_names().try_next().await.map_err(not_opened)? {
        Some(name) => stream.get_consumer(&name).await.map(Some).map_err(not_opened),
        None => Ok(None),
    }
}

async fn bucket(
    context: &Context,
    names: &Names,
    settings: &StorageSettings,
) -> Result<kv::Store, NatsError> {
    // The client's own creation of a bucket asks for the account, and cannot read the answer of
    // servers before 2.10. So this is the stream that it makes.
    let name = names.bucket();
    let config = stream::Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        storage: settings.storage,
        num_replicas: settings.replicas,
        ..stream::Config::default()
    };
    find_or_create(context, config, settings.creates).await?;
    context.get_key_value(name).await.map_err(not_opened)
}

/// Returns a stream as it is, or creates it.
async fn find_or_create(
    context: &Context,
    config: stream::Config,
    creates: bool,
) -> Result<Stream, NatsError> {
    if !creates {
        return context.get_stream(config.name).await.map_err(not_opened);
    }
    match context.get_or_create_stream(config.clone()).await {
        // Another link has just created it, with other settings.
        Err(error) if exists(&error.kind()) => context.get_or_create_stream(config).await,
        result => result,
    }
    .map_err(not_opened)
}

fn exists(kind: &CreateStreamErrorKind) -> bool {
    match kind {
        CreateStreamErrorKind::JetStream(error) => {
            [ErrorCode::STREAM_NAME_EXIST, ErrorCode::STREAM_SUBJECT_OVERLAP]
                .contains(&error.error_code())
        }
        _ => false,
    }
}

fn not_opened(error: impl Into<Box<dyn Error + Send + Sync>>) -> NatsError {
    NatsError::refused(NatsOperation::Open, error)
}

/// Returns a limit as the server writes it: -1 is no limit.
fn number(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}
