//! A plain pool of threads, for the peers that are a structure and not a library: a channel of
//! boxed jobs.

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

    /// Gives each thread a copy of `runner`, to be run when it has time.
    pub(crate) fn run_on_each(&self, runner: impl FnOnce() + Clone + Send + 'static) {
        let jobs = self.jobs.as_ref().expect("it is there until the drop");
        for _ in &self.threads {
            jobs.send(Box::new(runner.clone())).expect("the threads are there");
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
