//! The course of a test: what was seen so far, whether it is over, and what is still waited for.
//! Knows no clock and asks nobody: times are given, counted from the start of the watch.

use std::{collections::BTreeMap, time::Duration};

use super::{
    harm::{Harm, Victim},
    milestone::{Kind, Milestone, Tone},
    series::{Outage, Series},
    sight::{self, Member, Sight},
};
use crate::excerpt::excerpt;

/// What a test is to show.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is done.
    pub harm: Harm,
    /// To whom.
    pub victim: Victim,
    /// How long the service may take to come back.
    pub within: Duration,
    /// How the people in charge hear of it.
    pub notice: Notice,
}

/// How the people in charge hear of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// By mail about it.
    Mail,
    /// By an alarm, which sends mail.
    Alarm,
    /// A service that was killed and came back is none of their business.
    None,
}

/// What a watcher saw.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An attempt began at this time.
    Begun(What, Duration),
    /// The attempt that began at this time is over; why it failed.
    Ended(What, Duration, Option<String>),
    /// What AWS shows.
    Aws(Sight),
    /// AWS did not answer: why.
    Blind(String),
    /// A mail about the harm, by its subject.
    Mail(String),
    /// An alarm changed its state.
    Alarm {
        /// Its name.
        name: String,
        /// The new state, `ALARM`.
        state: String,
    },
    /// The harm has happened or is under way.
    Inflicted,
}

/// What is attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An HTTPS request.
    Request,
    /// A meeting.
    Meeting,
}

/// Where a test stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Goes on; says what is waited for.
    Going(String),
    /// There is nothing left to wait for.
    Over,
}

/// How long everything must be good before it counts as back: ten meetings in a row.
pub const CONFIRMATION: Duration = Duration::from_secs(10);
/// How long to wait for a first failure after killing a service, which may heal before anybody asks.
/// The agent finds a service that answers no more within this time.
pub const EFFECT: Duration = Duration::from_secs(30);
/// How long mail or alarm may take: the slowest alarm needs two whole minutes without a healthy
/// target, and CloudWatch has a minute's figures up to two minutes later.
pub const NOTICE: Duration = Duration::from_mins(5);

// Meetings that must be held in a row, so that a slow watcher does not confirm by silence.
const CONFIRMING_MEETINGS: usize = 3;

// Characters of a reason in a line of 100.
const REASON: usize = 64;

/// The course so far.
#[derive(Clone, Debug)]
pub struct Course {
    plan: Plan,
    began: Duration,
    first: Sight,
    now: Sight,
    requests: Series,
    meetings: Series,
    milestones: Vec<Milestone>,
    told: Vec<(Kind, Duration)>,
    states: Vec<Stay>,
    inflicted: Option<Duration>,
    noticed: Option<(Duration, String)>,
    steady: Option<Duration>,
}

/// How long an instance was in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The instance.
    pub instance: String,
    /// Its zone.
    pub zone: String,
    /// `Pending:Wait`.
    pub state: String,
    /// Whether it serves.
    pub serves: bool,
    /// Since when.
    pub from: Duration,
    /// Until when; none for the last look's.
    pub to: Option<Duration>,
}

impl Course {
    /// A test whose harm is asked for at `began`. `requests` and `meetings` are what was attempted
    /// before, all of it good.
    pub fn new(
        plan: Plan,
        first: Sight,
        requests: Series,
        meetings: Series,
        began: Duration,
    ) -> Self {
        let milestones = vec![Milestone {
            at: began,
            kind: Kind::Requested,
            text: match plan.harm {
                Harm::Instance => "termination requested".to_owned(),
                other => format!("{other} requested"),
            },
            instance: Some(plan.victim.instance_id.clone()),
        }];
        let mut course = Self {
            plan,
            began,
            now: Sight::default(),
            first,
            requests,
            meetings,
            milestones,
            told: Vec::new(),
            states: Vec::new(),
            inflicted: None,
            noticed: None,
            steady: None,
        };
        course.now = course.first.clone();
        course.stay(began);
        course
    }

    /// Takes in what was seen at `at`; gives the lines it adds to the timeline.
    pub fn see(&mut self, at: Duration, seen: Seen) -> Vec<Milestone> {
        let new = match seen {
            Seen::Begun(what, begun) => {
                self.series(what).begin(begun);
                Vec::new()
            }
            Seen::Ended(what, begun, failure) => {
                self.series(what).end(begun, at, failure);
                self.attempted(what)
            }
            Seen::Aws(sight) => {
                let new = sight::compare(&self.now, &sight, &self.plan.victim.instance_id, at);
                self.now = sight;
                self.stay(at);
                new
            }
            Seen::Blind(why) => vec![milestone(at, Kind::Blind, format!("AWS: {why}"))],
            Seen::Mail(subject) => self.notified(at, Notice::Mail, format!("mail: {subject}")),
            Seen::Alarm { name, state } => {
                let text = format!("alarm {name}: {state}");
                let new = match state.as_str() {
                    "ALARM" => self.notified(at, Notice::Alarm, text.clone()),
                    _ => Vec::new(),
                };
                if new.is_empty() { vec![milestone(at, Kind::Alarm, text)] } else { new }
            }
            Seen::Inflicted => {
                self.inflicted = Some(at);
                let text = match self.plan.harm {
                    Harm::Instance => "EC2 terminates it".to_owned(),
                    Harm::Service(service) => format!("{service} was killed"),
                    Harm::Hang(service) => format!("{service} was stopped, as if it hung"),
                    Harm::ZoneOutage => format!("{} is out", self.plan.victim.zone),
                };
                vec![milestone(at, Kind::Inflicted, text)]
            }
        };
        self.milestones.extend(new.iter().cloned());
        self.steady = match (self.missing(at), self.steady) {
            (None, since) => since.or(Some(at)),
            (Some(_), _) => None,
        };
        new
    }

    /// Where the test stands at `at`.
    pub fn state(&self, at: Duration) -> State {
        let since = at.saturating_sub(self.began);
        let Some(steady) = self.steady else {
            let missing = self.missing(at).unwrap_or_default();
            return if since >= self.plan.within { State::Over } else { State::Going(missing) };
        };
        let (failed, meetings) = self.meetings.count(steady);
        if at.saturating_sub(steady) < CONFIRMATION
            || meetings.saturating_sub(failed) < CONFIRMING_MEETINGS
        {
            return State::Going("everything is back; seeing whether it stays".to_owned());
        }
        if self.plan.notice != Notice::None && self.noticed.is_none() && since < NOTICE {
            let what = if self.plan.notice == Notice::Mail { "the mail" } else { "an alarm" };
            return State::Going(format!("everything is back; waiting for {what}"));
        }
        State::Over
    }

    /// What is wrong with how the test ended at `at`: empty when it passed.
    pub fn problems(&self, at: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(missing) = self.missing(at) {
            let within = humantime::format_duration(self.plan.within);
            problems.push(format!("not back within {within}: {missing}"));
        } else if let Some(steady) = self.steady
            && steady.saturating_sub(self.began) > self.plan.within
        {
            problems
                .push(format!("back only after {} s", steady.saturating_sub(self.began).as_secs()));
        }
        if self.noticed.is_none() {
            match self.plan.notice {
                Notice::Mail => {
                    let victim = &self.plan.victim.instance_id;
                    let or = if self.plan.harm == Harm::ZoneOutage { " or an alarm" } else { "" };
                    problems.push(format!("no mail arrived that names {victim}{or}"));
                }
                Notice::Alarm => problems.push("no alarm fired".to_owned()),
                Notice::None => {}
            }
        }
        problems
    }

    /// What the service lacks at `at`, if anything.
    fn missing(&self, at: Duration) -> Option<String> {
        let Some(inflicted) = self.inflicted else {
            return Some("AWS has not confirmed the harm".to_owned());
        };
        if self.successor().is_none() {
            return Some(self.no_successor());
        }
        for (what, series) in [("meetings", &self.meetings), ("requests", &self.requests)] {
            if series.outages().last().is_some_and(|outage| outage.to.is_none()) {
                let reason = series.last_failure().unwrap_or("not good twice in a row yet");
                return Some(format!("{what} fail: {reason}"));
            }
        }
        let healed = self.plan.harm != Harm::Instance && self.plan.harm != Harm::ZoneOutage;
        if healed
            && self.outages(What::Meeting).is_empty()
            && self.outages(What::Request).is_empty()
        {
            return (at.saturating_sub(inflicted) < EFFECT)
                .then(|| "nothing has failed so far".to_owned());
        }
        None
    }

    fn no_successor(&self) -> String {
        let victim = self.plan.victim.instance_id.as_str();
        let newest = self.now.instances.iter().rfind(|(id, member)| {
            id.as_str() != victim && !self.first.instances.contains_key(*id) && !member.ends()
        });
        match newest {
            Some((id, member)) => format!("{id} in {} is {}", member.zone, member.state()),
            None => match self.now.instances.get(victim).filter(|member| !member.ends()) {
                Some(member) => format!("{victim} is {}", member.state()),
                None => "the group has not launched another instance".to_owned(),
            },
        }
    }

    /// The instance that serves now and may.
    pub fn successor(&self) -> Option<(&str, &Member)> {
        let victim = &self.plan.victim;
        let may = |id: &str, member: &Member| match self.plan.harm {
            Harm::Instance => id != victim.instance_id,
            Harm::ZoneOutage => id != victim.instance_id && member.zone != victim.zone,
            Harm::Service(_) | Harm::Hang(_) => true,
        };
        let serving = self.now.instances.iter().map(|(id, member)| (id.as_str(), member));
        serving.filter(|(_, member)| member.serves()).find(|(id, member)| may(id, member))
    }

    /// Since when everything has been good.
    pub fn steady(&self) -> Option<Duration> {
        self.steady
    }

    /// What the test is to show.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// When the harm was asked for.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// How the people in charge were told, and when.
    pub fn noticed(&self) -> Option<&(Duration, String)> {
        self.noticed.as_ref()
    }

    /// Outages since the harm.
    pub fn outages(&self, what: What) -> Vec<Outage> {
        let series = if what == What::Request { &self.requests } else { &self.meetings };
        series.outages()
    }

    /// Failed and all attempts since the harm.
    pub fn count(&self, what: What) -> (usize, usize) {
        let series = if what == What::Request { &self.requests } else { &self.meetings };
        series.count(self.began)
    }

    /// What the instances went through.
    pub fn stays(&self) -> &[Stay] {
        &self.states
    }

    /// The timeline in order. Failures and recoveries are worked out anew: a late answer may have
    /// moved what was told while it was open.
    pub fn timeline(&self) -> Vec<Milestone> {
        let told = |kind| {
            [Kind::RequestFailed, Kind::RequestGood, Kind::MeetingFailed, Kind::MeetingGood]
                .contains(&kind)
        };
        let mut timeline: Vec<Milestone> =
            self.milestones.iter().filter(|milestone| !told(milestone.kind)).cloned().collect();
        for what in [What::Request, What::Meeting] {
            timeline.extend(lines(what, &self.outages(what)));
        }
        timeline.sort_by_key(|milestone| (milestone.at, milestone.kind));
        timeline
    }

    fn series(&mut self, what: What) -> &mut Series {
        match what {
            What::Request => &mut self.requests,
            What::Meeting => &mut self.meetings,
        }
    }

    /// The lines that are new after an attempt.
    fn attempted(&mut self, what: What) -> Vec<Milestone> {
        let mut new = lines(what, &self.outages(what));
        // An outage whose beginning moves back, as an early attempt fails late, is told already; one
        // whose end moves on is not over after all.
        let mut begun =
            self.told.iter().filter(|(kind, _)| kind.tone() == Tone::Bad).map(|told| told.0);
        new.retain(|line| match line.kind.tone() {
            Tone::Bad => !begun.any(|kind| kind == line.kind),
            _ => !self.told.contains(&(line.kind, line.at)),
        });
        self.told.extend(new.iter().map(|line| (line.kind, line.at)));
        new
    }

    fn notified(&mut self, at: Duration, by: Notice, text: String) -> Vec<Milestone> {
        if self.noticed.is_some() || self.plan.notice != by {
            return Vec::new();
        }
        self.noticed = Some((at, text.clone()));
        vec![milestone(at, Kind::Notified, text)]
    }

    /// Notes the states of the instances, where they changed.
    fn stay(&mut self, at: Duration) {
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, stay) in self.states.iter().enumerate() {
            if stay.to.is_none() {
                open.insert(&stay.instance, index);
            }
        }
        let mut ended = Vec::new();
        let mut begun = Vec::new();
        for (id, member) in &self.now.instances {
            let state = member.state();
            match open.remove(id.as_str()) {
                Some(index) if self.states[index].state == state => continue,
                Some(index) => ended.push(index),
                None => {}
            }
            // Dead instances stay listed for an hour.
            if member.lifecycle.is_some() || member.ec2.as_deref() != Some("terminated") {
                begun.push(Stay {
                    instance: id.clone(),
                    zone: member.zone.clone(),
                    state,
                    serves: member.serves(),
                    from: at,
                    to: None,
                });
            }
        }
        ended.extend(open.into_values());
        for index in ended {
            self.states[index].to = Some(at);
        }
        self.states.extend(begun);
    }
}

/// A reason that fits into a line; the whole of it stands with the outage.
fn short(reason: &str) -> String {
    excerpt(reason, REASON)
}

fn milestone(at: Duration, kind: Kind, text: String) -> Milestone {
    Milestone { at, kind, text, instance: None }
}

/// The lines of outages.
fn lines(what: What, outages: &[Outage]) -> Vec<Milestone> {
    let (noun, failed, good) = match what {
        What::Request => ("request", Kind::RequestFailed, Kind::RequestGood),
        What::Meeting => ("meeting", Kind::MeetingFailed, Kind::MeetingGood),
    };
    let mut lines = Vec::new();
    for (number, outage) in outages.iter().enumerate() {
        let again = if number > 0 { " again" } else { "" };
        let text = format!("first {noun} failed{again} ({})", short(&outage.reason));
        lines.push(milestone(outage.first_failed, failed, text));
        if let Some(to) = outage.to {
            lines.push(milestone(to, good, format!("first good {noun}{again}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{
        super::scenario::{NEW, OLD, Scenario, member, sight},
        *,
    };

    const NEVER: std::ops::Range<u64> = 0..0;

    #[test]
    fn a_replacement_passes_once_it_stays_good_and_the_mail_came() {
        let mut test = Scenario::replaced(Notice::Mail, "b");
        assert_eq!(test.waits_for(), "everything is back; seeing whether it stays");
        test.go(75, &NEVER);
        assert!(test.over());
        assert_eq!(test.problems(), [""; 0]);
        let outage = &test.course.outages(What::Meeting)[0];
        assert_eq!(outage.longest(test.at()), Duration::from_millis(50_100));
        assert_eq!(test.course.successor().map(|(id, _)| id), Some(NEW));
    }

    #[test]
    fn what_is_told_live_is_what_the_timeline_says() {
        let test = Scenario::replaced(Notice::Mail, "b");
        let mut told = test.told.clone();
        told.sort_by_key(|line| (line.at, line.kind));
        let timeline = test.course.timeline();
        assert_eq!(timeline[2..], told);
        assert_eq!(timeline[0].kind, Kind::Requested);
    }

    #[test]
    fn without_word_to_anybody_it_fails_after_a_while() {
        let mut test = Scenario::replaced(Notice::Alarm, "b");
        test.go(200, &NEVER);
        assert_eq!(test.waits_for(), "everything is back; waiting for an alarm");
        test.see(Seen::Alarm { name: "jitsi-elb-5xx".into(), state: "OK".into() });
        test.go(NOTICE.as_secs() - 1, &NEVER);
        assert!(!test.over());
        test.go(NOTICE.as_secs(), &NEVER);
        assert!(test.over());
        assert_eq!(test.problems(), ["no alarm fired"]);
        test.see(Seen::Alarm { name: "jitsi-healthy-hosts".into(), state: "ALARM".into() });
        assert_eq!(test.problems(), [""; 0]);
    }

    #[test]
    fn the_time_is_up_and_the_reason_is_named() {
        let mut test = Scenario::new(Harm::Instance, Notice::None);
        test.go(60, &(1..200));
        test.see(sight(&[(NEW, member("b", "Pending:Wait", "running", ""))]));
        test.go(119, &(1..200));
        assert!(!test.over());
        test.go(120, &(1..200));
        assert!(test.over());
        let why = format!("not back within 2m: {NEW} in eu-central-1b is Pending:Wait");
        assert_eq!(test.problems(), [why]);
    }

    #[test]
    fn a_victim_that_survives_is_no_replacement() {
        let mut test = Scenario::new(Harm::Instance, Notice::None);
        test.go(120, &(1..3));
        assert!(test.over());
        let why = format!("not back within 2m: {OLD} is InService, healthy");
        assert_eq!(test.problems(), [why]);
    }

    #[test]
    fn a_zone_outage_wants_the_other_zone() {
        let test = |zone| {
            let mut test = Scenario::new(Harm::ZoneOutage, Notice::None);
            test.go(30, &(1..30));
            test.see(sight(&[(NEW, member(zone, "InService", "running", "healthy"))]));
            test.go(50, &NEVER);
            test
        };
        assert!(test("b").over());
        assert!(!test("a").over());
    }

    #[test]
    fn a_service_may_heal_where_it_is_and_before_anybody_notices() {
        let jvb = Harm::Service(super::super::harm::Service::Videobridge);
        let mut test = Scenario::new(jvb, Notice::None);
        test.go(EFFECT.as_secs() - 1, &NEVER);
        assert_eq!(test.waits_for(), "nothing has failed so far");
        test.go(EFFECT.as_secs() + 12, &NEVER);
        assert!(test.over());
        assert_eq!(test.problems(), [""; 0]);

        let mut test = Scenario::new(jvb, Notice::None);
        test.go(15, &(1..8));
        assert_eq!(test.waits_for(), "everything is back; seeing whether it stays");
        test.go(17, &(15..17));
        assert_eq!(test.waits_for(), "meetings fail: jicofo refused: 503 <b>");
        test.go(35, &(15..17));
        assert!(test.over());
        assert_eq!(test.course.outages(What::Meeting).len(), 2);
        assert_eq!(test.problems(), [""; 0]);
    }

    #[test]
    fn a_state_lasts_until_the_next() {
        let test = Scenario::replaced(Notice::Mail, "b");
        let stays: Vec<(&str, &str)> = test
            .course
            .stays()
            .iter()
            .map(|stay| (stay.instance.as_str(), stay.state.as_str()))
            .collect();
        assert_eq!(
            stays,
            [
                (OLD, "InService, healthy"),
                (OLD, "InService, shutting-down, unhealthy"),
                (NEW, "Pending, pending"),
                (NEW, "Pending:Wait"),
                (NEW, "InService, initial"),
                (NEW, "InService, healthy"),
            ]
        );
    }
}
