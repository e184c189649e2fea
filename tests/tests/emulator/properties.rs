//! Every property of a complete deployment, read back through the API by clients of the test's own.

use aws_config::SdkConfig;
use jitsi_aws_tests::{deployment::Deployment, emulator::Emulator};
use serde_json::Value;

const NAME: &str = "jitsi";

/// One complete deployment, and clients to look at it.
struct Complete {
    jitsi: Deployment,
    sdk: SdkConfig,
}

#[tokio::test]
async fn a_complete_deployment_has_every_property() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, NAME);
    let setup = jitsi.succeed(&["setup", "all"]);
    let complete = Complete { jitsi, sdk };
    complete.iam().await;
    complete.bucket().await;
    let vpc = complete.network().await;
    complete.security_groups(&vpc).await;
    let target_group = complete.target_group().await;
    complete.launch_template().await;
    complete.group(&target_group).await;
    let address = complete.load_balancer(&target_group).await;
    assert_eq!(
        setup.document()["result"]["load_balancer"],
        address,
        "the record to create is told"
    );
    complete.monitoring().await;
}

impl Complete {
    async fn iam(&self) {
        let iam = aws_sdk_iam::Client::new(&self.sdk);
        let user = iam.get_user().user_name("jitsi-deployer").send().await.expect("the user");
        assert_eq!(user.user().map(|user| user.path()), Some("/jitsi-aws/"));
        let keys = iam.list_access_keys().user_name("jitsi-deployer").send().await.expect("keys");
        let credentials =
            std::fs::read_to_string(self.jitsi.path("credentials")).expect("a profile");
        let [key] = keys.access_key_metadata() else { panic!("one key: {keys:?}") };
        assert!(credentials.contains("[jitsi-aws-jitsi]"));
        assert!(credentials.contains(key.access_key_id().unwrap()));
        assert_eq!(mode(&self.jitsi.path("credentials")), 0o600);

        let attached =
            iam.list_attached_user_policies().user_name("jitsi-deployer").send().await.unwrap();
        assert_eq!(attached.attached_policies().len(), 3, "one per stage");
        for policy in attached.attached_policies() {
            let document = policy_document(&iam, policy.policy_arn().unwrap()).await;
            assert!(document.to_string().len() <= 6144, "{}", document.to_string().len());
            for statement in document["Statement"].as_array().expect("statements") {
                for action in statement["Action"].as_array().expect("actions") {
                    assert!(!action.as_str().unwrap().contains('*'), "{action} is not exact");
                }
                if statement["Action"].as_array().unwrap().contains(&"iam:PassRole".into()) {
                    let service = &statement["Condition"]["StringEquals"]["iam:PassedToService"];
                    // In China there are two names for EC2: a list.
                    let role = match service.as_str().or(service[0].as_str()).expect("a service") {
                        "ec2.amazonaws.com" => "jitsi-instance",
                        "fis.amazonaws.com" => "jitsi-fault-injection",
                        other => panic!("a role is passed to {other}"),
                    };
                    let resource = statement["Resource"].to_string();
                    assert!(
                        resource.ends_with(&format!(":role/jitsi-aws/{role}\"]")),
                        "{resource}"
                    );
                }
            }
        }

        let role = iam.get_role().role_name("jitsi-instance").send().await.expect("the role");
        let trust = decode(role.role().unwrap().assume_role_policy_document().unwrap());
        assert!(trust.to_string().contains("ec2.amazonaws.com"), "{trust}");
        let profile = iam
            .get_instance_profile()
            .instance_profile_name("jitsi-instance")
            .send()
            .await
            .expect("the profile");
        let roles = profile.instance_profile().unwrap().roles();
        assert_eq!(roles.first().map(|role| role.role_name()), Some("jitsi-instance"));
        let inline = iam.list_role_policies().role_name("jitsi-instance").send().await.unwrap();
        let mut allowed = String::new();
        for name in inline.policy_names() {
            let policy =
                iam.get_role_policy().role_name("jitsi-instance").policy_name(name).send().await;
            allowed += &decode(policy.unwrap().policy_document()).to_string();
        }
        for action in [
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
            "cloudwatch:PutMetricData",
            "s3:GetObject",
            "ssmmessages:CreateControlChannel",
        ] {
            assert!(allowed.contains(action), "the instance may {action}");
        }

        let ec2 = aws_sdk_ec2::Client::new(&self.sdk);
        let pairs = ec2.describe_key_pairs().key_names(NAME).send().await.expect("the key pair");
        assert_eq!(pairs.key_pairs().len(), 1);
    }

    async fn bucket(&self) {
        let s3 = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(&self.sdk).force_path_style(true).build(),
        );
        let bucket = format!("jitsi-{}-eu-central-1", self.jitsi.account.id);
        let block = s3.get_public_access_block().bucket(&bucket).send().await.expect("a block");
        let block = block.public_access_block_configuration().unwrap();
        let all = [
            block.block_public_acls(),
            block.block_public_policy(),
            block.ignore_public_acls(),
            block.restrict_public_buckets(),
        ];
        assert_eq!(all, [Some(true); 4], "private");
        let policy = s3.get_bucket_policy().bucket(&bucket).send().await.expect("a policy");
        assert!(policy.policy().unwrap().contains("aws:SecureTransport"), "TLS only");
        s3.get_bucket_encryption().bucket(&bucket).send().await.expect("encryption");
        let objects = s3.list_objects_v2().bucket(&bucket).send().await.expect("objects");
        let [object] = objects.contents() else { panic!("one agent: {objects:?}") };
        let digest = object.key().unwrap().rsplit('/').next().unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
    }

    async fn network(&self) -> String {
        let ec2 = aws_sdk_ec2::Client::new(&self.sdk);
        let vpcs = ec2.describe_vpcs().filters(owner()).send().await.expect("VPCs");
        let [vpc] = vpcs.vpcs() else { panic!("one VPC: {vpcs:?}") };
        let id = vpc.vpc_id().unwrap();
        for tag in ["Name", "jitsi-aws:deployment", "jitsi-aws:stage", "jitsi-aws:version"] {
            assert!(vpc.tags().iter().any(|found| found.key() == Some(tag)), "{tag}");
        }
        let names = ec2
            .describe_vpc_attribute()
            .vpc_id(id)
            .attribute(aws_sdk_ec2::types::VpcAttributeName::EnableDnsHostnames)
            .send()
            .await
            .unwrap();
        assert_eq!(names.enable_dns_hostnames().and_then(|value| value.value()), Some(true));

        let subnets = ec2.describe_subnets().filters(owner()).send().await.expect("subnets");
        let [a, b] = subnets.subnets() else { panic!("two subnets: {subnets:?}") };
        assert_ne!(a.availability_zone(), b.availability_zone(), "in two zones");
        assert!([a, b].iter().all(|subnet| subnet.map_public_ip_on_launch() == Some(true)));
        let tables = ec2.describe_route_tables().filters(owner()).send().await.expect("tables");
        let [table] = tables.route_tables() else { panic!("one route table of our own") };
        let way_out = |route: &&aws_sdk_ec2::types::Route| {
            route.destination_cidr_block() == Some("0.0.0.0/0")
                && route.gateway_id().is_some_and(|gateway| gateway.starts_with("igw-"))
        };
        assert!(table.routes().iter().any(|route| way_out(&route)), "{:?}", table.routes());
        let mut associated: Vec<_> =
            table.associations().iter().filter_map(|association| association.subnet_id()).collect();
        associated.sort_unstable();
        let mut both = [a.subnet_id().unwrap(), b.subnet_id().unwrap()];
        both.sort_unstable();
        assert_eq!(associated, both);
        id.to_owned()
    }

    async fn security_groups(&self, vpc: &str) {
        let ec2 = aws_sdk_ec2::Client::new(&self.sdk);
        let groups = ec2.describe_security_groups().filters(owner()).send().await.expect("groups");
        let group = |name: &str| {
            let found = groups.security_groups().iter().find(|g| g.group_name() == Some(name));
            found.unwrap_or_else(|| panic!("{name} in {groups:?}"))
        };
        let (alb, instance) = (group("jitsi-alb"), group("jitsi-instance"));
        assert!([alb, instance].iter().all(|group| group.vpc_id() == Some(vpc)));
        assert_eq!(ingress(alb), ["tcp 443 0.0.0.0/0", "tcp 80 0.0.0.0/0"]);
        let from_alb = |port| format!("tcp {port} {}", alb.group_id().unwrap());
        assert_eq!(
            ingress(instance),
            [from_alb(443), from_alb(8443), "udp 10000 0.0.0.0/0".to_owned()],
            "nothing else"
        );
    }

    async fn target_group(&self) -> String {
        let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(&self.sdk);
        let groups = elbv2.describe_target_groups().names(NAME).send().await.expect("target group");
        let group = groups.target_groups().first().expect("one");
        let text = |value: Option<String>| value.unwrap_or_default();
        assert_eq!(text(group.protocol().map(|p| p.to_string())), "HTTPS");
        assert_eq!(group.port(), Some(443));
        assert_eq!(group.protocol_version(), Some("HTTP1"));
        assert_eq!(text(group.health_check_protocol().map(|p| p.to_string())), "HTTPS");
        assert_eq!(group.health_check_port(), Some("8443"));
        assert_eq!(group.health_check_path(), Some("/healthz"));
        assert_eq!(group.matcher().and_then(|matcher| matcher.http_code()), Some("200"));
        let arn = group.target_group_arn().unwrap();
        let attributes =
            elbv2.describe_target_group_attributes().target_group_arn(arn).send().await.unwrap();
        let delay = attributes
            .attributes()
            .iter()
            .find(|a| a.key() == Some("deregistration_delay.timeout_seconds"))
            .and_then(|attribute| attribute.value()?.parse::<u32>().ok())
            .expect("a delay");
        assert!((60..=3600).contains(&delay), "{delay}");
        arn.to_owned()
    }

    async fn launch_template(&self) {
        let ec2 = aws_sdk_ec2::Client::new(&self.sdk);
        let versions = ec2
            .describe_launch_template_versions()
            .launch_template_name(NAME)
            .versions("$Default")
            .send()
            .await
            .expect("a launch template");
        let data = versions.launch_template_versions()[0].launch_template_data().expect("data");
        let metadata = data.metadata_options().expect("metadata options");
        assert_eq!(metadata.http_tokens().map(|t| t.as_str()), Some("required"), "IMDSv2 only");
        assert_eq!(metadata.http_put_response_hop_limit(), Some(1));
        let root = data.block_device_mappings()[0].ebs().expect("a root volume");
        assert_eq!(root.encrypted(), Some(true));
        assert_eq!(root.delete_on_termination(), Some(true));
        assert_eq!(root.volume_type().map(|t| t.as_str()), Some("gp3"));
        let network = &data.network_interfaces()[0];
        assert_eq!(network.associate_public_ip_address(), Some(true));
        assert_eq!(network.groups().len(), 1);
        assert!(data.iam_instance_profile().is_some());
        assert_eq!(data.key_name(), Some(NAME));
        let image = ec2.describe_images().image_ids(data.image_id().unwrap()).send().await.unwrap();
        assert_eq!(image.images()[0].name(), Some("debian-13-amd64-20261020-2272"), "the newest");
        assert_eq!(image.images()[0].owner_id(), Some("136693071363"), "Debian's own");
        assert_eq!(data.block_device_mappings()[0].device_name(), Some("/dev/xvda"));
        let user_data = data.user_data().expect("user-data");
        assert!(user_data.len() <= 16 * 1024 * 4 / 3, "{} characters of base64", user_data.len());
    }

    async fn group(&self, target_group: &str) {
        let autoscaling = aws_sdk_autoscaling::Client::new(&self.sdk);
        let groups = autoscaling
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(NAME)
            .send()
            .await
            .expect("the group");
        let [group] = groups.auto_scaling_groups() else { panic!("one group: {groups:?}") };
        let sizes = (group.min_size(), group.max_size(), group.desired_capacity());
        assert_eq!(sizes, (Some(1), Some(1), Some(1)));
        assert_eq!(group.vpc_zone_identifier().unwrap().split(',').count(), 2, "both subnets");
        assert_eq!(group.target_group_arns(), [target_group]);
        assert_eq!(group.health_check_type(), Some("ELB"), "switched on by `setup lb`");
        assert!(group.tags().iter().all(|tag| tag.propagate_at_launch() == Some(true)));
        let hooks = autoscaling
            .describe_lifecycle_hooks()
            .auto_scaling_group_name(NAME)
            .send()
            .await
            .expect("hooks");
        let mut hooks: Vec<_> = hooks
            .lifecycle_hooks()
            .iter()
            .map(|hook| {
                let result = hook.default_result().unwrap_or_default();
                (hook.lifecycle_hook_name().unwrap_or_default(), result)
            })
            .collect();
        hooks.sort_unstable();
        assert_eq!(hooks, [("jitsi-launch", "ABANDON"), ("jitsi-terminate", "CONTINUE")]);
    }

    async fn load_balancer(&self, target_group: &str) -> String {
        let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(&self.sdk);
        let balancers = elbv2.describe_load_balancers().names(NAME).send().await.expect("the ALB");
        let alb = &balancers.load_balancers()[0];
        assert_eq!(alb.scheme().map(|s| s.as_str()), Some("internet-facing"));
        assert_eq!(alb.availability_zones().len(), 2);
        let arn = alb.load_balancer_arn().unwrap();
        let attributes =
            elbv2.describe_load_balancer_attributes().load_balancer_arn(arn).send().await.unwrap();
        let attribute = |key: &str| {
            let found = attributes.attributes().iter().find(|a| a.key() == Some(key));
            found.and_then(|a| a.value()).unwrap_or_default().to_owned()
        };
        assert!(attribute("idle_timeout.timeout_seconds").parse::<u32>().unwrap() >= 300);
        assert_eq!(attribute("routing.http.drop_invalid_header_fields.enabled"), "true");
        let listeners = elbv2.describe_listeners().load_balancer_arn(arn).send().await.unwrap();
        let listener = |port: i32| {
            let found = listeners.listeners().iter().find(|l| l.port() == Some(port));
            found.unwrap_or_else(|| panic!("a listener on {port}"))
        };
        let https = listener(443);
        assert!(https.ssl_policy().unwrap().contains("TLS13"), "{:?}", https.ssl_policy());
        assert_eq!(https.certificates().len(), 1);
        assert_eq!(https.default_actions()[0].target_group_arn(), Some(target_group));
        let redirect = listener(80).default_actions()[0].redirect_config().expect("a redirect");
        assert_eq!(redirect.status_code().map(|c| c.as_str()), Some("HTTP_301"));
        assert_eq!(redirect.protocol(), Some("HTTPS"));
        alb.dns_name().unwrap().to_owned()
    }

    async fn monitoring(&self) {
        let sns = aws_sdk_sns::Client::new(&self.sdk);
        let topic = format!("arn:aws:sns:eu-central-1:{}:jitsi", self.jitsi.account.id);
        let attributes =
            sns.get_topic_attributes().topic_arn(&topic).send().await.expect("a topic");
        let policy = &attributes.attributes().unwrap()["Policy"];
        for publisher in ["events.amazonaws.com", "cloudwatch.amazonaws.com"] {
            assert!(policy.contains(publisher), "{publisher} may publish: {policy}");
        }
        let subscriptions = sns
            .list_subscriptions_by_topic()
            .topic_arn(&topic)
            .send()
            .await
            .expect("subscriptions");
        let mut addresses: Vec<_> =
            subscriptions.subscriptions().iter().filter_map(|s| s.endpoint()).collect();
        addresses.sort_unstable();
        assert_eq!(addresses, ["boss@example.org", "ops@example.org"]);

        let events = aws_sdk_eventbridge::Client::new(&self.sdk);
        let rules = events.list_rules().name_prefix("jitsi-").send().await.expect("rules");
        let mut watched = String::new();
        for rule in rules.rules() {
            let pattern = rule.event_pattern().expect("a pattern");
            assert!(pattern.contains(r#""jitsi""#), "only our own group: {pattern}");
            watched += pattern;
            let targets =
                events.list_targets_by_rule().rule(rule.name().unwrap()).send().await.unwrap();
            let [target] = targets.targets() else { panic!("one target: {targets:?}") };
            assert_eq!(target.arn(), topic);
            assert!(target.input_transformer().is_some(), "a readable message");
        }
        for event in [
            "EC2 Instance Terminate Successful",
            "EC2 Instance Launch Successful",
            "EC2 Instance Launch Unsuccessful",
        ] {
            assert!(watched.contains(event), "{event}: {watched}");
        }

        let cloudwatch = aws_sdk_cloudwatch::Client::new(&self.sdk);
        let alarms = cloudwatch.describe_alarms().send().await.expect("alarms");
        let mut metrics: Vec<_> =
            alarms.metric_alarms().iter().filter_map(|alarm| alarm.metric_name()).collect();
        metrics.sort_unstable();
        assert_eq!(metrics, ["HTTPCode_ELB_5XX_Count", "HealthyHostCount", "StatusCheckFailed"]);
        for alarm in alarms.metric_alarms() {
            assert_eq!(alarm.alarm_actions(), std::slice::from_ref(&topic));
        }
    }
}

fn owner() -> aws_sdk_ec2::types::Filter {
    aws_sdk_ec2::types::Filter::builder().name("tag:jitsi-aws:deployment").values(NAME).build()
}

/// `tcp 443 0.0.0.0/0`, sorted.
fn ingress(group: &aws_sdk_ec2::types::SecurityGroup) -> Vec<String> {
    let mut rules = Vec::new();
    for permission in group.ip_permissions() {
        let protocol = permission.ip_protocol().unwrap_or_default();
        let (from, to) = (permission.from_port(), permission.to_port());
        assert_eq!(from, to, "single ports only");
        let port = from.unwrap_or_default();
        let ranges = permission.ip_ranges().iter().filter_map(|range| range.cidr_ip());
        let groups = permission.user_id_group_pairs().iter().filter_map(|pair| pair.group_id());
        rules.extend(ranges.chain(groups).map(|source| format!("{protocol} {port} {source}")));
    }
    rules.sort();
    rules
}

async fn policy_document(iam: &aws_sdk_iam::Client, arn: &str) -> Value {
    let policy = iam.get_policy().policy_arn(arn).send().await.expect("the policy");
    let version = policy.policy().and_then(|policy| policy.default_version_id()).unwrap();
    let version =
        iam.get_policy_version().policy_arn(arn).version_id(version).send().await.unwrap();
    decode(version.policy_version().unwrap().document().unwrap())
}

/// IAM answers policy documents percent-encoded.
pub(crate) fn decode(document: &str) -> Value {
    let text = percent_encoding::percent_decode_str(document).decode_utf8().expect("UTF-8");
    serde_json::from_str(&text).expect("JSON")
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}
