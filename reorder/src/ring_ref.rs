//! How a handle holds its ring: borrowed or counted.

use core::ops::Deref;

use alloc::sync::Arc;

use crate::ring::Ring;

/// A reference to a ring: `&Ring<T>` or `Arc<Ring<T>>`.
///
/// Handles are generic over it, so that a borrowed handle costs no reference count and a shared
/// one can be `'static`. It cannot be implemented outside this crate: handles rely on every
/// dereference and every clone leading to the same ring.
pub trait RingRef: Deref<Target = Ring<Self::Value>> + Clone + sealed::Sealed {
    /// What the ring carries.
    type Value;
}

impl<T> RingRef for &Ring<T> {
    type Value = T;
}

impl<T> RingRef for Arc<Ring<T>> {
    type Value = T;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for &super::Ring<T> {}
    impl<T> Sealed for super::Arc<super::Ring<T>> {}
}
