//! Events on standard error, one line each, with the priority prefix journald reads; the last lines
//! are kept in memory so that an abandoned instance can say why.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines kept for [`Journal::last_lines`].
const KEPT: usize = 30;

/// The last lines that were logged.
#[derive(Clone, Default)]
pub struct Journal {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Journal {
    /// Sends the program's events to standard error and keeps the last of them.
    ///
    /// The libraries' own events are shown from warnings up: they are not written for operators.
    pub fn install(verbose: bool) -> Self {
        let journal = Self::default();
        let own = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
        let layer = tracing_subscriber::fmt::layer()
            .without_time()
            .with_target(false)
            .with_level(false)
            .with_ansi(false)
            .with_writer(journal.clone());
        // A second subscriber can only mean a test has its own already.
        let _ = tracing_subscriber::registry()
            .with(layer)
            .with(
                Targets::new()
                    .with_default(LevelFilter::WARN)
                    .with_target(env!("CARGO_CRATE_NAME"), own),
            )
            .try_init();
        journal
    }

    /// The last `count` lines, oldest first.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }

    fn keep(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }
}

/// Writes one event as one line.
pub struct Line {
    journal: Journal,
    priority: char,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = one_line(&String::from_utf8_lossy(&self.text));
        self.journal.keep(&text);
        // journald takes `<N>` off again (sd-daemon(3)); a closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr(), "<{}>{text}", self.priority);
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { journal: self.clone(), priority: '6', text: Vec::new() }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line {
        let priority = match *meta.level() {
            Level::ERROR => '3',
            Level::WARN => '4',
            Level::INFO => '6',
            Level::DEBUG | Level::TRACE => '7',
        };
        Line { journal: self.clone(), priority, text: Vec::new() }
    }
}

/// `text` on one line: journald would make an entry of each line and lose the priority of the rest.
pub fn one_line(text: &str) -> String {
    text.trim_end().replace(['\n', '\r'], " | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_the_last_lines() {
        let journal = Journal::default();
        for n in 0..40 {
            journal.keep(&format!("line {n}"));
        }
        assert_eq!(journal.last_lines(2), ["line 38", "line 39"]);
        assert_eq!(journal.last_lines(100).len(), KEPT);
    }

    #[test]
    fn several_lines_become_one() {
        assert_eq!(one_line("E: no\nE: still no\n"), "E: no | E: still no");
    }
}
