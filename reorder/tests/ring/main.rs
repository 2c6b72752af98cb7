//! The ring through its public interface. What needs a completer stopped in mid-write is tested
//! inside of the crate.

mod ledger;

mod forgotten;
mod reserving;
mod user_drop;
mod window;
