//! The arguments of the program.

use std::path::PathBuf;

use clap::{Parser, value_parser};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Compresses files with gzip. The blocks of all files are compressed in parallel.
///
/// Compresses FILE into FILE.gz and keeps FILE. Without FILE, compresses files of this repository
/// into a temporary folder and checks that they decompress to their inputs.
#[derive(Parser, Debug)]
#[command(name = "parallel_gzip")]
pub(crate) struct Args {
    /// Compression level: 0 stores, 1 is the fastest, 9 gives the smallest outputs
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 6,
        value_parser = value_parser!(u32).range(0..=9)
    )]
    pub(crate) level: u32,

    /// Number of threads that compress [default: one per processor]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// Size of a block, 4096 to 67108864 [default: 131072, or 4096 without FILE]
    #[arg(
        short,
        long,
        value_name = "BYTES",
        value_parser = value_parser!(u64).range(4 * KIB..=64 * MIB)
    )]
    pub(crate) block: Option<u64>,

    /// Folder for the outputs, created if it is missing [default: the folder of each input]
    #[arg(short, long, value_name = "DIR", requires = "files")]
    pub(crate) out: Option<PathBuf>,

    /// Replace existing outputs
    #[arg(short, long, requires = "files")]
    pub(crate) force: bool,

    /// Also print the peak memory, if the system reports it
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Regular files to compress; `-` is a normal name
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn block_size(&self) -> usize {
        // Without FILE, blocks are small, so that most files of this repository have several.
        let default = if self.files.is_empty() { 4 * KIB } else { 128 * KIB };
        usize::try_from(self.block.unwrap_or(default)).expect("64 MiB fit into a `usize`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["parallel_gzip"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for good in ["", "-l 0 f", "-l 9 f", "-w 1 f", "-b 4096 f", "-b 67108864 f", "-- -f", "-"] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        let bad =
            ["-l 10 f", "-l -1 f", "-w 0 f", "-b 0 f", "-b 4095 f", "-b 67108865 f", "-b 1k f"];
        for bad in bad {
            assert_eq!(parse(bad).expect_err(bad).exit_code(), 2, "{bad:?}");
        }
    }

    #[test]
    fn options_for_outputs_need_inputs() {
        assert!(parse("--out d").is_err());
        assert!(parse("--force").is_err());
        assert!(parse("--out d f").is_ok());
    }

    #[test]
    fn blocks_are_small_without_files() {
        assert_eq!(parse("").unwrap().block_size(), 4096);
        assert_eq!(parse("f").unwrap().block_size(), 131_072);
        assert_eq!(parse("-b 5000").unwrap().block_size(), 5000);
    }
}
