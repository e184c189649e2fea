//! `setup delete` deletes what was shown and agreed to, and nothing that has come in between.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Child,
};

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    inventory,
    terminal::Terminal,
};

use crate::operators::{command, ended, free_lease, write_lease};

/// A VPC as another run would have made it.
async fn another_vpc(jitsi: &Deployment) -> String {
    let tag = |key, value| Tag::builder().key(key).value(value).build();
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Vpc)
        .tags(tag("Name", "jitsi"))
        .tags(tag("jitsi-aws:deployment", "jitsi"))
        .tags(tag("jitsi-aws:region", "eu-central-1"))
        .build();
    let ec2 = aws_sdk_ec2::Client::new(&jitsi.account.sdk());
    let made = ec2.create_vpc().cidr_block("10.0.0.0/16").tag_specifications(tags).send().await;
    made.unwrap().vpc().unwrap().vpc_id().unwrap().to_owned()
}

/// `setup delete`, agreed to beforehand, which waits for somebody else's lease.
fn waiting(jitsi: &Deployment) -> (Child, BufReader<std::process::ChildStderr>) {
    let arguments = ["setup", "delete", "--yes=jitsi"];
    let mut child = command(jitsi, "ann", &jitsi.account.endpoint, &arguments).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("at most whether this goes on") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{:?}", child.wait_with_output());
    }
    (child, stderr)
}

/// Its end.
async fn end((child, mut stderr): (Child, BufReader<std::process::ChildStderr>)) -> Run {
    let run = tokio::spawn(ended(child));
    let rest = tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        rest
    });
    Run { stderr: rest.await.unwrap(), ..run.await.unwrap() }
}

fn assert_stopped(run: &Run) {
    assert_eq!(run.code, 1, "{run:?}");
    run.assert_published();
    assert_eq!(run.writes(), [], "nothing is changed");
    assert!(run.stdout.contains("nothing was deleted"), "{}", run.stdout);
    assert!(run.stdout.contains("jitsi-aws setup delete --yes=jitsi"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_wait_for_somebody_elses_run_nothing_is_deleted_unseen() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    for more in [true, false] {
        write_lease(&jitsi, "carol", 0).await;
        let all = inventory::take(&jitsi.account.sdk()).await.len();
        let waiting = waiting(&jitsi);
        let vpc = if more { Some(another_vpc(&jitsi).await) } else { None };
        free_lease(&jitsi).await;
        let run = end(waiting).await;
        assert_stopped(&run);
        assert!(run.stdout.contains("carol@lab"), "{}", run.stdout);
        let told = |vpc: &String| run.stdout.contains(vpc);
        assert!(vpc.iter().all(told), "{vpc:?}: {}", run.stdout);
        let left = inventory::take(&jitsi.account.sdk()).await.len();
        assert!(left >= all, "{left} of {all} are left");
    }
    let last = jitsi.succeed(&["setup", "delete"]);
    assert_eq!(last.document()["result"]["left"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_the_lease_during_a_wait_is_at_work() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    write_lease(&jitsi, "carol", 0).await;
    let waiting = waiting(&jitsi);
    write_lease(&jitsi, "dave", 0).await;
    let run = end(waiting).await;
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("dave@lab"), "{}", run.stdout);
    assert!(run.stdout.contains("is at work on this deployment"), "{}", run.stdout);
    assert_eq!(run.writes(), [], "nothing is changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_terminal_what_came_in_between_is_shown_and_asked_about_again() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let asked = "Type the deployment's name to go on:";
    let mut terminal = Terminal::start(&jitsi.command(&["setup", "delete"]));
    terminal.wait_for(asked);
    let vpc = another_vpc(&jitsi).await;
    terminal.type_in(b"jitsi\r");
    terminal.wait_for(&vpc);
    terminal.wait_for(asked);
    terminal.type_in(b"no\r");
    let run = terminal.end();
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("nothing was deleted"), "{}", run.stderr);
    assert_eq!(jitsi.succeed(&["setup", "iam"]).writes(), [], "all is still there");

    let mut terminal = Terminal::start(&jitsi.command(&["setup", "delete"]));
    terminal.wait_for(asked);
    let another = another_vpc(&jitsi).await;
    terminal.type_in(b"jitsi\r");
    terminal.wait_for(&another);
    terminal.wait_for(asked);
    terminal.type_in(b"jitsi\r");
    let run = terminal.end();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("0 left"), "{}", run.stderr);
}
