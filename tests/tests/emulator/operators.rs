//! Two operators of one deployment: whatever the order of their requests, there is one of each thing, and
//! one of them waits or is told who is at work. Who was killed keeps nobody out for long.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_s3::primitives::ByteStream;
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    inventory, seeds,
    turnstile::{Point, Turnstile},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::held;

/// More than a lease's life.
const LATER: Duration = Duration::from_secs(100);

/// `jitsi-aws` as this person, through this endpoint.
pub(crate) fn command(
    jitsi: &Deployment,
    who: &str,
    endpoint: &str,
    arguments: &[&str],
) -> Command {
    let mut command = jitsi.command(&[arguments, &["--json", "--verbose"]].concat());
    command.env("USER", who).env("AWS_ENDPOINT_URL", endpoint);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) async fn ended(child: Child) -> Run {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap().into()).await.unwrap()
}

/// How many there are of each kind.
async fn census(sdk: &SdkConfig) -> BTreeMap<String, usize> {
    let mut census = BTreeMap::new();
    for line in inventory::take(sdk).await {
        let kind = line.split_once(' ').map_or(line.as_str(), |(kind, _)| kind);
        *census.entry(kind.to_owned()).or_default() += 1;
    }
    census
}

/// Two at once, one request at a time, drawn from the seed; ends with the deployment whole.
async fn together(seed: u64, stage: &str) {
    let alone = Emulator::shared().account().await;
    let expected = Deployment::new(alone.clone(), "jitsi");
    let account = Emulator::shared().account().await;
    let ann = Deployment::new(account.clone(), "jitsi");
    if stage != "all" {
        expected.succeed(&["setup", "iam"]);
        ann.succeed(&["setup", "iam"]);
    }
    expected.succeed(&["setup", stage]);
    let bob = ann.with_another_operator();
    if stage != "all" {
        std::fs::copy(ann.path("credentials"), bob.path("credentials")).unwrap();
    }

    let turnstile = Turnstile::before(&account.endpoint, seed);
    let endpoints = [turnstile.entrance(0), turnstile.entrance(1)];
    let start = |jitsi, who, endpoint| command(jitsi, who, endpoint, &["setup", stage]).spawn();
    let children =
        [start(&ann, "ann", &endpoints[0]).unwrap(), start(&bob, "bob", &endpoints[1]).unwrap()];
    let [first, second] = children.map(|child| tokio::spawn(ended(child)));
    let runs = [first.await.unwrap(), second.await.unwrap()];

    let told = || format!("seed {seed}: {runs:#?}\n{:#?}", turnstile.passed());
    assert!(runs.iter().any(|run| run.code == 0), "nobody succeeded, {}", told());
    for run in runs.iter().filter(|run| run.code != 0) {
        assert_eq!(run.code, 1, "{}", told());
        let error = run.document();
        let what = error["result"]["what"].as_str().unwrap_or_default();
        assert!(what.contains("is at work on this deployment"), "{}", told());
        assert!(what.contains("ann@") || what.contains("bob@"), "{}", told());
        assert!(error["result"]["hint"].as_str().unwrap().contains("run the same command again"));
    }
    assert_eq!(census(&account.sdk()).await, census(&alone.sdk()).await, "{}", told());
    let plan = ann.run(&["plan", "instances"]);
    assert_eq!(plan.code, 0, "seed {seed}: {}{}", plan.stdout, plan.stderr);
    assert_eq!(at_work(&ann), Value::Null, "the lease was given back");
}

/// Who is said to be at work.
fn at_work(jitsi: &Deployment) -> Value {
    jitsi.succeed(&["setup"]).document()["result"]["at_work"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_make_one_of_each_in_every_order() {
    for seed in seeds(1) {
        together(seed, "instances").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_from_nothing_make_one_of_each() {
    together(7, "all").await;
}

/// Ann is killed at that request of hers; Bob, to whom it is later, takes over.
async fn killed_at(seed: u64, point: Point) {
    let at = format!("{point:?}");
    let account = Emulator::shared().account().await;
    let ann = Deployment::new(account.clone(), "jitsi");
    ann.succeed(&["setup", "iam"]);
    let bob = ann.with_another_operator();
    std::fs::copy(ann.path("credentials"), bob.path("credentials")).unwrap();
    let turnstile = Turnstile::before(&account.endpoint, seed);
    let (to_ann, to_bob) = (turnstile.entrance(0), turnstile.entrance(1));

    let pid = Arc::new(Mutex::new(None));
    let killed = Arc::clone(&pid);
    turnstile.end_at(0, point, move || {
        kill(killed.lock().unwrap().take().unwrap(), Signal::SIGKILL).unwrap();
    });
    let child = {
        let mut pid = pid.lock().unwrap(); // held until it is known
        let child = command(&ann, "ann", &to_ann, &["setup", "instances"]).spawn().unwrap();
        *pid = Some(Pid::from_raw(child.id().try_into().unwrap()));
        child
    };
    let run = ended(child).await;
    assert_eq!(run.code, -1, "she was not killed: {run:?}");
    turnstile.settle();
    let left = at_work(&bob);

    turnstile.later(1, LATER);
    let run = ended(command(&bob, "bob", &to_bob, &["setup", "instances"]).spawn().unwrap()).await;
    assert_eq!(run.code, 0, "killed at {at}: {}\n{}", run.stdout, run.stderr);
    assert_eq!(left["who"].is_string(), run.stderr.contains("taking it over"), "{left} {run:?}");
    let plan = bob.run(&["plan", "instances"]);
    assert_eq!(plan.code, 0, "killed at {at}: {}{}", plan.stdout, plan.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_killed_is_followed_by_the_next_once_the_lease_is_over() {
    // Where the lease itself is written or given back, and, every other time, between the two.
    let lease = [
        Point::After("PUT", "-lease/lease"),
        Point::Before("DELETE", "-lease/lease"),
        Point::After("DELETE", "-lease/lease"),
        Point::Before("PUT", "-lease/lease"),
    ];
    for seed in seeds(1) {
        let number = usize::try_from(seed).unwrap();
        let point = match number % 2 {
            0 => Point::Number(8 + number * 37 % 75),
            _ => lease[number / 2 % lease.len()].clone(),
        };
        killed_at(seed, point).await;
    }
}

fn s3(jitsi: &Deployment) -> aws_sdk_s3::Client {
    let sdk = jitsi.account.sdk();
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build(),
    )
}

/// The lease as somebody else's run would have written it.
pub(crate) async fn write_lease(jitsi: &Deployment, who: &str, renewals: u64) {
    let lease = json!({
        "run": format!("of {who}"), "who": format!("{who}@lab"), "arn": format!("arn:aws:iam::1:user/{who}"),
        "command": "setup lb", "since": "2026-01-31T12:00:00Z", "seconds": 90, "renewals": renewals,
    });
    s3(jitsi)
        .put_object()
        .bucket(bucket(jitsi))
        .key("lease")
        .body(ByteStream::from(lease.to_string().into_bytes()))
        .send()
        .await
        .unwrap();
}

/// Gives back whoever's lease it is.
pub(crate) async fn free_lease(jitsi: &Deployment) {
    s3(jitsi).delete_object().bucket(bucket(jitsi)).key("lease").send().await.unwrap();
}

fn bucket(jitsi: &Deployment) -> String {
    format!("jitsi-{}-eu-central-1-lease", jitsi.account.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_at_work_is_told_to_everybody_else() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    assert_eq!(at_work(&jitsi), Value::Null);
    write_lease(&jitsi, "carol", 0).await;
    assert_eq!(at_work(&jitsi)["who"], "carol@lab");
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 3, "a plan takes no lease: {}", plan.stderr);
    assert!(plan.stderr.contains("carol@lab"), "{}", plan.stderr);

    for stage in [&["setup", "instances"][..], &["setup", "delete", "--yes=jitsi"]] {
        let mut child = command(&jitsi, "ann", &jitsi.account.endpoint, stage).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("whether this goes on") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "{:?}", child.wait_with_output());
        }
        write_lease(&jitsi, "carol", 1).await;
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let run = ended(child).await;
        assert_eq!(run.code, 1, "{run:?}\n{rest}");
        let what = run.document()["result"]["what"].to_string();
        assert!(what.contains("carol@lab") && what.contains("setup lb"), "{what}");
        assert!(run.stdout.contains("jitsi-aws setup unlock"), "{}", run.stdout);
        let rest = Run { stderr: rest, ..run };
        assert_eq!(rest.writes(), [], "nothing is changed");
        write_lease(&jitsi, "carol", 0).await;
    }

    // What nobody renews is over one day, and then goes without a wait.
    let turnstile = Turnstile::before(&jitsi.account.endpoint, 1);
    let entrance = turnstile.entrance(0);
    turnstile.later(0, LATER);
    let unlock =
        ended(command(&jitsi, "ann", &entrance, &["setup", "unlock"]).spawn().unwrap()).await;
    assert_eq!(unlock.document()["result"]["was_at_work"]["who"], "carol@lab", "{unlock:?}");
    assert_eq!(unlock.document()["result"]["free_in_s"], 0, "{unlock:?}");
    assert_eq!(jitsi.run(&["setup", "unlock"]).stdout, "nobody is at work\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_can_be_ended_and_whose_it_was_stops() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let ann = Deployment::new(account.clone(), "jitsi");
    let nobody = ann.run(&["setup", "unlock"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (0, "nobody is at work\n"));
    ann.succeed(&["setup", "iam"]);
    ann.succeed(&["setup", "instances"]);
    held::hold(&sdk).await; // never in service: whoever waits for it waits
    let bob = ann.with_another_operator();
    std::fs::copy(ann.path("credentials"), bob.path("credentials")).unwrap();

    let working = command(&ann, "ann", &account.endpoint, &["setup", "instances"]).spawn().unwrap();
    let working = tokio::spawn(ended(working));
    while at_work(&bob) == Value::Null {
        assert!(!working.is_finished(), "{:?}", working.await);
    }
    let unlock = bob.succeed(&["setup", "unlock"]).document();
    assert_eq!(unlock["result"]["free_in_s"], 90, "{unlock}");
    assert_eq!(unlock["result"]["was_at_work"]["command"], "setup instances");

    // Within half a minute she finds that it was ended.
    let run = working.await.unwrap();
    assert_eq!(run.code, 1, "{run:?}");
    let what = run.document()["result"]["what"].to_string();
    assert!(what.contains("ended the lease by hand"), "{what}");

    assert_eq!(at_work(&bob), Value::Null, "and has given back what was left of it");
}

/// What IAM and EC2 know the deployer by: access keys and the key pair's fingerprint.
async fn keys(sdk: &SdkConfig) -> (Vec<String>, String) {
    let iam = aws_sdk_iam::Client::new(sdk);
    let keys = iam.list_access_keys().user_name("jitsi-deployer").send().await.unwrap();
    let mut ids: Vec<String> =
        keys.access_key_metadata().iter().filter_map(|key| key.access_key_id.clone()).collect();
    ids.sort();
    let pairs = aws_sdk_ec2::Client::new(sdk).describe_key_pairs().send().await.unwrap();
    (ids, pairs.key_pairs()[0].key_fingerprint().unwrap().to_owned())
}

fn key_of(jitsi: &Deployment) -> String {
    let profile = std::fs::read_to_string(jitsi.path("credentials")).unwrap();
    let line = profile.lines().find(|line| line.starts_with("aws_access_key_id")).unwrap();
    line.split(" = ").nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operator_has_a_key_and_nobody_loses_one_unasked() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let endpoint = account.endpoint.clone();
    let ann = Deployment::new(account, "jitsi");
    let (bob, carol) = (ann.with_another_operator(), ann.with_another_operator());
    let setup = |jitsi: &Deployment, who: &str, more: &[&str]| {
        Run::of(&mut command(jitsi, who, &endpoint, &[&["setup", "iam"][..], more].concat()))
    };

    assert_eq!(setup(&ann, "ann", &[]).code, 0);
    let (of_ann, pair) = keys(&sdk).await;
    assert_eq!(of_ann, [key_of(&ann)]);
    let run = setup(&bob, "bob", &[]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let both = keys(&sdk).await;
    let mut expected = vec![key_of(&ann), key_of(&bob)];
    expected.sort();
    assert_eq!(both, (expected, pair), "each has one, and the key pair is Ann's as before");
    for jitsi in [&ann, &bob] {
        assert_eq!(jitsi.succeed(&["setup", "iam"]).writes(), [], "a second run changes nothing");
        assert_eq!(jitsi.run(&["plan", "iam"]).code, 0);
    }

    let third = setup(&carol, "carol", &[]);
    assert_eq!(third.code, 1, "{third:?}");
    assert_eq!(third.writes(), [], "nothing is written before she is told");
    let error = third.document()["result"].clone();
    let details = error["details"].to_string();
    for (key, who) in [(key_of(&ann), "ann@"), (key_of(&bob), "bob@")] {
        let line = details.split('"').find(|line| line.starts_with(&key)).expect("its line");
        assert!(line.contains(who) && line.contains(", made 2"), "{line}");
        assert!(line.contains("used"), "{line}");
    }
    assert!(error["hint"].as_str().unwrap().contains("--take-over"), "{error}");
    assert_eq!(keys(&sdk).await, both);

    let unknown = setup(&carol, "carol", &["--take-over", "AKIANOTOFTHEDEPLOYER"]);
    assert_eq!((unknown.code, unknown.writes().len()), (1, 0), "{unknown:?}");
    let own = setup(&bob, "bob", &["--take-over", &key_of(&ann)]);
    assert_eq!((own.code, own.writes().len()), (1, 0), "{own:?}");

    let taken = key_of(&ann);
    let run = setup(&carol, "carol", &["--take-over", &taken]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let mut expected = vec![key_of(&bob), key_of(&carol)];
    expected.sort();
    assert_eq!(keys(&sdk).await.0, expected);

    // Ann, whose profile names a key that is gone, is told the same.
    let ann_again = setup(&ann, "ann", &[]);
    assert_eq!(ann_again.code, 1, "{ann_again:?}");
    assert!(ann_again.stdout.contains("carol@"), "{}", ann_again.stdout);
    assert_eq!(ann.succeed(&["setup", "delete"]).document()["result"]["left"], json!([]));
}

/// What a run leaves that was killed between making a key and writing it down: nobody knows its secret.
async fn lose_a_key(jitsi: &Deployment, sdk: &SdkConfig, who: &str) -> String {
    let iam = aws_sdk_iam::Client::new(sdk);
    let user = "jitsi-deployer";
    let own = key_of(jitsi);
    iam.delete_access_key().user_name(user).access_key_id(&own).send().await.unwrap();
    let tag = format!("jitsi-aws:key/{own}");
    let tags = iam.get_user().user_name(user).send().await.unwrap();
    let tags = tags.user().unwrap().tags().to_vec();
    let noted = tags.iter().find(|known| known.key() == tag).expect("whose it is").value();
    assert!(!tags.iter().any(|tag| tag.key().contains("making")), "it was made: {tags:?}");
    iam.untag_user().user_name(user).tag_keys(&tag).send().await.unwrap();
    let before = format!("{} none", noted.replace("ann", who));
    let tag = aws_sdk_iam::types::Tag::builder().key("jitsi-aws:making-key").value(before);
    iam.tag_user().user_name(user).tags(tag.build().unwrap()).send().await.unwrap();
    std::fs::remove_file(jitsi.path("credentials")).unwrap();
    let lost = iam.create_access_key().user_name(user).send().await.unwrap();
    lost.access_key().unwrap().access_key_id().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_that_a_killed_run_has_lost_is_replaced_by_its_operator() {
    for (who, kept) in [("ann", false), ("bob", true)] {
        let account = Emulator::shared().account().await;
        let sdk = account.sdk();
        let endpoint = account.endpoint.clone();
        let ann = Deployment::new(account, "jitsi");
        let setup = || Run::of(&mut command(&ann, "ann", &endpoint, &["setup", "iam"]));
        assert_eq!(setup().code, 0);
        let lost = lose_a_key(&ann, &sdk, who).await;
        let run = setup();
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        assert_eq!(run.stderr.contains("lost with a run that was killed"), !kept, "{}", run.stderr);
        let (ids, _) = keys(&sdk).await;
        assert_eq!((ids.len(), ids.contains(&lost)), (1 + usize::from(kept), kept), "of {who}");
        assert!(ids.contains(&key_of(&ann)));
        assert_eq!(ann.succeed(&["setup", "iam"]).writes(), []);
    }
}
