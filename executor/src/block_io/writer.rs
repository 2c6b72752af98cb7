//! The handle that writes, and its settings.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::mem;

use crate::block_io::block::{Block, Cutter};
use crate::block_io::broken::{Broken, fatal};
use crate::block_io::encoding::{Encoded, Encoding};
use crate::block_io::sink::BlockSink;
use crate::block_io::spares::Spares;
use crate::executor::Executor;
use crate::thread_states::ThreadStates;

/// A [`Write`] that encodes blocks in parallel, and writes them to a sink in order.
///
/// It cuts what is written into blocks of a fixed size. The workers encode the blocks: they
/// compress, encrypt or sign them. The thread that writes to this handle writes the encoded blocks
/// to the sink. So the sink may borrow, and need not be [`Send`].
///
/// The number of blocks that were cut and not written is bounded by the
/// [window](OrderedWriterBuilder::window). While the window is full, the thread that writes encodes
/// blocks as well. Buffers are used again.
///
/// Call [`finish`](OrderedWriter::finish) at the end. Dropping the writer stops it: blocks that
/// were not written are lost. The drop writes nothing, and waits for nothing. It never panics,
/// unless the `Drop` of the sink does. If the writer is forgotten, the workers encode the blocks
/// that were cut, and the outputs stay in memory.
///
/// ```
/// use std::io::Write;
/// use reorder_executor::{Executor, OrderedWriter};
///
/// let executor = Executor::builder().workers(2).build()?;
/// let mut file = Vec::new();
/// let mut writer = OrderedWriter::new(&executor, &mut file, 4, |block, out| {
///     // A codec would compress `block` here. The last block may be shorter.
///     out.extend(block.iter().rev());
///     Ok(())
/// });
/// writeln!(writer, "one two")?;
/// writer.finish()?;
/// assert_eq!(file, b" eno\nowt");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first error of the sink or of the encoder ends the writer: [`write`](Write::write),
/// [`flush`](Write::flush) or [`finish`](OrderedWriter::finish) returns it, and no later block is
/// encoded. An error of the encoder has its place in the order, so all blocks before it have been
/// written. Every later call fails with the same kind and text. A panic of the encoder is such an
/// error, and its text has the message. After a panic of the sink, which is passed on, later calls
/// fail, too.
///
/// A sink that is [`Interrupted`](ErrorKind::Interrupted) is called again.
/// [`WouldBlock`](ErrorKind::WouldBlock) is an error as any other.
///
/// # Panics
///
/// With the feature `tokio`, a call that has to wait panics in a task of a tokio runtime.
#[must_use = "dropping a writer stops it"]
pub struct OrderedWriter<W, T: Send + 'static = ()> {
    sink: W,
    cutter: Cutter,
    spares: Spares,
    state: State<T>,
}

enum State<T: Send + 'static> {
    Open(Box<Encoding<T>>),
    Finished,
    Broken(Broken),
}

/// The settings of an [`OrderedWriter`]. Made by [`OrderedWriter::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing starts until `build` is called"]
pub struct OrderedWriterBuilder {
    block_size: usize,
    dictionary: usize,
    window: Option<usize>,
}

impl OrderedWriter<()> {
    /// Returns the settings of a writer whose blocks have `block_size` bytes.
    ///
    /// # Panics
    ///
    /// If `block_size` is 0.
    pub fn builder(block_size: usize) -> OrderedWriterBuilder {
        assert_ne!(block_size, 0, "a block has at least 1 byte");
        OrderedWriterBuilder { block_size, dictionary: 0, window: None }
    }
}

impl OrderedWriterBuilder {
    /// Gives each block the last `bytes` bytes before it, as [`Block::dictionary`]. The default is
    /// 0.
    ///
    /// A compressor may refer to them, as pigz does with 32 KiB.
    pub fn dictionary(mut self, bytes: usize) -> Self {
        self.dictionary = bytes;
        self
    }

    /// Sets the maximum number of blocks that were cut and not written, at least 1. The default is
    /// 4 for each worker, and 4 more.
    ///
    /// The memory of the writer is this number of blocks or outputs, and two for each thread that
    /// encodes. The window bounds how far the workers run ahead of a slow block or a slow sink.
    ///
    /// # Panics
    ///
    /// If `blocks` is 0.
    pub fn window(mut self, blocks: usize) -> Self {
        assert_ne!(blocks, 0, "a window has at least 1 block");
        self.window = Some(blocks);
        self
    }

    /// Starts a writer. `encode` appends the encoded block to the buffer, which is empty. The sink
    /// gets the buffer, and the value that `encode` returns.
    ///
    /// ```
    /// use std::io::Write;
    /// use reorder_executor::{Executor, OrderedWriter};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut writer = OrderedWriter::builder(3).dictionary(1).build(
    ///     &executor,
    ///     Vec::new(),
    ///     |block, out| {
    ///         out.extend_from_slice(block.dictionary());
    ///         out.extend_from_slice(if block.is_last() { b"]" } else { b"|" });
    ///         out.extend_from_slice(block);
    ///         Ok(())
    ///     },
    /// );
    /// writer.write_all(b"abcdefgh")?;
    /// assert_eq!(writer.finish()?, b"|abcc|deff]gh");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no memory for the window.
    ///
    /// # Progress
    ///
    /// It does not wait. If the executor was shut down, the thread that writes encodes the blocks.
    pub fn build<W, T, F>(self, executor: &Executor, sink: W, encode: F) -> OrderedWriter<W, T>
    where
        W: BlockSink<T>,
        T: Send + 'static,
        F: Fn(&Block<'_>, &mut Vec<u8>) -> io::Result<T> + Send + Sync + 'static,
    {
        let OrderedWriterBuilder { block_size, dictionary, window } = self;
        let window = window.unwrap_or(4 * (executor.workers() + 1));
        let spares = Spares::default();
        let cutter = Cutter::new(block_size, dictionary, spares.clone());
        let encoding = Box::new(Encoding::start(executor, window, spares.clone(), encode));
        OrderedWriter { sink, cutter, spares, state: State::Open(encoding) }
    }

    /// Starts a writer whose encoder has a state, such as a compressor that is used again. `init`
    /// makes a state when more threads encode at the same time than states exist.
    ///
    /// If the encoder panics, its state is dropped.
    ///
    /// ```
    /// use std::io::Write;
    /// use reorder_executor::{Executor, OrderedWriter};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut writer = OrderedWriter::builder(3).build_init(
    ///     &executor,
    ///     Vec::new(),
    ///     || [0; 256],
    ///     |table, block, out| {
    ///         block.iter().for_each(|&byte| table[usize::from(byte)] += 1);
    ///         block.iter().for_each(|&byte| out.push(table[usize::from(byte)]));
    ///         *table = [0; 256];
    ///         Ok(())
    ///     },
    /// );
    /// writer.write_all(b"aabccc")?;
    /// assert_eq!(writer.finish()?, [2, 2, 1, 3, 3, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`build`](OrderedWriterBuilder::build).
    ///
    /// # Progress
    ///
    /// As [`build`](OrderedWriterBuilder::build).
    pub fn build_init<W, T, S, N, F>(
        self,
        executor: &Executor,
        sink: W,
        init: N,
        encode: F,
    ) -> OrderedWriter<W, T>
    where
        W: BlockSink<T>,
        T: Send + 'static,
        S: Send + 'static,
        N: Fn() -> S + Send + Sync + 'static,
        F: Fn(&mut S, &Block<'_>, &mut Vec<u8>) -> io::Result<T> + Send + Sync + 'static,
    {
        let states = ThreadStates::new(init);
        let encode = move |block: &Block<'_>, output: &mut Vec<u8>| {
            states.with(|state| encode(state, block, output))
        };
        self.build(executor, sink, encode)
    }
}

impl<W, T: Send + 'static> OrderedWriter<W, T> {
    /// Starts a writer with the default settings. See [`OrderedWriterBuilder::build`].
    ///
    /// # Panics
    ///
    /// If `block_size` is 0, or there is no memory for the window.
    ///
    /// # Progress
    ///
    /// It does not wait.
    pub fn new<F>(executor: &Executor, sink: W, block_size: usize, encode: F) -> Self
    where
        W: BlockSink<T>,
        F: Fn(&Block<'_>, &mut Vec<u8>) -> io::Result<T> + Send + Sync + 'static,
    {
        OrderedWriter::builder(block_size).build(executor, sink, encode)
    }

    /// Returns the sink.
    pub fn get_ref(&self) -> &W {
        &self.sink
    }

    /// Returns the sink. Bytes that are written to it stand between two blocks.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.sink
    }

    /// Stops the writer, and returns the sink, also after an error. Blocks that were not written
    /// are lost, as by a drop.
    ///
    /// ```
    /// use std::io::{self, Write};
    /// use reorder_executor::{Executor, OrderedWriter};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut writer = OrderedWriter::new(&executor, Vec::new(), 2, |block, out| {
    ///     out.extend_from_slice(block);
    ///     if block.contains(&b'!') { Err(io::Error::other("an exclamation")) } else { Ok(()) }
    /// });
    /// writer.write_all(b"so far!")?;
    /// let error = writer.try_finish().unwrap_err();
    /// assert_eq!(error.to_string(), "an exclamation");
    /// assert_eq!(writer.abort(), b"so far");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It waits for nothing. Encoders that run go on, and their outputs are dropped.
    pub fn abort(self) -> W {
        self.sink
    }
}

impl<W: BlockSink<T>, T: Send + 'static> OrderedWriter<W, T> {
    /// Encodes the last block, writes all blocks, flushes the sink, and returns it.
    ///
    /// The last block has up to `block_size` bytes. It is empty if nothing was written, or nothing
    /// since the last [`flush`](Write::flush).
    ///
    /// # Errors
    ///
    /// As [`OrderedWriter`]. The sink is lost. Call [`try_finish`](OrderedWriter::try_finish) to
    /// keep it.
    ///
    /// # Progress
    ///
    /// Blocking, until all blocks are encoded and written. This thread encodes blocks as well.
    pub fn finish(mut self) -> io::Result<W> {
        self.try_finish()?;
        Ok(self.sink)
    }

    /// Does the same as [`finish`](OrderedWriter::finish), and keeps the sink. A second call does
    /// nothing. A later [`write`](Write::write) is an error.
    ///
    /// # Errors
    ///
    /// As [`OrderedWriter`].
    ///
    /// # Progress
    ///
    /// As [`finish`](OrderedWriter::finish).
    pub fn try_finish(&mut self) -> io::Result<()> {
        if matches!(self.state, State::Finished) {
            return Ok(());
        }
        self.attempt(|open| {
            open.send(true)?;
            open.write_all_blocks()
        })?;
        self.state = State::Finished;
        Ok(())
    }

    /// Runs `f` unless the writer has ended. An error of `f` ends the writer, and so does a panic.
    fn attempt(&mut self, f: impl FnOnce(&mut Open<'_, W, T>) -> io::Result<()>) -> io::Result<()> {
        let panicked = State::Broken(Broken::new("the sink panicked"));
        let (state, result) = match mem::replace(&mut self.state, panicked) {
            State::Open(encoding) => {
                let (sink, cutter, spares) = (&mut self.sink, &mut self.cutter, &self.spares);
                let mut open = Open { sink, cutter, spares, encoding };
                match f(&mut open).map_err(fatal) {
                    Ok(()) => (State::Open(open.encoding), Ok(())),
                    Err(error) => (State::Broken(Broken::by(&error)), Err(error)),
                }
            }
            State::Finished => {
                (State::Finished, Err(io::Error::other("the writer is finished already")))
            }
            State::Broken(broken) => {
                let error = broken.error("the writer");
                (State::Broken(broken), Err(error))
            }
        };
        self.state = state;
        result
    }
}

/// The parts of a writer that has not ended.
struct Open<'a, W, T: Send + 'static> {
    sink: &'a mut W,
    cutter: &'a mut Cutter,
    spares: &'a Spares,
    encoding: Box<Encoding<T>>,
}

impl<W: BlockSink<T>, T: Send + 'static> Open<'_, W, T> {
    /// Ends the next block and sends it. Writes the blocks that are encoded, and as many more as it
    /// takes to have room in the window.
    fn send(&mut self, is_last: bool) -> io::Result<()> {
        let mut cut = self.cutter.cut(is_last);
        while let Err(refused) = self.encoding.try_send(cut) {
            cut = refused.into_inner();
            match self.encoding.take()? {
                Some(encoded) => self.append(encoded)?,
                None => return Err(io::Error::other("the queue of the blocks was closed")),
            }
        }
        while let Some(encoded) = self.encoding.take_ready()? {
            self.append(encoded)?;
        }
        Ok(())
    }

    /// Waits for the blocks that were sent, writes them, and flushes the sink.
    fn write_all_blocks(&mut self) -> io::Result<()> {
        while let Some(encoded) = self.encoding.take()? {
            self.append(encoded)?;
        }
        loop {
            match self.sink.flush_blocks() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn append(&mut self, encoded: Encoded<T>) -> io::Result<()> {
        let Encoded { output, result } = encoded;
        self.sink.write_block(&output, result?)?;
        self.spares.put(output);
        Ok(())
    }
}

/// # Progress
///
/// `write` takes up to a block. It returns immediately, except if it begins another block: then it
/// sends the block before, and writes the blocks that are encoded. While the window is full, it
/// encodes blocks, or waits.
///
/// `flush` ends the block that was begun, waits until all blocks are encoded and written, and
/// flushes the sink. So everything that was written is in the sink. A block that is shorter than
/// the others costs compression, and the wait costs parallelism: flush seldom.
impl<W: BlockSink<T>, T: Send + 'static> Write for OrderedWriter<W, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_open = matches!(&self.state, State::Open(encoding) if !encoding.has_failed());
        if !is_open || self.cutter.is_full() && !bytes.is_empty() {
            self.attempt(|open| {
                if open.encoding.has_failed() {
                    return open.write_all_blocks();
                }
                open.send(false)
            })?;
        }
        Ok(self.cutter.fill(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        if matches!(self.state, State::Finished) {
            return Ok(());
        }
        self.attempt(|open| {
            if open.cutter.len() > 0 {
                open.send(false)?;
            }
            open.write_all_blocks()
        })
    }
}

impl<W, T: Send + 'static> fmt::Debug for OrderedWriter<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Open(_) => "open",
            State::Finished => "finished",
            State::Broken(_) => "failed",
        };
        f.debug_struct("OrderedWriter").field("state", &state).finish_non_exhaustive()
    }
}
