//! `OrderedWriter`: errors and panics of the sink and of the encoder.

use std::io::{self, Error, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::broken::assert_writer_broken;
use crate::common::{Latch, NoText, executor, with_timeout};
use crate::writers::{Sink, copy, encode, input};
use reorder_executor::{Block, BlockSink, Executor, OrderedWriter};

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
                assert_writer_broken(&mut writer, ErrorKind::StorageFull, "the disk is full");
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
                assert_writer_broken(&mut writer, expected, "no");
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
        // A writer whose window is full encodes a block itself. This test needs half a minute to
        // fill the window, and the worker fails long before that.
        let builder = OrderedWriter::builder(1).window(30_000);
        let mut writer = builder.build(&executor, Vec::new(), encode);
        writer.write_all(&[0; 50]).unwrap();
        failed.open();
        // The block that was begun has room for no byte, but later writes would only fill it.
        while writer.write(&[0]).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(encoded.load(SeqCst), 1);
        assert_writer_broken(&mut writer, ErrorKind::Other, "no");
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
        assert_writer_broken(&mut writer, ErrorKind::Other, &text);
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
        // The sink may get the first two blocks before the end.
        let call = || writer.write_all(b"abcdef").and_then(|()| writer.try_finish());
        catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        assert_writer_broken(&mut writer, ErrorKind::Other, "the sink panicked");
        assert_eq!(writer.abort().0, b"abc");
    });
}

/// Opens latches when it is dropped.
struct OpenOnDrop([Latch; 3]);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(Latch::open);
    }
}

/// A write, a flush or an end of a writer.
type Call<W> = fn(&mut OrderedWriter<W>) -> io::Result<()>;

fn calls<W: Write>() -> [Call<W>; 3] {
    [|writer| writer.write_all(b"x"), |writer| writer.flush(), |writer| writer.try_finish()]
}

#[test]
fn after_a_failure_a_call_waits_for_the_blocks_before_it_and_for_none_behind_it() {
    with_timeout(|| {
        for (call, panics) in calls().into_iter().flat_map(|call| [(call, false), (call, true)]) {
            let executor = Executor::builder().workers(3).consumer_helps(false).build().unwrap();
            let latches: [(Latch, Latch); 3] = Default::default();
            let inside = latches.clone();
            // If an assertion fails, the executor does not wait for the blocks.
            let _opened = OpenOnDrop(latches.each_ref().map(|(_, go_on)| go_on.clone()));
            let encode = move |block: &Block<'_>, out: &mut Vec<u8>| {
                let (started, go_on) = &inside[block.index() as usize];
                started.open();
                go_on.wait();
                out.extend_from_slice(block);
                if block.index() == 1 {
                    assert!(!panics, "no");
                    return Err(Error::other("no"));
                }
                Ok(())
            };
            let builder = OrderedWriter::builder(1).window(100);
            let mut writer = builder.build(&executor, Vec::new(), encode);
            // The fourth byte sends the third block.
            writer.write_all(b"abcd").unwrap();
            latches.iter().for_each(|(started, _)| started.wait());
            // Block 1 fails. Block 0 runs until the call waits for it, or a little before.
            latches[1].1.open();
            let before = latches[0].1.clone();
            let opens = thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                before.open();
            });
            let mut result = call(&mut writer);
            while result.is_ok() {
                // A write only looks for a failure.
                result = writer.write(b"").map(drop);
            }
            // Block 2 still runs.
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Other);
            assert!(error.to_string().contains("no"), "{error}");
            for later in calls() {
                let later = later(&mut writer).unwrap_err();
                assert_eq!(later.kind(), ErrorKind::Other);
                assert!(later.to_string().ends_with(&error.to_string()), "{later}");
            }
            opens.join().unwrap();
            assert_eq!(writer.abort(), b"a", "the block before the failure was written");
        }
    });
}

#[test]
fn a_panic_of_the_sink_has_its_name_wherever_it_comes() {
    /// Panics in a flush, or in the write of a block.
    struct Panics(bool);
    impl BlockSink for Panics {
        fn write_block(&mut self, _: &[u8], (): ()) -> io::Result<()> {
            assert!(self.0, "a write");
            Ok(())
        }
        fn flush_blocks(&mut self) -> io::Result<()> {
            panic!("a flush");
        }
    }
    with_timeout(|| {
        let executor = executor(1);
        for flushes in [false, true] {
            let mut writer = OrderedWriter::new(&executor, Panics(flushes), 2, copy);
            // The sink may get the first block before the flush.
            let call = || writer.write_all(b"abc").and_then(|()| writer.flush());
            catch_unwind(AssertUnwindSafe(call)).unwrap_err();
            assert_writer_broken(&mut writer, ErrorKind::Other, "the sink panicked");
        }
    });
}

#[test]
fn a_block_sink_that_is_interrupted_ends_the_writer() {
    struct Interrupts;
    impl BlockSink for Interrupts {
        fn write_block(&mut self, _: &[u8], (): ()) -> io::Result<()> {
            Err(Error::new(ErrorKind::Interrupted, "a signal"))
        }
        fn flush_blocks(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    with_timeout(|| {
        let mut writer = OrderedWriter::new(&executor(1), Interrupts, 2, copy);
        writer.write_all(b"ab").unwrap();
        // Callers would repeat an interrupted call, and nothing could be repeated.
        let error = writer.flush().unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Other, "a signal".to_owned()));
        assert_writer_broken(&mut writer, ErrorKind::Other, "a signal");
    });
}

#[test]
fn an_error_whose_text_panics_ends_the_writer() {
    with_timeout(|| {
        let executor = executor(1);
        let encode =
            |_: &Block<'_>, _: &mut Vec<u8>| Err::<(), _>(Error::new(ErrorKind::NotFound, NoText));
        let mut writer = OrderedWriter::new(&executor, Vec::new(), 2, encode);
        writer.write_all(b"ab").unwrap();
        assert_eq!(writer.flush().unwrap_err().kind(), ErrorKind::NotFound);
        let text = "the text of the first error panicked";
        assert_writer_broken(&mut writer, ErrorKind::NotFound, text);
    });
}
