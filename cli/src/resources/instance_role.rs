//! What the instance may do: answer its lifecycle hooks, send its figures, mail why it gives up,
//! fetch the agent, read the secrets of its site, and be reached through Systems Manager.

use anyhow::Result;
use async_trait::async_trait;
use jitsi_templates::{
    layout::{FAILED_LAUNCHES_TAG, METRICS_NAMESPACE, PROVEN_PREFIX},
    settings::Authentication,
};
use serde_json::{Value, json};

use super::role;
use crate::{
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::{self, Permission},
};

/// The role; its id is its name.
pub struct Role;

fn role(cx: &Cx) -> role::Role {
    role::Role {
        key: Key::InstanceRole,
        name: cx.names.instance_role(),
        trust: trust(),
        permissions: policy::document(&granted(&cx.names, &cx.config.jitsi.authentication)),
    }
}

#[async_trait]
impl Resource for Role {
    fn name(&self, cx: &Cx) -> String {
        cx.names.instance_role()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        role::permissions(names)
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        role(cx).find(cx).await
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        role(cx).create(cx).await
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        role(cx).update(cx, found).await
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        role(cx).occupants(cx, found).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        role(cx).delete(cx, found).await
    }
}

/// EC2 may use the role. Its service principal is the same in all partitions.
fn trust() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "ec2.amazonaws.com" },
            "Action": "sts:AssumeRole",
        }],
    })
}

/// What the agent calls, and Systems Manager's own agent.
fn granted(names: &Names, authentication: &Authentication) -> Vec<Permission> {
    let group = format!("autoScalingGroup:*:autoScalingGroupName/{}", names.deployment());
    let bucket = format!("arn:{}:s3:::{}", names.partition(), names.agent_bucket());
    let mut granted = vec![
        Permission::write(&[
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ])
        .on([names.arn("autoscaling", &group)]),
        // Launches that fail the same way are counted in a tag of the group.
        Permission::write(&["autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags"])
            .on([names.arn("autoscaling", &group)])
            .when(json!({ "ForAllValues:StringEquals": { "aws:TagKeys": [FAILED_LAUNCHES_TAG] } })),
        Permission::read(&["autoscaling:DescribeTags"]),
        Permission::write(&["cloudwatch:PutMetricData"])
            .when(json!({ "StringEquals": { "cloudwatch:namespace": METRICS_NAMESPACE } })),
        Permission::read(&["s3:GetObject"]).on([format!("{bucket}/*")]),
        // The set of packages that held a meeting. Without the right to list, S3 says of an object
        // that is not there that access is denied (GetObject, "Permissions").
        Permission::read(&["s3:ListBucket"])
            .on([bucket.clone()])
            .when(json!({ "StringLike": { "s3:prefix": format!("{PROVEN_PREFIX}*") } })),
        Permission::write(&["s3:PutObject"]).on([format!("{bucket}/{PROVEN_PREFIX}*")]),
        // Why an instance gives itself up; the topic has the deployment's name.
        Permission::write(&["sns:Publish"]).on([names.arn("sns", names.deployment())]),
        // A session and a command, as in AmazonSSMManagedInstanceCore, which besides lets the
        // instance read every parameter of the account.
        Permission::write(&[
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ]),
    ];
    granted.extend(policy::site_secrets(names, authentication));
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(authentication: &Authentication) -> String {
        let names = Names::new("jitsi", "eu-central-1", "123456789012");
        policy::document(&granted(&names, authentication)).to_string()
    }

    #[test]
    fn an_open_site_reads_no_secret() {
        let open = document(&Authentication::Open);
        assert!(!open.contains("ssm:GetParameter") && !open.contains("kms:"), "{open}");
        assert!(open.contains(
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/jitsi\""
        ));
    }

    #[test]
    fn it_mails_through_the_deployments_own_topic_only() {
        let granted =
            granted(&Names::new("jitsi", "cn-north-1", "123456789012"), &Authentication::Open);
        let mail: Vec<_> =
            granted.iter().filter(|p| p.actions.iter().any(|a| a.starts_with("sns:"))).collect();
        let [mail] = mail[..] else { panic!("one permission: {mail:?}") };
        assert_eq!(mail.actions, ["sns:Publish"]);
        assert_eq!(mail.resources, ["arn:aws-cn:sns:cn-north-1:123456789012:jitsi"]);
    }

    #[test]
    fn a_token_site_reads_its_secret_and_no_other() {
        for name in ["/meet/token", "meet/token"] {
            let jwt = document(&Authentication::Jwt {
                app_id: "team".into(),
                secret_parameter: name.into(),
            });
            let arn = r#""arn:aws:ssm:eu-central-1:123456789012:parameter/meet/token""#;
            assert_eq!(jwt.matches(arn).count(), 2, "{jwt}"); // the parameter, and its encryption
            assert!(!jwt.contains("ByPath"));
        }
    }

    #[test]
    fn a_secure_domain_reads_its_users_and_no_others() {
        let secure = document(&Authentication::SecureDomain { users_path: "/meet/users/".into() });
        let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/meet/users";
        assert_eq!(secure.matches(&format!("\"{arn}\"")).count(), 2, "{secure}");
        assert_eq!(secure.matches(&format!("\"{arn}/*\"")).count(), 2, "{secure}");
        assert!(!secure.contains(r#""ssm:GetParameter""#));
    }

    // IAM quotas: 10,240 characters for all inline policies of a role.
    #[test]
    fn the_longest_fits() {
        let names = Names::new(&"d".repeat(20), "us-gov-east-1", "123456789012");
        let users_path = format!("/{}", "p".repeat(1_000));
        let longest = granted(&names, &Authentication::SecureDomain { users_path });
        assert!(policy::document(&longest).to_string().len() < 10_240);
    }

    #[test]
    fn ec2_may_use_it_as_aws_returns_it() {
        let returned = json!({
            "Statement": { "Action": ["sts:AssumeRole"], "Effect": "Allow",
                           "Principal": { "Service": ["ec2.amazonaws.com"] } },
            "Version": "2012-10-17",
        });
        assert!(policy::same(&trust(), &returned));
    }
}
