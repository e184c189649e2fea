//! The only printer: progress to stderr, results to stdout; a live view on a terminal, one line
//! per event elsewhere, JSON where asked for.

mod live;
mod output;
mod progress;
mod prompt;
mod style;
mod text;
mod usage;

use std::{
    ffi::OsString,
    io::{self, BufRead, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard},
};

use serde::Serialize;
use serde_json::Value;

pub use style::{Mark, Style};
pub use text::{counted, elapsed, line, table};
pub use usage::usage;
use usage::wants_json;

pub(crate) use progress::{change, changes, drift_object};

use crate::{aws::Call, engine::Event, error, exit::Exit, shared::lock};
use live::Live;
use output::Output;
use progress::Progress;
use prompt::Prompt;

/// Version of the JSON documents and events; grows when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// Says that there is no stdout; the exit code. Nothing is begun whose result nobody can be told.
pub fn no_stdout(line: &[OsString]) -> u8 {
    let ui = Ui::new(Options { json: wants_json(line), ..Options::default() });
    ui.output().failed(io::Error::other("it is closed; `>/dev/null` discards the result"));
    ui.close(Exit::Failed.code())
}

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Options {
    /// JSON instead of text.
    pub json: bool,
    /// Never colour.
    pub no_color: bool,
    /// Say every call, and every resource that is as it should be.
    pub verbose: bool,
    /// Say nothing of how it goes.
    pub quiet: bool,
}

/// The printer; cheap to clone.
#[derive(Clone)]
pub struct Ui {
    options: Options,
    /// Of results, on stdout.
    style: Style,
    /// Of all else, on stderr: the two need not be the same terminal.
    progress_style: Style,
    progress: Arc<Mutex<Progress>>,
    prompt: Prompt,
    output: Arc<Mutex<Output>>,
}

impl Ui {
    /// Looks at the terminal and the environment (`NO_COLOR`, `TERM`, locale) to decide how to print.
    pub fn new(options: Options) -> Self {
        let plain = options.json || options.quiet;
        let live = (!plain).then(Live::new).flatten();
        // A terminal that cannot redraw takes no colours either.
        let color = |terminal: bool| terminal && !console::is_dumb() && !options.no_color;
        let style = Style::detect(color(io::stdout().is_terminal()));
        let progress_style = Style::detect(color(io::stderr().is_terminal()));
        let progress = Progress::new(options, live, progress_style);
        Self {
            options,
            style,
            progress_style,
            progress: Arc::new(Mutex::new(progress)),
            prompt: Prompt::default(),
            output: Arc::default(),
        }
    }

    /// Marks and colours of results, for those who lay out text.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Marks and colours of what is said on the way.
    pub fn progress_style(&self) -> Style {
        self.progress_style
    }

    /// Whether each thing is told of with all there is to say of it.
    pub fn verbose(&self) -> bool {
        self.options.verbose
    }

    /// Whether only what must be said is to be said.
    pub fn quiet(&self) -> bool {
        self.options.quiet
    }

    /// Whether results are JSON.
    pub fn json(&self) -> bool {
        self.options.json
    }

    /// A line for a person.
    pub fn say(&self, line: &str) {
        self.with(|progress| progress.say(line));
    }

    /// A line about how it goes, which nobody needs who asked for quiet.
    pub fn remark(&self, line: &str) {
        if !self.options.quiet {
            self.say(line);
        }
    }

    /// What is done from here on until something else is printed: nobody waits in silence.
    pub fn busy(&self, with: &str) {
        self.with(|progress| progress.busy(with));
    }

    /// Says what is being waited for if it has been quiet for too long; asked now and then.
    pub fn tick(&self) {
        self.with(Progress::tick);
    }

    /// How many resources are as they should be, a line for each stage, unless each was told of.
    pub fn unchanged(&self) {
        self.with(Progress::unchanged);
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
        self.with(Progress::clear);
        let text = text.trim_end();
        if !self.options.json && !text.is_empty() {
            self.output().write(format!("{text}\n").as_bytes());
        }
    }

    /// The result as a JSON document, `schema` added; nothing when text was asked for. It is printed at
    /// the end, because an error may take its place: whoever reads gets exactly one.
    pub fn document(&self, kind: &str, value: &impl Serialize) {
        if self.options.json {
            self.output().keep(kind, &serde_json::json!(value));
        }
    }

    /// A result that is text also for programs: completions, the manual page.
    pub fn raw(&self, kind: &str, text: &str) {
        if self.options.json {
            self.document(kind, &serde_json::json!({ "text": text }));
        } else {
            self.output().write(text.as_bytes());
        }
    }

    /// Prints what is left to print; the exit code, which is another one when stdout did not take all.
    pub fn close(&self, code: u8) -> u8 {
        self.with(Progress::clear);
        match self.output().close() {
            Ok(()) => code,
            Err(error) => {
                let mark = self.progress_style.failed("error:");
                self.with(|progress| progress.say(&output::failure(&mark, &error)));
                Exit::Failed.code()
            }
        }
    }

    /// The next command, on the last line; an event of its own with JSON.
    pub fn next(&self, command: &str) {
        if self.options.quiet {
            return;
        }
        let event = serde_json::json!({ "event": "next", "command": command });
        if !self.options.json {
            self.say("");
        }
        self.seen(&format!("next: {}", self.progress_style.bold(command)), &event);
    }

    /// A failure, with its hint.
    pub fn error(&self, error: &anyhow::Error) {
        let report = error::Report::of(error);
        if self.options.json {
            self.output().fail(serde_json::json!(report));
            return;
        }
        self.with(Progress::clear);
        self.say(&format!("{} {}", self.progress_style.failed("error:"), report.what));
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
        self.say(&format!("{} {text}", self.progress_style.waiting("warning:")));
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
        act(&mut lock(&self.progress));
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        lock(&self.output)
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
