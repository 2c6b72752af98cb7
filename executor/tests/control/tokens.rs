//! Tokens: several for one call, children, tasks that wait, and guards.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::common::{Wakes, block_on, executor, kinds, with_timeout};
use reorder_executor::{CancellationToken, Job};

fn count(n: u32, _: &Job<'_>) -> Result<u32, ()> {
    Ok(n)
}

#[test]
fn each_of_two_tokens_cancels_a_call() {
    with_timeout(|| {
        let executor = executor(1);
        for cancelled in [None, Some(0), Some(1)] {
            let tokens = [CancellationToken::new(), CancellationToken::new()];
            if let Some(index) = cancelled {
                tokens[index].cancel();
            }
            let batch = || executor.batch(0..3).cancelled_by(&tokens[0]).cancelled_by(&tokens[1]);
            let expected = if cancelled.is_some() { "ccc" } else { "..." };
            assert_eq!(kinds(batch().run(count).outcomes()), expected);
            assert_eq!(kinds(batch().submit(count).unwrap().wait().outcomes()), expected);
            let outcomes: Vec<_> = batch().stream(count).unwrap().collect();
            assert_eq!(kinds(&outcomes), if cancelled.is_some() { "c" } else { "..." });
        }
    });
}

#[test]
fn each_of_two_tokens_wakes_the_consumer() {
    with_timeout(|| {
        let executor = executor(1);
        for index in 0..2 {
            let tokens = [CancellationToken::new(), CancellationToken::new()];
            // The source waits until the stream is dropped.
            let (sender, source) = std::sync::mpsc::channel::<u32>();
            let batch = executor.batch(source).cancelled_by(&tokens[0]).cancelled_by(&tokens[1]);
            let mut outcomes = batch.stream(count).unwrap();
            let token = tokens[index].clone();
            let canceller = thread::spawn(move || token.cancel());
            assert_eq!(kinds(&[outcomes.next().unwrap()]), "c");
            canceller.join().unwrap();
            drop(sender);
        }
    });
}

#[test]
fn children_are_cancelled_with_their_parent_and_alone() {
    let root = CancellationToken::new();
    let (left, right) = (root.child_token(), root.child_token());
    // The token between them is dropped.
    let grandchild = right.child_token().child_token();
    left.cancel();
    assert!(left.is_cancelled() && left.child_token().is_cancelled());
    assert!(!root.is_cancelled() && !right.is_cancelled() && !grandchild.is_cancelled());
    drop(right);
    root.cancel();
    assert!(grandchild.is_cancelled() && root.child_token().is_cancelled());
    // A parent that is dropped cancels nothing.
    let orphan = CancellationToken::new().child_token();
    assert!(!orphan.is_cancelled());
}

#[test]
fn a_child_cancels_its_calls() {
    with_timeout(|| {
        let executor = executor(1);
        let root = CancellationToken::new();
        let (sender, source) = std::sync::mpsc::channel::<u32>();
        let batch = executor.batch(source).cancelled_by(&root.child_token());
        let mut outcomes = batch.stream(count).unwrap();
        let canceller = thread::spawn(move || root.cancel());
        assert_eq!(kinds(&[outcomes.next().unwrap()]), "c");
        canceller.join().unwrap();
        drop(sender);
    });
}

#[test]
fn generations_need_no_stack() {
    let root = CancellationToken::new();
    let mut last = root.clone();
    for _ in 0..200_000 {
        last = last.child_token();
    }
    root.cancel();
    assert!(last.is_cancelled());
    drop(root);
    drop(last);
}

#[test]
fn tasks_await_a_cancellation() {
    with_timeout(|| {
        let token = CancellationToken::new();
        let waiting: Vec<_> = (0..4)
            .map(|n| {
                let token = if n % 2 == 0 { token.clone() } else { token.child_token() };
                thread::spawn(move || block_on(token.cancelled()))
            })
            .collect();
        token.cancel();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        block_on(token.cancelled());
    });
}

#[test]
fn only_the_last_waker_of_a_task_is_used_and_none_of_a_dropped_one() {
    let token = CancellationToken::new();
    let wakes = [(); 3].map(|()| Arc::new(Wakes::default()));
    let wakers = wakes.clone().map(Waker::from);
    let (mut kept, mut dropped) = (pin!(token.cancelled()), Box::pin(token.cancelled()));
    for waker in [&wakers[0], &wakers[0], &wakers[1], &wakers[0], &wakers[1]] {
        assert!(kept.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert!(dropped.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    drop(dropped);
    token.cancel();
    token.cancel();
    assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(SeqCst)), [0, 1, 0]);
    for _ in 0..2 {
        let poll = kept.as_mut().poll(&mut Context::from_waker(&wakers[0]));
        assert_eq!(poll, Poll::Ready(()), "also after the end");
    }
    drop(wakers);
    assert_eq!(wakes.map(|wakes| Arc::strong_count(&wakes)), [1; 3]);
}

#[test]
fn a_waker_that_panics_does_not_keep_others_from_being_used() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in the waker");
        }
    }
    let token = CancellationToken::new();
    let wakes = Arc::new(Wakes::default());
    let wakers = [Waker::from(Arc::new(Panics)), Arc::clone(&wakes).into()];
    let mut futures = [token.cancelled(), token.cancelled()].map(Box::pin);
    for (future, waker) in futures.iter_mut().zip(&wakers) {
        assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    token.cancel();
    assert_eq!(wakes.0.load(SeqCst), 1);
}

/// A waker that asks all tokens below the token of its task.
struct Asks {
    below: Vec<CancellationToken>,
    cancelled: AtomicUsize,
}

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let cancelled = self.below.iter().filter(|token| token.is_cancelled()).count();
        self.cancelled.store(cancelled, SeqCst);
    }
}

#[test]
fn a_task_that_is_woken_finds_all_children_cancelled() {
    let root = CancellationToken::new();
    let (child, other) = (root.child_token(), root.child_token());
    let below = vec![child.child_token(), child, other];
    let asks = Arc::new(Asks { below, cancelled: AtomicUsize::new(0) });
    let mut waits = pin!(root.cancelled());
    let waker = Waker::from(Arc::clone(&asks));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    root.cancel();
    assert_eq!(asks.cancelled.load(SeqCst), 3);
}

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    let token = CancellationToken::new();
    let kept = token.clone().drop_guard().disarm();
    assert!(!kept.is_cancelled() && !token.is_cancelled());
    let guard = token.clone().drop_guard();
    let panicked = thread::spawn(move || {
        let _guard = guard;
        panic!("an early end");
    });
    assert!(panicked.join().is_err() && token.is_cancelled());
    let forgotten = CancellationToken::new();
    std::mem::forget(forgotten.clone().drop_guard());
    assert!(!forgotten.is_cancelled());
}
