//! The deployer's rights are not those it needs: it is told in seconds which, and by what command they come;
//! the rest is planned as far as it may look.

use aws_sdk_iam::Client;
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    hints,
};

use crate::privileges::hosted_zone;

/// As long after the last `setup iam` as rights are not new any more.
fn an_hour_later(jitsi: &Deployment) {
    let path = jitsi.path("credentials");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.retain(|line| !line.starts_with("jitsi_aws_changed"));
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn next(run: &Run) -> String {
    hints::commands(run).pop().unwrap_or_else(|| panic!("no next command: {}", run.stderr))
}

/// Plans and sets up `stage` while `words` tell what its rights lack: so many things at least cannot be seen.
fn assert_told(jitsi: &Deployment, stage: &str, words: &str, unseen: u64) {
    let plan = jitsi.run(&["plan", "--json", "-v"]);
    assert_eq!(plan.code, 3, "{}{}", plan.stdout, plan.stderr);
    let unknown = plan.document()["result"]["unknown"].as_u64();
    assert!(unknown.is_some_and(|unknown| unknown >= unseen), "{}", plan.stdout);
    // A wait of minutes asks again and again; seconds of patience with IAM are a dozen looks.
    let calls = plan.calls();
    let times = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
    for (operation, limit) in
        [("ListResourceRecordSets", 4), ("DescribeLoadBalancers", 3), ("GetPolicy", 45)]
    {
        assert!(times(operation) <= limit, "{operation}: {}", times(operation));
    }

    let plan = jitsi.run(&["plan"]);
    assert!(plan.stdout.contains("not known yet"), "{}", plan.stdout);
    assert!(plan.stderr.contains(words), "{}", plan.stderr);
    assert_eq!(hints::commands(&plan), ["jitsi-aws setup iam", "jitsi-aws setup all"]);

    let profile = ["--profile", "jitsi-aws-jitsi"];
    let plan = jitsi.run(&[&["plan", stage], &profile[..]].concat());
    assert!(plan.stderr.contains(words), "{}", plan.stderr);
    let (iam, again) = (
        "jitsi-aws setup iam --profile ADMIN".to_owned(),
        format!("jitsi-aws plan {stage} --profile jitsi-aws-jitsi"),
    );
    assert_eq!(hints::commands(&plan), [iam, again]);

    let stages = jitsi.run(&["setup"]);
    assert_eq!(stages.code, 0, "{}", stages.stderr);
    assert!(stages.stdout.contains("not known") && stages.stderr.contains(words), "{stages:?}");
    assert_eq!(next(&stages), "jitsi-aws setup all");

    let setup = jitsi.run(&["setup", stage, "--json", "-v"]);
    assert_eq!((setup.code, setup.writes()), (1, Vec::new()), "{}", setup.stdout);
    let error = setup.document()["result"].clone();
    assert!(error["what"].as_str().unwrap().contains(words), "{error}");
    let hint = format!("run `jitsi-aws setup iam`, then `jitsi-aws setup {stage}`");
    assert_eq!(error["hint"], hint.as_str());
}

#[tokio::test]
async fn rights_that_must_change_first_are_told() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let fresh = jitsi.run(&["setup", "iam"]);
    assert_eq!(next(&fresh), "jitsi-aws setup instances", "{}", fresh.stderr);
    jitsi.succeed(&["setup", "all"]);
    assert_eq!(next(&jitsi.run(&["setup", "iam"])), "jitsi-aws probe");

    // No right is granted on what does not exist.
    let with_zone = |text: &str, zone: &str| format!("{text}[dns]\nhosted_zone = \"{zone}\"\n");
    jitsi.configure(|text| with_zone(text, "Z0NOWHERE"));
    let nowhere = jitsi.run(&["setup", "iam", "--json", "-v"]);
    assert_eq!((nowhere.code, nowhere.writes()), (1, Vec::new()), "{}", nowhere.stdout);
    let hint = nowhere.document()["result"]["hint"].clone();
    assert!(hint.as_str().unwrap().contains("[dns] hosted_zone"), "{hint}");

    let zone = hosted_zone(&sdk).await;
    jitsi.configure(|text| with_zone(text, &zone));
    let lacks = "the IAM policy jitsi-lb is without elasticloadbalancing:RemoveTags, \
                 route53:ChangeResourceRecordSets, route53:ListResourceRecordSets";
    assert_told(&jitsi, "lb", lacks, 2);
    assert_eq!(next(&jitsi.run(&["setup", "iam"])), "jitsi-aws setup lb");
    jitsi.succeed(&["setup", "all"]);

    let iam = Client::new(&sdk);
    let arn = |policy: &str| format!("arn:aws:iam::{}:policy/jitsi-aws/{policy}", jitsi.account.id);
    for (policy, stage, words, unseen) in [
        ("jitsi-lb", "lb", "the IAM user jitsi-deployer lacks jitsi-lb", 10),
        ("jitsi-monitoring", "monitoring", "it may not even look at its own rights", 10),
    ] {
        let call = iam.detach_user_policy().user_name("jitsi-deployer").policy_arn(arn(policy));
        call.send().await.unwrap();
        an_hour_later(&jitsi);
        assert_told(&jitsi, stage, words, unseen);
        jitsi.succeed(&["setup", "all"]);
        assert_eq!(jitsi.run(&["plan"]).code, 0);
    }
}
