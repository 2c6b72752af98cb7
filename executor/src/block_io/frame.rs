//! A frame as its decoder gets it, and the frames of an input.

use std::fmt;
use std::io::{self, Error, ErrorKind, Read};
use std::ops::Deref;

use crate::block_io::spares::{Spares, reserve};
use crate::unwind::DiscardOnDrop;

/// An encoded block of the input of an [`OrderedReader`](crate::OrderedReader), as its decoder gets
/// it.
///
/// It dereferences to its bytes.
pub struct Frame<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) index: u64,
}

impl<'a> Frame<'a> {
    /// Returns the bytes of the frame. Their lifetime is longer than that of `&self`.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the number of frames before this one.
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl Deref for Frame<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("index", &self.index)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Returns a function that reads frames of `size` bytes, for
/// [`OrderedReader::new`](crate::OrderedReader::new). The last frame may be shorter.
///
/// If there is no memory for a frame, the function returns an error of the kind
/// [`OutOfMemory`](ErrorKind::OutOfMemory).
///
/// # Panics
///
/// If `size` is 0.
pub fn frames_of<R: Read>(size: usize) -> impl FnMut(&mut R, &mut Vec<u8>) -> io::Result<bool> {
    assert_ne!(size, 0, "a frame has at least 1 byte");
    move |input, frame| {
        reserve(frame, size, "a frame")?;
        Ok(input.take(size as u64).read_to_end(frame)? > 0)
    }
}

/// A frame on its way to its decoder.
pub(super) struct OwnedFrame {
    pub(super) bytes: Vec<u8>,
    pub(super) index: u64,
}

/// The frames of an input, which are the source of a stream. An error is the last item.
///
/// If the input panics when it is dropped, that panic is passed on. The `Drop` of the function may
/// panic as well. A second panic would end the process.
pub(super) struct Frames<R, F> {
    input: R,
    next_frame: DiscardOnDrop<F>,
    index: u64,
    spares: Spares,
    has_ended: bool,
}

impl<R, F> Frames<R, F> {
    pub(super) fn new(input: R, next_frame: F, spares: Spares) -> Self {
        let next_frame = DiscardOnDrop::new(next_frame);
        Frames { input, next_frame, index: 0, spares, has_ended: false }
    }
}

impl<R, F> Iterator for Frames<R, F>
where
    F: FnMut(&mut R, &mut Vec<u8>) -> io::Result<bool>,
{
    type Item = io::Result<OwnedFrame>;

    fn next(&mut self) -> Option<io::Result<OwnedFrame>> {
        if self.has_ended {
            return None;
        }
        let mut bytes = self.spares.take();
        let read = (self.next_frame)(&mut self.input, &mut bytes);
        self.has_ended = !matches!(read, Ok(true));
        let index = self.index;
        self.index += 1;
        match read {
            Ok(true) => Some(Ok(OwnedFrame { bytes, index })),
            Ok(false) if bytes.is_empty() => None,
            Ok(false) => {
                let text = format!("the input ended inside frame {index}");
                Some(Err(Error::new(ErrorKind::UnexpectedEof, text)))
            }
            Err(error) => Some(Err(error)),
        }
    }
}
