//! `OrderedReader`: frames that are decoded ahead and in parallel, and read in order.

use std::io::{self, BufRead, Cursor, Error, ErrorKind, Read};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::broken::assert_reader_broken;
use crate::common::{Latch, LiveCounter, NoText, Tracked, executor, with_timeout};
use reorder_executor::{Executor, Frame, OrderedReader, Shutdown, frames_of};

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

/// Puts a byte with the length before each frame. The bytes of the frames are changed.
fn encoded(content: &[u8], size: usize) -> Vec<u8> {
    let frame = |part: &[u8]| [vec![part.len() as u8], part.iter().map(|b| !b).collect()].concat();
    content.chunks(size).flat_map(frame).collect()
}

fn next_frame(mut input: impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    let mut len = [0];
    loop {
        match input.read(&mut len) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    frame.resize(len[0].into(), 0);
    input.read_exact(frame)?;
    Ok(true)
}

fn decode(frame: &Frame<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend(frame.iter().map(|b| !b));
    Ok(())
}

fn reader(executor: &Executor, input: impl Read + Send + 'static) -> OrderedReader {
    OrderedReader::new(executor, input, |input, frame| next_frame(input, frame), decode)
}

/// Reads `step` bytes at once, and then an error. Each second call is interrupted.
struct Input {
    bytes: Cursor<Vec<u8>>,
    step: usize,
    is_interrupted: bool,
    error: Option<ErrorKind>,
}

impl Input {
    fn new(bytes: Vec<u8>, step: usize, error: Option<ErrorKind>) -> Input {
        Input { bytes: Cursor::new(bytes), step, is_interrupted: false, error }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        let count = buffer.len().min(self.step);
        match (self.bytes.read(&mut buffer[..count])?, self.error) {
            (0, Some(kind)) if count > 0 => Err(Error::new(kind, "the disk is gone")),
            (read, _) => Ok(read),
        }
    }
}

#[test]
fn contents_come_in_order_whatever_the_sizes() {
    with_timeout(|| {
        for (workers, window) in [(1, 1), (2, 4), (3, 100)] {
            let executor = executor(workers);
            for size in [1, 7, 64] {
                for len in [0, 1, 6, 7, 8, 63, 64, 65, 300] {
                    let input = Input::new(encoded(&content(len), size), 5, None);
                    let next = |input: &mut Input, frame: &mut Vec<u8>| next_frame(input, frame);
                    let builder = OrderedReader::builder().window(window);
                    let mut reader = builder.build(&executor, input, next, decode);
                    let mut read = Vec::new();
                    if len % 2 == 0 {
                        reader.read_to_end(&mut read).unwrap();
                    } else {
                        let mut part = [0; 3];
                        while let Ok(count @ 1..) = reader.read(&mut part) {
                            read.extend_from_slice(&part[..count]);
                        }
                    }
                    assert_eq!(read, content(len), "{size} {len}");
                    assert_eq!(reader.fill_buf().unwrap(), b"", "the end stays the end");
                }
            }
        }
    });
}

#[test]
fn frames_of_a_fixed_size_have_the_rest_at_the_end() {
    with_timeout(|| {
        let executor = executor(2);
        for size in [1, 3, 10, 11] {
            for step in [1, 2, 100] {
                let input = Input::new(b"0123456789".to_vec(), step, None);
                let decode = |frame: &Frame<'_>, out: &mut Vec<u8>| {
                    out.extend_from_slice(frame.bytes());
                    out.push(b'a' + frame.index() as u8);
                    Ok(())
                };
                let mut text = String::new();
                let mut reader = OrderedReader::new(&executor, input, frames_of(size), decode);
                reader.read_to_string(&mut text).unwrap();
                let expected: String = (0..10_usize)
                    .step_by(size)
                    .zip('a'..)
                    .map(|(at, name)| format!("{}{name}", &"0123456789"[at..10.min(at + size)]))
                    .collect();
                assert_eq!(text, expected);
            }
        }
    });
}

#[test]
fn frames_without_content_are_no_end() {
    with_timeout(|| {
        let executor = executor(2);
        let mut text = String::new();
        let input = &b"\0\0\x01\x9e\0\0\x01\x9d\0"[..];
        reader(&executor, input).read_to_string(&mut text).unwrap();
        assert_eq!(text, "ab");
        let lines: Vec<_> = reader(&executor, Cursor::new(encoded(b"one\ntwo\nthree", 2)))
            .lines()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
    });
}

#[test]
fn an_error_of_the_input_comes_after_the_contents_before_it() {
    with_timeout(|| {
        let executor = executor(2);
        let whole = encoded(&content(30), 4);
        for cut in 0..whole.len() {
            let input = Input::new(whole[..cut].to_vec(), 3, Some(ErrorKind::NotConnected));
            let mut reader = reader(&executor, input);
            let mut read = Vec::new();
            let error = reader.read_to_end(&mut read).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotConnected);
            assert_eq!(read, content(cut / 5 * 4));
            assert_reader_broken(&mut reader, ErrorKind::NotConnected, "the disk is gone");
        }
        // An interruption that the function does not handle would be repeated behind a gap.
        let next = |_: &mut io::Empty, _: &mut Vec<u8>| Err(ErrorKind::Interrupted.into());
        let mut reader = OrderedReader::new(&executor, io::empty(), next, decode);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_reader_broken(&mut reader, ErrorKind::Other, &error.to_string());
    });
}

#[test]
fn an_error_of_the_decoder_comes_after_the_contents_before_it() {
    with_timeout(|| {
        let executor = executor(2);
        for failing in 0..7 {
            for panics in [false, true] {
                let decode = move |frame: &Frame<'_>, out: &mut Vec<u8>| {
                    if frame.index() == failing {
                        assert!(!panics, "not this one");
                        return Err(Error::new(ErrorKind::InvalidData, "not this one"));
                    }
                    decode(frame, out)
                };
                let input = Cursor::new(encoded(&content(30), 4));
                let mut reader =
                    OrderedReader::new(&executor, input, |i, frame| next_frame(i, frame), decode);
                let mut read = Vec::new();
                let error = reader.read_to_end(&mut read).unwrap_err();
                let kind = if panics { ErrorKind::Other } else { ErrorKind::InvalidData };
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().contains("not this one"), "{error}");
                assert_eq!(read, content(failing as usize * 4));
                assert_reader_broken(&mut reader, kind, &error.to_string());
            }
        }
    });
}

#[test]
fn a_panic_of_the_input_is_an_error_at_its_place() {
    struct Panics(Cursor<Vec<u8>>);
    impl Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            assert_ne!(count, 0, "no such sector");
            Ok(count)
        }
    }
    with_timeout(|| {
        let executor = executor(2);
        let mut reader = reader(&executor, Panics(Cursor::new(encoded(&content(10), 4))));
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).unwrap_err();
        assert!(error.to_string().contains("no such sector"), "{error}");
        assert_eq!(read, content(10));
        assert_reader_broken(&mut reader, ErrorKind::Other, &error.to_string());
    });
}

#[test]
fn an_input_that_ends_inside_a_frame_is_an_error() {
    /// Reads frames of 4 bytes, one byte after the other, and returns `false` at the end.
    fn read(input: &mut &[u8], frame: &mut Vec<u8>) -> io::Result<bool> {
        while frame.len() < 4 {
            let mut byte = [0];
            if input.read(&mut byte)? == 0 {
                return Ok(false);
            }
            frame.extend(byte);
        }
        Ok(true)
    }
    with_timeout(|| {
        let executor = executor(2);
        for len in 0..=12 {
            let mut reader =
                OrderedReader::new(&executor, &b"0123456789ab"[..len], read, |f, out| {
                    out.extend_from_slice(f);
                    Ok(())
                });
            let mut contents = Vec::new();
            let result = reader.read_to_end(&mut contents);
            assert_eq!(contents, b"0123456789ab"[..len / 4 * 4]);
            if len % 4 == 0 {
                result.unwrap();
                continue;
            }
            let text = format!("the input ended inside frame {}", len / 4);
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::UnexpectedEof, text.clone()));
            assert_reader_broken(&mut reader, ErrorKind::UnexpectedEof, &text);
        }
    });
}

#[test]
fn an_error_whose_text_panics_ends_the_reader() {
    with_timeout(|| {
        let executor = executor(1);
        let decode = |frame: &Frame<'_>, out: &mut Vec<u8>| match frame.index() {
            1 => Err(Error::new(ErrorKind::NotFound, NoText)),
            _ => decode(frame, out),
        };
        let input = Cursor::new(encoded(&content(30), 4));
        let mut reader = OrderedReader::new(&executor, input, |i, f| next_frame(i, f), decode);
        reader.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), ErrorKind::NotFound);
        let text = "the text of the first error panicked";
        assert_reader_broken(&mut reader, ErrorKind::NotFound, text);
    });
}

/// An endless input that counts its frames.
struct Endless(Arc<AtomicU64>, #[expect(dead_code, reason = "its drop is counted")] Tracked);

fn endless_frame(input: &mut Endless, frame: &mut Vec<u8>) -> io::Result<bool> {
    input.0.fetch_add(1, SeqCst);
    frame.push(0);
    Ok(true)
}

#[test]
fn the_reader_runs_ahead_by_a_window_and_its_drop_ends_that() {
    with_timeout(|| {
        let live = LiveCounter::default();
        for window in [1, 3, 4, 16] {
            let executor = executor(2);
            let read = Arc::new(AtomicU64::new(0));
            let (taken, capture) = (Arc::new(AtomicU64::new(0)), live.track(0));
            let before = Arc::clone(&taken);
            let decode = move |frame: &Frame<'_>, out: &mut Vec<u8>| {
                let _capture = &capture;
                let ahead = frame.index() - before.load(SeqCst).min(frame.index());
                assert!(ahead <= window, "{ahead} frames");
                out.push(1);
                Ok(())
            };
            let input = Endless(Arc::clone(&read), live.track(0));
            let builder = OrderedReader::builder().window(window as usize);
            let mut reader = builder.build(&executor, input, endless_frame, decode);
            for _ in 0..200 {
                reader.read_exact(&mut [0]).unwrap();
                taken.fetch_add(1, SeqCst);
            }
            // Without a reader, the workers fill the window.
            while read.load(SeqCst) < 200 + window {
                std::thread::yield_now();
            }
            drop(reader);
            live.wait_until_none_alive();
            assert_eq!(read.load(SeqCst), 200 + window);
        }
    });
}

#[test]
fn a_reader_that_is_dropped_does_not_wait_for_its_input() {
    with_timeout(|| {
        let executor = executor(1);
        let live = LiveCounter::default();
        let (started, latch, input) = (Latch::default(), Latch::default(), live.track(0));
        let (inside, outside) = (started.clone(), latch.clone());
        let next = move |_: &mut Tracked, _: &mut Vec<u8>| {
            inside.open();
            outside.wait();
            Ok(true)
        };
        let reader = OrderedReader::new(&executor, input, next, decode);
        started.wait();
        drop(reader);
        assert_eq!(live.alive(), 1);
        latch.open();
        live.wait_until_none_alive();
    });
}

#[test]
fn a_forgotten_reader_hinders_nothing() {
    with_timeout(|| {
        let executor = executor(2);
        let live = LiveCounter::default();
        let input = Endless(Arc::default(), live.track(0));
        mem::forget(OrderedReader::new(&executor, input, endless_frame, decode));
        let mut read = Vec::new();
        reader(&executor, Cursor::new(encoded(&content(30), 4))).read_to_end(&mut read).unwrap();
        assert_eq!(read, content(30));
        drop(executor);
    });
}

#[test]
fn readers_inside_of_jobs_and_without_workers_go_on() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let outcomes = executor.stream([10, 20, 30], move |len| {
            let mut read = Vec::new();
            let input = Cursor::new(encoded(&content(len), 4));
            reader(&inner, input).read_to_end(&mut read).unwrap();
            assert_eq!(read, content(len));
        });
        outcomes.for_each(|outcome| outcome.unwrap());

        let mut before = reader(&executor, Cursor::new(encoded(&content(99), 4)));
        before.read_exact(&mut [0; 9]).unwrap();
        _ = executor.shutdown(Shutdown::Abort, None);
        let mut after = reader(&executor, Cursor::new(encoded(&content(99), 4)));
        drop(executor);
        let mut read = Vec::new();
        before.read_to_end(&mut read).unwrap();
        assert_eq!(read, content(99)[9..]);
        read.clear();
        after.read_to_end(&mut read).unwrap();
        assert_eq!(read, content(99));
    });
}

#[test]
fn no_drop_of_an_input_or_a_state_panics_through_the_reader() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("fragile");
        }
    }
    with_timeout(|| {
        for reads_all in [false, true] {
            let executor = executor(2);
            let (capture, in_next) = (Fragile, Fragile);
            let next = move |input: &mut (Cursor<Vec<u8>>, Fragile), frame: &mut Vec<u8>| {
                let _capture = &in_next;
                next_frame(&mut input.0, frame)
            };
            let mut reader = OrderedReader::builder().build_init(
                &executor,
                (Cursor::new(encoded(&content(100), 4)), Fragile),
                next,
                || Fragile,
                move |_, frame, out| {
                    let _capture = &capture;
                    decode(frame, out)
                },
            );
            let mut read = vec![0; 10];
            reader.read_exact(&mut read).unwrap();
            assert_eq!(read, content(100)[..10]);
            if reads_all {
                // The panic in the drop of the input is its last error.
                let error = reader.read_to_end(&mut read).unwrap_err();
                assert!(error.to_string().contains("fragile"), "{error}");
                assert_eq!(read, content(100));
            }
            drop(reader);
            drop(executor);
        }
    });
}
