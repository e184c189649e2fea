//! From text to a table of values, with every syntax error at its place.

use serde_json::Value;
use toml::de::DeTable;

use super::Problem;

/// Settings as read, before anything is known about them.
pub type Table = serde_json::Map<String, Value>;

/// Parses TOML; each syntax error is a problem whose key is its line and column. Nothing of the line is
/// repeated: a key or a password pasted without its quotes would be.
pub fn toml_table(text: &str) -> Result<Table, Vec<Problem>> {
    let (_, mut errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        return Err(first_of_each_cause(text, &errors));
    }
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| vec![syntax_problem(text, &error)])?;
    let mut problems = Vec::new();
    for (key, value) in &table {
        no_numbers(key, value, &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(table.into_iter().map(|(key, value)| (key, plain(value))).collect())
}

/// What TOML takes for a number and is none.
fn no_numbers(path: &str, value: &toml::Value, problems: &mut Vec<Problem>) {
    match value {
        toml::Value::Float(number) if !number.is_finite() => {
            problems.push(Problem::new(path, format!("{number} is not a number that can be set")));
        }
        toml::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                no_numbers(&format!("{path}[{index}]"), item, problems);
            }
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                no_numbers(&format!("{path}.{key}"), value, problems);
            }
        }
        _ => {}
    }
}

/// Parses a JSON object.
pub fn json_table(text: &str) -> Result<Table, Vec<Problem>> {
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        vec![Problem::new(place, format!("no JSON object: {error}"))]
    })
}

/// One problem for each statement that cannot be read: what stands in the same line behind its first
/// mistake, or in following lines that begin no statement of their own, follows from that one.
fn first_of_each_cause(text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let lines: Vec<&str> = text.lines().collect();
    let mut last: Option<usize> = None;
    let mut problems = Vec::new();
    for error in errors {
        let line = error.span().map_or(0, |span| place(text, span.start).0);
        let begun = |from: usize| {
            let following = lines.get(from..line.min(lines.len())).unwrap_or_default();
            following.iter().any(|line| begins_statement(line))
        };
        if last.is_none_or(begun) {
            problems.push(syntax_problem(text, error));
        }
        last = Some(line);
    }
    problems
}

/// Whether a line is one of its own, by its beginning: blank, a comment, a table, or a key and its value.
/// The last line of Base64 may end in `=`, but has nothing behind it.
fn begins_statement(line: &str) -> bool {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', '[']) {
        return true;
    }
    let of_key = |c: char| c.is_ascii_alphanumeric() || "_-.\"' ".contains(c);
    line.split_once('=').is_some_and(|(key, value)| {
        !key.is_empty() && key.chars().all(of_key) && !value.trim_start_matches('=').is_empty()
    })
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let reason = format!("not valid TOML: {}", error.message().replace('\n', ", "));
    let Some(span) = error.span() else { return Problem::new("the file", reason) };
    let (line, column) = place(text, span.start);
    Problem::new(format!("line {line}, column {column}"), reason)
}

/// Line and column, both counted from 1, of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// TOML's values as JSON's; dates, which no setting is, become their text.
fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| number.to_string().into(), Value::from),
        toml::Value::Boolean(flag) => Value::from(flag),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(plain).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, plain(value))).collect()
        }
    }
}
