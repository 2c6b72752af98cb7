//! A progress bar per batch, which is shown only on a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

pub(crate) struct Display(MultiProgress);

impl Display {
    pub(crate) fn new() -> Display {
        Display(MultiProgress::new())
    }

    pub(crate) fn batch(&self, number: u32, items: u32) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix} [{bar:40}] {pos}/{len} {msg}");
        let bar = ProgressBar::new(items.into())
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_prefix(format!("batch {number}"));
        self.0.add(bar)
    }
}
