//! The task that performs the actions of an owner's state machine.
//!
//! ```text
//!   consumer: next, commit ──▶ machine ◀── driver: polls, performs, reports
//!                   ▲            │  │             ▲
//!                   └─ changed ──┘  └─── work ────┘
//! ```
//!
//! Both sides lock the machine for a few steps at a time, and run no user code meanwhile. The
//! driver notifies `changed` after each event. The consumer notifies `work` after each offer and
//! commit.

use std::future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;

use crate::link::{Channel, Entry, Link, LinkError, Message};
use crate::machine::{self, OwnerAction, Step};
use crate::owner::error::OwnerError;

/// The time before the driver receives again after an error.
const RECEIVE_AGAIN: Duration = Duration::from_millis(200);

/// The state machine, as the driver and the consumer share it.
pub(super) struct Shared<R> {
    machine: Mutex<Machine<R>>,
    work: Notify,
    changed: Notify,
}

pub(super) struct Machine<R> {
    pub(super) owner: machine::Owner<R>,
    /// Says that the driver has ended.
    is_closed: bool,
}

impl<R: Clone> Shared<R> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Machine<R>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the driver look at the machine.
    pub(super) fn notify_driver(&self) {
        self.work.notify_one();
    }

    /// Waits until a look at the machine returns something. Fails if the owner has ended.
    ///
    /// The first look may change the machine, so the driver looks after it.
    pub(super) async fn wait<T>(
        &self,
        mut look: impl FnMut(&mut machine::Owner<R>, Instant) -> Option<T>,
    ) -> Result<T, OwnerError> {
        let mut is_first = true;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let (found, end) = {
                let mut machine = self.lock();
                (look(&mut machine.owner, now()), machine.end())
            };
            // The driver notifies this future in turn, so a notification for each look never ends.
            if core::mem::take(&mut is_first) {
                self.notify_driver();
            }
            match (found, end) {
                (Some(found), _) => return Ok(found),
                (None, Some(end)) => return Err(end),
                (None, None) => changed.await,
            }
        }
    }
}

impl<R: Clone> Machine<R> {
    /// Returns the reason why the owner delivers nothing more.
    pub(super) fn end(&self) -> Option<OwnerError> {
        match self.owner.broken_by() {
            Some(Step::Fenced { epoch }) => Some(OwnerError::Fenced { epoch }),
            Some(Step::Unreadable(error)) => Some(OwnerError::Record(error)),
            _ if self.is_closed => Some(OwnerError::Closed),
            _ => None,
        }
    }
}

/// The task of an owner, which ends when this handle is dropped.
pub(super) struct Driver {
    task: AbortHandle,
}

impl Driver {
    pub(super) fn start<L: Link>(
        link: Arc<L>,
        owner: machine::Owner<L::Receipt>,
    ) -> (Arc<Shared<L::Receipt>>, Driver) {
        let machine = Mutex::new(Machine { owner, is_closed: false });
        let shared = Arc::new(Shared { machine, work: Notify::new(), changed: Notify::new() });
        let task = tokio::spawn(drive(link, Closing(Arc::clone(&shared)))).abort_handle();
        (shared, Driver { task })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells the consumer when the driver ends, also by an abort or a panic.
struct Closing<R: Clone>(Arc<Shared<R>>);

impl<R: Clone> Drop for Closing<R> {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_waiters();
    }
}

/// The end of an operation of the link.
enum Done<R> {
    Published(u64, Result<(), LinkError>),
    Acknowledged,
    Stored(Result<Option<u64>, LinkError>),
    Loaded(Result<Option<Entry>, LinkError>),
    Received(Result<Vec<Message<R>>, LinkError>),
}

async fn drive<L: Link>(link: Arc<L>, closing: Closing<L::Receipt>) {
    let shared = &*closing.0;
    let mut operations = JoinSet::new();
    let mut receiver = receive(&mut operations, &link, shared);
    let mut is_over = false;
    loop {
        let deadline = {
            let owner = &mut shared.lock().owner;
            // An engine that confirms slowly must not make the operations grow without bound.
            let most = 16 + 4 * owner.window();
            while operations.len() < most {
                let Some(action) = owner.poll(now()) else { break };
                perform(&mut operations, &link, action);
            }
            is_over |= owner.is_closed() || owner.broken_by().is_some();
            owner.deadline().filter(|_| operations.len() < most)
        };
        shared.changed.notify_waiters();
        if is_over {
            // Otherwise this owner could receive the messages again that it has just given back.
            receiver.abort();
            if operations.is_empty() {
                return;
            }
        }
        let timer = async {
            match deadline {
                Some(deadline) => time::sleep_until(deadline.into()).await,
                None => future::pending().await,
            }
        };
        let mut ended = tokio::select! {
            ended = operations.join_next() => ended,
            () = shared.work.notified() => None,
            () = timer => None,
        };
        while let Some(result) = ended {
            match result {
                Ok(Done::Received(messages)) => {
                    note_received(shared, messages);
                    if !is_over {
                        receiver = receive(&mut operations, &link, shared);
                    }
                }
                Ok(done) => note(&mut shared.lock().owner, done),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Only a runtime that shuts down cancels operations. It waits for this task, which
                // would never wait again without a receiver.
                Err(_) => return,
            }
            ended = operations.try_join_next();
        }
    }
}

fn perform<L: Link>(
    operations: &mut JoinSet<Done<L::Receipt>>,
    link: &Arc<L>,
    action: OwnerAction<L::Receipt>,
) {
    let link = Arc::clone(link);
    operations.spawn(async move {
        match action {
            OwnerAction::Publish { number, id, body } => {
                Done::Published(number, link.publish(Channel::Tasks, id, body).await)
            }
            OwnerAction::Acknowledge { receipt, with } => {
                // If it fails, the message comes again.
                _ = link.acknowledge(&receipt, with).await;
                Done::Acknowledged
            }
            OwnerAction::Store { value, expected } => {
                Done::Stored(link.store(value, expected).await)
            }
            OwnerAction::Load => Done::Loaded(link.load().await),
        }
    });
}

fn receive<L: Link>(
    operations: &mut JoinSet<Done<L::Receipt>>,
    link: &Arc<L>,
    shared: &Shared<L::Receipt>,
) -> AbortHandle {
    let (link, most) = (Arc::clone(link), shared.lock().owner.window());
    operations.spawn(async move {
        let received = link.receive(Channel::Results, most).await;
        if received.is_err() {
            time::sleep(RECEIVE_AGAIN).await;
        }
        Done::Received(received)
    })
}

fn note_received<R: Clone>(shared: &Shared<R>, received: Result<Vec<Message<R>>, LinkError>) {
    let Ok(messages) = received else { return };
    let mut machine = shared.lock();
    if messages.is_empty() {
        machine.owner.received_nothing();
    }
    for message in messages {
        machine.owner.received(now(), message);
    }
}

fn note<R: Clone>(owner: &mut machine::Owner<R>, done: Done<R>) {
    match done {
        Done::Published(number, result) => owner.published(now(), number, result),
        Done::Stored(result) => owner.stored(now(), result),
        Done::Loaded(result) => owner.loaded(now(), result),
        Done::Received(_) | Done::Acknowledged => {}
    }
}

/// Returns the time of the runtime, which a test may have paused.
fn now() -> Instant {
    time::Instant::now().into_std()
}
