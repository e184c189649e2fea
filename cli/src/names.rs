//! Every name and ARN AWS is given, derived from the deployment's name alone, so that a rerun on
//! another machine finds what the first one made.

/// Longest deployment name: an ALB or target group name holds 32 characters, an S3 bucket 63, and
/// the names below append at most 12 (`CreateLoadBalancer`, `CreateTargetGroup`, S3 naming rules).
pub const MAX_DEPLOYMENT_NAME: usize = 20;

/// IAM path of everything the deployer makes, so that policies can name it.
pub const IAM_PATH: &str = "/jitsi-aws/";

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

    /// ARN partition of the region (IAM user guide, "IAM ARNs").
    pub fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
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
        format!("{}-{}-{}", self.deployment, self.account, self.region)
    }

    /// Profile of the shared credentials file that holds the deployer's access key.
    pub fn profile(&self) -> String {
        format!("jitsi-aws-{}", self.deployment)
    }

    /// IAM user the deployer works as.
    pub fn deployer_user(&self) -> String {
        self.with("deployer")
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
    use super::*;

    #[test]
    fn the_longest_names_fit_aws_limits() {
        let longest =
            Names::new(&"d".repeat(MAX_DEPLOYMENT_NAME), "ap-southeast-99", "123456789012");
        assert!(longest.agent_bucket().len() <= 63, "S3 bucket naming rules");
        for name in [longest.deployer_user(), longest.launch_hook(), longest.terminate_hook()] {
            assert!(name.len() <= 32, "{name}");
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
