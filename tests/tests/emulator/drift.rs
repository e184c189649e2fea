//! What somebody changed by hand: each property is spoilt through the API, seen by `plan`, and mended
//! by the next `setup` with nothing else touched.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};
use serde_json::Value;

#[tokio::test]
async fn what_was_changed_by_hand_is_mended() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "all"]);
    let spoilt = spoil(&sdk, &jitsi.account.id).await;
    let plan = jitsi.run(&["plan", "--json"]);
    assert_eq!(plan.code, 3, "{}", plan.stdout);
    let seen = differing(&plan);
    let unseen: Vec<_> = spoilt.iter().filter(|field| !seen.contains(**field)).collect();
    assert!(unseen.is_empty(), "not seen: {unseen:#?}\nseen: {seen:#?}");
    jitsi.succeed(&["setup", "all"]);
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 0, "not mended:\n{}", plan.stdout);
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), []);
}

/// Resource and field of everything that a plan would change: `Vpc DNS names`. Of what it would make, the resource.
fn differing(plan: &Run) -> BTreeSet<String> {
    let document = plan.document();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resources = document["result"]["resources"].as_array().unwrap();
    let named = resources.iter().flat_map(|line| {
        let changes = line["changes"].as_array().unwrap().iter();
        let fields =
            changes.map(|change| format!("{} {}", text(&line["resource"]), text(&change["field"])));
        let made = (line["change"] == "create").then(|| text(&line["resource"]));
        fields.chain(made).collect::<Vec<_>>()
    });
    named.collect()
}

/// Spoils one property of every resource that can be changed in place; names them as [`differing`] does.
pub(crate) async fn spoil(sdk: &SdkConfig, account: &str) -> Vec<&'static str> {
    let mut spoilt = network(sdk).await;
    spoilt.extend(balancing(sdk).await);
    spoilt.extend(scaling(sdk).await);
    spoilt.extend(monitoring(sdk, account).await);
    spoilt.extend(bucket(sdk, account).await);
    spoilt
}

async fn network(sdk: &SdkConfig) -> Vec<&'static str> {
    use aws_sdk_ec2::types::{AttributeBooleanValue, Filter};
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let ours = || Filter::builder().name("tag:jitsi-aws:deployment").values("jitsi").build();
    let vpcs = ec2.describe_vpcs().filters(ours()).send().await.unwrap();
    let vpc = vpcs.vpcs()[0].vpc_id().unwrap();
    ec2.modify_vpc_attribute()
        .vpc_id(vpc)
        .enable_dns_hostnames(AttributeBooleanValue::builder().value(false).build())
        .send()
        .await
        .unwrap();
    ec2.modify_vpc_attribute()
        .vpc_id(vpc)
        .enable_dns_support(AttributeBooleanValue::builder().value(false).build())
        .send()
        .await
        .unwrap();

    routes(&ec2, vpc).await;
    let gateways = ec2.describe_internet_gateways().filters(ours()).send().await.unwrap();
    ec2.detach_internet_gateway()
        .internet_gateway_id(gateways.internet_gateways()[0].internet_gateway_id().unwrap())
        .vpc_id(vpc)
        .send()
        .await
        .unwrap();
    let subnets = ec2.describe_subnets().filters(ours()).send().await.unwrap();
    ec2.modify_subnet_attribute()
        .subnet_id(subnets.subnets()[0].subnet_id().unwrap())
        .map_public_ip_on_launch(AttributeBooleanValue::builder().value(false).build())
        .send()
        .await
        .unwrap();
    let groups = ec2.describe_security_groups().filters(ours()).send().await.unwrap();
    for group in groups.security_groups() {
        let id = group.group_id().unwrap();
        let rules = group.ip_permissions().to_vec();
        ec2.revoke_security_group_ingress()
            .group_id(id)
            .set_ip_permissions(Some(rules))
            .send()
            .await
            .unwrap();
        ec2.authorize_security_group_ingress()
            .group_id(id)
            .ip_protocol("tcp")
            .from_port(22)
            .to_port(22)
            .cidr_ip("0.0.0.0/0")
            .send()
            .await
            .unwrap();
        let out = group.ip_permissions_egress().to_vec();
        let call = ec2.revoke_security_group_egress().group_id(id);
        call.set_ip_permissions(Some(out)).send().await.unwrap();
    }
    rename(&ec2).await;
    vec![
        "Vpc DNS names",
        "Vpc DNS resolution",
        "RouteTable default route",
        "SubnetA route table",
        "SubnetB route table",
        "InternetGateway attached to",
        "SubnetA public addresses",
        "AlbSecurityGroup rule",
        "InstanceSecurityGroup rule",
        "AlbSecurityGroup outgoing traffic",
        "InstanceSecurityGroup outgoing traffic",
        "Vpc Name tag",
        "SubnetA Name tag",
        "SubnetB Name tag",
        "InternetGateway Name tag",
        "RouteTable Name tag",
    ]
}

/// Other `Name` tags for all that has no name besides, and none for one of them.
async fn rename(ec2: &aws_sdk_ec2::Client) {
    use aws_sdk_ec2::types::{Filter, Tag};
    let filter = |name: &str, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Filter::builder().name(name).set_values(Some(values)).build()
    };
    let kinds = ["vpc", "subnet", "internet-gateway", "route-table"];
    let call = ec2.describe_tags().filters(filter("key", &["jitsi-aws:deployment"]));
    let call = call.filters(filter("value", &["jitsi"])).filters(filter("resource-type", &kinds));
    let tags = call.send().await.unwrap();
    let ids = tags.tags().iter().filter_map(|tag| tag.resource_id().map(str::to_owned));
    let ids: Vec<String> = ids.collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
    let name = || Tag::builder().key("Name");
    let call = ec2.create_tags().set_resources(Some(ids.clone()));
    call.tags(name().value("renamed").build()).send().await.unwrap();
    let subnet = ids.into_iter().find(|id| id.starts_with("subnet-")).unwrap();
    ec2.delete_tags().resources(subnet).tags(name().build()).send().await.unwrap();
}

/// The default route leads elsewhere, one subnet has no table of ours, the other has another one.
async fn routes(ec2: &aws_sdk_ec2::Client, vpc: &str) {
    use aws_sdk_ec2::types::Filter;
    let ours = Filter::builder().name("tag:jitsi-aws:deployment").values("jitsi").build();
    let tables = ec2.describe_route_tables().filters(ours).send().await.unwrap();
    let table = &tables.route_tables()[0];
    let elsewhere = ec2.create_internet_gateway().send().await.unwrap();
    ec2.replace_route()
        .route_table_id(table.route_table_id().unwrap())
        .destination_cidr_block("0.0.0.0/0")
        .gateway_id(elsewhere.internet_gateway().unwrap().internet_gateway_id().unwrap())
        .send()
        .await
        .unwrap();
    let associations = table.associations().iter().filter(|a| a.subnet_id().is_some());
    let ids: Vec<&str> = associations.filter_map(|a| a.route_table_association_id()).collect();
    let [first, second] = ids.as_slice() else { panic!("two associations: {ids:?}") };
    ec2.disassociate_route_table().association_id(*first).send().await.unwrap();
    let other = ec2.create_route_table().vpc_id(vpc).send().await.unwrap();
    let other = other.route_table().unwrap().route_table_id().unwrap();
    ec2.replace_route_table_association()
        .association_id(*second)
        .route_table_id(other)
        .send()
        .await
        .unwrap();
}

/// Takes away the route table that [`spoil`] made in our VPC, once nothing uses it any more.
pub(crate) async fn tidy(sdk: &SdkConfig) {
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let vpcs =
        aws_sdk_ec2::types::Filter::builder().name("tag:jitsi-aws:deployment").values("jitsi");
    let vpcs = ec2.describe_vpcs().filters(vpcs.build()).send().await.unwrap();
    let vpc = vpcs.vpcs()[0].vpc_id().unwrap();
    let tables = ec2.describe_route_tables().send().await.unwrap();
    for table in tables.route_tables().iter().filter(|table| table.vpc_id() == Some(vpc)) {
        let main = table.associations().iter().any(|association| association.main() == Some(true));
        if !main && table.tags().is_empty() {
            let id = table.route_table_id().unwrap();
            ec2.delete_route_table().route_table_id(id).send().await.unwrap();
        }
    }
}

async fn balancing(sdk: &SdkConfig) -> Vec<&'static str> {
    use aws_sdk_elasticloadbalancingv2::types::{
        LoadBalancerAttribute, MutualAuthenticationAttributes, TargetGroupAttribute,
    };
    let group_attribute =
        |key: &str, value: &str| TargetGroupAttribute::builder().key(key).value(value).build();
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let groups = elbv2.describe_target_groups().names("jitsi").send().await.unwrap();
    let group = groups.target_groups()[0].target_group_arn().unwrap();
    elbv2
        .modify_target_group()
        .target_group_arn(group)
        .health_check_path("/")
        .send()
        .await
        .unwrap();
    elbv2
        .modify_target_group_attributes()
        .target_group_arn(group)
        .attributes(group_attribute("deregistration_delay.timeout_seconds", "1"))
        .attributes(group_attribute("load_balancing.cross_zone.enabled", "false"))
        .attributes(group_attribute("slow_start.duration_seconds", "900"))
        .attributes(group_attribute("stickiness.enabled", "true"))
        .send()
        .await
        .unwrap();
    let balancers = elbv2.describe_load_balancers().names("jitsi").send().await.unwrap();
    let arn = balancers.load_balancers()[0].load_balancer_arn().unwrap();
    elbv2
        .modify_load_balancer_attributes()
        .load_balancer_arn(arn)
        .attributes(
            LoadBalancerAttribute::builder()
                .key("idle_timeout.timeout_seconds")
                .value("60")
                .build(),
        )
        .attributes(
            LoadBalancerAttribute::builder()
                .key("routing.http.xff_header_processing.mode")
                .value("remove")
                .build(),
        )
        .send()
        .await
        .unwrap();
    placement(sdk, &elbv2, &balancers.load_balancers()[0]).await;
    let listeners = elbv2.describe_listeners().load_balancer_arn(arn).send().await.unwrap();
    let https = listeners.listeners().iter().find(|l| l.port() == Some(443)).unwrap();
    elbv2
        .modify_listener()
        .listener_arn(https.listener_arn().unwrap())
        .ssl_policy("ELBSecurityPolicy-2016-08")
        .mutual_authentication(
            MutualAuthenticationAttributes::builder().mode("passthrough").build(),
        )
        .send()
        .await
        .unwrap();
    vec![
        "TargetGroup health check",
        "TargetGroup deregistration delay",
        "TargetGroup cross-zone load balancing",
        "TargetGroup slow start",
        "TargetGroup stickiness",
        "LoadBalancer idle timeout",
        "LoadBalancer visitors' addresses",
        "LoadBalancer security groups",
        "LoadBalancer subnets",
        "HttpsListener TLS policy",
        "HttpsListener client certificates",
    ]
}

/// Another security group, other subnets.
async fn placement(
    sdk: &SdkConfig,
    elbv2: &aws_sdk_elasticloadbalancingv2::Client,
    alb: &aws_sdk_elasticloadbalancingv2::types::LoadBalancer,
) {
    use aws_sdk_ec2::types::Filter;
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let arn = alb.load_balancer_arn().unwrap();
    let instance = Filter::builder().name("group-name").values("jitsi-instance").build();
    let groups = ec2.describe_security_groups().filters(instance).send().await.unwrap();
    elbv2
        .set_security_groups()
        .load_balancer_arn(arn)
        .security_groups(groups.security_groups()[0].group_id().unwrap())
        .send()
        .await
        .unwrap();
    let default = Filter::builder().name("default-for-az").values("true").build();
    let others = ec2.describe_subnets().filters(default).send().await.unwrap();
    let others = others.subnets().iter().take(2).filter_map(|s| s.subnet_id().map(str::to_owned));
    elbv2
        .set_subnets()
        .load_balancer_arn(arn)
        .set_subnets(Some(others.collect()))
        .send()
        .await
        .unwrap();
}

async fn scaling(sdk: &SdkConfig) -> Vec<&'static str> {
    use aws_sdk_autoscaling::types::{
        AvailabilityZoneDistribution, CapacityDistributionStrategy, DeletionProtection,
    };
    let balanced_only = AvailabilityZoneDistribution::builder()
        .capacity_distribution_strategy(CapacityDistributionStrategy::BalancedOnly)
        .build();
    let autoscaling = aws_sdk_autoscaling::Client::new(sdk);
    autoscaling
        .put_lifecycle_hook()
        .auto_scaling_group_name("jitsi")
        .lifecycle_hook_name("jitsi-launch")
        .lifecycle_transition("autoscaling:EC2_INSTANCE_LAUNCHING")
        .default_result("CONTINUE")
        .heartbeat_timeout(30)
        .send()
        .await
        .unwrap();
    autoscaling
        .update_auto_scaling_group()
        .auto_scaling_group_name("jitsi")
        .health_check_type("EC2")
        .max_size(3)
        .new_instances_protected_from_scale_in(true)
        .availability_zone_distribution(balanced_only)
        .deletion_protection(DeletionProtection::PreventAllDeletion)
        .send()
        .await
        .unwrap();
    // A company's change freeze.
    let call = autoscaling.suspend_processes().auto_scaling_group_name("jitsi");
    let call = call.scaling_processes("Launch").scaling_processes("HealthCheck");
    call.send().await.unwrap();
    let groups = autoscaling
        .describe_auto_scaling_groups()
        .auto_scaling_group_names("jitsi")
        .send()
        .await
        .unwrap();
    autoscaling
        .detach_load_balancer_target_groups()
        .auto_scaling_group_name("jitsi")
        .set_target_group_arns(Some(groups.auto_scaling_groups()[0].target_group_arns().to_vec()))
        .send()
        .await
        .unwrap();
    vec![
        "LaunchHook default result",
        "LaunchHook heartbeat timeout",
        "ElbHealthCheck",
        "Instance size (min/desired/max)",
        "AutoScalingGroup target group",
        "AutoScalingGroup suspended processes",
        "AutoScalingGroup scale-in protection",
        "AutoScalingGroup zone distribution",
        "AutoScalingGroup deletion protection",
    ]
}

async fn monitoring(sdk: &SdkConfig, account: &str) -> Vec<&'static str> {
    let sns = aws_sdk_sns::Client::new(sdk);
    let topic = format!("arn:aws:sns:eu-central-1:{account}:jitsi");
    sns.set_topic_attributes()
        .topic_arn(&topic)
        .attribute_name("Policy")
        .attribute_value(r#"{"Version":"2012-10-17","Statement":[]}"#)
        .send()
        .await
        .unwrap();
    sns.set_topic_attributes()
        .topic_arn(&topic)
        .attribute_name("KmsMasterKeyId")
        .attribute_value("alias/aws/sns")
        .send()
        .await
        .unwrap();
    let events = aws_sdk_eventbridge::Client::new(sdk);
    let rules = events.list_rules().name_prefix("jitsi-").send().await.unwrap();
    for rule in rules.rules() {
        events.disable_rule().name(rule.name().unwrap()).send().await.unwrap();
        let targets =
            events.list_targets_by_rule().rule(rule.name().unwrap()).send().await.unwrap();
        let ids: Vec<String> = targets.targets().iter().map(|t| t.id().to_owned()).collect();
        events.remove_targets().rule(rule.name().unwrap()).set_ids(Some(ids)).send().await.unwrap();
    }
    let cloudwatch = aws_sdk_cloudwatch::Client::new(sdk);
    let alarms = cloudwatch.describe_alarms().send().await.unwrap();
    for alarm in alarms.metric_alarms() {
        cloudwatch
            .put_metric_alarm()
            .alarm_name(alarm.alarm_name().unwrap())
            .set_metric_name(alarm.metric_name().map(str::to_owned))
            .set_namespace(alarm.namespace().map(str::to_owned))
            .set_statistic(alarm.statistic().cloned())
            .set_dimensions(Some(alarm.dimensions().to_vec()))
            .set_comparison_operator(alarm.comparison_operator().cloned())
            .evaluation_periods(99)
            .period(60)
            .threshold(12345.0)
            .send()
            .await
            .unwrap();
    }
    vec![
        "TopicPolicy statements",
        "TopicPolicy encryption",
        "TerminationRule state",
        "TerminationRule target",
        "LaunchRule state",
        "HealthyHostsAlarm condition",
        "Elb5xxAlarm missing data",
        "StatusCheckAlarm actions",
    ]
}

async fn bucket(sdk: &SdkConfig, account: &str) -> Vec<&'static str> {
    use aws_sdk_s3::types::{
        BucketCannedAcl, ObjectOwnership, OwnershipControls, OwnershipControlsRule, StorageClass,
    };
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build(),
    );
    let bucket = format!("jitsi-{account}-eu-central-1");
    for bucket in [&bucket, &format!("{bucket}-lease")] {
        s3.delete_public_access_block().bucket(bucket).send().await.unwrap();
        s3.delete_bucket_policy().bucket(bucket).send().await.unwrap();
        let rule = OwnershipControlsRule::builder().object_ownership(ObjectOwnership::ObjectWriter);
        let rules = OwnershipControls::builder().rules(rule.build().unwrap()).build().unwrap();
        let call = s3.put_bucket_ownership_controls().bucket(bucket).ownership_controls(rules);
        call.send().await.unwrap();
        let call = s3.put_bucket_acl().bucket(bucket).acl(BucketCannedAcl::PublicReadWrite);
        call.send().await.unwrap();
    }
    // As instances leave them, to be deleted with the bucket.
    s3.put_object().bucket(&bucket).key("proven/trixie/stable.json").send().await.unwrap();
    let agents = s3.list_objects_v2().bucket(&bucket).prefix("agents/").send().await.unwrap();
    let key = agents.contents()[0].key().unwrap();
    let agent = s3.get_object().bucket(&bucket).key(key).send().await.unwrap();
    let mut bytes = agent.body.collect().await.unwrap().to_vec();
    bytes[0] ^= 1;
    let call = s3.put_object().bucket(&bucket).key(key).body(bytes.into());
    call.storage_class(StorageClass::Glacier).send().await.unwrap();
    vec![
        "AgentBucket public access",
        "AgentBucket bucket policy",
        "AgentBucket object ownership",
        "LeaseBucket public access",
        "LeaseBucket bucket policy",
        "LeaseBucket object ownership",
        "AgentObject content",
        "AgentObject storage class",
    ]
}
