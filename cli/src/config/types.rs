//! Values that were checked once: what a type here holds, AWS takes.

use std::fmt;

use jitsi_templates::settings;

use crate::partition::{self, Partition};

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

impl Region {
    /// Checks the shape of a region's name and that its partition is one we deploy to; whether it
    /// exists and is enabled, AWS says.
    pub fn parse(text: &str) -> Result<Self, String> {
        let region = settings::region(text)?;
        let Some(partition) = Partition::of(&region) else {
            let nearest = partition::misspelt(&region).unwrap_or("eu-central-1");
            return Err(format!(
                "is in no partition the AWS SDK knows; did you mean \"{nearest}\"?"
            ));
        };
        partition.refused.map_or(Ok(Self(region)), |reason| Err(reason.into()))
    }

    /// The partition the region lies in.
    ///
    /// # Panics
    /// Never: a region without one was refused when it was read.
    #[expect(clippy::expect_used, reason = "checked by `parse`")]
    pub fn partition(&self) -> &'static Partition {
        Partition::of(&self.0).expect("a region that was checked")
    }

    /// The known region this one is probably a misspelling of; `None` when it is known itself.
    pub fn misspelt(&self) -> Option<&'static str> {
        partition::misspelt(&self.0)
    }
}

impl Zone {
    /// Checks an availability zone's name; with a region, that it lies there.
    pub fn parse(text: &str, region: Option<&Region>) -> Result<Self, String> {
        let example = region.map_or("eu-central-1", Region::as_str);
        let Some(in_region) = text.strip_suffix(|c: char| c.is_ascii_lowercase()) else {
            return Err(format!("is not an availability zone; write \"{example}a\""));
        };
        if settings::region(in_region).is_err() {
            return Err(format!(
                "is not an availability zone; write \"{example}a\" (a local or wavelength zone cannot \
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
            _ => Err("is not an instance type; write family.size, such as \"t3.large\"".into()),
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
            Err("is not an image; write \"debian-13\", \"debian-12\" or an AMI id (\"ami-\" and its 17 \
                 hexadecimal digits), or leave the key out for the newest Debian 13"
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
            "is not a hosted zone id (Z…); `aws route53 list-hosted-zones-by-name --dns-name {name}` \
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
            return Err("is not an ARN; `aws acm list-certificates` prints it: \
                 arn:aws:acm:REGION:ACCOUNT:certificate/ID"
                .into());
        };
        if service == "iam" {
            return Err("is a certificate in IAM; import it into ACM and give that ARN".into());
        }
        let account_id = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let certificate = resource.strip_prefix("certificate/").is_some_and(|id| !id.is_empty());
        if service != "acm" || !account_id || !certificate {
            return Err("is not the ARN of a certificate; it reads \
                 arn:aws:acm:REGION:ACCOUNT:certificate/ID"
                .into());
        }
        let Some(region) = region else { return Ok(Self(text.to_owned())) };
        if arn_region != region.as_str() {
            return Err(format!(
                "is in {arn_region}; the load balancer in {region} can only use a certificate there"
            ));
        }
        if partition != region.partition().id {
            return Err(format!("must begin with arn:{}: in {region}", region.partition().id));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Email {
    /// A practical check, not RFC 5321: one `@`, a plausible local part, a public domain.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((local, domain)) = text.rsplit_once('@') else {
            return Err("is not an e-mail address; write name@example.org".into());
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
