//! Reads declared keys out of a table and collects every problem on the way, so that a person
//! mends a file once and not once per mistake.

use std::cell::RefCell;

use serde_json::Value;

use super::{Problem, Table};

/// From here on two words are alike enough to suggest one for the other (Jaro–Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// Reads `table` with `body`, which declares every key by asking for it. Gives what `body` made of
/// it and all problems, unknown keys included; a result beside problems is only a partial one.
pub fn read<T>(table: &Table, body: impl FnOnce(&mut Section<'_>) -> T) -> (T, Vec<Problem>) {
    let log = RefCell::new(Log::default());
    let result = Section { path: String::new(), table: Some(table), known: Vec::new(), log: &log }
        .read(body);
    (result, log.into_inner().finish())
}

/// One table of settings; a missing one reads as empty.
pub struct Section<'a> {
    path: String,
    table: Option<&'a Table>,
    known: Vec<&'static str>,
    log: &'a RefCell<Log>,
}

#[derive(Default)]
struct Log {
    problems: Vec<Problem>,
    missing: Vec<Problem>,
    /// Every key asked for, dotted.
    declared: Vec<String>,
    unknown: Vec<Unknown>,
}

struct Unknown {
    path: String,
    key: String,
    value: Value,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The value of `key`, declared by this call.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        if !self.known.contains(&key) {
            self.known.push(key);
            let dotted = dotted(&self.path, key);
            self.log.borrow_mut().declared.push(dotted);
        }
        self.table?.get(key).filter(|value| !value.is_null())
    }

    /// `key` parsed; `None` when absent or, with a problem noted, unusable.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        parse(value).map_err(|reason| self.problem(key, reason)).ok()
    }

    /// `key` parsed; its absence is a problem that says what to write: `"the AWS region, such as …"`.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        what: &str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if self.value(key).is_none() {
            self.missing(key, what);
        }
        self.optional(key, parse)
    }

    /// `key` parsed, or `default` when absent or unusable.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// A list: each unusable item is a problem of its own; absent reads as empty.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.problem(key, format!("is {}; write a list, [\"…\", \"…\"]", kind(value)));
            return Vec::new();
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match parse(item) {
                Ok(item) => parsed.push(item),
                Err(reason) => {
                    let key = format!("{}[{index}]", dotted(&self.path, key));
                    self.note(Problem::with_value(key, item, reason));
                }
            }
        }
        parsed
    }

    /// The table under `key`, read by `body`; unknown keys in it are problems.
    pub fn section<T>(&mut self, key: &'static str, body: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let table = match self.value(key) {
            Some(Value::Object(table)) => Some(table),
            Some(value) => {
                let path = dotted(&self.path, key);
                let reason = format!("is {}; write [{path}] and its keys below it", kind(value));
                self.problem(key, reason);
                None
            }
            None => None,
        };
        Section { path: dotted(&self.path, key), table, known: Vec::new(), log: self.log }
            .read(body)
    }

    /// Notes that something is wrong with `key` and the value it has, if any.
    pub fn problem(&mut self, key: &'static str, reason: impl Into<String>) {
        let name = dotted(&self.path, key);
        let problem = match self.value(key) {
            Some(value) => Problem::with_value(name, value, reason),
            None => Problem::new(name, reason),
        };
        self.note(problem);
    }

    /// Notes that `key` is missing; left out of the result if an unknown key seems to be meant for it.
    pub fn missing(&mut self, key: &'static str, what: &str) {
        let problem = Problem::new(dotted(&self.path, key), format!("missing; {what}"));
        self.log.borrow_mut().missing.push(problem);
    }

    /// Whether `key` is there at all.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    fn note(&self, problem: Problem) {
        self.log.borrow_mut().problems.push(problem);
    }

    fn read<T>(mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let result = body(&mut self);
        let mut log = self.log.borrow_mut();
        for (key, value) in self.table.into_iter().flatten() {
            if !self.known.contains(&key.as_str()) {
                log.unknown.push(Unknown {
                    path: self.path.clone(),
                    key: key.clone(),
                    value: value.clone(),
                    known: self.known.clone(),
                });
            }
        }
        result
    }
}

impl Log {
    fn finish(mut self) -> Vec<Problem> {
        for unknown in std::mem::take(&mut self.unknown) {
            let (reason, meant) = self.suggest(&unknown);
            if let Some(meant) = meant {
                self.missing.retain(|problem| !lies_in(&problem.key, &meant));
            }
            self.problems.push(Problem::with_value(
                dotted(&unknown.path, &unknown.key),
                &unknown.value,
                reason,
            ));
        }
        self.missing.append(&mut self.problems);
        self.missing
    }

    /// What an unknown key was probably meant to be, in words and as a dotted key.
    fn suggest(&self, unknown: &Unknown) -> (String, Option<String>) {
        let what = if unknown.value.is_object() { "table" } else { "key" };
        if let Some(near) = nearest(&unknown.key, unknown.known.iter().copied()) {
            let meant = dotted(&unknown.path, near);
            return (format!("unknown {what}; did you mean `{near}`?"), Some(meant));
        }
        let last = |path: &'_ str| path.rsplit('.').next().map(plain_key);
        let elsewhere =
            self.declared.iter().find(|path| last(path) == Some(plain_key(&unknown.key)));
        if let Some((section, key)) = elsewhere.and_then(|path| path.rsplit_once('.')) {
            return (
                format!("unknown {what} here; `{key}` belongs under [{section}]"),
                elsewhere.cloned(),
            );
        }
        let known = unknown.known.join(", ");
        (format!("unknown {what}; known here: {known}"), None)
    }
}

/// The candidate most like `text`, if any is alike enough.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = plain_key(text);
    candidates
        .into_iter()
        .map(|candidate| (likeness(&text, &plain_key(candidate)), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// One slip of the finger makes a short word quite unlike itself by Jaro–Winkler alone.
fn likeness(a: &str, b: &str) -> f64 {
    let slip = a.len() > 2 && strsim::osa_distance(a, b) == 1;
    strsim::jaro_winkler(a, b).max(if slip { ALIKE } else { 0.0 })
}

fn plain_key(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}

/// Whether a dotted key is `path` or something in it.
fn lies_in(key: &str, path: &str) -> bool {
    key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value's type in the words of a person.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
