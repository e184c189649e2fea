//! What the instance may do: answer its lifecycle hooks, send its figures, mail why it gives up,
//! fetch the agent, read the secrets of its site, and be reached through Systems Manager.

use anyhow::{Context, Result};
use async_trait::async_trait;
use jitsi_templates::{layout::METRICS_NAMESPACE, settings::Authentication};
use serde_json::{Value, json};

use super::iam::{ABSENT, document, owner, settled, tagged};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key, Resource},
    names::{IAM_PATH, Names},
    policy::{self, Permission},
    tags::Owner,
};

/// The role; its id is its name.
pub struct Role;

const PERMISSIONS: &str = "permissions";
const TRUST: &str = "trust";

#[async_trait]
impl Resource for Role {
    fn name(&self, cx: &Cx) -> String {
        cx.names.instance_role()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        let role = || [names.iam_arn("role", &names.instance_role())];
        vec![
            Permission::read(&["iam:GetRole", "iam:GetRolePolicy"]).on(role()),
            Permission::write(&[
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UpdateAssumeRolePolicy",
            ])
            .on(role()),
        ]
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        let name = self.name(cx);
        let answer = cx.aws.iam.get_role().role_name(&name).send().await;
        let answer = answer.unless(ABSENT, format!("looking for IAM role `{name}`"))?;
        let Some(role) = answer.and_then(|answer| answer.role) else { return Ok(Vec::new()) };
        let mut found = Found::new(&name, owner(&cx.names, role.tags()));
        if found.owner == Owner::Ours {
            let reading = || format!("reading IAM role `{name}`");
            let actual = document(role.assume_role_policy_document().unwrap_or("null"))
                .with_context(reading)?;
            found.drift.extend(policy::drift(TRUST, &actual, &trust()));
            let call = cx.aws.iam.get_role_policy().role_name(&name).policy_name(PERMISSIONS);
            let actual = match call.send().await.unless(ABSENT, reading())? {
                Some(answer) => document(answer.policy_document()).with_context(reading)?,
                None => Value::Null,
            };
            found.drift.extend(policy::drift(PERMISSIONS, &actual, &wanted(cx)));
        }
        Ok(vec![found])
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        let name = self.name(cx);
        cx.aws
            .iam
            .create_role()
            .role_name(&name)
            .path(IAM_PATH)
            .assume_role_policy_document(trust().to_string())
            .set_tags(Some(tagged(cx, &name)?))
            .send()
            .await
            .doing(format!("creating IAM role `{name}`"))?;
        put_permissions(cx).await?;
        Ok(name)
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        if found.drifted(TRUST) {
            let call = cx.aws.iam.update_assume_role_policy().role_name(&found.id);
            let answer = call.policy_document(trust().to_string()).send().await;
            answer.doing(format!("letting EC2 use IAM role `{}`", found.id))?;
        }
        if found.drifted(PERMISSIONS) {
            put_permissions(cx).await?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        // Its instance profile, which needs it, is gone by now. Inline and attached policies may
        // have been added by others, Systems Manager's quick setup for instance.
        let (iam, role) = (&cx.aws.iam, &found.id);
        let inline = iam.list_role_policies().role_name(role).into_paginator().items().send();
        let inline = inline.try_collect().await;
        let inline =
            inline.unless(ABSENT, format!("listing the inline policies of IAM role `{role}`"))?;
        for policy in inline.unwrap_or_default() {
            let answer = iam.delete_role_policy().role_name(role).policy_name(&policy).send().await;
            answer.unless(ABSENT, format!("deleting `{policy}` of IAM role `{role}`"))?;
        }
        let attached = iam.list_attached_role_policies().role_name(role).into_paginator().items();
        let attached = attached.send().try_collect().await;
        let attached = attached
            .unless(ABSENT, format!("listing the policies attached to IAM role `{role}`"))?;
        for policy in attached.unwrap_or_default() {
            let arn = policy.policy_arn().unwrap_or_default();
            let answer = iam.detach_role_policy().role_name(role).policy_arn(arn).send().await;
            answer.unless(ABSENT, format!("detaching {arn} from IAM role `{role}`"))?;
        }
        settled(cx, &Key::InstanceRole, || async {
            let answer = iam.delete_role().role_name(role).send().await;
            answer.unless(ABSENT, format!("deleting IAM role `{role}`"))
        })
        .await?;
        Ok(())
    }
}

async fn put_permissions(cx: &Cx) -> Result<()> {
    let (name, wanted) = (cx.names.instance_role(), wanted(cx).to_string());
    settled(cx, &Key::InstanceRole, || async {
        let call = cx.aws.iam.put_role_policy().role_name(&name).policy_name(PERMISSIONS);
        let answer = call.policy_document(&wanted).send().await;
        answer.doing(format!("giving IAM role `{name}` its permissions"))
    })
    .await?;
    Ok(())
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

fn wanted(cx: &Cx) -> Value {
    policy::document(&granted(&cx.names, &cx.config.jitsi.authentication))
}

/// What the agent calls, and Systems Manager's own agent.
fn granted(names: &Names, authentication: &Authentication) -> Vec<Permission> {
    let group = format!("autoScalingGroup:*:autoScalingGroupName/{}", names.deployment());
    let agent = format!("arn:{}:s3:::{}/*", names.partition(), names.agent_bucket());
    let mut granted = vec![
        Permission::write(&[
            "autoscaling:CompleteLifecycleAction",
            "autoscaling:RecordLifecycleActionHeartbeat",
        ])
        .on([names.arn("autoscaling", &group)]),
        Permission::write(&["cloudwatch:PutMetricData"])
            .when(json!({ "StringEquals": { "cloudwatch:namespace": METRICS_NAMESPACE } })),
        Permission::read(&["s3:GetObject"]).on([agent]),
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
    let (action, parameters) = match authentication {
        Authentication::Open => return granted,
        Authentication::Jwt { secret_parameter, .. } => {
            ("ssm:GetParameter", vec![parameter(names, secret_parameter)])
        }
        Authentication::SecureDomain { users_path } => {
            let path = parameter(names, users_path.trim_end_matches('/'));
            ("ssm:GetParametersByPath", vec![format!("{path}/*"), path])
        }
    };
    granted.push(Permission::read(&[action]).on(parameters.clone()));
    // AWS's own key for parameters needs no permission; a key of the operator's own does. The
    // encryption context ties it to these parameters (Systems Manager user guide, "How Parameter
    // Store uses KMS").
    granted.push(
        Permission::read(&["kms:Decrypt"])
            .on([names.arn("kms", "key/*")])
            .when(json!({ "StringLike": { "kms:EncryptionContext:PARAMETER_ARN": parameters } })),
    );
    granted
}

/// ARN of an SSM parameter or path, whose name may begin with a slash.
fn parameter(names: &Names, name: &str) -> String {
    names.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
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
        let granted = granted(&Names::new("jitsi", "cn-north-1", "123456789012"), &Authentication::Open);
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
