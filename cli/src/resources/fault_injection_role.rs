//! What AWS Fault Injection Service may do when a zone outage is tried: cut one of our subnets off by
//! a network ACL of its own, and let our Auto Scaling group's launches fail. Nothing else works as it.

use anyhow::Result;
use async_trait::async_trait;
use serde_json::{Value, json};

use super::{autoscaling, role};
use crate::{
    cx::Cx,
    engine::{Found, Key, Resource},
    names::Names,
    policy::{self, Permission},
};

/// The tag by which AWS FIS marks what it makes for an experiment.
pub(super) const MANAGED_BY_FIS: &str = "managedByFIS";

/// The role; its id is its name.
pub struct ExperimentRole;

fn role(names: &Names) -> role::Role {
    role::Role {
        key: Key::FaultInjectionRole,
        name: names.fault_injection_role(),
        trust: trust(names),
        permissions: policy::document(&granted(names)),
    }
}

#[async_trait]
impl Resource for ExperimentRole {
    fn name(&self, cx: &Cx) -> String {
        cx.names.fault_injection_role()
    }

    fn permissions(&self, names: &Names) -> Vec<Permission> {
        role::permissions(names)
    }

    /// Where there is no FIS, IAM would refuse a role for it (`MalformedPolicyDocument`).
    fn wanted(&self, cx: &Cx) -> bool {
        cx.names.facts().fault_injection
    }

    async fn find(&self, cx: &Cx) -> Result<Vec<Found>> {
        role(&cx.names).find(cx).await
    }

    async fn create(&self, cx: &Cx) -> Result<String> {
        role(&cx.names).create(cx).await
    }

    async fn update(&self, cx: &Cx, found: &Found) -> Result<()> {
        role(&cx.names).update(cx, found).await
    }

    async fn occupants(&self, cx: &Cx, found: &Found) -> Result<Vec<String>> {
        role(&cx.names).occupants(cx, found).await
    }

    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()> {
        role(&cx.names).delete(cx, found).await
    }
}

/// FIS may use the role, for experiments of this account and region (FIS user guide, "Prevent the
/// confused deputy").
fn trust(names: &Names) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "fis.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": { "aws:SourceAccount": names.account() },
                "ArnLike": { "aws:SourceArn": names.arn("fis", "experiment/*") },
            },
        }],
    })
}

/// What the two actions need (FIS user guide, "Actions reference", their permissions), narrowed to
/// what FIS tags as its own and to what carries our owner tag.
fn granted(names: &Names) -> Vec<Permission> {
    let any = |kind: &str| [names.arn("ec2", &format!("{kind}/*"))];
    let made_by_fis =
        || json!({ "StringEquals": { format!("aws:RequestTag/{MANAGED_BY_FIS}"): "true" } });
    vec![
        // aws:network:disrupt-connectivity
        Permission::read(&[
            "ec2:DescribeManagedPrefixLists",
            "ec2:DescribeNetworkAcls",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ]),
        // AWS's own lists belong to no account of ours.
        Permission::read(&["ec2:GetManagedPrefixListEntries"]).on([format!(
            "arn:{}:ec2:{}:*:prefix-list/*",
            names.partition(),
            names.region()
        )]),
        Permission::write(&["ec2:CreateNetworkAcl"]).on(any("network-acl")).when(made_by_fis()),
        Permission::write(&["ec2:CreateTags"])
            .on(any("network-acl"))
            .when(made_by_fis())
            .when(json!({ "StringEquals": { "ec2:CreateAction": "CreateNetworkAcl" } })),
        Permission::write(&["ec2:CreateNetworkAcl"]).on(any("vpc")).on_ours(names),
        Permission::write(&["ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAcl"])
            .on(any("network-acl"))
            .when(json!({ "StringEquals": { format!("ec2:ResourceTag/{MANAGED_BY_FIS}"): "true" } })),
        // The ACL put back is the VPC's own, which carries no tag; the subnet is ours.
        Permission::write(&["ec2:ReplaceNetworkAclAssociation"]).on(any("network-acl")),
        Permission::write(&["ec2:ReplaceNetworkAclAssociation"]).on(any("subnet")).on_ours(names),
        // aws:ec2:asg-insufficient-instance-capacity-error
        Permission::read(&["autoscaling:DescribeAutoScalingGroups"]),
        Permission::write(&["ec2:InjectApiError"]).when(json!({
            "StringEquals": { "ec2:FisActionId": "aws:ec2:asg-insufficient-instance-capacity-error" },
            "ForAllValues:ArnLike": { "ec2:FisTargetArns": [autoscaling::arn(names)] },
        })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("jitsi", "eu-central-1", "123456789012")
    }

    #[test]
    fn only_fis_may_use_it_and_only_for_this_account() {
        let trust = trust(&names());
        let [statement] = &trust["Statement"].as_array().unwrap()[..] else { panic!("{trust}") };
        assert_eq!(statement["Principal"], json!({ "Service": "fis.amazonaws.com" }));
        assert_eq!(statement["Condition"]["StringEquals"]["aws:SourceAccount"], "123456789012");
    }

    // What changes something is narrowed by an ARN, by a tag or by the experiment's target.
    #[test]
    fn nothing_of_others_can_be_changed() {
        for Permission { write, actions, resources, condition } in granted(&names()) {
            let narrowed = resources != ["*"] || condition.to_string().contains("FisTargetArns");
            assert!(!write || narrowed, "{actions:?}");
        }
    }
}
