//! What AWS shows of the deployment's instances at one moment, and what two looks in a row tell.

use std::{collections::BTreeMap, time::Duration};

use super::milestone::{Kind, Milestone};

/// The group's instances, and those that were, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// By id.
    pub instances: BTreeMap<String, Member>,
    /// What the group did, newest first.
    pub activities: Vec<Activity>,
}

/// One instance, in AWS's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `eu-central-1a`.
    pub zone: String,
    /// `subnet-…`; empty once it is gone.
    pub subnet: String,
    /// When it was launched, in seconds since 1970.
    pub launched: Option<i64>,
    /// Lifecycle state in the group, `Pending:Wait`; none outside of it.
    pub lifecycle: Option<String>,
    /// EC2's state, `running`.
    pub ec2: Option<String>,
    /// Target health, `healthy`; none when it is not registered.
    pub target: Option<String>,
    /// Why the target is not healthy, `Target.Timeout`.
    pub reason: Option<String>,
    /// What its agent has begun, in its words, as far as the console tells: `install`, `configure`.
    pub phases: Vec<String>,
}

/// Something the group did or tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// `Launching a new EC2 instance: i-…`.
    pub description: String,
    /// Why: `At 2026-… an instance was taken out of service in response to …`.
    pub cause: String,
    /// `Failed`, `InProgress`.
    pub status: String,
    /// Why it failed.
    pub message: String,
}

const ENDING: [&str; 4] = ["shutting-down", "terminated", "stopping", "stopped"];

/// The phases of a boot as the agent names them (`agent/src/board.rs`).
const PHASES: [(&str, Kind, &str); 3] = [
    ("install", Kind::Installs, "installs"),
    ("configure", Kind::Configures, "configures"),
    ("prove", Kind::Proves, "starts the services and tries a meeting"),
];

impl Member {
    /// In service and healthy behind the load balancer.
    pub fn serves(&self) -> bool {
        self.lifecycle.as_deref() == Some("InService")
            && self.target.as_deref() == Some("healthy")
            && self.ec2.as_deref() == Some("running")
    }

    /// Held by the launch hook, or about to be.
    pub fn is_held(&self) -> bool {
        self.lifecycle.as_deref().is_some_and(|state| state.starts_with("Pending"))
    }

    /// On its way out, or gone.
    pub fn ends(&self) -> bool {
        let leaves = |state: &str| state.starts_with("Terminat") || state.starts_with("Detach");
        self.lifecycle.as_deref().is_none_or(leaves)
            || self.ec2.as_deref().is_none_or(|state| ENDING.contains(&state))
    }

    /// `Pending:Wait, initial`: the part of its life it is in.
    pub fn state(&self) -> String {
        let ec2 = self.ec2.as_deref().filter(|state| *state != "running");
        let target = self.target.as_deref().filter(|_| self.lifecycle.is_some());
        let parts: Vec<&str> =
            [self.lifecycle.as_deref(), ec2, target].into_iter().flatten().collect();
        if parts.is_empty() { "gone".to_owned() } else { parts.join(", ") }
    }
}

/// What changed from one look to the next.
pub fn compare(before: &Sight, now: &Sight, victim: &str, at: Duration) -> Vec<Milestone> {
    let mut seen = Vec::new();
    let mut tell = |kind, instance: &str, text: String| {
        seen.push(Milestone { at, kind, text, instance: Some(instance.to_owned()) });
    };
    for activity in now.activities.iter().rev() {
        let earlier = before.activities.iter().find(|earlier| earlier.id == activity.id);
        if earlier.is_none()
            && activity.description.contains("Terminating")
            && let Some(why) = why(&activity.cause)
        {
            let id = activity.instance();
            tell(Kind::TakenOut, id, format!("group takes {id} out: {why}"));
        }
        if activity.failed() && !earlier.is_some_and(Activity::failed) {
            let why = activity.message.split(". ").next().unwrap_or_default();
            let text = format!("{} failed: {why}", activity.short());
            tell(Kind::LaunchFailed, activity.instance(), text);
        }
    }
    for (id, member) in &now.instances {
        let earlier = before.instances.get(id);
        if id == victim {
            lost(earlier, member, id, &mut tell);
        } else {
            gained(earlier, member, id, &mut tell);
        }
    }
    if let Some(earlier) = before.instances.get(victim)
        && !now.instances.contains_key(victim)
        && !earlier.ends()
    {
        tell(Kind::TerminationSeen, victim, format!("{victim} is gone"));
    }
    seen
}

fn lost(
    earlier: Option<&Member>,
    member: &Member,
    id: &str,
    tell: &mut impl FnMut(Kind, &str, String),
) {
    if member.ends() && !earlier.is_some_and(Member::ends) {
        let state = match (&member.ec2, &member.lifecycle) {
            (Some(ec2), _) if ENDING.contains(&ec2.as_str()) => format!("{id} is {ec2}"),
            (_, Some(lifecycle)) => format!("{id} is {lifecycle}"),
            _ => format!("{id} has left the group"),
        };
        tell(Kind::TerminationSeen, id, state);
    }
    let healthy = |member: &Member| member.target.as_deref() == Some("healthy");
    if !healthy(member) && earlier.is_some_and(healthy) {
        let target = member.target.as_deref().unwrap_or("no longer registered");
        let reason = member.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        tell(Kind::TargetLost, id, format!("load balancer: {id} {target}{reason}"));
    } else if healthy(member) && !earlier.is_some_and(healthy) {
        tell(Kind::TargetHealthy, id, format!("load balancer: {id} healthy again"));
    }
}

fn gained(
    earlier: Option<&Member>,
    member: &Member,
    id: &str,
    tell: &mut impl FnMut(Kind, &str, String),
) {
    let reached = |is: fn(&Member) -> bool| is(member) && !earlier.is_some_and(is);
    if earlier.is_none() && !member.ends() {
        tell(Kind::Launched, id, format!("group launches {id} in {}", member.zone));
    }
    if reached(|member| member.ec2.as_deref() == Some("running")) {
        tell(Kind::Running, id, format!("{id} runs: it boots"));
    }
    if reached(|member| member.lifecycle.as_deref() == Some("Pending:Wait")) {
        tell(Kind::Held, id, format!("{id} Pending:Wait: the hook waits for its first meeting"));
    }
    for (phase, kind, text) in PHASES {
        let began = |member: &Member| member.phases.iter().any(|begun| begun == phase);
        if began(member) && !earlier.is_some_and(began) {
            tell(kind, id, format!("its agent {text}"));
        }
    }
    let admitted = |member: &Member| {
        matches!(member.lifecycle.as_deref(), Some("Pending:Proceed" | "InService"))
    };
    if reached(admitted) {
        let state = member.lifecycle.as_deref().unwrap_or_default();
        let text = format!("a meeting was held on {id}; lifecycle CONTINUE, {state}");
        tell(Kind::InService, id, text);
    }
    if reached(|member| member.target.as_deref() == Some("healthy")) {
        tell(Kind::TargetHealthy, id, format!("load balancer: {id} healthy"));
    }
    if member.ends() && earlier.is_some_and(|earlier| !earlier.ends()) {
        tell(Kind::LaunchFailed, id, format!("{id} is given up: {}", member.state()));
    }
}

impl Activity {
    fn failed(&self) -> bool {
        matches!(self.status.as_str(), "Failed" | "Cancelled")
    }

    /// `Launching a new EC2 instance`.
    fn short(&self) -> &str {
        self.description.split([':', '.']).next().unwrap_or_default().trim()
    }

    /// The id at the end of the description.
    fn instance(&self) -> &str {
        let words = self.description.split_whitespace();
        words
            .map(|word| word.trim_end_matches('.'))
            .find(|word| word.starts_with("i-"))
            .unwrap_or("")
    }
}

/// The reason in a cause: "At … an instance was taken out of service in response to an EC2 health
/// check indicating it has been terminated or stopped."
fn why(cause: &str) -> Option<&str> {
    let (_, why) = cause.split_once("in response to ")?;
    let why = why.split(" indicating ").next().unwrap_or(why);
    Some(why.split(". ").next().unwrap_or(why).trim().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(lifecycle: &str, ec2: &str, target: &str) -> Member {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Member {
            zone: "eu-central-1b".into(),
            lifecycle: some(lifecycle),
            ec2: some(ec2),
            target: some(target),
            ..Member::default()
        }
    }

    fn booting(phases: &[&str]) -> Member {
        let phases = phases.iter().map(|phase| (*phase).to_owned()).collect();
        Member { phases, ..member("Pending:Wait", "running", "") }
    }

    fn sight(members: &[(&str, Member)]) -> Sight {
        let instances = members.iter().map(|(id, member)| ((*id).to_owned(), member.clone()));
        Sight { instances: instances.collect(), activities: Vec::new() }
    }

    fn kinds(before: &Sight, now: &Sight) -> Vec<Kind> {
        compare(before, now, "i-old", Duration::ZERO).iter().map(|seen| seen.kind).collect()
    }

    #[test]
    fn a_replacement_is_told_step_by_step() {
        let old = member("InService", "running", "healthy");
        let dying = member("InService", "shutting-down", "unhealthy");
        let looks = [
            sight(&[("i-old", old)]),
            sight(&[("i-old", dying.clone())]),
            sight(&[("i-old", dying), ("i-new", member("Pending", "pending", ""))]),
            sight(&[("i-new", member("Pending:Wait", "running", ""))]),
            sight(&[("i-new", booting(&["install"]))]),
            sight(&[("i-new", booting(&["install", "configure", "prove"]))]),
            sight(&[("i-new", member("Pending:Proceed", "running", ""))]),
            sight(&[("i-new", member("InService", "running", "initial"))]),
            sight(&[("i-new", member("InService", "running", "healthy"))]),
        ];
        let told: Vec<Vec<Kind>> = looks.windows(2).map(|pair| kinds(&pair[0], &pair[1])).collect();
        let expected: [&[Kind]; 8] = [
            &[Kind::TerminationSeen, Kind::TargetLost],
            &[Kind::Launched],
            &[Kind::Running, Kind::Held],
            &[Kind::Installs],
            &[Kind::Configures, Kind::Proves],
            &[Kind::InService],
            &[],
            &[Kind::TargetHealthy],
        ];
        assert_eq!(told, expected);
        assert!(looks[0].instances["i-old"].serves() && looks[8].instances["i-new"].serves());
        assert!(!looks[1].instances["i-old"].serves());
    }

    #[test]
    fn steps_missed_between_two_looks_are_told_all_the_same() {
        let before = sight(&[("i-old", member("InService", "running", "healthy"))]);
        let now = sight(&[("i-new", member("InService", "running", "healthy"))]);
        let expected = [
            Kind::Launched,
            Kind::Running,
            Kind::InService,
            Kind::TargetHealthy,
            Kind::TerminationSeen,
        ];
        assert_eq!(kinds(&before, &now), expected);
    }

    #[test]
    fn the_groups_reasons_are_passed_on() {
        let out = Activity {
            id: "1".into(),
            description: "Terminating EC2 instance: i-old".into(),
            cause:
                "At 2026-11-20T10:15:33Z an instance was taken out of service in response to an \
                    EC2 health check indicating it has been terminated or stopped."
                    .into(),
            status: "InProgress".into(),
            message: String::new(),
        };
        let failed = Activity {
            id: "2".into(),
            description: "Launching a new EC2 instance.  Status Reason: no capacity".into(),
            status: "Failed".into(),
            message: "We currently do not have sufficient capacity".into(),
            ..Activity::default()
        };
        let now = Sight { activities: vec![failed, out], ..Sight::default() };
        let texts: Vec<String> = compare(&Sight::default(), &now, "i-old", Duration::ZERO)
            .into_iter()
            .map(|seen| seen.text)
            .collect();
        assert_eq!(
            texts,
            [
                "group takes i-old out: an EC2 health check",
                "Launching a new EC2 instance failed: We currently do not have sufficient capacity",
            ]
        );
        assert!(compare(&now, &now, "i-old", Duration::ZERO).is_empty());
    }

    #[test]
    fn a_service_that_heals_is_told_on_the_same_instance() {
        let good = sight(&[("i-old", member("InService", "running", "healthy"))]);
        let bad = sight(&[("i-old", member("InService", "running", "unhealthy"))]);
        assert_eq!(kinds(&good, &bad), [Kind::TargetLost]);
        assert_eq!(kinds(&bad, &good), [Kind::TargetHealthy]);
    }
}
