//! The auto traits and the sizes of the handles. The doc tests in the module `compile_fail`
//! hold the programs that must not compile.

use std::cell::Cell;
use std::mem::size_of;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::thread;

use reorder_ring::{
    Batch, Busy, Canceller, CapacityError, Completer, Consumer, Delivery, DrainReady, Gap,
    HeadOfLine, HeadState, NextError, NextTimeoutError, ParseTicketError, Permit, Producer, Reason,
    Rejected, ReserveError, ReserveThroughError, Ring, Ticket, TicketBits, TicketError, Tickets,
    TryNextError,
};

/// A type that is `Send` and not `Sync`.
type Value = Cell<u8>;

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn copy<T: Copy>() {}
const fn clone<T: Clone>() {}
const fn unpin<T: Unpin>() {}
const fn unwind<T: UnwindSafe + RefUnwindSafe>() {}
const fn error<T: std::error::Error + Send + Sync + 'static>() {}

macro_rules! all {
    ($($check:ident: $($type:ty),+;)+) => { $($(const _: () = $check::<$type>();)+)+ };
}

all! {
    send: Ring<Value>, Arc<Ring<Value>>, Ticket, Tickets, Delivery<Value>, Rejected<Value>;
    sync: Ring<Value>, Arc<Ring<Value>>, Ticket, Tickets, Delivery<u8>, Rejected<u8>;
    copy: Ticket, Delivery<u8>, Rejected<u8>, Gap, Reason, Busy, HeadOfLine, HeadState;
    clone: Tickets, Canceller<&'static Ring<Value>>, Canceller<Arc<Ring<Value>>>;
    copy: Completer<&'static Ring<Value>>;
    clone: Completer<Arc<Ring<Value>>>;
    // A ring of values that are not `Send` works on one thread.
    clone: Canceller<&'static Ring<std::rc::Rc<u8>>>;
    unpin: Ring<std::marker::PhantomPinned>, Ticket;
    unwind: Ring<Value>, Ring<&'static mut Value>;
    error: Busy, CapacityError, Gap, NextError, NextTimeoutError, Reason, ReserveError;
    error: ReserveThroughError, TicketError, TryNextError, Rejected<u8>, ParseTicketError;
    send: TicketBits;
    sync: TicketBits;
    copy: TicketBits;
    unpin: TicketBits;
}

macro_rules! handles {
    ($($handle:ident),+) => {
        $(
            all! {
                send: $handle<&'static Ring<Value>>, $handle<Arc<Ring<Value>>>;
                sync: $handle<&'static Ring<Value>>, $handle<Arc<Ring<Value>>>;
            }
        )+
    };
}

handles!(Batch, Producer, Consumer, Permit, Canceller, Completer);
all! { send: DrainReady<'static, &'static Ring<Value>>; }

// A ticket has two words: it fits a pair of registers, and `to_bits` loses nothing.
const _: () = assert!(size_of::<Ticket>() == 16 && size_of::<TicketBits>() == 16);
const _: () = assert!(size_of::<Option<Ticket>>() == size_of::<Ticket>());
// A borrowed permit has no reference count: it is a reference, a ticket, an index and a flag.
const _: () = assert!(size_of::<Permit<&Ring<u8>>>() <= 40);

#[test]
fn values_that_cannot_be_shared_can_pass_through_a_shared_ring() {
    let ring = Ring::<Value>::with_capacity(2).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let (ticket, permit) = (producer.reserve().unwrap(), producer.permit().unwrap());
    thread::scope(|scope| {
        // ThreadSanitizer sees these joins, but not the join of the scope.
        scope.spawn(|| ring.complete(ticket, Cell::new(1)).unwrap()).join().unwrap();
        scope.spawn(move || permit.complete(Cell::new(2)).unwrap()).join().unwrap();
    });
    let values: Vec<_> = thread::scope(|scope| {
        let taking =
            scope.spawn(move || consumer.drain_ready().map(|next| next.outcome.unwrap()).collect());
        taking.join().unwrap()
    });
    assert_eq!(values, [Cell::new(1), Cell::new(2)]);
}

#[test]
fn values_that_cannot_be_sent_can_pass_through_a_ring_of_one_thread() {
    let ring = Ring::with_capacity(2).unwrap();
    let value = std::rc::Rc::new(5);
    let mut batch = ring.open().unwrap();
    let ticket = batch.reserve().unwrap();
    ring.complete(ticket, std::rc::Rc::clone(&value)).unwrap();
    assert!(std::rc::Rc::ptr_eq(&batch.try_next().unwrap().outcome.unwrap(), &value));
}
