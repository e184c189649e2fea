//! Following the program's own advice, word by word, does what was meant, to the deployment that was
//! meant. (That every hint can be typed and names the same deployment is checked of every run there is.)

use std::{ffi::OsString, fs, process::Command};

use jitsi_aws_tests::{
    deployment::{Deployment, Run, binary},
    emulator::Emulator,
    hints, inventory,
};

/// Types `line` into a shell where the deployment is.
fn shell(jitsi: &Deployment, line: &str) -> Run {
    let typed = jitsi.command(&[]);
    let mut command = Command::new("/bin/sh");
    let path = format!("{}:/usr/bin:/bin", binary().parent().unwrap().display());
    command.args(["-c", line]).current_dir(typed.get_current_dir().unwrap()).env_clear();
    command.envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let run = Run::from(command.env("PATH", path).output().unwrap());
    let words: Vec<OsString> = hints::words(line).into_iter().map(Into::into).collect();
    hints::check_line(&words, None, &run);
    run
}

fn next(run: &Run) -> String {
    let next = run.stderr.lines().find_map(|line| line.strip_prefix("next: "));
    next.unwrap_or_else(|| panic!("no next command:\n{}", run.stderr)).to_owned()
}

/// `jitsi.toml` is of a decoy; what is deployed is in `our own.toml`.
async fn beside_a_decoy() -> Deployment {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    fs::rename(jitsi.path("jitsi.toml"), jitsi.path("our own.toml")).unwrap();
    jitsi.configure(|text| text.replace("name = \"jitsi\"", "name = \"decoy\""));
    jitsi
}

#[tokio::test]
async fn following_every_next_makes_the_deployment_that_was_meant() {
    let jitsi = beside_a_decoy().await;
    let mut line = "jitsi-aws plan iam --config 'our own.toml'".to_owned();
    let mut typed = Vec::new();
    while !line.starts_with("jitsi-aws probe") {
        let run = shell(&jitsi, &line);
        assert!([0, 3].contains(&run.code), "{line}:\n{}", run.stderr);
        line = next(&run);
        typed.push(line.clone());
    }
    let expected = ["setup iam", "setup instances", "setup lb", "setup monitoring", "probe"];
    let expected = expected.map(|words| format!("jitsi-aws {words} --config 'our own.toml'"));
    assert_eq!(typed, expected);
    let made = inventory::take(&jitsi.account.sdk()).await;
    assert!(made.iter().any(|line| line == "group jitsi"), "{made:#?}");
    assert!(!made.iter().any(|line| line.contains("decoy")), "{made:#?}");
}

#[tokio::test]
async fn a_deletion_is_bound_to_its_name_and_its_file() {
    let jitsi = beside_a_decoy().await;
    let ours = ["--config", "our own.toml"];
    let run = |arguments: &[&str]| jitsi.run(&[arguments, &ours].concat());
    assert_eq!(run(&["setup", "iam"]).code, 0);
    assert_eq!(jitsi.run(&["setup", "iam"]).code, 0, "the decoy's");

    let bare = run(&["setup", "delete", "--yes"]);
    assert_eq!(bare.code, 1, "{}", bare.stderr);
    assert!(bare.stderr.contains("nothing was deleted"), "{}", bare.stderr);
    let other = run(&["setup", "delete", "--yes=decoy"]);
    assert_eq!(other.code, 1, "{}", other.stderr);
    assert!(other.stderr.contains("names another deployment than `jitsi`"), "{}", other.stderr);

    let exact = hints::commands(&bare);
    assert_eq!(exact, ["jitsi-aws setup delete --yes=jitsi --config 'our own.toml'"]);
    let deleted = shell(&jitsi, &exact[0]);
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    let left = inventory::take(&jitsi.account.sdk()).await;
    assert!(left.iter().any(|line| line.ends_with("/decoy-deployer")), "{left:#?}");
    assert!(!left.iter().any(|line| line.contains("/jitsi-deployer")), "{left:#?}");
}

#[tokio::test]
async fn the_profile_and_the_region_go_with_every_hint() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    fs::write(
        jitsi.path("credentials"),
        format!(
            "[staging]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
            jitsi.account.access_key,
            jitsi.account.secret_key,
            jitsi.account.token.as_deref().unwrap_or_default(),
        ),
    )
    .unwrap();
    let plan = jitsi.run(&["plan", "--profile", "staging", "--region", "eu-west-1"]);
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    let all = "jitsi-aws setup all --profile staging --region eu-west-1";
    assert_eq!(hints::commands(&plan), [all]);

    // A profile of the shell's is not typed, and may be gone with the next command.
    let mut command = jitsi.command(&["plan", "--json"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env_remove("AWS_SESSION_TOKEN").env("AWS_PROFILE", "staging");
    let plan = Run::of(&mut command);
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    assert_eq!(hints::commands(&plan), ["AWS_PROFILE=staging jitsi-aws setup all"]);

    jitsi.configure(|text| text.replace("region = \"eu-central-1\"\n", ""));
    let plan = Run::of(jitsi.command(&["plan"]).env("AWS_REGION", "eu-west-1"));
    assert_eq!(hints::commands(&plan), ["jitsi-aws setup all --region eu-west-1"]);
}
