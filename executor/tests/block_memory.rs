//! The memory of `OrderedWriter` and `OrderedReader`: the number of their buffers, and the errors
//! if there is no memory for one.

#[path = "common/broken.rs"]
mod broken;
mod common;
#[path = "common/large_blocks.rs"]
mod large_blocks;

use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use broken::{assert_error, assert_reader_broken, assert_writer_broken};
use common::{Latch, with_timeout};
use large_blocks::{LARGE, count, refuse, take_peak};
use reorder_executor::{Block, Executor, Frame, OrderedReader, OrderedWriter, frames_of};

/// Runs a test while no other test of this file runs, because the allocator counts for all.
fn alone(test: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with_timeout(test);
}

#[test]
fn a_writer_has_as_many_buffers_as_its_window_says() {
    const WORKERS: usize = 2;
    const WINDOW: usize = 6;
    alone(|| {
        for helps in [true, false] {
            let builder = Executor::builder().workers(WORKERS).consumer_helps(helps);
            let executor = builder.build().unwrap();
            let (before, here) = (count(), thread::current().id());
            let (started, go_on) = (Arc::new(AtomicUsize::new(0)), Latch::default());
            let (starts, goes_on) = (Arc::clone(&started), go_on.clone());
            let has_counted = AtomicBool::new(false);
            let encode = move |block: &Block<'_>, out: &mut Vec<u8>| {
                out.reserve_exact(2 * LARGE);
                if thread::current().id() != here {
                    // Both workers encode until this thread has counted.
                    starts.fetch_add(1, SeqCst);
                    goes_on.wait();
                } else if !has_counted.swap(true, SeqCst) {
                    while starts.load(SeqCst) < WORKERS {
                        thread::yield_now();
                    }
                    // The window, three outputs, the block that waits, and the block behind it.
                    assert_eq!(count() - before, WINDOW + WORKERS + 1 + 2);
                    goes_on.open();
                }
                out.extend_from_slice(block);
                Ok(())
            };
            if !helps {
                go_on.open();
            }
            take_peak();
            let builder = OrderedWriter::builder(LARGE).dictionary(LARGE).window(WINDOW);
            let mut writer = builder.build(&executor, io::sink(), encode);
            for _ in 0..60 {
                writer.write_all(&[0; LARGE / 2]).unwrap();
            }
            writer.finish().unwrap();
            assert!(started.load(SeqCst) >= WORKERS || !helps);
            let most = WINDOW + WORKERS + usize::from(helps) + 2;
            let peak = take_peak() - before;
            assert!(peak <= most, "{peak} buffers, of at most {most}");
        }
    });
}

#[test]
fn a_reader_has_at_most_as_many_buffers_as_its_window_says() {
    alone(|| {
        for (helps, slow_reads) in [(true, false), (false, false), (false, true)] {
            let builder = Executor::builder().workers(2).consumer_helps(helps);
            let executor = builder.build().unwrap();
            let (before, _) = (count(), take_peak());
            let decode = |frame: &Frame<'_>, out: &mut Vec<u8>| {
                out.reserve_exact(LARGE);
                out.extend_from_slice(frame);
                Ok(())
            };
            let input = io::repeat(7).take(60 * LARGE as u64);
            let builder = OrderedReader::builder().window(4);
            let mut reader = builder.build(&executor, input, frames_of(LARGE), decode);
            let mut part = vec![0; LARGE / 2];
            for _ in 0..120 {
                if slow_reads {
                    thread::yield_now();
                }
                reader.read_exact(&mut part).unwrap();
            }
            assert_eq!(reader.read(&mut part).unwrap(), 0);
            let most = 4 + 2 + usize::from(helps) + 1;
            let peak = take_peak() - before;
            assert!(peak <= most, "{peak} buffers, of at most {most}");
            drop(reader);
        }
    });
}

const NO_MEMORY: ErrorKind = ErrorKind::OutOfMemory;

fn encode(block: &Block<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.push(block[0]);
    Ok(())
}

#[test]
fn a_block_for_which_there_is_no_memory_is_an_error_of_the_write() {
    alone(|| {
        let executor = Executor::builder().workers(1).build().unwrap();
        for size in [2 * LARGE, usize::MAX] {
            let mut writer = OrderedWriter::new(&executor, Vec::new(), size, encode);
            let _refused = refuse(2 * LARGE);
            assert_eq!(writer.write(b"").unwrap(), 0, "no byte needs no memory");
            let text = format!("no memory for a block of {size} bytes");
            assert_error(&writer.write(b"a").unwrap_err(), NO_MEMORY, &text);
            assert_writer_broken(&mut writer, NO_MEMORY, &text);
            assert_eq!(writer.abort(), b"");
        }
    });
}

#[test]
fn a_dictionary_for_which_there_is_no_memory_is_an_error_of_the_write() {
    alone(|| {
        let executor = Executor::builder().workers(1).build().unwrap();
        let text = format!("no memory for a dictionary of {} bytes", 2 * LARGE);
        let builder = OrderedWriter::builder(2 * LARGE).dictionary(usize::MAX);
        let mut writer = builder.build(&executor, Vec::new(), encode);
        writer.write_all(&vec![1; 2 * LARGE]).unwrap();
        let refused = refuse(2 * LARGE);
        assert_error(&writer.write(b"a").unwrap_err(), NO_MEMORY, &text);
        assert_writer_broken(&mut writer, NO_MEMORY, &text);
        drop(refused);

        // No block is behind the last, so it needs no memory.
        let builder = OrderedWriter::builder(2 * LARGE).dictionary(usize::MAX);
        let mut writer = builder.build(&executor, Vec::new(), encode);
        writer.write_all(&vec![1; 2 * LARGE]).unwrap();
        let _refused = refuse(LARGE);
        assert_eq!(writer.finish().unwrap(), [1]);
    });
}

#[test]
fn an_encoder_without_memory_returns_an_error_at_its_place() {
    alone(|| {
        let executor = Executor::builder().workers(1).build().unwrap();
        let mut writer = OrderedWriter::new(&executor, Vec::new(), 1, |block, out| {
            out.try_reserve(if &block[..] == b"c" { 2 * LARGE } else { 1 })?;
            encode(block, out)
        });
        let _refused = refuse(2 * LARGE);
        let error = writer.write_all(b"abcd").and_then(|()| writer.flush()).unwrap_err();
        assert_eq!(error.kind(), NO_MEMORY);
        assert_writer_broken(&mut writer, NO_MEMORY, &error.to_string());
        assert_eq!(writer.abort(), b"ab");
    });
}

#[test]
fn a_block_without_memory_loses_the_blocks_that_were_not_written() {
    alone(|| {
        let executor = Executor::builder().workers(1).build().unwrap();
        let go_on = Latch::default();
        let latch = go_on.clone();
        let held = move |block: &Block<'_>, out: &mut Vec<u8>| {
            latch.wait();
            encode(block, out)
        };
        let mut writer = OrderedWriter::new(&executor, Vec::new(), 2 * LARGE, held);
        writer.write_all(&vec![1; 2 * LARGE]).unwrap();
        let refused = refuse(2 * LARGE);
        // The first block is sent, and there is no memory for the second one.
        let text = format!("no memory for a block of {} bytes", 2 * LARGE);
        assert_error(&writer.write(b"a").unwrap_err(), NO_MEMORY, &text);
        drop(refused);
        go_on.open();
        assert_writer_broken(&mut writer, NO_MEMORY, &text);
        assert_eq!(writer.abort(), b"");
    });
}

#[test]
fn a_frame_for_which_there_is_no_memory_is_an_error_at_its_place() {
    alone(|| {
        let executor = Executor::builder().workers(1).build().unwrap();
        for size in [2 * LARGE, usize::MAX] {
            let _refused = refuse(2 * LARGE);
            let decode = |frame: &Frame<'_>, out: &mut Vec<u8>| {
                out.extend_from_slice(frame);
                Ok(())
            };
            let mut reader = OrderedReader::new(&executor, &b"abc"[..], frames_of(size), decode);
            let text = format!("no memory for a frame of {size} bytes");
            assert_error(&reader.read(&mut [0]).unwrap_err(), NO_MEMORY, &text);
            assert_reader_broken(&mut reader, NO_MEMORY, &text);
        }
    });
}
