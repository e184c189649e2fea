//! What is said of what is as it should be, what is not, and how many there are: the same words and the same
//! figures from every command.

use std::time::{Duration, SystemTime};

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};
use serde_json::Value;

fn count(document: &Value, key: &str) -> u64 {
    document[key].as_u64().unwrap_or_else(|| panic!("no {key} in {document}"))
}

fn result(run: &Run) -> Value {
    run.document()["result"].clone()
}

/// The number that stands before `words`; none when they are not said.
fn before(said: &str, words: &str) -> Option<u64> {
    let number = said.split_once(words)?.0.rsplit([' ', '\n']).next()?;
    Some(number.parse().unwrap_or_else(|_| panic!("no number before `{words}` in {said}")))
}

/// The numbers that `words` are said of, one for each line.
fn each(said: &str, words: &str) -> Vec<u64> {
    said.lines().filter_map(|line| before(line, words)).collect()
}

/// The plan, when it and the stages' state agree with each other, in JSON and in words; with what exists.
fn agreed(jitsi: &Deployment) -> (Value, u64) {
    let plan = result(&jitsi.run(&["plan", "--json"]));
    let resources = plan["resources"].as_array().unwrap();
    let stages = result(&jitsi.succeed(&["setup"]))["stages"].as_array().unwrap().clone();
    let overview = jitsi.run(&["setup"]).stdout;
    let mut existing = 0;
    for stage in &stages {
        let here = || resources.iter().filter(|line| line["stage"] == stage["stage"]);
        let exist = here().filter(|line| line["id"].is_string()).count() as u64;
        assert_eq!(count(stage, "existing"), exist, "{stage}");
        for change in ["create", "update", "delete"] {
            let planned = here().filter(|line| line["change"] == change).count() as u64;
            assert_eq!(count(stage, change), planned, "{change}: {stage}");
        }
        if stage["state"] == "ready" {
            let line =
                overview.lines().find(|line| line.contains(stage["stage"].as_str().unwrap()));
            assert_eq!(before(line.unwrap(), " resources"), Some(exist), "{overview}");
        }
        existing += exist;
    }
    let said = jitsi.run(&["plan"]).stderr;
    for (change, words) in [("create", "create"), ("update", "change"), ("delete", "delete")] {
        let sum: u64 = stages.iter().map(|stage| count(stage, change)).sum();
        assert_eq!(count(&plan, change), sum, "{plan}");
        let words = before(&said, &format!(" to {words}")).unwrap_or_default();
        assert_eq!(words, sum, "{change}: {said}");
    }
    (plan, existing)
}

/// Runs `setup` with these words, and holds what it says it did against what was planned and what is there.
fn sets_up_as_planned(jitsi: &Deployment, words: &[&str]) {
    let stage = words.last().copied().unwrap().replace("all", "");
    let here = |line: &&Value| stage.is_empty() || line["stage"] == stage;
    let (plan, _) = agreed(jitsi);
    let planned = |change: &str| {
        let lines = plan["resources"].as_array().unwrap().iter().filter(here);
        lines.filter(|line| line["change"] == change).count() as u64
    };
    let run = jitsi.run(&[&["setup"], words].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    // "43 created in 7.4 s"
    let done =
        |line: &&str| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" in ");
    let summary = run.stderr.lines().find(done);
    let said = |words: &str| before(summary.unwrap_or_default(), words).unwrap_or_default();
    assert_eq!(said(" created"), planned("create"), "{}", run.stderr);
    assert_eq!(said(" changed"), planned("update"), "{}", run.stderr);
    assert_eq!(said(" unchanged"), planned("keep"), "{}", run.stderr);
    assert_eq!(said(" deleted"), planned("delete"), "{}", run.stderr);
    let same: u64 = each(&run.stderr, " resources are as they should be").iter().sum();
    let one = each(&run.stderr, " resource is as it should be").iter().sum::<u64>();
    assert_eq!(same + one, said(" unchanged"), "{}", run.stderr);
    if stage.is_empty() {
        let (_, existing) = agreed(jitsi);
        assert_eq!(existing, said(" created") + said(" changed") + said(" unchanged"));
    }
}

#[tokio::test]
async fn every_count_of_a_whole_life_agrees_with_the_others() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    sets_up_as_planned(&jitsi, &["iam"]);
    sets_up_as_planned(&jitsi, &["all"]);
    sets_up_as_planned(&jitsi, &["all"]);
    jitsi.configure(|text| text.replace("boss@", "chief@") + "[meetings]\ndrain = \"20m\"\n");
    sets_up_as_planned(&jitsi, &["all"]);
    // A second operator has a key of their own, of the same user.
    let other = jitsi.with_another_operator();
    sets_up_as_planned(&other, &["all"]);
    let (_, existing) = agreed(&jitsi);
    assert_eq!(agreed(&other).1, existing);

    let asked = jitsi.run(&["setup", "delete"]);
    let doomed = before(&asked.stderr, " resources would be deleted");
    let deleted = result(&jitsi.succeed(&["setup", "delete"]));
    assert_eq!(doomed, Some(count(&deleted, "deleted")), "{}", asked.stderr);
    let kept = deleted["kept"].as_array().unwrap().len() as u64;
    assert_eq!((kept, count(&deleted, "deleted") + kept), (3, existing), "{deleted}");
    assert!(asked.stderr.contains("because they belong to the account: service-linked role AWS"));

    // Where the account has one of its roles already.
    let account = Emulator::shared().account().await;
    let iam = aws_sdk_iam::Client::new(&account.sdk());
    let linked = iam.create_service_linked_role().aws_service_name("autoscaling.amazonaws.com");
    linked.send().await.unwrap();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.configure(|text| text.split("[monitoring]").next().unwrap().to_owned());
    sets_up_as_planned(&jitsi, &["all"]);
    sets_up_as_planned(&jitsi, &["lb"]);
}

#[tokio::test]
async fn a_rerun_is_a_line_for_each_stage() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let (_, existing) = agreed(&jitsi);
    let again = jitsi.run(&["setup", "all"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(again.stderr.lines().filter(|line| line.starts_with(" = ")).count(), 4);

    let each = jitsi.run(&["setup", "all", "-v"]);
    let lines = each.stderr.lines().filter(|line| line.ends_with("as it should be")).count();
    assert_eq!(lines as u64, existing, "{}", each.stderr);

    let quiet = jitsi.run(&["setup", "all", "--quiet"]);
    assert_eq!(quiet.code, 0, "{}", quiet.stderr);
    assert!(quiet.stdout.contains("jitsi.example.org. CNAME "), "{}", quiet.stdout);
    for word in [" = ", "unchanged", ", as ", "next: "] {
        assert!(!quiet.stderr.contains(word), "{word} in {}", quiet.stderr);
    }

    let listed = |arguments: &[&str]| {
        let said = jitsi.run(arguments).stderr;
        let (list, _) = said.split_once("Not deleted").unwrap_or_default();
        list.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let list = listed(&["setup", "delete"]);
    let resources = list.iter().filter(|line| line.starts_with(' ') && !line.starts_with(" …"));
    assert_eq!(resources.count() as u64, existing - 3);
    for line in &list {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let whole = listed(&["setup", "delete", "-v"]);
    assert!(whole.iter().any(|line| line.contains("arn:aws:elasticloadbalancing")), "{whole:?}");
    assert_eq!(listed(&["setup", "delete", "--quiet"]), [""; 0]);
}

/// The states of the stages, in their order.
fn states(jitsi: &Deployment) -> Vec<String> {
    let stages = jitsi.succeed(&["setup"]).document();
    let stages = stages["result"]["stages"].as_array().unwrap().clone();
    stages.iter().map(|stage| stage["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_word_for_a_stage_means_one_thing() {
    let account = Emulator::shared().account().await;
    let iam = aws_sdk_iam::Client::new(&account.sdk());
    let jitsi = Deployment::new(account, "jitsi");
    let linked = iam.create_service_linked_role().aws_service_name("autoscaling.amazonaws.com");
    linked.send().await.unwrap();
    assert_eq!(states(&jitsi), ["not made"; 4], "the account's own role is nobody's half");

    let soon = SystemTime::now() + Duration::from_hours(10 * 24);
    jitsi.write_certificate_until("jitsi.example.org", Some(soon));
    jitsi.succeed(&["setup", "all"]);
    assert_eq!(states(&jitsi), ["ready", "ready", "expiring", "ready"]);

    jitsi.succeed(&["setup", "delete"]);
    let role = iam.create_role().role_name("jitsi-instance").assume_role_policy_document("{}");
    role.send().await.unwrap();
    assert_eq!(states(&jitsi)[0], "conflict");
}

#[tokio::test]
async fn a_plan_shows_the_values_of_what_it_would_make_and_what_that_costs() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.configure(|text| format!("{text}[instance]\ntype = \"c7i.xlarge\"\n[network]\nzones = [\"eu-central-1a\", \"eu-central-1b\"]\n"));
    let run = jitsi.run(&["plan"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    for value in [
        "10.20.0.0/16",
        "10.20.16.0/20 in eu-central-1b",
        "c7i.xlarge, the newest Debian 13, 20 GiB gp3, encrypted",
        "imported from cert.pem",
        "10000/udp",
    ] {
        assert!(run.stdout.contains(value), "{value} in\n{}", run.stdout);
    }
    assert!(
        run.stdout
            .contains("cost: a c7i.xlarge with 20 GiB, its public address and a load balancer"),
        "{}",
        run.stdout
    );
    // Of what is not known, nothing is claimed.
    jitsi.configure(str::to_owned);
    let other = jitsi.run(&["plan", "--region", "eu-west-1"]).stdout;
    for (run, unknown) in [(&run.stdout, "c7i.xlarge in eu-central-1"), (&other, "in eu-west-1")] {
        let figure = run.lines().find(|line| line.contains("110 USD")).unwrap();
        assert!(
            figure.contains("does not know the price of") && figure.contains(unknown),
            "{figure}"
        );
    }
}
