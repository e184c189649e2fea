//! Progress of a run: each event becomes a line, a live line or a JSON object.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Mark, SCHEMA, Style, elapsed, live::Live};
use crate::{
    aws::Call,
    engine::{Drift, Event, Key, Outcome},
};

// How often a long wait is repeated where nothing can be redrawn; `terraform apply` uses the same.
const HEARTBEAT: Duration = Duration::from_secs(10);

// Width of the column that names what a resource is.
const TITLE: usize = 20;

/// Where events go.
pub(super) struct Progress {
    json: bool,
    style: Style,
    live: Option<Live>,
    started: BTreeMap<Key, (String, Instant)>,
    heard: BTreeMap<Key, Instant>,
    watched: Option<Instant>,
}

impl Progress {
    pub(super) fn new(json: bool, live: bool, style: Style) -> Self {
        let live = live.then(Live::new);
        Self { json, style, live, started: BTreeMap::new(), heard: BTreeMap::new(), watched: None }
    }

    pub(super) fn say(&mut self, line: &str) {
        match (&self.live, self.json) {
            (_, true) if line.is_empty() => {}
            (_, true) => emit(&json!({ "event": "message", "text": line })),
            (Some(live), _) => live.println(line),
            (None, _) => print(line),
        }
    }

    pub(super) fn seen(&mut self, line: &str, event: &Value) {
        if self.json {
            emit(event);
        } else {
            self.say(line);
        }
    }

    pub(super) fn watching(&mut self, what: &str) {
        if let Some(live) = &mut self.live {
            live.watch(what);
            return;
        }
        let now = Instant::now();
        let last = *self.watched.get_or_insert(now);
        if now.duration_since(last) < HEARTBEAT {
            return;
        }
        self.watched = Some(now);
        if self.json {
            emit(&json!({ "event": "waiting", "for": what }));
        } else {
            self.say(&format!("            {}", self.style.dim(what)));
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        if self.json {
            emit(&json!({
                "event": "call", "service": call.service, "operation": call.operation,
                "status": call.status, "sent_ms": call.sent.as_millis(), "took_ms": call.took.as_millis(),
            }));
        } else {
            self.say(&self.style.dim(&format!("   aws {call}")));
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        if self.json {
            emit(&object(&event));
            return;
        }
        match event {
            Event::Started { key, name } => {
                if let Some(live) = &mut self.live {
                    live.start(&key, &label(&key, &name));
                }
                self.started.insert(key, (name, Instant::now()));
            }
            Event::Waiting { key, what } => self.wait(&key, &what),
            Event::Finished { key, name, id, outcome, took } => {
                self.end(&key);
                self.say(&finished(self.style, &label(&key, &name), &id, &outcome, took));
            }
            Event::Failed { key, name, took } => {
                self.end(&key);
                let mark = self.style.mark(Mark::Failed);
                self.say(&format!(" {mark} {}  failed  {}", label(&key, &name), elapsed(took)));
            }
            Event::Note { text, .. } => self.say(&format!("   {}", self.style.waiting(&text))),
        }
    }

    /// Takes the live lines away, so that something else can be printed.
    pub(super) fn clear(&mut self) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }

    fn wait(&mut self, key: &Key, what: &str) {
        let Some((name, since)) = self.started.get(key) else { return };
        if let Some(live) = &mut self.live {
            live.update(key, what);
            return;
        }
        let now = Instant::now();
        if self.heard.get(key).is_some_and(|last| now.duration_since(*last) < HEARTBEAT) {
            return;
        }
        self.heard.insert(key.clone(), now);
        let mark = self.style.mark(Mark::Waiting);
        let line = format!(" {mark} {}  {what}  {}", label(key, name), elapsed(since.elapsed()));
        self.say(&line);
    }

    fn end(&mut self, key: &Key) {
        self.started.remove(key);
        self.heard.remove(key);
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
            let fields: Vec<String> = drift.iter().map(|drift| change(style, drift)).collect();
            format!(" {} {label}  {}  {took}", style.mark(Mark::Changed), fields.join(", "))
        }
    }
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
        Event::Waiting { key, what } => {
            json!({ "event": "waiting", "resource": key.to_string(), "for": what })
        }
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
        Event::Failed { key, name, took } => json!({
            "event": "failed", "resource": key.to_string(), "type": key.title(), "name": name,
            "took_ms": took.as_millis(),
        }),
        Event::Note { key, text } => {
            json!({ "event": "note", "resource": key.to_string(), "text": text })
        }
    }
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
