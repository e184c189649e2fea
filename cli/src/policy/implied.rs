//! Rights AWS asks for on behalf of another call: the service looks at other services' things with the
//! caller's rights. The Service Authorization Reference does not list them; they are found in the
//! services' guides and in AWS's own managed policies.

use super::Permission;

/// A call, and what it asks of others besides.
struct Implied {
    /// The action that was granted.
    of: &'static str,
    /// Actions asked of the caller on the way; all of them only look.
    also: &'static [&'static str],
}

// Elastic Load Balancing user guide, "Elastic Load Balancing API permissions", "Required permissions
// for the 2015-12-01 API". `GetSecurityGroupsForVpc` came later and stands in AWS's managed policy
// ElasticLoadBalancingFullAccess of 2026-02-23; without it CreateLoadBalancer is denied
// (kubernetes-sigs/aws-load-balancer-controller issue 3917).
const IMPLIED: &[Implied] = &[
    Implied {
        of: "elasticloadbalancing:CreateLoadBalancer",
        also: &[
            "ec2:DescribeAccountAttributes",
            "ec2:DescribeAddresses",
            "ec2:DescribeInternetGateways",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "ec2:GetSecurityGroupsForVpc",
        ],
    },
    Implied {
        of: "elasticloadbalancing:SetSecurityGroups",
        also: &["ec2:DescribeSecurityGroups", "ec2:GetSecurityGroupsForVpc"],
    },
    Implied { of: "elasticloadbalancing:SetSubnets", also: &["ec2:DescribeSubnets"] },
    Implied {
        of: "elasticloadbalancing:CreateTargetGroup",
        also: &["ec2:DescribeInternetGateways", "ec2:DescribeVpcs"],
    },
];

/// What these permissions imply.
pub(super) fn by(permissions: &[Permission]) -> Vec<Permission> {
    let granted =
        |action| permissions.iter().any(|permission| permission.actions.contains(&action));
    let implied = IMPLIED.iter().filter(|implied| granted(implied.of));
    implied.map(|implied| Permission { write: true, ..Permission::read(implied.also) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_takes_rights_on_the_network() {
        let create = Permission::write(&["elasticloadbalancing:CreateLoadBalancer"]);
        let implied = by(&[create]);
        let actions: Vec<_> = implied.iter().flat_map(|each| each.actions.clone()).collect();
        for action in ["GetSecurityGroupsForVpc", "DescribeAccountAttributes", "DescribeAddresses"]
        {
            assert!(actions.contains(&format!("ec2:{action}").as_str()), "{action}");
        }
        assert!(by(&[Permission::read(&["ec2:DescribeVpcs"])]).is_empty());
    }
}
