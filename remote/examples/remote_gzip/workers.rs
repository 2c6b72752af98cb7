//! What a worker does, and workers that are threads of this process.

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use reorder_remote::{AttemptOutcome, Link, Task, Worker, WorkerStats};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Args, Started};

/// Runs a worker until the future ends. It has one block at a time.
pub(crate) async fn work<L: Link>(
    link: L,
    id: u32,
    args: &Args,
    stop: impl Future<Output = ()> + Send + 'static,
) -> WorkerStats {
    // The link delivers a block again after half of the patience.
    let worker = Worker::new(link).heartbeat(args.patience() / 6).deliveries(20);
    worker.until(stop).run_blocking(move |task| compress(id, task)).await
}

/// Compresses a block. A sequence of gzip files is a gzip file, so each block is one.
fn compress(id: u32, task: Task<Result<Bytes, String>>) -> AttemptOutcome<(u32, Bytes)> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let block = task.value.and_then(|block| {
        let written = encoder.write_all(&block).and_then(|()| encoder.finish());
        written.map_err(|error| error.to_string())
    });
    match block {
        Ok(block) => AttemptOutcome::Done((id, block.into())),
        Err(error) => AttemptOutcome::Failed { error },
    }
}

pub(crate) struct LocalWorkers {
    stop: watch::Sender<()>,
    workers: Vec<(u32, JoinHandle<WorkerStats>)>,
}

impl LocalWorkers {
    pub(crate) fn start<L: Link + Clone>(link: &L, args: &Args) -> LocalWorkers {
        let stop = watch::Sender::new(());
        let start = |id| {
            let (link, args, mut stopped) = (link.clone(), args.clone(), stop.subscribe());
            let stopped = async move { _ = stopped.changed().await };
            (id, tokio::spawn(async move { work(link, id, &args, stopped).await }))
        };
        let workers = (1..=args.workers as u32).map(start).collect();
        LocalWorkers { stop, workers }
    }

    /// Stops the workers, and returns their numbers.
    pub(crate) async fn stop(self) -> BTreeMap<u32, Started> {
        drop(self.stop);
        let mut numbers = BTreeMap::new();
        for (id, worker) in self.workers {
            numbers.extend(worker.await.map(|stats| (id, (stats.started, stats.redelivered))));
        }
        numbers
    }
}
