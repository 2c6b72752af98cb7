//! Ours: `map_indexed`, `map`, `stream`, `weight`, `task_queue` and `OrderedWriter`. `map_indexed`
//! takes a range, as the peers do.

use std::convert::Infallible;
use std::io;
use std::mem;

use reorder_executor::{Executor, OrderedWriter};

use super::{Collect, Gzip, Load, Stream, Weighed, write_parts};
use crate::compare::deflate::{compressor, member};
use crate::compare::job::Job;

pub(crate) struct Ours(Executor);

impl Ours {
    pub(crate) fn new(workers: usize, window: usize) -> Ours {
        let builder = Executor::builder().workers(workers).window(window);
        Ours(builder.build().expect("start an executor"))
    }
}

impl Collect for Ours {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        let count = usize::try_from(count).expect("the results fit in memory");
        self.0.map_indexed(count, |index| job(index as u64))
    }
}

/// Our peer with `map`, which takes an iterator.
pub(crate) struct OursIterator(pub(crate) Ours);

impl Collect for OursIterator {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        self.0.0.map(0..count, job)
    }
}

impl Stream for Ours {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        _window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        let outcomes = self.0.stream(source, job);
        outcomes.for_each(|outcome| sink(outcome.expect("no job panics")));
    }
}

impl Weighed for Ours {
    fn run<J: Job<usize, Vec<u8>>>(&self, load: Load<J>, mut sink: impl FnMut(Vec<u8>)) {
        let Load { sizes, budget, job } = load;
        let sizes = (0..sizes.len()).map(move |index| sizes[index]);
        let batch = self.0.batch(sizes).weight(budget, |&size| size as u64);
        let outcomes = batch.stream(move |size, _| Ok::<_, Infallible>(job(size)));
        let mut outcomes = outcomes.expect("the executor was not shut down");
        while let Some(outcome) = outcomes.peek_mut() {
            // The buffer counts until its outcome is taken.
            sink(outcome.as_mut().map(mem::take).expect("no job panics"));
            outcomes.next();
        }
    }
}

/// Our peer with an `OrderedWriter`.
pub(crate) struct OursWriter(pub(crate) Ours);

impl Gzip for OursWriter {
    fn gzip(&self, text: &[u8]) -> io::Result<Vec<u8>> {
        let mut writer = OrderedWriter::builder(64 << 10).build_init(
            &self.0.0,
            Vec::new(),
            compressor,
            |state, block, out| {
                member(state, block, out);
                Ok(())
            },
        );
        write_parts(text, &mut writer)?;
        writer.finish()
    }
}

/// Our peer with a queue of closures.
pub(crate) struct OursQueue(pub(crate) Ours);

impl OursQueue {
    /// Runs the closures, which another thread pushes.
    pub(crate) fn run<U, F>(
        &self,
        window: usize,
        tasks: impl Iterator<Item = F> + Send,
        sink: impl FnMut(U),
    ) where
        U: Send + 'static,
        F: FnOnce() -> U + Send + 'static,
    {
        let queue = self.0.0.task_queue().window(window).build().expect("it was not shut down");
        let (sender, outcomes) = queue;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for task in tasks {
                    sender.push(task).expect("the results are wanted");
                }
            });
            outcomes.values().for_each(sink);
        });
    }
}
