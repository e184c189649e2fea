//! The live view: one line per resource being worked on, redrawn in place, below what is done.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::engine::Key;

/// Lines that change.
pub(super) struct Live {
    bars: MultiProgress,
    running: BTreeMap<Key, ProgressBar>,
    watch: Option<ProgressBar>,
}

const TICK: Duration = Duration::from_millis(120);
// What a line holds besides its words: blanks, the spinner, and the time, `59m` at most.
const MARGIN: usize = 10;
const WATCH_MARGIN: usize = 16;

fn columns() -> usize {
    console::Term::stderr().size().1.into()
}

/// How much of a line what is worked on may take, so that what it waits for can be read beside it.
fn name_room(columns: usize) -> usize {
    columns.saturating_sub(MARGIN) / 2
}

/// A text as far as it fits; that something is missing is seen.
fn fit(text: &str, room: usize) -> Cow<'_, str> {
    console::truncate_str(text, room, "…")
}

impl Live {
    /// `None` where nothing can be redrawn: no terminal, or one that is dumb or says nothing of itself
    /// (`TERM`). There a hidden view would swallow what is printed above it, too.
    pub(super) fn new() -> Option<Self> {
        let bars = MultiProgress::new();
        (!bars.is_hidden()).then(|| Self { bars, running: BTreeMap::new(), watch: None })
    }

    pub(super) fn println(&self, line: &str) {
        // Fails only when the terminal is gone; the run must go on.
        let _gone = self.bars.println(line);
    }

    pub(super) fn start(&mut self, key: &Key, label: &str) {
        let bar = self.spinner(" {spinner} {prefix}  {wide_msg} {elapsed}");
        bar.set_prefix(fit(label, name_room(columns())).into_owned());
        self.running.insert(key.clone(), bar);
    }

    /// What the whole command waits for.
    pub(super) fn watch(&mut self, what: &str) {
        let bar = match self.watch.take() {
            Some(bar) => bar,
            None => self.spinner("          {spinner} {wide_msg} {elapsed}"),
        };
        bar.set_message(fit(what, columns().saturating_sub(WATCH_MARGIN)).into_owned());
        self.watch = Some(bar);
    }

    fn spinner(&self, template: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        bar
    }

    pub(super) fn update(&mut self, key: &Key, what: &str) {
        if let Some(bar) = self.running.get(key) {
            let taken = console::measure_text_width(&bar.prefix()) + MARGIN;
            bar.set_message(fit(what, columns().saturating_sub(taken)).into_owned());
        }
    }

    /// Nothing more is waited for by the whole command.
    pub(super) fn watched(&mut self) {
        if let Some(bar) = self.watch.take() {
            bar.finish_and_clear();
        }
    }

    pub(super) fn end(&mut self, key: &Key) {
        if let Some(bar) = self.running.remove(key) {
            bar.finish_and_clear();
        }
    }

    pub(super) fn clear(&mut self) {
        for bar in std::mem::take(&mut self.running).into_values().chain(self.watch.take()) {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_leaves_room_for_what_is_waited_for() {
        let label = "bucket               jitsi-aws-lease-conferences-123456789012-eu-central-1";
        let cut = fit(label, name_room(80));
        assert_eq!(cut, "bucket               jitsi-aws-lea…");
        assert!(console::measure_text_width(&cut) + MARGIN <= 80 / 2 + MARGIN / 2);
        assert_eq!(fit("short", name_room(80)), "short");
    }
}
