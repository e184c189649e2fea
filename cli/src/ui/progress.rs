//! Progress of a run: each event becomes a line, a live line or a JSON object.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Mark, Options, SCHEMA, Style, counted, elapsed, live::Live, text::TITLE};
use crate::{
    aws::Call,
    engine::{Drift, Event, Key, Outcome, Stage},
};

// Whoever waits longer than this wonders whether anything happens at all.
const SILENCE: Duration = Duration::from_secs(2);
// How often a long wait is repeated in a log; `terraform apply` uses the same.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where events go.
pub(super) struct Progress {
    options: Options,
    style: Style,
    live: Option<Live>,
    started: BTreeMap<Key, Work>,
    /// What the whole command does while no resource is worked on, since when.
    busy: Option<(String, Instant)>,
    unchanged: BTreeMap<Stage, usize>,
    /// When something was last printed, and when something was last waited for in print.
    printed: Instant,
    beat: Option<Instant>,
    heartbeat: Duration,
}

/// A resource that is worked on.
struct Work {
    name: String,
    since: Instant,
    waits: Option<String>,
}

impl Progress {
    pub(super) fn new(options: Options, live: Option<Live>, style: Style) -> Self {
        Self {
            options,
            style,
            live,
            started: BTreeMap::new(),
            busy: None,
            unchanged: BTreeMap::new(),
            printed: Instant::now(),
            beat: None,
            heartbeat: if io::stderr().is_terminal() { SILENCE } else { HEARTBEAT },
        }
    }

    /// What is done from here on; on a terminal it is seen at once.
    pub(super) fn busy(&mut self, with: &str) {
        if self.options.quiet {
            return;
        }
        self.busy = Some((with.to_owned(), Instant::now()));
        if let Some(live) = &mut self.live {
            live.watch(with);
        }
    }

    fn idle(&mut self) {
        if self.busy.take().is_some()
            && let Some(live) = &mut self.live
        {
            live.watched();
        }
    }

    /// Where nothing is redrawn: a line when it has been silent for too long, then now and then.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let quiet = self.live.is_some() || self.options.quiet;
        let due = self.beat.map_or(SILENCE, |_| self.heartbeat);
        let last = self.beat.map_or(self.printed, |beat| beat.max(self.printed));
        if quiet || now.duration_since(last) < due {
            return;
        }
        // Of several, the one that takes longest: the others wait for it, or will be seen later.
        let longest = self.started.iter().min_by_key(|(_, work)| work.since);
        let (event, line) = match (longest, &self.busy) {
            (Some((key, work)), _) => {
                let what = work.waits.as_deref().unwrap_or("AWS has not answered yet");
                (waiting(key, what), self.waits(key, work, what))
            }
            (None, Some((what, since))) => {
                let mark = self.style.mark(Mark::Waiting);
                let line = format!(" {mark} {what}  {}", elapsed(now.duration_since(*since)));
                (json!({ "event": "waiting", "for": what }), line)
            }
            (None, None) => return,
        };
        self.beat = Some(now);
        if self.options.json {
            emit(&event);
        } else {
            print(&line);
        }
    }

    /// A line for each stage that has resources as they should be.
    pub(super) fn unchanged(&mut self) {
        for (stage, count) in std::mem::take(&mut self.unchanged) {
            let are = if count == 1 { "is as it" } else { "are as they" };
            let words = format!("{} {are} should be", counted(count, "resource"));
            let words = self.style.dim(&words);
            let mark = self.style.mark(Mark::Same);
            self.say(&format!(" {mark} {} {:TITLE$}{words}", stage.number(), stage.word()));
        }
    }

    pub(super) fn say(&mut self, line: &str) {
        self.printed = Instant::now();
        self.beat = None;
        match (&self.live, self.options.json) {
            (_, true) if line.is_empty() => {}
            (_, true) => emit(&json!({ "event": "message", "text": line })),
            (Some(live), _) => live.println(line),
            (None, _) => print(line),
        }
    }

    pub(super) fn seen(&mut self, line: &str, event: &Value) {
        if self.options.json {
            emit(event);
        } else {
            self.say(line);
        }
    }

    /// As [`Progress::busy`], for what goes on and is said anew each time.
    pub(super) fn watching(&mut self, what: &str) {
        let since = self.busy.take().map(|(_, since)| since);
        self.busy(what);
        if let (Some(since), Some((_, began))) = (since, &mut self.busy) {
            *began = since;
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        if self.options.json {
            emit(&json!({
                "event": "call", "service": call.service, "operation": call.operation,
                "status": call.status, "sent_ms": call.sent.as_millis(), "took_ms": call.took.as_millis(),
                "purpose": call.purpose,
            }));
        } else {
            self.say(&self.style.dim(&format!("   aws {call}")));
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        if matches!(event, Event::Started { .. }) {
            self.idle();
        }
        self.follow(&event);
        let told = matches!(event, Event::Failed { .. } | Event::Note { .. });
        if self.options.quiet && !told {
            return;
        }
        if self.options.json {
            self.printed = Instant::now();
            self.beat = None;
            emit(&object(&event));
            return;
        }
        match event {
            Event::Started { key, name } => {
                if let Some(live) = &mut self.live {
                    live.start(&key, &label(&key, &name));
                }
            }
            Event::Waiting { .. } | Event::Passed { .. } => {}
            Event::Finished { key, outcome: Outcome::Unchanged, .. } if !self.options.verbose => {
                *self.unchanged.entry(key.stage()).or_default() += 1;
            }
            Event::Finished { key, name, id, outcome, took } => {
                self.say(&finished(self.style, &label(&key, &name), &id, &outcome, took));
            }
            Event::Failed { key, name, took, why } => {
                let (label, took) = (label(&key, &name), elapsed(took));
                let (mark, word) = match why {
                    Some(_) => (Mark::Failed, "failed"),
                    None => (Mark::Waiting, "stopped"),
                };
                let mark = self.style.mark(mark);
                let why = why.map(|why| format!("\n     {why}")).unwrap_or_default();
                self.say(&format!(" {mark} {label}  {word}  {took}{why}"));
            }
            Event::Note { text, .. } => {
                for line in text.lines() {
                    self.say(&format!("   {}", self.style.waiting(line)));
                }
            }
        }
    }

    /// Keeps book of what is worked on, whoever is told of it.
    fn follow(&mut self, event: &Event) {
        match event {
            Event::Started { key, name } => {
                let work = Work { name: name.clone(), since: Instant::now(), waits: None };
                self.started.insert(key.clone(), work);
            }
            Event::Waiting { key, what } => self.wait(key, what),
            Event::Finished { key, .. } | Event::Failed { key, .. } | Event::Passed { key, .. } => {
                self.end(key);
            }
            Event::Note { .. } => {}
        }
    }

    /// Takes the live lines away, so that something else can be printed.
    pub(super) fn clear(&mut self) {
        self.busy = None;
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }

    /// A reason is said when it is new, and repeated by [`Progress::tick`].
    fn wait(&mut self, key: &Key, what: &str) {
        let Some(mut work) = self.started.remove(key) else { return };
        if let Some(live) = &mut self.live {
            live.update(key, what);
        }
        let known = work.waits.as_deref() == Some(what);
        work.waits = Some(what.to_owned());
        if !known && self.live.is_none() && !self.options.json && !self.options.quiet {
            let line = self.waits(key, &work, what);
            self.say(&line);
            self.beat = Some(self.printed);
        }
        self.started.insert(key.clone(), work);
    }

    fn waits(&self, key: &Key, work: &Work, what: &str) -> String {
        let mark = self.style.mark(Mark::Waiting);
        format!(" {mark} {}  {what}  {}", label(key, &work.name), elapsed(work.since.elapsed()))
    }

    fn end(&mut self, key: &Key) {
        self.started.remove(key);
        if let Some(live) = &mut self.live {
            live.end(key);
        }
    }
}

fn label(key: &Key, name: &str) -> String {
    format!("{:TITLE$} {name}", key.title())
}

/// The line of a resource that is done with.
fn finished(style: Style, label: &str, id: &str, outcome: &Outcome, took: Duration) -> String {
    let took = style.dim(&elapsed(took));
    // An id that only repeats the name says nothing, an ARN too much.
    let id = if id.starts_with("arn:") || label.ends_with(id) {
        String::new()
    } else {
        format!("  {id}")
    };
    match outcome {
        Outcome::Created => format!(" {} {label}{id}  created  {took}", style.mark(Mark::Done)),
        Outcome::Deleted => format!(" {} {label}{id}  deleted  {took}", style.mark(Mark::Delete)),
        Outcome::Unchanged => {
            format!(" {} {label}{id}  {}", style.mark(Mark::Same), style.dim("as it should be"))
        }
        Outcome::Changed(drift) => {
            let Changes { beside, below } = changes(style, drift);
            let beside = if beside.is_empty() { "changed".to_owned() } else { beside };
            let below: Vec<String> = below.iter().map(|line| format!("\n     {line}")).collect();
            let below = below.concat();
            format!(" {} {label}  {beside}  {took}{below}", style.mark(Mark::Changed))
        }
    }
}

/// What changes about a resource: beside it where that is short, else below it, a line for each field.
pub(crate) struct Changes {
    /// On the resource's own line.
    pub beside: String,
    /// On lines of their own.
    pub below: Vec<String>,
}

// With mark, kind and name before it, a line of a wide terminal.
const BESIDE: usize = 72;

/// Lays out what changes.
pub(crate) fn changes(style: Style, drift: &[Drift]) -> Changes {
    let fields: Vec<String> = drift.iter().map(|drift| change(style, drift)).collect();
    let beside = fields.join(", ");
    if beside.chars().count() <= BESIDE {
        return Changes { beside, below: Vec::new() };
    }
    Changes { beside: String::new(), below: fields }
}

/// `instance type t3.large → c7i.xlarge`.
pub(crate) fn change(style: Style, drift: &Drift) -> String {
    let Drift { field, actual, wanted, .. } = drift;
    match (actual.as_str(), wanted.as_str()) {
        ("", wanted) => format!("{field} {wanted}"),
        (actual, wanted) => format!("{field} {actual} {} {wanted}", style.arrow()),
    }
}

fn object(event: &Event) -> Value {
    match event {
        Event::Started { key, name } => {
            json!({ "event": "started", "resource": key.to_string(), "type": key.title(), "name": name })
        }
        Event::Waiting { key, what } => waiting(key, what),
        Event::Finished { key, name, id, outcome, took } => {
            let (outcome, changes) = match outcome {
                Outcome::Created => ("created", Vec::new()),
                Outcome::Changed(drift) => ("changed", drift.iter().map(drift_object).collect()),
                Outcome::Unchanged => ("unchanged", Vec::new()),
                Outcome::Deleted => ("deleted", Vec::new()),
            };
            json!({
                "event": "finished", "resource": key.to_string(), "type": key.title(), "name": name,
                "id": id, "outcome": outcome, "changes": changes, "took_ms": took.as_millis(),
            })
        }
        Event::Passed { key, name } => json!({
            "event": "finished", "resource": key.to_string(), "type": key.title(), "name": name,
            "id": null, "outcome": "not wanted", "changes": [], "took_ms": 0,
        }),
        Event::Failed { key, name, took, why } => json!({
            "event": "failed", "resource": key.to_string(), "type": key.title(), "name": name,
            "took_ms": took.as_millis(), "why": why,
        }),
        Event::Note { key, text } => {
            json!({ "event": "note", "resource": key.to_string(), "text": text })
        }
    }
}

fn waiting(key: &Key, what: &str) -> Value {
    json!({ "event": "waiting", "resource": key.to_string(), "for": what })
}

/// A difference as JSON.
pub(crate) fn drift_object(drift: &Drift) -> Value {
    json!({
        "field": drift.field, "actual": drift.actual, "wanted": drift.wanted, "effect": drift.effect,
    })
}

fn emit(object: &Value) {
    let mut object = object.clone();
    object["schema"] = json!(SCHEMA);
    print(&object.to_string());
}

fn print(line: &str) {
    // A reader that went away is no reason to stop half-way.
    let _closed_pipe = writeln!(io::stderr(), "{line}");
}
