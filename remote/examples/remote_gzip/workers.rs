//! The job of the workers, and workers that run as tasks of this process.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use reorder_remote::{AttemptOutcome, Link, Task, Worker, WorkerStats};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Args, Table};

/// Runs a worker until `stop` ends. The worker compresses one block at a time.
pub(crate) async fn work<L: Link>(
    link: L,
    id: u32,
    args: &Args,
    stop: impl Future<Output = ()> + Send + 'static,
) -> WorkerStats {
    // `--patience` is the time after which the owner asks again. After half of it, the server
    // delivers a block again if no heartbeat has come. So three heartbeats fit into that time.
    let worker = Worker::new(link).number(id.into()).heartbeat(args.patience() / 6);
    worker.deliveries(20).until(stop).run_blocking(compress).await
}

/// Compresses a block to a gzip file of its own. Gzip files one after the other are a gzip file.
fn compress(task: Task<Result<Bytes, String>>) -> AttemptOutcome<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let block = task.value.and_then(|block| {
        let written = encoder.write_all(&block).and_then(|()| encoder.finish());
        written.map_err(|error| error.to_string())
    });
    match block {
        Ok(block) => AttemptOutcome::Done(block.into()),
        // The owner could not read the block, so another attempt would fail as well.
        Err(error) => AttemptOutcome::Failed { error },
    }
}

/// Workers that run as tasks of this process.
pub(crate) struct LocalWorkers {
    stop: watch::Sender<()>,
    /// The number and the task of each worker.
    workers: Vec<(u32, JoinHandle<WorkerStats>)>,
}

impl LocalWorkers {
    pub(crate) fn start<L: Link + Clone>(link: &L, args: &Args) -> LocalWorkers {
        let stop = watch::Sender::new(());
        let mut workers = Vec::new();
        for id in 1..=args.workers {
            let (link, args) = (link.clone(), args.clone());
            let mut receiver = stop.subscribe();
            // The wait ends when `LocalWorkers::stop` drops the sender.
            let stopped = async move { _ = receiver.changed().await };
            let task = tokio::spawn(async move { work(link, id, &args, stopped).await });
            workers.push((id, task));
        }
        LocalWorkers { stop, workers }
    }

    /// Stops the workers, and writes their numbers into the table.
    pub(crate) async fn stop(self, table: &mut Table) {
        drop(self.stop);
        for (id, worker) in self.workers {
            // A worker that has panicked has no numbers.
            if let Ok(stats) = worker.await {
                table.add_worker(id, stats.started, stats.redelivered);
            }
        }
    }
}
