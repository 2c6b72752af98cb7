//! The arguments of the program.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, Parser, value_parser};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Compresses files with gzip. The blocks of all files are compressed in parallel.
///
/// Compresses FILE into FILE.gz and keeps FILE. Without FILE, compresses standard input to standard
/// output. Without FILE and without any data on standard input, compresses files of this repository
/// and checks that they decompress to their inputs.
#[derive(Parser, Debug)]
#[command(name = "parallel_gzip")]
pub(crate) struct Args {
    /// Decompress FILE.gz into FILE
    #[arg(short, long)]
    pub(crate) decompress: bool,

    /// Write all outputs to standard output, in the order of the files
    #[arg(short = 'c', long)]
    pub(crate) stdout: bool,

    #[command(flatten)]
    pub(crate) level: Level,

    /// Leave out the name and the time of a file
    #[arg(short, long)]
    pub(crate) no_name: bool,

    /// Number of threads that compress [default: one per processor]
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// Size of a block, 4096 to 67108864 [default: 131072, or 4096 for the files of the repository]
    #[arg(
        short,
        long,
        value_name = "BYTES",
        value_parser = value_parser!(u64).range(4 * KIB..=64 * MIB)
    )]
    block: Option<u64>,

    /// Folder for the outputs, created if it is missing [default: the folder of each input]
    #[arg(short, long, value_name = "DIR", requires = "files", conflicts_with = "stdout")]
    pub(crate) out: Option<PathBuf>,

    /// Replace existing outputs, and allow compressed data on a terminal
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Print a line per file in each case, and the peak memory if the system reports it
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Regular files; `-` is standard input, and its output is standard output
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn block_size(&self) -> usize {
        // Blocks are small without FILE, so that most files of this repository have several.
        let default = if self.files.is_empty() { 4 * KIB } else { 128 * KIB };
        usize::try_from(self.block.unwrap_or(default)).expect("64 MiB fit into a `usize`")
    }

    /// Returns `true` if standard output gets data, and so no other lines.
    pub(crate) fn writes_data(&self) -> bool {
        self.stdout || self.files.iter().any(|file| file.as_os_str() == "-")
    }
}

/// The compression level. The last of the options `-0` to `-9` counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level(pub(crate) u32);

const LEVELS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

impl clap::Args for Level {
    fn augment_args(command: Command) -> Command {
        command.args(LEVELS.map(|level| {
            let option = Arg::new(level)
                .short(level.chars().next())
                .action(ArgAction::SetTrue)
                .overrides_with_all(LEVELS);
            match level {
                "0" => option.help("Store without compression"),
                "1" => option.long("fast").help("Compress fastest"),
                "6" => option.help("Compress with level 6, the default; -2 to -8 are similar"),
                "9" => option.long("best").help("Compress best"),
                _ => option.hide(true),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Level {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = LEVELS.iter().zip(0..).find(|(level, _)| matches.get_flag(level));
        Ok(Level(given.map_or(6, |(_, level)| level)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
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
        for good in ["", "-w 1 f", "-b 4096 f", "-b 67108864 f", "-- -f", "-", "-dfc", "-9d f"] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        let bad =
            ["-10x f", "--level 3", "-w 0 f", "-b 0 f", "-b 4095 f", "-b 67108865 f", "-b 1k f"];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_last_level_counts() {
        for (line, level) in
            [("", 6), ("-0", 0), ("-9 f", 9), ("-91", 1), ("-1 -9 -9", 9), ("--fast --best", 9)]
        {
            assert_eq!(parse(line).unwrap().level.0, level, "{line:?}");
        }
    }

    #[test]
    fn options_for_outputs_need_inputs() {
        assert!(parse("--out d").is_err());
        assert!(parse("--out d -c f").is_err());
        assert!(parse("--out d f").is_ok());
    }

    #[test]
    fn blocks_are_small_without_files() {
        assert_eq!(parse("").unwrap().block_size(), 4096);
        assert_eq!(parse("f").unwrap().block_size(), 131_072);
        assert_eq!(parse("-b 5000").unwrap().block_size(), 5000);
    }
}
