//! Tests of the inner parts.

mod wire;
