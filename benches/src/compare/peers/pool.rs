//! A simple thread pool with a channel of boxed jobs, for peers that have no threads themselves.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, unbounded};

type Boxed = Box<dyn FnOnce() + Send>;

pub(crate) struct Pool {
    jobs: Option<Sender<Boxed>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Pool {
        let (jobs, queue) = unbounded::<Boxed>();
        let work = |_| {
            let queue = queue.clone();
            thread::spawn(move || queue.iter().for_each(|job| job()))
        };
        Pool { jobs: Some(jobs), threads: (0..threads).map(work).collect() }
    }

    /// Queues a copy of `job` for each thread.
    pub(crate) fn run_on_each(&self, job: impl FnOnce() + Clone + Send + 'static) {
        let jobs = self.jobs.as_ref().expect("the sender lives until the pool is dropped");
        for _ in &self.threads {
            jobs.send(Box::new(job.clone())).expect("the threads live as long as the pool");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            thread.join().expect("no job panics");
        }
    }
}
