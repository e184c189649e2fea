//! How two texts differ, shown short: a document is no reading for a person, and who changed it cannot be
//! told. What it says and what it should say can.

use crate::engine::Found;

/// The first line in which two texts differ, cut to a readable length around the difference.
pub(super) fn difference(actual: &str, wanted: &str) -> (String, String) {
    const BEFORE: usize = 24;
    const SHOWN: usize = 64;
    let same = actual.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a);
    let before: Vec<char> = same.collect();
    let line = before.iter().rev().take_while(|c| **c != '\n').count();
    let start = before.len() - line.min(BEFORE);
    let shown = |text: &str| -> String {
        let line: String =
            text.chars().skip(start).take_while(|c| *c != '\n').take(SHOWN).collect();
        if line.is_empty() && actual != wanted { "no such line".to_owned() } else { line }
    };
    (shown(actual), shown(wanted))
}

/// Compares documents by what they say at the first place where they differ.
pub(super) fn compare_document(found: &mut Found, field: &'static str, actual: &str, wanted: &str) {
    let (actual, wanted) = difference(actual, wanted);
    found.compare(field, actual, wanted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_short() {
        let boot = |drain: u32| {
            format!(
                "#!/bin/sh\nconfig='{{\"deployment\":\"jitsi\",\"drain\":{drain},\"jitsi\":{{}}}}'\n"
            )
        };
        let (old, new) = difference(&boot(1800), &boot(600));
        assert_eq!(old, r#"oyment":"jitsi","drain":1800,"jitsi":{}}'"#);
        assert_eq!(new, r#"oyment":"jitsi","drain":600,"jitsi":{}}'"#);
        assert_eq!(difference("", "a\nb"), ("no such line".into(), "a".into()));
        let (old, new) = difference(&boot(1), &boot(1));
        assert_eq!(old, new);
    }
}
