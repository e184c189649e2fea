//! Every question the program asks, on a real terminal: Ctrl-C ends it there and then, Ctrl-D means no,
//! and neither has changed anything.

use std::{collections::BTreeMap, fs, path::Path};

use jitsi_aws_tests::{
    deployment::Deployment,
    emulator::Emulator,
    terminal::{END, ENTER, INTERRUPT, Terminal},
};

/// The questions of `init` in their order, and an answer to each.
const INTERVIEW: [(&str, &str); 6] = [
    ("Deployment name:", "jitsi"),
    ("AWS region", "eu-central-1"),
    ("Host name people will type:", "meet.example.org"),
    ("Certificate: a PEM file", "cert.pem"),
    ("Its private key", "key.pem"),
    ("Who gets mail", ""),
];

/// Where questions are asked, how often, and the test that meets them.
const ASKED: [(&str, usize, &str); 2] = [
    // The failover test's goes the same way; reaching it takes a site that holds meetings, which
    // tests/end_to_end has.
    ("commands/confirm.rs", 1, "ctrl_c_where_a_name_is_asked_for_deletes_nothing"),
    ("commands/init.rs", 2, "ctrl_c_ends_the_interview_at_every_question"),
];

#[test]
fn every_place_that_asks_has_its_row() {
    let mut found = BTreeMap::new();
    count(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/src")), "", &mut found);
    let rows = ASKED.map(|(file, times, _)| (file.to_owned(), times));
    assert_eq!(found, BTreeMap::from(rows), "a new question needs a test on a terminal");
    let tests = include_str!("prompts.rs");
    for (_, _, test) in ASKED {
        assert!(tests.contains(&format!("fn {test}")), "{test}");
    }
}

fn count(directory: &Path, inside: &str, found: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{inside}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            count(&path, &format!("{name}/"), found);
        } else if path.extension().is_some_and(|of| of == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // `read_line` and `stdin` belong to the printer alone.
            let reads = !name.starts_with("ui/") && text.contains("io::stdin");
            assert!(!reads, "{name} reads the terminal by itself");
            match text.matches(".ask(").count() {
                0 => {}
                times => drop(found.insert(name, times)),
            }
        }
    }
}

#[tokio::test]
async fn ctrl_c_ends_the_interview_at_every_question() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let command = jitsi.command(&["init", "--config", "new.toml"]);
    for last in 0..INTERVIEW.len() {
        let mut terminal = Terminal::start(&command);
        for (question, answer) in &INTERVIEW[..last] {
            terminal.wait_for(question);
            terminal.type_in(answer.as_bytes());
            terminal.type_in(ENTER);
        }
        terminal.wait_for(INTERVIEW[last].0);
        terminal.type_in(INTERRUPT);
        let run = terminal.end();
        assert_eq!(run.code, 130, "at {}:\n{}", INTERVIEW[last].0, run.stderr);
        assert!(!jitsi.path("new.toml").exists(), "{}", run.stderr);
    }
}

#[tokio::test]
async fn ctrl_c_where_a_name_is_asked_for_deletes_nothing() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let asked_by = |arguments: &[&str], keys: &[u8]| {
        let mut terminal = Terminal::start(&jitsi.command(arguments));
        terminal.wait_for("Type the deployment's name to go on:");
        terminal.type_in(keys);
        terminal.end()
    };
    let asked = |keys: &[u8]| asked_by(&["setup", "delete"], keys);
    let stopped = asked(INTERRUPT);
    assert_eq!(stopped.code, 130, "{}", stopped.stderr);
    assert!(stopped.stderr.contains(" IAM user             jitsi-deployer"), "{}", stopped.stderr);
    let quiet = asked_by(&["setup", "delete", "--quiet"], INTERRUPT);
    assert!(
        quiet.stderr.contains(" of 00 iam; without --quiet, each is listed"),
        "{}",
        quiet.stderr
    );
    assert!(!quiet.stderr.contains("jitsi-deployer"), "{}", quiet.stderr);
    for (keys, words) in [(END, "no answer; nothing was deleted"), (ENTER, "not its name")] {
        let refused = asked(keys);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(jitsi.succeed(&["setup", "iam"]).writes(), [], "all is still there");

    let deleted = asked(b"jitsi\r");
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    assert!(deleted.stderr.contains("0 left"), "{}", deleted.stderr);
}
