//! How a handle holds its ring: borrowed or counted.

use core::ops::Deref;

use alloc::sync::Arc;

use crate::ring::Ring;

/// A reference to a ring: `&Ring<T>`, `Arc<Ring<T>>`, or a `Lease<T>` from a pool.
///
/// Handles are generic over it, so that a borrowed handle costs no reference count and a shared
/// one can be `'static`. It cannot be implemented outside this crate: handles rely on every
/// dereference and every clone leading to the same ring.
///
/// ```
/// use reorder_ring::{Consumer, RingRef};
///
/// // Takes the consumer side of a borrowed ring as well as of a shared one.
/// fn take_ready<R: RingRef>(consumer: &mut Consumer<R>) -> Vec<R::Value> {
///     consumer.drain_ready().filter_map(|delivery| delivery.outcome.ok()).collect()
/// }
///
/// # let ring = std::sync::Arc::new(reorder_ring::Ring::with_capacity(1)?);
/// # let (mut producer, mut consumer) = ring.open_owned()?.split();
/// # ring.complete(producer.reserve()?, 'a')?;
/// # assert_eq!(take_ready(&mut consumer), ['a']);
/// # drop((producer, consumer));
/// # let (mut producer, mut consumer) = ring.open()?.split();
/// # ring.complete(producer.reserve()?, 'b')?;
/// # assert_eq!(take_ready(&mut consumer), ['b']);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    #[cfg(feature = "pool")]
    impl<T> Sealed for crate::Lease<T> {}
}
