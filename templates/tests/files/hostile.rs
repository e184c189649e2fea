//! Whatever a string holds, the files rendered from it keep their structure: each is read by a real
//! parser and must be what the harmless file is, with the one string in the place of the other.

use crate::fixture::{Fixture, text};
use crate::parse;
use jitsi_templates::settings::Authentication;
use jitsi_templates::{Error, Secret};
use proptest::prelude::*;
use serde_json::Value;

/// Stands for the hostile value in the harmless file.
const HARMLESS: &str = "HarmlessValue";

/// Pieces that end strings, comments, lines and blocks in one language or another.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "`",
    "\\",
    "\n",
    "\r\n",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "\u{0b}",
    "\t",
    " ",
    "]]",
    "]=]",
    "--",
    "--[[",
    "${",
    "${?x}",
    "$host",
    "$(id)",
    "{{",
    "}}",
    "{%",
    "#",
    "//",
    "/*",
    "*/",
    "<!--#",
    "</script>",
    "\u{0}",
    "\u{7f}",
    "\\\"",
    "\\u0022",
    "%s",
    ";",
    "{",
    "}",
    "\u{202e}",
    "\u{feff}",
    "ä",
    "😀",
    "\"\"\"",
    "include",
    "EOF",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z0-9]{1,4}",
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

/// `value` with the harmless string replaced in every text.
fn with(value: &Value, text: &str) -> Value {
    match value {
        Value::String(s) => Value::String(s.replace(HARMLESS, text)),
        Value::Array(list) => list.iter().map(|value| with(value, text)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), with(value, text))).collect()
        }
        other => other.clone(),
    }
}

/// A site whose every free string is `text`.
fn fixture(text: &str) -> Fixture {
    let mut fixture = Fixture::jwt();
    fixture.settings.jitsi.authentication =
        Authentication::Jwt { app_id: text.into(), secret_parameter: text.into() };
    fixture.settings.deployment = text.into();
    fixture.settings.auto_scaling_group = text.into();
    fixture.settings.launch_hook = text.into();
    fixture.settings.terminate_hook = text.into();
    for repository in
        [&mut fixture.settings.jitsi.apt.jitsi, &mut fixture.settings.jitsi.apt.prosody]
    {
        repository.url = text.into();
        repository.suite = text.into();
    }
    fixture.discovered.instance_id = text.into();
    fixture.versions = ["jitsi-meet", "prosody"].map(|name| (name.into(), text.into())).into();
    fixture.secrets.focus = Secret::new(text);
    fixture.secrets.jvb = Secret::new(text);
    fixture.secrets.probe = Secret::new(text);
    fixture.secrets.token = Some(Secret::new(text));
    fixture
}

type Parse = fn(&str) -> Value;

/// Whether a format without any quoting can hold `text`.
fn is_one_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
        && text.trim() == text
        && !text.is_empty()
}

proptest! {
    #[test]
    fn configurations_keep_their_structure(value in hostile()) {
        let files = match fixture(&value).site() {
            Ok(files) => files,
            Err(Error::Template { reason, .. }) => {
                prop_assert!(value.contains('\0'), "refused without a NUL: {reason}");
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        prop_assert!(!value.contains('\0'));
        let harmless = fixture(HARMLESS).site().unwrap();
        prop_assert_eq!(files.len(), harmless.len());

        let read: [(&str, Parse); 5] = [
            ("/etc/prosody/prosody.cfg.lua", parse::prosody),
            ("/conf.avail/meet.example.org.cfg.lua", parse::prosody),
            ("/jicofo.conf", parse::hocon),
            ("/jvb.conf", parse::hocon),
            ("-config.js", parse::config_js),
        ];
        for (path, parse) in read {
            let expected = with(&parse(text(&harmless, path)), &value);
            prop_assert_eq!(parse(text(&files, path)), expected, "{}", path);
        }
    }

    #[test]
    fn package_files_keep_their_lines(value in hostile()) {
        let files = match fixture(&value).install() {
            Ok(files) => files,
            Err(Error::Template { .. }) => {
                prop_assert!(!is_one_line(&value) || value.ends_with('\\'), "refused: {value:?}");
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        prop_assert!(is_one_line(&value), "let through: {value:?}");
        for (file, harmless) in files.iter().zip(fixture(HARMLESS).install().unwrap()) {
            // A suite that ends in `/` is a flat repository's, which has no components.
            let expected = harmless.contents.replace(HARMLESS, &value);
            let flat = value.ends_with('/') && file.path.extension().is_some_and(|e| e == "sources");
            let expected = if flat { expected.replace("Components: main\n", "") } else { expected };
            prop_assert_eq!(&file.contents, &expected, "{}", file.path.display());
        }
    }
}

#[test]
fn every_field_refuses_nul() {
    type Set = fn(&mut Fixture);
    let fields: [Set; 4] = [
        |f| f.discovered.instance_id = "\0".into(),
        |f| f.secrets.focus = Secret::new("a\0b"),
        |f| f.secrets.jvb = Secret::new("a\0b"),
        |f| f.secrets.token = Some(Secret::new("a\0b")),
    ];
    for set in fields {
        let mut fixture = Fixture::jwt();
        set(&mut fixture);
        let error = fixture.site().unwrap_err();
        assert!(error.to_string().contains("NUL"), "{error}");
    }
}

#[test]
fn errors_never_show_a_value() {
    let error = fixture("geheim\0geheim").site().unwrap_err().to_string();
    assert!(!error.contains("geheim"), "{error}");
    let error = fixture("geheim\ngeheim").install().unwrap_err().to_string();
    assert!(!error.contains("geheim"), "{error}");
}
