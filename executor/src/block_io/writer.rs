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
/// The writer cuts the written bytes into blocks of a fixed size. The workers encode the blocks:
/// they compress, encrypt or sign them. The thread that calls the writer also writes the encoded
/// blocks to the sink. So the sink may borrow, and need not be [`Send`].
///
/// The [window](OrderedWriterBuilder::window) bounds the number of blocks in memory. While the
/// window is full, the calling thread encodes blocks as well. With
/// [`consumer_helps(false)`](crate::Builder::consumer_helps) it encodes none, and waits for the
/// workers. The writer uses its buffers again.
///
/// Call [`finish`](OrderedWriter::finish) at the end. Dropping the writer stops it, and loses the
/// blocks that were not written. The drop writes nothing, and waits for nothing. It never panics,
/// unless the `Drop` of the sink does. If the writer is forgotten, the workers encode the blocks
/// that were sent to them, and the outputs stay in memory.
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
/// The first error ends the writer. [`write`](Write::write), [`flush`](Write::flush) or
/// [`finish`](OrderedWriter::finish) returns it. The first error is one of these:
///
/// * An error of the encoder. All blocks before it have been written, and no later block is.
/// * A panic of the encoder. Its error has the kind [`Other`](ErrorKind::Other), and its text
///   contains the message.
/// * An error of the sink. A part of the block may have been written.
/// * No memory for a block or a dictionary: [`OutOfMemory`](ErrorKind::OutOfMemory). The blocks
///   that were sent to the workers and not written are lost.
///
/// Every later call returns an error of the same kind. Its text is `the writer has failed before: `
/// and the text of the first error. A panic of the sink is passed on, and ends the writer, too.
/// Later calls then return an error of the kind `Other`, with the text `the writer has failed
/// before: the sink panicked`.
///
/// If a sink that is a [`Write`] returns [`Interrupted`](ErrorKind::Interrupted), the writer calls
/// it again. [`WouldBlock`](ErrorKind::WouldBlock) ends the writer, as other errors do. An
/// `Interrupted` of the encoder or of [`BlockSink::write_block`] gets the kind `Other`, because
/// callers would repeat the call.
///
/// # Panics
///
/// If the sink panics. With the feature `tokio`, a call that has to wait panics in a task of a
/// tokio runtime, and ends the writer.
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

impl<T: Send + 'static> State<T> {
    /// Returns the state after a panic outside of the sink. It is the panic of a call that may not
    /// wait, or has no memory to encode blocks.
    fn wait_panicked() -> State<T> {
        State::Broken(Broken::by_panic("the wait for an encoder panicked"))
    }
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

    /// Sets the maximum number of blocks that were sent to the workers and whose outputs are not
    /// written, at least 1. The number is exact. The default is 4 for each worker, and 4 more.
    ///
    /// One more block is outside of the window: the block that the caller fills, or a full block
    /// that waits for room. The window bounds how far the workers run ahead of a slow block or a
    /// slow sink.
    ///
    /// The writer has at most the following buffers. Each has the size of a block and its
    /// dictionary, or of an output.
    ///
    /// * one for each block of the window, which holds the block or its output;
    /// * one for each thread that encodes, for the output that it makes: the workers, and the
    ///   calling thread unless [`consumer_helps`](crate::Builder::consumer_helps) is off;
    /// * two for the full block that waits for room, and for the block behind it.
    ///
    /// An example: with 2 workers and a window of 6, the writer has up to 6 + 3 + 2 = 11 buffers.
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
    /// If there is no memory for what `encode` appends, the process ends. To get an error instead,
    /// call `out.try_reserve(bytes)?` before.
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
    /// It does not wait. If the executor was shut down, the thread that calls the writer encodes
    /// all blocks.
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

    /// Starts a writer whose encoder has a state, such as a compressor that is used again. One
    /// thread at a time uses a state. If all states are in use, `init` makes another.
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
    /// The encoder gets a [`Block`], which derefs to its bytes. A function of `&[u8]` needs a
    /// closure: `|block, output| encode(block, output)`.
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

    /// Returns the sink. Bytes that you write to it come between two blocks.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.sink
    }

    /// Stops the writer, and returns the sink, also after an error. The blocks that were not
    /// written are lost.
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
    /// It does not wait. Encoders that run go on, and their outputs are dropped.
    pub fn abort(self) -> W {
        self.sink
    }
}

impl<W: BlockSink<T>, T: Send + 'static> OrderedWriter<W, T> {
    /// Encodes the last block, writes all blocks, flushes the sink, and returns it.
    ///
    /// The last block has up to `block_size` bytes. It is empty if no byte was written, or none
    /// since the last [`flush`](Write::flush).
    ///
    /// # Errors
    ///
    /// As [`OrderedWriter`]. The sink is lost. Call [`try_finish`](OrderedWriter::try_finish) to
    /// keep it.
    ///
    /// # Progress
    ///
    /// Blocking, until all blocks are encoded and written. This thread encodes blocks as well,
    /// unless [`consumer_helps`](crate::Builder::consumer_helps) is off. After an encoder has
    /// failed or panicked, it waits only for the blocks before the failure. A later call returns
    /// its error immediately.
    pub fn finish(mut self) -> io::Result<W> {
        self.try_finish()?;
        Ok(self.sink)
    }

    /// Does the same as [`finish`](OrderedWriter::finish), and keeps the sink. After a success, a
    /// second call does nothing, and a later [`write`](Write::write) returns an error.
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
        let (state, result) = match mem::replace(&mut self.state, State::wait_panicked()) {
            State::Open(encoding) => {
                let OrderedWriter { sink, cutter, spares, state } = self;
                let mut open = Open { sink, cutter, spares, if_panicked: state, encoding };
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
    /// The state of the writer if the call panics now.
    if_panicked: &'a mut State<T>,
    encoding: Box<Encoding<T>>,
}

impl<W: BlockSink<T>, T: Send + 'static> Open<'_, W, T> {
    /// Ends the next block and sends it. While the window is full, waits for the next output and
    /// writes it. Then writes the outputs that are ready.
    fn send(&mut self, is_last: bool) -> io::Result<()> {
        let mut cut = self.cutter.cut(is_last)?;
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
        self.call_sink(|sink| {
            loop {
                match sink.flush_blocks() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    result => return result,
                }
            }
        })
    }

    /// Writes an output to the sink.
    fn append(&mut self, encoded: Encoded<T>) -> io::Result<()> {
        let Encoded { output, result } = encoded;
        let value = result?;
        self.call_sink(|sink| sink.write_block(&output, value))?;
        self.spares.put(output);
        Ok(())
    }

    /// Calls the sink. If it panics, the error of later calls says so.
    fn call_sink(&mut self, f: impl FnOnce(&mut W) -> io::Result<()>) -> io::Result<()> {
        *self.if_panicked = State::Broken(Broken::by_panic("the sink panicked"));
        let result = f(self.sink);
        *self.if_panicked = State::wait_panicked();
        result
    }
}

/// # Progress
///
/// `write` takes up to a block. It copies the bytes and returns immediately, unless the block is
/// full. Then it sends the block to the workers, and writes the outputs that are ready. While the
/// window is full, it encodes blocks, or waits for the next output. With
/// [`consumer_helps(false)`](crate::Builder::consumer_helps) it only waits.
///
/// `flush` ends the block that was begun, waits until all blocks are encoded and written, and
/// flushes the sink. So the sink has all bytes that were written. A block that is shorter than
/// the others costs compression, and the wait costs parallelism: flush seldom.
///
/// After an encoder has failed or panicked, the next `write`, `flush` or `finish` waits for the
/// blocks before the failure, and writes them. It may encode them. Then it returns the error. It
/// does not wait for blocks behind the failure. Encoders that run go on, and their outputs are
/// dropped. Every later call returns its error immediately.
impl<W: BlockSink<T>, T: Send + 'static> Write for OrderedWriter<W, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The call looks for a failure also if the block has room.
        let is_open = matches!(&self.state, State::Open(encoding) if !encoding.has_failed());
        if !is_open || self.cutter.is_full() && !bytes.is_empty() {
            self.attempt(|open| {
                if open.encoding.has_failed() {
                    return open.write_all_blocks();
                }
                open.send(false)
            })?;
        }
        let filled = self.cutter.fill(bytes);
        filled.or_else(|error| self.attempt(|_| Err(error)).map(|()| 0))
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
