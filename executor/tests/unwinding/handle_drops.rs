//! Handles that are dropped or forgotten at an inconvenient time, with values that have no size,
//! that are counted, or whose `Drop` panics.
//!
//! | handle | also tested in |
//! |---|---|
//! | `QueueSender`, `Place` | `queue.rs` |
//! | `Sink` | `sink.rs` |
//! | `OrderedWriter` | `ordered_writer_drops.rs` |
//! | `OrderedReader` | `ordered_reader.rs` |
//! | `CancelOnDrop` | `tokens.rs` |

use std::io::{self, BufRead, Cursor, Read, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

use crate::common::{LiveCounter, executor, kinds, with_timeout};
use reorder_executor::{
    BlockSink, CancellationToken, Executor, OrderedReader, OrderedWriter, frames_of,
};

/// The number of the values without a size that are alive, for each test.
static ALIVE: [AtomicIsize; 8] = [const { AtomicIsize::new(0) }; 8];

/// A value without a size. If `FRAGILE`, its `Drop` panics.
struct Unit<const TEST: usize, const FRAGILE: bool>;

impl<const TEST: usize, const FRAGILE: bool> Unit<TEST, FRAGILE> {
    fn new() -> Self {
        ALIVE[TEST].fetch_add(1, SeqCst);
        Unit
    }

    /// Ends the value without a panic.
    fn end(self) {
        ALIVE[TEST].fetch_sub(1, SeqCst);
        mem::forget(self);
    }
}

impl<const TEST: usize, const FRAGILE: bool> Drop for Unit<TEST, FRAGILE> {
    fn drop(&mut self) {
        ALIVE[TEST].fetch_sub(1, SeqCst);
        if FRAGILE {
            resume_unwind(Box::new("fragile"));
        }
    }
}

fn wait_until_none_alive(test: usize) {
    while ALIVE[test].load(SeqCst) != 0 {
        std::thread::yield_now();
    }
}

/// Calls `f`, in which a value may panic when it is dropped.
fn caught<R>(f: impl FnOnce() -> R) -> Option<R> {
    let caught = catch_unwind(AssertUnwindSafe(f));
    caught.inspect_err(|payload| assert_eq!(payload.downcast_ref::<&str>(), Some(&"fragile"))).ok()
}

fn assert_usable(executor: &Executor) {
    assert_eq!(executor.map([1, 2, 3], |n| n), [1, 2, 3]);
}

/// Sends items through a queue, takes some outcomes, and ends the queue in one of four ways.
fn end_queue<const ITEM: usize, const RESULT: usize, const FRAGILE: bool>(round: usize) {
    let executor = executor(2);
    let job = |item: Unit<ITEM, FRAGILE>| {
        item.end();
        Unit::<RESULT, FRAGILE>::new()
    };
    let (sender, mut outcomes) = executor.queue(job).window(8).build().unwrap();
    let place = sender.reserve().unwrap();
    (0..7).for_each(|_| sender.send(Unit::new()).unwrap());
    // The window is full, so this item comes back.
    sender.try_send(Unit::new()).unwrap_err().into_inner().end();
    assert!(place.complete(Ok(Unit::new())).is_ok());
    outcomes.by_ref().take(round % 9).for_each(|outcome| outcome.unwrap().end());
    let mut kept = None;
    match round % 4 {
        0 => {
            drop(sender);
            caught(|| drop(outcomes));
        }
        1 => {
            caught(|| drop(outcomes));
            sender.take_unstarted().into_iter().for_each(Unit::end);
            sender.send(Unit::new()).unwrap_err().into_inner().end();
            drop(sender);
        }
        2 => {
            caught(|| drop(outcomes));
            caught(|| drop(sender));
        }
        _ => {
            caught(|| drop(outcomes));
            sender.take_unstarted().into_iter().for_each(Unit::end);
            kept = Some(sender);
        }
    }
    assert_usable(&executor);
    // No worker runs afterwards.
    drop(executor);
    wait_until_none_alive(ITEM);
    // A sender keeps the ring, which holds a result that was written while the stream of outcomes
    // was dropped.
    drop(kept);
    wait_until_none_alive(RESULT);
}

#[test]
fn values_without_a_size_are_dropped_once_by_a_queue() {
    with_timeout(|| (0..200).for_each(end_queue::<0, 1, false>));
}

#[test]
fn values_whose_drop_panics_are_dropped_once_by_a_queue() {
    with_timeout(|| (0..200).for_each(end_queue::<2, 3, true>));
}

#[test]
fn a_place_ends_once_however_it_is_dropped() {
    with_timeout(|| {
        let executor = executor(1);
        let queue = executor.queue(|item: Unit<4, true>| item).window(4).build();
        let (sender, mut outcomes) = queue.unwrap();
        let places = [(); 3].map(|()| sender.reserve().unwrap());
        let [dropped, unwound, completed] = places;
        drop(dropped);
        caught(|| {
            let _place = unwound;
            resume_unwind(Box::new("fragile"))
        });
        assert!(completed.complete(Ok(Unit::new())).is_ok());
        let outcomes_of_places: Vec<_> = outcomes.by_ref().take(3).collect();
        assert_eq!(kinds(&outcomes_of_places), "dd.");
        outcomes_of_places.into_iter().flatten().for_each(Unit::end);
        // After the end, a result comes back. A forgotten place does not keep the rest.
        let (late, forgotten) = (sender.reserve().unwrap(), sender.reserve().unwrap());
        mem::forget(forgotten);
        drop(outcomes);
        assert!(!late.is_wanted());
        late.complete(Ok(Unit::new())).unwrap_err().unwrap().end();
        drop(sender);
        assert_usable(&executor);
        wait_until_none_alive(4);
    });
}

#[cfg(feature = "sink")]
#[test]
fn a_sink_drops_each_value_once_though_its_drop_panics() {
    use futures_util::SinkExt;

    with_timeout(|| {
        for taken in 0..4 {
            let executor = executor(1);
            let job = |item: Unit<5, true>| item;
            let (mut sink, mut outcomes) = executor.queue(job).window(4).build().unwrap();
            for _ in 0..3 {
                assert!(crate::common::block_on(sink.feed(Unit::new())).is_ok());
            }
            outcomes.by_ref().take(taken).for_each(|outcome| outcome.unwrap().end());
            let forgotten = sink.clone();
            caught(|| drop(outcomes));
            // The item comes back, or the future drops it that could not send it.
            caught(|| {
                let refused = crate::common::block_on(sink.feed(Unit::new()));
                refused.unwrap_err().into_inner().map(Unit::end)
            });
            sink.take_unstarted().into_iter().for_each(Unit::end);
            mem::forget(forgotten);
            caught(|| drop(sink));
            assert_usable(&executor);
            drop(executor);
            wait_until_none_alive(5);
        }
    });
}

/// A sink that drops the values of its blocks, and fails at one of them.
struct FailsAt(usize);

impl<const FRAGILE: bool> BlockSink<Unit<6, FRAGILE>> for FailsAt {
    fn write_block(&mut self, _: &[u8], value: Unit<6, FRAGILE>) -> io::Result<()> {
        value.end();
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn flush_blocks(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_drops_the_values_of_blocks_once_also_without_a_size() {
    with_timeout(|| {
        for blocks in [0, 3, 100] {
            for ending in 0..4 {
                let executor = executor(2);
                let builder = OrderedWriter::builder(1).window(4);
                let mut writer = builder.build(&executor, FailsAt(blocks), |block, out| {
                    out.extend(block.bytes());
                    Ok(Unit::<6, true>::new())
                });
                let written = writer.write_all(&[0; 10]).is_ok();
                match ending {
                    0 => drop(writer),
                    1 => assert_eq!(writer.finish().is_ok() && written, blocks == 100),
                    2 => _ = writer.abort(),
                    _ => _ = writer.flush(),
                }
                assert_usable(&executor);
                wait_until_none_alive(6);
            }
        }
    });
}

/// An input whose `Drop` is counted.
struct Input(Cursor<Vec<u8>>, #[expect(dead_code, reason = "only dropped")] crate::common::Tracked);

impl Read for Input {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

#[test]
fn a_reader_drops_its_input_its_captures_and_its_states_once() {
    with_timeout(|| {
        for ending in 0..4 {
            let (executor, live) = (executor(2), LiveCounter::default());
            let input = Input(Cursor::new(vec![1; 100]), live.track(0));
            let (capture, mut next) = ((live.track(1), live.track(2)), frames_of(8));
            let (of_next, of_decode) = capture;
            let mut reader = OrderedReader::builder().build_init(
                &executor,
                input,
                move |input: &mut Input, frame: &mut Vec<u8>| {
                    let _capture = &of_next;
                    next(input, frame)
                },
                Unit::<7, true>::new,
                move |_state, frame, out| {
                    let _capture = &of_decode;
                    if ending == 2 && frame.index() == 5 {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    out.extend(frame.bytes());
                    Ok(())
                },
            );
            match ending {
                0 => assert_eq!(reader.fill_buf().unwrap(), [1; 8]),
                1 => assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 100),
                2 => assert!(reader.read_to_end(&mut Vec::new()).is_err()),
                _ => {}
            }
            drop(reader);
            assert_usable(&executor);
            drop(executor);
            live.wait_until_none_alive();
            wait_until_none_alive(7);
        }
    });
}

#[test]
fn a_guard_that_is_dropped_by_a_panic_cancels_though_a_waker_panics() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("the waker"));
        }
    }
    let token = CancellationToken::new();
    let waker = Waker::from(Arc::new(Panics));
    let mut cancelled = token.cancelled();
    assert!(std::pin::Pin::new(&mut cancelled).poll(&mut Context::from_waker(&waker)).is_pending());
    // Two panics at once would abort.
    let none: Option<()> = caught(|| {
        let _guard = token.clone().drop_guard();
        resume_unwind(Box::new("fragile"))
    });
    assert!(none.is_none() && token.is_cancelled());
}
