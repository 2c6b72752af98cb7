//! The link over NATS JetStream, against servers that the tests start.
//!
//! The tests run if `REORDER_NATS_SERVER` gives the path of the program `nats-server`. Otherwise
//! they print a line, and pass.

mod cluster;
mod connect;
mod jobs;
mod link;
mod server;
