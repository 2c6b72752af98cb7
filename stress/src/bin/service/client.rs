//! A client: draws one call after the other at random, and checks all outcomes.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use reorder_executor::{
    BatchBuilder, BatchHandle, BatchReport, CancellationToken, Executor, Failure, Ordered,
};
use reorder_requests::{RateLimiter, RequestStats, Requests, RequestsExt, Retry};
use reorder_stress::{Counted, Random};

use crate::call::{ATTEMPTS, Call, Ends, Plan, Refusal};
use crate::counts::Counts;
use crate::watch::Watch;

/// The most submitted batches that a client leaves open while it makes other calls.
const MOST_HELD: usize = 3;

/// A submitted batch whose outcomes the client has not taken.
struct Submitted {
    call: Arc<Call>,
    ends: Ends,
    handle: BatchHandle<Counted, Refusal>,
}

impl Submitted {
    fn new<I>(call: Arc<Call>, batch: BatchBuilder<'_, I>, ends: Ends) -> Submitted
    where
        I: IntoIterator<Item = Counted>,
    {
        let jobs = Arc::clone(&call);
        let handle = batch.submit(move |item, job| jobs.limited_job(&item, job));
        Submitted { call, ends, handle: handle.expect("the executor is not shut down") }
    }
}

pub(crate) struct Client<'e> {
    pub(crate) number: usize,
    pub(crate) executor: &'e Executor,
    pub(crate) limiter: &'e RateLimiter,
    pub(crate) watch: &'e Watch,
    random: Random,
    next: u64,
    held: Vec<Submitted>,
    pub(crate) counts: Counts,
}

impl<'e> Client<'e> {
    pub(crate) fn new(
        number: usize,
        round: u64,
        seed: u64,
        (executor, limiter, watch): (&'e Executor, &'e RateLimiter, &'e Watch),
    ) -> Self {
        let stream = seed.wrapping_mul(1 << 20) + round * crate::CLIENTS as u64 + number as u64;
        Client {
            number,
            executor,
            limiter,
            watch,
            random: Random::new(stream % (1 << 60)),
            next: (number as u64) << 40 | round << 24,
            held: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Makes the next call.
    pub(crate) fn call(&mut self) {
        match self.random.below(16) {
            0 | 1 => self.map(),
            2 => self.nested(),
            3 => self.broken_source(),
            4 => self.panics(),
            5 => self.together(),
            6 => self.fails_fast(),
            7 | 8 => self.stream(),
            9 => self.scoped_stream(),
            10 => self.cancelled_stream(),
            11 => self.timeouts(),
            12 => self.deadline(),
            13 => self.cancelled(),
            _ => self.requests(),
        }
    }

    /// Takes the outcomes of all batches that are open.
    pub(crate) fn finish(&mut self) {
        while let Some(submitted) = self.held.pop() {
            self.wait(submitted);
        }
        self.watch.set(self.number, None);
    }

    fn plan(&mut self, most: usize) -> Plan {
        let items = self.random.below(most);
        // The items of most calls take a few microseconds, those of some calls a millisecond.
        let units = match self.random.below(16) {
            0 if items < 50 => 100 + self.random.below(1000),
            1 | 2 => self.random.below(50),
            _ => self.random.below(3),
        };
        Plan { items, units, ..Plan::default() }
    }

    fn open(&mut self, name: &'static str, plan: Plan) -> Arc<Call> {
        let call = Call::new(self.next, name, plan);
        self.next += 1;
        self.counts.add(name);
        self.watch.set(self.number, Some(&call));
        call
    }

    fn index_below(&mut self, items: usize) -> Option<usize> {
        (items > 0).then(|| self.random.below(items))
    }

    fn map(&mut self) {
        let plan = self.plan(300);
        let call = self.open("maps", plan);
        let values = match self.random.below(3) {
            0 => self.executor.map(call.items(), |item| call.job(item)),
            // A source that promises no number of items.
            1 => self.executor.map(call.items().filter(|_| true), |item| call.job(item)),
            _ => self.executor.map_init(
                call.items(),
                || Counted::new(call.id(0)),
                |state, item| {
                    assert_eq!(state.id(), call.id(0));
                    call.job(item)
                },
            ),
        };
        self.check_values(&call, values);
    }

    fn check_values(&mut self, call: &Call, values: Vec<Counted>) {
        assert_eq!(values.len(), call.plan.items, "{call:?}");
        for (index, value) in values.into_iter().enumerate() {
            call.check::<Refusal>(index, Ok(value), &Ends::never(), &mut self.counts);
        }
    }

    fn nested(&mut self) {
        let (outer, inner) = (self.plan(20), self.plan(20));
        let call = self.open("nested maps", outer);
        let first = self.next;
        self.next += call.plan.items as u64;
        let (executor, plan) = (self.executor, &inner);
        let results = executor.map_indexed(call.plan.items, |index| {
            let inner = Call::new(first + index as u64, "inner maps", plan.clone());
            let values = executor.map(inner.items(), |item| {
                call.step();
                inner.job(item)
            });
            let mut counts = Counts::default();
            for (index, value) in values.into_iter().enumerate() {
                inner.check::<Refusal>(index, Ok(value), &Ends::never(), &mut counts);
            }
            assert_eq!(inner.total_runs(), inner.plan.items as u64);
            (call.job(Counted::new(call.id(index))), counts)
        });
        let (values, counts): (_, Vec<_>) = results.into_iter().unzip();
        self.check_values(&call, values);
        counts.iter().for_each(|counts| self.counts.add_all(counts));
    }

    /// The caller gets the panic of its source. The executor drops the earlier results.
    fn broken_source(&mut self) {
        let plan = self.plan(100);
        let call = self.open("broken sources", plan);
        let broken = std::iter::once_with(|| resume_unwind(Box::new(call.number)));
        let source = call.items().chain(broken);
        let caught =
            catch_unwind(AssertUnwindSafe(|| self.executor.map(source, |item| call.job(item))));
        let payload = caught.map(drop).expect_err("the source has panicked");
        assert_eq!(payload.downcast_ref(), Some(&call.number), "{call:?}");
    }

    fn panics(&mut self) {
        let plan = Plan { panics: true, ..self.plan(200) };
        let call = self.open("panicking batches", plan);
        let report = self.executor.execute_batch(call.items(), |item| call.job(item));
        self.check_report(&call, report, &Ends::never());
    }

    /// Two items wait for each other. The caller runs one of them, and a worker the other one.
    fn together(&mut self) {
        let call = self.open("concurrent batches", Plan { items: 2, ..Plan::default() });
        let both = Barrier::new(2);
        let report = self.executor.batch(call.items()).concurrent().run(|item, job| {
            both.wait();
            call.limited_job(&item, job)
        });
        self.check_report(&call, report, &Ends::never());
    }

    fn fails_fast(&mut self) {
        let plan = self.plan(200);
        let fails_at = self.index_below(plan.items);
        let call = self.open("failing batches", Plan { fails_at, panics: true, ..plan });
        let ends = Ends { fails_fast: true, ..Ends::never() };
        let batch = self.executor.batch(call.items()).fail_fast();
        if self.random.once_in(2) {
            let report = batch.run(|item, job| call.limited_job(&item, job));
            assert_eq!(call.plan.items > 0, report.outcomes().iter().any(|it| it.is_err()));
            self.check_report(&call, report, &ends);
        } else {
            self.hold(Submitted::new(call, batch, ends));
        }
    }

    fn stream(&mut self) {
        let plan = Plan { panics: true, ..self.plan(400) };
        let call = self.open("streams", plan);
        let jobs = Arc::clone(&call);
        let stream = self.executor.stream(call.items(), move |item| jobs.job(item));
        let most = self.most(call.plan.items);
        self.take(&call, stream, most, &Ends::never());
    }

    fn scoped_stream(&mut self) {
        let plan = Plan { panics: true, ..self.plan(200) };
        let call = self.open("scoped streams", plan);
        let most = self.most(call.plan.items);
        self.executor.scope(|scope| {
            let stream = scope.stream(call.items(), |item| call.job(item));
            self.take(&call, stream, most, &Ends::never());
        });
    }

    /// Returns how many outcomes to take: all of them, or only some.
    fn most(&mut self, items: usize) -> usize {
        if self.random.once_in(2) { usize::MAX } else { self.random.below(items + 1) }
    }

    /// Takes up to `most` outcomes, then drops the stream.
    fn take<E: fmt::Display + Send>(
        &mut self,
        call: &Call,
        mut stream: Ordered<'_, Counted, E>,
        most: usize,
        ends: &Ends,
    ) {
        let items = call.plan.items;
        for index in 0..items.min(most) {
            let outcome = stream.next().unwrap_or_else(|| panic!("{call:?} ends at {index}"));
            call.check(index, outcome, ends, &mut self.counts);
        }
        if most > items {
            assert!(stream.next().is_none(), "{call:?}");
        } else {
            self.counts.add("dropped streams");
        }
    }

    fn cancelled_stream(&mut self) {
        let plan = self.plan(400);
        let overdue_at = self.index_below(plan.items);
        let call = self.open("cancelled streams", Plan { overdue_at, ..plan });
        let token = CancellationToken::new();
        let ends = Ends { token: Some(token.clone()), ..Ends::never() };
        let jobs = Arc::clone(&call);
        let batch = self.executor.batch(call.items()).cancelled_by(&token);
        let stream = batch.stream(move |item, job| jobs.limited_job(&item, job));
        let mut stream = stream.expect("the executor is not shut down");
        let before = self.random.below(call.plan.overdue_at.unwrap_or(0) + 1);
        for index in 0..before {
            let outcome = stream.next().unwrap_or_else(|| panic!("{call:?} ends at {index}"));
            call.check(index, outcome, &ends, &mut self.counts);
        }
        token.cancel();
        // If the end of the source was not found, one more failure stands for later items.
        let (mut taken, mut is_over) = (before, false);
        for outcome in stream {
            is_over = outcome.is_err();
            if taken < call.plan.items {
                call.check(taken, outcome, &ends, &mut self.counts);
            } else {
                assert!(matches!(outcome, Err(Failure::Cancelled { .. })), "{call:?}");
                assert!(taken == call.plan.items, "{call:?} has too many outcomes");
            }
            taken += 1;
        }
        assert!(taken >= call.plan.items || is_over, "{call:?} ends at {taken}");
    }

    /// Some items are in time, and one is not.
    fn timeouts(&mut self) {
        let plan = self.plan(50);
        let overdue_at = self.index_below(plan.items);
        let call = self.open("batches with timeouts", Plan { overdue_at, panics: true, ..plan });
        let timeout = Duration::from_millis(2 + self.random.below(10) as u64);
        let ends = Ends { timeout: Some(timeout), ..Ends::never() };
        let batch = self.executor.batch(call.items()).item_timeout(timeout);
        self.hold(Submitted::new(call, batch, ends));
    }

    fn deadline(&mut self) {
        let plan = self.plan(200);
        let overdue_at = self.index_below(plan.items).filter(|_| self.random.once_in(4));
        let call = self.open("batches with deadlines", Plan { overdue_at, panics: true, ..plan });
        let mut ends = Ends::never();
        let deadline = ends.start + Duration::from_millis(self.random.below(10) as u64);
        ends.deadline = Some(deadline);
        let batch = self.executor.batch(call.items()).deadline(deadline);
        self.hold(Submitted::new(call, batch, ends));
    }

    fn cancelled(&mut self) {
        let plan = self.plan(200);
        let overdue_at = self.index_below(plan.items);
        let call = self.open("cancelled batches", Plan { overdue_at, ..plan });
        let token = CancellationToken::new();
        let ends = Ends { token: Some(token.clone()), ..Ends::never() };
        let batch = self.executor.batch(call.items()).cancelled_by(&token);
        let submitted = Submitted::new(call, batch, ends);
        if self.random.once_in(2) {
            thread::sleep(Duration::from_micros(self.random.below(1000) as u64));
        }
        token.cancel();
        self.hold(submitted);
    }

    /// Retries through the limiter that all clients share.
    fn requests(&mut self) {
        let plan = Plan { panics: true, is_request: true, ..self.plan(30) };
        let batch_ends = self.random.below(4);
        let overdue_at = self.index_below(plan.items).filter(|_| batch_ends == 0);
        let call = self.open("batches of requests", Plan { overdue_at, ..plan });
        let mut ends = Ends::never();
        let mut batch = self.executor.batch(call.items());
        if batch_ends == 0 {
            let timeout = Duration::from_millis(5);
            ends.timeout = Some(timeout);
            batch = batch.item_timeout(timeout);
        }
        if batch_ends == 1 {
            ends.fails_fast = true;
            batch = batch.fail_fast();
        }
        let hour = Duration::from_secs(60 * 60);
        let retry = Retry::new().within(10 * hour).retries(ATTEMPTS - 1);
        let retry = retry.wait(Duration::from_micros(200), Duration::from_millis(1));
        let requests = batch.requests().through(self.limiter).retry(retry);
        let requests = if self.random.once_in(2) {
            requests.concurrency(NonZeroUsize::new(1 + self.random.below(4)).expect("not 0"))
        } else {
            requests
        };
        if ends.fails_fast || self.random.once_in(2) {
            let jobs = Arc::clone(&call);
            let handle = requests.submit(move |item, attempt| jobs.attempt(item, attempt));
            self.hold(Submitted {
                call,
                ends,
                handle: handle.expect("the executor is not shut down"),
            });
        } else {
            self.stream_requests(&call, requests, &ends);
        }
    }

    fn stream_requests<I>(&mut self, call: &Arc<Call>, requests: Requests<'_, I>, ends: &Ends)
    where
        I: IntoIterator<Item = Counted, IntoIter: Send + 'static>,
    {
        let jobs = Arc::clone(call);
        let window = NonZeroUsize::new(1 + self.random.below(32)).expect("not 0");
        let stream =
            requests.window(window).stream(move |item, attempt| jobs.attempt(item, attempt));
        let most = self.most(call.plan.items);
        self.take(call, stream.expect("the executor is not shut down"), most, ends);
    }

    /// Waits for a batch at once or later, or lets it go.
    fn hold(&mut self, submitted: Submitted) {
        if self.random.once_in(8) {
            self.counts.add("dropped batches");
            return;
        }
        self.held.push(submitted);
        while self.held.len() > MOST_HELD || !self.held.is_empty() && self.random.once_in(3) {
            let next = self.random.below(self.held.len());
            let submitted = self.held.swap_remove(next);
            self.wait(submitted);
        }
    }

    fn wait(&mut self, submitted: Submitted) {
        let Submitted { call, ends, handle } = submitted;
        self.watch.set(self.number, Some(&call));
        let report = if self.random.once_in(4) { block_on(handle) } else { handle.wait() };
        let nothing_ends = ends.timeout.is_none()
            && ends.deadline.is_none()
            && !ends.fails_fast
            && ends.token.is_none();
        if let (Some(stats), true) = (report.stats::<RequestStats>(), nothing_ends) {
            assert_eq!(stats.attempts, call.total_runs(), "{call:?}");
        }
        self.check_report(&call, report, &ends);
    }

    fn check_report<E>(&mut self, call: &Call, report: BatchReport<Counted, E>, ends: &Ends)
    where
        E: fmt::Display,
    {
        let outcomes = report.into_outcomes();
        assert_eq!(outcomes.len(), call.plan.items, "{call:?}");
        for (index, outcome) in outcomes.into_iter().enumerate() {
            call.check(index, outcome, ends, &mut self.counts);
        }
    }
}

/// Awaits a batch, as a simple runtime does.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
