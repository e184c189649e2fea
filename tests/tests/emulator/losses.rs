//! What somebody deleted by hand: `plan` announces for every resource exactly what `setup` then does.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};
use serde_json::Value;

/// Every resource with what is done to it, sorted.
type Deeds = BTreeMap<String, Vec<String>>;

fn note(deeds: &mut Deeds, resource: &Value, deed: &str) {
    let all = deeds.entry(resource.as_str().unwrap().to_owned()).or_default();
    all.push(deed.to_owned());
    all.sort();
}

fn planned(plan: &Run) -> Deeds {
    let mut deeds = Deeds::new();
    for line in plan.document()["result"]["resources"].as_array().unwrap() {
        let deed = match line["change"].as_str().unwrap() {
            "create" => "created",
            "update" => "changed",
            "keep" => "unchanged",
            "delete" => "deleted",
            other => panic!("{other}: {line}"),
        };
        note(&mut deeds, &line["resource"], deed);
    }
    deeds
}

fn done(setup: &Run) -> Deeds {
    let mut deeds = Deeds::new();
    for line in setup.stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["event"] == "finished" && event["outcome"] != "not wanted" {
            note(&mut deeds, &event["resource"], event["outcome"].as_str().unwrap());
        }
    }
    deeds
}

/// Plans, sets up, and compares the two; how many things were made.
fn heals_as_planned(jitsi: &Deployment, lost: &str) -> usize {
    let plan = jitsi.run(&["plan", "--json"]);
    assert_eq!(plan.code, if lost.is_empty() { 0 } else { 3 }, "{lost}: {}", plan.stdout);
    let setup = jitsi.succeed(&["setup", "all"]);
    let (planned, done) = (planned(&plan), done(&setup));
    for (resource, deeds) in &planned {
        assert_eq!(done.get(resource), Some(deeds), "{resource} after {lost}");
    }
    assert_eq!(done.len(), planned.len(), "{lost}: {done:#?}");
    let created = done.values().flatten().filter(|deed| *deed == "created").count();
    let counted = setup.document()["result"]["created"].as_u64();
    assert_eq!(counted, Some(created as u64), "{lost}");
    created
}

#[tokio::test]
async fn what_plan_announces_is_what_setup_does() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    heals_as_planned(&jitsi, "nothing yet");
    group_and_topic(&sdk, &jitsi.account.id).await;
    assert!(heals_as_planned(&jitsi, "the group and the topic") >= 8);
    balancer_and_roles(&sdk).await;
    assert!(heals_as_planned(&jitsi, "the load balancer and the instance's role") >= 4);
    parts(&sdk).await;
    assert!(heals_as_planned(&jitsi, "single parts") >= 7);
    assert_eq!(heals_as_planned(&jitsi, ""), 0);
}

/// With them go hooks and instance, policy and subscriptions.
async fn group_and_topic(sdk: &SdkConfig, account: &str) {
    let group = aws_sdk_autoscaling::Client::new(sdk).delete_auto_scaling_group();
    group.auto_scaling_group_name("jitsi").force_delete(true).send().await.unwrap();
    let topic = format!("arn:aws:sns:eu-central-1:{account}:jitsi");
    aws_sdk_sns::Client::new(sdk).delete_topic().topic_arn(topic).send().await.unwrap();
}

/// With it go its listeners; a role is taken out of its profile first.
async fn balancer_and_roles(sdk: &SdkConfig) {
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let balancers = elbv2.describe_load_balancers().names("jitsi").send().await.unwrap();
    let arn = balancers.load_balancers()[0].load_balancer_arn().unwrap();
    elbv2.delete_load_balancer().load_balancer_arn(arn).send().await.unwrap();
    let iam = aws_sdk_iam::Client::new(sdk);
    let (role, name) = ("jitsi-instance", iam.list_role_policies());
    let inline = name.role_name(role).send().await.unwrap();
    for policy in inline.policy_names() {
        iam.delete_role_policy().role_name(role).policy_name(policy).send().await.unwrap();
    }
    let call = iam.remove_role_from_instance_profile().instance_profile_name(role);
    call.role_name(role).send().await.unwrap();
    iam.delete_role().role_name(role).send().await.unwrap();
}

/// What can go alone, one of every kind.
async fn parts(sdk: &SdkConfig) {
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let balancers = elbv2.describe_load_balancers().names("jitsi").send().await.unwrap();
    let arn = balancers.load_balancers()[0].load_balancer_arn().unwrap();
    let listeners = elbv2.describe_listeners().load_balancer_arn(arn).send().await.unwrap();
    for listener in listeners.listeners() {
        let arn = listener.listener_arn().unwrap();
        elbv2.delete_listener().listener_arn(arn).send().await.unwrap();
    }

    let autoscaling = aws_sdk_autoscaling::Client::new(sdk);
    let call = autoscaling.delete_lifecycle_hook().auto_scaling_group_name("jitsi");
    call.lifecycle_hook_name("jitsi-terminate").send().await.unwrap();
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    ec2.delete_launch_template().launch_template_name("jitsi").send().await.unwrap();
    ec2.delete_key_pair().key_name("jitsi").send().await.unwrap();

    let cloudwatch = aws_sdk_cloudwatch::Client::new(sdk);
    cloudwatch.delete_alarms().alarm_names("jitsi-elb-5xx").send().await.unwrap();
    cloudwatch.delete_dashboards().dashboard_names("jitsi-eu-central-1").send().await.unwrap();
    let events = aws_sdk_eventbridge::Client::new(sdk);
    events.remove_targets().rule("jitsi-launch").ids("mail").send().await.unwrap();
    events.delete_rule().name("jitsi-launch").send().await.unwrap();
}
