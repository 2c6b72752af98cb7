//! The streams, the consumers and the bucket of a job.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, DeleteStreamErrorKind};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode, kv};

use crate::link::Channel;
use crate::nats::error::{NatsError, NatsOperation};

/// The key of the entry.
pub(super) const KEY: &str = "record";

/// The name of both consumers.
const CONSUMER: &str = "reorder";
/// The longest name of a job, so that all names are valid names of files.
const LONGEST_NAME: usize = 128;

/// The settings of the storage of a job, which count when it is created.
#[derive(Clone, Debug)]
pub(super) struct StorageSettings {
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

    /// Deletes the streams and the bucket.
    pub(super) async fn remove(&self, context: &Context) -> Result<(), NatsError> {
        let bucket = format!("KV_{}", self.bucket());
        for name in [self.stream(Channel::Tasks), self.stream(Channel::Results), bucket] {
            match context.delete_stream(name).await {
                Ok(_) => {}
                Err(error) if is_missing(&error.kind()) => {}
                Err(error) => return Err(NatsError::refused(NatsOperation::Remove, error)),
            }
        }
        Ok(())
    }
}

fn is_missing(kind: &DeleteStreamErrorKind) -> bool {
    match kind {
        DeleteStreamErrorKind::JetStream(error) => {
            error.error_code() == ErrorCode::STREAM_NOT_FOUND
        }
        _ => false,
    }
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
    let stream = find_or_create(context, config).await?;
    let largest = match stream.cached_info().config.max_message_size {
        ..=0 => usize::MAX,
        most => most as usize,
    };
    let config = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.acknowledgement_wait,
        // Workers notice by themselves which messages were delivered too often.
        max_deliver: -1,
        // The window of the owner bounds the messages that wait for their acknowledgement.
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(CONSUMER, config).await.map_err(not_opened)?;
    Ok((consumer, largest))
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
    find_or_create(context, config).await?;
    context.get_key_value(name).await.map_err(not_opened)
}

/// Returns a stream as it is, or creates it.
async fn find_or_create(context: &Context, config: stream::Config) -> Result<Stream, NatsError> {
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

fn not_opened(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NatsError {
    NatsError::refused(NatsOperation::Open, error)
}

/// Returns a limit as the server writes it: -1 is no limit.
fn number(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}
