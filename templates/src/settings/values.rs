//! Parsers for single values: each error says what is allowed.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde_json::Value;

use super::reader::{kind, nearest};

/// Text, given on to `parse`.
pub fn text<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&Value) -> Result<T, String> {
    move |value| match value {
        Value::String(text) => parse(text),
        other => Err(format!("is {}; write text in quotes", kind(other))),
    }
}

/// `true` or `false`.
pub fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        other => Err(format!("is {}; write true or false, without quotes", kind(other))),
    }
}

/// A whole number within `range`; `unit` is named in the error.
pub fn integer<N: TryFrom<u64>>(
    range: RangeInclusive<u64>,
    unit: &'static str,
) -> impl Fn(&Value) -> Result<N, String> {
    move |value| {
        let allowed = format!("{} to {} {unit}", range.start(), range.end());
        if !value.is_number() {
            return Err(format!("is {}; write a number without quotes, {allowed}", kind(value)));
        }
        if value.is_f64() {
            return Err(format!("is not a whole number; allowed are {allowed}"));
        }
        value
            .as_u64()
            .filter(|number| range.contains(number))
            .and_then(|number| N::try_from(number).ok())
            .ok_or_else(|| format!("is out of range; allowed are {allowed}"))
    }
}

/// A time of at most `limit`: text as a person writes it (`"30m"`, `"1h 30m"`) or whole seconds.
pub fn duration(limit: Duration) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        let length = match value {
            Value::String(text) => length(text)?,
            other => other.as_u64().map(Duration::from_secs).ok_or_else(no_time)?,
        };
        if length > limit {
            return Err(format!("is too long; at most {}", written(limit)));
        }
        if length.subsec_nanos() != 0 {
            return Err("must be whole seconds".into());
        }
        Ok(length)
    }
}

/// A time as a person writes it. `30M` is refused: it may mean minutes or months.
pub fn length(text: &str) -> Result<Duration, String> {
    let ambiguous = text.split(|c: char| !c.is_alphabetic()).any(|unit| unit == "M");
    if ambiguous {
        return Err(
            "has the unit M, which may be minutes or months; write \"30m\" for minutes".into()
        );
    }
    humantime::parse_duration(text).map_err(|_| no_time())
}

fn no_time() -> String {
    "is not a duration; write \"90s\", \"30m\" or \"1h\"".to_owned()
}

/// In the largest unit that has no remainder: what is a year for people has no name as a number of days.
fn written(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| seconds.is_multiple_of(*size)).unwrap_or((1, "s"));
    format!("{}{unit}", seconds / size)
}

/// One word of a fixed set, with the nearest one when it is none of them.
pub fn one_of<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        text(|word| {
            if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
                return Ok(*choice);
            }
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let guess = nearest(word, choices.iter().map(|(name, _)| *name))
                .map(|name| format!("; did you mean \"{name}\"?"))
                .unwrap_or_default();
            Err(format!("must be one of {}{guess}", names.join(", ")))
        })(value)
    }
}

/// An IPv4 range whose address is its first one; a single address stands for itself alone.
pub fn ipv4_range(text: &str) -> Result<Ipv4Net, String> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Ipv4Net::from(address));
    }
    let range: Ipv4Net = text.parse().map_err(|_| {
        if text.contains(':') {
            "is IPv6; the network this makes is IPv4 only".to_owned()
        } else {
            "is not an IPv4 range; write address/bits, such as \"10.20.0.0/16\"".to_owned()
        }
    })?;
    if range.addr() == range.network() {
        Ok(range)
    } else {
        Err(format!("is not the beginning of its range; write \"{}\"", range.trunc()))
    }
}

/// Whether text is a key or certificate itself where its path belongs: PEM, or only the Base64 of it. DER
/// begins with a SEQUENCE, which is `M` in Base64.
pub fn is_pasted_key(text: &str) -> bool {
    const LEAST: usize = 64; // the Base64 of an Ed25519 key
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\\\n".contains(c);
    let bare = text.starts_with('M') && text.len() >= LEAST && text.chars().all(base64);
    text.contains("-----BEGIN") || bare
}
