//! Every resource of a deployment once, with what it needs. Plan, apply, status, delete, the IAM
//! policies and the graph in the docs all derive from this list.

use serde_json::Value;

use crate::{
    config::Config,
    cx::Cx,
    engine::{Entry, Key, Resource, Stage},
    ha_test::{self, harm},
    policy,
    resources::{
        access_key::AccessKeyPair,
        agent_bucket::Bucket,
        agent_object::AgentBinary,
        alarm::Alarm,
        alias_record::Alias,
        auto_scaling_group::Group,
        certificate::SiteCertificate,
        dashboard::Figures,
        deployer_policy::DeployerPolicy,
        deployer_user::User,
        elb_health_check::ElbHealth,
        event_rule::EventRule,
        fault_injection_role::ExperimentRole,
        former_aliases::FormerAliases,
        instance::TheInstance,
        instance_profile::Profile,
        instance_role::Role,
        internet_gateway::Gateway,
        key_pair::SshKeyPair,
        launch_template::Template,
        lease_bucket::LeaseBucketOfOurs,
        lifecycle_hook::LifecycleHook,
        listener::Listener,
        load_balancer::Alb,
        route_table::Routes,
        security_group::SecurityGroup,
        service_linked_role::ServiceLinkedRole,
        subnet::Subnet,
        subscription::{FormerSubscribers, Subscription},
        target_group::Targets,
        topic::MailTopic,
        topic_policy::Publishers,
        vpc::Network,
        zone_outage::LeftOutage,
    },
};

/// The catalog of one deployment. What is needed stands above what needs it.
#[rustfmt::skip] // a table
pub fn catalog(config: &Config) -> Vec<Entry> {
    #[allow(clippy::enum_glob_use)] // the table is all keys; test builds do not lint it, so no `expect`
    use Key::*;

    let mut rows = vec![
        // 00 iam
        row(LeaseBucket,              &[], LeaseBucketOfOurs),
        row(InstancesPolicy,          &[], DeployerPolicy::of(Stage::Instances, deployer)),
        row(LbPolicy,                 &[], DeployerPolicy::of(Stage::Lb, deployer)),
        row(MonitoringPolicy,         &[], DeployerPolicy::of(Stage::Monitoring, deployer)),
        row(DeployerUser,             &[InstancesPolicy, LbPolicy, MonitoringPolicy], User),
        row(AccessKey,                &[DeployerUser], AccessKeyPair),
        row(KeyPair,                  &[], SshKeyPair),
        row(InstanceRole,             &[], Role),
        row(InstanceProfile,          &[InstanceRole], Profile),
        row(FaultInjectionRole,       &[], ExperimentRole),
        row(AutoScalingServiceRole,   &[], ServiceLinkedRole::AutoScaling),
        row(LoadBalancingServiceRole, &[], ServiceLinkedRole::LoadBalancing),
        row(FaultInjectionServiceRole, &[], ServiceLinkedRole::FaultInjection),

        // 01 instances
        row(AgentBucket,              &[], Bucket),
        row(AgentObject,              &[AgentBucket], AgentBinary),
        row(Vpc,                      &[], Network),
        row(InternetGateway,          &[Vpc], Gateway),
        row(RouteTable,               &[Vpc, InternetGateway], Routes),
        row(SubnetA,                  &[Vpc, RouteTable], Subnet::A),
        row(SubnetB,                  &[Vpc, RouteTable, SubnetA], Subnet::B),
        row(AlbSecurityGroup,         &[Vpc], SecurityGroup::Alb),
        row(InstanceSecurityGroup,    &[Vpc, AlbSecurityGroup], SecurityGroup::Instance),
        row(TargetGroup,              &[Vpc], Targets),
        row(LaunchTemplate,           &[InstanceSecurityGroup, InstanceProfile, KeyPair, AgentObject], Template),
        row(AutoScalingGroup,         &[AutoScalingServiceRole, LaunchTemplate, SubnetA, SubnetB, TargetGroup], Group),
        row(LaunchHook,               &[AutoScalingGroup], LifecycleHook::Launch),
        row(TerminateHook,            &[AutoScalingGroup], LifecycleHook::Terminate),
        row(Instance,                 &[AutoScalingGroup, LaunchHook, TerminateHook], TheInstance),
        row(ZoneOutage,               &[FaultInjectionRole, SubnetA, SubnetB, AutoScalingGroup], LeftOutage),

        // 02 lb
        row(Certificate,              &[], SiteCertificate { zone: config.validation_zone().cloned() }),
        row(LoadBalancer,             &[LoadBalancingServiceRole, SubnetA, SubnetB, AlbSecurityGroup, InternetGateway], Alb),
        row(HttpsListener,            &[LoadBalancer, Certificate, TargetGroup], Listener::Https),
        row(HttpListener,             &[LoadBalancer], Listener::Http),
        row(AliasRecord,              &[LoadBalancer], Alias { zone: config.hosted_zone.clone() }),
        row(FormerAliasRecords,       &[LoadBalancer, AliasRecord], FormerAliases { zone: config.hosted_zone.clone() }),
        row(ElbHealthCheck,           &[AutoScalingGroup, HttpsListener], ElbHealth),

        // 03 monitoring
        row(Topic,                    &[], MailTopic),
        row(TopicPolicy,              &[Topic], Publishers),
        row(FormerSubscriptions,      &[Topic], FormerSubscribers),
        row(TerminationRule,          &[TopicPolicy, AutoScalingGroup], EventRule::Termination),
        row(LaunchRule,               &[TopicPolicy, AutoScalingGroup], EventRule::Launch),
        row(HealthyHostsAlarm,        &[TopicPolicy, TargetGroup, LoadBalancer], Alarm::HealthyHosts),
        row(Elb5xxAlarm,              &[TopicPolicy, LoadBalancer], Alarm::Elb5xx),
        row(StatusCheckAlarm,         &[TopicPolicy, AutoScalingGroup], Alarm::StatusCheck),
        row(Dashboard,                &[TargetGroup, LoadBalancer, AutoScalingGroup], Figures),
    ];
    rows.extend(config.emails.iter().map(ToString::to_string).map(|address| {
        row(EmailSubscription(address.clone()), &[Topic], Subscription { address })
    }));
    rows
}

/// What the deployer may do in a stage: what its resources call, and what a probe of a closed site
/// and a failover test do.
fn deployer(cx: &Cx, stage: Stage) -> Value {
    let secrets = policy::site_secrets(&cx.names, &cx.config.jitsi.authentication);
    let probing = [ha_test::permissions(), harm::permissions(&cx.names), secrets].concat();
    policy::deployer(&catalog(&cx.config), &probing, stage, &cx.names)
}

fn row(key: Key, needs: &[Key], resource: impl Resource + 'static) -> Entry {
    Entry { key, needs: needs.to_vec(), resource: Box::new(resource) }
}
