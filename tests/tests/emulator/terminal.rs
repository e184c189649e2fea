//! What is seen at a real terminal: live lines where it can redraw, plain ones where it cannot, colours only
//! where they are looked at, and questions that are asked again.

use std::process::Command;

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    terminal::{END, Terminal},
};

#[tokio::test]
async fn every_terminal_shows_what_is_done() {
    for term in ["dumb", "", "xterm"] {
        let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
        let run = Terminal::start(jitsi.command(&["setup", "iam"]).env("TERM", term)).end();
        assert_eq!(run.code, 0, "`{term}`: {}", run.stderr);
        for told in ["00 iam", "jitsi-deployer", "created", "next: "] {
            assert!(run.stderr.contains(told), "`{term}`: {told} in {}", run.stderr);
        }
        let redraws = run.stderr.contains('\u{1b}');
        assert_eq!(redraws, term == "xterm", "`{term}`: {}", run.stderr.escape_debug());
    }
}

#[tokio::test]
async fn colours_stay_on_the_terminal() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let plan = jitsi.command(&["plan"]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "\"$0\" plan > plan.txt"]).arg(plan.get_program()).env_clear();
    shell.envs(plan.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(plan.get_current_dir().unwrap());
    let run = Terminal::start(&shell).end();
    assert_eq!(run.code, 3, "{}", run.stderr);
    let file = std::fs::read_to_string(jitsi.path("plan.txt")).unwrap();
    assert!(file.contains("launch template"), "{file}");
    assert!(!file.contains('\u{1b}'), "{}", file.escape_debug());
}

/// Answers the questions that come.
fn answered(command: &Command, answers: &[(&str, &str)]) -> Run {
    let mut terminal = Terminal::start(command);
    for (question, answer) in answers {
        terminal.wait_for(question);
        terminal.type_in(format!("{answer}\r").as_bytes());
    }
    terminal.end()
}

#[tokio::test]
async fn init_asks_again_for_the_one_wrong_answer() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let run = answered(
        &jitsi.command(&["init", "--config", "new.toml"]),
        &[
            ("Deployment name:", "Jitsi!"),
            ("may hold", "jitsi"),
            ("AWS region", "eu-central-1"),
            ("Host name", "meet.example.org"),
            ("Certificate:", "arn:nonsense"),
            ("is not an ARN", "~/nowhere.pem"),
            ("Its private key", "key.pem"),
            ("Who gets mail", "ops@example.org, me,boss@example.org"),
            ("me: is not an e-mail address", "OPS@example.org"),
        ],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("nowhere.pem does not exist yet"), "{}", run.stderr);
    let file = std::fs::read_to_string(jitsi.path("new.toml")).unwrap();
    let home = jitsi.path("nowhere.pem");
    for line in [
        "name = \"jitsi\"".to_owned(),
        format!("certificate = \"{}\"", home.display()),
        "private_key = \"key.pem\"".to_owned(),
        "emails = [\"ops@example.org\", \"boss@example.org\"]".to_owned(),
    ] {
        assert!(file.contains(&line), "{line} in\n{file}");
    }
}

#[tokio::test]
async fn init_offers_a_request_and_ends_on_ctrl_d() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let init = |file| {
        jitsi.command(&["init", "--config", file, "--name", "jitsi", "--region", "eu-central-1"])
    };
    let answers = [("Host name", "meet.example.org"), ("`request`", "request"), ("Who gets", "")];
    let run = answered(&init("request.toml"), &answers);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let file = std::fs::read_to_string(jitsi.path("request.toml")).unwrap();
    assert!(file.contains("mode = \"request\""), "{file}");

    let mut terminal = Terminal::start(&init("ended.toml"));
    terminal.wait_for("Host name");
    terminal.type_in(END);
    let ended = terminal.end();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing was written"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("Certificate:"), "nothing more is asked: {}", ended.stderr);
    assert!(!jitsi.path("ended.toml").exists());
    let again = "jitsi-aws init --name jitsi --config ended.toml --region eu-central-1";
    assert!(ended.stderr.contains(&format!("run `{again}` again")), "{}", ended.stderr);
}

#[tokio::test]
async fn init_repeats_its_answers_and_asks_nothing_of_who_said_yes() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let line = ["init", "--name", "jitsi", "--email", "ops@example.org"];
    let exists = jitsi.run(&line);
    let replace = "`jitsi-aws init --name jitsi --email ops@example.org --force`";
    assert!(exists.stderr.contains(replace), "{}", exists.stderr);

    let mut terminal = Terminal::start(&jitsi.command(&[&line[..], &["--force"]].concat()));
    terminal.wait_for("AWS region");
    terminal.type_in(END);
    let ended = terminal.end();
    assert!(ended.stderr.contains(&format!("run {replace} again")), "{}", ended.stderr);

    let yes = Terminal::start(&jitsi.command(&[&line[..], &["--force", "--yes"]].concat())).end();
    assert_eq!(yes.code, 1, "{}", yes.stderr);
    for missing in ["--region: is missing", "--domain: is missing", "--certificate: is missing"] {
        assert!(yes.stderr.contains(missing), "{}", yes.stderr);
    }
}
