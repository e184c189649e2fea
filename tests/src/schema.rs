//! What `--json` prints, held against the published schema, more strictly than the schema itself: what it
//! does not describe is a fault, so that nothing is printed that nobody can look up. JSON Schema's words
//! that `docs/json.schema.json` uses are understood; any other ends the test.

use std::sync::OnceLock;

use serde_json::Value;

/// Where the schema is published.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.schema.json");

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = std::fs::read_to_string(PATH).expect("docs/json.schema.json");
        serde_json::from_str(&text).expect("docs/json.schema.json is JSON")
    })
}

/// What is wrong with a document of stdout; nothing when it is as published.
pub fn document(value: &Value) -> Vec<String> {
    faults(schema(), value, "document")
}

/// What is wrong with an event, a line of stderr.
pub fn event(value: &Value) -> Vec<String> {
    faults(&schema()["$defs"]["event"], value, "event")
}

/// What is wrong with all that a run with `--json` printed: exactly one document, an error if and only if
/// the exit code says so, and an event on each line.
pub fn run(code: i32, stdout: &str, stderr: &str) -> Vec<String> {
    let mut faults = Vec::new();
    match serde_json::from_str::<Value>(stdout) {
        Err(error) => faults.push(format!("stdout is not one document: {error}")),
        Ok(told) => {
            faults.extend(document(&told));
            let failed = told["kind"] == "error";
            if failed && told["result"]["exit_code"] != code {
                faults
                    .push(format!("the exit code is {code}, not {}", told["result"]["exit_code"]));
            }
            // Something in the way is what a plan is for.
            let in_the_way = told["kind"] == "plan" && told["result"]["conflicts"] != 0;
            if failed != (matches!(code, 1 | 2 | 130) && !in_the_way) {
                faults.push(format!("exit code {code} with a document of kind {}", told["kind"]));
            }
        }
    }
    for line in stderr.lines() {
        match serde_json::from_str::<Value>(line) {
            Err(error) => faults.push(format!("stderr: `{line}` is no event: {error}")),
            Ok(told) => faults.extend(event(&told)),
        }
    }
    faults
}

fn faults(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut known = Vec::new();
    let mut faults = Vec::new();
    check(schema, value, at, &mut known, &mut faults);
    if let (Some(object), false) = (value.as_object(), known.is_empty()) {
        let unknown = object.keys().filter(|key| !known.contains(key));
        faults.extend(unknown.map(|key| {
            format!("{at}.{key} is not described: add it to docs/json.schema.json and docs/json.md")
        }));
    }
    faults
}

/// Notes what is wrong in `faults`, and in `known` the properties that `schema` describes.
fn check(
    schema: &Value,
    value: &Value,
    at: &str,
    known: &mut Vec<String>,
    faults: &mut Vec<String>,
) {
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "$ref" => check(resolve(rule), value, at, known, faults),
            "const" if rule != value => faults.push(format!("{at} is {value}, not {rule}")),
            "enum" if !list(rule).contains(value) => {
                faults.push(format!("{at} is {value}, not one of {rule}"));
            }
            "$schema" | "title" | "description" | "$defs" | "const" | "enum" => {}
            "type" => {
                let one = std::slice::from_ref(rule);
                let kinds = rule.as_array().map_or(one, Vec::as_slice);
                if !kinds.iter().any(|kind| is(value, kind.as_str().unwrap_or_default())) {
                    faults.push(format!("{at} is {value}, which is no {rule}"));
                }
            }
            "required" => {
                let missing = list(rule).iter().filter_map(Value::as_str);
                let missing = missing.filter(|key| value.get(key).is_none());
                faults.extend(missing.map(|key| format!("{at}.{key} is missing")));
            }
            "properties" => {
                for (key, rule) in rule.as_object().expect("properties") {
                    known.push(key.clone());
                    let Some(value) = value.get(key) else { continue };
                    // Where only the kind of a thing is told, what is in it is described elsewhere.
                    let told = ["properties", "$ref", "oneOf"].iter();
                    if told.into_iter().any(|word| rule.get(word).is_some()) || !value.is_object() {
                        faults.extend(self::faults(rule, value, &format!("{at}.{key}")));
                    } else {
                        check(rule, value, &format!("{at}.{key}"), &mut Vec::new(), faults);
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults.extend(self::faults(rule, item, &format!("{at}[{index}]")));
                }
            }
            "oneOf" => one_of(list(rule), value, at, known, faults),
            other => panic!("docs/json.schema.json: `{other}` is not understood here"),
        }
    }
}

/// Exactly one of the alternatives must do; else those faults are told that are the fewest.
fn one_of(
    alternatives: &[Value],
    value: &Value,
    at: &str,
    known: &mut Vec<String>,
    faults: &mut Vec<String>,
) {
    let mut results: Vec<(Vec<String>, Vec<String>)> = alternatives
        .iter()
        .map(|alternative| {
            let (mut known, mut faults) = (Vec::new(), Vec::new());
            check(alternative, value, at, &mut known, &mut faults);
            (faults, known)
        })
        .collect();
    results.sort_by_key(|(faults, _)| faults.len());
    if results.iter().filter(|(faults, _)| faults.is_empty()).count() > 1 {
        faults.push(format!("{at} is more than one thing: {value}"));
    }
    if let Some((least, described)) = results.into_iter().next() {
        faults.extend(least);
        known.extend(described);
    }
}

fn resolve(reference: &Value) -> &'static Value {
    let name = reference.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
    let found = name.and_then(|name| schema()["$defs"].get(name));
    found.unwrap_or_else(|| panic!("docs/json.schema.json: no {reference}"))
}

fn list(rule: &Value) -> &[Value] {
    rule.as_array().expect("a list")
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("docs/json.schema.json: type {other} is not understood here"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn init(result: &Value) -> Vec<String> {
        document(&json!({ "schema": 1, "kind": "init", "result": result }))
    }

    #[test]
    fn what_is_not_published_is_a_fault() {
        assert_eq!(init(&json!({ "path": "jitsi.toml" })), [""; 0]);
        assert_eq!(init(&json!({})), ["document.result.path is missing"]);
        assert_eq!(
            init(&json!({ "path": 1 })),
            ["document.result.path is 1, which is no \"string\""]
        );
        let told = init(&json!({ "path": "x", "size": 3 }));
        assert!(told[0].starts_with("document.result.size is not described"), "{told:?}");
        let unknown = document(&json!({ "schema": 1, "kind": "gossip", "result": {} }));
        assert!(!unknown.is_empty());
    }

    #[test]
    fn a_run_prints_one_document_and_events() {
        let document =
            json!({ "schema": 1, "kind": "init", "result": { "path": "x" } }).to_string();
        let event = json!({ "schema": 1, "event": "message", "text": "hello" }).to_string();
        assert_eq!(run(0, &document, &event), [""; 0]);
        assert_eq!(run(0, &format!("{document}{document}"), "").len(), 1);
        assert_eq!(run(1, &document, "").len(), 1, "a failure is an error");
        assert_eq!(run(0, &document, "hello").len(), 1, "no text beside events");
    }
}
