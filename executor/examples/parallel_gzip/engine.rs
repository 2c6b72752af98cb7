//! Compresses a file as one stream: a source of blocks, the jobs, and a writer.

use std::io::{Read, Write};
use std::thread::available_parallelism;

use reorder_executor::{BuildError, Executor};

use crate::args::Args;
use crate::blocks::Blocks;
use crate::deflate::Deflater;
use crate::error::Error;
use crate::member::{Member, Origin, Size};

/// The slots of the window per worker, which bound the memory. There are enough for workers to
/// continue while a block or the disk is slow.
const WINDOW_PER_WORKER: usize = 4;

/// The executor and the settings, which all files share.
pub(crate) struct Engine {
    executor: Executor,
    deflater: Deflater,
    level: u32,
    block: usize,
}

impl Engine {
    pub(crate) fn new(args: &Args) -> Result<Engine, BuildError> {
        let available = || available_parallelism().map_or(1, usize::from);
        let workers = args.workers.map_or_else(available, usize::from);
        let executor = Executor::builder()
            .workers(workers)
            .window(WINDOW_PER_WORKER * workers)
            .thread_name("deflate")
            .build()?;
        let level = args.level.0;
        Ok(Engine { executor, deflater: Deflater::new(level), level, block: args.block_size() })
    }

    /// Compresses `input` to `output`. The workers deflate the blocks, and this thread writes them
    /// in order. Calls `wrote` after each block, with the size of the block's input.
    pub(crate) fn compress(
        &self,
        input: impl Read + Send,
        output: impl Write,
        origin: &Origin,
        wrote: impl Fn(u64),
    ) -> Result<Size, Error> {
        let mut member = Member::begin(output, origin, self.level).map_err(Error::Write)?;
        self.executor.scope(|scope| {
            let pieces = scope.stream(Blocks::new(input, self.block), |block| {
                let block = block.map_err(Error::Read)?;
                self.deflater.deflate(&block).map_err(Error::Deflate)
            });
            // An early return drops the stream, which then reads no further.
            for piece in pieces {
                let piece = piece.map_err(Error::Job)??;
                member.append(&piece).map_err(Error::Write)?;
                wrote(u64::from(piece.crc.amount()));
            }
            Ok(())
        })?;
        member.end().map_err(Error::Write)
    }
}
