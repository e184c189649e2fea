//! What the lease says: who is at work, with which command, since when.

use std::{
    env,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::LIFE;

/// The lease as it is written down, in JSON. Other versions may add to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Tells this run from every other one.
    pub run: String,
    /// User and machine: `ann@desk`.
    pub who: String,
    /// As whom AWS knows them.
    pub arn: String,
    /// With which command: `setup all`.
    pub command: String,
    /// Since when, by AWS's clock, RFC 3339.
    pub since: String,
    /// How many seconds after its last renewal somebody else may take it.
    pub seconds: u64,
    /// How often it was renewed; every renewal writes something new.
    pub renewals: u64,
    /// Who ended it; nobody renews it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

impl Record {
    /// One of this run.
    pub(super) fn new(arn: &str, command: &str) -> Self {
        Self {
            // Its keys are the system's random numbers.
            run: format!("{:016x}", RandomState::new().hash_one(std::process::id())),
            who: who(),
            arn: arn.to_owned(),
            command: command.to_owned(),
            since: String::new(),
            seconds: LIFE.as_secs(),
            renewals: 0,
            ended_by: None,
        }
    }

    /// The same, renewed once more.
    pub(super) fn renewed(&self) -> Self {
        Self { renewals: self.renewals + 1, ..self.clone() }
    }

    /// How long it holds after its last renewal.
    pub fn life(&self) -> Duration {
        // Whatever another version, or somebody, wrote there: nobody is locked out for long.
        Duration::from_secs(self.seconds).clamp(Duration::from_secs(10), LIFE * 10)
    }

    /// `ann@desk (arn:…, "setup all" since 2026-01-31T12:00:00Z)`.
    pub fn told(&self) -> String {
        let Self { who, arn, command, since, .. } = self;
        format!("{who} ({arn}, \"{command}\" since {since})")
    }
}

/// The user and the machine, as others would recognise them.
pub fn who() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    let user = user.filter(|user| !user.is_empty()).unwrap_or_else(|| "somebody".to_owned());
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
    format!("{user}@{}", host.filter(|host| !host.is_empty()).as_deref().unwrap_or("somewhere"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_added_is_passed_over() {
        let text = r#"{"run":"1","who":"ann@desk","arn":"arn:x","command":"setup all","since":"2026-01-31T12:00:00Z",
                       "seconds":86400,"renewals":3,"mood":"good"}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(record.life(), LIFE * 10, "nobody is locked out for a day");
        assert_eq!(record.told(), "ann@desk (arn:x, \"setup all\" since 2026-01-31T12:00:00Z)");
        assert_ne!(record.renewed(), record);
    }

    #[test]
    fn two_runs_are_told_apart() {
        assert_ne!(Record::new("a", "b").run, Record::new("a", "b").run);
    }
}
