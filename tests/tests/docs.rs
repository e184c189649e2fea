//! The documents say what the program does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fmt::Write as _, path::Path};

use jitsi_aws::{
    catalog::catalog,
    config::{Files, Overrides, load},
    engine::{Entry, Key, Stage},
    exit::Exit,
};

const ARCHITECTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
const CONFIG: &str = "[deployment]\nname = \"jitsi\"\nregion = \"eu-central-1\"\n[site]\ndomain = \"meet.example.org\"\n\
    [certificate]\nmode = \"request\"\n[monitoring]\nemails = [\"ops@example.org\"]\n";

#[test]
fn the_graph_in_the_docs_is_the_catalogs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CONFIG).unwrap();
    let config = load(file.path(), &Overrides::default(), Files::default()).unwrap().config;
    holds(ARCHITECTURE, "graph", &mermaid(&catalog(&config)));
}

#[test]
fn the_exit_codes_in_the_docs_are_the_programs() {
    let rows = Exit::ALL.map(|exit| format!("| {} | {} |\n", exit.code(), exit.meaning()));
    holds(README, "exit codes", &format!("| exit code | means |\n|---|---|\n{}", rows.concat()));
}

/// Whether the document has `text` between its marks; writes it there when asked to.
fn holds(path: &str, mark: &str, text: &str) {
    let document = std::fs::read_to_string(path).unwrap();
    let start = document.find(&format!("<!-- {mark}")).expect("the mark");
    let start = start + document[start..].find('\n').unwrap() + 1;
    let end = document.find(&format!("<!-- /{mark} -->")).expect("the other mark");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{}{text}{}", &document[..start], &document[end..]);
        std::fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(&document[start..end], text, "run: UPDATE_DOCS=1 cargo test --test docs");
}

/// Where the tests keep what a person is told.
const MESSAGES: [(&str, &str); 3] = [
    ("A deployment's life", "tests/emulator/snapshots/emulator__screens__"),
    ("Refused", "tests/emulator/snapshots/emulator__inputs__"),
    ("Configuration and certificates", "tests/config/"),
];

/// Every message that the tests' snapshots have, to be read in one go.
#[test]
fn the_messages_in_the_docs_are_those_the_tests_have_seen() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/messages.md");
    let mut text = String::from(
        "# Messages\n\nWhat a person is told, as the tests have seen it: to be read as prose. Written by a test, with \
         `UPDATE_DOCS=1 cargo test --test docs`.\n",
    );
    for (title, place) in MESSAGES {
        writeln!(text, "\n## {title}").unwrap();
        let (directory, prefix) = place.rsplit_once('/').unwrap();
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| {
            name.starts_with(prefix) && Path::new(name).extension().is_some_and(|it| it == "snap")
        });
        names.sort();
        for name in names {
            let snapshot = std::fs::read_to_string(directory.join(&name)).unwrap();
            let told = snapshot.splitn(3, "---\n").nth(2).expect("a snapshot").trim_end();
            let title = name.trim_start_matches(prefix).trim_end_matches(".snap").replace('-', " ");
            writeln!(text, "\n### {title}\n\n```text\n{told}\n```").unwrap();
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "docs/messages.md is old; run: UPDATE_DOCS=1 cargo test --test docs");
}

/// The report of a failover test is as published, the file beside its page too.
#[test]
fn a_failover_tests_report_is_as_published() {
    let snapshot = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../cli/src/ha_test/snapshots/jitsi_aws__ha_test__report__tests__passed_json.snap"
    );
    let text = std::fs::read_to_string(snapshot).unwrap();
    let report = text.splitn(3, "---\n").nth(2).expect("a snapshot");
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let document = serde_json::json!({ "schema": 1, "kind": "ha-test", "result": report });
    assert_eq!(jitsi_aws_tests::schema::document(&document), [""; 0]);
}

/// The catalog as a Mermaid flowchart, one box per stage.
fn mermaid(catalog: &[Entry]) -> String {
    let id = |key: &Key| key.to_string().replace(['(', ')', '@', '.'], "_");
    let mut lines = vec!["```mermaid".to_owned(), "flowchart LR".to_owned()];
    for stage in Stage::ALL {
        let (word, number) = (stage.word(), stage.number());
        lines.push(format!("  subgraph {word} [\"{number} {word}\"]"));
        let entries = catalog.iter().filter(|entry| entry.key.stage() == stage);
        lines.extend(entries.map(|entry| format!("    {}", id(&entry.key))));
        lines.push("  end".to_owned());
    }
    for entry in catalog {
        let needs = entry.needs.iter();
        lines.extend(needs.map(|need| format!("  {} --> {}", id(&entry.key), id(need))));
    }
    lines.push("```\n".to_owned());
    lines.join("\n")
}
