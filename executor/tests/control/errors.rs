//! The texts of failures, their sources, their causes, and the errors that they keep.

use std::error::Error;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, block_on, executor, with_timeout};
use reorder_executor::{
    BatchReport, BuildError, CancellationToken, CapacityError, Executor, Failure, ItemError, Job,
    Outcome, Shutdown,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MS: Duration = Duration::from_millis(1);

/// An error as that of `anyhow`: it is no `Error`, and shows its cause with `{:#}` only.
#[derive(Debug)]
struct Chain;

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { "outer: inner" } else { "outer" })
    }
}

/// Fails with `error`, once as an item of a stream and once by `into_values`.
fn question_marks<E>(error: impl Fn() -> E + Sync) -> [Box<dyn Error + Send + Sync>; 2]
where
    E: fmt::Debug + fmt::Display + Send + Sync + 'static,
{
    let executor = executor(1);
    let stream = || -> Result<(), Box<dyn Error + Send + Sync>> {
        let error = error();
        let once = std::sync::Mutex::new(Some(error));
        let job = move |_, _: &Job<'_>| Err::<(), E>(once.lock().unwrap().take().unwrap());
        executor.batch([()]).stream(job)?.next().expect("there is one")?;
        Ok(())
    };
    let report = || -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let job = |fails, _: &Job<'_>| if fails { Err(error()) } else { Ok(1) };
        Ok(executor.batch([false, false, true]).run(job).into_values()?)
    };
    [stream().unwrap_err(), report().unwrap_err()]
}

#[test]
fn a_question_mark_passes_on_errors_of_every_type() {
    let texts = |errors: [Box<dyn Error + Send + Sync>; 2]| errors.map(|error| error.to_string());
    let expected =
        |text: &str| [format!("the job failed: {text}"), format!("item 2: the job failed: {text}")];
    assert_eq!(texts(question_marks(|| "text")), expected("text"));
    assert_eq!(texts(question_marks(|| "text".to_owned())), expected("text"));
    assert_eq!(texts(question_marks(|| Chain)), expected("outer: inner"));
    assert_eq!(texts(question_marks(|| io::Error::other("disk"))), expected("disk"));
    // An error in a box, which is none itself. Its source stays within reach.
    type Boxed = Box<dyn Error + Send + Sync>;
    for error in question_marks(|| Boxed::from(io::Error::other(io::Error::other("cause")))) {
        assert!(error.to_string().ends_with("the job failed: cause"));
    }
    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    for error in question_marks(|| Boxed::from(Outer(io::Error::other("inner")))) {
        assert_eq!(error.source().expect("that of the boxed error").to_string(), "inner");
    }
}

#[test]
fn outcomes_stay_small() {
    assert_eq!(size_of::<Failure>(), 16);
    assert_eq!(size_of::<Outcome<u64>>(), 16);
    // The attempts have a place that would be empty otherwise.
    assert_eq!(size_of::<Outcome<u64, io::Error>>(), 32);
    assert_eq!(size_of::<Outcome<u64, String>>(), 48);
    fn is_error<E: Error + Send + Sync + 'static>() {}
    is_error::<Failure<String>>();
    is_error::<ItemError<&'static str>>();
}

/// Waits for both items to run. Item 1 fails. Item 0 is told to stop then, and returns an error.
fn failing(started: &AtomicUsize, index: u64, should_stop: &dyn Fn() -> bool) -> &'static str {
    started.fetch_add(1, SeqCst);
    while !if index == 1 { started.load(SeqCst) == 2 } else { should_stop() } {
        thread::yield_now();
    }
    if index == 1 { "the cause" } else { "stopped by a sibling" }
}

#[test]
fn a_call_that_failed_fast_names_its_cause() {
    with_timeout(|| {
        let executor = executor(2);
        let fails = |started: AtomicUsize| {
            move |n: u64, job: &Job<'_>| Err::<(), _>(failing(&started, n, &|| job.should_stop()))
        };
        let batch = || executor.batch(0..2_u64).fail_fast();
        let cause = |error: ItemError<&str>| {
            assert_eq!((error.index, error.failure.error()), (1, Some(&"the cause")));
        };
        cause(batch().run(fails(AtomicUsize::new(0))).into_values().unwrap_err());
        cause(
            batch().submit(fails(AtomicUsize::new(0))).unwrap().wait().into_values().unwrap_err(),
        );
        let handle = batch().submit(fails(AtomicUsize::new(0))).unwrap();
        cause(block_on(handle).into_values().unwrap_err());
        // A stream delivers item 0 first. Its failure names item 1.
        let first = batch().stream(fails(AtomicUsize::new(0))).unwrap().next().unwrap();
        let text = first.unwrap_err().to_string();
        assert!(text.starts_with("cancelled because item 1 failed"), "{text}");
    });
}

#[test]
fn deadlines_state_their_limit() {
    let executor = executor(1);
    let slow = |_, job: &Job<'_>| {
        while !job.should_stop() {
            thread::yield_now();
        }
        Ok::<_, String>(())
    };
    let text =
        |report: BatchReport<(), String>| report.into_outcomes().remove(0).unwrap_err().to_string();
    let expected = "took longer than 2ms, the limit of an item of its batch";
    assert_eq!(text(executor.batch([()]).item_timeout(2 * MS).run(slow)), expected);
    let handle = executor.batch([()]).item_timeout(2 * MS).submit(slow).unwrap();
    assert_eq!(text(handle.wait()), expected);
    let batch = executor.batch([()]).deadline(Instant::now() + HOUR);
    let token = CancellationToken::new();
    token.cancel();
    let report = batch.cancelled_by(&token).run(slow);
    assert_eq!(text(report), "cancelled before it had a result");
    let text = text(executor.batch([()]).deadline(Instant::now() + 5 * MS).run(slow));
    assert!(
        text.starts_with("not done within ") && text.ends_with("ms, the deadline of its batch")
    );
}

#[test]
fn an_item_that_was_never_pulled_is_marked() {
    with_timeout(|| {
        let executor = executor(1);
        let (token, latch) = (CancellationToken::new(), Latch::default());
        let (inside, entered) = mpsc::channel();
        let stuck = latch.clone();
        let batch = executor.batch(0..5).cancelled_by(&token);
        let handle = batch.submit(move |n, _| {
            inside.send(()).unwrap();
            stuck.wait();
            Ok::<_, String>(n)
        });
        entered.recv().unwrap();
        token.cancel();
        let outcomes = handle.unwrap().wait().into_outcomes();
        latch.open();
        let was_pulled = |outcome: &Outcome<i32, String>| match outcome {
            Err(Failure::Cancelled(item)) => item.was_pulled(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            outcomes.iter().map(was_pulled).collect::<Vec<_>>(),
            [true, false, false, false, false]
        );
        let text = |outcome: &Outcome<i32, String>| outcome.as_ref().unwrap_err().to_string();
        assert_eq!(text(&outcomes[0]), "cancelled before it had a result");
        assert_eq!(text(&outcomes[1]), "cancelled before it started");
        let shown = "Cancelled(Unfinished { attempts: 0, was_pulled: false, \
                     attempt_timed_out: false, error: None })";
        assert_eq!(format!("{:?}", outcomes[1].as_ref().unwrap_err()), shown);
    });
}

#[test]
fn a_window_beyond_memory_is_an_error_that_states_the_limits() {
    let build = |window| Executor::builder().workers(1).window(window).build().unwrap_err();
    assert_eq!(build(0).to_string(), "a window must be at least 1 item, not 0");
    for window in [usize::MAX, usize::MAX / 2, usize::MAX / 64] {
        let BuildError::Window(CapacityError::TooLarge { requested, largest }) = build(window)
        else {
            panic!("{:?}", build(window))
        };
        assert!(requested == window && largest < window);
        let text = format!("a window must be at most {largest} items, not {window}");
        assert_eq!(build(window).to_string(), text);
    }
}

#[test]
fn a_refused_call_says_the_same_without_its_items() {
    let executor = executor(1);
    let refused = |window| {
        let batch = executor.batch(0..3).window(window);
        batch.stream(|n, _| Ok::<_, String>(n)).expect_err("it is refused")
    };
    let too_large = refused(NonZeroUsize::MAX);
    assert!(too_large.to_string().starts_with("a window must be at most"), "{too_large}");
    assert_eq!(too_large.clone().discard().to_string(), too_large.to_string());
    _ = executor.shutdown(Shutdown::Drain, None);
    let shut_down = refused(NonZeroUsize::MIN);
    assert_eq!(shut_down.clone().discard().to_string(), shut_down.to_string());
    assert_eq!(shut_down.into_inner(), 0..3);
}
