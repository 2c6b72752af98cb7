//! The auto traits of the handles of a pool. The doc tests in the module `compile_fail`
//! hold the programs that must not compile.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::mem::size_of;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::thread;

use reorder_ring::{Batch, Canceller, Consumer, Lease, Permit, PoolUsage, Producer, RingPool};

/// A type that is `Send` and not `Sync`.
type Value = Cell<u8>;

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn copy<T: Copy>() {}
const fn clone<T: Clone>() {}
const fn default<T: Default>() {}
const fn unpin<T: Unpin>() {}
const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}

macro_rules! all {
    ($($check:ident: $($type:ty),+;)+) => { $($(const _: () = $check::<$type>();)+)+ };
}

all! {
    send: RingPool<Value>, Lease<Value>, PoolUsage;
    sync: RingPool<Value>, Lease<Value>, PoolUsage;
    send: Batch<Lease<Value>>, Producer<Lease<Value>>, Consumer<Lease<Value>>;
    sync: Batch<Lease<Value>>, Producer<Lease<Value>>, Consumer<Lease<Value>>;
    send: Permit<Lease<Value>>, Canceller<Lease<Value>>;
    sync: Permit<Lease<Value>>, Canceller<Lease<Value>>;
    copy: PoolUsage;
    // A pool of values that are not `Send` works on one thread.
    clone: RingPool<Rc<u8>>, Lease<Rc<u8>>, Canceller<Lease<Rc<u8>>>;
    default: RingPool<Rc<u8>>;
    unpin: RingPool<PhantomPinned>, Lease<PhantomPinned>;
    unwind: RingPool<Value>, RingPool<&'static mut Value>, Lease<&'static mut Value>;
}

// A lease is one pointer: an owning handle is as small as a borrowing handle.
const _: () = assert!(size_of::<Option<Lease<u8>>>() == size_of::<usize>());
const _: () = assert!(size_of::<Permit<Lease<u8>>>() <= 40);

#[test]
fn values_that_cannot_be_shared_can_pass_through_a_shared_pool() {
    let pool = RingPool::<Value>::new();
    let (mut producer, mut consumer) = pool.lease(2).unwrap().open_owned().unwrap().split();
    let (ticket, permit) = (producer.reserve().unwrap(), producer.permit().unwrap());
    let late = pool.clone();
    thread::spawn(move || late.complete(ticket, Cell::new(1)).unwrap()).join().unwrap();
    thread::spawn(move || permit.complete(Cell::new(2)).unwrap()).join().unwrap();
    let taking = thread::spawn(move || {
        consumer.drain_ready().map(|next| next.outcome.unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(taking.join().unwrap(), [Cell::new(1), Cell::new(2)]);
}

#[test]
fn values_that_cannot_be_sent_can_pass_through_a_pool_of_one_thread() {
    let pool = RingPool::with_idle_limit(0);
    let value = Rc::new(5);
    for _ in 0..3 {
        let lease = pool.lease(2).unwrap();
        let mut batch = lease.open().unwrap();
        let ticket = batch.reserve().unwrap();
        pool.complete(ticket, Rc::clone(&value)).unwrap();
        assert!(Rc::ptr_eq(&batch.try_next().unwrap().outcome.unwrap(), &value));
        // The end of the lease drops a second value.
        pool.complete(batch.reserve().unwrap(), Rc::clone(&value)).unwrap();
    }
    assert_eq!(Rc::strong_count(&value), 1);
}
