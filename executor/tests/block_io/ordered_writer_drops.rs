//! `OrderedWriter`: what is dropped, forgotten, or panics in its `Drop`.

use std::io::{self, Error, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::common::{LiveCounter, Tracked, executor, with_timeout};
use reorder_executor::{Block, BlockSink, OrderedWriter};

/// Counts what was dropped, and keeps the values of blocks.
struct Values(Vec<Tracked>);

impl BlockSink<Tracked> for Values {
    fn write_block(&mut self, _: &[u8], value: Tracked) -> io::Result<()> {
        if value.value == 5 {
            return Err(Error::other("five"));
        }
        self.0.push(value);
        Ok(())
    }

    fn flush_blocks(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_value_and_every_capture_is_dropped_once() {
    with_timeout(|| {
        let live = LiveCounter::default();
        for ending in ["drop", "finish", "error", "abort"] {
            let executor = executor(2);
            let (capture, states, counter) = (live.track(0), live.clone(), live.clone());
            let mut writer = OrderedWriter::builder(1).window(4).build_init(
                &executor,
                Values(Vec::new()),
                move || states.track(0),
                move |_state, block, _| {
                    let _capture = &capture;
                    Ok(counter.track(block.index()))
                },
            );
            let count = if ending == "error" { 20 } else { 5 };
            let result = writer.write_all(&vec![0; count]);
            assert_eq!(result.is_err(), ending == "error");
            match ending {
                "finish" => assert_eq!(writer.finish().unwrap().0.len(), 5),
                "abort" => _ = writer.abort(),
                _ => drop(writer),
            }
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_forgotten_writer_hinders_nothing() {
    with_timeout(|| {
        let executor = executor(2);
        let encode = |block: &Block<'_>, out: &mut Vec<u8>| {
            out.extend_from_slice(block);
            Ok(())
        };
        let mut writer = OrderedWriter::new(&executor, Vec::new(), 2, encode);
        writer.write_all(&[1; 20]).unwrap();
        mem::forget(writer);
        let mut writer = OrderedWriter::new(&executor, Vec::new(), 2, encode);
        writer.write_all(&[2; 20]).unwrap();
        assert_eq!(writer.finish().unwrap(), [2; 20]);
        drop(executor);
    });
}

/// Panics when it is dropped, if it may.
struct Fragile(Arc<AtomicBool>);

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.0.load(SeqCst), "fragile");
    }
}

#[test]
fn no_drop_of_a_value_a_state_or_a_capture_panics_through_the_writer() {
    struct Ignores;
    impl BlockSink<Fragile> for Ignores {
        fn write_block(&mut self, _: &[u8], value: Fragile) -> io::Result<()> {
            mem::forget(value);
            Ok(())
        }
        fn flush_blocks(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    with_timeout(|| {
        for is_finished in [false, true] {
            let executor = executor(2);
            let panics = Arc::new(AtomicBool::new(true));
            let (states, values) = (Arc::clone(&panics), Arc::clone(&panics));
            let capture = Fragile(Arc::clone(&panics));
            let mut writer = OrderedWriter::builder(1).window(8).build_init(
                &executor,
                Ignores,
                move || Fragile(Arc::clone(&states)),
                move |_, block, _| {
                    let _capture = &capture;
                    if block.index() == 20 {
                        // The state is dropped while this unwinds.
                        panic!("twenty");
                    }
                    Ok(Fragile(Arc::clone(&values)))
                },
            );
            writer.write_all(&[0; 10]).unwrap();
            if is_finished {
                writer.finish().unwrap();
            } else {
                _ = writer.write_all(&[0; 30]);
                drop(writer);
            }
            drop(executor);
        }
    });
}

#[test]
fn a_state_is_used_by_one_thread_at_a_time_and_not_after_a_panic() {
    with_timeout(|| {
        let executor = executor(3);
        let made = Arc::new(AtomicUsize::new(0));
        let (count, seen) = (Arc::clone(&made), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&seen);
        let mut writer = OrderedWriter::builder(1).build_init(
            &executor,
            io::sink(),
            move || (count.fetch_add(1, SeqCst), 0),
            move |(state, uses), block, _| {
                *uses += 1;
                log.lock().unwrap().push((*state, *uses));
                assert_ne!(block[0], 1, "a panic");
                Ok(())
            },
        );
        writer.write_all(&[0; 200]).unwrap();
        assert!(writer.write_all(&[1]).and_then(|()| writer.try_finish()).is_err());
        let made = made.load(SeqCst);
        assert!((1..=4).contains(&made), "3 workers and this thread, but {made} states");
        let mut seen = seen.lock().unwrap().clone();
        let uses = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), uses), (201, 201), "each use is the next of its state");
    });
}
