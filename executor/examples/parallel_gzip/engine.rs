//! Compresses a file by a writer whose blocks are deflated in parallel.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread::available_parallelism;

use flate2::Compression;
use reorder_executor::{BuildError, Executor, OrderedWriter};

use crate::args::Args;
use crate::copy::copy;
use crate::deflate::{DICTIONARY, States};
use crate::error::Error;
use crate::member::{Member, Origin, Size};

/// The number of blocks of the window for each thread that deflates. The window bounds the memory.
/// It is large enough for workers to continue while a block or the disk is slow.
const WINDOW_PER_THREAD: usize = 2;

/// The executor and the settings, which all files share.
pub(crate) struct Engine {
    executor: Executor,
    states: Arc<States>,
    level: u32,
    block: usize,
}

impl Engine {
    pub(crate) fn new(args: &Args) -> Result<Engine, BuildError> {
        let available = || available_parallelism().map_or(1, usize::from);
        let workers = args.workers.map_or_else(available, usize::from);
        let executor = Executor::builder().workers(workers).thread_name("deflate").build()?;
        let states = Arc::default();
        Ok(Engine { executor, states, level: args.level.0, block: args.block_size() })
    }

    /// Compresses `input` to `output`. The workers deflate the blocks, and this thread reads the
    /// input, and writes the output in order. Calls `wrote` after each block, with the size of the
    /// block's input.
    pub(crate) fn compress(
        &self,
        input: impl Read,
        output: impl Write,
        origin: &Origin,
        wrote: impl Fn(u64),
    ) -> Result<Size, Error> {
        let member = Member::begin(output, origin, self.level, wrote).map_err(Error::Write)?;
        let (level, states) = (Compression::new(self.level), Arc::clone(&self.states));
        let mut writer = OrderedWriter::builder(self.block)
            .dictionary(DICTIONARY)
            .window(WINDOW_PER_THREAD * (self.executor.workers() + 1))
            .build(&self.executor, member, move |block, out| states.deflate(level, block, out));
        copy(input, &mut writer, Error::Read)?;
        writer.finish().and_then(Member::end).map_err(Error::Write)
    }
}
