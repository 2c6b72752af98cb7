//! The handle that reads, and its settings.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::mem;
use std::sync::Arc;

use crate::block_io::broken::{Broken, failed, fatal};
use crate::block_io::frame::{Frame, Frames, OwnedFrame};
use crate::block_io::spares::{FreeOnDrop, Spares};
use crate::executor::Executor;
use crate::stream::{Ordered, open_stream, publish};
use crate::thread_states::ThreadStates;

/// A [`BufRead`] that decodes the frames of an input ahead and in parallel, and yields their
/// contents in order.
///
/// The workers call a function of the user that reads the next frame from the input. They decode
/// the frames: they decompress, decrypt or check them. They run ahead of the reader, by at most the
/// [window](OrderedReaderBuilder::window).
///
/// Dropping the reader stops it, and waits for nothing. The workers read no more frames, and the
/// input is dropped. A worker that is blocked inside the input drops it later. If the reader is
/// forgotten, the workers fill the window and stop.
///
/// ```
/// use std::io::{self, BufRead, Read};
/// use reorder_executor::{Executor, OrderedReader};
///
/// /// Reads a length, and a frame of that length. Returns `false` at the end of the input.
/// fn read_frame(mut input: impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
///     let mut length = [0];
///     if input.read(&mut length)? == 0 {
///         return Ok(false);
///     }
///     frame.resize(length[0].into(), 0);
///     input.read_exact(frame)?;
///     Ok(true)
/// }
///
/// let executor = Executor::builder().workers(2).build()?;
/// let file = &b"\x03ONE\x06, TWO\n\x05THREE"[..];
/// let mut reader = OrderedReader::new(&executor, file, |file, frame| read_frame(file, frame),
///     |frame, out| {
///         out.extend(frame.to_ascii_lowercase());
///         Ok(())
///     });
/// let mut line = String::new();
/// reader.read_line(&mut line)?;
/// assert_eq!(line, "one, two\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first error ends the reader. It has its place in the order: the reader first yields the
/// contents of all frames before it. The first error is one of these:
///
/// * An error of the input or of the decoder.
/// * A panic of one of them. Its error has the kind [`Other`](io::ErrorKind::Other), and its text
///   contains the message.
/// * The end of the input inside of a frame, if the function that reads frames says so by `false`
///   and a buffer with bytes: [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
///
/// Every later call returns an error of the same kind. Its text is `the reader has failed before: `
/// and the text of the first error. An [`Interrupted`](io::ErrorKind::Interrupted) of the two
/// functions gets the kind `Other`, because callers would repeat the call.
///
/// # Panics
///
/// With the feature `tokio`, a call that has to wait panics in a task of a tokio runtime. A later
/// call goes on, and no content is lost.
#[must_use = "dropping a reader stops it"]
pub struct OrderedReader {
    /// The content of the frame that was decoded last.
    content: Vec<u8>,
    /// The number of bytes of `content` that were consumed.
    consumed: usize,
    spares: FreeOnDrop,
    state: State,
}

enum State {
    Open(Box<Ordered<'static, io::Result<Vec<u8>>>>),
    Ended,
    Broken(Broken),
}

/// The settings of an [`OrderedReader`]. Made by [`OrderedReader::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing starts until `build` is called"]
pub struct OrderedReaderBuilder {
    window: Option<usize>,
}

impl OrderedReaderBuilder {
    /// Sets the maximum number of frames that were read and whose contents were not taken, at least
    /// 1. The number is exact. The default is 4 for each worker, and 4 more.
    ///
    /// The reader has at most the following buffers. Each holds a frame or a content.
    ///
    /// * one for each frame of the window, which holds the frame or its content;
    /// * one for each thread that decodes, for the content that it makes: the workers, and the
    ///   calling thread if [it helps](crate::Builder::consumer_helps);
    /// * one for the content that the caller reads.
    ///
    /// # Panics
    ///
    /// If `frames` is 0.
    pub fn window(mut self, frames: usize) -> Self {
        assert_ne!(frames, 0, "a window has at least 1 frame");
        self.window = Some(frames);
        self
    }

    /// Starts a reader.
    ///
    /// * `next_frame` reads the next frame from the input, and appends it to the buffer, which is
    ///   empty. It returns `true` after a frame. At the end of the input, it returns `false` and
    ///   leaves the buffer empty. If it returns `false` and the buffer has bytes, the reader ends
    ///   with the error `the input ended inside frame N`. N is the [index](Frame::index) of the
    ///   frame. One thread at a time calls this function. [`frames_of`](crate::frames_of) returns
    ///   such a function for frames of a fixed size.
    /// * `decode` appends the content of a frame to the buffer, which is empty.
    ///
    /// If the input has the length of a frame, do not allocate that many bytes at once. A damaged
    /// length could be larger than the memory, and a failed allocation ends the process.
    /// [`Read::take`] and [`read_to_end`](Read::read_to_end) allocate as bytes arrive. In both
    /// functions, `buffer.try_reserve(bytes)?` makes an error of a lack of memory.
    ///
    /// [`OrderedReader`] has an example.
    ///
    /// # Panics
    ///
    /// If there is no memory for the window.
    ///
    /// # Progress
    ///
    /// It does not wait, and reads nothing. If the executor was shut down, the thread that calls
    /// the reader runs both functions.
    pub fn build<R, N, F>(
        self,
        executor: &Executor,
        input: R,
        next_frame: N,
        decode: F,
    ) -> OrderedReader
    where
        R: Send + 'static,
        N: FnMut(&mut R, &mut Vec<u8>) -> io::Result<bool> + Send + 'static,
        F: Fn(&Frame<'_>, &mut Vec<u8>) -> io::Result<()> + Send + Sync + 'static,
    {
        let spares = Spares::default();
        let buffers = spares.clone();
        let job = move |frame: io::Result<OwnedFrame>| {
            let OwnedFrame { bytes, index } = frame?;
            let mut content = buffers.take();
            let decoded = decode(&Frame { bytes: &bytes, index }, &mut content);
            buffers.put(bytes);
            decoded.map(|()| content)
        };
        let frames = Frames::new(input, next_frame, spares.clone());
        let window = self.window.unwrap_or(4 * (executor.workers() + 1));
        let (core, consumer_end) =
            open_stream(executor, frames, window, None, move |frame| Ok(job(frame)));
        let contents = publish(executor, Arc::new(core), consumer_end);
        let state = State::Open(Box::new(contents));
        OrderedReader { content: Vec::new(), consumed: 0, spares: FreeOnDrop(spares), state }
    }

    /// Starts a reader whose decoder has a state, such as a decompressor that is used again. One
    /// thread at a time uses a state. If all states are in use, `init` makes another.
    ///
    /// If the decoder panics, its state is dropped.
    ///
    /// ```
    /// use std::io::Read;
    /// use reorder_executor::{Executor, OrderedReader, frames_of};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut reader = OrderedReader::builder().window(8).build_init(
    ///     &executor,
    ///     &b"to be reversed"[..],
    ///     frames_of(7),
    ///     Vec::new,
    ///     |buffer: &mut Vec<u8>, frame, out| {
    ///         buffer.clear();
    ///         buffer.extend(frame.iter().rev());
    ///         out.extend_from_slice(buffer);
    ///         Ok(())
    ///     },
    /// );
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text)?;
    /// assert_eq!(text, "r eb otdesreve");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`build`](OrderedReaderBuilder::build).
    ///
    /// # Progress
    ///
    /// As [`build`](OrderedReaderBuilder::build).
    pub fn build_init<R, N, S, M, F>(
        self,
        executor: &Executor,
        input: R,
        next_frame: N,
        init: M,
        decode: F,
    ) -> OrderedReader
    where
        R: Send + 'static,
        N: FnMut(&mut R, &mut Vec<u8>) -> io::Result<bool> + Send + 'static,
        S: Send + 'static,
        M: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, &Frame<'_>, &mut Vec<u8>) -> io::Result<()> + Send + Sync + 'static,
    {
        let states = ThreadStates::new(init);
        let decode = move |frame: &Frame<'_>, content: &mut Vec<u8>| {
            states.with(|state| decode(state, frame, content))
        };
        self.build(executor, input, next_frame, decode)
    }
}

impl OrderedReader {
    /// Returns the settings of a reader.
    pub fn builder() -> OrderedReaderBuilder {
        OrderedReaderBuilder { window: None }
    }

    /// Starts a reader with the default settings. See [`OrderedReaderBuilder::build`].
    ///
    /// # Panics
    ///
    /// As [`OrderedReaderBuilder::build`].
    ///
    /// # Progress
    ///
    /// As [`OrderedReaderBuilder::build`].
    pub fn new<R, N, F>(executor: &Executor, input: R, next_frame: N, decode: F) -> OrderedReader
    where
        R: Send + 'static,
        N: FnMut(&mut R, &mut Vec<u8>) -> io::Result<bool> + Send + 'static,
        F: Fn(&Frame<'_>, &mut Vec<u8>) -> io::Result<()> + Send + Sync + 'static,
    {
        OrderedReader::builder().build(executor, input, next_frame, decode)
    }

    /// Takes the content of the next frame. Returns `false` at the end of the input.
    fn next_content(&mut self) -> io::Result<bool> {
        // First, because the next frame may need the buffer as soon as a content is taken.
        self.consumed = 0;
        self.spares.0.put(mem::take(&mut self.content));
        let next = match &mut self.state {
            State::Open(contents) => contents.next(),
            State::Ended => return Ok(false),
            State::Broken(broken) => return Err(broken.error("the reader")),
        };
        match next.map(|outcome| outcome.unwrap_or_else(|failure| Err(failed(failure)))) {
            Some(Ok(content)) => {
                self.content = content;
                Ok(true)
            }
            Some(Err(error)) => {
                let error = fatal(error);
                self.state = State::Broken(Broken::by(&error));
                Err(error)
            }
            None => {
                self.state = State::Ended;
                Ok(false)
            }
        }
    }
}

/// # Progress
///
/// Blocking, until the next frame is decoded. After the end of the input or an error, it returns
/// immediately.
impl Read for OrderedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut content = self.fill_buf()?;
        let count = content.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// # Progress
///
/// `fill_buf` blocks until the next frame is decoded, and returns the rest of one content. After
/// the end of the input or an error, it returns immediately.
impl BufRead for OrderedReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // The content of a frame may be empty.
        while self.consumed == self.content.len() && self.next_content()? {}
        Ok(&self.content[self.consumed..])
    }

    fn consume(&mut self, count: usize) {
        self.consumed = self.content.len().min(self.consumed + count);
    }
}

impl fmt::Debug for OrderedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Open(_) => "open",
            State::Ended => "ended",
            State::Broken(_) => "failed",
        };
        f.debug_struct("OrderedReader").field("state", &state).finish_non_exhaustive()
    }
}
