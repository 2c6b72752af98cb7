//! Compresses a file as one stream: a source of blocks, the jobs, and a writer.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use reorder_executor::{BuildError, Executor};
use tempfile::NamedTempFile;

use crate::args::Args;
use crate::blocks::Blocks;
use crate::deflate::Deflater;
use crate::error::Error;
use crate::member::{Member, Size};
use crate::plan::Job;

/// The slots of the window per worker, which bound the memory. There are enough for workers to
/// continue while a block or the disk is slow.
const WINDOW_PER_WORKER: usize = 4;

/// The executor and the settings, which all files share.
pub(crate) struct Engine {
    pub(crate) executor: Executor,
    deflater: Deflater,
    block: usize,
}

impl Engine {
    pub(crate) fn new(args: &Args) -> Result<Engine, BuildError> {
        let workers = args.workers.map_or_else(available, usize::from);
        let executor = Executor::builder()
            .workers(workers)
            .window(WINDOW_PER_WORKER * workers)
            .thread_name("deflate")
            .build()?;
        Ok(Engine { executor, deflater: Deflater::new(args.level), block: args.block_size() })
    }

    /// Compresses a file. Calls `wrote` after each block, with the size of the block's input.
    ///
    /// The output gets its name only after it is complete.
    pub(crate) fn compress(&self, job: &Job, wrote: impl Fn(u64)) -> Result<Size, Error> {
        let input = File::open(&job.input).map_err(Error::Open)?;
        let mode = input.metadata().map_err(Error::Open)?.permissions();
        self.compress_from(input, mode, job, wrote)
    }

    pub(crate) fn compress_from(
        &self,
        input: impl Read + Send,
        mode: fs::Permissions,
        job: &Job,
        wrote: impl Fn(u64),
    ) -> Result<Size, Error> {
        let write_error = |error| Error::Write { output: job.output.clone(), error };
        let folder = job.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        // The temporary file is in the same folder, so a rename is atomic. Its drop removes it.
        let unnamed = tempfile::Builder::new()
            .prefix(".parallel_gzip-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(write_error)?;
        let size = self.compress_into(unnamed.as_file(), input, wrote, write_error)?;
        // The output has the input's permissions, so a private file stays private.
        unnamed.as_file().set_permissions(plain(mode)).map_err(write_error)?;
        give_name(unnamed, job)?;
        Ok(size)
    }

    /// Compresses `input` to `output`. The workers deflate the blocks, and this thread writes them
    /// in order.
    fn compress_into(
        &self,
        output: impl Write,
        input: impl Read + Send,
        wrote: impl Fn(u64),
        write_error: impl Fn(std::io::Error) -> Error,
    ) -> Result<Size, Error> {
        let mut member = Member::begin(BufWriter::new(output)).map_err(&write_error)?;
        self.executor.scope(|scope| {
            let pieces = scope.stream(Blocks::new(input, self.block), |block| {
                let block = block.map_err(Error::Read)?;
                self.deflater.deflate(&block).map_err(Error::Deflate)
            });
            // An early return drops the stream, which then reads no further.
            for piece in pieces {
                let piece = piece.map_err(Error::Job)??;
                member.append(&piece).map_err(&write_error)?;
                wrote(u64::from(piece.crc.amount()));
            }
            Ok(())
        })?;
        let (mut output, size) = member.end().map_err(&write_error)?;
        output.flush().map_err(&write_error)?;
        Ok(size)
    }
}

fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn give_name(unnamed: NamedTempFile, job: &Job) -> Result<(), Error> {
    let named = if job.force {
        unnamed.persist(&job.output)
    } else {
        unnamed.persist_noclobber(&job.output)
    };
    match named {
        Ok(_) => Ok(()),
        Err(refused) if !job.force && refused.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::OutputExists(job.output.clone()))
        }
        Err(refused) => Err(Error::Write { output: job.output.clone(), error: refused.error }),
    }
}

/// Returns the permissions without the set-user-ID, set-group-ID and sticky bits.
#[cfg(unix)]
fn plain(mode: fs::Permissions) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(mode.mode() & 0o777)
}

#[cfg(not(unix))]
fn plain(mode: fs::Permissions) -> fs::Permissions {
    mode
}
