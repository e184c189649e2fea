//! Values that were checked once: what a type here holds, AWS takes.

use std::fmt;

use jitsi_templates::settings;

/// A checked text that reads as itself.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text! {
    /// Deployment name: lower-case letters, digits and hyphens, at most 20, so that every name made
    /// from it fits AWS's limits.
    DeploymentName
}
checked_text! {
    /// AWS region, `eu-central-1`.
    Region
}
checked_text! {
    /// Availability zone, `eu-central-1a`.
    Zone
}
checked_text! {
    /// EC2 instance type, `t3.large`.
    InstanceType
}
checked_text! {
    /// AMI id, `ami-0123456789abcdef0`.
    ImageId
}
checked_text! {
    /// Route 53 hosted zone id, `Z0123456789ABC`.
    HostedZoneId
}
checked_text! {
    /// ARN of an ACM certificate.
    CertificateArn
}
checked_text! {
    /// An e-mail address SNS can send to.
    Email
}

impl DeploymentName {
    /// Checks a deployment name.
    pub fn parse(text: &str) -> Result<Self, String> {
        settings::deployment_name(text).map(Self)
    }
}

/// Set of regions with accounts, endpoints and ARNs of its own (AWS general reference, "Partitions").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// `aws`
    Commercial,
    /// `aws-cn`
    China,
    /// `aws-us-gov`
    GovCloud,
    /// `aws-eusc`, the European Sovereign Cloud
    EuropeanSovereign,
}

impl Partition {
    /// The second field of every ARN.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commercial => "aws",
            Self::China => "aws-cn",
            Self::GovCloud => "aws-us-gov",
            Self::EuropeanSovereign => "aws-eusc",
        }
    }
}

impl Region {
    /// Checks the shape of a region's name; whether it exists and is enabled, AWS says.
    pub fn parse(text: &str) -> Result<Self, String> {
        let region = settings::region(text)?;
        if region.starts_with("us-iso") || region.starts_with("eu-iso") {
            return Err("is in an isolated partition, which jitsi-aws does not know".into());
        }
        Ok(Self(region))
    }

    /// The partition the region lies in.
    pub fn partition(&self) -> Partition {
        match self.0.split('-').next() {
            Some("cn") => Partition::China,
            Some("eusc") => Partition::EuropeanSovereign,
            _ if self.0.starts_with("us-gov-") => Partition::GovCloud,
            _ => Partition::Commercial,
        }
    }

    /// The known region this one is probably a misspelling of; `None` when it is known itself. AWS
    /// adds regions, so an unknown one is no error.
    pub fn misspelt(&self) -> Option<&'static str> {
        if KNOWN_REGIONS.contains(&self.as_str()) {
            return None;
        }
        settings::reader::nearest(self.as_str(), KNOWN_REGIONS.iter().copied())
    }
}

/// Regions of 2026 (AWS general reference, "Regions and endpoints"), to find misspellings with.
const KNOWN_REGIONS: &[&str] = &[
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
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

impl Zone {
    /// Checks an availability zone's name; with a region, that it lies there.
    pub fn parse(text: &str, region: Option<&Region>) -> Result<Self, String> {
        let example = region.map_or("eu-central-1", Region::as_str);
        let Some(in_region) = text.strip_suffix(|c: char| c.is_ascii_lowercase()) else {
            return Err(format!("is no availability zone; write \"{example}a\""));
        };
        if settings::region(in_region).is_err() {
            return Err(format!(
                "is no availability zone; write \"{example}a\" (a local or wavelength zone cannot \
                 hold the load balancer)"
            ));
        }
        match region {
            Some(region) if region.as_str() != in_region => {
                Err(format!("is not in {region}; write \"{region}{}\"", &text[in_region.len()..]))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl InstanceType {
    /// Checks the shape `family.size`; whether a zone offers it, AWS says.
    pub fn parse(text: &str) -> Result<Self, String> {
        let word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        match text.split_once('.') {
            Some((family, size))
                if word(family)
                    && word(size)
                    && family.starts_with(|c: char| c.is_ascii_lowercase()) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err("is no instance type; write family.size, such as \"t3.large\"".into()),
        }
    }

    /// Memory in MiB of the small types people try first (EC2 instance type specifications).
    pub fn known_small_memory(&self) -> Option<u32> {
        let (family, size) = self.0.split_once('.')?;
        match (family, size) {
            ("t2" | "t3" | "t3a" | "t4g", "nano") => Some(512),
            ("t1", "micro") => Some(613),
            ("t2" | "t3" | "t3a" | "t4g", "micro") => Some(1024),
            ("t2" | "t3" | "t3a" | "t4g" | "m1", "small")
            | ("a1" | "c6g" | "c6gd" | "c7g" | "c7gd" | "c8g" | "c8gd", "medium") => Some(2048),
            _ => None,
        }
    }
}

impl ImageId {
    /// Checks an AMI id: `ami-` and 8 or 17 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("ami-").unwrap_or_default();
        let hex = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if matches!(digits.len(), 8 | 17) && hex {
            Ok(Self(text.to_owned()))
        } else {
            Err("is no AMI id; write \"ami-\" and its 17 hexadecimal digits, or leave the key out \
                 for the newest Ubuntu 24.04"
                .into())
        }
    }
}

impl HostedZoneId {
    /// Checks a hosted zone id, with or without `/hostedzone/` before it (Route 53 API: `Z…`, at
    /// most 32 characters).
    pub fn parse(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
        let good = id.starts_with('Z')
            && (2..=32).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if good {
            return Ok(Self(id.to_owned()));
        }
        let name = if text.contains('.') { text } else { "example.org" };
        Err(format!(
            "is no hosted zone id (Z…); `aws route53 list-hosted-zones-by-name --dns-name {name}` \
             prints it"
        ))
    }
}

impl CertificateArn {
    /// Checks `arn:<partition>:acm:<region>:<account>:certificate/<id>`; with a region, that an ALB
    /// there can use it (it takes only its own region's).
    pub fn parse(text: &str, region: Option<&Region>) -> Result<Self, String> {
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, service, arn_region, account, resource] = fields.as_slice() else {
            return Err("is no ARN; `aws acm list-certificates` prints it: \
                 arn:aws:acm:REGION:ACCOUNT:certificate/ID"
                .into());
        };
        if service == "iam" {
            return Err("is a certificate in IAM; import it into ACM and give that ARN".into());
        }
        let account_id = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let certificate = resource.strip_prefix("certificate/").is_some_and(|id| !id.is_empty());
        if service != "acm" || !account_id || !certificate {
            return Err("is no certificate's ARN; it reads \
                 arn:aws:acm:REGION:ACCOUNT:certificate/ID"
                .into());
        }
        let Some(region) = region else { return Ok(Self(text.to_owned())) };
        if arn_region != region.as_str() {
            return Err(format!(
                "is in {arn_region}; the load balancer in {region} can only use a certificate there"
            ));
        }
        if partition != region.partition().as_str() {
            return Err(format!(
                "must begin with arn:{}: in {region}",
                region.partition().as_str()
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Email {
    /// A practical check, not RFC 5321: one `@`, a plausible local part, a public domain.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((local, domain)) = text.rsplit_once('@') else {
            return Err("is no e-mail address; write name@example.org".into());
        };
        if text.contains('<') || text.chars().any(char::is_whitespace) {
            return Err("must be the bare address, without name, spaces and brackets".into());
        }
        if local.is_empty() || local.len() > 64 {
            return Err("needs 1 to 64 characters before the @".into());
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
        if !local.bytes().all(allowed) {
            return Err("has characters before the @ that mail servers refuse".into());
        }
        if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
            return Err("has a misplaced dot before the @".into());
        }
        let domain = settings::Domain::parse(domain)
            .map_err(|reason| format!("after the @, \"{domain}\" {reason}"))?;
        Ok(Self(format!("{local}@{domain}")))
    }
}
