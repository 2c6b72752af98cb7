//! An owner and its workers die, the engine fails and forgets, and the output is complete.
//!
//! All parts run in one process here. On many machines, the owner and the workers are programs of
//! their own, and the link connects them to a server.

use std::time::Duration;

use reorder_remote::{Faults, InProcess, Owner, OwnerError, Task, Worker};
use tokio::time::{sleep, timeout};

const ITEMS: u64 = 300;

/// The sink: a file or a table in a real program. It is idempotent by index.
#[derive(Default)]
struct Sink {
    lines: Vec<String>,
}

impl Sink {
    fn committed(&self) -> u64 {
        self.lines.len() as u64
    }

    fn append(&mut self, index: u64, line: String) {
        assert!(index <= self.committed(), "the items come in order");
        if index == self.committed() {
            self.lines.push(line);
        }
    }
}

/// Runs workers, of which one dies now and then.
async fn run_workers(link: InProcess) {
    let job = |task: Task<u64>| async move {
        sleep(Duration::from_millis(5 + task.value % 7)).await;
        Ok::<_, String>(format!("{} squared is {}", task.value, task.value * task.value))
    };
    loop {
        let heartbeat = Duration::from_millis(100);
        let worker = || Worker::new(link.clone()).concurrency(4).heartbeat(heartbeat).run(job);
        // The second worker dies after a while, with the tasks that it has.
        let life = Duration::from_millis(400);
        tokio::select! {
            _ = worker() => {}
            _ = timeout(life, worker()) => {}
        }
    }
}

/// Delivers results until all items are in the sink.
async fn run_owner(link: InProcess, sink: &mut Sink) -> Result<(), OwnerError> {
    let owner = Owner::builder(link)
        .window(32)
        .items_per_message(4)
        .attempts(100)
        .ask_again_after(Duration::from_millis(300))
        .lease(Duration::from_millis(200))
        .resume_from(sink.committed())
        .open()
        .await?;
    println!("owner {} begins with item {}", owner.epoch(), owner.first());
    let mut results = owner.map(sink.committed()..ITEMS, |n| n).results::<String>();
    while let Some(delivery) = results.next().await? {
        let line = delivery.outcome.clone().unwrap_or_else(|gap| format!("no result: {gap}"));
        sink.append(delivery.index, line);
        delivery.commit().await?;
    }
    println!("{:#?}", results.stats());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let faults = Faults { lose: 0.02, double: 0.1, swap: 0.3, forge: 0.02, ..Faults::default() };
    let link = InProcess::with_faults(faults, 1).acknowledgement_wait(Duration::from_millis(300));
    tokio::spawn(run_workers(link.clone()));

    let mut sink = Sink::default();
    // The owner dies twice. The second time, the engine loses all that it has stored.
    for life in 1..=2 {
        _ = timeout(Duration::from_millis(600), run_owner(link.clone(), &mut sink)).await;
        println!("owner dies after {} items", sink.committed());
        if life == 2 {
            link.forget();
        }
    }
    run_owner(link, &mut sink).await.expect("there is no other owner");

    assert_eq!(sink.committed(), ITEMS);
    for (n, line) in (0..).zip(&sink.lines) {
        assert_eq!(*line, format!("{n} squared is {}", n * n));
    }
    println!("all {ITEMS} lines are complete and in order");
}
