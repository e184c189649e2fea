//! The name of every resource in the graph, and the stage that makes it.

use std::fmt;

/// The numbered steps of a deployment, in the order they build on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// 00, with admin credentials: who may do what.
    Iam,
    /// 01: network, launch template, Auto Scaling group.
    Instances,
    /// 02: certificate, load balancer, listeners.
    Lb,
    /// 03: topic, rules, alarms.
    Monitoring,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Iam, Self::Instances, Self::Lb, Self::Monitoring];

    /// The word of the command, `setup lb`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Instances => "instances",
            Self::Lb => "lb",
            Self::Monitoring => "monitoring",
        }
    }

    /// The number of the case study's script, `02`.
    pub fn number(self) -> &'static str {
        match self {
            Self::Iam => "00",
            Self::Instances => "01",
            Self::Lb => "02",
            Self::Monitoring => "03",
        }
    }
}

/// Declares the keys once: variant, the words a person reads, the stage.
macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident = $title:literal in $stage:ident,)+) => {
        /// Every resource of a deployment.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Key {
            $($(#[$doc])* $key,)+
            /// One address that gets mail.
            EmailSubscription(String),
        }

        impl Key {
            /// What it is, in AWS's own words.
            pub fn title(&self) -> &'static str {
                match self {
                    $(Self::$key => $title,)+
                    Self::EmailSubscription(_) => "e-mail subscription",
                }
            }

            /// The stage that makes it.
            pub fn stage(&self) -> Stage {
                match self {
                    $(Self::$key => Stage::$stage,)+
                    Self::EmailSubscription(_) => Stage::Monitoring,
                }
            }
        }
    };
}

keys! {
    /// Private bucket for the lease of who is at work: made first, deleted last.
    LeaseBucket = "bucket" in Iam,
    /// What the deployer may do in stage 01.
    InstancesPolicy = "IAM policy" in Iam,
    /// What the deployer may do in stage 02.
    LbPolicy = "IAM policy" in Iam,
    /// What the deployer may do in stage 03.
    MonitoringPolicy = "IAM policy" in Iam,
    /// The user stages 01 to 03 run as.
    DeployerUser = "IAM user" in Iam,
    /// That user's access key, in a profile of its own.
    AccessKey = "access key" in Iam,
    /// The key pair for SSH; made locally, only its public half is sent.
    KeyPair = "key pair" in Iam,
    /// What the instance may do.
    InstanceRole = "IAM role" in Iam,
    /// The role as EC2 takes it.
    InstanceProfile = "instance profile" in Iam,
    /// What AWS Fault Injection Service may do when a zone outage is tried.
    FaultInjectionRole = "IAM role" in Iam,
    /// The role Auto Scaling works as; shared by the whole account.
    AutoScalingServiceRole = "service-linked role" in Iam,
    /// The role Elastic Load Balancing works as; shared by the whole account.
    LoadBalancingServiceRole = "service-linked role" in Iam,
    /// The role AWS Fault Injection Service watches its experiments as; shared by the whole account.
    FaultInjectionServiceRole = "service-linked role" in Iam,

    /// Private bucket for the agent.
    AgentBucket = "bucket" in Instances,
    /// The agent, under its SHA-256.
    AgentObject = "agent object" in Instances,
    /// The network.
    Vpc = "VPC" in Instances,
    /// Its way out.
    InternetGateway = "internet gateway" in Instances,
    /// Routes of both subnets.
    RouteTable = "route table" in Instances,
    /// Subnet in the first zone.
    SubnetA = "subnet" in Instances,
    /// Subnet in the second zone.
    SubnetB = "subnet" in Instances,
    /// What reaches the load balancer.
    AlbSecurityGroup = "security group" in Instances,
    /// What reaches the instance.
    InstanceSecurityGroup = "security group" in Instances,
    /// Where the load balancer sends requests, and how it tells whether to.
    TargetGroup = "target group" in Instances,
    /// How an instance is made.
    LaunchTemplate = "launch template" in Instances,
    /// Keeps the instance alive over both zones; made empty, so that no instance escapes the hooks.
    AutoScalingGroup = "Auto Scaling group" in Instances,
    /// Holds a new instance until a meeting was held.
    LaunchHook = "lifecycle hook" in Instances,
    /// Holds a dying instance while people are in meetings.
    TerminateHook = "lifecycle hook" in Instances,
    /// The group's one instance: its size of 1/1/1.
    Instance = "instance" in Instances,
    /// A zone outage that was tried and never taken back.
    ZoneOutage = "FIS experiment" in Instances,

    /// What browsers trust.
    Certificate = "certificate" in Lb,
    /// The load balancer.
    LoadBalancer = "load balancer" in Lb,
    /// HTTPS to the target group.
    HttpsListener = "HTTPS listener" in Lb,
    /// HTTP to HTTPS.
    HttpListener = "HTTP listener" in Lb,
    /// The domain's alias in Route 53, where asked for.
    AliasRecord = "DNS record" in Lb,
    /// Aliases of domains that are no longer configured.
    FormerAliasRecords = "DNS record" in Lb,
    /// The group replaces what the load balancer finds unhealthy.
    ElbHealthCheck = "health check" in Lb,

    /// Where alarms and events go.
    Topic = "SNS topic" in Monitoring,
    /// Who may publish to it.
    TopicPolicy = "topic policy" in Monitoring,
    /// Addresses that no longer get mail.
    FormerSubscriptions = "e-mail subscription" in Monitoring,
    /// Mail when the instance is terminated.
    TerminationRule = "EventBridge rule" in Monitoring,
    /// Mail when the group launches an instance or fails to.
    LaunchRule = "EventBridge rule" in Monitoring,
    /// No healthy target.
    HealthyHostsAlarm = "alarm" in Monitoring,
    /// The load balancer answers 5xx.
    Elb5xxAlarm = "alarm" in Monitoring,
    /// EC2's status checks fail.
    StatusCheckAlarm = "alarm" in Monitoring,
    /// The figures on one page.
    Dashboard = "dashboard" in Monitoring,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmailSubscription(address) => write!(f, "EmailSubscription({address})"),
            key => write!(f, "{key:?}"),
        }
    }
}
