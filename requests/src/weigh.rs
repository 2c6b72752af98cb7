//! Requests whose items have weights.

/// A function that weighs the items of [`Requests`](crate::Requests), or `()` for requests without
/// a budget.
///
/// Functions `Fn(&T) -> u64` implement it. [`RequestsExt`](crate::RequestsExt) has an example.
pub trait Weigh<T>: Send + 'static {
    /// Returns the weight of an item.
    fn weigh(&self, item: &T) -> u64;
}

/// Without a budget, no item has a weight.
impl<T> Weigh<T> for () {
    fn weigh(&self, _: &T) -> u64 {
        0
    }
}

impl<T, W: Fn(&T) -> u64 + Send + 'static> Weigh<T> for W {
    fn weigh(&self, item: &T) -> u64 {
        self(item)
    }
}
