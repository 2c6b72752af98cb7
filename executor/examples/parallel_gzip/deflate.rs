//! The encoder: it compresses a block to a piece of a gzip member.

use std::io;
use std::sync::{Mutex, PoisonError};

use flate2::{Compress, Compression, Crc, FlushCompress};
use reorder_executor::Block;

/// The largest distance of a reference in deflate.
pub(crate) const DICTIONARY: usize = 32 * 1024;
/// At least the number of bytes behind the dictionary that zlib may read.
const BEHIND: usize = 8;

/// The states of zlib, which all files share, because a state has some 300 KiB. Each thread that
/// deflates a block uses one.
#[derive(Default)]
pub(crate) struct States(Mutex<Vec<Compress>>);

impl States {
    /// Deflates a block as [`deflate`], with a state that is not in use.
    pub(crate) fn deflate(
        &self,
        level: Compression,
        block: &Block<'_>,
        output: &mut Vec<u8>,
    ) -> io::Result<Crc> {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = idle().pop();
        let mut state = state.unwrap_or_else(|| Compress::new(level, false));
        let crc = deflate(&mut state, block, output)?;
        idle().push(state);
        Ok(crc)
    }
}

/// Appends a piece of a deflate stream, which ends on a byte boundary. The last block also ends the
/// stream. Returns the checksum and the length of the block.
fn deflate(state: &mut Compress, block: &Block<'_>, output: &mut Vec<u8>) -> io::Result<Crc> {
    state.reset();
    let dictionary = block.dictionary().len();
    if dictionary > 0 {
        // zlib hashes the last bytes of the dictionary together with the bytes behind them. Those
        // would be left over from an earlier block. The first call puts this block's bytes there,
        // so the output does not depend on the state.
        let behind = block.len().min(BEHIND);
        state.set_dictionary(&block.with_dictionary()[..dictionary + behind])?;
        state.reset();
        state.set_dictionary(block.dictionary())?;
    }
    let flush = if block.is_last() { FlushCompress::Finish } else { FlushCompress::Sync };
    // zlib counts the dictionary as input.
    let before = state.total_in();
    loop {
        let rest = &block[(state.total_in() - before) as usize..];
        // This is enough for incompressible data, so the loop usually runs once.
        output.try_reserve_exact(rest.len() + rest.len() / 1000 + 128)?;
        state.compress_vec(rest, output, flush)?;
        // The flush is complete if it does not fill the buffer.
        if output.len() < output.capacity() {
            break;
        }
    }
    let mut crc = Crc::new();
    crc.update(block);
    Ok(crc)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use reorder_executor::{Executor, OrderedWriter};

    use super::*;

    #[test]
    fn the_output_depends_only_on_the_block() {
        // The input has only two byte values, so a match at the end of a dictionary is frequent.
        let input: Vec<u8> = crate::tests::bytes(60_000).iter().map(|byte| byte & 1).collect();
        let used = crate::tests::bytes(50_000);
        let executor = Executor::builder().workers(2).build().unwrap();
        for level in [1, 6].map(Compression::new) {
            let outputs = [false, true].map(|is_used| {
                let used = used.clone();
                let encode = move |block: &Block<'_>, output: &mut Vec<u8>| {
                    let mut state = Compress::new(level, false);
                    if is_used {
                        state.compress_vec(&used, &mut vec![], FlushCompress::Sync)?;
                    }
                    deflate(&mut state, block, output).map(drop)
                };
                let builder = OrderedWriter::builder(5000).dictionary(DICTIONARY);
                let mut writer = builder.build(&executor, Vec::new(), encode);
                writer.write_all(&input).unwrap();
                writer.finish().unwrap()
            });
            assert!(outputs[0] == outputs[1], "level {level:?}");
        }
    }
}
