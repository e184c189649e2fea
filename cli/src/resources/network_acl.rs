//! The network ACL that filters what a subnet of ours lets in and out. A VPC comes with one that lets everything
//! through, and we make no other. What somebody has put in its place, or into it, is told and left: it may be a
//! company's rule.

use anyhow::Result;
use aws_sdk_ec2::types::{NetworkAcl, NetworkAclEntry, RuleAction};

use super::{ec2::filter, occupants::made_by_fis};
use crate::{aws::Answer, cx::Cx, policy::Permission};

/// What looking takes.
pub(super) fn permission() -> Permission {
    Permission::read(&["ec2:DescribeNetworkAcls"])
}

/// What keeps something out of the subnet, or in it, and the command that shows it.
pub(super) async fn told(cx: &Cx, subnet: &str) -> Result<Vec<String>> {
    let call = cx.aws.ec2.describe_network_acls().filters(filter("association.subnet-id", subnet));
    let answer = call.send().await.doing(format!("looking for the network ACL of {subnet}"))?;
    // What a zone outage has left behind is taken back with it.
    let acls = answer.network_acls().iter().filter(|acl| !made_by_fis(acl.tags()));
    let closed = acls.filter(|acl| !is_open(acl)).filter_map(NetworkAcl::network_acl_id);
    Ok(closed
        .map(|id| {
            format!(
                "the network ACL {id} does not let everything into and out of {subnet}: nobody may be able to meet \
                 on an instance there, nor it to install itself; see it with `{}`",
                cx.aws_cli(&format!("ec2 describe-network-acls --network-acl-ids {id}"))
            )
        })
        .collect())
}

/// Whether everything may pass both ways: the rule of the lowest number decides (Amazon VPC user guide, "Network ACL
/// rules").
fn is_open(acl: &NetworkAcl) -> bool {
    let first = |outward: bool| {
        let rules = acl.entries().iter().filter(|rule| rule.egress() == Some(outward));
        let rules = rules.filter(|rule| rule.cidr_block().is_some());
        rules.min_by_key(|rule| rule.rule_number())
    };
    let passes = |rule: &NetworkAclEntry| {
        rule.rule_action() == Some(&RuleAction::Allow)
            && rule.protocol() == Some("-1")
            && rule.cidr_block() == Some("0.0.0.0/0")
    };
    [true, false].into_iter().all(|outward| first(outward).is_some_and(passes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(number: i32, outward: bool, action: RuleAction, from: &str) -> NetworkAclEntry {
        NetworkAclEntry::builder()
            .rule_number(number)
            .egress(outward)
            .rule_action(action)
            .protocol("-1")
            .cidr_block(from)
            .build()
    }

    #[test]
    fn the_first_rule_decides() {
        use RuleAction::{Allow, Deny};
        const ALL: &str = "0.0.0.0/0";
        let standard = [true, false].map(|outward| rule(100, outward, Allow, ALL));
        let last = [true, false].map(|outward| rule(32767, outward, Deny, ALL));
        let acl = |rules: &[NetworkAclEntry]| {
            let rules = standard.iter().chain(&last).chain(rules).cloned().collect();
            NetworkAcl::builder().set_entries(Some(rules)).build()
        };
        assert!(is_open(&acl(&[])));
        assert!(is_open(&acl(&[rule(200, false, Deny, "198.51.100.0/24")])), "never reached");
        assert!(!is_open(&acl(&[rule(50, false, Deny, "198.51.100.0/24")])));
        assert!(!is_open(&acl(&[rule(50, true, Deny, ALL)])));
        assert!(!is_open(&NetworkAcl::builder().set_entries(Some(last.to_vec())).build()));
    }
}
