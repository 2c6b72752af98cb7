//! Batches with limits whose data borrow from outside of a scope.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, are_in_time, executor, kinds, with_enough_time, with_timeout};
use reorder_executor::{CancellationToken, Job, Outcome, Shutdown};

const MS: Duration = Duration::from_millis(1);

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

#[test]
fn limits_hold_for_borrowed_data() {
    with_timeout(|| {
        let executor = executor(2);
        let numbers: Vec<u32> = (0..100).collect();
        let (most, running, ran) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        executor.scope(|scope| {
            let batch = scope.batch(&numbers).fail_fast().concurrency(one()).window(one());
            let stream = batch.stream(|&n, _| {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                ran.fetch_add(1, SeqCst);
                running.fetch_sub(1, SeqCst);
                if n == 3 { Err(n) } else { Ok(&numbers[n as usize]) }
            });
            let outcomes: Vec<Outcome<&u32, u32>> = stream.unwrap().collect();
            assert_eq!(kinds(&outcomes[..5]), "...fc");
        });
        assert_eq!((most.into_inner(), ran.into_inner()), (1, 4));
        // The same builder runs at once.
        let sum: u32 = executor.scope(|scope| {
            let report = scope.batch(&numbers).run(|&n, _| Ok::<_, ()>(n));
            report.into_values().unwrap().into_iter().sum()
        });
        assert_eq!(sum, 4950);
    });
}

#[test]
fn a_stuck_head_is_skipped_and_the_scope_waits_for_it() {
    let test = |time| {
        let executor = executor(2);
        let (head, ended) = (Latch::default(), AtomicUsize::new(0));
        let in_time = executor.scope(|scope| {
            let batch = scope.batch(0..3).item_timeout(time);
            let outcomes: Vec<_> = batch
                .stream(|n, _| {
                    if n == 0 {
                        head.wait();
                        thread::sleep(10 * MS);
                    }
                    ended.fetch_add(1, SeqCst);
                    Ok::<_, ()>(n)
                })
                .unwrap()
                .collect();
            head.open();
            are_in_time(&kinds(&outcomes), "i..")
        });
        assert_eq!(ended.load(SeqCst), 3, "the scope ended before a job");
        in_time
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn a_token_wakes_the_consumer_of_borrowed_data() {
    with_timeout(|| {
        let executor = executor(1);
        let token = CancellationToken::new();
        let held = Latch::default();
        executor.scope(|scope| {
            let batch = scope.batch([()]).cancelled_by(&token);
            let job = |(), _: &Job<'_>| {
                held.wait();
                Ok::<_, ()>(())
            };
            let mut stream = batch.stream(job).unwrap();
            let canceller = token.clone();
            let thread = thread::spawn(move || canceller.cancel());
            assert_eq!(kinds(&[stream.next().unwrap()]), "c");
            thread.join().unwrap();
            held.open();
        });
    });
}

#[test]
fn a_closed_executor_refuses_the_stream() {
    let executor = executor(1);
    _ = executor.shutdown(Shutdown::Drain, None);
    let items = [1, 2];
    executor.scope(|scope| {
        let refused = scope.batch(&items).stream(|n, _| Ok::<_, ()>(n)).unwrap_err();
        assert!(refused.into_inner().eq(&items));
    });
}

#[test]
fn try_map_borrows_in_a_scope() {
    let executor = executor(1);
    let words = [String::from("8"), String::from("six")];
    let error = executor.scope(|scope| scope.try_map(&words, |word| word.parse::<u32>()));
    assert_eq!(error.unwrap_err().index, 1);
}

#[test]
fn a_scoped_stream_stays_within_its_budget() {
    with_timeout(|| {
        let executor = executor(2);
        let words: Vec<String> = (0..300).map(|n| "x".repeat(n * 7 % 40)).collect();
        // The source, the job and the function that weighs borrow.
        let (pulled, weighed, ran) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        executor.scope(|scope| {
            let source = words.iter().inspect(|_| _ = pulled.fetch_add(1, SeqCst));
            let batch = scope.batch(source).weight(50, |word| {
                weighed.fetch_add(1, SeqCst);
                word.len() as u64
            });
            let mut lengths = batch
                .stream(|word, _| {
                    ran.fetch_add(1, SeqCst);
                    Ok::<_, ()>(word)
                })
                .unwrap();
            for (n, word) in words.iter().enumerate() {
                // The next items up to the limit were pulled, and one more that waits.
                let mut total = 0;
                let fits = words[n..].iter().take_while(|word| {
                    let fits = total == 0 || total + word.len() <= 50;
                    total += word.len();
                    fits
                });
                let most = n + fits.count() + 1;
                while pulled.load(SeqCst) < most.min(words.len()) {
                    thread::yield_now();
                }
                assert_eq!(pulled.load(SeqCst), most.min(words.len()));
                assert_eq!(lengths.next().unwrap().unwrap(), word);
            }
            assert!(lengths.next().is_none());
        });
        assert_eq!([pulled, weighed, ran].map(AtomicUsize::into_inner), [300; 3]);
    });
}

#[test]
fn a_scope_ends_while_an_item_waits_for_room() {
    with_timeout(|| {
        let executor = executor(1);
        let items: Vec<u64> = (0..10).collect();
        let ran = AtomicUsize::new(0);
        let left = executor.scope(|scope| {
            let batch = scope.batch(&items).fail_fast().weight(1, |&&n| n.min(1));
            let mut outcomes = batch
                .stream(|&n, _| {
                    ran.fetch_add(1, SeqCst);
                    if n == 2 { Err(n) } else { Ok(n) }
                })
                .unwrap();
            assert_eq!(outcomes.next().unwrap().unwrap(), 0);
            assert_eq!(outcomes.next().unwrap().unwrap(), 1);
            assert_eq!(kinds(&[outcomes.next().unwrap()]), "f");
            assert_eq!(kinds(&[outcomes.next().unwrap()]), "c");

            let open = scope.batch(&items).weight(1, |_| 1).stream(|&n, _| Ok::<_, ()>(n)).unwrap();
            while open.progress().finished() < 1 {
                thread::yield_now();
            }
            open.progress().pulled()
        });
        assert_eq!((left, ran.into_inner()), (1, 3));
    });
}

#[test]
fn a_closed_executor_refuses_the_stream_with_a_budget() {
    let executor = executor(1);
    _ = executor.shutdown(Shutdown::Drain, None);
    let items = [1, 2];
    executor.scope(|scope| {
        let batch = scope.batch(&items).weight(1, |_| 1);
        assert!(batch.stream(|n, _| Ok::<_, ()>(n)).unwrap_err().into_inner().eq(&items));
    });
}
