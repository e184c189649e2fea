//! What is said of what is as it should be, what is not, and how many there are: the same words and the same
//! figures from every command.

use std::time::{Duration, SystemTime};

use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};
use serde_json::Value;

fn count(document: &Value, key: &str) -> u64 {
    document["result"][key].as_u64().unwrap_or_else(|| panic!("no {key} in {document}"))
}

/// The numbers of resources in what is said, line by line.
fn told(run: &Run, line: impl Fn(&str) -> bool) -> Vec<u64> {
    let numbers = |line: &str| {
        let before = line.split(" resource").next().unwrap_or_default();
        before.rsplit(' ').next().and_then(|number| number.parse().ok())
    };
    run.stderr.lines().filter(|told| line(told)).filter_map(numbers).collect()
}

#[tokio::test]
async fn a_rerun_is_a_line_for_each_stage_and_the_counts_agree() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let planned = jitsi.run(&["plan", "--json"]);
    assert_eq!(planned.code, 3);
    let to_create = count(&planned.document(), "create");

    let first = jitsi.run(&["setup", "all"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let headers = told(&first, |line| line.contains("resources, as "));
    assert_eq!(headers.iter().sum::<u64>(), to_create, "{}", first.stderr);
    assert!(first.stderr.contains(&format!("{to_create} created in ")), "{}", first.stderr);

    let again = jitsi.run(&["setup", "all"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let same = told(&again, |line| line.starts_with(" = "));
    assert_eq!(same.len(), 4, "{}", again.stderr);
    assert_eq!(same.iter().sum::<u64>(), to_create, "{}", again.stderr);
    assert!(again.stderr.contains(&format!("{to_create} unchanged in ")), "{}", again.stderr);

    let each = jitsi.run(&["setup", "all", "-v"]);
    let lines = each.stderr.lines().filter(|line| line.ends_with("as it should be")).count();
    assert_eq!(lines as u64, to_create, "{}", each.stderr);

    let quiet = jitsi.run(&["setup", "all", "--quiet"]);
    assert_eq!(quiet.code, 0, "{}", quiet.stderr);
    assert!(quiet.stdout.contains("jitsi.example.org. CNAME "), "{}", quiet.stdout);
    for word in [" = ", "unchanged", "resources, as", "next: "] {
        assert!(!quiet.stderr.contains(word), "{word} in {}", quiet.stderr);
    }

    let stages = jitsi.succeed(&["setup"]).document();
    let stages = stages["result"]["stages"].as_array().unwrap().clone();
    let existing: u64 = stages.iter().map(|stage| stage["existing"].as_u64().unwrap()).sum();
    let deleted = count(&jitsi.succeed(&["setup", "delete"]).document(), "deleted");
    // The three roles that services are linked with belong to the account.
    assert_eq!((existing, deleted), (to_create - 3, to_create - 3));
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
}
