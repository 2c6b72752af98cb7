//! `OrderedWriter`: blocks that are encoded in parallel, and written in order.

mod common;

use std::io::{self, Error, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use common::{Latch, executor, with_timeout};
use reorder_executor::{Block, BlockSink, Executor, OrderedWriter, Shutdown};

fn input(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

/// Writes the block behind a head: its index, its length, and whether it is the last.
fn encode(block: &Block<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend(block.index().to_le_bytes());
    out.extend([block.len() as u8, u8::from(block.is_last())]);
    out.extend_from_slice(block);
    Ok(())
}

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

/// Writes to a vector up to a limit, with `step` bytes at once. Each second call is interrupted.
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    step: usize,
    is_interrupted: bool,
    flushes: usize,
}

impl Sink {
    fn new(limit: usize, step: usize) -> Sink {
        Sink { bytes: Vec::new(), limit, step, is_interrupted: false, flushes: 0 }
    }

    fn interrupt(&mut self) -> io::Result<()> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        let count = bytes.len().min(self.step).min(self.limit - self.bytes.len());
        if count == 0 && !bytes.is_empty() {
            return Err(Error::new(ErrorKind::StorageFull, "the disk is full"));
        }
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.interrupt()?;
        self.flushes += 1;
        Ok(())
    }
}

/// Checks that every later call fails, with the kind and the text of the first error.
fn assert_broken<W: BlockSink<T>, T: Send>(
    writer: &mut OrderedWriter<W, T>,
    kind: ErrorKind,
    text: &str,
) {
    let expected = format!("the writer has failed before: {text}");
    for _ in 0..2 {
        let errors = [
            writer.write(b"more").map(drop),
            writer.write(b"").map(drop),
            writer.flush(),
            writer.try_finish(),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (kind, expected.clone()));
        }
    }
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
fn a_sink_that_fails_at_any_byte_has_all_bytes_before() {
    with_timeout(|| {
        let executor = executor(2);
        let input = input(50);
        let whole = {
            let mut writer = OrderedWriter::new(&executor, Vec::new(), 8, encode);
            writer.write_all(&input).unwrap();
            writer.finish().unwrap()
        };
        for limit in 0..whole.len() {
            for (step, window) in [(1, 1), (3, 2), (100, 100)] {
                let builder = OrderedWriter::builder(8).window(window);
                let mut writer = builder.build(&executor, Sink::new(limit, step), encode);
                let error = match writer.write_all(&input) {
                    Ok(()) => writer.try_finish().unwrap_err(),
                    Err(error) => error,
                };
                assert_eq!(error.kind(), ErrorKind::StorageFull);
                assert_eq!(error.to_string(), "the disk is full");
                assert_broken(&mut writer, ErrorKind::StorageFull, "the disk is full");
                assert_eq!(writer.abort().bytes, whole[..limit]);
            }
        }
        // A sink that takes nothing is an error of its own.
        let mut full = [0; 5];
        let mut writer = OrderedWriter::new(&executor, &mut full[..], 8, encode);
        writer.write_all(&input).unwrap_or(());
        assert_eq!(writer.try_finish().unwrap_err().kind(), ErrorKind::WriteZero);
    });
}

#[test]
fn an_error_of_the_encoder_comes_after_the_blocks_before_it() {
    with_timeout(|| {
        let executor = executor(2);
        for kind in [ErrorKind::InvalidData, ErrorKind::Interrupted] {
            for failing in 0..6 {
                let encode = move |block: &Block<'_>, out: &mut Vec<u8>| {
                    out.extend_from_slice(block);
                    if block.index() < failing { Ok(()) } else { Err(Error::new(kind, "no")) }
                };
                let mut writer = OrderedWriter::new(&executor, Vec::new(), 3, encode);
                let mut result = writer.write_all(b"abcdefghijklmnop");
                if result.is_ok() {
                    result = writer.try_finish();
                }
                // Callers repeat what was interrupted, and nothing could be repeated.
                let expected = if kind == ErrorKind::Interrupted { ErrorKind::Other } else { kind };
                let error = result.unwrap_err();
                assert_eq!((error.kind(), error.to_string()), (expected, "no".to_owned()));
                assert_broken(&mut writer, expected, "no");
                let written = &b"abcdefghijklmnop"[..3 * failing as usize];
                assert_eq!(writer.abort(), written);
            }
        }
    });
}

#[test]
fn the_next_write_returns_the_error_of_an_encoder_and_nothing_more_is_encoded() {
    with_timeout(|| {
        let executor = executor(1);
        let (failed, encoded) = (Latch::default(), Arc::new(AtomicUsize::new(0)));
        let (fails, count) = (failed.clone(), Arc::clone(&encoded));
        let encode = move |block: &Block<'_>, _: &mut Vec<u8>| {
            count.fetch_add(1, SeqCst);
            if block.index() == 0 {
                // The test writes the other blocks meanwhile.
                fails.wait();
            }
            Err::<(), _>(Error::other("no"))
        };
        let builder = OrderedWriter::builder(1).window(100);
        let mut writer = builder.build(&executor, Vec::new(), encode);
        writer.write_all(&[0; 50]).unwrap();
        failed.open();
        // The block that was begun has room for no byte, but later writes would only fill it.
        while writer.write(&[0]).is_ok() {
            thread::yield_now();
        }
        assert_eq!(encoded.load(SeqCst), 1);
        assert_broken(&mut writer, ErrorKind::Other, "no");
    });
}

#[test]
fn a_panic_of_the_encoder_is_an_error_at_its_place() {
    with_timeout(|| {
        let executor = executor(2);
        let mut writer = OrderedWriter::new(&executor, Vec::new(), 2, |block, out| {
            assert_ne!(block.bytes(), b"ef", "not these");
            out.extend_from_slice(block);
            Ok(())
        });
        let result = writer.write_all(b"abcdefgh").and_then(|()| writer.flush());
        let text = result.unwrap_err().to_string();
        assert!(text.contains("panicked") && text.contains("not these"), "{text}");
        assert_broken(&mut writer, ErrorKind::Other, &text);
        assert_eq!(writer.abort(), b"abcd");
    });
}

#[test]
fn a_panic_of_the_sink_is_passed_on_and_ends_the_writer() {
    struct Panics(Vec<u8>);
    impl Write for Panics {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(self.0.len() < 3, "no more");
            self.0.push(bytes[0]);
            Ok(1)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    with_timeout(|| {
        let executor = executor(2);
        let encode = |block: &Block<'_>, out: &mut Vec<u8>| {
            out.extend_from_slice(block);
            Ok(())
        };
        let mut writer = OrderedWriter::new(&executor, Panics(Vec::new()), 2, encode);
        writer.write_all(b"abcdef").unwrap();
        catch_unwind(AssertUnwindSafe(|| writer.try_finish())).unwrap_err();
        assert_broken(&mut writer, ErrorKind::Other, "the sink panicked");
        assert_eq!(writer.abort().0, b"abc");
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
