//! The tags every resource carries, and what they say about whose it is.

use std::fmt;

use crate::{engine::Stage, names::Names};

/// The owner tag: its value is the deployment's name. What lacks it is never touched.
pub const DEPLOYMENT: &str = "jitsi-aws:deployment";
/// What people look for in AWS's console; every resource with tags has it.
pub const NAME: &str = "Name";
/// The stage that made the resource, `lb`.
pub const STAGE: &str = "jitsi-aws:stage";
/// The region deployed to: IAM belongs to the whole account, so a deployment of the same name in
/// another region would else take its user and role for its own.
pub const REGION: &str = "jitsi-aws:region";
/// The version of jitsi-aws that made the resource.
pub const VERSION: &str = "jitsi-aws:version";

/// The tags of a new resource, as key and value.
pub fn new(names: &Names, stage: Stage, name: &str) -> [(&'static str, String); 5] {
    [
        (NAME, name.to_owned()),
        (DEPLOYMENT, names.deployment().to_owned()),
        (REGION, names.region().to_owned()),
        (STAGE, stage.word().to_owned()),
        (VERSION, env!("CARGO_PKG_VERSION").to_owned()),
    ]
}

/// Whose a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This deployment's: it carries our owner tag, or is a part of something that does.
    Ours,
    /// The operator's own, named in the configuration: used, never changed, never deleted.
    Borrowed,
    /// Somebody else's under a name we would use: never touched.
    Foreign(Foreign),
}

/// Why a resource is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It has no tag `jitsi-aws:deployment`.
    Untagged,
    /// It belongs to the deployment of this name.
    Of(String),
    /// It is another account's, as far as can be told: only names that are taken once in the world can be.
    OfAnotherAccount,
    /// Another reason, in words: what it is found by is no tag.
    Other(String),
    /// As [`Foreign::Other`], where another name for the deployment is no way out: what is.
    InTheWay {
        /// Why it is not ours.
        why: String,
        /// What to do.
        hint: String,
    },
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged => write!(f, "it has no tag `{DEPLOYMENT}`"),
            Self::Of(deployment) => write!(f, "it belongs to the deployment `{deployment}`"),
            Self::OfAnotherAccount => f.write_str(
                "another AWS account has taken this name, or a policy keeps these credentials from looking",
            ),
            Self::Other(why) | Self::InTheWay { why, .. } => f.write_str(why),
        }
    }
}

/// Reads the owner from a resource's tags.
pub fn owner<'a>(names: &Names, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Owner {
    let (mut deployment, mut region) = (None, None);
    for (key, value) in tags {
        match key {
            DEPLOYMENT => deployment = Some(value),
            REGION => region = Some(value),
            _ => {}
        }
    }
    match (deployment, region) {
        (None, _) => Owner::Foreign(Foreign::Untagged),
        (Some(name), _) if name != names.deployment() => {
            Owner::Foreign(Foreign::Of(name.to_owned()))
        }
        (Some(name), Some(region)) if region != names.region() => {
            Owner::Foreign(Foreign::Of(format!("{name} in {region}")))
        }
        _ => Owner::Ours,
    }
}

/// The tags of a new resource as a list of a service's own `Tag` type, the last argument, whose
/// builder takes `key` and `value`. Services differ only in whether `build` can fail.
#[macro_export]
macro_rules! tag_list {
    ($cx:expr, $stage:expr, $name:expr, $tag:ty) => {
        $crate::tags::new(&$cx.names, $stage, $name)
            .into_iter()
            .map(|(key, value)| <$tag>::builder().key(key).value(value).build())
            .collect::<Vec<_>>()
    };
    ($cx:expr, $stage:expr, $name:expr, fallible $tag:ty) => {
        $crate::tags::new(&$cx.names, $stage, $name)
            .into_iter()
            .map(|(key, value)| <$tag>::builder().key(key).value(value).build())
            .collect::<Result<Vec<_>, _>>()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_deployment_is_ours() {
        let names = Names::new("jitsi", "eu-central-1", "123456789012");
        assert_eq!(owner(&names, [("Name", "x"), (DEPLOYMENT, "jitsi")]), Owner::Ours);
        assert_eq!(
            owner(&names, [(DEPLOYMENT, "other")]),
            Owner::Foreign(Foreign::Of("other".into()))
        );
        assert_eq!(
            owner(&names, [(REGION, "eu-west-1"), (DEPLOYMENT, "jitsi")]),
            Owner::Foreign(Foreign::Of("jitsi in eu-west-1".into()))
        );
        assert_eq!(owner(&names, [("Name", "jitsi")]), Owner::Foreign(Foreign::Untagged));
    }
}
