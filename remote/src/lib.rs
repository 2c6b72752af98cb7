//! Ordered completion over many machines.
//!
//! An [`Owner`] sends the items of a source to [`Worker`]s, by an engine that stores messages. It
//! gets the results in the order of the items, each once. Messages may be lost, doubled, delayed
//! and swapped. Workers and the owner may die at any step. The engine may forget all its messages.
//!
//! ```text
//!            tasks              tasks
//!   owner ──────────▶ engine ──────────▶ workers, on any machines
//!     │   ◀──────────        ◀──────────
//!     ▼      results            results
//!   sink, in order
//! ```
//!
//! ```
//! use std::time::Duration;
//! use reorder_remote::{InProcess, Owner, Task, Worker};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let link = InProcess::new();
//! let worker = Worker::new(link.clone()).concurrency(4);
//! tokio::spawn(worker.run(|task: Task<String>| async move { task.value.parse::<u32>() }));
//!
//! let owner = Owner::builder(link).window(64).attempts(2).open().await?;
//! let texts = ["1", "2", "three", "4"];
//! let mut results = owner.map(texts, |text| text).results::<u32>();
//! let mut sink = Vec::new();
//! while let Some(delivery) = results.next().await? {
//!     sink.push(delivery.outcome.clone().ok());
//!     delivery.commit().await?; // Only now may the engine forget the result.
//! }
//! assert_eq!(sink, [Some(1), Some(2), None, Some(4)]);
//! # Ok(())
//! # }
//! ```
//!
//! # The owner does not trust the engine
//!
//! Engines acknowledge messages before they are on a disk, deliver some of them twice, and do not
//! keep their order. So the owner alone knows which items are missing. It asks for them again after
//! a while, and a ring of `reorder-ring` refuses the second result. A result names its position. So
//! it does not matter how often a task runs, or in which order results arrive. The guarantees of
//! the engine only save time.
//!
//! # What is durable
//!
//! | what | where |
//! |---|---|
//! | the identity of the ring, the lease | one entry of the engine |
//! | the number of committed items | the same entry, or the sink: [`OwnerBuilder::resume_from`] |
//! | tasks, and results that are not committed | the messages of the engine |
//! | the source, which can be read again from an index | the program |
//!
//! If the owner dies, the next owner goes on after the last committed item:
//!
//! | the owner dies | the next owner |
//! |---|---|
//! | before the sink has the item | delivers the item; it may run once more |
//! | after the sink, before the commit | delivers the item again, unless the sink keeps the number |
//! | after the commit | delivers the item after it |
//!
//! If the engine loses the entry while no owner lives, the next owner begins with the first item,
//! unless the sink keeps the number. A live owner stores the entry again.
//!
//! So a sink is idempotent by [`index`](Delivery::index): it keeps its number of items, and ignores
//! an index below it.
//!
//! # What it costs
//!
//! * Jobs run at least once, not exactly once. [`Task::ticket`] is the key by which a job
//!   recognises a repetition.
//! * Each message takes a round trip to the engine. Small jobs share a message:
//!   [`OwnerBuilder::items_per_message`].
//! * One process is the owner. It is resumed after its death, and not replicated.
//! * It needs a tokio runtime.
//!
//! # When not to use it
//!
//! * The jobs fit one machine: `reorder-executor` has no messages, and takes a borrowed function.
//! * The order does not matter: the client of the engine is enough.
//! * Workers are not trusted. A checksum finds damage, and no forgery. Let the engine authenticate
//!   its clients.
//!
//! # Engines
//!
//! [`Link`] says what an engine must give. [`InProcess`] is a link for tests and examples. It fails
//! on demand. With the feature `nats`, `NatsLink` is a link over NATS JetStream.

mod gap;
mod in_process;
mod link;
mod machine;
#[cfg(feature = "nats")]
mod nats;
mod owner;
mod stats;
mod task;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

pub use gap::Gap;
pub use in_process::{Faults, InProcess, Receipt};
pub use link::{Acknowledgement, Channel, Entry, Link, LinkError, Message, MessageId};
#[cfg(feature = "nats")]
pub use nats::{NatsBuilder, NatsError, NatsLink, NatsOperation, NatsReceipt};
pub use owner::{Delivery, Mapped, Owner, OwnerBuilder, OwnerError, Results};
pub use stats::{AnswerStats, OwnerStats, Refused, WorkerStats};
pub use task::{AttemptOutcome, Task};
pub use wire::WireError;
pub use worker::Worker;
