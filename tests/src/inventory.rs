//! Everything an account holds that a deployment could have made, read through the API.

use std::collections::BTreeSet;

use aws_config::SdkConfig;

/// `type id`, one line per thing. Things AWS gives every account (default VPC, AWS-managed policies)
/// are in it too: two inventories are compared, never one with nothing.
pub type Inventory = BTreeSet<String>;

/// Fails with what is there but should not be, and the other way round.
///
/// # Panics
/// When they differ.
pub fn assert_same(actual: &Inventory, expected: &Inventory, why: &str) {
    let extra: Vec<_> = actual.difference(expected).collect();
    let missing: Vec<_> = expected.difference(actual).collect();
    assert!(
        extra.is_empty() && missing.is_empty(),
        "{why}: extra {extra:#?}, missing {missing:#?}"
    );
}

/// Takes the inventory of the account behind `config`.
///
/// # Panics
/// When a service does not answer.
pub async fn take(config: &SdkConfig) -> Inventory {
    let mut all = Inventory::new();
    ec2(config, &mut all).await;
    scaling_and_balancing(config, &mut all).await;
    iam(config, &mut all).await;
    monitoring(config, &mut all).await;
    storage_and_names(config, &mut all).await;
    all
}

macro_rules! list {
    ($all:ident, $kind:literal, $call:expr, $items:ident, $id:expr) => {
        for item in $call.send().await.expect($kind).$items() {
            $all.insert(format!("{} {}", $kind, ($id)(item)));
        }
    };
}

async fn ec2(config: &SdkConfig, all: &mut Inventory) {
    use aws_sdk_ec2::{Client, types};
    let ec2 = Client::new(config);
    list!(all, "vpc", ec2.describe_vpcs(), vpcs, |x: &types::Vpc| text(x.vpc_id()));
    list!(all, "subnet", ec2.describe_subnets(), subnets, |x: &types::Subnet| text(x.subnet_id()));
    list!(
        all,
        "internet gateway",
        ec2.describe_internet_gateways(),
        internet_gateways,
        |x: &types::InternetGateway| text(x.internet_gateway_id())
    );
    list!(
        all,
        "route table",
        ec2.describe_route_tables(),
        route_tables,
        |x: &types::RouteTable| text(x.route_table_id())
    );
    list!(
        all,
        "security group",
        ec2.describe_security_groups(),
        security_groups,
        |x: &types::SecurityGroup| text(x.group_id())
    );
    list!(
        all,
        "launch template",
        ec2.describe_launch_templates(),
        launch_templates,
        |x: &types::LaunchTemplate| text(x.launch_template_id())
    );
    list!(all, "key pair", ec2.describe_key_pairs(), key_pairs, |x: &types::KeyPairInfo| text(
        x.key_pair_id()
    ));
    // No volumes: the emulator keeps an instance's root volume, whatever its launch template says.
    let instances = ec2.describe_instances().send().await.expect("instances");
    for instance in instances.reservations().iter().flat_map(types::Reservation::instances) {
        let state = instance.state().and_then(types::InstanceState::name);
        if state != Some(&types::InstanceStateName::Terminated) {
            all.insert(format!("instance {}", text(instance.instance_id())));
        }
    }
}

async fn scaling_and_balancing(config: &SdkConfig, all: &mut Inventory) {
    use aws_sdk_autoscaling::types::AutoScalingGroup;
    use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, TargetGroup};
    let autoscaling = aws_sdk_autoscaling::Client::new(config);
    list!(
        all,
        "group",
        autoscaling.describe_auto_scaling_groups(),
        auto_scaling_groups,
        |x: &AutoScalingGroup| text(x.auto_scaling_group_name())
    );
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(config);
    list!(
        all,
        "load balancer",
        elbv2.describe_load_balancers(),
        load_balancers,
        |x: &LoadBalancer| text(x.load_balancer_arn())
    );
    list!(all, "target group", elbv2.describe_target_groups(), target_groups, |x: &TargetGroup| {
        text(x.target_group_arn())
    });
    let acm = aws_sdk_acm::Client::new(config);
    list!(
        all,
        "certificate",
        acm.list_certificates(),
        certificate_summary_list,
        |x: &aws_sdk_acm::types::CertificateSummary| text(x.certificate_arn())
    );
}

async fn iam(config: &SdkConfig, all: &mut Inventory) {
    use aws_sdk_iam::types::{InstanceProfile, Policy, PolicyScopeType, Role, User};
    let iam = aws_sdk_iam::Client::new(config);
    list!(all, "user", iam.list_users(), users, |x: &User| x.arn().to_owned());
    list!(all, "role", iam.list_roles(), roles, |x: &Role| x.arn().to_owned());
    list!(
        all,
        "policy",
        iam.list_policies().scope(PolicyScopeType::Local),
        policies,
        |x: &Policy| text(x.arn())
    );
    list!(
        all,
        "instance profile",
        iam.list_instance_profiles(),
        instance_profiles,
        |x: &InstanceProfile| x.arn().to_owned()
    );
}

async fn monitoring(config: &SdkConfig, all: &mut Inventory) {
    use aws_sdk_cloudwatch::types::{DashboardEntry, MetricAlarm};
    use aws_sdk_eventbridge::types::Rule;
    use aws_sdk_sns::types::{Subscription, Topic};
    let sns = aws_sdk_sns::Client::new(config);
    list!(all, "topic", sns.list_topics(), topics, |x: &Topic| text(x.topic_arn()));
    list!(
        all,
        "subscription",
        sns.list_subscriptions(),
        subscriptions,
        |x: &Subscription| format!("{} {}", text(x.topic_arn()), text(x.endpoint()))
    );
    let events = aws_sdk_eventbridge::Client::new(config);
    list!(all, "rule", events.list_rules(), rules, |x: &Rule| text(x.name()));
    let cloudwatch = aws_sdk_cloudwatch::Client::new(config);
    list!(all, "alarm", cloudwatch.describe_alarms(), metric_alarms, |x: &MetricAlarm| text(
        x.alarm_name()
    ));
    list!(
        all,
        "dashboard",
        cloudwatch.list_dashboards(),
        dashboard_entries,
        |x: &DashboardEntry| text(x.dashboard_name())
    );
}

async fn storage_and_names(config: &SdkConfig, all: &mut Inventory) {
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config).force_path_style(true).build(),
    );
    list!(all, "bucket", s3.list_buckets(), buckets, |x: &aws_sdk_s3::types::Bucket| text(
        x.name()
    ));
    let route53 = aws_sdk_route53::Client::new(config);
    let zones = route53.list_hosted_zones().send().await.expect("hosted zones");
    for zone in zones.hosted_zones() {
        let records = route53.list_resource_record_sets().hosted_zone_id(zone.id()).send().await;
        for record in records.expect("records").resource_record_sets() {
            all.insert(format!("record {} {:?}", record.name(), record.r#type()));
        }
    }
}

fn text(id: Option<&str>) -> String {
    id.unwrap_or("?").to_owned()
}
