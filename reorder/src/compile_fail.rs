//! Programs that must not compile. Beside each there is a program that compiles, and that differs
//! in the tested property alone.
//!
//! Only a nightly toolchain checks the codes of the errors. The programs that compile show that the
//! rest of each case is correct.

#[cfg(feature = "pool")]
mod pool;

/// A ring that is shared between threads sends its values.
///
/// ```compile_fail,E0277
/// let ring = reorder_ring::Ring::with_capacity(2)?;
/// let ticket = ring.open()?.reserve()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| _ = ring.complete(ticket, std::rc::Rc::new(1)));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The values need not be `Sync`.
///
/// ```
/// let ring = reorder_ring::Ring::with_capacity(2)?;
/// let ticket = ring.open()?.reserve()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| _ = ring.complete(ticket, std::cell::Cell::new(1)));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
struct SharedRing;

/// No handle sends a value that must not be sent. These handles borrow the ring:
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Batch<&reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Producer<&reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Consumer<&reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Permit<&reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Canceller<&reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Completer<&reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::DrainReady<'_, &reorder_ring::Ring<std::rc::Rc<u8>>>>();
/// ```
///
/// These share the ring, own it, or contain a value:
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Permit<std::sync::Arc<reorder_ring::Ring<std::rc::Rc<u8>>>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Ring<std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Delivery<std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Rejected<std::rc::Rc<u8>>>();
/// ```
///
/// All of them can be sent if the value can.
///
/// ```
/// use reorder_ring::*;
///
/// type Value = std::cell::Cell<u8>;
/// fn send<T: Send>() {}
/// send::<Batch<&Ring<Value>>>();
/// send::<Producer<&Ring<Value>>>();
/// send::<Consumer<&Ring<Value>>>();
/// send::<Permit<&Ring<Value>>>();
/// send::<Canceller<&Ring<Value>>>();
/// send::<Completer<&Ring<Value>>>();
/// send::<DrainReady<'_, &Ring<Value>>>();
/// send::<Permit<std::sync::Arc<Ring<Value>>>>();
/// send::<Ring<Value>>();
/// send::<Delivery<Value>>();
/// send::<Rejected<Value>>();
/// ```
struct SentHandles;

/// A batch, its sides and its permits are not `Clone`.
///
/// ```compile_fail,E0277
/// fn clone<T: Clone>() {}
/// clone::<reorder_ring::Batch<&reorder_ring::Ring<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn clone<T: Clone>() {}
/// clone::<reorder_ring::Producer<&reorder_ring::Ring<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn clone<T: Clone>() {}
/// clone::<reorder_ring::Consumer<&reorder_ring::Ring<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn clone<T: Clone>() {}
/// clone::<reorder_ring::Permit<&reorder_ring::Ring<u8>>>();
/// ```
///
/// Tickets, cancellers and completers are `Clone`.
///
/// ```
/// fn clone<T: Clone>() {}
/// clone::<reorder_ring::Ticket>();
/// clone::<reorder_ring::Canceller<&reorder_ring::Ring<u8>>>();
/// clone::<reorder_ring::Completer<&reorder_ring::Ring<u8>>>();
/// ```
struct OnlyOne;

/// One thread at a time uses a side.
///
/// ```compile_fail,E0596
/// fn both(producer: &reorder_ring::Producer<&reorder_ring::Ring<u8>>) {
///     _ = producer.reserve();
/// }
/// ```
/// ```compile_fail,E0596
/// fn both(consumer: &reorder_ring::Consumer<&reorder_ring::Ring<u8>>) {
///     _ = consumer.try_next();
/// }
/// ```
/// ```
/// fn one(producer: &mut reorder_ring::Producer<&reorder_ring::Ring<u8>>) {
///     _ = producer.reserve();
/// }
/// fn other(consumer: &mut reorder_ring::Consumer<&reorder_ring::Ring<u8>>) {
///     _ = consumer.try_next();
/// }
/// ```
struct OneThread;

/// A batch that borrows its ring does not outlive it.
///
/// ```compile_fail,E0505
/// let ring = reorder_ring::Ring::<u8>::with_capacity(2)?;
/// let batch = ring.open()?;
/// drop(ring);
/// drop(batch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nor does a permit.
///
/// ```compile_fail,E0505
/// let ring = reorder_ring::Ring::<u8>::with_capacity(2)?;
/// let permit = ring.open()?.permit()?;
/// drop(ring);
/// drop(permit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A batch and a permit that share their ring keep it.
///
/// ```
/// let ring = std::sync::Arc::new(reorder_ring::Ring::<u8>::with_capacity(2)?);
/// let mut batch = ring.open_owned()?;
/// let permit = batch.permit()?;
/// drop(ring);
/// drop(batch);
/// drop(permit);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
struct OutlivesItsRing;

/// A ring drops its values, so their borrows have to outlive the ring.
///
/// ```compile_fail,E0597
/// let ring = reorder_ring::Ring::with_capacity(2)?;
/// let word = String::from("short");
/// ring.complete(ring.open()?.reserve()?, &word).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// ```
/// let word = String::from("long");
/// let ring = reorder_ring::Ring::with_capacity(2)?;
/// ring.complete(ring.open()?.reserve()?, &word).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A ring of long-lived values does not coerce to a ring of short-lived values, which would accept
/// a short-lived value.
///
/// ```compile_fail
/// use reorder_ring::Ring;
/// fn shorten<'a>(ring: &'a Ring<&'static str>) -> &'a Ring<&'a str> {
///     ring
/// }
/// ```
/// ```
/// use reorder_ring::Ring;
/// fn same<'a>(ring: &'a Ring<&'static str>) -> &'a Ring<&'static str> {
///     ring
/// }
/// ```
struct Borrows;

/// Other crates cannot implement `RingRef`. An implementation could return another ring at each
/// dereference, and make every check useless.
///
/// ```compile_fail,E0277
/// use reorder_ring::{Ring, RingRef};
///
/// #[derive(Clone)]
/// struct Mine(std::sync::Arc<Ring<u8>>);
/// impl std::ops::Deref for Mine {
///     type Target = Ring<u8>;
///     fn deref(&self) -> &Ring<u8> { &self.0 }
/// }
/// impl RingRef for Mine {
///     type Value = u8;
/// }
/// ```
/// ```
/// use reorder_ring::{Batch, Ring, RingRef};
///
/// #[derive(Clone)]
/// struct Mine(std::sync::Arc<Ring<u8>>);
/// impl std::ops::Deref for Mine {
///     type Target = Ring<u8>;
///     fn deref(&self) -> &Ring<u8> { &self.0 }
/// }
/// // Other crates can be generic over it.
/// fn take<R: RingRef<Value = u8>>(batch: &mut Batch<R>) { _ = batch.try_next(); }
/// ```
struct SealedReference;

/// While a drain exists, the batch cannot take in another way.
///
/// ```compile_fail,E0499
/// fn take(consumer: &mut reorder_ring::Consumer<&reorder_ring::Ring<u8>>) {
///     let mut drain = consumer.drain_ready();
///     _ = consumer.try_next();
///     drain.next();
/// }
/// ```
/// ```
/// fn take(consumer: &mut reorder_ring::Consumer<&reorder_ring::Ring<u8>>) {
///     let mut drain = consumer.drain_ready();
///     drain.next();
///     _ = consumer.try_next();
/// }
/// ```
struct Draining;

/// Other crates cannot make a ticket from its parts.
///
/// ```compile_fail,E0451
/// fn forge(_ring: &reorder_ring::Ring<u8>) -> reorder_ring::Ticket {
///     reorder_ring::Ticket { ring: 1, position: 2 }
/// }
/// ```
/// ```
/// fn check(ring: &reorder_ring::Ring<u8>) -> Option<reorder_ring::Ticket> {
///     ring.ticket_from_bits(1 << 64 | 2).ok()
/// }
/// ```
struct Forged;

/// A permit completes once, and a batch is finished once.
///
/// ```compile_fail,E0382
/// fn twice(permit: reorder_ring::Permit<&reorder_ring::Ring<u8>>) {
///     _ = permit.complete(1);
///     _ = permit.complete(2);
/// }
/// ```
/// ```compile_fail,E0382
/// fn late(mut producer: reorder_ring::Producer<&reorder_ring::Ring<u8>>) {
///     producer.finish();
///     _ = producer.reserve();
/// }
/// ```
/// ```
/// fn once(permit: reorder_ring::Permit<&reorder_ring::Ring<u8>>) {
///     _ = permit.complete(1);
/// }
/// fn early(mut producer: reorder_ring::Producer<&reorder_ring::Ring<u8>>) {
///     _ = producer.reserve();
///     producer.finish();
/// }
/// ```
struct Once;

/// A ticket cannot be deserialized. Its bits can, and the ring checks them.
///
/// ```compile_fail,E0277
/// fn from_wire<T: serde_core::de::DeserializeOwned>() {}
/// from_wire::<reorder_ring::Ticket>();
/// ```
/// ```
/// fn from_wire<T: serde_core::de::DeserializeOwned>() {}
/// from_wire::<reorder_ring::TicketBits>();
/// fn to_wire<T: serde_core::Serialize>() {}
/// to_wire::<reorder_ring::Ticket>();
/// ```
/// ```compile_fail,E0277
/// fn ticket(bits: reorder_ring::TicketBits) -> reorder_ring::Ticket {
///     bits.into()
/// }
/// ```
/// ```
/// fn bits(ticket: reorder_ring::Ticket) -> reorder_ring::TicketBits {
///     ticket.into()
/// }
/// ```
#[cfg(feature = "serde")]
struct FromAWire;

/// Later versions may add variants to errors.
///
/// ```compile_fail,E0004
/// use reorder_ring::Gap;
/// fn notify_producer(gap: Gap) -> &'static str {
///     match gap {
///         Gap::Evicted => "evicted",
///         Gap::Abandoned => "abandoned",
///     }
/// }
/// ```
/// ```
/// use reorder_ring::Gap;
/// fn notify_producer(gap: Gap) -> &'static str {
///     match gap {
///         Gap::Evicted => "evicted",
///         Gap::Abandoned => "abandoned",
///         _ => "another",
///     }
/// }
/// ```
struct MoreToCome;
