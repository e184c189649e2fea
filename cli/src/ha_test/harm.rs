//! What a failover test does to a deployment, with AWS's own means and no others: the same calls
//! whoever answers them.

mod command;
mod experiment;

use std::{fmt, str::FromStr};

use anyhow::Result;

use self::experiment::Experiment;
use crate::{aws::Answer, cx::Cx, names::Names, policy::Permission};

/// What is done to the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// EC2 terminates the instance.
    Instance,
    /// One of its services is killed.
    Service(Service),
    /// One of its services stays, but answers no more.
    Hang(Service),
    /// Its zone is cut off the network and has no capacity.
    ZoneOutage,
}

/// A service a meeting needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The web server in front of all others.
    Nginx,
    /// The XMPP server.
    Prosody,
    /// Gives a meeting its bridge.
    Jicofo,
    /// The bridge.
    Videobridge,
}

/// Who is harmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The instance in service, `i-…`.
    pub instance_id: String,
    /// Its zone, `eu-central-1a`.
    pub zone: String,
    /// Its subnet, which is the deployment's only one in that zone.
    pub subnet_id: String,
}

/// What is under way.
#[derive(Debug)]
#[must_use = "a harm that lasts is to be ended"]
pub struct Inflicted {
    experiment: Option<Experiment>,
}

impl Service {
    /// All, in the order a request passes them.
    pub const ALL: [Self; 4] = [Self::Nginx, Self::Prosody, Self::Jicofo, Self::Videobridge];

    /// The name of its systemd unit, which is also that of its package.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Prosody => "prosody",
            Self::Jicofo => "jicofo",
            Self::Videobridge => "jitsi-videobridge2",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.unit())
    }
}

/// Not a service of the instance.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no service `{0}`: it is one of nginx, prosody, jicofo, jitsi-videobridge2 (or jvb)"
)]
pub struct UnknownService(String);

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Self, UnknownService> {
        let name = if name == "jvb" { "jitsi-videobridge2" } else { name };
        let found = Self::ALL.into_iter().find(|service| service.unit() == name);
        found.ok_or_else(|| UnknownService(name.to_owned()))
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("kill instance"),
            Self::Service(service) => write!(f, "kill {service}"),
            Self::Hang(service) => write!(f, "hang {service}"),
            Self::ZoneOutage => f.write_str("zone outage"),
        }
    }
}

impl Harm {
    /// Begins the harm; returns once it has happened or, where it lasts, is under way.
    pub async fn inflict(&self, cx: &Cx, victim: &Victim) -> Result<Inflicted> {
        let experiment = match self {
            Self::Instance => {
                terminate(cx, victim).await?;
                None
            }
            Self::Service(service) => {
                command::signal(cx, victim, *service, "KILL").await?;
                None
            }
            // What is stopped can neither answer nor end in an orderly way, as a program that hangs.
            Self::Hang(service) => {
                command::signal(cx, victim, *service, "STOP").await?;
                None
            }
            Self::ZoneOutage => Some(Experiment::start(cx, victim).await?),
        };
        Ok(Inflicted { experiment })
    }
}

impl Inflicted {
    /// Takes back what lasts, also when the user asked to stop meanwhile. What was killed stays
    /// killed: to heal is the deployment's part.
    pub async fn end(self, cx: &Cx) -> Result<()> {
        match self.experiment {
            Some(experiment) => experiment.end(cx).await,
            None => Ok(()),
        }
    }
}

/// What the harms take, each narrowed to what is ours.
pub fn permissions(names: &Names) -> Vec<Permission> {
    let instance = [names.arn("ec2", "*/*")]; // as wherever EC2 is narrowed: one statement
    let mut all = vec![Permission::write(&["ec2:TerminateInstances"]).on(instance).on_ours(names)];
    all.extend(command::permissions(names));
    all.extend(experiment::permissions(names));
    all
}

async fn terminate(cx: &Cx, victim: &Victim) -> Result<()> {
    let id = &victim.instance_id;
    let answer = cx.aws.ec2.terminate_instances().instance_ids(id).send().await;
    answer.doing(format!("terminating {id}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_go_by_the_names_of_their_units() {
        for service in Service::ALL {
            assert_eq!(service.unit().parse::<Service>().unwrap(), service);
        }
        assert_eq!("jvb".parse::<Service>().unwrap(), Service::Videobridge);
        let unknown = "apache2".parse::<Service>().unwrap_err().to_string();
        assert!(Service::ALL.iter().all(|service| unknown.contains(service.unit())), "{unknown}");
    }
}
