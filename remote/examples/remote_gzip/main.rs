//! Compresses files on several machines. Workers compress blocks, and the owner writes them in
//! order, so that each output is a valid gzip file.
//!
//! * Without `--nats`, the workers are threads of this process.
//! * With `--nats URL`, they are processes, which may be on any machine. The example needs the
//!   feature `nats` for that.
//! * Each block is synced before it is committed. So `--resume` continues after the owner was
//!   killed, or its machine has lost its power. It needs the same files, unchanged.
//! * An output that exists already is an error, except with `--resume`.
//! * After Ctrl-C, the workers that the owner has started end as well.
//!
//! ```text
//! cargo run --release -p reorder-remote --example remote_gzip -- --workers 3 --out DIR FILE...
//! ```

#[cfg(feature = "nats")]
mod processes;
mod sink;
mod source;
mod table;
mod workers;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use reorder_remote::{InProcess, Link, Owner, OwnerError};
use sink::Sink;
use source::Source;
use table::Table;
use tokio::time::{Instant, sleep};
use workers::LocalWorkers;

/// The time for which a process waits for its server at first.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(600);
/// The time before a process asks its server again.
const AGAIN: Duration = Duration::from_millis(500);

type AnyError = Box<dyn Error + Send + Sync>;

/// Compresses files on several machines.
#[derive(Clone, Parser)]
struct Args {
    /// The files to compress
    #[arg(required_unless_present = "worker")]
    files: Vec<PathBuf>,
    /// The folder for the outputs
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// The number of workers that this program starts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=1000))]
    workers: u32,
    /// The URL of a NATS server, or several URLs with commas
    #[arg(long)]
    nats: Option<String>,
    /// The name of the job, which its owner and its workers share
    #[arg(long, default_value = "remote_gzip")]
    job: String,
    /// The number of servers that store each message
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Continue the job that was interrupted
    #[arg(long)]
    resume: bool,
    /// Be a worker, until Ctrl-C
    #[arg(long, requires = "nats")]
    worker: bool,
    /// End the worker at the end of standard input
    #[arg(long, hide = true)]
    until_eof: bool,
    /// The seconds of silence after which the owner asks for a block again
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

impl Args {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience.max(1))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reader of standard error may have ended.
            _ = writeln!(std::io::stderr(), "remote_gzip: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), AnyError> {
    let Some(url) = &args.nats else {
        if args.workers == 0 {
            return Err("without --nats, the owner needs workers of its own".into());
        }
        let source = Source::new(&args.files)?;
        let sink = Sink::open(&args.out, &source, args.resume)?;
        let link = InProcess::new();
        let workers = LocalWorkers::start(&link, &args);
        let mut table = compress(link, &args, &source, sink).await?;
        workers.stop(&mut table).await;
        return table.print();
    };
    #[cfg(not(feature = "nats"))]
    return Err(format!("the link to {url} needs the feature `nats`").into());
    #[cfg(feature = "nats")]
    processes::run(&args, url).await
}

/// Compresses the files. Returns the table of what the owner has counted.
async fn compress<L: Link + Clone>(
    link: L,
    args: &Args,
    source: &Source,
    mut sink: Sink<'_>,
) -> Result<Table, AnyError> {
    sink.start()?;
    let end = Instant::now() + PATIENCE_AT_FIRST;
    let owner = loop {
        let owner = Owner::builder(link.clone())
            .window(64)
            .ask_again_after(args.patience())
            .attempts(20)
            .lease(Duration::from_secs(2))
            .resume_from(sink.index());
        match owner.open().await {
            Err(error @ OwnerError::Link(_)) if Instant::now() < end => {
                eprintln!("remote_gzip: {error}");
                sleep(AGAIN).await;
            }
            result => break result?,
        }
    };
    let bar = ProgressBar::new(source.blocks());
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} blocks, {elapsed}")?);
    let indices = owner.first()..source.blocks();
    let mut results = owner.map(indices, |index| source.read(index)).results::<Bytes>();
    while let Some(delivery) = results.next().await? {
        let index = delivery.index;
        let block = delivery.outcome.as_ref().map_err(|gap| format!("{index}: {gap}"))?;
        sink.append(index, block)?;
        delivery.commit().await?;
        bar.set_position(index + 1);
    }
    bar.finish();
    sink.finish()?;
    Ok(Table::new(results.stats(), results.answers()))
}
