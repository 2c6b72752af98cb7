//! A link within one process, for tests, for examples, and for jobs that fit one machine.
//!
//! | module | does |
//! |---|---|
//! | `engine` | stores messages, in virtual time |
//! | `faults` | decides what fails, and forges messages |

mod engine;
mod faults;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time;

use crate::link::{Acknowledgement, Channel, Entry, Link, LinkError, Message, MessageId};
pub(crate) use engine::Engine;
pub use engine::Receipt;
pub use faults::Faults;

/// The longest wait of a receiver for a message.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A [`Link`] within one process. Its clones connect owners and workers to the same engine.
///
/// By [`with_faults`](InProcess::with_faults), it loses, doubles, delays, swaps, truncates and
/// forges messages. So a program can test its sink and its jobs against an engine that fails.
///
/// It needs a tokio runtime with a timer.
#[derive(Clone)]
pub struct InProcess {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Mutex<Engine>,
    tasks: Notify,
    results: Notify,
}

impl InProcess {
    /// Returns a link that works.
    pub fn new() -> InProcess {
        InProcess::with_faults(Faults::default(), 0)
    }

    /// Returns a link that fails at random. The same seed gives the same random numbers.
    pub fn with_faults(faults: Faults, seed: u64) -> InProcess {
        let engine = Mutex::new(Engine::new(faults, seed));
        let shared = Shared { engine, tasks: Notify::new(), results: Notify::new() };
        InProcess { shared: Arc::new(shared) }
    }

    /// Sets the time after which a message comes again that was not acknowledged, from 1 ms to
    /// 30 days. The default is 30 seconds.
    #[must_use]
    pub fn acknowledgement_wait(self, wait: Duration) -> InProcess {
        self.engine().set_acknowledgement_wait(wait);
        self
    }

    /// Sets the size of the largest message, in bytes. The default is 1 MiB.
    #[must_use]
    pub fn max_message(self, bytes: usize) -> InProcess {
        self.engine().max_message = bytes;
        self
    }

    /// Changes the faults.
    pub fn set_faults(&self, faults: Faults) {
        self.engine().faults = faults;
    }

    /// Forgets all messages, and the lease and the watermark, as an engine does that has lost its
    /// storage.
    pub fn forget(&self) {
        self.engine().forget();
    }

    /// Returns the number of messages that are stored in a channel and not acknowledged.
    pub fn stored(&self, channel: Channel) -> usize {
        self.engine().stored(channel)
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.shared.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, channel: Channel) -> &Notify {
        match channel {
            Channel::Tasks => &self.shared.tasks,
            Channel::Results => &self.shared.results,
        }
    }
}

impl Default for InProcess {
    fn default() -> InProcess {
        InProcess::new()
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl Link for InProcess {
    type Receipt = Receipt;

    fn max_message(&self) -> usize {
        self.engine().max_message
    }

    async fn publish(&self, channel: Channel, id: MessageId, body: Bytes) -> Result<(), LinkError> {
        let result = self.engine().publish(now(), channel, id, body);
        self.changed(channel).notify_waiters();
        result
    }

    async fn receive(
        &self,
        channel: Channel,
        most: usize,
    ) -> Result<Vec<Message<Receipt>>, LinkError> {
        let end = now() + LONGEST_WAIT;
        loop {
            let changed = self.changed(channel).notified();
            let (messages, due) = {
                let mut engine = self.engine();
                (engine.receive(now(), channel, most), engine.due(channel))
            };
            if !messages.is_empty() || now() >= end {
                return Ok(messages);
            }
            let until = due.map_or(end, |due| due.min(end));
            _ = time::timeout_at(until.into(), changed).await;
        }
    }

    async fn acknowledge(&self, receipt: &Receipt, with: Acknowledgement) -> Result<(), LinkError> {
        let channel = self.engine().acknowledge(now(), receipt, with);
        self.changed(channel).notify_waiters();
        Ok(())
    }

    async fn load(&self) -> Result<Option<Entry>, LinkError> {
        self.engine().load()
    }

    async fn store(&self, value: Bytes, expected: Option<u64>) -> Result<Option<u64>, LinkError> {
        self.engine().store(value, expected)
    }
}

/// Returns the time of the runtime, which a test may have paused.
fn now() -> Instant {
    time::Instant::now().into_std()
}
