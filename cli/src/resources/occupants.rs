//! What somebody else has in our VPC. AWS does not delete a VPC with any of it inside, and says so only when
//! all of ours is gone; a peering connection it would delete along ("Delete a VPC peering connection").

use std::collections::BTreeSet;

use anyhow::Result;
use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_ec2::types::{
    Instance, InstanceStateName, NetworkInterface, RouteTable, Tag, VpcEndpoint, VpcEndpointType,
    VpcPeeringConnection, VpcPeeringConnectionStateReasonCode,
};

use super::{
    autoscaling::group,
    ec2::{filter, owner},
    fault_injection_role::MANAGED_BY_FIS,
};
use crate::{aws::Answer, cx::Cx, invocation::aws_as_admin, policy::Permission, tags::Owner};

/// What looking takes.
pub(super) fn permission() -> Permission {
    Permission::read(&[
        "ec2:DescribeInstances",
        "ec2:DescribeInternetGateways",
        "ec2:DescribeNetworkAcls",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcPeeringConnections",
        "ec2:DescribeVpnGateways",
    ])
}

/// A line for each thing of somebody else's.
pub(super) async fn occupants(cx: &Cx, vpc: &str) -> Result<Vec<String>> {
    let (parts, interfaces, gateways) =
        tokio::try_join!(parts(cx, vpc), interfaces(cx, vpc), gateways(cx, vpc))?;
    Ok([parts, interfaces, gateways].concat())
}

fn foreign(cx: &Cx, tags: &[Tag]) -> bool {
    owner(&cx.names, tags) != Owner::Ours
}

/// Subnets, security groups, route tables, network ACLs.
async fn parts(cx: &Cx, vpc: &str) -> Result<Vec<String>> {
    let doing = format!("looking what is in VPC {vpc}");
    let here = || filter("vpc-id", vpc);
    let ec2 = &cx.aws.ec2;
    let subnets = ec2.describe_subnets().filters(here()).send().await.doing(&doing)?;
    let groups = ec2.describe_security_groups().filters(here()).send().await.doing(&doing)?;
    let tables = ec2.describe_route_tables().filters(here()).send().await.doing(&doing)?;
    let acls = ec2.describe_network_acls().filters(here()).filters(filter("default", "false"));
    let acls = acls.send().await.doing(&doing)?;
    let subnets = subnets.subnets().iter().filter(|subnet| foreign(cx, subnet.tags()));
    let subnets = subnets.filter_map(|subnet| subnet.subnet_id());
    let groups = groups.security_groups().iter().filter(|group| foreign(cx, group.tags()));
    // Every VPC has a default group, a main route table and a default ACL of its own, which go with it.
    let groups = groups.filter(|group| group.group_name() != Some("default"));
    let groups = groups.filter_map(|group| group.group_id());
    let tables = tables.route_tables().iter().filter(|table| foreign(cx, table.tags()));
    let main = |table: &&RouteTable| table.associations().iter().any(|a| a.main() == Some(true));
    let tables = tables.filter(|table| !main(table)).filter_map(|table| table.route_table_id());
    // A zone outage that was left behind has made one; FIS takes it away when its experiment is stopped.
    let acls = acls.network_acls().iter().filter(|acl| !made_by_fis(acl.tags()));
    let acls = acls.filter_map(|acl| acl.network_acl_id());
    Ok(subnets
        .map(|id| format!("subnet {id}"))
        .chain(groups.map(|id| format!("security group {id}")))
        .chain(tables.map(|id| format!("route table {id}")))
        .chain(acls.map(|id| format!("network ACL {id}")))
        .collect())
}

/// Whether AWS FIS has made a thing for an experiment (FIS user guide, "Actions reference").
pub(super) fn made_by_fis(tags: &[Tag]) -> bool {
    tags.iter().any(|tag| tag.key() == Some(MANAGED_BY_FIS) && tag.value() == Some("true"))
}

/// Network interfaces: of instances, and of whatever else AWS has put there for somebody: NAT gateways,
/// endpoints, databases, functions, load balancers.
async fn interfaces(cx: &Cx, vpc: &str) -> Result<Vec<String>> {
    let doing = format!("looking what has a network interface in VPC {vpc}");
    let ec2 = &cx.aws.ec2;
    let here = || filter("vpc-id", vpc);
    let all = ec2.describe_network_interfaces().filters(here()).into_paginator().items().send();
    let all = all.try_collect().await.doing(&doing)?;
    let instances = ec2.describe_instances().filters(here()).into_paginator().items().send();
    let reservations = instances.try_collect().await.doing(&doing)?;
    let instances = reservations.iter().flat_map(|reservation| reservation.instances());
    let group = group(cx).await?;
    let in_group = group.iter().flat_map(AutoScalingGroup::instances);
    let in_group: BTreeSet<&str> = in_group.filter_map(|instance| instance.instance_id()).collect();
    // Our launch template gives our tags to whatever is launched from it, and who leaves the group keeps them.
    let (ours, strays): (Vec<&Instance>, Vec<&Instance>) = instances
        .filter(|instance| !foreign(cx, instance.tags()))
        .partition(|instance| is_ending(instance) || in_group.contains(id(instance)));
    let [ours, strays] =
        [ours, strays].map(|some| some.into_iter().map(id).collect::<BTreeSet<_>>());
    let theirs = all.iter().filter(|interface| {
        let of_stray = interface.attachment().and_then(|attachment| attachment.instance_id());
        foreign(cx, interface.tag_set())
            && !of_stray.is_some_and(|id| strays.contains(id))
            && !goes_with_ours(interface, &ours, cx.names.deployment())
    });
    let strays = strays.iter().map(|id| {
        let end = format!("ec2 terminate-instances --instance-ids {id}");
        format!(
            "instance {id}, which has our tags and is not in our Auto Scaling group; where nobody needs it, end it \
             with `{}`",
            aws_as_admin(&end, true)
        )
    });
    Ok(strays.chain(theirs.map(told)).collect())
}

fn id(instance: &Instance) -> &str {
    instance.instance_id().unwrap_or_default()
}

/// Such an instance gives its interfaces back by itself.
fn is_ending(instance: &Instance) -> bool {
    let state = instance.state().and_then(|state| state.name());
    matches!(state, Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated))
}

/// Whether an interface goes when our instances or our load balancer go. Those of a load balancer are made by
/// AWS (`RequesterManaged`) and name it: `ELB app/NAME/…` (Elastic Load Balancing user guide, "Update the security
/// groups"); one that was deleted a moment ago has them still.
fn goes_with_ours(
    interface: &NetworkInterface,
    instances: &BTreeSet<&str>,
    deployment: &str,
) -> bool {
    let balancer = interface.description().and_then(|text| text.strip_prefix("ELB app/"));
    if balancer.and_then(|rest| rest.split('/').next()) == Some(deployment) {
        return true;
    }
    let Some(attachment) = interface.attachment() else { return false };
    // Another one that somebody attached by hand stays when its instance goes (`AttachNetworkInterface`).
    let goes =
        attachment.device_index() == Some(0) || attachment.delete_on_termination() == Some(true);
    goes && attachment.instance_id().is_some_and(|id| instances.contains(id))
}

/// `network interface eni-1: Interface for NAT Gateway nat-1`.
fn told(interface: &NetworkInterface) -> String {
    let id = interface.network_interface_id().unwrap_or_default();
    let instance = interface.attachment().and_then(|attachment| attachment.instance_id());
    let text = interface.description().filter(|text| !text.is_empty());
    match (text, instance) {
        (Some(text), _) => format!("network interface {id}: {text}"),
        (None, Some(instance)) => format!("network interface {id} of instance {instance}"),
        (None, None) => format!("network interface {id}"),
    }
}

/// What leads out of it, without an interface in it.
async fn gateways(cx: &Cx, vpc: &str) -> Result<Vec<String>> {
    let doing = format!("looking what leads out of VPC {vpc}");
    let ec2 = &cx.aws.ec2;
    let attached = || filter("attachment.vpc-id", vpc);
    let gateways =
        ec2.describe_internet_gateways().filters(attached()).send().await.doing(&doing)?;
    let gateways = gateways.internet_gateways().iter().filter(|g| foreign(cx, g.tags()));
    let gateways = gateways.filter_map(|gateway| gateway.internet_gateway_id());
    let vpns = ec2.describe_vpn_gateways().filters(attached()).send().await.doing(&doing)?;
    let vpns = vpns.vpn_gateways().iter().filter(|gateway| {
        gateway.vpc_attachments().iter().any(|attachment| {
            let state = attachment.state().map_or("", |state| state.as_str());
            attachment.vpc_id() == Some(vpc) && state.starts_with("attach")
        })
    });
    let vpns = vpns.filter_map(|gateway| gateway.vpn_gateway_id());
    let endpoints = ec2.describe_vpc_endpoints().filters(filter("vpc-id", vpc));
    let endpoints = endpoints.send().await.doing(&doing)?;
    let endpoints = endpoints.vpc_endpoints().iter().filter(|endpoint| is_alone(endpoint));
    let endpoints = endpoints.map(|endpoint| {
        let (id, service) = (endpoint.vpc_endpoint_id(), endpoint.service_name());
        format!("VPC endpoint {} of {}", id.unwrap_or_default(), service.unwrap_or_default())
    });
    let mut peerings = Vec::new();
    for side in ["requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id"] {
        let call = ec2.describe_vpc_peering_connections().filters(filter(side, vpc));
        let answer = call.send().await.doing(&doing)?;
        let live = answer.vpc_peering_connections().iter().filter(|peering| is_live(peering));
        let ids = live.filter_map(|peering| peering.vpc_peering_connection_id());
        peerings.extend(ids.map(|id| format!("VPC peering connection {id}")));
    }
    Ok(gateways
        .map(|id| format!("internet gateway {id}"))
        .chain(vpns.map(|id| format!("virtual private gateway {id}")))
        .chain(endpoints)
        .chain(peerings)
        .collect())
}

/// Interface endpoints are told by their interfaces.
fn is_alone(endpoint: &VpcEndpoint) -> bool {
    let gone = endpoint
        .state()
        .is_some_and(|state| state.as_str().to_ascii_lowercase().starts_with("delet"));
    endpoint.vpc_endpoint_type() == Some(&VpcEndpointType::Gateway) && !gone
}

fn is_live(peering: &VpcPeeringConnection) -> bool {
    use VpcPeeringConnectionStateReasonCode as State;
    let state = peering.status().and_then(|status| status.code());
    matches!(
        state,
        Some(
            State::Active
                | State::InitiatingRequest
                | State::PendingAcceptance
                | State::Provisioning
        )
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::NetworkInterfaceAttachment;

    use super::*;

    fn attached(instance: &str, index: i32, goes: bool) -> NetworkInterface {
        let attachment = NetworkInterfaceAttachment::builder()
            .instance_id(instance)
            .instance_owner_id("123456789012")
            .device_index(index)
            .delete_on_termination(goes);
        NetworkInterface::builder().attachment(attachment.build()).build()
    }

    /// As AWS answers for what it has made itself.
    fn managed(requester: &str, description: &str) -> NetworkInterface {
        let attachment = NetworkInterfaceAttachment::builder()
            .instance_owner_id(requester)
            .device_index(1)
            .delete_on_termination(false);
        NetworkInterface::builder()
            .network_interface_id("eni-1")
            .attachment(attachment.build())
            .requester_id(requester)
            .requester_managed(true)
            .description(description)
            .build()
    }

    #[test]
    fn what_an_outage_has_made_keeps_no_vpc() {
        let tag = |key: &str| Tag::builder().key(key).value("true").build();
        assert!(made_by_fis(&[tag("Name"), tag("managedByFIS")]));
        assert!(!made_by_fis(&[tag("Name")]));
    }

    #[test]
    fn what_goes_with_ours_keeps_no_vpc() {
        let instances = BTreeSet::from(["i-1"]);
        let goes = |interface: &NetworkInterface| goes_with_ours(interface, &instances, "jitsi");
        assert!(goes(&managed("amazon-elb", "ELB app/jitsi/50dc6c495c0c9188")));
        assert!(goes(&attached("i-1", 0, true)) && goes(&attached("i-1", 1, true)));
        for theirs in [
            attached("i-2", 0, true),
            attached("i-1", 1, false),
            managed("amazon-elb", "ELB app/jitsi-too/50dc6c495c0c9188"),
            managed("amazon-elb", "ELB net/jitsi/50dc6c495c0c9188"),
            managed("amazon-aws", "Interface for NAT Gateway nat-1"),
            NetworkInterface::builder().build(),
        ] {
            assert!(!goes(&theirs), "{theirs:?}");
        }
        let nat = managed("amazon-aws", "Interface for NAT Gateway nat-1");
        assert_eq!(told(&nat), "network interface eni-1: Interface for NAT Gateway nat-1");
        assert_eq!(told(&attached("i-2", 0, true)), "network interface  of instance i-2");
    }
}
