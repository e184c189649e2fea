//! The deployer's own rights, looked at before what takes them: where they are not those it needs, no waiting
//! helps, and only an administrator can change them.

use std::{fmt, time::Duration};

use anyhow::Result;
use tokio::time::Instant;

use super::session::{PAUSE, Session};
use crate::{
    aws::AwsError,
    engine::{self, Difference, Key, Stage},
};

// IAM may show what was before for a few seconds (IAM user guide, "Changes that I make are not always
// immediately visible").
const NEW_LIMIT: Duration = Duration::from_secs(5);

/// What decides on the deployer's rights.
const DECISIVE: [Key; 4] =
    [Key::InstancesPolicy, Key::LbPolicy, Key::MonitoringPolicy, Key::DeployerUser];

/// How the deployer's rights differ from those it needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    differences: Vec<Difference>,
    /// Looking at them is one of them.
    hidden: bool,
}

impl Rights {
    /// Whether they do not differ.
    pub(super) fn are_right(&self) -> bool {
        self.differences.is_empty() && !self.hidden
    }

    /// Those that `stages` take.
    pub(super) fn of(&self, stages: &[Stage]) -> Self {
        let taken = |key: &Key| match key {
            Key::InstancesPolicy => stages.contains(&Stage::Instances),
            Key::LbPolicy => stages.contains(&Stage::Lb),
            Key::MonitoringPolicy => stages.contains(&Stage::Monitoring),
            _ => true,
        };
        let taken = self.differences.iter().filter(|one| taken(&one.key)).cloned();
        Self { differences: taken.collect(), hidden: self.hidden }
    }
}

/// `the IAM policy jitsi-lb is missing; …`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<String> = self.differences.iter().map(told).collect();
        if self.hidden {
            all.push("it may not even look at its own rights".to_owned());
        }
        f.write_str(&all.join("; "))
    }
}

fn told(difference: &Difference) -> String {
    let what = format!("the {} {}", difference.key.title(), difference.name);
    if difference.drift.is_empty() {
        return format!("{what} is missing");
    }
    let fields = difference.drift.iter().map(|drift| match difference.key {
        Key::DeployerUser => {
            let attached: Vec<&str> = drift.actual.split(", ").collect();
            let lacks = drift.wanted.split(", ").filter(|name| !attached.contains(name));
            format!("lacks {}", lacks.collect::<Vec<_>>().join(", "))
        }
        _ => format!("is {}", drift.actual),
    });
    format!("{what} {}", fields.collect::<Vec<_>>().join(", "))
}

impl Session {
    /// Looks whether the deployer's rights are those it needs, whoever this session is of.
    pub(super) async fn look_at_rights(&mut self) -> Result<()> {
        let start = Instant::now();
        let seen = loop {
            let seen = engine::differences(&self.catalog, &DECISIVE, &self.cx).await;
            let recent = &self.cx.recent;
            let young = recent.rights_are_new() && start.elapsed() < NEW_LIMIT;
            let may_pass = match &seen {
                Ok(differences) => young && !differences.is_empty(),
                Err(error) if is_denied(error) => young,
                Err(error) => {
                    let aws = error.downcast_ref::<AwsError>();
                    aws.is_some_and(|error| recent.excuses(error, start))
                }
            };
            if !may_pass {
                break seen;
            }
            self.cx.pause(PAUSE).await?;
        };
        self.rights = match seen {
            Ok(differences) => Rights { differences, hidden: false },
            Err(error) if is_denied(&error) => {
                Rights { differences: Vec::new(), hidden: self.is_deployer() }
            }
            Err(error) => return Err(error),
        };
        if self.is_deployer() && !self.rights.are_right() {
            self.cx.recent.note_that_rights_differ();
        }
        Ok(())
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<AwsError>().is_some_and(AwsError::is_denied)
}
