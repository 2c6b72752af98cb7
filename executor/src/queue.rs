//! Queues: ordered calls whose items are sent, one by one, by any number of threads and tasks.
//!
//! ```text
//!  senders ──send──▶ items ──claim, run──▶ ring ──▶ Ordered
//!     │                                     ▲
//!     └──reserve──▶ Place ──complete────────┘
//! ```
//!
//! A sender waits for room on its own thread or task, so no worker sits in a source.
//!
//! | file | contents |
//! |---|---|
//! | `builder` | the settings of a queue |
//! | `sender` | the handle that sends items and reserves places, and its errors |
//! | `sender/sink` | the handle as a `Sink` |
//! | `place` | a place in the order that its owner completes |
//! | `core` | the items that were sent, and the workers' part |
//! | `room` | the senders that wait for room |

pub(crate) mod builder;
pub(crate) mod core;
pub(crate) mod place;
pub(crate) mod room;
pub(crate) mod sender;
