//! AWS's partitions: sets of regions with accounts, endpoints and ARNs of their own. The facts are
//! those of the SDKs (botocore `data/partitions.json`, the same document each Rust SDK crate carries in
//! private); a test compares.

use jitsi_templates::settings;

/// What the SDKs know of one partition.
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// Second field of every ARN.
    pub id: &'static str,
    /// What all regions of it begin with; after it come a direction and a number. Regions that are
    /// newer than the list below are told by this, as the SDKs do.
    pub prefixes: &'static [&'static str],
    /// What its endpoints end in.
    pub dns_suffix: &'static str,
    /// Regions known today.
    pub regions: &'static [&'static str],
    /// Whether AWS Fault Injection Service works in it (AWS General Reference, "AWS FIS endpoints").
    pub fault_injection: bool,
    /// Why a deployment there is refused.
    pub refused: Option<&'static str>,
}

impl Partition {
    /// The partition `region` lies in: by name, else by how the name is built. `None` when no SDK
    /// would know where to send a call.
    pub fn of(region: &str) -> Option<&'static Self> {
        let known = PARTITIONS.iter().find(|partition| partition.regions.contains(&region));
        known.or_else(|| PARTITIONS.iter().find(|partition| partition.could_hold(region)))
    }

    /// Names under which EC2 appears in `iam:PassedToService`. In China both are seen: the service
    /// principal is `ec2.amazonaws.com`, IAM's examples there say `ec2.amazonaws.com.cn`.
    pub fn ec2_principals(&self) -> &'static [&'static str] {
        if self.id == "aws-cn" {
            &["ec2.amazonaws.com", "ec2.amazonaws.com.cn"]
        } else {
            &["ec2.amazonaws.com"]
        }
    }

    /// `^<prefix>-\w+-\d+$`, the shape of the SDKs' regular expressions.
    fn could_hold(&self, region: &str) -> bool {
        self.prefixes.iter().any(|prefix| {
            let rest = region.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
            rest.and_then(|rest| rest.split_once('-')).is_some_and(|(direction, number)| {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                !direction.is_empty()
                    && direction.chars().all(word)
                    && !number.is_empty()
                    && number.chars().all(|c| c.is_ascii_digit())
            })
        })
    }
}

/// The known region that `region` is probably a misspelling of; `None` when it is known itself. AWS
/// adds regions, so an unknown one is no error.
pub fn misspelt(region: &str) -> Option<&'static str> {
    let known = || PARTITIONS.iter().flat_map(|partition| partition.regions).copied();
    if known().any(|each| each == region) {
        return None;
    }
    settings::reader::nearest(region, known())
}

const ISOLATED: &str = "is in an isolated partition, which jitsi-aws does not know";

/// All partitions of the SDKs.
pub const PARTITIONS: &[Partition] = &[
    Partition {
        id: "aws",
        prefixes: &["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"],
        dns_suffix: "amazonaws.com",
        regions: &[
            "af-south-1",
            "ap-east-1",
            "ap-east-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "ap-southeast-5",
            "ap-southeast-6",
            "ap-southeast-7",
            "ca-central-1",
            "ca-west-1",
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "il-central-1",
            "me-central-1",
            "me-south-1",
            "me-west-1",
            "mx-central-1",
            "sa-east-1",
            "sa-west-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ],
        fault_injection: true,
        refused: None,
    },
    Partition {
        id: "aws-cn",
        prefixes: &["cn"],
        dns_suffix: "amazonaws.com.cn",
        regions: &["cn-north-1", "cn-northwest-1"],
        fault_injection: false,
        refused: None,
    },
    Partition {
        id: "aws-eusc",
        prefixes: &["eusc-de"],
        dns_suffix: "amazonaws.eu",
        regions: &["eusc-de-east-1"],
        fault_injection: false,
        refused: Some(
            "is in the AWS European Sovereign Cloud (partition aws-eusc), which jitsi-aws does not \
             know: its accounts, images and services are others; \"eu-central-1\" is the nearest \
             region of the public cloud",
        ),
    },
    Partition {
        id: "aws-iso",
        prefixes: &["us-iso"],
        dns_suffix: "c2s.ic.gov",
        regions: &["us-iso-east-1", "us-iso-west-1"],
        fault_injection: false,
        refused: Some(ISOLATED),
    },
    Partition {
        id: "aws-iso-b",
        prefixes: &["us-isob"],
        dns_suffix: "sc2s.sgov.gov",
        regions: &["us-isob-east-1", "us-isob-west-1"],
        fault_injection: false,
        refused: Some(ISOLATED),
    },
    Partition {
        id: "aws-iso-e",
        prefixes: &["eu-isoe"],
        dns_suffix: "cloud.adc-e.uk",
        regions: &["eu-isoe-west-1"],
        fault_injection: false,
        refused: Some(ISOLATED),
    },
    Partition {
        id: "aws-iso-f",
        prefixes: &["us-isof"],
        dns_suffix: "csp.hci.ic.gov",
        regions: &["us-isof-east-1", "us-isof-south-1"],
        fault_injection: false,
        refused: Some(ISOLATED),
    },
    Partition {
        id: "aws-us-gov",
        prefixes: &["us-gov"],
        dns_suffix: "amazonaws.com",
        regions: &["us-gov-east-1", "us-gov-west-1"],
        fault_injection: true,
        refused: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn id(region: &str) -> Option<&'static str> {
        Partition::of(region).map(|partition| partition.id)
    }

    #[test]
    fn a_region_newer_than_the_list_has_its_partition() {
        assert_eq!(id("eu-southwest-9"), Some("aws"));
        assert_eq!(id("cn-south-1"), Some("aws-cn"));
        assert_eq!(id("us-gov-central-1"), Some("aws-us-gov"));
        assert_eq!(id("eusc-de-west-2"), Some("aws-eusc"));
        assert_eq!(id("xx-moon-1"), None);
        assert_eq!(id("eu-central"), None);
    }

    #[test]
    fn a_misspelling_is_told() {
        assert_eq!(misspelt("eu-centrall-1"), Some("eu-central-1"));
        assert_eq!(misspelt("eu-central-1"), None);
    }
}
