//! The DNS record by which people's browsers get from the domain to the load balancer.

use serde_json::{Value, json};

use crate::config::Config;

/// How the domain leads to the load balancer, whose name in the DNS is `address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    domain: String,
    address: String,
    way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// We keep an alias in this hosted zone.
    Kept(String),
    /// Somebody makes it by hand.
    Cname,
    /// By hand, where no CNAME may stand.
    Alias,
}

impl SiteRecord {
    /// The record of this configuration.
    pub fn new(config: &Config, address: &str) -> Self {
        let domain = config.domain.to_string();
        let way = match &config.hosted_zone {
            Some(zone) => Way::Kept(zone.to_string()),
            None if is_apex(&domain) => Way::Alias,
            None => Way::Cname,
        };
        Self { domain, address: address.to_owned(), way }
    }

    /// Whether somebody has to make it.
    pub fn by_hand(&self) -> bool {
        !matches!(self.way, Way::Kept(_))
    }

    /// The record as a line of a zone file, or what stands in its place.
    pub fn line(&self) -> String {
        let Self { domain, address, way } = self;
        match way {
            Way::Kept(zone) => format!("{domain} is an alias of {address} in hosted zone {zone}"),
            Way::Cname => format!("{domain}. CNAME {address}."),
            Way::Alias => format!("{domain}. ALIAS {address}."),
        }
    }

    /// What to know about it, where it is not what people expect.
    pub fn remark(&self) -> Option<String> {
        (self.way == Way::Alias).then(|| {
            format!(
                "{} is the top of its zone, where DNS allows no CNAME: use what your DNS provider calls ALIAS, ANAME \
                 or flattening, or keep the zone in Route 53 and set [dns] hosted_zone, or choose a name below it, \
                 such as meet.{}",
                self.domain, self.domain
            )
        })
    }

    /// For programs: `type` is `CNAME` or `ALIAS`, `kept` whether we keep it.
    pub fn document(&self) -> Value {
        let kind = if self.way == Way::Cname { "CNAME" } else { "ALIAS" };
        json!({ "name": self.domain, "type": kind, "value": self.address, "kept": !self.by_hand() })
    }
}

// What registries sell names below, apart from top-level domains: enough for the ones people have. A name
// that is wrongly taken for one below its zone's top is told to use CNAME, which its provider will refuse.
const SECOND_LEVEL: [&str; 12] =
    ["ac", "co", "com", "edu", "go", "gob", "gov", "ne", "net", "nom", "or", "org"];

/// Whether a domain is the top of its zone, as a registry sells it.
fn is_apex(domain: &str) -> bool {
    match domain.split('.').collect::<Vec<_>>().as_slice() {
        [_, _] => true,
        [_, second, top] => top.len() == 2 && SECOND_LEVEL.contains(second),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_a_zone_takes_no_cname() {
        for domain in ["example.org", "example.co.uk", "example.com.au", "xn--bcher-kva.example"] {
            assert!(is_apex(domain), "{domain}");
        }
        for domain in ["meet.example.org", "meet.example.co.uk", "meet.co.example"] {
            assert!(!is_apex(domain), "{domain}");
        }
    }
}
