//! `OrderedWriter`: blocks that are encoded in parallel, and written in order.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::common::{Latch, executor, with_timeout};
use crate::writers::{Sink, copy, encode, input};
use reorder_executor::{Block, BlockSink, Executor, OrderedWriter, Shutdown};

/// Returns what was encoded. Checks the head of each block, and its size.
fn decoded(mut encoded: &[u8], size: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for index in 0_u64.. {
        let (head, rest) = encoded.split_at(10);
        assert_eq!(head[..8], index.to_le_bytes());
        let (len, is_last) = (usize::from(head[8]), head[9] == 1);
        assert!(if is_last { len <= size } else { len == size }, "{len} of {size} bytes");
        content.extend_from_slice(&rest[..len]);
        encoded = &rest[len..];
        if is_last {
            break;
        }
    }
    assert!(encoded.is_empty(), "no block is behind the last");
    content
}

#[test]
fn what_was_written_arrives_in_order_and_in_blocks() {
    with_timeout(|| {
        for (workers, window) in [(1, 1), (2, 3), (3, 100)] {
            let executor = executor(workers);
            for size in [1, 2, 7, 64] {
                for len in [0, 1, 2, 6, 7, 8, 14, 63, 64, 65, 500] {
                    for part in [1, 3, 1000] {
                        let input = input(len);
                        let builder = OrderedWriter::builder(size).window(window);
                        let mut writer = builder.build(&executor, Sink::new(9999, 5), encode);
                        for part in input.chunks(part) {
                            writer.write_all(part).unwrap();
                            assert_eq!(writer.write(b"").unwrap(), 0, "this ends no block");
                        }
                        let sink = writer.finish().unwrap();
                        assert_eq!(sink.flushes, 1);
                        assert_eq!(decoded(&sink.bytes, size), input, "{size} {len} {part}");
                        let blocks = len.div_ceil(size).max(1);
                        assert_eq!(sink.bytes.len(), len + 10 * blocks, "no block is empty");
                    }
                }
            }
        }
    });
}

#[test]
fn after_a_flush_the_sink_has_everything() {
    with_timeout(|| {
        let executor = executor(2);
        let mut writer = OrderedWriter::new(&executor, Sink::new(9999, 99), 4, |block, out| {
            out.extend_from_slice(block);
            out.push(if block.is_last() { b'.' } else { b'|' });
            Ok(())
        });
        writer.flush().unwrap();
        assert_eq!((writer.get_ref().bytes.len(), writer.get_ref().flushes), (0, 1));
        writer.write_all(b"abcdef").unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.get_ref().bytes, b"abcd|ef|");
        writer.write_all(b"ghij").unwrap();
        writer.flush().unwrap();
        assert_eq!(writer.get_mut().bytes, b"abcd|ef|ghij|");
        writer.try_finish().unwrap();
        // Nothing was left, so the last block is empty.
        assert_eq!(writer.get_ref().bytes, b"abcd|ef|ghij|.");
        assert_eq!(writer.get_ref().flushes, 4);
        // Now it has ended.
        writer.try_finish().unwrap();
        writer.flush().unwrap();
        let error = writer.write_all(b"k").unwrap_err();
        assert_eq!(error.to_string(), "the writer is finished already");
        assert_eq!(writer.finish().unwrap().bytes, b"abcd|ef|ghij|.");
    });
}

#[test]
fn the_thread_that_writes_needs_no_worker() {
    with_timeout(|| {
        let executor = executor(1);
        let (started, latch) = (Latch::default(), Latch::default());
        let (inside, outside) = (started.clone(), latch.clone());
        let blocked = executor.stream([()], move |()| {
            inside.open();
            outside.wait();
        });
        started.wait();
        let mut writer = OrderedWriter::builder(3).window(2).build(&executor, Vec::new(), encode);
        writer.write_all(&input(100)).unwrap();
        assert_eq!(decoded(&writer.finish().unwrap(), 3), input(100));
        latch.open();
        drop(blocked);
    });
}

#[test]
fn writers_inside_of_jobs_and_without_workers_go_on() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let write = |executor: &Executor, len: usize| {
            let mut writer = OrderedWriter::new(executor, Vec::new(), 3, encode);
            writer.write_all(&input(len)).unwrap();
            writer.flush().unwrap();
            writer
        };
        let inner = Arc::clone(&executor);
        let outcomes = executor.stream([10, 20, 30], move |len| {
            let written = write(&inner, len).finish().unwrap();
            // The last block is empty after a flush.
            assert_eq!(written.len(), len + 10 * (len.div_ceil(3) + 1));
        });
        outcomes.for_each(|outcome| outcome.unwrap());

        let mut writer = write(&executor, 20);
        _ = executor.shutdown(Shutdown::Abort, None);
        // A writer that is open at the shutdown goes on, and so does a new one.
        writer.write_all(&input(30)).unwrap();
        assert_eq!(writer.finish().unwrap().len(), 50 + 10 * (7 + 10));
        let mut writer = write(&executor, 40);
        drop(executor);
        writer.write_all(&input(30)).unwrap();
        assert_eq!(writer.finish().unwrap().len(), 70 + 10 * (14 + 10));
    });
}

#[test]
fn a_writer_whose_thread_does_not_help_waits_for_the_workers() {
    with_timeout(|| {
        for helps in [false, true] {
            let builder = Executor::builder().workers(1).consumer_helps(helps);
            let executor = Arc::new(builder.build().unwrap());
            let here = thread::current().id();
            let (first, own) = (Latch::default(), Arc::new(AtomicUsize::new(0)));
            let (waits, count) = (first.clone(), Arc::clone(&own));
            let encode = move |block: &Block<'_>, out: &mut Vec<u8>| {
                let is_own = thread::current().id() == here;
                count.fetch_add(usize::from(is_own), SeqCst);
                if is_own {
                    first.open();
                } else if helps {
                    // The only worker waits until this thread has encoded a block.
                    waits.wait();
                }
                out.extend_from_slice(block);
                Ok(())
            };
            let builder = OrderedWriter::builder(1).window(2);
            let mut writer = builder.build(&executor, Vec::new(), encode);
            writer.write_all(&input(500)).unwrap();
            writer.flush().unwrap();
            writer.write_all(&input(9)).unwrap();
            assert_eq!(writer.finish().unwrap(), [input(500), input(9)].concat());
            assert_eq!(own.load(SeqCst) > 0, helps);

            // The only worker encodes the blocks of its own job in any case.
            let inner = Arc::clone(&executor);
            let mut lengths = executor.stream([30], move |len| {
                let mut writer = OrderedWriter::new(&inner, Vec::new(), 3, copy);
                writer.write_all(&input(len)).unwrap();
                writer.finish().unwrap().len()
            });
            assert_eq!(lengths.next().unwrap().unwrap(), 30);
            // So does the calling thread after a shutdown.
            _ = executor.shutdown(Shutdown::Abort, None);
            let mut writer = OrderedWriter::new(&executor, Vec::new(), 3, copy);
            writer.write_all(&input(30)).unwrap();
            assert_eq!(writer.finish().unwrap(), input(30));
        }
    });
}

#[test]
fn no_more_blocks_are_outstanding_than_the_window_has() {
    struct Counts(Arc<AtomicU64>);
    impl BlockSink for Counts {
        fn write_block(&mut self, _: &[u8], (): ()) -> io::Result<()> {
            self.0.fetch_add(1, SeqCst);
            Ok(())
        }
        fn flush_blocks(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    with_timeout(|| {
        let executor = executor(3);
        for window in [1, 2, 5] {
            let written = Arc::new(AtomicU64::new(0));
            let (before, new) = (Arc::clone(&written), Arc::new(AtomicUsize::new(0)));
            let new_buffers = Arc::clone(&new);
            let encode = move |block: &Block<'_>, out: &mut Vec<u8>| {
                let outstanding = block.index() + 1 - before.load(SeqCst);
                assert!(outstanding <= window, "{outstanding} blocks");
                assert!(out.is_empty());
                new_buffers.fetch_add(usize::from(out.capacity() == 0), SeqCst);
                out.extend([0; 100]);
                Ok(())
            };
            let builder = OrderedWriter::builder(2).window(window as usize);
            let mut writer = builder.build(&executor, Counts(Arc::clone(&written)), encode);
            writer.write_all(&[0; 1000]).unwrap();
            writer.finish().unwrap();
            assert_eq!(written.load(SeqCst), 500);
            // The window, 3 workers and this thread, and the block that is begun.
            let new = new.load(SeqCst);
            assert!(new <= window as usize + 5, "buffers are used again, but {new} were new");
        }
    });
}
