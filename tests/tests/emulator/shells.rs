//! Completions in the shells themselves, behind the program's name and behind its commands: names with
//! hyphens are where generators go wrong.

use std::{path::Path, process::Command};

use jitsi_aws_tests::{deployment::binary, emulator::binaries};
use tempfile::TempDir;

/// A line that Tab is pressed behind, what is offered there, and what is not.
const LINES: [(&str, &[&str], &[&str]); 6] = [
    ("jitsi-aws ", &["init", "setup", "plan", "probe", "ha-test", "completions"], &["instances"]),
    ("jitsi-aws setup ", &["iam", "instances", "monitoring", "delete"], &["probe"]),
    (
        "jitsi-aws setup delete --",
        &["--keep-iam", "--drain", "--json"],
        &["--kill", "--udp-blocked"],
    ),
    ("jitsi-aws ha-test --", &["--kill", "--zone-outage", "--maildir"], &["--keep-iam"]),
    ("jitsi-aws plan ", &["iam", "instances", "lb", "monitoring"], &["delete"]),
    ("jitsi-aws completions ", &["bash", "fish", "zsh"], &["setup"]),
];

/// Whether a shell is there; says so when it is not.
fn installed(shell: &str) -> bool {
    let found =
        Command::new(shell).args(["-c", "exit 0"]).status().is_ok_and(|status| status.success());
    if !found {
        #[expect(clippy::print_stderr, reason = "what was not tested is told")]
        {
            eprintln!("SKIPPED: {shell} is not installed; run: scripts/prepare tests");
        }
    }
    found
}

/// The text without what a terminal obeys (`ESC [ … letter`).
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| {
        let rest = piece.find(|c: char| c.is_ascii_alphabetic()).map_or("", |at| &piece[at + 1..]);
        all + rest
    })
}

/// Asks a shell, by `offers`, what it offers behind each line.
fn complete(shell: &str, offers: impl Fn(&Path, &str) -> Command) {
    if !installed(shell) {
        return;
    }
    let directory = TempDir::new().unwrap();
    let script = directory.path().join("completions");
    let written = Command::new(binary()).args(["completions", shell]).output().unwrap();
    std::fs::write(&script, written.stdout).unwrap();
    let path = format!("{}:{}", binaries().display(), std::env::var("PATH").unwrap_or_default());
    for (line, offered, absent) in LINES {
        let mut command = offers(&script, line);
        command.env("PATH", &path).env("HOME", directory.path());
        let output = command.output().unwrap();
        let shown = plain(&String::from_utf8_lossy(&output.stdout));
        let has = |word: &str| {
            shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|shown| shown == word)
        };
        for word in offered {
            assert!(
                has(word),
                "{shell}, `{line}`: {word} in\n{shown}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        for word in absent {
            assert!(!has(word), "{shell}, `{line}`: {word} in\n{shown}");
        }
    }
}

#[test]
fn bash_completes() {
    // As bash itself calls what `complete -F` names (bash(1), "Programmable Completion").
    let ask = r#"
        source "$1"
        read -ra COMP_WORDS <<< "$2"
        [[ $2 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        function=$(complete -p jitsi-aws | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" jitsi-aws "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    complete("bash", |script, line| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", ask, "ask"]).arg(script).arg(line);
        bash
    });
}

#[test]
fn fish_completes() {
    complete("fish", |script, line| {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"])
            .arg(script)
            .arg(line);
        fish
    });
}

#[test]
fn zsh_completes() {
    complete("zsh", |script, line| {
        // It reads until its marks come: should they not, it must end all the same.
        let mut zsh = Command::new("timeout");
        zsh.args(["60", "zsh", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/data/complete.zsh")])
            .arg(script)
            .arg(line);
        zsh
    });
}
