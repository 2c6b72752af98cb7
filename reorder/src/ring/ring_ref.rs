//! The reference of a handle to its ring: borrowed or counted.

use core::ops::Deref;

use alloc::sync::Arc;

use crate::ring::Ring;

/// A reference to a ring: `&Ring<T>`, `Arc<Ring<T>>`, or a `Lease<T>` from a pool.
///
/// Handles are generic over the reference. A handle that borrows the ring costs no reference count,
/// and a handle that shares it can be `'static`.
///
/// The trait cannot be implemented outside of this crate. Handles rely on every dereference and
/// every clone leading to the same ring.
///
/// ```
/// use reorder_ring::{Consumer, RingRef};
///
/// // Accepts the consumer of a borrowed ring, and of a shared ring.
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
    /// The type of the values in the ring.
    type Value;
}

impl<T> RingRef for &Ring<T> {
    type Value = T;
}

impl<T> RingRef for Arc<Ring<T>> {
    type Value = T;
}

pub(crate) mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for &super::Ring<T> {}
    impl<T> Sealed for super::Arc<super::Ring<T>> {}
}
