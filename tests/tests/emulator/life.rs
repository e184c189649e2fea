//! A whole life, driven as a user would: nothing, complete, unchanged, changed, nothing.

use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator, inventory};

#[tokio::test]
async fn from_nothing_to_complete_and_back_to_nothing() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let before = with_service_linked_roles(&jitsi, &sdk).await;

    let first = jitsi.succeed(&["setup", "all"]);
    assert!(!first.writes().is_empty());
    let complete = inventory::take(&sdk).await;
    assert!(complete.is_superset(&before));

    let second = jitsi.succeed(&["setup", "all"]);
    assert_eq!(second.writes(), [], "a second run changes nothing");
    inventory::assert_same(&inventory::take(&sdk).await, &complete, "unchanged");
    assert_eq!(jitsi.run(&["plan"]).code, 0, "and there is nothing to plan");

    let delete = jitsi.succeed(&["setup", "delete"]);
    assert_eq!(delete.document()["result"]["left"].as_array().map(Vec::len), Some(0));
    inventory::assert_same(&inventory::take(&sdk).await, &before, "the account is as it was");
    assert!(!jitsi.path("credentials").exists(), "and so is this machine");

    let again = jitsi.succeed(&["setup", "delete"]);
    assert_eq!(again.document()["result"]["deleted"], 0);
    assert_eq!(again.writes(), []);
}

/// Service-linked roles belong to the account and stay (deleting one would break other groups and
/// load balancers), so they are part of "before".
async fn with_service_linked_roles(
    jitsi: &Deployment,
    sdk: &aws_config::SdkConfig,
) -> inventory::Inventory {
    let iam = aws_sdk_iam::Client::new(sdk);
    let services =
        ["autoscaling.amazonaws.com", "elasticloadbalancing.amazonaws.com", "fis.amazonaws.com"];
    for service in services {
        iam.create_service_linked_role().aws_service_name(service).send().await.expect(service);
    }
    assert_eq!(jitsi.run(&["plan"]).code, 3, "there is something to do");
    inventory::take(sdk).await
}

#[tokio::test]
async fn each_stage_builds_on_the_ones_before() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    let early = jitsi.run(&["setup", "lb"]);
    assert_eq!(early.code, 1, "{}", early.stderr);
    assert!(early.stderr.contains("jitsi-aws setup"), "{}", early.stderr);

    for stage in ["00", "01", "02", "03"] {
        jitsi.succeed(&["setup", stage]);
    }
    let stages = jitsi.succeed(&["setup"]).document();
    for stage in stages["result"]["stages"].as_array().expect("stages") {
        assert_eq!(stage["state"], "ready", "{stage}");
    }
    jitsi.succeed(&["setup", "99"]);
}

/// What is changed, how `jitsi.toml` changes, and the writes that makes, sorted.
type Change = (&'static str, fn(&str) -> String, &'static [&'static str]);

#[tokio::test]
async fn one_changed_setting_makes_exactly_that_update() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let changes: [Change; 7] = [
        (
            "instance type",
            |text| format!("{text}[instance]\ntype = \"c7i.xlarge\"\n"),
            &["CreateLaunchTemplateVersion", "ModifyLaunchTemplate"],
        ),
        (
            "ssh",
            |text| {
                format!(
                    "{text}[instance]\ntype = \"c7i.xlarge\"\n[network]\nssh_from = [\"198.51.100.0/24\"]\n"
                )
            },
            &["AuthorizeSecurityGroupIngress"],
        ),
        (
            "ssh closed again",
            |text| format!("{text}[instance]\ntype = \"c7i.xlarge\"\n"),
            &["RevokeSecurityGroupIngress"],
        ),
        (
            "mail",
            |text| text.replace("boss@", "chief@") + "[instance]\ntype = \"c7i.xlarge\"\n",
            &["Subscribe", "Unsubscribe"],
        ),
        (
            "a maximum age",
            |text| {
                text.replace("boss@", "chief@")
                    + "[instance]\ntype = \"c7i.xlarge\"\nmax_age = \"30d\"\n"
            },
            &["UpdateAutoScalingGroup"],
        ),
        (
            "none again",
            |text| text.replace("boss@", "chief@") + "[instance]\ntype = \"c7i.xlarge\"\n",
            &["UpdateAutoScalingGroup"],
        ),
        (
            "drain",
            |text| {
                text.replace("boss@", "chief@")
                    + "[instance]\ntype = \"c7i.xlarge\"\n[meetings]\ndrain = \"20m\"\n"
            },
            &[
                "CreateLaunchTemplateVersion",
                "ModifyLaunchTemplate",
                "ModifyTargetGroupAttributes",
                "PutLifecycleHook",
            ],
        ),
    ];
    for (what, change, expected) in changes {
        jitsi.configure(change);
        assert_eq!(jitsi.run(&["plan"]).code, 3, "{what}");
        let mut writes: Vec<String> = jitsi
            .succeed(&["setup", "all"])
            .changes()
            .into_iter()
            .map(|call| call.operation)
            .collect();
        writes.sort();
        assert_eq!(writes, expected, "{what}");
        assert_eq!(jitsi.run(&["plan"]).code, 0, "{what}: done");
    }
    jitsi.write_certificate("jitsi.example.org");
    let renewed = jitsi.succeed(&["setup", "lb"]);
    let operations: Vec<String> =
        renewed.changes().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["ImportCertificate", "AddTagsToCertificate"], "to the same ARN");
}

#[tokio::test]
async fn two_deployments_side_by_side_never_touch_each_other() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let one = Deployment::new(account.clone(), "one");
    let two = Deployment::new(account, "two");
    one.succeed(&["setup", "all"]);
    let with_one = inventory::take(&sdk).await;
    two.succeed(&["setup", "all"]);
    assert_eq!(one.succeed(&["setup", "all"]).writes(), []);
    two.succeed(&["setup", "delete"]);
    inventory::assert_same(&inventory::take(&sdk).await, &with_one, "the other's is untouched");
    assert_eq!(one.succeed(&["setup", "all"]).writes(), []);
}

#[tokio::test]
async fn the_same_name_in_another_region_is_refused() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let elsewhere = jitsi.run(&["setup", "iam", "--region", "eu-west-1"]);
    assert_eq!(elsewhere.code, 1, "{}", elsewhere.stderr);
    assert!(elsewhere.stderr.contains("`jitsi in eu-central-1`"), "{}", elsewhere.stderr);
    assert_eq!(jitsi.succeed(&["setup", "iam"]).writes(), [], "the first is untouched");
}

#[tokio::test]
async fn a_half_made_deployment_is_deleted_too() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    let before = with_service_linked_roles(&jitsi, &sdk).await;
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    jitsi.succeed(&["setup", "delete"]);
    inventory::assert_same(&inventory::take(&sdk).await, &before, "nothing is left");
}

#[tokio::test]
async fn the_deployer_deletes_all_but_the_iam_part() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let refused = jitsi.run(&["setup", "delete", "--yes=jitsi", "--profile", "jitsi-aws-jitsi"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--keep-iam"), "{}", refused.stderr);
    jitsi.succeed(&["setup", "delete", "--keep-iam"]);
    let stages = jitsi.succeed(&["setup"]).document();
    let state = |index: usize| stages["result"]["stages"][index]["state"].clone();
    assert_eq!(
        (state(0), state(1), state(2), state(3)),
        ("ready".into(), "not made".into(), "not made".into(), "not made".into())
    );
    jitsi.succeed(&["setup", "delete"]);
}

#[tokio::test]
async fn nothing_is_deleted_without_a_yes() {
    let account = Emulator::shared().account().await;
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let asked = jitsi.run(&["setup", "delete"]);
    assert_eq!(asked.code, 1, "nobody is there to ask");
    assert!(asked.stderr.contains("`jitsi-aws setup delete --yes=jitsi`"), "{}", asked.stderr);
    assert_eq!(jitsi.succeed(&["setup", "iam"]).writes(), [], "all is still there");
}
