//! Things that somebody else has made, by hand as it were.

mod look; // the whole of what can be seen of them

use std::fs;

use aws_config::SdkConfig;
use aws_sdk_ec2::types::{Filter, Subnet};
use jitsi_aws_tests::deployment::Deployment;

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Policy,
    User,
    KeyPair,
    Role,
    InstanceProfile,
    Bucket,
    Vpc,
    InternetGateway,
    RouteTable,
    Subnet,
    SecurityGroup,
    TargetGroup,
    LaunchTemplate,
    AutoScalingGroup,
    Certificate,
    LoadBalancer,
    Topic,
    Rule,
    Alarm,
    Dashboard,
}

/// One thing.
#[derive(Debug)]
pub(super) struct Thing {
    kind: Kind,
    /// By which it is known, or its `Name` tag where nothing else has a name.
    pub(super) name: String,
    /// By which its service finds it, where that is not the name.
    id: Option<String>,
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;

/// The owner tag, where there is to be one, as a service has it; `build` may fail or not.
macro_rules! owner_tag {
    ($owner:expr, $tag:ty) => {
        $owner.map(|owner| vec![<$tag>::builder().key("jitsi-aws:deployment").value(owner).build()])
    };
    ($owner:expr, fallible $tag:ty) => {
        $owner.map(|owner| {
            vec![<$tag>::builder().key("jitsi-aws:deployment").value(owner).build().unwrap()]
        })
    };
}

/// S3 as the emulator's address wants it.
pub(super) fn s3(sdk: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build(),
    )
}

impl Thing {
    /// Makes it; `owner` is the value of our owner tag on it.
    pub(super) async fn make(
        kind: Kind,
        name: &str,
        owner: Option<&str>,
        jitsi: &Deployment,
        sdk: &SdkConfig,
    ) -> Self {
        let id = match kind {
            Kind::Policy | Kind::User | Kind::Role | Kind::InstanceProfile => {
                identity(kind, name, owner, sdk).await
            }
            Kind::Vpc
            | Kind::InternetGateway
            | Kind::RouteTable
            | Kind::Subnet
            | Kind::SecurityGroup
            | Kind::KeyPair
            | Kind::LaunchTemplate => network(kind, name, owner, sdk).await,
            Kind::TargetGroup | Kind::LoadBalancer | Kind::AutoScalingGroup => {
                balancing(kind, name, owner, sdk).await
            }
            Kind::Bucket => bucket(name, owner, sdk).await,
            Kind::Certificate => certificate(owner, jitsi, sdk).await,
            Kind::Topic | Kind::Rule | Kind::Alarm | Kind::Dashboard => {
                monitoring(kind, name, owner, sdk).await
            }
        };
        Self { kind, name: name.to_owned(), id }
    }

    /// What its ARN ends in.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// Below our path only with our tag: where else they lie nobody can ask IAM by tag.
async fn identity(kind: Kind, name: &str, owner: Option<&str>, sdk: &SdkConfig) -> Option<String> {
    let path = if owner == Some("jitsi") { "/jitsi-aws/" } else { "/" };
    let iam = aws_sdk_iam::Client::new(sdk);
    let tags = owner_tag!(owner, fallible aws_sdk_iam::types::Tag);
    match kind {
        Kind::Policy => {
            let call = iam.create_policy().policy_name(name).path(path).policy_document(POLICY);
            let made = call.set_tags(tags).send().await.unwrap();
            return made.policy().unwrap().arn().map(str::to_owned);
        }
        Kind::User => {
            iam.create_user().user_name(name).path(path).set_tags(tags).send().await.unwrap();
            iam.create_access_key().user_name(name).send().await.unwrap();
            let call = iam.put_user_policy().user_name(name).policy_name("theirs");
            call.policy_document(POLICY).send().await.unwrap();
        }
        Kind::Role => {
            let call = iam.create_role().role_name(name).assume_role_policy_document(TRUST);
            call.path(path).set_tags(tags).send().await.unwrap();
            let call = iam.put_role_policy().role_name(name).policy_name("permissions");
            call.policy_document(POLICY).send().await.unwrap();
        }
        _ => {
            let call = iam.create_instance_profile().instance_profile_name(name);
            call.path(path).set_tags(tags).send().await.unwrap();
        }
    }
    None
}

/// Of a VPC of its own, so that nothing of ours is inside of theirs or the other way round.
async fn vpc(ec2: &aws_sdk_ec2::Client) -> String {
    let vpc = ec2.create_vpc().cidr_block("10.99.0.0/16").send().await.unwrap();
    vpc.vpc().unwrap().vpc_id().unwrap().to_owned()
}

async fn network(kind: Kind, name: &str, owner: Option<&str>, sdk: &SdkConfig) -> Option<String> {
    use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let tags = |kind: ResourceType| {
        let mut tags = owner_tag!(owner, Tag).unwrap_or_default();
        tags.push(Tag::builder().key("Name").value(name).build());
        TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
    };
    let id = match kind {
        Kind::Vpc => {
            let call = ec2.create_vpc().cidr_block("10.98.0.0/16");
            let made = call.tag_specifications(tags(ResourceType::Vpc)).send().await.unwrap();
            made.vpc().unwrap().vpc_id().unwrap().to_owned()
        }
        Kind::InternetGateway => {
            let tags = tags(ResourceType::InternetGateway);
            let made = ec2.create_internet_gateway().tag_specifications(tags).send().await.unwrap();
            made.internet_gateway().unwrap().internet_gateway_id().unwrap().to_owned()
        }
        Kind::RouteTable => {
            let call = ec2.create_route_table().vpc_id(vpc(&ec2).await);
            let made =
                call.tag_specifications(tags(ResourceType::RouteTable)).send().await.unwrap();
            made.route_table().unwrap().route_table_id().unwrap().to_owned()
        }
        Kind::Subnet => {
            let call = ec2.create_subnet().vpc_id(vpc(&ec2).await).cidr_block("10.99.1.0/24");
            let made = call.tag_specifications(tags(ResourceType::Subnet)).send().await.unwrap();
            made.subnet().unwrap().subnet_id().unwrap().to_owned()
        }
        Kind::SecurityGroup => {
            let call = ec2.create_security_group().group_name(name).description("theirs");
            let call = call.vpc_id(vpc(&ec2).await);
            let tags = tags(ResourceType::SecurityGroup);
            let made = call.tag_specifications(tags).send().await.unwrap();
            made.group_id().unwrap().to_owned()
        }
        Kind::LaunchTemplate => {
            let data = aws_sdk_ec2::types::RequestLaunchTemplateData::builder()
                .instance_type(aws_sdk_ec2::types::InstanceType::T3Large)
                .image_id("ami-12c6146b")
                .build();
            let call = ec2.create_launch_template().launch_template_name(name);
            let call = call.launch_template_data(data);
            let tags = tags(ResourceType::LaunchTemplate);
            let made = call.tag_specifications(tags).send().await.unwrap();
            made.launch_template().unwrap().launch_template_id().unwrap().to_owned()
        }
        _ => {
            let tags = tags(ResourceType::KeyPair);
            let call = ec2.create_key_pair().key_name(name).tag_specifications(tags);
            call.send().await.unwrap().key_pair_id().unwrap().to_owned()
        }
    };
    Some(id)
}

async fn balancing(kind: Kind, name: &str, owner: Option<&str>, sdk: &SdkConfig) -> Option<String> {
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let tags = owner_tag!(owner, aws_sdk_elasticloadbalancingv2::types::Tag);
    if kind == Kind::TargetGroup {
        let call = elbv2.create_target_group().name(name).vpc_id(vpc(&ec2).await).port(443);
        let call = call.protocol(aws_sdk_elasticloadbalancingv2::types::ProtocolEnum::Https);
        let made = call.set_tags(tags).send().await.unwrap();
        return made.target_groups()[0].target_group_arn().map(str::to_owned);
    }
    let default = Filter::builder().name("default-for-az").values("true").build();
    let subnets = ec2.describe_subnets().filters(default).send().await.unwrap();
    let subnets: Vec<&str> =
        subnets.subnets().iter().filter_map(Subnet::subnet_id).take(2).collect();
    if kind == Kind::LoadBalancer {
        let call = elbv2.create_load_balancer().name(name).subnets(subnets[0]).subnets(subnets[1]);
        let made = call.set_tags(tags).send().await.unwrap();
        return made.load_balancers()[0].load_balancer_arn().map(str::to_owned);
    }
    let template = format!("of-{name}");
    network(Kind::LaunchTemplate, &template, None, sdk).await;
    let tags = owner.map(|owner| {
        let tag = aws_sdk_autoscaling::types::Tag::builder().key("jitsi-aws:deployment");
        let tag = tag.resource_id(name).resource_type("auto-scaling-group");
        vec![tag.value(owner).propagate_at_launch(true).build()]
    });
    let template = aws_sdk_autoscaling::types::LaunchTemplateSpecification::builder()
        .launch_template_name(template)
        .build();
    aws_sdk_autoscaling::Client::new(sdk)
        .create_auto_scaling_group()
        .auto_scaling_group_name(name)
        .min_size(0)
        .max_size(0)
        .launch_template(template)
        .vpc_zone_identifier(subnets[0])
        .set_tags(tags)
        .send()
        .await
        .unwrap();
    None
}

async fn bucket(name: &str, owner: Option<&str>, sdk: &SdkConfig) -> Option<String> {
    use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, Tag, Tagging};
    let s3 = s3(sdk);
    let place = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::EuCentral1)
        .build();
    let call = s3.create_bucket().bucket(name).create_bucket_configuration(place);
    call.send().await.unwrap();
    // Where our agents and notes would lie, too.
    let agent = format!("agents/{}", "0a".repeat(32));
    for key in ["photos/cat.jpg", "proven/trixie/stable.json", &agent] {
        s3.put_object().bucket(name).key(key).body(b"theirs".to_vec().into()).send().await.unwrap();
    }
    if let Some(tags) = owner_tag!(owner, fallible Tag) {
        let tags = Tagging::builder().set_tag_set(Some(tags)).build().unwrap();
        s3.put_bucket_tagging().bucket(name).tagging(tags).send().await.unwrap();
    }
    None
}

async fn certificate(owner: Option<&str>, jitsi: &Deployment, sdk: &SdkConfig) -> Option<String> {
    let file = |name| aws_sdk_acm::primitives::Blob::new(fs::read(jitsi.path(name)).unwrap());
    let made = aws_sdk_acm::Client::new(sdk)
        .import_certificate()
        .certificate(file("cert.pem"))
        .private_key(file("key.pem"))
        .certificate_chain(file("chain.pem"))
        .set_tags(owner_tag!(owner, fallible aws_sdk_acm::types::Tag))
        .send()
        .await
        .unwrap();
    made.certificate_arn().map(str::to_owned)
}

async fn monitoring(
    kind: Kind,
    name: &str,
    owner: Option<&str>,
    sdk: &SdkConfig,
) -> Option<String> {
    let cloudwatch = aws_sdk_cloudwatch::Client::new(sdk);
    match kind {
        Kind::Topic => {
            let sns = aws_sdk_sns::Client::new(sdk);
            let tags = owner_tag!(owner, fallible aws_sdk_sns::types::Tag);
            let made = sns.create_topic().name(name).set_tags(tags).send().await.unwrap();
            let arn = made.topic_arn().unwrap();
            let call = sns.subscribe().topic_arn(arn).protocol("email").endpoint("me@example.org");
            call.send().await.unwrap();
            return Some(arn.to_owned());
        }
        Kind::Rule => {
            let events = aws_sdk_eventbridge::Client::new(sdk);
            let tags = owner_tag!(owner, fallible aws_sdk_eventbridge::types::Tag);
            let call = events.put_rule().name(name).event_pattern(r#"{"source":["theirs"]}"#);
            call.set_tags(tags).send().await.unwrap();
        }
        Kind::Alarm => {
            cloudwatch
                .put_metric_alarm()
                .alarm_name(name)
                .namespace("Theirs")
                .metric_name("Theirs")
                .statistic(aws_sdk_cloudwatch::types::Statistic::Sum)
                .comparison_operator(
                    aws_sdk_cloudwatch::types::ComparisonOperator::GreaterThanThreshold,
                )
                .evaluation_periods(1)
                .period(60)
                .threshold(1.0)
                .set_tags(owner_tag!(owner, aws_sdk_cloudwatch::types::Tag))
                .send()
                .await
                .unwrap();
        }
        _ => {
            let call = cloudwatch.put_dashboard().dashboard_name(name);
            call.dashboard_body(r#"{"widgets":[]}"#).send().await.unwrap();
        }
    }
    None
}
