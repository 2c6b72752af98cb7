//! Values that several tests of the ring and of the pool use.

use std::cell::Cell;
use std::panic::resume_unwind;

use crate::drop_counter::{Counted, DropCounter};

thread_local!(static ZERO_SIZED: Cell<i64> = const { Cell::new(0) });

/// A zero-sized value. Each thread counts its values that are alive.
pub(crate) struct ZeroSized;

impl ZeroSized {
    pub(crate) fn new() -> ZeroSized {
        ZERO_SIZED.set(ZERO_SIZED.get() + 1);
        ZeroSized
    }

    /// Returns the number of values of this thread that are alive.
    pub(crate) fn alive() -> i64 {
        ZERO_SIZED.get()
    }
}

impl Drop for ZeroSized {
    fn drop(&mut self) {
        ZERO_SIZED.set(ZERO_SIZED.get() - 1);
        assert!(ZERO_SIZED.get() >= 0, "more values were dropped than made");
    }
}

/// A value that is aligned to a page, and checks its own alignment.
#[repr(align(4096))]
pub(crate) struct Page(pub(crate) u64);

impl Page {
    pub(crate) fn is(&self, number: u64) -> bool {
        std::ptr::from_ref(self).addr() % 4096 == 0 && self.0 == number
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        assert!(self.is(self.0), "a value is dropped at an address that is not aligned");
    }
}

/// A counted value. Its drop panics if it is armed.
pub(crate) struct PanicsIfArmed {
    armed: bool,
    _counted: Counted,
}

impl PanicsIfArmed {
    pub(crate) fn new(armed: bool, counter: &DropCounter) -> PanicsIfArmed {
        PanicsIfArmed { armed, _counted: counter.value() }
    }
}

impl Drop for PanicsIfArmed {
    fn drop(&mut self) {
        if self.armed {
            // As `panic!`, but it prints no message.
            resume_unwind(Box::new("armed"));
        }
    }
}
