//! Starts the calls of dispatchers.

use std::convert::identity;
use std::hash::Hash;
use std::sync::Arc;
use std::task::Poll;

use futures_core::Stream;

use crate::batch::{Admitted, BatchBuilder, BatchHandle, KeyedBatch, Refused, WeighedBatch};
use crate::dispatch::call::Call;
use crate::dispatch::dispatcher::Dispatch;
use crate::dispatch::pull::SourceSlot;
use crate::dispatch::setup::Setup;
use crate::dispatch::source::{AnySource, Iter, PollSource, Polled};
use crate::io::{Keyed, OrderedOutput, Weighed};
use crate::limits::CancellationToken;
use crate::stream::{Opened, Ordered, OrderedByKey, open_ring, publish_with_limits};
use crate::unwind::DiscardOnDrop;

type Source<D> = AnySource<<D as Dispatch>::Item>;
type OutputOf<D> = OrderedOutput<<D as Dispatch>::Value, <D as Dispatch>::Error>;
type OrderedOf<D> = Ordered<'static, <D as Dispatch>::Value, <D as Dispatch>::Error>;
type SubmittedOf<D> = Result<
    BatchHandle<<D as Dispatch>::Value, <D as Dispatch>::Error>,
    Refused<Vec<<D as Dispatch>::Item>>,
>;
type KeyedOf<D> = OrderedByKey<'static, <D as Dispatch>::Value, <D as Dispatch>::Error>;

impl<I> BatchBuilder<'_, I> {
    /// Submits the items to a [dispatcher](crate::dispatch), as [`submit`](BatchBuilder::submit)
    /// does to the workers. All items are outstanding, so the window is their number.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the items, if the executor was shut down.
    ///
    /// # Panics
    ///
    /// If the iterator or `dispatch` panics, or there is no memory for the items.
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    pub fn submit_to<D>(mut self, dispatch: impl FnOnce(&mut Setup) -> D) -> SubmittedOf<D>
    where
        I: IntoIterator<Item = D::Item>,
        D: Dispatch,
    {
        let token = prepare(&mut self);
        self.submit_with(|call, items| {
            open(call, token, |_| Box::new(Iter(items)) as Source<D>, dispatch)
        })
    }

    /// Runs the items of a source by a [dispatcher](crate::dispatch), which has an example.
    ///
    /// The items have the limits of the batch. The dispatcher keeps its
    /// [concurrency](BatchBuilder::concurrency).
    ///
    /// # Errors
    ///
    /// [`Refused`], with the source, if the executor was shut down, or there is no memory for the
    /// window.
    ///
    /// # Panics
    ///
    /// If turning the items into an iterator panics, or `dispatch` does.
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    pub fn stream_to<D>(
        mut self,
        dispatch: impl FnOnce(&mut Setup) -> D,
    ) -> Result<OrderedOf<D>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item = D::Item>,
        D: Dispatch,
    {
        let token = prepare(&mut self);
        let window = self.window;
        self.stream_with(window, I::into_iter, |call, source| {
            open(call, token, |_| Box::new(Iter(source)) as Source<D>, dispatch)
        })
    }

    /// Runs the items of an async stream by a [dispatcher](crate::dispatch). Otherwise it is
    /// [`stream_to`](BatchBuilder::stream_to).
    ///
    /// The workers poll the stream. While it has no item, no thread waits for it. Any thread may
    /// use its waker, which keeps no value of the user alive.
    ///
    /// # Errors
    ///
    /// As [`stream_to`](BatchBuilder::stream_to).
    ///
    /// # Panics
    ///
    /// If `dispatch` does.
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    pub fn poll_to<D>(
        mut self,
        dispatch: impl FnOnce(&mut Setup) -> D,
    ) -> Result<OrderedOf<D>, Refused<I>>
    where
        I: Stream<Item = D::Item> + Send + 'static,
        D: Dispatch,
    {
        let token = prepare(&mut self);
        let window = self.window;
        self.stream_with(window, identity, |call, source| {
            open(call, token, |_| Box::new(Polled::new(source)) as Source<D>, dispatch)
        })
    }
}

impl<I, W> WeighedBatch<'_, I, W> {
    /// Runs the items of a source by a [dispatcher](crate::dispatch), within the budget of their
    /// weights.
    ///
    /// An item counts from its pull until its outcome was taken.
    ///
    /// # Errors
    ///
    /// As [`BatchBuilder::stream_to`].
    ///
    /// # Panics
    ///
    /// As [`BatchBuilder::stream_to`].
    ///
    /// # Progress
    ///
    /// As [`BatchBuilder::stream_to`].
    pub fn stream_to<D>(
        self,
        dispatch: impl FnOnce(&mut Setup) -> D,
    ) -> Result<OrderedOf<D>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item = D::Item>,
        W: Fn(&D::Item) -> u64 + Send + 'static,
        D: Dispatch,
    {
        let WeighedBatch { mut batch, weigh } = self;
        let token = prepare(&mut batch);
        let window = batch.window;
        batch.stream_with(window, I::into_iter, |call, source| {
            let source = weighed::<D, _>(&call, Iter(source), weigh);
            open(call, token, |_| source, dispatch)
        })
    }

    /// Runs the items of an async stream by a [dispatcher](crate::dispatch), within the budget of
    /// their weights.
    ///
    /// # Errors
    ///
    /// As [`BatchBuilder::poll_to`].
    ///
    /// # Panics
    ///
    /// As [`BatchBuilder::poll_to`].
    ///
    /// # Progress
    ///
    /// As [`BatchBuilder::poll_to`].
    pub fn poll_to<D>(
        self,
        dispatch: impl FnOnce(&mut Setup) -> D,
    ) -> Result<OrderedOf<D>, Refused<I>>
    where
        I: Stream<Item = D::Item> + Send + 'static,
        W: Fn(&D::Item) -> u64 + Send + 'static,
        D: Dispatch,
    {
        let WeighedBatch { mut batch, weigh } = self;
        let token = prepare(&mut batch);
        let window = batch.window;
        batch.stream_with(window, identity, |call, source| {
            let source = weighed::<D, _>(&call, Polled::new(source), weigh);
            open(call, token, |_| source, dispatch)
        })
    }
}

impl<I, F> KeyedBatch<'_, I, F> {
    /// Runs the items of a source by a [dispatcher](crate::dispatch), in order by key.
    ///
    /// # Errors
    ///
    /// As [`BatchBuilder::stream_to`].
    ///
    /// # Panics
    ///
    /// As [`BatchBuilder::stream_to`].
    ///
    /// # Progress
    ///
    /// As [`BatchBuilder::stream_to`].
    pub fn stream_to<K, D>(
        self,
        dispatch: impl FnOnce(&mut Setup) -> D,
    ) -> Result<KeyedOf<D>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item = D::Item>,
        F: FnMut(&D::Item) -> K + Send + 'static,
        K: Hash + Eq + Send + 'static,
        D: Dispatch,
    {
        let KeyedBatch { mut batch, key } = self;
        let token = prepare(&mut batch);
        let window = batch.window;
        let stream = batch.stream_with(window, I::into_iter, |call, source| {
            let source = |output: &_| keyed::<D, _, _>(output, Iter(source), key);
            open(call, token, source, dispatch)
        });
        stream.map(OrderedByKey::new)
    }

    /// Runs the items of an async stream by a [dispatcher](crate::dispatch), in order by key.
    ///
    /// # Errors
    ///
    /// As [`BatchBuilder::poll_to`].
    ///
    /// # Panics
    ///
    /// As [`BatchBuilder::poll_to`].
    ///
    /// # Progress
    ///
    /// As [`BatchBuilder::poll_to`].
    pub fn poll_to<K, D>(
        self,
        dispatch: impl FnOnce(&mut Setup) -> D,
    ) -> Result<KeyedOf<D>, Refused<I>>
    where
        I: Stream<Item = D::Item> + Send + 'static,
        F: FnMut(&D::Item) -> K + Send + 'static,
        K: Hash + Eq + Send + 'static,
        D: Dispatch,
    {
        let KeyedBatch { mut batch, key } = self;
        let token = prepare(&mut batch);
        let window = batch.window;
        let stream = batch.stream_with(window, identity, |call, source| {
            let source = Polled::new(source);
            let source = |output: &_| keyed::<D, _, _>(output, source, key);
            open(call, token, source, dispatch)
        });
        stream.map(OrderedByKey::new)
    }
}

/// Prepares a batch for a dispatcher. Returns the token that ends the call if the dispatcher
/// panics.
fn prepare<I>(batch: &mut BatchBuilder<'_, I>) -> CancellationToken {
    let token = CancellationToken::new();
    batch.limits.counts_attempts = true;
    batch.limits.tokens.push(token.clone());
    token
}

/// Returns a source whose items wait for room in the budget of the call, if there is one.
fn weighed<D: Dispatch, W: Fn(&D::Item) -> u64 + Send + 'static>(
    call: &Admitted<'_>,
    source: impl PollSource<Pulled = D::Item> + 'static,
    weigh: DiscardOnDrop<W>,
) -> Source<D> {
    let weigh = move |item: &Poll<D::Item>| match item {
        Poll::Ready(item) => Some((*weigh)(item)),
        Poll::Pending => None,
    };
    Box::new(Weighed::new(source, weigh, call.limits.budget.clone()))
}

/// Returns a source whose items have keys.
fn keyed<D, F, K>(
    output: &OutputOf<D>,
    source: impl PollSource<Pulled = D::Item> + 'static,
    mut key: DiscardOnDrop<F>,
) -> Source<D>
where
    D: Dispatch,
    F: FnMut(&D::Item) -> K + Send + 'static,
    K: Hash + Eq + Send + 'static,
{
    let keys = output.keys().expect("the limits have a window of keys");
    let key = move |item: &Poll<D::Item>| match item {
        Poll::Ready(item) => Some((*key)(item)),
        Poll::Pending => None,
    };
    Box::new(Keyed::new(source, DiscardOnDrop::new(key), Arc::clone(keys)))
}

/// Starts the call of a dispatcher, over the source that `source` makes.
fn open<D: Dispatch>(
    call: Admitted<'_>,
    token: CancellationToken,
    source: impl FnOnce(&OutputOf<D>) -> Source<D>,
    dispatch: impl FnOnce(&mut Setup) -> D,
) -> OrderedOf<D> {
    let limits = Arc::clone(&call.limits);
    let Opened { producer, output, consumer_end } =
        open_ring(call.window, Some(Arc::clone(&limits)));
    let mut source = DiscardOnDrop::new(source(&output));
    let mut setup = Setup::new(&call.executor.scheduler, &limits, output.window());
    source.connect(setup.source());
    let dispatch = dispatch(&mut setup);
    let source = SourceSlot::new(source.into_inner(), producer);
    let driver = Call::new(setup, dispatch, source, output, token);
    publish_with_limits(call.executor, call.admission, driver, consumer_end)
}
