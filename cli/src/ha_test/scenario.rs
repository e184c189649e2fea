//! Courses for tests: requests five times a second and meetings every second, good or failed by the
//! second they begin in, and what AWS shows.

use std::{ops::Range, time::Duration};

use super::{
    course::{Course, Notice, Plan, Seen, State, What},
    harm::{Harm, Victim},
    milestone::Milestone,
    series::Series,
    sight::{Member, Sight},
};

pub(super) const OLD: &str = "i-0a1b2c3d4e5f60718";
pub(super) const NEW: &str = "i-0c4d5e6f708192a3b";
const BASELINE: u64 = 5;

pub(super) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A course under way; its seconds count from the harm.
pub(super) struct Scenario {
    pub(super) course: Course,
    pub(super) told: Vec<Milestone>,
    now: u64,
}

pub(super) fn member(zone: &str, lifecycle: &str, ec2: &str, target: &str) -> Member {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Member {
        zone: format!("eu-central-1{zone}"),
        lifecycle: some(lifecycle),
        ec2: some(ec2),
        target: some(target),
        ..Member::default()
    }
}

pub(super) fn sight(members: &[(&str, Member)]) -> Seen {
    Seen::Aws(sighted(members))
}

fn sighted(members: &[(&str, Member)]) -> Sight {
    let members = members.iter().map(|(id, member)| ((*id).to_owned(), member.clone()));
    Sight { instances: members.collect(), activities: Vec::new() }
}

impl Scenario {
    pub(super) fn new(harm: Harm, notice: Notice) -> Self {
        let victim = Victim {
            instance_id: OLD.into(),
            zone: "eu-central-1a".into(),
            subnet_id: "subnet-1".into(),
        };
        let plan = Plan { harm, victim, within: s(120), notice };
        let first = sighted(&[(OLD, member("a", "InService", "running", "healthy"))]);
        let mut good = Series::default();
        for second in 0..BASELINE {
            good.begin(s(second));
            good.end(s(second), s(second) + Duration::from_millis(100), None);
        }
        let mut course = Course::new(plan, first, good.clone(), good, s(BASELINE));
        course.see(s(BASELINE), Seen::Inflicted);
        Self { course, told: Vec::new(), now: 0 }
    }

    /// Goes on to `until`; what begins within `down` fails.
    pub(super) fn go(&mut self, until: u64, down: &Range<u64>) {
        while self.now < until {
            let failed = down.contains(&self.now);
            for (what, each, reason) in [
                (What::Request, 5, "503 from the load balancer"),
                (What::Meeting, 1, "jicofo refused: 503 <b>"),
            ] {
                for part in 0..each {
                    let begun = s(BASELINE + self.now) + s(1) * part / each;
                    let ended = begun + Duration::from_millis(100);
                    self.course.see(begun, Seen::Begun(what, begun));
                    let failure = failed.then(|| reason.to_owned());
                    self.told.extend(self.course.see(ended, Seen::Ended(what, begun, failure)));
                }
            }
            self.now += 1;
        }
    }

    pub(super) fn see(&mut self, seen: Seen) {
        let at = self.at();
        self.told.extend(self.course.see(at, seen));
    }

    pub(super) fn at(&self) -> Duration {
        s(BASELINE + self.now)
    }

    pub(super) fn over(&self) -> bool {
        self.course.state(self.at()) == State::Over
    }

    pub(super) fn waits_for(&self) -> String {
        match self.course.state(self.at()) {
            State::Going(what) => what,
            State::Over => "nothing".to_owned(),
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.course.problems(self.at())
    }

    /// An instance is killed, and another is there after 50 seconds.
    pub(super) fn replaced(notice: Notice, zone: &str) -> Self {
        let mut test = Self::new(Harm::Instance, notice);
        let down = 1..50;
        let dying = member("a", "InService", "shutting-down", "unhealthy");
        test.go(2, &down);
        test.see(sight(&[(OLD, dying.clone())]));
        test.go(6, &down);
        test.see(Seen::Mail("Auto Scaling: termination for group jitsi".into()));
        test.see(sight(&[(OLD, dying), (NEW, member(zone, "Pending", "pending", ""))]));
        test.go(9, &down);
        let gone = member("a", "", "terminated", "");
        test.see(sight(&[(OLD, gone.clone()), (NEW, member(zone, "Pending:Wait", "running", ""))]));
        for (second, phases) in [(12, &["install"][..]), (31, &["install", "configure", "prove"])] {
            test.go(second, &down);
            let phases = phases.iter().map(|phase| (*phase).to_owned()).collect();
            let state = Member { phases, ..member(zone, "Pending:Wait", "running", "") };
            test.see(sight(&[(OLD, gone.clone()), (NEW, state)]));
        }
        test.go(40, &down);
        let state = member(zone, "InService", "running", "initial");
        test.see(sight(&[(OLD, gone.clone()), (NEW, state)]));
        test.go(48, &down);
        let state = member(zone, "InService", "running", "healthy");
        test.see(sight(&[(OLD, gone), (NEW, state)]));
        test.go(53, &down);
        test
    }
}
