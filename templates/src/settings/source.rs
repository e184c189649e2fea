//! From text to a table of values, with every syntax error at its place.

use serde_json::Value;
use toml::de::DeTable;

use super::Problem;

/// Settings as read, before anything is known about them.
pub type Table = serde_json::Map<String, Value>;

/// Parses TOML; each syntax error is a problem whose key is its line and column.
pub fn toml_table(text: &str) -> Result<Table, Vec<Problem>> {
    let (_, mut errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        return Err(errors.iter().map(|error| syntax_problem(text, error)).collect());
    }
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| vec![syntax_problem(text, &error)])?;
    Ok(table.into_iter().map(|(key, value)| (key, plain(value))).collect())
}

/// Parses a JSON object.
pub fn json_table(text: &str) -> Result<Table, Vec<Problem>> {
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        vec![Problem::new(place, format!("no JSON object: {error}"))]
    })
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let reason = format!("no valid TOML: {}", error.message().replace('\n', ", "));
    let Some(span) = error.span() else { return Problem::new("the file", reason) };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let written = text.lines().nth(line - 1).unwrap_or_default().trim();
    let place = format!("line {line}, column {column}");
    // Neither a key pasted by mistake nor what a terminal would obey is repeated.
    let unfit = written.contains("PRIVATE KEY") || written.chars().any(char::is_control);
    if written.is_empty() || unfit {
        Problem::new(place, reason)
    } else {
        Problem::new(place, format!("{reason}, in `{written}`"))
    }
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
