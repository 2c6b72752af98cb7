//! oneTBB: `parallel_for` over an array for a batch, and `parallel_pipeline` for a stream, with slices
//! as tokens, which its documentation advises for small items. The caller is one of the threads.
//!
//! C++ calls back for a range or a slice, not for each item.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::{Collect, Stream};
use crate::compare::job::Job;

type Arenas = c_void;
type Context = c_void;
type Token = c_void;

unsafe extern "C" {
    fn compare_tbb_new(threads: i32) -> *mut Arenas;
    fn compare_tbb_delete(arenas: *mut Arenas);
    fn compare_tbb_for(
        arenas: *mut Arenas,
        count: usize,
        context: *const Context,
        run: unsafe extern "C" fn(*const Context, usize, usize),
    );
    fn compare_tbb_pipeline(
        arenas: *mut Arenas,
        tokens: usize,
        context: *const Context,
        pull: unsafe extern "C" fn(*const Context) -> *mut Token,
        run: unsafe extern "C" fn(*const Context, *mut Token),
        take: unsafe extern "C" fn(*const Context, *mut Token),
    );
}

pub(crate) struct Tbb(NonNull<Arenas>);

// SAFETY: each thread that calls uses an arena of its own.
unsafe impl Send for Tbb {}
// SAFETY: as above.
unsafe impl Sync for Tbb {}

impl Tbb {
    /// With the caller.
    pub(crate) fn new(threads: usize) -> Tbb {
        let threads = i32::try_from(threads).expect("as many as a machine can run");
        // SAFETY: it may be called by anybody.
        let arenas = unsafe { compare_tbb_new(threads) };
        Tbb(NonNull::new(arenas).expect("new never returns null"))
    }
}

impl Drop for Tbb {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { compare_tbb_delete(self.0.as_ptr()) };
    }
}

struct Places<U, J> {
    first: *mut U,
    job: J,
}

impl<U, J: Job<u64, U>> Places<U, J> {
    /// # Safety
    ///
    /// The context is one of these, with places from `start` to `end` that nobody else writes.
    unsafe extern "C" fn run(context: *const Context, start: usize, end: usize) {
        // SAFETY: the caller says so.
        let places = unsafe { &*context.cast::<Self>() };
        for index in start..end {
            let result = (places.job)(index as u64);
            // SAFETY: the place is in the range.
            let place = unsafe { places.first.add(index) };
            // SAFETY: nobody else writes it.
            unsafe { place.write(result) };
        }
    }
}

impl Collect for Tbb {
    fn collect<U: Send + 'static>(&self, count: u64, job: impl Job<u64, U>) -> Vec<U> {
        /// That of the type of the job, which has no name.
        fn run_of<U, J: Job<u64, U>>(
            _: &Places<U, J>,
        ) -> unsafe extern "C" fn(*const Context, usize, usize) {
            Places::<U, J>::run
        }
        let count = usize::try_from(count).expect("as many as fit in memory");
        let mut results = Vec::with_capacity(count);
        let places = Places { first: results.as_mut_ptr(), job };
        let (context, run) = (ptr::from_ref(&places).cast(), run_of(&places));
        // SAFETY: it gives each index below `count` to one thread, and returns when all have run.
        unsafe { compare_tbb_for(self.0.as_ptr(), count, context, run) };
        // SAFETY: all were written.
        unsafe { results.set_len(count) };
        results
    }
}

/// What the three filters of a pipeline need. The first and the last run on one thread at a time,
/// and in order; the one in the middle only uses the job.
struct Filters<'s, I, U, S, J, F> {
    source: UnsafeCell<S>,
    slice: usize,
    job: J,
    sink: UnsafeCell<&'s mut F>,
    items: PhantomData<(I, U)>,
}

/// A token.
struct Slice<I, U> {
    items: Vec<I>,
    results: Vec<U>,
}

impl<I, U, S: Iterator<Item = I>, J: Job<I, U>, F: FnMut(U)> Filters<'_, I, U, S, J, F> {
    /// # Safety
    ///
    /// The context is one of these, and this is the only thread here.
    unsafe extern "C" fn pull(context: *const Context) -> *mut Token {
        // SAFETY: the caller says so.
        let filters = unsafe { &*context.cast::<Self>() };
        // SAFETY: the caller says so.
        let source = unsafe { &mut *filters.source.get() };
        let items: Vec<I> = source.take(filters.slice).collect();
        if items.is_empty() {
            return ptr::null_mut();
        }
        Box::into_raw(Box::new(Slice::<I, U> { items, results: Vec::new() })).cast()
    }

    /// # Safety
    ///
    /// The context is one of these, and the token is from `pull` and this thread's.
    unsafe extern "C" fn run(context: *const Context, token: *mut Token) {
        // SAFETY: the caller says so.
        let filters = unsafe { &*context.cast::<Self>() };
        // SAFETY: the caller says so.
        let slice = unsafe { &mut *token.cast::<Slice<I, U>>() };
        slice.results = slice.items.drain(..).map(filters.job).collect();
    }

    /// # Safety
    ///
    /// The context is one of these, this is the only thread here, and the token is its own.
    unsafe extern "C" fn take(context: *const Context, token: *mut Token) {
        // SAFETY: the caller says so.
        let filters = unsafe { &*context.cast::<Self>() };
        // SAFETY: it was made of a box, and nobody comes back to it.
        let slice = unsafe { Box::from_raw(token.cast::<Slice<I, U>>()) };
        // SAFETY: the caller says so.
        let sink = unsafe { &mut **filters.sink.get() };
        slice.results.into_iter().for_each(sink);
    }

    fn pipe(self, arenas: &Tbb, tokens: usize) {
        let context = ptr::from_ref(&self).cast();
        let (pull, run, take) = (Self::pull, Self::run, Self::take);
        // SAFETY: the first and the last are serial filters, and a token goes through one filter
        // at a time. It returns when all tokens are through. What is sent to another thread there,
        // the bounds of `Stream` allow to be sent.
        unsafe { compare_tbb_pipeline(arenas.0.as_ptr(), tokens, context, pull, run, take) };
    }
}

impl Stream for Tbb {
    fn stream<I, U>(
        &self,
        source: impl Iterator<Item = I> + Send + 'static,
        window: usize,
        job: impl Job<I, U>,
        sink: &mut (impl FnMut(U) + Send),
    ) where
        I: Send + 'static,
        U: Send + 'static,
    {
        // Several tokens per thread, as the documentation advises, and as large as that allows.
        let slice = (window / 16).max(1);
        let filters = Filters {
            source: UnsafeCell::new(source.fuse()),
            slice,
            job,
            sink: UnsafeCell::new(sink),
            items: PhantomData,
        };
        filters.pipe(self, window / slice);
    }
}
