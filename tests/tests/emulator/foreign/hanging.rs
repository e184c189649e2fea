//! What somebody else has hung on a thing of ours, and would vanish with it or keep it half deleted: a
//! deletion names it all and deletes nothing.

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, Certificate, ProtocolEnum, RuleCondition, TargetDescription,
};
use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator, inventory};

use super::{
    refused, run,
    things::{Kind, Thing},
};

#[tokio::test]
async fn what_hangs_on_ours_stops_the_deletion_and_is_named() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let mut theirs = on_the_load_balancer(&jitsi, &sdk).await;
    theirs.extend(on_rule_and_topic(&jitsi.account.id, &sdk).await);
    theirs.extend(on_roles_and_policies(&jitsi, &sdk).await);
    let all = inventory::take(&sdk).await;
    let told = refused(&run(&jitsi, &["setup", "delete"]), "delete");
    for thing in &theirs {
        assert!(told.contains(thing), "does not tell of {thing}:\n{told}");
    }
    inventory::assert_same(&inventory::take(&sdk).await, &all, "nothing was deleted");
}

/// A listener, a rule, a certificate and a target.
async fn on_the_load_balancer(jitsi: &Deployment, sdk: &SdkConfig) -> Vec<String> {
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let alb = elbv2.describe_load_balancers().names("jitsi").send().await.unwrap();
    let alb = alb.load_balancers()[0].load_balancer_arn().unwrap();
    let group = elbv2.describe_target_groups().names("jitsi").send().await.unwrap();
    let group = group.target_groups()[0].target_group_arn().unwrap();
    let forward =
        || Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(group).build();
    let ours = elbv2.describe_listeners().load_balancer_arn(alb).send().await.unwrap();
    let ours = ours.listeners().iter().find(|listener| listener.port() == Some(443)).unwrap();
    let ours = ours.listener_arn().unwrap();

    let call = elbv2.create_listener().load_balancer_arn(alb).port(8080);
    let call = call.protocol(ProtocolEnum::Http).default_actions(forward());
    let listener = call.send().await.unwrap().listeners()[0].listener_arn().unwrap().to_owned();
    let path = RuleCondition::builder().field("path-pattern").values("/theirs/*").build();
    let call = elbv2.create_rule().listener_arn(ours).priority(10).conditions(path);
    let rule = call.actions(forward()).send().await.unwrap();
    let rule = rule.rules()[0].rule_arn().unwrap().to_owned();
    let certificate = Thing::make(Kind::Certificate, "theirs", None, jitsi, sdk).await;
    let further = Certificate::builder().certificate_arn(certificate.id()).build();
    let call = elbv2.add_listener_certificates().listener_arn(ours).certificates(further);
    call.send().await.unwrap();
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let call = ec2.run_instances().image_id("ami-12c6146b").min_count(1).max_count(1);
    let target = call.send().await.unwrap().instances()[0].instance_id().unwrap().to_owned();
    let one = TargetDescription::builder().id(&target).build();
    elbv2.register_targets().target_group_arn(group).targets(one).send().await.unwrap();
    vec![listener, rule, certificate.id().to_owned(), target]
}

/// A target of our rule, and who else gets what our topic has to say.
async fn on_rule_and_topic(account: &str, sdk: &SdkConfig) -> Vec<String> {
    use aws_sdk_eventbridge::types::Target;
    let target = format!("arn:aws:sqs:eu-central-1:{account}:target-of-theirs");
    let events = aws_sdk_eventbridge::Client::new(sdk);
    let one = Target::builder().id("theirs").arn(&target).build().unwrap();
    events.put_targets().rule("jitsi-launch").targets(one).send().await.unwrap();

    let queue = format!("arn:aws:sqs:eu-central-1:{account}:subscriber-of-theirs");
    let topic = format!("arn:aws:sns:eu-central-1:{account}:jitsi");
    let call = aws_sdk_sns::Client::new(sdk).subscribe().topic_arn(topic).protocol("sqs");
    call.endpoint(&queue).send().await.unwrap();
    vec![target, queue]
}

/// Who else uses our role and our policies.
async fn on_roles_and_policies(jitsi: &Deployment, sdk: &SdkConfig) -> Vec<String> {
    let iam = aws_sdk_iam::Client::new(sdk);
    Thing::make(Kind::InstanceProfile, "profile-of-theirs", None, jitsi, sdk).await;
    Thing::make(Kind::User, "user-of-theirs", None, jitsi, sdk).await;
    Thing::make(Kind::Role, "role-of-theirs", None, jitsi, sdk).await;
    iam.create_group().group_name("group-of-theirs").send().await.unwrap();
    let call = iam.add_role_to_instance_profile().instance_profile_name("profile-of-theirs");
    call.role_name("jitsi-instance").send().await.unwrap();
    let ours = |name| format!("arn:aws:iam::{}:policy/jitsi-aws/jitsi-{name}", jitsi.account.id);
    let call = iam.attach_user_policy().user_name("user-of-theirs");
    call.policy_arn(ours("lb")).send().await.unwrap();
    let call = iam.attach_role_policy().role_name("role-of-theirs");
    call.policy_arn(ours("lb")).send().await.unwrap();
    let call = iam.attach_group_policy().group_name("group-of-theirs");
    call.policy_arn(ours("monitoring")).send().await.unwrap();
    ["profile-of-theirs", "user-of-theirs", "role-of-theirs", "group-of-theirs"]
        .map(str::to_owned)
        .into()
}

#[tokio::test]
async fn an_mfa_device_of_our_user_stays() {
    let account = Emulator::shared().account().await;
    let iam = aws_sdk_iam::Client::new(&account.sdk());
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let made = iam.create_virtual_mfa_device().virtual_mfa_device_name("theirs").send().await;
    let serial = made.unwrap().virtual_mfa_device().unwrap().serial_number().to_owned();
    let call = iam.enable_mfa_device().user_name("jitsi-deployer").serial_number(&serial);
    let codes = call.authentication_code1("234567").authentication_code2("987654");
    codes.send().await.unwrap();

    let run = jitsi.succeed(&["setup", "delete"]);
    let devices = iam.list_virtual_mfa_devices().send().await.unwrap();
    let left: Vec<_> =
        devices.virtual_mfa_devices().iter().map(|one| one.serial_number()).collect();
    assert_eq!(left, [&serial], "deleted with the user");
    assert!(run.stderr.contains(&format!("MFA device {serial}, which stays")), "{}", run.stderr);
}
