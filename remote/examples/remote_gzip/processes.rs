//! Owner and workers as processes, which a NATS server connects.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reorder_remote::NatsLink;
use tokio::sync::oneshot;

use crate::workers::work;
use crate::{AnyError, Args, compress, print_table, sink};

/// The time for which a process waits for its server at first.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(600);

pub(crate) async fn run(args: &Args, url: &str) -> Result<(), AnyError> {
    let link = NatsLink::builder(&args.job)
        .replicas(args.replicas)
        .acknowledgement_wait(args.patience() / 2)
        .open_within(PATIENCE_AT_FIRST)
        .connect(url)
        .await?;
    if args.worker {
        let stats = work(link, std::process::id(), args, stopped(args.until_eof)).await;
        println!("{} {}", stats.started, stats.redelivered);
        return Ok(());
    }
    let resume = args.resume && sink::is_incomplete(&args.out);
    if !resume {
        // The results of an older job must not be those of this one.
        while let Err(error) = link.remove().await {
            eprintln!("remote_gzip: {error}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let workers = (0..args.workers).map(|_| start(args, url)).collect::<io::Result<Vec<_>>>()?;
    let (stats, blocks) = compress(link, args, resume).await?;
    let mut numbers = BTreeMap::new();
    for mut worker in workers {
        drop(worker.stdin.take());
        let id = worker.id();
        let output = String::from_utf8(worker.wait_with_output()?.stdout)?;
        if let Some((started, again)) = output.trim().split_once(' ') {
            numbers.insert(id, (started.parse()?, again.parse()?));
        }
    }
    print_table(&blocks, &numbers, stats);
    Ok(())
}

/// Starts a worker. It ends when this process ends, by whatever reason.
fn start(args: &Args, url: &str) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["--worker", "--until-eof", "--nats", url, "--job", &args.job])
        .args(["--replicas", &args.replicas.to_string(), "--patience", &args.patience.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Waits for the end of standard input, if it counts.
async fn stopped(until_eof: bool) {
    let (end, ended) = oneshot::channel::<()>();
    if until_eof {
        std::thread::spawn(move || {
            _ = io::stdin().read_to_end(&mut Vec::new());
            drop(end);
        });
        _ = ended.await;
    } else {
        std::future::pending().await
    }
}
