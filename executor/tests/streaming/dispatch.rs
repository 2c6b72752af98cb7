//! Calls of a dispatcher that is not of this crate.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::time::Duration;

use reorder_executor::dispatch::{
    Call, Dispatch, Due, ItemTicket, Pull, Setup, Skipped, State, Stop, Turn, now,
};
use reorder_executor::{CancellationToken, Executor, Failure, Outcome};

type Job = Box<dyn Fn(&Arc<Call<Fifo>>, ItemTicket, u64) + Send + Sync>;

/// Runs the items one after another, in the order in which they may start.
struct Fifo {
    ready: Mutex<Ready>,
    job: Job,
    /// The method that panics.
    panics_in: &'static str,
    /// `true` if it pulls without a look at the window.
    is_greedy: bool,
    /// The items whose values come while the consumer gives them up.
    late: Mutex<Vec<ItemTicket>>,
}

#[derive(Default)]
struct Ready {
    items: VecDeque<(ItemTicket, u64)>,
    /// The items that wait for earlier items of their key.
    parked: Vec<(ItemTicket, u64)>,
    state: State,
    is_source_out: bool,
    /// The indices that were opened.
    opened: Vec<u64>,
}

enum Action {
    Run(ItemTicket, u64),
    Pull,
}

impl Fifo {
    fn new(job: impl Fn(&Arc<Call<Fifo>>, ItemTicket, u64) + Send + Sync + 'static) -> Fifo {
        let (ready, job) = (Mutex::default(), Box::new(job));
        Fifo { ready, job, panics_in: "", is_greedy: false, late: Mutex::default() }
    }

    fn enter(&self, method: &str) {
        if method == self.panics_in {
            resume_unwind(Box::new(method.to_owned()));
        }
    }

    fn next(&self, call: &Call<Self>, ready: &Ready) -> Option<bool> {
        let has_source = !ready.is_source_out && !ready.state.is_source_ended;
        let may_pull = has_source && (self.is_greedy || call.has_space());
        (!call.is_stopped() && (may_pull || !ready.items.is_empty()))
            .then_some(!ready.items.is_empty())
    }
}

impl Dispatch for Fifo {
    type Item = u64;
    type Value = u64;
    type Error = &'static str;
    type Action = Action;
    type Stats = Vec<u64>;

    fn due(&self, call: &Call<Self>, _: &mut Vec<Waker>) -> Due {
        self.enter("due");
        self.next(call, &self.ready.lock().unwrap()).map_or(Due::NEVER, |_| Due::Now)
    }

    fn take(&self, call: &Call<Self>) -> Option<Action> {
        self.enter("take");
        let mut ready = self.ready.lock().unwrap();
        if self.next(call, &ready)? {
            let (ticket, item) = ready.items.pop_front()?;
            ready.state.running += 1;
            call.note_start(ticket, now());
            return Some(Action::Run(ticket, item));
        }
        ready.is_source_out = true;
        Some(Action::Pull)
    }

    fn perform(&self, call: &Arc<Call<Self>>, action: Action, turn: &Turn<'_>) {
        self.enter("perform");
        match action {
            Action::Run(ticket, item) => {
                turn.running(ticket);
                call.start_time(ticket);
                call.note_end(ticket, Some(now()), 1);
                (self.job)(call, ticket, item);
                let mut ready = self.ready.lock().unwrap();
                ready.state.running -= 1;
                ready.state.finished += 1;
            }
            Action::Pull => {
                let pulled = call.pull(turn);
                let mut ready = self.ready.lock().unwrap();
                ready.is_source_out = false;
                ready.state.is_source_ended = matches!(pulled, Pull::Ended);
            }
        }
    }

    fn add(&self, ticket: ItemTicket, item: u64, is_open: bool) -> Result<(), u64> {
        self.enter("add");
        let mut ready = self.ready.lock().unwrap();
        ready.state.pulled += 1;
        match is_open {
            true => ready.items.push_back((ticket, item)),
            false => ready.parked.push((ticket, item)),
        }
        Ok(())
    }

    fn add_finished(&self) {
        self.enter("add_finished");
        let mut ready = self.ready.lock().unwrap();
        ready.state.pulled += 1;
        ready.state.finished += 1;
    }

    fn open(&self, index: u64) {
        let mut ready = self.ready.lock().unwrap();
        let place = ready.parked.iter().position(|(ticket, _)| ticket.index() == index);
        let item = ready.parked.remove(place.expect("it was parked"));
        ready.items.push_back(item);
        ready.opened.push(index);
    }

    fn skip(&self, call: &Call<Self>, index: u64, _: Stop) -> Skipped {
        self.enter("skip");
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        late.into_iter().for_each(|ticket| call.complete(ticket, Ok(77)));
        let mut ready = self.ready.lock().unwrap();
        ready.items.retain(|(ticket, _)| ticket.index() != index);
        Skipped::Evict
    }

    fn close(&self, _: &Call<Self>, _: Option<Stop>) {
        self.enter("close");
    }

    fn state(&self) -> State {
        self.enter("state");
        let ready = self.ready.lock().unwrap();
        State { waiting: ready.items.len() + ready.parked.len(), ..ready.state }
    }

    fn stats(&self) -> Vec<u64> {
        self.ready.lock().unwrap().opened.clone()
    }
}

fn double(call: &Arc<Call<Fifo>>, ticket: ItemTicket, item: u64) {
    call.complete(ticket, Ok(2 * item));
}

fn executor() -> Executor {
    Executor::builder().workers(1).build().unwrap()
}

fn window(items: usize) -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::new(items).unwrap()
}

#[test]
fn a_dispatcher_that_pulls_without_end_fills_the_window_alone() {
    let (executor, pulled) = (executor(), Arc::new(Mutex::new(0)));
    let counter = Arc::clone(&pulled);
    let source = (0_u64..).inspect(move |&n| *counter.lock().unwrap() = n + 1);
    let fifo = |_: &mut Setup| Fifo { is_greedy: true, ..Fifo::new(double) };
    let mut outcomes = executor.batch(source).window(window(4)).stream_to(fifo).unwrap();
    for item in 0..100 {
        assert_eq!(outcomes.next().unwrap().unwrap(), 2 * item);
        assert!(*pulled.lock().unwrap() <= item + 1 + 4);
    }
}

#[test]
fn a_second_completion_is_refused_and_counted() {
    let twice = |call: &Arc<Call<Fifo>>, ticket: ItemTicket, item| {
        call.complete(ticket, Ok(item));
        call.complete(ticket, Err(Failure::failed("again", 2)));
    };
    let executor = executor();
    let mut handle = executor.batch([5, 6]).submit_to(|_| Fifo::new(twice)).unwrap();
    assert!(handle.until_idle(None));
    let report = handle.wait();
    assert_eq!((report.late_results(), report.attempts()), (2, &[1, 1][..]));
    assert_eq!(report.stats::<Vec<u64>>(), Some(&Vec::new()));
    assert_eq!(report.stats::<u64>(), None, "they are of another type");
    assert_eq!(report.into_values().unwrap(), [5, 6]);
}

#[test]
fn items_that_are_completed_elsewhere_occupy_no_worker() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let later = move |call: &Arc<Call<Fifo>>, ticket, item| {
        sender.lock().unwrap().send((Arc::clone(call), ticket, item)).unwrap();
    };
    let executor = executor();
    let handle = executor.batch(0..9).submit_to(|_| Fifo::new(later)).unwrap();
    let mut started: Vec<_> = receiver.iter().take(9).collect();
    assert_eq!(executor.map([1, 2], |n| n + 1), [2, 3], "the only worker is free");
    started.reverse();
    for (call, ticket, item) in started {
        call.complete(ticket, Ok(item));
    }
    assert_eq!(handle.wait().into_values().unwrap(), (0..9).collect::<Vec<_>>());
}

#[test]
fn an_item_waits_for_the_earlier_items_of_its_key() {
    let executor = executor();
    let batch = executor.batch(0..6).ordered_by_key(|n| n % 2).key_window(window(1));
    let outcomes = batch.stream_to(|_| Fifo::new(double)).unwrap();
    let mut values: Vec<_> = outcomes.map(|it| (it.index, it.outcome.unwrap())).collect();
    for key in 0..2 {
        assert!(values.iter().filter(|(index, _)| index % 2 == key).is_sorted());
    }
    values.sort_unstable();
    assert_eq!(values, (0..6).map(|n| (n, 2 * n)).collect::<Vec<_>>());
}

#[test]
fn a_ticket_of_another_call_is_refused_by_key() {
    let executor = executor();
    let foreign = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&foreign);
    let keep = move |call: &Arc<Call<Fifo>>, ticket, item| {
        *kept.lock().unwrap() = Some(ticket);
        call.complete(ticket, Ok(item));
    };
    let batch = executor.batch([5]).ordered_by_key(|_| ());
    assert_eq!(batch.stream_to(|_| Fifo::new(keep)).unwrap().count(), 1);
    let foreign = foreign.lock().unwrap().take().unwrap();
    let both = move |call: &Arc<Call<Fifo>>, ticket, item| {
        call.complete(foreign, Ok(99));
        call.complete(ticket, Ok(item));
    };
    let batch = executor.batch([6]).ordered_by_key(|_| ());
    let mut outcomes = batch.stream_to(|_| Fifo::new(both)).unwrap();
    assert_eq!(outcomes.next().unwrap().outcome.unwrap(), 6);
    assert_eq!(outcomes.late_results(), 1);
}

#[test]
fn a_failure_that_is_refused_does_not_end_a_batch_that_fails_fast() {
    let late = |call: &Arc<Call<Fifo>>, ticket: ItemTicket, item| {
        call.complete(ticket, Ok(item));
        call.complete(ticket, Err(Failure::failed("again", 2)));
    };
    let executor = executor();
    let outcomes = executor.batch(0..9).fail_fast().stream_to(|_| Fifo::new(late)).unwrap();
    let values: Vec<_> = outcomes.map(|it| it.map_err(|it| it.to_string())).collect();
    assert_eq!(values, (0..9).map(Ok).collect::<Vec<_>>());
    let batch = executor.batch(0..9).fail_fast().ordered_by_key(|_| ());
    let outcomes = batch.stream_to(|_| Fifo::new(late)).unwrap();
    let values: Vec<_> = outcomes.map(|it| it.outcome.map_err(|it| it.to_string())).collect();
    assert_eq!(values, (0..9).map(Ok).collect::<Vec<_>>());
}

#[test]
fn an_item_that_ends_while_it_is_given_up_has_not_failed() {
    let job = |call: &Arc<Call<Fifo>>, ticket: ItemTicket, item| match item {
        0 => call.dispatch().late.lock().unwrap().push(ticket),
        _ => double(call, ticket, item),
    };
    let executor = executor();
    // Item 1 is pulled after the outcome of item 0 was taken.
    let batch = executor.batch(0..2).window(window(1)).fail_fast();
    let batch = batch.item_timeout(Duration::from_millis(100)).ordered_by_key(|_| ());
    let mut outcomes = batch.stream_to(|_| Fifo::new(job)).unwrap();
    assert_eq!(outcomes.next().unwrap().outcome.unwrap(), 77);
    // On a busy machine, its own time may be over.
    let second = outcomes.next().unwrap().outcome;
    assert!(!matches!(second, Err(Failure::Cancelled(_))), "{second:?}");
}

/// Returns the outcomes of a call whose dispatcher panics in this method.
fn broken(method: &'static str, by_key: bool) -> Vec<Outcome<u64, &'static str>> {
    let executor = executor();
    let token = CancellationToken::new();
    let cancel = token.clone();
    let job = move |call: &Arc<Call<Fifo>>, ticket: ItemTicket, item| match method {
        // The consumer gives the items up.
        "skip" | "close" if item == 1 => cancel.cancel(),
        // It never gets an outcome.
        "state" if item == 1 => {}
        _ => double(call, ticket, item),
    };
    let fifo = |_: &mut Setup| Fifo { panics_in: method, ..Fifo::new(job) };
    let source = (0..3).inspect(move |&n| assert!(method != "add_finished" || n < 2, "no more"));
    let batch = executor.batch(source).cancelled_by(&token);
    let outcomes = if by_key {
        let outcomes = batch.ordered_by_key(|n| *n).stream_to(fifo).unwrap();
        _ = outcomes.progress();
        outcomes.map(|it| it.outcome).collect()
    } else {
        let outcomes = batch.stream_to(fifo).unwrap();
        _ = outcomes.progress();
        outcomes.collect()
    };
    assert_eq!(executor.map([1], |n| n + 1), [2], "{method}: the worker is lost");
    outcomes
}

#[test]
fn a_panic_of_a_dispatcher_ends_its_call_alone() {
    let methods = ["due", "take", "perform", "add", "add_finished", "skip", "close", "state"];
    for (method, by_key) in methods.iter().flat_map(|it| [(*it, false), (*it, true)]) {
        let outcomes = broken(method, by_key);
        // The dispatcher panics while it learns of the panic of the source.
        let is_of_source =
            |it: &_| method == "add_finished" && matches!(it, Err(Failure::SourcePanicked(_)));
        let is_cancelled = |it: &_| matches!(it, Err(Failure::Cancelled(_)));
        // If the panic comes after the last pull, no failure stands for items that were not pulled.
        let has_ended = |it: &_| is_cancelled(it) || is_of_source(it);
        assert!(outcomes.iter().any(has_ended), "{method}, {by_key}: {outcomes:?}");
        let is_expected = |it: &Outcome<u64, _>| {
            matches!(it, Ok(0 | 2 | 4)) || is_cancelled(it) || is_of_source(it)
        };
        assert!(outcomes.iter().all(is_expected), "{method}, {by_key}: {outcomes:?}");
    }
}
