//! Budgets of queues: senders wait until their items fit.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::common::{Latch, Wakes, block_on, executor, with_timeout};
use crate::scale::numbers;
use reorder_executor::{Executor, Job, Ordered, QueueSender, TrySendError};

/// A future, and the number of its wake-ups.
struct Waiting<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

impl<F: Future> Waiting<F> {
    fn new(future: F) -> Self {
        Waiting { future: Box::pin(future), wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(SeqCst)
    }
}

/// Waits until the jobs of all items have ended, and the workers have nothing left to do.
fn wait_for(executor: &Executor, outcomes: &Ordered<'_, u64>, items: u64) {
    while outcomes.progress().finished() < items || !executor.snapshot().workers().is_empty() {
        thread::yield_now();
    }
}

#[test]
fn senders_wait_until_their_items_fit_into_the_budget_of_a_queue() {
    with_timeout(|| {
        for has_limits in [false, true] {
            let executor = executor(2);
            let weigh = |&weight: &u64| weight;
            let (sender, mut outcomes) = if has_limits {
                let queue = executor.batch(()).queue(|n: u64, _| Ok::<_, Infallible>(n));
                queue.weight(10, weigh).build().unwrap()
            } else {
                executor.queue(|n: u64| n).weight(10, weigh).build().unwrap()
            };
            [0, 4, 6, 0].into_iter().for_each(|weight| sender.try_send(weight).unwrap());
            let place = sender.try_reserve().unwrap();
            let refused = sender.try_send(1).unwrap_err();
            assert!(matches!(refused, TrySendError::Full(1)), "{refused}");
            // 5 of the 256 items of the window are outstanding.
            assert!(refused.to_string().contains("budget"), "{refused}");
            assert!(matches!(sender.try_send(u64::MAX), Err(TrySendError::Full(u64::MAX))));
            thread::scope(|scope| {
                // It is sent when nothing outstanding has a weight.
                scope.spawn(|| sender.send(u64::MAX).unwrap());
                for weight in [0, 4, 6] {
                    assert_eq!(outcomes.next().unwrap().unwrap(), weight);
                }
            });
            assert!(sender.try_send(1).is_err() && sender.try_send(0).is_err());
            place.complete(Ok(7)).unwrap();
            for weight in [0, 7, u64::MAX] {
                assert_eq!(outcomes.next().unwrap().unwrap(), weight);
            }
            let waiting = sender.clone();
            sender.try_send(11).unwrap();
            let sending = thread::spawn(move || waiting.send(1).unwrap_err().into_inner());
            drop(outcomes);
            assert_eq!(sending.join().unwrap(), 1);
        }
    });
}

#[test]
fn tasks_wait_for_room_in_the_budget_of_a_queue() {
    with_timeout(|| {
        let executor = executor(2);
        let queue = executor.queue(|n: u64| n).weight(50, |&weight| weight);
        let (sender, outcomes) = queue.build().unwrap();
        let sending = thread::spawn(move || {
            futures_executor::block_on(async {
                for weight in numbers(1000, 60) {
                    sender.send_async(weight).await.unwrap();
                }
            });
        });
        assert!(outcomes.map(Result::unwrap).eq(numbers(1000, 60)));
        sending.join().unwrap();
    });
}

#[test]
fn a_job_of_a_queue_makes_its_item_lighter() {
    with_timeout(|| {
        let executor = executor(1);
        let queue = executor.batch(()).queue(|n: u64, job: &Job<'_>| {
            job.set_weight(1);
            Ok::<_, Infallible>(n)
        });
        let (sender, outcomes) = queue.weight(100, |_| 91).build().unwrap();
        // No outcome is taken meanwhile.
        (0..10).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        assert!(outcomes.map(Result::unwrap).eq(0..10));
    });
}

#[test]
fn a_job_that_ends_wakes_no_sender_unless_it_makes_room() {
    with_timeout(|| {
        let executor = executor(1);
        let latch = Latch::default();
        let held = latch.clone();
        let queue = executor.batch(()).queue(move |n: u64, job: &Job<'_>| {
            held.wait();
            if n == 5 {
                job.set_weight(1);
            }
            Ok::<_, Infallible>(n)
        });
        let (sender, mut outcomes) = queue.weight(11, |&weight| weight).build().unwrap();
        [2, 3, 1, 5].into_iter().for_each(|weight| sender.try_send(weight).unwrap());
        let mut sends = [7, 3, 2, 5, 1].map(|weight| Waiting::new(sender.send_async(weight)));
        sends.iter_mut().for_each(|send| assert!(send.poll().is_pending()));
        let wakes = |sends: &[Waiting<_>; 5]| sends.each_ref().map(Waiting::wakes);
        assert_eq!(wakes(&sends), [0; 5]);
        latch.open();
        wait_for(&executor, &outcomes, 4);
        // Room for 4 was made by the last job: for the weights 3 and 1.
        assert_eq!(wakes(&sends), [0, 1, 0, 0, 1]);
        assert_eq!([1, 4].map(|n: usize| sends[n].poll()), [Poll::Ready(Ok(())); 2]);
        wait_for(&executor, &outcomes, 6);
        assert_eq!(wakes(&sends), [0, 1, 0, 0, 1]);
        // The outcomes make room for 2, and then for 3.
        assert_eq!(outcomes.next().unwrap().unwrap(), 2);
        assert_eq!(wakes(&sends), [0, 1, 1, 0, 1]);
        assert_eq!(sends[2].poll(), Poll::Ready(Ok(())));
        assert_eq!(outcomes.next().unwrap().unwrap(), 3);
        assert_eq!(wakes(&sends), [0, 1, 1, 0, 1]);
        // The weights 1, 1, 3, 1 and 2 are outstanding, and are taken one by one.
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert_eq!(outcomes.next().unwrap().unwrap(), 5);
        assert_eq!(wakes(&sends), [0, 1, 1, 1, 1]);
        assert_eq!(sends[3].poll(), Poll::Ready(Ok(())));
        assert_eq!([3, 1, 2, 5].map(|_| outcomes.next().unwrap().unwrap()), [3, 1, 2, 5]);
        assert_eq!(wakes(&sends), [1; 5]);
        drop(outcomes);
        assert!(matches!(sends[0].poll(), Poll::Ready(Err(_))));
    });
}

#[test]
fn a_sender_passes_on_room_that_is_too_small_for_it() {
    with_timeout(|| {
        let executor = executor(1);
        let queue = executor.queue(|n: u64| n).window(3).weight(5, |&weight| weight);
        let (sender, outcomes) = queue.build().unwrap();
        outcomes.set_window(NonZeroUsize::MIN);
        sender.try_send(1).unwrap();
        let [mut heavy, mut light] = [3, 2].map(|n| Waiting::new(sender.send_async(n)));
        assert!(heavy.poll().is_pending() && light.poll().is_pending());
        outcomes.set_window(NonZeroUsize::new(3).unwrap());
        // Room for two items of the weight 4.
        assert_eq!((heavy.wakes(), light.wakes()), (1, 0));
        sender.try_send(2).unwrap();
        assert!(heavy.poll().is_pending());
        assert_eq!((heavy.wakes(), light.wakes()), (1, 1));
        assert_eq!(light.poll(), Poll::Ready(Ok(())));
    });
}

/// With a chunk of several items, the first outcomes of the chunk would make no room.
#[test]
fn each_outcome_makes_room() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, mut outcomes) =
            executor.queue(|n: u64| n).window(2000).weight(1000, |_| 1).build().unwrap();
        (0..1000).for_each(|n| sender.try_send(n).unwrap());
        for n in 0..1000 {
            assert_eq!(outcomes.next().unwrap().unwrap(), n);
            sender.try_send(1000 + n).unwrap();
        }
    });
}

#[test]
fn an_item_is_weighed_once_for_each_send() {
    with_timeout(|| {
        let executor = executor(1);
        let weighed = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&weighed);
        let queue = executor.queue(|n: u64| n).weight(1, move |_| {
            counts.fetch_add(1, SeqCst);
            1
        });
        let (sender, mut outcomes) = queue.build().unwrap();
        sender.send(0).unwrap();
        let mut send = Waiting::new(sender.send_async(1));
        (0..3).for_each(|_| assert!(send.poll().is_pending()));
        assert_eq!(outcomes.next().unwrap().unwrap(), 0);
        assert_eq!(send.poll(), Poll::Ready(Ok(())));
        thread::scope(|scope| {
            scope.spawn(|| sender.send(2).unwrap());
            assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        });
        assert_eq!(weighed.load(SeqCst), 3);
    });
}

/// A generator of numbers that look random.
struct Draw(u64);

impl Draw {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Returns a weight: none, within the limit, or beyond it.
    fn weight(&mut self, limit: u64) -> u64 {
        match self.below(8) {
            0 | 1 => 0,
            2 => limit + self.below(limit),
            _ => self.below(limit) + 1,
        }
    }
}

/// Sends items on each way, gives up some of the sends, and returns the number of items that were
/// sent. Ends early if the queue does.
fn send_some(sender: &QueueSender<u64, u64, Infallible>, items: u64, limit: u64, seed: u64) -> u64 {
    let (mut draw, mut sent) = (Draw(seed), 0);
    for _ in 0..items {
        let weight = draw.weight(limit);
        let is_sent = match draw.below(4) {
            0 => sender.send(weight).map_err(|_| false),
            1 => block_on(Box::pin(sender.send_async(weight))).map_err(|_| false),
            2 => match sender.reserve() {
                Ok(place) => place.complete(Ok(7)).map_err(|_| false),
                Err(_) => Err(false),
            },
            // A future that is dropped, maybe after it was woken.
            _ => {
                let mut send = pin!(sender.send_async(weight));
                let mut cx = Context::from_waker(Waker::noop());
                let mut polled = send.as_mut().poll(&mut cx);
                for _ in 0..draw.below(4) {
                    if polled.is_ready() {
                        break;
                    }
                    thread::yield_now();
                    polled = send.as_mut().poll(&mut cx);
                }
                match polled {
                    Poll::Ready(sent) => sent.map_err(|_| false),
                    Poll::Pending => Err(true),
                }
            }
        };
        match is_sent {
            Ok(()) => sent += 1,
            Err(true) => {}
            Err(false) => break,
        }
    }
    sent
}

/// Heavier and lighter results, items without a weight and beyond the limit, dropped futures, and
/// senders and streams that are dropped while others wait. No sender may wait for ever.
#[test]
fn no_mix_of_weights_and_ends_makes_a_sender_hang() {
    with_timeout(|| {
        const LIMIT: u64 = 20;
        const ITEMS: u64 = 150;
        for round in 1..40_u64 {
            let executor = executor(1 + round as usize % 2);
            let job = move |weight: u64, job: &Job<'_>| {
                match (weight + round) % 4 {
                    0 => job.set_weight(weight * 3 + 1),
                    1 => job.set_weight(weight / 2),
                    2 => job.set_weight(0),
                    _ => {}
                }
                Ok::<_, Infallible>(weight)
            };
            let queue = executor.batch(()).queue(job).window(4 + round as usize % 30);
            let (sender, mut outcomes) = queue.weight(LIMIT, |&weight| weight).build().unwrap();
            let senders: Vec<_> = (1..=4)
                .map(|n| {
                    let sender = sender.clone();
                    thread::spawn(move || send_some(&sender, ITEMS, LIMIT, round * 977 + n))
                })
                .collect();
            drop(sender);
            let is_dropped = round % 5 == 0;
            let most = if is_dropped { 100 } else { usize::MAX };
            let taken = outcomes.by_ref().take(most).map(Result::unwrap).count() as u64;
            drop(outcomes);
            let sent: u64 = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
            assert!(if is_dropped { taken <= sent } else { taken == sent }, "{taken} of {sent}");
        }
    });
}
