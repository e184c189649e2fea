//! One file per kind of AWS resource: how it is found, compared, made, changed and deleted. They
//! never import each other; ids pass through [`crate::cx::Cx`].

mod aliases;
mod autoscaling;
mod bucket_contents;
mod bucket_properties;
mod difference;
mod ec2;
mod elbv2;
mod elf;
mod hopeless;
mod iam;
mod image;
mod monitoring;
mod name_tag;
mod network_acl;
mod occupants;
mod recipe;
mod role;
mod route53;
mod rules;
mod running;
mod s3;
mod zones;

pub mod access_key;
pub mod agent_bucket;
pub mod agent_file;
pub mod agent_object;
pub mod alarm;
pub mod alias_record;
pub mod auto_scaling_group;
pub mod certificate;
pub mod dashboard;
pub mod deployer_policy;
pub mod deployer_user;
pub mod elb_health_check;
pub mod event_rule;
pub mod fault_injection_role;
pub mod former_aliases;
pub mod instance;
pub mod instance_profile;
pub mod instance_role;
pub mod internet_gateway;
pub mod key_pair;
pub mod launch_template;
pub mod lease_bucket;
pub mod lifecycle_hook;
pub mod listener;
pub mod load_balancer;
pub mod route_table;
pub mod security_group;
pub mod service_linked_role;
pub mod subnet;
pub mod subscription;
pub mod target_group;
pub mod topic;
pub mod topic_policy;
mod volume_key;
pub mod vpc;
pub mod zone_outage;

use std::time::Duration;

// Elastic Load Balancing takes minutes to release its network interfaces after DeleteLoadBalancer,
// and what holds them cannot be deleted until it has.
const RELEASE_LIMIT: Duration = Duration::from_mins(15);
