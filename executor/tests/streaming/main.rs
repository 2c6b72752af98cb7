//! Streams, queues, and calls of dispatchers.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/full_queue.rs"]
mod full_queue;
#[path = "../common/scale.rs"]
mod scale;

mod blocked_sources;
mod by_key;
mod by_key_limits;
mod dispatch;
mod ended_calls;
mod fold;
mod queue;
mod queue_room;
mod queue_weights;
mod streams;
mod timing;
mod weights;
