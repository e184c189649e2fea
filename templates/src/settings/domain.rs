//! A public host name, checked once and then trusted.

use std::fmt;
use std::net::IpAddr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::Serialize;

/// A fully qualified host name in lower-case ASCII (punycode): never an address, never `localhost`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Domain(String);

impl Domain {
    /// Checks and normalises `text`; the error says what is allowed.
    ///
    /// International names become punycode (UTS #46, strict); one trailing dot is dropped. Labels
    /// hold at most 63 letters, digits and hyphens, the name 253 characters (RFC 1123 §2.1).
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('.').unwrap_or(text);
        refuse_what_is_no_name(name)?;
        let ascii = Uts46::new()
            .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Ignore)
            .map_err(|_| why_not(name))?;
        refuse_bad_labels(&ascii)?;
        Ok(Self(ascii.into_owned()))
    }

    /// The name in ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as people read it: `bücher.example` for `xn--bcher-kva.example`.
    pub fn to_unicode(&self) -> String {
        idna::domain_to_unicode(&self.0).0
    }
}

/// Names what was typed instead of a host name: an address from a browser, an IP address, a pattern.
fn refuse_what_is_no_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(
            "is empty; write the host name people type, such as \"meet.example.org\"".into()
        );
    }
    if name.chars().any(char::is_whitespace) {
        return Err("holds a space; write the host name alone, such as \"meet.example.org\"".into());
    }
    if let Some((scheme, rest)) = name.split_once("://") {
        let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
        return Err(format!("is an address; leave out {scheme}:// and write \"{host}\""));
    }
    if name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err("is an IP address; a certificate and people need a host name".into());
    }
    if let Some((host, path)) = name.split_once('/') {
        return Err(format!("holds a path; leave out /{path} and write \"{host}\""));
    }
    if let Some((host, port)) = name.split_once(':') {
        return Err(format!(
            "holds a port; leave out :{port} and write \"{host}\": the site is always on 443"
        ));
    }
    if name.contains('@') {
        return Err("is an e-mail address; write the host name alone".into());
    }
    if let Some(parent) = name.strip_prefix("*.") {
        return Err(format!("is a pattern; write one name, such as \"meet.{parent}\""));
    }
    if name.contains('_') {
        return Err("holds an underscore; a host name has letters, digits, hyphens and dots".into());
    }
    if name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost") {
        return Err("names the machine itself; write a name that is public in DNS".into());
    }
    Ok(())
}

/// Why UTS #46 refused a name: its errors do not say.
fn why_not(name: &str) -> String {
    let strange: Vec<char> = name
        .chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.'))
        .collect();
    match strange.first() {
        Some(c) => {
            format!("holds `{c}`; a host name has letters, digits, hyphens and dots")
        }
        None => match refuse_bad_labels(name) {
            Err(reason) => reason,
            Ok(()) => {
                "is not a valid international name (IDNA); write it in punycode, xn--…".into()
            }
        },
    }
}

/// The rules of DNS for each label and for the whole.
fn refuse_bad_labels(name: &str) -> Result<(), String> {
    if name.len() > 253 {
        return Err(format!("has {} characters; DNS allows 253", name.len()));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("has an empty part between two dots, or begins with one".into());
        }
        if label.len() > 63 {
            return Err(format!("has a part of {} characters; DNS allows 63", label.len()));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(format!("has a part that begins or ends with a hyphen: \"{label}\""));
        }
    }
    let Some((_, last)) = name.rsplit_once('.') else {
        return Err(format!(
            "is one word; write the whole name with its domain, such as \"{name}.example.org\""
        ));
    };
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("ends in a number; no top-level domain is one".into());
    }
    Ok(())
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_normalised() {
        for (text, name) in [
            ("meet.example.org", "meet.example.org"),
            ("Meet.Example.ORG.", "meet.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("会議。例え.jp", "xn--6oqw48l.xn--r8jz45g.jp"),
            ("a-b.c1.xn--p1ai", "a-b.c1.xn--p1ai"),
            ("1.example.org", "1.example.org"),
        ] {
            assert_eq!(Domain::parse(text).map(String::from), Ok(name.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_international_name_reads_back() {
        assert_eq!(Domain::parse("bücher.example").unwrap().to_unicode(), "bücher.example");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_way_out() {
        for (text, part) in [
            ("", "is empty"),
            (".", "is empty"),
            ("https://meet.example.org/room", "write \"meet.example.org\""),
            ("meet.example.org/room", "leave out /room"),
            ("meet.example.org:8443", "leave out :8443"),
            ("203.0.113.7", "IP address"),
            ("[2001:db8::1]", "IP address"),
            ("localhost", "machine itself"),
            ("a.LocalHost.", "machine itself"),
            ("*.example.org", "write one name"),
            ("my_meet.example.org", "underscore"),
            ("meet example.org", "space"),
            ("me@example.org", "e-mail"),
            ("meet", "meet.example.org"),
            ("meet..org", "empty part"),
            (".example.org", "empty part"),
            ("-meet.example.org", "hyphen"),
            ("meet-.example.org", "hyphen"),
            ("meet.example.42", "number"),
            ("meet$.example.org", "`$`"),
            ("xn--a.example.org", "IDNA"),
            (&format!("{}.org", "a".repeat(64)), "64 characters"),
            (&format!("{}org", "abcdefghi.".repeat(26)), "263 characters"),
        ] {
            let reason = Domain::parse(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_a_fixed_point(text in "\\PC{0,40}|[a-zé.-]{1,30}") {
            if let Ok(domain) = Domain::parse(&text) {
                prop_assert!(domain.as_str().is_ascii());
                prop_assert_eq!(Domain::parse(domain.as_str()), Ok(domain));
            }
        }
    }
}
