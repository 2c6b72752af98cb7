//! Programs with pools and leases that must not compile.

/// A pool that is shared between threads sends its values. So neither a pool, nor a lease, nor a
/// handle with a lease can be sent if the values cannot.
///
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::RingPool<std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn sync<T: Sync>() {}
/// sync::<reorder_ring::RingPool<std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Lease<std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn sync<T: Sync>() {}
/// sync::<reorder_ring::Lease<std::rc::Rc<u8>>>();
/// ```
/// ```compile_fail,E0277
/// fn send<T: Send>() {}
/// send::<reorder_ring::Permit<reorder_ring::Lease<std::rc::Rc<u8>>>>();
/// ```
/// ```compile_fail,E0277
/// let pool = reorder_ring::RingPool::new();
/// let ticket = pool.lease(2)?.open()?.reserve()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| _ = pool.complete(ticket, std::rc::Rc::new(1)));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The values need not be `Sync`.
///
/// ```
/// use reorder_ring::*;
///
/// type Value = std::cell::Cell<u8>;
/// fn send<T: Send>() {}
/// fn sync<T: Sync>() {}
/// send::<RingPool<Value>>();
/// sync::<RingPool<Value>>();
/// send::<Lease<Value>>();
/// sync::<Lease<Value>>();
/// send::<Permit<Lease<Value>>>();
///
/// let pool = RingPool::new();
/// let ticket = pool.lease(2)?.open()?.reserve()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| _ = pool.complete(ticket, std::cell::Cell::new(1)));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
struct SharedPool;

/// A batch that borrows its lease does not outlive it.
///
/// ```compile_fail,E0505
/// let pool = reorder_ring::RingPool::<u8>::new();
/// let lease = pool.lease(2)?;
/// let batch = lease.open()?;
/// drop(lease);
/// drop(batch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A batch that owns a clone of the lease may outlive it, and a lease may outlive its pool.
///
/// ```
/// let pool = reorder_ring::RingPool::<u8>::new();
/// let lease = pool.lease(2)?;
/// let batch = lease.open_owned()?;
/// drop(pool);
/// drop(lease);
/// drop(batch);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
struct OutlivesItsLease;

/// The last handle of a pool drops its values, so their borrows have to outlive the pool and its
/// leases.
///
/// ```compile_fail,E0597
/// let pool = reorder_ring::RingPool::new();
/// let word = String::from("short");
/// let ticket = pool.lease(2)?.open()?.reserve()?;
/// pool.complete(ticket, &word).unwrap_err();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// ```compile_fail,E0597
/// let lease = reorder_ring::RingPool::new().lease(2)?;
/// let word = String::from("short");
/// lease.complete(lease.open()?.reserve()?, &word).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// ```
/// let word = String::from("long");
/// let pool = reorder_ring::RingPool::new();
/// let ticket = pool.lease(2)?.open()?.reserve()?;
/// pool.complete(ticket, &word).unwrap_err();
///
/// let lease = reorder_ring::RingPool::new().lease(2)?;
/// lease.complete(lease.open()?.reserve()?, &word).unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A pool of long-lived values does not coerce to a pool of short-lived values. Nor does a lease.
///
/// ```compile_fail
/// use reorder_ring::RingPool;
/// fn shorten<'a>(pool: RingPool<&'static str>) -> RingPool<&'a str> {
///     pool
/// }
/// ```
/// ```compile_fail
/// use reorder_ring::Lease;
/// fn shorten<'a>(lease: Lease<&'static str>) -> Lease<&'a str> {
///     lease
/// }
/// ```
/// ```
/// use reorder_ring::{Lease, RingPool};
/// fn same(pool: RingPool<&'static str>) -> RingPool<&'static str> {
///     pool
/// }
/// fn as_well(lease: Lease<&'static str>) -> Lease<&'static str> {
///     lease
/// }
/// ```
struct BorrowsOfAPool;
