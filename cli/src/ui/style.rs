//! Four colours with fixed meaning, and symbols with ASCII forms: never colour or symbol alone.

use std::env;

/// What happened to a resource, as one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Made, or as asked.
    Done,
    /// As it was.
    Same,
    /// Changed or to be changed.
    Changed,
    /// To be made.
    Create,
    /// Deleted or to be deleted.
    Delete,
    /// Failed.
    Failed,
    /// Waiting.
    Waiting,
}

/// How to colour and which symbols to use.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    color: bool,
    unicode: bool,
}

impl Style {
    /// Plain text, for tests and files.
    pub const PLAIN: Self = Self { color: false, unicode: true };

    /// Colours only where wanted and `NO_COLOR` is unset (<https://no-color.org>); symbols only in a UTF-8 locale.
    pub fn detect(color: bool) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find(|name| set(name));
        let utf8 = locale.and_then(|name| env::var(name).ok()).is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        });
        Self { color: color && !set("NO_COLOR"), unicode: utf8 }
    }

    /// Green: done.
    pub fn done(self, text: &str) -> String {
        self.paint(text, console::Style::new().green())
    }

    /// Yellow: waiting or drift.
    pub fn waiting(self, text: &str) -> String {
        self.paint(text, console::Style::new().yellow())
    }

    /// Red: failed.
    pub fn failed(self, text: &str) -> String {
        self.paint(text, console::Style::new().red())
    }

    /// Dim: detail.
    pub fn dim(self, text: &str) -> String {
        self.paint(text, console::Style::new().dim())
    }

    /// Bold: what to type.
    pub fn bold(self, text: &str) -> String {
        self.paint(text, console::Style::new().bold())
    }

    /// The symbol of `mark`, coloured.
    pub fn mark(self, mark: Mark) -> String {
        let (symbol, ascii) = match mark {
            Mark::Done => ("✓", "+"),
            Mark::Same => ("=", "="),
            Mark::Changed => ("~", "~"),
            Mark::Create => ("+", "+"),
            Mark::Delete => ("-", "-"),
            Mark::Failed => ("✗", "x"),
            Mark::Waiting => ("…", "."),
        };
        let symbol = if self.unicode { symbol } else { ascii };
        match mark {
            Mark::Done | Mark::Create => self.done(symbol),
            Mark::Changed | Mark::Waiting => self.waiting(symbol),
            Mark::Failed | Mark::Delete => self.failed(symbol),
            Mark::Same => self.dim(symbol),
        }
    }

    /// `→`, or its ASCII form.
    pub fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    fn paint(self, text: &str, style: console::Style) -> String {
        if self.color { style.force_styling(true).apply_to(text).to_string() } else { text.into() }
    }
}
