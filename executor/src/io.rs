//! The input and the output of a call: shared by `map`, `stream`, `queue` and `dispatch`.
//!
//! | file | contents |
//! |---|---|
//! | `pull` | the right to pull a user's iterator, and the pull itself |
//! | `source` | the source of a stream, and the ring positions of its items |
//! | `chunk` | the outcomes of neighbouring items, in one slot of a ring |
//! | `ordered_output` | the producing end of a stream's ring |
//! | `output_ticket` | the places of items in the output of a call |
//! | `key_order` | the output of a call that orders its outcomes by key |
//! | `key_table` | the outstanding items of such a call: a state machine |
//! | `keyed` | a source whose items have keys |
//! | `collect` | reading a source to its end |
//! | `handover` | items of a pull, which other threads take over if the source blocks |
//! | `weighed` | a source whose items wait for room in a budget |
//! | `reserved` | writing values into the reserved part of a vector |

pub(crate) mod chunk;
pub(crate) mod collect;
pub(crate) mod handover;
pub(crate) mod key_order;
pub(crate) mod key_table;
pub(crate) mod keyed;
pub(crate) mod ordered_output;
pub(crate) mod output_ticket;
pub(crate) mod pull;
pub(crate) mod reserved;
pub(crate) mod source;
pub(crate) mod weighed;

pub(crate) use self::chunk::{Chunk, ChunkRing, Spares};
pub(crate) use self::collect::{Items, collect};
pub(crate) use self::handover::{Handover, PullBuffer};
pub(crate) use self::key_order::{KeyOrder, Overdue};
pub(crate) use self::key_table::Admitted;
pub(crate) use self::key_table::KeyTicket;
pub(crate) use self::keyed::{KeyOfItem, Keyed};
pub(crate) use self::ordered_output::OrderedOutput;
pub(crate) use self::output_ticket::{OutputProducer, OutputTicket};
pub(crate) use self::pull::{Phase, PullLock, Puller, SourceEnd, pull};
pub(crate) use self::reserved::{TakeItems, push_reserved};
pub(crate) use self::source::{Delivered, Filled, LazySource, OrderedSource, never_blocks};
pub(crate) use self::weighed::Weighed;
