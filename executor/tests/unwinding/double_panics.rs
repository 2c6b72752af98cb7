//! Two panics at once: the first one reaches the caller, and the process goes on. The values that
//! wait when the first panic comes are dropped one by one, and the `Drop` of each of them panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::{Latch, block_on, executor};
use reorder_executor::{Executor, Ordered};

/// Panics when it is dropped.
struct Fuse(&'static str);

impl Drop for Fuse {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

fn fuse<T>(_: T) -> Fuse {
    Fuse("a value")
}

/// A source of `items` items that promises `promised`. After the last item, it panics or ends.
#[derive(Clone, Copy)]
struct Plan {
    items: usize,
    promised: Option<usize>,
    panics: bool,
}

struct Source(Plan, usize, #[expect(dead_code, reason = "only dropped")] Option<Fuse>);

impl Plan {
    fn fragile(self) -> Source {
        Source(self, 0, Some(Fuse("the source's drop")))
    }

    fn sound(self) -> Source {
        Source(self, 0, None)
    }
}

impl Iterator for Source {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let Plan { items, panics, .. } = self.0;
        assert!(self.1 < items || !panics, "the source");
        self.1 += 1;
        (self.1 <= items).then_some(self.1)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.0.promised.map(|promised| promised.saturating_sub(self.1));
        (left.unwrap_or(0), left)
    }
}

/// Sources that end in the first item, in the inline part of a batch, in its first block, after
/// its promise, and beyond its promise. Some do not promise anything.
fn plans(panics: bool) -> impl Iterator<Item = Plan> {
    let sizes = [
        (0, Some(100)),
        (1, Some(100)),
        (20, Some(100)),
        (100, Some(200)),
        (100, Some(100)),
        (150, Some(100)),
        (10, None),
    ];
    sizes.into_iter().map(move |(items, promised)| Plan { items, promised, panics })
}

fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let caught = catch_unwind(AssertUnwindSafe(|| std::mem::forget(call())));
    let payload = caught.expect_err("the call panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().expect("a text").to_string(),
    }
}

/// A job that is cheap at first, so that later calls begin inline. It is one type of job, whether
/// its results panic or not.
fn map(executor: &Executor, source: Source, is_slow: bool, panics: bool) -> Vec<Option<Fuse>> {
    executor.map(source, |n| {
        if is_slow && n == 1 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panics.then(|| fuse(n))
    })
}

#[test]
fn a_source_panics_while_results_wait() {
    let executor = executor(2);
    for plan in plans(true) {
        for is_slow in [false, true] {
            // The costs of earlier calls decide whether the caller begins alone.
            let warm = Plan { panics: false, ..plan };
            (0..20).for_each(|_| drop(map(&executor, warm.sound(), false, false)));
            let told = panic_of(|| map(&executor, plan.fragile(), is_slow, true));
            assert_eq!(told, "the source");
        }
        assert_eq!(panic_of(|| executor.execute_batch(plan.fragile(), fuse)), "the source");
        let run = |timed| {
            let batch = executor.batch(plan.fragile());
            let batch = if timed { batch.timed() } else { batch };
            batch.run(|n, _| Ok::<_, ()>(fuse(n)))
        };
        assert_eq!([false, true].map(|timed| panic_of(|| run(timed))), ["the source"; 2]);
        let told =
            panic_of(|| executor.map_init(plan.fragile(), || Fuse("a state"), |_, n| fuse(n)));
        assert_eq!(told, "the source");
    }
}

#[test]
fn a_source_panics_when_it_is_dropped_while_results_wait() {
    let executor = executor(2);
    for plan in plans(false) {
        for is_slow in [false, true] {
            (0..20).for_each(|_| drop(map(&executor, plan.sound(), false, false)));
            let told = panic_of(|| map(&executor, plan.fragile(), is_slow, true));
            assert_eq!(told, "the source's drop");
        }
    }
}

#[test]
fn a_source_panics_while_its_items_are_collected() {
    let executor = executor(2);
    for plan in plans(true) {
        let unknown = Plan { promised: None, ..plan };
        let items = || unknown.fragile().map(|_| Fuse("an item"));
        assert_eq!(panic_of(|| executor.map(items(), fuse)), "the source");
        let captured = Fuse("the job");
        let submit = || executor.batch(items()).submit(move |_, _| Ok::<_, ()>(_ = &captured));
        assert_eq!(panic_of(|| submit().map(drop)), "the source");
    }
}

#[test]
fn a_source_panics_at_its_first_question() {
    struct Unwilling(#[expect(dead_code, reason = "only dropped")] Fuse);
    impl Iterator for Unwilling {
        type Item = ();
        fn next(&mut self) -> Option<()> {
            None
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            panic!("the hint")
        }
    }
    assert_eq!(panic_of(|| executor(1).map(Unwilling(fuse(())), fuse)), "the hint");
}

#[test]
fn a_job_panics_when_it_is_dropped_while_results_wait() {
    let executor = executor(2);
    let job = || {
        let captured = Fuse("the job");
        move |n| {
            let _ = &captured;
            fuse(n)
        }
    };
    assert_eq!(panic_of(|| executor.map(0..100, job())), "the job");
    assert_eq!(panic_of(|| executor.map_indexed(100, job())), "the job");
    assert_eq!(panic_of(|| executor.execute_batch(0..100, job())), "the job");
    let run = || {
        let job = job();
        executor.batch(0..100).run(move |n, _| Ok::<_, ()>(job(n)))
    };
    assert_eq!(panic_of(run), "the job");
    let map_init = |state: fn() -> Option<Fuse>, keeps_init: bool| {
        let job = job();
        let captured = keeps_init.then(|| Fuse("the maker of states"));
        let init = move || {
            let _ = &captured;
            state()
        };
        executor.map_init(0..100, init, move |_, n| job(n))
    };
    assert_eq!(panic_of(|| map_init(|| Some(Fuse("a state")), true)), "a state");
    assert_eq!(panic_of(|| map_init(|| None, true)), "the maker of states");
    assert_eq!(panic_of(|| map_init(|| None, false)), "the job");
    let source = || (0..100).inspect(|&n| assert!(n < 50, "the source"));
    assert_eq!(panic_of(|| executor.map(source(), job())), "the source");
}

#[test]
fn a_job_is_dropped_because_there_is_no_source() {
    struct Nothing;
    impl IntoIterator for Nothing {
        type Item = usize;
        type IntoIter = std::vec::IntoIter<usize>;
        fn into_iter(self) -> Self::IntoIter {
            panic!("no source")
        }
    }
    let executor = executor(1);
    let job = || {
        let captured = Fuse("the job");
        move |n: usize| {
            let _ = &captured;
            n
        }
    };
    let with_limits = || {
        let job = job();
        move |n, _: &reorder_executor::Job<'_>| Ok::<_, ()>(job(n))
    };
    assert_eq!(panic_of(|| executor.map(Nothing, job())), "no source");
    assert_eq!(panic_of(|| executor.stream(Nothing, job())), "no source");
    assert_eq!(
        panic_of(|| executor.scope(|scope| drop(scope.stream(Nothing, job())))),
        "no source"
    );
    assert_eq!(panic_of(|| executor.batch(Nothing).run(with_limits())), "no source");
    assert_eq!(panic_of(|| executor.batch(Nothing).submit(with_limits()).map(drop)), "no source");
    assert_eq!(panic_of(|| executor.batch(Nothing).stream(with_limits()).map(drop)), "no source");
    let weigh = || {
        let captured = Fuse("the weight");
        move |_: &usize| {
            let _ = &captured;
            1
        }
    };
    let weighed = || executor.batch(Nothing).weight(1, weigh()).stream(with_limits()).map(drop);
    assert_eq!(panic_of(weighed), "no source");
    let in_scope = || executor.scope(|it| it.batch(Nothing).stream(with_limits()).map(drop));
    assert_eq!(panic_of(in_scope), "no source");
    let weighed_in_scope = || {
        executor.scope(|it| it.batch(Nothing).weight(1, weigh()).stream(with_limits()).map(drop))
    };
    assert_eq!(panic_of(weighed_in_scope), "no source");
}

/// A handle that is dropped drops the items that have not started.
#[test]
fn items_panic_when_their_batch_is_dropped() {
    let executor = executor(1);
    let (begun, end) = (Latch::default(), Latch::default());
    let (begins, ends) = (begun.clone(), end.clone());
    let items: Vec<_> = (0..10).map(|_| Fuse("an item")).collect();
    let handle = executor.batch(items).submit(move |item, _| {
        std::mem::forget(item);
        begins.open();
        ends.wait();
        Ok::<_, ()>(())
    });
    begun.wait();
    drop(handle.unwrap());
    end.open();
    assert_eq!(executor.stream(0..10, |n| n).count(), 10);
}

/// An item panics when it is dropped because its weight panics, on each way to send it.
#[test]
fn an_item_of_a_queue_panics_when_its_weight_does() {
    let executor = executor(1);
    let weigh = |_: &Fuse| panic!("the weight");
    let (sender, mut outcomes) = executor.queue(drop).weight(5, weigh).build().unwrap();
    assert_eq!(panic_of(|| sender.send(fuse(()))), "the weight");
    assert_eq!(panic_of(|| sender.try_send(fuse(()))), "the weight");
    assert_eq!(panic_of(|| block_on(Box::pin(sender.send_async(fuse(()))))), "the weight");
    #[cfg(feature = "sink")]
    {
        use futures_util::SinkExt;
        let mut sink = sender.clone();
        assert_eq!(panic_of(|| block_on(sink.feed(fuse(())))), "the weight");
    }
    drop(sender);
    assert!(outcomes.next().is_none());
}

/// The job and the function for weights are dropped because the queue is refused.
#[test]
fn a_job_and_a_weight_panic_when_their_queue_is_refused() {
    let executor = executor(1);
    let captured = [(); 2].map(|()| Fuse("a capture"));
    let [of_job, of_weight] = captured;
    let job = move |n: u32| {
        let _ = &of_job;
        n
    };
    let weigh = move |_: &u32| {
        let _ = &of_weight;
        1
    };
    let refused = executor.queue(job).weight(5, weigh).window(0).build();
    assert!(refused.is_err());
}

/// A builder that starts nothing drops its source and its function for weights.
#[test]
fn a_source_and_a_weight_panic_when_their_builder_is_dropped() {
    let executor = executor(1);
    let weighed = || {
        let capture = Fuse("a capture");
        let weigh = move |_: &usize| {
            let _ = &capture;
            1
        };
        let plan = Plan { items: 1, promised: None, panics: false };
        executor.batch(plan.fragile()).weight(1, weigh)
    };
    assert_eq!(panic_of(|| drop(weighed())), "the source's drop");
}

/// Returns a stream whose 100 outcomes wait to be taken. Cheap ones travel together.
fn full_stream(executor: &Executor) -> Ordered<'static, Fuse> {
    let stream = executor.stream(0..100, fuse);
    while stream.progress().finished() < 100 {
        std::thread::yield_now();
    }
    stream
}

/// Values panic that wait in the ring, and values that the consumer has taken from there.
#[test]
fn outcomes_panic_when_their_stream_is_dropped() {
    let executor = Executor::builder().workers(1).consumer_helps(false).build().unwrap();
    for taken in [0, 1, 2, 10, 50] {
        let partly_taken = || {
            let mut stream = full_stream(&executor);
            stream.by_ref().take(taken).for_each(std::mem::forget);
            stream
        };
        assert_eq!(panic_of(|| drop(partly_taken())), "a value");
        let unwind = || {
            let _stream = partly_taken();
            panic!("the consumer")
        };
        assert_eq!(panic_of::<()>(unwind), "the consumer");
        let fold = || {
            let mut left = taken;
            full_stream(&executor).for_each(|outcome| {
                std::mem::forget(outcome);
                assert_ne!(left, 0, "the closure");
                left -= 1;
            });
        };
        assert!(panic_of(fold).contains("the closure"));
    }
    assert_eq!(executor.stream(0..10, |n| n).count(), 10);
}
