//! The whole of what can be seen of a thing: the same before and after, if nobody has touched it.

use std::fmt::Debug;

use aws_config::SdkConfig;

use super::{Kind, Thing, s3};

impl Thing {
    /// All that can be seen of it.
    pub(in super::super) async fn look(&self, sdk: &SdkConfig) -> String {
        let (name, id) = (self.name.as_str(), self.id());
        let iam = aws_sdk_iam::Client::new(sdk);
        let ec2 = aws_sdk_ec2::Client::new(sdk);
        let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
        match self.kind {
            Kind::Policy => {
                let policy = iam.get_policy().policy_arn(id).send().await.unwrap();
                let versions = iam.list_policy_versions().policy_arn(id).send().await.unwrap();
                shown(&(policy.policy(), versions.versions()))
            }
            Kind::User => {
                let user = iam.get_user().user_name(name).send().await.unwrap();
                let keys = iam.list_access_keys().user_name(name).send().await.unwrap();
                let policies = iam.list_user_policies().user_name(name).send().await.unwrap();
                shown(&(user.user(), keys.access_key_metadata(), policies.policy_names()))
            }
            Kind::Role => {
                let role = iam.get_role().role_name(name).send().await.unwrap();
                let policies = iam.list_role_policies().role_name(name).send().await.unwrap();
                shown(&(role.role(), policies.policy_names()))
            }
            Kind::InstanceProfile => {
                let call = iam.get_instance_profile().instance_profile_name(name);
                shown(&call.send().await.unwrap().instance_profile())
            }
            Kind::KeyPair => {
                shown(&ec2.describe_key_pairs().key_names(name).send().await.unwrap().key_pairs())
            }
            Kind::Vpc => shown(&ec2.describe_vpcs().vpc_ids(id).send().await.unwrap().vpcs()),
            Kind::InternetGateway => {
                let call = ec2.describe_internet_gateways().internet_gateway_ids(id);
                shown(&call.send().await.unwrap().internet_gateways())
            }
            Kind::RouteTable => {
                let call = ec2.describe_route_tables().route_table_ids(id);
                shown(&call.send().await.unwrap().route_tables())
            }
            Kind::Subnet => {
                shown(&ec2.describe_subnets().subnet_ids(id).send().await.unwrap().subnets())
            }
            Kind::SecurityGroup => {
                let call = ec2.describe_security_groups().group_ids(id);
                shown(&call.send().await.unwrap().security_groups())
            }
            Kind::LaunchTemplate => {
                let call = ec2.describe_launch_templates().launch_template_ids(id);
                let template = call.send().await.unwrap();
                let call = ec2.describe_launch_template_versions().launch_template_id(id);
                let versions = call.send().await.unwrap();
                shown(&(template.launch_templates(), versions.launch_template_versions()))
            }
            Kind::TargetGroup | Kind::LoadBalancer => {
                let tags = elbv2.describe_tags().resource_arns(id).send().await.unwrap();
                let tags = tags.tag_descriptions();
                if self.kind == Kind::TargetGroup {
                    let call = elbv2.describe_target_groups().target_group_arns(id);
                    shown(&(call.send().await.unwrap().target_groups(), tags))
                } else {
                    let call = elbv2.describe_load_balancers().load_balancer_arns(id);
                    shown(&(call.send().await.unwrap().load_balancers(), tags))
                }
            }
            Kind::AutoScalingGroup => {
                let client = aws_sdk_autoscaling::Client::new(sdk);
                let call = client.describe_auto_scaling_groups().auto_scaling_group_names(name);
                shown(&call.send().await.unwrap().auto_scaling_groups())
            }
            Kind::Bucket => seen_bucket(name, sdk).await,
            Kind::Certificate => {
                let acm = aws_sdk_acm::Client::new(sdk);
                let arn = id;
                let whole = acm.describe_certificate().certificate_arn(arn).send().await.unwrap();
                let tags = acm.list_tags_for_certificate().certificate_arn(arn).send().await;
                shown(&(whole.certificate().map(|one| one.serial()), tags.unwrap().tags()))
            }
            Kind::Topic | Kind::Rule | Kind::Alarm | Kind::Dashboard => self.watching(sdk).await,
        }
    }

    async fn watching(&self, sdk: &SdkConfig) -> String {
        let (name, id) = (self.name.as_str(), self.id());
        let cloudwatch = aws_sdk_cloudwatch::Client::new(sdk);
        match self.kind {
            Kind::Topic => {
                let sns = aws_sdk_sns::Client::new(sdk);
                let arn = id;
                let topic = sns.get_topic_attributes().topic_arn(arn).send().await.unwrap();
                let mut attributes: Vec<_> = topic.attributes().unwrap().iter().collect();
                attributes.sort_unstable();
                let readers =
                    sns.list_subscriptions_by_topic().topic_arn(arn).send().await.unwrap();
                let tags = sns.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
                shown(&(attributes, readers.subscriptions(), tags.tags()))
            }
            Kind::Rule => {
                let events = aws_sdk_eventbridge::Client::new(sdk);
                let rule = events.describe_rule().name(name).send().await.unwrap();
                let targets = events.list_targets_by_rule().rule(name).send().await.unwrap();
                let arn = rule.arn().unwrap();
                let tags = events.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
                shown(&(rule.event_pattern(), rule.state(), targets.targets(), tags.tags()))
            }
            Kind::Alarm => {
                let alarms = cloudwatch.describe_alarms().alarm_names(name).send().await.unwrap();
                shown(&alarms.metric_alarms())
            }
            _ => {
                let call = cloudwatch.get_dashboard().dashboard_name(name);
                shown(&call.send().await.unwrap().dashboard_body())
            }
        }
    }
}

fn shown(seen: &impl Debug) -> String {
    let text = format!("{seen:?}");
    assert!(!["None", "[]", "(None", "([]"].iter().any(|none| text.starts_with(none)), "is gone");
    text
}

async fn seen_bucket(name: &str, sdk: &SdkConfig) -> String {
    let s3 = s3(sdk);
    let versions = s3.list_object_versions().bucket(name).send().await.unwrap();
    let tags = s3.get_bucket_tagging().bucket(name).send().await.ok();
    let policy = s3.get_bucket_policy().bucket(name).send().await.ok();
    let block = s3.get_public_access_block().bucket(name).send().await.ok();
    shown(&(
        versions.versions(),
        tags.as_ref().map(|tags| tags.tag_set()),
        policy.as_ref().map(|policy| policy.policy()),
        block.as_ref().map(|block| block.public_access_block_configuration()),
    ))
}
