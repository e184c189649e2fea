//! Every command that a run tells its reader to type, in text and in JSON: it must be one that
//! `jitsi-aws` takes, and be about the deployment, the account and the region that the run was about.

use std::{ffi::OsString, path::Path, process::Command};

use jitsi_aws::{
    args::{self, Args},
    invocation::ADMIN,
};
use serde_json::Value;

use crate::deployment::Run;

/// The commands of ours in what was printed, each once, in order: what stands after `next:` and, in any
/// text, between backticks.
pub fn commands(run: &Run) -> Vec<String> {
    let mut all = Vec::new();
    let printed = [run.stdout.as_str(), run.stderr.as_str()];
    for text in printed {
        if text.trim_start().starts_with('{') {
            let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            documents.map_while(Result::ok).for_each(|document| of_json(&document, &mut all));
        } else {
            of_text(text, &mut all);
        }
    }
    all.dedup();
    all
}

fn of_json(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => of_text(text, all),
        Value::Array(items) => items.iter().for_each(|item| of_json(item, all)),
        Value::Object(fields) => {
            if let ("next", Some(command)) =
                (value["event"].as_str().unwrap_or_default(), value["command"].as_str())
            {
                all.push(command.to_owned());
            }
            fields.values().for_each(|field| of_json(field, all));
        }
        _ => {}
    }
}

fn of_text(text: &str, all: &mut Vec<String>) {
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("next: ") {
            all.push(command.to_owned());
        }
        let quoted = line.split('`').skip(1).step_by(2);
        all.extend(quoted.filter(|quoted| is_ours(quoted)).map(str::to_owned));
    }
}

/// Whether this is a command of ours and not only the program's name.
fn is_ours(text: &str) -> bool {
    let mut words = text.split(' ').skip_while(|word| word.contains('='));
    words.next() == Some("jitsi-aws") && words.next().is_some()
}

/// Checks every command `run` printed against the `typed` one.
///
/// # Panics
/// When one could not be typed, or would mean something else.
pub fn check(typed: &Command, run: &Run) {
    if Path::new(typed.get_program()).file_name().is_none_or(|name| name != "jitsi-aws") {
        return;
    }
    let words = std::iter::once(typed.get_program()).chain(typed.get_args());
    let line: Vec<OsString> = words.map(ToOwned::to_owned).collect();
    let region = typed.get_envs().find(|(name, _)| *name == "AWS_REGION").and_then(|(_, is)| is);
    check_line(&line, region.and_then(|region| region.to_str()), run);
}

/// As [`check`], of a command line with the program's name, in a shell whose `AWS_REGION` is `region`.
///
/// # Panics
/// As [`check`].
pub fn check_line(line: &[OsString], region: Option<&str>, run: &Run) {
    // What cannot be parsed has no deployment; what asks for help is told of in general.
    let Ok(typed) = Args::read(line) else { return };
    for command in commands(run) {
        let words = words(&command);
        let words: Vec<&String> = words.iter().skip_while(|word| word.contains('=')).collect();
        let told = Args::read(words).unwrap_or_else(|error| {
            panic!("`{command}`, told by {line:?}, is no command: {error}");
        });
        if let args::Command::Init(_) | args::Command::List = told.command {
            continue; // an example with answers of its own; a look at other regions
        }
        let (told, typed) = (&told.global, &typed.global);
        assert_eq!(
            told.config, typed.config,
            "`{command}` of {line:?} is about another deployment"
        );
        let meant = typed.region.as_deref().or(told.region.as_deref().and(region));
        let there = told.region.as_deref();
        assert_eq!(there, meant, "`{command}` of {line:?} is about another region");
        // Another's rights may be needed: an administrator's, or those of the deployer just made.
        let deployers = line.iter().any(|word| word == "iam") && told.profile.is_none();
        let named = told.profile.as_deref() == Some(ADMIN);
        assert!(
            told.profile == typed.profile || named || deployers,
            "`{command}` of {line:?} is done by somebody else"
        );
        let delete = command.contains("setup delete") && told.yes.as_deref() == Some("");
        assert!(!delete, "`{command}` of {line:?} deletes whatever is at hand");
    }
}

/// The words of a command as a POSIX shell reads them; of its quoting, what `jitsi-aws` uses.
///
/// # Panics
/// When a quote is not closed.
pub fn words(command: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if !quoted => word.get_or_insert_default().extend(characters.next()),
            ' ' if !quoted => all.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    assert!(!quoted, "a quote in {command} is not closed");
    all.extend(word);
    all
}
