//! How two texts differ, in the values that do: a document is no reading for a person, and who changed it cannot
//! be told. What it says and what it should say can.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::Found;

/// How many values are told one by one.
const TOLD: usize = 4;
/// Longer values are told by the words that differ, in characters.
const WHOLE: usize = 60;
/// How many words stand around those that differ.
const AROUND: usize = 2;
/// Where a document says more than the other.
const ABSENT: &str = "nothing";

/// Compares documents by the values in which they differ.
pub(super) fn compare_document(found: &mut Found, field: &'static str, actual: &str, wanted: &str) {
    let (actual, wanted) = difference(actual, wanted);
    found.compare(field, actual, wanted);
}

/// What each of two texts says where they differ; the same twice when they do not. JSON is compared value by
/// value, also within a line, all else line by line.
pub(super) fn difference(actual: &str, wanted: &str) -> (String, String) {
    let places = places(actual, wanted);
    let more = places.len().saturating_sub(TOLD);
    let told = |side: fn(&Place) -> &str| {
        let mut told: Vec<String> =
            places.iter().take(TOLD).map(|place| place.told(side(place))).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told.join(", ")
    };
    let (one, other) = (told(|place| &place.actual), told(|place| &place.wanted));
    if one == other && actual != wanted {
        let sized = |text: &str| format!("{} characters, otherwise written", text.chars().count());
        return (sized(actual), format!("{} characters", wanted.chars().count()));
    }
    (one, other)
}

/// One value that differs.
struct Place {
    name: String,
    actual: String,
    wanted: String,
}

impl Place {
    fn new(name: &str, actual: Option<&str>, wanted: Option<&str>) -> Self {
        let (actual, wanted) = words(actual.unwrap_or(ABSENT), wanted.unwrap_or(ABSENT));
        Self { name: name.to_owned(), actual, wanted }
    }

    fn told(&self, value: &str) -> String {
        format!("{} {value}", self.name).trim().to_owned()
    }
}

fn places(actual: &str, wanted: &str) -> Vec<Place> {
    if actual == wanted {
        return Vec::new();
    }
    if let (Some((around, one)), Some((around_other, other))) = (values(actual), values(wanted))
        && around == around_other
    {
        let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
        let differ = names.filter(|name| one.get(*name) != other.get(*name));
        let value = |of: &BTreeMap<String, String>, name: &str| of.get(name).cloned();
        return differ
            .map(|name| {
                let (one, other) = (value(&one, name), value(&other, name));
                Place::new(name, one.as_deref(), other.as_deref())
            })
            .collect();
    }
    let (one, other): (Vec<&str>, Vec<&str>) = (actual.lines().collect(), wanted.lines().collect());
    if one.len() < 2 && other.len() < 2 {
        let said = |line: Option<&&'_ str>| {
            line.copied().filter(|line| !line.is_empty()).map(str::to_owned)
        };
        let (one, other) = (said(one.first()), said(other.first()));
        return vec![Place::new("", one.as_deref(), other.as_deref())];
    }
    let (one, other) = between(&one, &other);
    let pair = |index: usize| {
        places(
            one.get(index).copied().unwrap_or_default(),
            other.get(index).copied().unwrap_or_default(),
        )
    };
    (0..one.len().max(other.len())).flat_map(pair).collect()
}

/// Without what both begin with, and what both end with.
fn between<'a, T: PartialEq>(mut one: &'a [T], mut other: &'a [T]) -> (&'a [T], &'a [T]) {
    while let ([a, one_rest @ ..], [b, other_rest @ ..]) = (one, other)
        && a == b
    {
        (one, other) = (one_rest, other_rest);
    }
    while let ([one_rest @ .., a], [other_rest @ .., b]) = (one, other)
        && a == b
    {
        (one, other) = (one_rest, other_rest);
    }
    (one, other)
}

/// The values of a JSON object by their paths, `jitsi.authentication.mode`; also of one that a line assigns.
/// With what stands around it.
fn values(text: &str) -> Option<([&str; 2], BTreeMap<String, String>)> {
    let (start, end) = (text.find('{')?, text.rfind('}')? + 1);
    let around = [&text[..start], &text[end..]];
    if around.iter().any(|text| text.trim().contains('\n')) {
        return None;
    }
    let document: Value = serde_json::from_str(text.get(start..end)?).ok()?;
    let mut values = BTreeMap::new();
    flatten(String::new(), &document, &mut values);
    Some((around, values))
}

fn flatten(path: String, value: &Value, values: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(format!("{path}{dot}{name}"), value, values);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(format!("{path}[{index}]"), value, values);
            }
        }
        Value::String(text) => drop(values.insert(path, text.clone())),
        other => drop(values.insert(path, other.to_string())),
    }
}

/// Two values on a line each: whole where they are short, else the words that differ and some around them.
fn words(one: &str, other: &str) -> (String, String) {
    let split = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (split(one), split(other));
    let length =
        |words: &[String]| words.iter().map(|word| word.chars().count() + 1).sum::<usize>();
    if length(&one) <= WHOLE && length(&other) <= WHOLE {
        return (one.join(" "), other.join(" "));
    }
    let (differs, _) = between(&one, &other);
    let before = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let after = one.len() - before - differs.len();
    let shown = |words: &[String]| {
        let (start, end) =
            (before.saturating_sub(AROUND), words.len() - after.saturating_sub(AROUND));
        let mark = |cut: bool| if cut { "…" } else { "" };
        let (open, close) = (mark(start > 0), mark(end < words.len()));
        format!("{open}{}{close}", words[start..end].join(" "))
    };
    (shown(&one), shown(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(settings: &str) -> String {
        format!("#!/usr/bin/python3\nSHA256 = \"5e\"\nCONFIG = '{settings}'\nput(CONFIG)\n")
    }

    #[test]
    fn settings_are_told_by_their_names_and_whole() {
        let settings = |drain: u32, mode: &str| {
            boot(&format!(
                r#"{{"domain":"meet.example.org","drain":{drain},"jitsi":{{"authentication":{{"mode":"{mode}"}}}}}}"#
            ))
        };
        let (old, new) = difference(&settings(1800, "open"), &settings(600, "jwt"));
        assert_eq!(old, "drain 1800, jitsi.authentication.mode open");
        assert_eq!(new, "drain 600, jitsi.authentication.mode jwt");
        let (old, new) =
            difference(&boot(r#"{"drain":1}"#), &boot(r#"{"drain":1,"watch":{"a":[1,2]}}"#));
        assert_eq!(
            (old.as_str(), new.as_str()),
            ("watch.a[0] nothing, watch.a[1] nothing", "watch.a[0] 1, watch.a[1] 2")
        );
        let same = settings(1, "open");
        assert_eq!(difference(&same, &same), (String::new(), String::new()));
    }

    #[test]
    fn other_lines_are_told_whole() {
        assert_eq!(difference("", "a\nb"), ("nothing, nothing".into(), "a, b".into()));
        let (old, new) = difference(&boot("{}"), &boot("{}").replace("5e", "7f"));
        assert_eq!((old.as_str(), new.as_str()), ("SHA256 = \"5e\"", "SHA256 = \"7f\""));
        let many =
            |word: &str| (0..9).map(|line| format!("{word} {line}\n")).collect::<Vec<_>>().concat();
        let (old, _) = difference(&many("old"), &many("new"));
        assert_eq!(old, "old 0, old 1, old 2, old 3, and 5 more");
    }

    #[test]
    fn of_long_values_the_words_that_differ_are_told_and_no_word_is_cut() {
        let mail = |domain: &str| {
            format!(
                "The Auto Scaling group has launched an instance for https://{domain} in the zone that its launch template names.\nto arn:aws:sns:1"
            )
        };
        let (old, new) = difference(&mail("jitsi.example.org"), &mail("meet.example.org"));
        assert_eq!(old, "…instance for https://jitsi.example.org in the…");
        assert_eq!(new, "…instance for https://meet.example.org in the…");
    }

    #[test]
    fn what_is_only_written_otherwise_differs_too() {
        let (old, new) = difference(r#"{"a": 1}"#, r#"{"a":1}"#);
        assert_ne!(old, new);
    }
}
