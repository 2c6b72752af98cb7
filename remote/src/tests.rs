//! Tests of the inner parts: the wire, and the machines in virtual time.

mod simulation;
mod wire;
