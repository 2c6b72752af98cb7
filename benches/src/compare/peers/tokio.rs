//! `buffered` of the `futures` crate, over tokio tasks. Jobs that block run on tokio's blocking
//! threads; all other jobs are plain tasks.

use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};

use super::Stream;
use crate::compare::job::Job;

pub(crate) struct Tokio {
    runtime: Runtime,
    blocking: bool,
}

impl Tokio {
    pub(crate) fn new(threads: usize) -> Tokio {
        let runtime = Builder::new_multi_thread().worker_threads(threads).build();
        Tokio { runtime: runtime.expect("start a runtime"), blocking: false }
    }

    /// Creates the peer for jobs that block.
    pub(crate) fn blocking(threads: usize) -> Tokio {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).max_blocking_threads(threads).build();
        Tokio { runtime: runtime.expect("start a runtime"), blocking: true }
    }
}

impl Stream for Tokio {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        let task = |item| {
            if self.blocking {
                self.runtime.spawn_blocking(move || job(item))
            } else {
                self.runtime.spawn(async move { job(item) })
            }
        };
        self.runtime.block_on(async {
            let mut results = futures::stream::iter(source.map(task)).buffered(window);
            while let Some(result) = results.next().await {
                sink(result.expect("no job panics"));
            }
        });
    }
}
