//! The settings of a link, and its connection.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::StorageType;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use tokio::time;

use crate::nats::error::{NatsError, NatsOperation};
use crate::nats::storage::{Names, StorageSettings};
use crate::nats::{NatsLink, Shared};

/// The time between two pings. After two pings without an answer, the client connects again.
const PING: Duration = Duration::from_secs(2);
/// The longest time between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shortest and the longest time of a setting. The server counts nanoseconds with a sign.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The shortest window of copies that the server accepts.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

/// The settings of a [`NatsLink`].
///
/// The settings of the storage apply if the link creates it. A stream or a bucket that exists stays
/// as it is.
#[derive(Clone, Debug)]
#[must_use = "a link does nothing before it is connected"]
pub struct NatsBuilder {
    job: String,
    storage: StorageSettings,
    time_limit: Duration,
    open_within: Duration,
}

impl NatsBuilder {
    pub(super) fn new(job: String) -> NatsBuilder {
        NatsBuilder {
            job,
            storage: StorageSettings::default(),
            time_limit: Duration::from_secs(5),
            open_within: Duration::ZERO,
        }
    }

    /// Lets the link create nothing. It uses the streams and the bucket that the owner's link
    /// creates. Until they exist, [`connect`](NatsBuilder::connect) fails, or tries again for the
    /// time of [`open_within`](NatsBuilder::open_within).
    ///
    /// Workers on a cluster need it. If several links create a stream at the same time, the servers
    /// may take it for several streams. After a restart, one of them may never get the messages of
    /// the others.
    pub fn wait_for_owner(mut self) -> NatsBuilder {
        self.storage.creates = false;
        self
    }

    /// Sets the number of servers that store each message, from 1 to 5. The default is 1.
    pub fn replicas(mut self, replicas: usize) -> NatsBuilder {
        self.storage.replicas = replicas.clamp(1, 5);
        self
    }

    /// Keeps messages and the entry in the memory of the servers. By default, they are in files.
    pub fn in_memory(mut self) -> NatsBuilder {
        self.storage.storage = StorageType::Memory;
        self
    }

    /// Sets the time after which a message comes again that was not acknowledged, from 1 ms to a
    /// year. The default is 30 seconds.
    ///
    /// It must be twice the heartbeat of the workers, or more.
    pub fn acknowledgement_wait(mut self, wait: Duration) -> NatsBuilder {
        self.storage.acknowledgement_wait = wait.clamp(SHORTEST, LONGEST);
        self
    }

    /// Sets the time for which the server knows the id of a message, and drops copies, from 100 ms
    /// to a year. The default is 2 minutes, like the server's own default.
    pub fn duplicate_window(mut self, window: Duration) -> NatsBuilder {
        self.storage.duplicate_window = window.clamp(SHORTEST_WINDOW, LONGEST);
        self
    }

    /// Sets the most bytes of the tasks, and of the results, that the server stores, at least 1. By
    /// default, only its own limits count.
    ///
    /// A full stream refuses messages, and their senders try again. The limit must exceed the
    /// messages of a whole window.
    pub fn max_bytes(mut self, bytes: u64) -> NatsBuilder {
        self.storage.max_bytes = Some(bytes.max(1));
        self
    }

    /// Sets the most stored messages per channel, at least 1. By default, only the limits of the
    /// server count.
    ///
    /// The limit must exceed the messages of a whole window.
    pub fn max_messages(mut self, messages: u64) -> NatsBuilder {
        self.storage.max_messages = Some(messages.max(1));
        self
    }

    /// Sets the largest message of the streams, in bytes, headers included, at least 1. By default,
    /// only the limit of the server counts, which is 1 MiB by default.
    ///
    /// The link keeps 128 bytes for the headers. So a limit of 128 or less refuses all messages.
    pub fn max_message(mut self, bytes: u32) -> NatsBuilder {
        self.storage.max_message = Some(bytes.max(1));
        self
    }

    /// Sets the time limit of each operation, from 1 ms to a year. The default is 5 seconds.
    ///
    /// A wait for messages ends by a limit of its own, after 2 seconds and half of this time. After
    /// a failed operation, the next one looks for the storage first, which has the same limit.
    pub fn time_limit(mut self, limit: Duration) -> NatsBuilder {
        self.time_limit = limit.clamp(SHORTEST, LONGEST);
        self
    }

    /// Sets the time for which [`connect`](NatsBuilder::connect) tries again after an error, up to
    /// a year. By default, it fails at once. It always fails at once if the server refuses the
    /// credentials, or the URL is malformed.
    pub fn open_within(mut self, time: Duration) -> NatsBuilder {
        self.open_within = time.min(LONGEST);
        self
    }

    /// Connects to a server, and opens the storage of the job.
    ///
    /// The URL is as `nats://host:4222`. It may name several servers, with commas. It may contain a
    /// user and a password, or a token: `nats://user:password@host:4222`, `nats://token@host:4222`.
    /// The first credentials apply to all servers. For other credentials, use
    /// [`open`](NatsBuilder::open).
    ///
    /// # Errors
    ///
    /// * [`NatsError::JobName`] if the name of the job has another character than letters, digits,
    ///   `-` and `_`, or none.
    /// * [`NatsError::NoAnswer`] or [`NatsError::Refused`] if the server cannot be reached, or does
    ///   not open the storage.
    pub async fn connect(self, url: &str) -> Result<NatsLink, NatsError> {
        Names::new(&self.job)?;
        let end = time::Instant::now() + self.open_within;
        loop {
            let pause = time::Instant::now() + Duration::from_millis(200);
            match self.try_connect(url).await {
                Err(error) if pause < end && !is_final(&error) => time::sleep_until(pause).await,
                result => return result,
            }
        }
    }

    async fn try_connect(&self, url: &str) -> Result<NatsLink, NatsError> {
        let operation = NatsOperation::Connect;
        let servers = url.split(',').map(str::parse).collect::<Result<Vec<ServerAddr>, _>>();
        let servers = servers.map_err(|error| {
            NatsError::refused(
                operation,
                ConnectError::with_source(ConnectErrorKind::ServerParse, error),
            )
        })?;
        // The client itself ignores the credentials of a URL.
        let options = credentials(&servers)
            .name(format!("reorder-remote: {}", self.job))
            .connection_timeout(self.time_limit)
            .ping_interval(PING)
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
                Duration::from_millis(50).saturating_mul(attempts).min(LONGEST_PAUSE)
            });
        let connected = time::timeout(self.time_limit, options.connect(servers)).await;
        let client = connected
            .map_err(|_| NatsError::NoAnswer { operation, after: self.time_limit })?
            .map_err(|error| NatsError::refused(operation, error))?;
        self.clone().open(client).await
    }

    /// Opens the storage of the job by a client that is connected. So the caller decides about the
    /// encryption and the credentials.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`connect`](NatsBuilder::connect).
    pub async fn open(self, client: Client) -> Result<NatsLink, NatsError> {
        let context = ContextBuilder::new().timeout(self.time_limit).build(client.clone());
        let link = NatsLink {
            shared: Arc::new(Shared {
                client,
                context,
                names: Names::new(&self.job)?,
                settings: self.storage,
                time_limit: self.time_limit,
                largest: AtomicUsize::new(usize::MAX),
                storage: Mutex::new(None),
                opening: tokio::sync::Mutex::new(()),
            }),
        };
        link.storage().await?;
        Ok(link)
    }
}

/// Returns options with the first credentials of the addresses. A user without a password is a
/// token.
fn credentials(servers: &[ServerAddr]) -> ConnectOptions {
    let Some(server) = servers.iter().find(|server| server.has_user_pass()) else {
        return ConnectOptions::new();
    };
    let user = decoded(server.username().unwrap_or_default());
    match server.password() {
        Some(password) => ConnectOptions::with_user_and_password(user, decoded(password)),
        None => ConnectOptions::with_token(user),
    }
}

/// Replaces each `%` and its two hexadecimal digits by their byte.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns `true` if another attempt would fail as well.
fn is_final(error: &NatsError) -> bool {
    let NatsError::Refused { source, .. } = error else { return false };
    source.downcast_ref::<ConnectError>().is_some_and(|error| {
        matches!(
            error.kind(),
            ConnectErrorKind::ServerParse
                | ConnectErrorKind::Authentication
                | ConnectErrorKind::AuthorizationViolation
        )
    })
}
