//! Tests of the ring through its public interface. The tests inside the crate stop a completer
//! while it writes.

#[cfg(all(target_os = "linux", not(miri), feature = "std"))]
mod cpu_time;
mod drop_counter;
mod values;
mod wake_counter;

mod auto_traits;
mod boundaries;
mod budget;
mod by_index;
mod end_states;
mod forgotten_handles;
mod futures;
mod gaps;
mod order;
mod payloads;
mod reopen;
mod reserve;
mod resume;
mod space;
mod unsplit;
mod user_drop;
#[cfg(feature = "std")]
mod waits;
mod wake_ups;
mod waker_panics;
mod wanted;
