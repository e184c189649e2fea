//! What somebody else has put beside ours, or laid on it, and what does harm there: `plan` and `setup` tell it with the
//! command that takes it away, and leave it.

use aws_config::SdkConfig;
use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator};

#[tokio::test]
async fn what_somebody_else_s_does_is_told_and_left() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let theirs = beside(&sdk, &jitsi.account.id).await;
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 0, "nothing for us to do:\n{}", plan.stdout);
    assert!(plan.stderr.contains("what somebody else's does, see above"), "{}", plan.stderr);
    let stages = jitsi.run(&["setup"]);
    let setup = jitsi.succeed(&["setup", "all"]);
    assert_eq!(setup.writes(), []);
    for thing in &theirs {
        assert!(plan.stdout.contains(thing), "plan does not tell of {thing}:\n{}", plan.stdout);
        assert!(
            stages.stderr.contains(thing),
            "setup does not tell of {thing}:\n{}",
            stages.stderr
        );
        assert!(
            setup.stderr.contains(thing),
            "setup all does not tell of {thing}:\n{}",
            setup.stderr
        );
    }
}

/// Puts something of somebody else's beside everything that it could harm; what must be told of each.
async fn beside(sdk: &SdkConfig, account: &str) -> Vec<&'static str> {
    use aws_sdk_s3::types::{
        BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
        LifecycleRuleFilter,
    };
    let autoscaling = aws_sdk_autoscaling::Client::new(sdk);
    let call = autoscaling.put_scheduled_update_group_action().auto_scaling_group_name("jitsi");
    let call = call.scheduled_action_name("nightly").recurrence("0 20 * * *");
    call.min_size(0).max_size(0).desired_capacity(0).send().await.unwrap();
    let call = autoscaling.put_lifecycle_hook().auto_scaling_group_name("jitsi");
    let call = call.lifecycle_hook_name("inventory").heartbeat_timeout(7200);
    let call = call.lifecycle_transition("autoscaling:EC2_INSTANCE_LAUNCHING");
    call.default_result("ABANDON").send().await.unwrap();

    let iam = aws_sdk_iam::Client::new(sdk);
    let call = iam.put_role_policy().role_name("jitsi-instance").policy_name("backup");
    let more = r#"{"Version":"2012-10-17",
        "Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;
    call.policy_document(more).send().await.unwrap();
    let policy = iam.create_policy().policy_name("inventory").policy_document(more).send().await;
    let policy = policy.unwrap().policy().unwrap().arn().unwrap().to_owned();
    let call = iam.attach_role_policy().role_name("jitsi-instance").policy_arn(&policy);
    call.send().await.unwrap();
    let call = iam.put_role_permissions_boundary().role_name("jitsi-instance");
    call.permissions_boundary(policy).send().await.unwrap();

    let call = aws_sdk_sns::Client::new(sdk).set_topic_attributes();
    let call = call.topic_arn(format!("arn:aws:sns:eu-central-1:{account}:jitsi"));
    let call = call.attribute_name("KmsMasterKeyId").attribute_value("alias/theirs");
    call.send().await.unwrap();

    visitors(sdk).await;
    filters(sdk).await;
    let rule = LifecycleRule::builder().id("cheaper").status(ExpirationStatus::Enabled);
    let rule = rule.filter(LifecycleRuleFilter::builder().prefix("").build());
    let rule = rule.expiration(LifecycleExpiration::builder().days(90).build()).build().unwrap();
    let rules = BucketLifecycleConfiguration::builder().rules(rule).build().unwrap();
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build(),
    );
    let call = s3.put_bucket_lifecycle_configuration();
    let call = call.bucket(format!("jitsi-{account}-eu-central-1"));
    call.lifecycle_configuration(rules).send().await.unwrap();
    vec![
        "IAM role `jitsi-instance` is bounded by",
        "the topic is encrypted with somebody's key alias/theirs",
        "detach-role-policy --role-name jitsi-instance",
        "delete-role-policy --role-name jitsi-instance --policy-name backup",
        "detach-load-balancer-target-groups --auto-scaling-group-name jitsi",
        "elbv2 deregister-targets",
        "elbv2 delete-rule",
        "ec2 describe-network-acls",
        "s3api delete-bucket-lifecycle",
        "delete-scheduled-action --auto-scaling-group-name jitsi --scheduled-action-name nightly",
        "delete-lifecycle-hook --auto-scaling-group-name jitsi --lifecycle-hook-name inventory",
    ]
}

/// Whom visitors reach: a rule before ours, an instance besides ours, another target group that judges ours.
async fn visitors(sdk: &SdkConfig) {
    use aws_sdk_elasticloadbalancingv2::types::{
        Action, ActionTypeEnum, ProtocolEnum, RuleCondition, TargetDescription,
    };
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let groups = elbv2.describe_target_groups().names("jitsi").send().await.unwrap();
    let (group, vpc) = (&groups.target_groups()[0], groups.target_groups()[0].vpc_id().unwrap());
    let group = group.target_group_arn().unwrap();
    let balancers = elbv2.describe_load_balancers().names("jitsi").send().await.unwrap();
    let alb = balancers.load_balancers()[0].load_balancer_arn().unwrap();
    let listeners = elbv2.describe_listeners().load_balancer_arn(alb).send().await.unwrap();
    let https = listeners.listeners().iter().find(|l| l.port() == Some(443)).unwrap();
    let path = RuleCondition::builder().field("path-pattern").values("/*").build();
    let forward = Action::builder().r#type(ActionTypeEnum::Forward).target_group_arn(group);
    let call = elbv2.create_rule().listener_arn(https.listener_arn().unwrap()).priority(1);
    call.conditions(path).actions(forward.build()).send().await.unwrap();

    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let call = ec2.run_instances().image_id("ami-12c6146b").min_count(1).max_count(1);
    let made = call.send().await.unwrap();
    let target = TargetDescription::builder().id(made.instances()[0].instance_id().unwrap());
    let call = elbv2.register_targets().target_group_arn(group).targets(target.build());
    call.send().await.unwrap();

    let call = elbv2.create_target_group().name("theirs").protocol(ProtocolEnum::Http).port(80);
    let other = call.vpc_id(vpc).send().await.unwrap();
    let other = other.target_groups()[0].target_group_arn().unwrap();
    let autoscaling = aws_sdk_autoscaling::Client::new(sdk);
    let call = autoscaling.attach_load_balancer_target_groups().auto_scaling_group_name("jitsi");
    call.target_group_arns(other).send().await.unwrap();
}

/// A network ACL that keeps everybody out of one subnet.
async fn filters(sdk: &SdkConfig) {
    use aws_sdk_ec2::types::{Filter, RuleAction};
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let ours = Filter::builder().name("tag:Name").values("jitsi-b").build();
    let subnets = ec2.describe_subnets().filters(ours).send().await.unwrap();
    let of = Filter::builder().name("association.subnet-id");
    let of = of.values(subnets.subnets()[0].subnet_id().unwrap()).build();
    let acls = ec2.describe_network_acls().filters(of).send().await.unwrap();
    let call = ec2.create_network_acl_entry().egress(false).rule_number(10).protocol("-1");
    let call = call.network_acl_id(acls.network_acls()[0].network_acl_id().unwrap());
    let call = call.cidr_block("0.0.0.0/0").rule_action(RuleAction::Deny);
    call.send().await.unwrap();
}
