//! Every name and ARN AWS is given, derived from the deployment's name alone, so that a rerun on
//! another machine finds what the first one made.

use crate::partition::{PARTITIONS, Partition};

/// Longest deployment name: an ALB or target group name holds 32 characters, an S3 bucket 63, and
/// the names below append at most 12 (`CreateLoadBalancer`, `CreateTargetGroup`, S3 naming rules).
pub const MAX_DEPLOYMENT_NAME: usize = 20;

/// IAM path of everything the deployer makes, so that policies can name it.
pub const IAM_PATH: &str = "/jitsi-aws/";

/// What the name of every deployer's IAM user ends in.
pub const DEPLOYER: &str = "-deployer";

/// The names of one deployment in one account and region.
#[derive(Clone, Debug)]
pub struct Names {
    deployment: String,
    region: String,
    account: String,
}

impl Names {
    /// `account` is the 12-digit account id.
    pub fn new(deployment: &str, region: &str, account: &str) -> Self {
        Self { deployment: deployment.into(), region: region.into(), account: account.into() }
    }

    /// The deployment's name: also the name of its VPC, load balancer, target group, launch
    /// template, Auto Scaling group, key pair, topic and dashboard.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Region, `eu-central-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Account id, 12 digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// `{deployment}-{role}`.
    pub fn with(&self, role: &str) -> String {
        format!("{}-{role}", self.deployment)
    }

    /// What is true of the region's partition. A region of none was refused when the configuration
    /// was read.
    pub fn facts(&self) -> &'static Partition {
        Partition::of(&self.region).unwrap_or(&PARTITIONS[0])
    }

    /// ARN partition of the region (IAM user guide, "IAM ARNs").
    pub fn partition(&self) -> &'static str {
        self.facts().id
    }

    /// ARN of a regional resource: `arn(service, "listener/app/…")`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition(), self.region, self.account)
    }

    /// ARN of an IAM resource, which has no region: `iam_arn("role", "jitsi-instance")`.
    pub fn iam_arn(&self, kind: &str, name: &str) -> String {
        format!("arn:{}:iam::{}:{kind}{IAM_PATH}{name}", self.partition(), self.account)
    }

    /// The private bucket that holds the agent. Bucket names are global: account and region make it ours.
    pub fn agent_bucket(&self) -> String {
        jitsi_templates::layout::agent_bucket(&self.deployment, &self.account, &self.region)
    }

    /// The bucket that holds the lease of who is at work. Its ending keeps it apart from the agent's bucket
    /// of every other deployment.
    pub fn lease_bucket(&self) -> String {
        format!("{}-lease", self.agent_bucket())
    }

    /// Its ARN.
    pub fn lease_bucket_arn(&self) -> String {
        format!("arn:{}:s3:::{}", self.partition(), self.lease_bucket())
    }

    /// Profile of the shared credentials file that holds the deployer's access key.
    pub fn profile(&self) -> String {
        format!("jitsi-aws-{}", self.deployment)
    }

    /// IAM user the deployer works as.
    pub fn deployer_user(&self) -> String {
        format!("{}{DEPLOYER}", self.deployment)
    }

    /// Role and instance profile of the instance.
    pub fn instance_role(&self) -> String {
        self.with("instance")
    }

    /// Role AWS FIS works as when a zone outage is tried.
    pub fn fault_injection_role(&self) -> String {
        self.with("fault-injection")
    }

    /// Experiment that takes a zone away, and its template.
    pub fn zone_outage(&self) -> String {
        self.with("zone-outage")
    }

    /// Hook that holds a new instance until a meeting was held on it.
    pub fn launch_hook(&self) -> String {
        self.with("launch")
    }

    /// Hook that holds a dying instance while people are in meetings.
    pub fn terminate_hook(&self) -> String {
        self.with("terminate")
    }
}

#[cfg(test)]
mod tests {
    use jitsi_templates::settings::deployment_name;
    use proptest::{prelude::*, sample};

    use super::*;

    #[test]
    fn the_longest_names_fit_aws_limits() {
        let longest =
            Names::new(&"d".repeat(MAX_DEPLOYMENT_NAME), "ap-southeast-99", "123456789012");
        assert!(longest.lease_bucket().len() <= 63, "S3 bucket naming rules");
        for name in [longest.deployer_user(), longest.launch_hook(), longest.terminate_hook()] {
            assert!(name.len() <= 32, "{name}");
        }
    }

    proptest! {
        // CreateLaunchTemplate (3 to 128), CreateSecurityGroup (not `sg-`), CreateLoadBalancer and
        // CreateTargetGroup (32, no `internal-`, no hyphen at the ends), the bucket naming rules, IAM
        // quotas (64 for users and roles, 128 for policies).
        #[test]
        fn every_name_of_an_accepted_deployment_is_one_aws_takes(
            name in "(sg|sg-|xn--|sthree-|internal-|amzn-s3-demo-|)[a-z0-9-]{0,21}",
            region in sample::select(PARTITIONS.iter().flat_map(|of| of.regions).copied().collect::<Vec<_>>()),
            account in "[0-9]{12}",
        ) {
            if let Ok(name) = deployment_name(&name) {
                let names = Names::new(&name, region, &account);
                prop_assert!((3..=32).contains(&name.len()));
                prop_assert!(!["internal-", "sg-"].iter().any(|kept| name.starts_with(kept)));
                prop_assert!(name.starts_with(char::is_alphanumeric) && !name.ends_with('-'));
                for bucket in [names.agent_bucket(), names.lease_bucket()] {
                    prop_assert!((3..=63).contains(&bucket.len()));
                    prop_assert!(!["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|kept| bucket.starts_with(kept)));
                    let endings = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
                    prop_assert!(!endings.iter().any(|kept| bucket.ends_with(kept)));
                }
                for derived in [names.deployer_user(), names.instance_role(), names.fault_injection_role()] {
                    prop_assert!(derived.len() <= 64);
                }
            }
        }
    }

    #[test]
    fn arns_follow_the_partition() {
        assert_eq!(
            Names::new("jitsi", "cn-north-1", "1").arn("sns", "jitsi"),
            "arn:aws-cn:sns:cn-north-1:1:jitsi"
        );
        assert_eq!(
            Names::new("jitsi", "eu-central-1", "1").iam_arn("role", "jitsi-instance"),
            "arn:aws:iam::1:role/jitsi-aws/jitsi-instance"
        );
    }
}
