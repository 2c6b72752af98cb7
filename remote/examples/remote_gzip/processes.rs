//! Owner and workers as processes, which a NATS server connects.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reorder_remote::{NatsBuilder, NatsError, NatsLink};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::sink::Sink;
use crate::source::Source;
use crate::workers::work;
use crate::{AGAIN, AnyError, Args, PATIENCE_AT_FIRST, compress};

/// The time in which a worker stores its last results after its owner has ended.
const LAST_RESULTS: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &Args, url: &str) -> Result<(), AnyError> {
    if args.worker {
        return run_worker(args, url).await;
    }
    let source = Source::new(&args.files)?;
    let sink = Sink::open(&args.out, &source, args.resume)?;
    let link = settings(args).connect(url).await?;
    if sink.index() == 0 {
        forget_older_job(&link).await?;
    }
    let workers = (0..args.workers).map(|_| start(args, url)).collect::<io::Result<Vec<_>>>()?;
    let mut table = compress(link, args, &source, sink).await?;
    for mut worker in workers {
        drop(worker.stdin.take());
        let id = worker.id();
        let output = String::from_utf8(worker.wait_with_output()?.stdout)?;
        if let Some((started, again)) = output.trim().split_once(' ') {
            table.add_worker(id, started.parse()?, again.parse()?);
        }
    }
    table.print()
}

fn settings(args: &Args) -> NatsBuilder {
    NatsLink::builder(&args.job)
        .replicas(args.replicas)
        .acknowledgement_wait(args.patience() / 2)
        .open_within(PATIENCE_AT_FIRST)
}

/// Deletes the messages and the entry of an older job. Its results must not be those of this one.
async fn forget_older_job(link: &NatsLink) -> Result<(), NatsError> {
    let end = Instant::now() + PATIENCE_AT_FIRST;
    while let Err(error) = link.clear().await {
        if Instant::now() >= end {
            return Err(error);
        }
        eprintln!("remote_gzip: {error}");
        sleep(AGAIN).await;
    }
    Ok(())
}

/// Starts a worker. It ends after this process has ended, for whatever reason.
fn start(args: &Args, url: &str) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["--worker", "--until-eof", "--nats", url, "--job", &args.job])
        .args(["--replicas", &args.replicas.to_string(), "--patience", &args.patience.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Runs a worker. With `--until-eof`, it ends soon after the end of standard input.
async fn run_worker(args: &Args, url: &str) -> Result<(), AnyError> {
    let stop = watch::Sender::new(());
    let (mut stopped, mut over) = (stop.subscribe(), stop.subscribe());
    // Without a reader of standard input, nothing stops the worker.
    let _stop = if args.until_eof {
        std::thread::spawn(move || {
            _ = io::stdin().read_to_end(&mut Vec::new());
            drop(stop);
        });
        None
    } else {
        Some(stop)
    };
    let work = async {
        let link = settings(args).wait_for_owner().connect(url).await?;
        let stopped = async move { _ = stopped.changed().await };
        Ok::<_, NatsError>(work(link, std::process::id(), args, stopped).await)
    };
    tokio::select! {
        stats = work => {
            let stats = stats?;
            // The owner may have ended, and then nothing reads the numbers.
            _ = writeln!(io::stdout(), "{} {}", stats.started, stats.redelivered);
            Ok(())
        }
        // A server that does not answer must not keep the worker.
        () = async { _ = over.changed().await; sleep(LAST_RESULTS).await } => Ok(()),
    }
}
