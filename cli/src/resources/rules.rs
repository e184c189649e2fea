//! Security group rules one by one: AWS bundles and reorders them, so two sets are compared.

use std::{collections::BTreeSet, fmt};

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};

/// One rule: who may reach which ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    protocol: String,
    first: i32,
    last: i32,
    from: Source,
}

/// Who a rule lets in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// IPv4 addresses.
    V4(String),
    /// IPv6 addresses.
    V6(String),
    /// Members of a security group.
    Group(String),
    /// A prefix list.
    List(String),
}

impl Rule {
    /// One TCP port.
    pub(super) fn tcp(port: u16, from: Source) -> Self {
        Self { protocol: "tcp".into(), first: port.into(), last: port.into(), from }
    }

    /// One UDP port.
    pub(super) fn udp(port: u16, from: Source) -> Self {
        Self { protocol: "udp".into(), ..Self::tcp(port, from) }
    }

    /// All ports of all protocols, for these IPv4 addresses.
    pub(super) fn everything(addresses: &str) -> Self {
        let from = Source::V4(addresses.to_owned());
        Self { protocol: "-1".into(), first: -1, last: -1, from }
    }

    /// The rules in AWS's bundles.
    pub(super) fn split(permissions: &[IpPermission]) -> BTreeSet<Self> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        permissions
            .iter()
            .flat_map(|bundle| {
                let v4 = bundle.ip_ranges().iter().map(|range| Source::V4(text(range.cidr_ip())));
                let v6 =
                    bundle.ipv6_ranges().iter().map(|range| Source::V6(text(range.cidr_ipv6())));
                let groups = bundle
                    .user_id_group_pairs()
                    .iter()
                    .map(|pair| Source::Group(text(pair.group_id())));
                let lists = bundle
                    .prefix_list_ids()
                    .iter()
                    .map(|list| Source::List(text(list.prefix_list_id())));
                v4.chain(v6).chain(groups).chain(lists).map(|from| Self {
                    protocol: text(bundle.ip_protocol()),
                    first: bundle.from_port().unwrap_or(-1),
                    last: bundle.to_port().unwrap_or(-1),
                    from,
                })
            })
            .collect()
    }

    /// The rule as AWS takes it.
    pub(super) fn permission(&self) -> IpPermission {
        let bundle = IpPermission::builder()
            .ip_protocol(&self.protocol)
            .set_from_port(Some(self.first).filter(|port| *port >= 0))
            .set_to_port(Some(self.last).filter(|port| *port >= 0));
        match &self.from {
            Source::V4(cidr) => bundle.ip_ranges(IpRange::builder().cidr_ip(cidr).build()),
            Source::V6(cidr) => bundle.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).build()),
            Source::Group(id) => {
                bundle.user_id_group_pairs(UserIdGroupPair::builder().group_id(id).build())
            }
            Source::List(id) => {
                bundle.prefix_list_ids(PrefixListId::builder().prefix_list_id(id).build())
            }
        }
        .build()
    }

    /// Whether it lets in members of the security group `id`.
    pub(super) fn refers_to(&self, id: &str) -> bool {
        matches!(&self.from, Source::Group(group) if group == id)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol.as_str(), self.first, self.last) {
            ("-1", _, _) => write!(f, "everything")?,
            (protocol, first, last) if first == last => write!(f, "{first}/{protocol}")?,
            (protocol, first, last) => write!(f, "{first}-{last}/{protocol}")?,
        }
        match &self.from {
            Source::V4(from) | Source::V6(from) | Source::Group(from) | Source::List(from) => {
                write!(f, " ← {from}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_come_apart_and_go_back() {
        let bundle = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(443)
            .to_port(443)
            .ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/8").description("x").build())
            .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build())
            .user_id_group_pairs(UserIdGroupPair::builder().group_id("sg-1").user_id("1").build())
            .build();
        let rules = Rule::split(std::slice::from_ref(&bundle));
        let said: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["443/tcp ← 0.0.0.0/0", "443/tcp ← 10.0.0.0/8", "443/tcp ← sg-1"]);
        let again: Vec<IpPermission> = rules.iter().map(Rule::permission).collect();
        assert_eq!(Rule::split(&again), rules);
        assert_eq!(rules.iter().filter(|rule| rule.refers_to("sg-1")).count(), 1);
    }

    #[test]
    fn everything_has_no_ports() {
        let all = IpPermission::builder()
            .ip_protocol("-1")
            .ipv6_ranges(Ipv6Range::builder().cidr_ipv6("::/0").build())
            .build();
        let rules = Rule::split(&[all]);
        let rule = rules.first().expect("one rule");
        assert_eq!(rule.to_string(), "everything ← ::/0");
        assert_eq!(rule.permission().from_port(), None);
    }
}
