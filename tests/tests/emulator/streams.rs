//! stdout and stderr: with `--json` exactly one document whatever happens, and never a result that was lost
//! without a word. (Every run with `--json` in any test is held against the published schema.)

use std::{
    fs::File,
    io::{BufRead as _, BufReader, pipe},
    net::TcpListener,
    process::{Command, Stdio},
};

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    schema,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Command lines that print a result without AWS, and what they print it as.
const LOCAL: [(&[&str], &str); 7] = [
    (&["--help"], "help"),
    (&["help", "plan"], "help"),
    (&["setup", "delete", "--help"], "help"),
    (&["--version"], "version"),
    (&["completions", "bash"], "completions"),
    (&["man"], "man"),
    (
        &[
            "init",
            "--force",
            "--config",
            "new.toml",
            "--name",
            "jitsi",
            "--region",
            "eu-central-1",
            "--domain",
            "meet.example.org",
            "--request-certificate",
        ],
        "init",
    ),
];

/// Command lines that are wrong, each in its own way.
const WRONG: [&[&str]; 8] = [
    &[],
    &["plan", "--nonsense"],
    &["setup", "everything"],
    &["plan", "--region"],
    &["ha-test", "--kill", "everything"],
    &["plan", "--config", "nowhere.toml"],
    &["plan", "--region", "Frankfurt"],
    &["init", "--config", "new.toml"],
];

#[tokio::test]
async fn json_is_one_document_whatever_is_typed() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    for first in [true, false] {
        let run = |arguments: &[&str]| {
            let line: Vec<&str> = if first {
                [&["--json"], arguments].concat()
            } else {
                [arguments, &["--json"]].concat()
            };
            // `Run::of` holds it against the schema.
            jitsi.run(&line)
        };
        for (arguments, kind) in LOCAL {
            let run = run(arguments);
            assert_eq!(
                (run.code, run.document()["kind"].as_str()),
                (0, Some(kind)),
                "{arguments:?}"
            );
        }
        for arguments in WRONG {
            let run = run(arguments);
            assert_eq!(run.code, 1, "{arguments:?}");
            assert_eq!(run.document()["kind"], "error", "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_an_error() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let plans: [&[&str]; 2] = [&["plan"], &["plan", "--json"]];
    for arguments in LOCAL.iter().map(|(arguments, _)| *arguments).chain(plans) {
        for gone in [false, true] {
            let mut command = jitsi.command(arguments);
            if gone {
                let (reader, writer) = pipe().unwrap();
                drop(reader);
                command.stdout(writer);
            } else {
                command.stdout(File::options().write(true).open("/dev/full").unwrap());
            }
            let output =
                command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
            let run = Run::from(output);
            assert_eq!(run.code, 2, "{arguments:?}, reader gone: {gone}\n{}", run.stderr);
            let why = if gone { "whoever read it has gone" } else { "the disk is full" };
            assert!(run.stderr.contains(why), "{arguments:?}: {}", run.stderr);
        }
    }
}

/// As a shell's `>&-` does it: not `/dev/null`, which somebody chose.
#[tokio::test]
async fn nothing_is_begun_whose_result_nobody_can_be_told() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    for (redirection, code) in [(">&-", 2), ("<>/dev/null >&0", 0)] {
        let setup = jitsi.command(&["setup", "iam", "--yes=jitsi", "-v", "--json"]);
        let mut shell = Command::new("sh");
        let command = format!("exec \"$0\" \"$@\" {redirection}");
        shell.arg("-c").arg(command).arg(setup.get_program()).args(setup.get_args());
        shell.current_dir(setup.get_current_dir().unwrap()).env_clear();
        shell.envs(setup.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let run = Run::from(shell.output().unwrap());
        assert_eq!(run.code, code, "{redirection}: {}", run.stderr);
        if code == 2 {
            let told = "error: the result could not be written to stdout: it is closed";
            let event: Value = serde_json::from_str(&run.stderr).unwrap();
            assert!(event["text"].as_str().unwrap().starts_with(told), "{event}");
            assert_eq!(run.calls(), []);
        }
    }
}

/// AWS is silent, so somebody presses Ctrl-C, and again. Nobody is left without a word before that.
#[tokio::test]
async fn silence_is_told_of_and_two_interruptions_still_print_one_document() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = jitsi
        .command(&["plan", "--json"])
        .env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let mut events = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut told = Vec::new();
    let mut until = |mark: &str| {
        for line in events.by_ref() {
            told.push(line);
            if told.last().is_some_and(|line| line.contains(mark)) {
                return;
            }
        }
        panic!("no {mark} in {told:?}");
    };
    until("asking AWS who we are");
    kill(pid, Signal::SIGINT).unwrap();
    until("press Ctrl-C again");
    kill(pid, Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let run = Run { stderr: told.join("\n"), ..Run::from(output) };
    assert_eq!(schema::run(run.code, &run.stdout, &run.stderr), [""; 0], "{run:?}");
    assert_eq!(run.code, 130);
    assert_eq!(run.document()["result"]["exit_code"], 130);
}
