//! The only printer: progress to stderr, results to stdout; a live view on a terminal, one line
//! per event elsewhere, JSON where asked for.

mod live;
mod progress;
mod prompt;
mod style;
mod text;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use serde_json::Value;

pub use style::{Mark, Style};
pub use text::{elapsed, table};

pub(crate) use progress::{change, drift_object};

use crate::{aws::Call, engine::Event, error};
use progress::Progress;
use prompt::Prompt;

/// Version of the JSON documents and events; grows when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// JSON instead of text.
    pub json: bool,
    /// Never colour.
    pub no_color: bool,
    /// Say every call.
    pub verbose: bool,
}

/// The printer; cheap to clone.
#[derive(Clone)]
pub struct Ui {
    options: Options,
    style: Style,
    progress: Arc<Mutex<Progress>>,
    prompt: Prompt,
}

impl Ui {
    /// Looks at the terminal and the environment (`NO_COLOR`, locale) to decide how to print.
    pub fn new(options: Options) -> Self {
        let live = io::stderr().is_terminal() && !options.json;
        let style = Style::detect(live && !options.no_color);
        let progress = Arc::new(Mutex::new(Progress::new(options.json, live, style)));
        Self { options, style, progress, prompt: Prompt::default() }
    }

    /// Marks and colours, for those who lay out text.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whether results are JSON.
    pub fn json(&self) -> bool {
        self.options.json
    }

    /// A line of progress, for a person.
    pub fn say(&self, line: &str) {
        self.with(|progress| progress.say(line));
    }

    /// Something that happened in a run.
    pub fn event(&self, event: Event) {
        self.with(|progress| progress.event(event));
    }

    /// Something a command that only watches has seen: `line` for a person, `event` for a program.
    pub fn seen(&self, line: &str, event: &Value) {
        self.with(|progress| progress.seen(line, event));
    }

    /// What a command that only watches waits for: a live line on a terminal, now and then one elsewhere.
    pub fn watching(&self, what: &str) {
        self.with(|progress| progress.watching(what));
    }

    /// A call, when the user wants to see calls.
    pub fn call(&self, call: &Call) {
        if self.options.verbose {
            self.with(|progress| progress.call(call));
        }
    }

    /// A result in text; nothing when JSON was asked for.
    pub fn result(&self, text: &str) {
        if !self.options.json {
            self.write(text.trim_end());
        }
    }

    /// A result as a JSON document, `schema` added; nothing when text was asked for.
    pub fn document(&self, kind: &str, value: &impl Serialize) {
        if self.options.json {
            let document = serde_json::json!({ "schema": SCHEMA, "kind": kind, "result": value });
            self.write(&format!("{document:#}"));
        }
    }

    /// A result that has one form only: completions, the manual page.
    pub fn raw(&self, bytes: &[u8]) {
        let _closed_pipe = io::stdout().write_all(bytes);
    }

    /// The next command, on the last line; an event of its own with JSON.
    pub fn next(&self, command: &str) {
        let event = serde_json::json!({ "event": "next", "command": command });
        if !self.options.json {
            self.say("");
        }
        self.seen(&format!("next: {}", self.style.bold(command)), &event);
    }

    /// A failure, with its hint.
    pub fn error(&self, error: &anyhow::Error) {
        let report = error::Report::of(error);
        if self.options.json {
            self.document("error", &report);
            return;
        }
        self.with(Progress::clear);
        self.say(&format!("{} {}", self.style.failed("error:"), report.what));
        for detail in &report.details {
            self.say(&format!("  {detail}"));
        }
        if let Some(hint) = &report.hint {
            self.say("");
            self.say(&format!("hint: {hint}"));
        }
    }

    /// A warning: the run goes on.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.style.waiting("warning:")));
    }

    /// Whether somebody is there to be asked.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && !self.options.json
    }

    /// Asks on the terminal; `None` when there is nobody to answer, or the answer is the end of the
    /// input (Ctrl-D). Ctrl-C ends the program.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        if !self.prompt.open() {
            end_by_interrupt();
        }
        self.with(Progress::clear);
        let answer = read_answer(question);
        self.prompt.close();
        if answer.is_none() {
            self.say(""); // Ctrl-D leaves the cursor behind the question
        }
        answer
    }

    /// Ctrl-C was pressed. At a question the program ends: nothing was begun.
    pub fn interrupted(&self) {
        if self.prompt.interrupt() {
            self.say("");
            end_by_interrupt();
        }
    }

    fn with(&self, act: impl FnOnce(&mut Progress)) {
        act(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn write(&self, text: &str) {
        self.with(Progress::clear);
        // A reader that went away (`| head`) is no failure.
        let _closed_pipe = writeln!(io::stdout(), "{text}");
    }
}

/// `None` at the end of the input.
fn read_answer(question: &str) -> Option<String> {
    let mut stderr = io::stderr();
    write!(stderr, "{question} ").and_then(|()| stderr.flush()).ok()?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer).ok()?;
    (read > 0).then(|| answer.trim().to_owned())
}

/// Ends the program as Ctrl-C does: 128 and the number of its signal.
#[expect(clippy::exit, reason = "what AWS got can be found again; a question has begun nothing")]
pub fn end_by_interrupt() -> ! {
    std::process::exit(130)
}
