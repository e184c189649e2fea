//! What a test found out: the figures, the verdict and the timeline, for people and for programs.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{
    course::{Course, What},
    milestone::{Kind, Milestone, Tone},
    series::{Outage, total},
};
use crate::ui::{Mark, Style};

/// The report of one test. Seconds count from the moment the harm was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The deployment.
    pub deployment: String,
    /// Its region.
    pub region: String,
    /// The site's domain.
    pub domain: String,
    /// What was done: `kill instance`.
    pub harm: String,
    /// When it was asked for, RFC 3339 in UTC.
    pub started: String,
    /// Whether the service came back as it should and somebody was told.
    pub passed: bool,
    /// Why not.
    pub problems: Vec<String>,
    /// Whether the user ended the test.
    pub interrupted: bool,
    /// How long the service was allowed to take.
    pub within: f64,
    /// When everything was good for the rest of the test; null if it was not.
    pub back: Option<f64>,
    /// How long the test lasted.
    pub lasted: f64,
    /// The victim.
    pub before: Place,
    /// What serves now, where that is fit to: another instance unless only a service was harmed.
    pub after: Option<Place>,
    /// The figure that counts.
    pub without_meetings: Absence,
    /// The same for HTTPS requests.
    pub without_http: Absence,
    /// How the people in charge heard of it; null if they did not.
    pub notice: Option<Told>,
    /// The first of each kind in the timeline, by name; what did not happen is null.
    pub phases: Phases,
    /// What happened, in order.
    pub timeline: Vec<Line>,
    /// What the instances went through.
    pub instances: Vec<Stay>,
}

/// An instance and its zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// `i-…`.
    pub instance: String,
    /// `eu-central-1a`.
    pub zone: String,
}

/// How long something did not work.
#[derive(Clone, Debug, Serialize)]
pub struct Absence {
    /// At most: from the beginning of the last good attempt to the end of the next.
    pub seconds: f64,
    /// At least: from the beginning of the first failed attempt to that of the last.
    pub at_least: f64,
    /// Attempts that failed.
    pub failed: usize,
    /// All attempts since the harm.
    pub attempts: usize,
    /// The stretches of time that make up `seconds`.
    pub outages: Vec<Span>,
}

/// One stretch of time.
#[derive(Clone, Debug, Serialize)]
pub struct Span {
    /// Its beginning; negative when the last good attempt began before the harm.
    pub from: f64,
    /// Its end; null when it lasted to the end of the test.
    pub to: Option<f64>,
    /// Why the first attempt failed.
    pub reason: String,
}

/// Mail or alarm.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// When.
    pub at: f64,
    /// Its subject, or the alarm's name and state.
    pub what: String,
}

/// When each step was first seen.
#[derive(Clone, Debug, Serialize)]
pub struct Phases {
    /// The first request that failed began.
    pub first_failed_request: Option<f64>,
    /// The first meeting that failed began.
    pub first_failed_meeting: Option<f64>,
    /// AWS showed the victim's end.
    pub termination_seen: Option<f64>,
    /// The group launched another instance.
    pub launched: Option<f64>,
    /// EC2 showed it running.
    pub running: Option<f64>,
    /// Its agent installed, by the console; null where that shows nothing yet.
    pub installs: Option<f64>,
    /// Its agent configured, by the console.
    pub configures: Option<f64>,
    /// Its agent waited for the services and tried a meeting, by the console.
    pub proves: Option<f64>,
    /// Its agent had answered the launch hook with CONTINUE.
    pub in_service: Option<f64>,
    /// The load balancer found a target healthy.
    pub target_healthy: Option<f64>,
    /// The first good request ended.
    pub first_good_request: Option<f64>,
    /// The first good meeting ended.
    pub first_good_meeting: Option<f64>,
}

/// A line of the timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When.
    pub at: f64,
    /// What.
    pub kind: Kind,
    /// How it went: `good`, `bad`, `plain`, `detail`.
    pub tone: Tone,
    /// The same for a person.
    pub text: String,
    /// The instance it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// How long an instance was in one state.
#[derive(Clone, Debug, Serialize)]
pub struct Stay {
    /// `i-…`.
    pub instance: String,
    /// Its zone.
    pub zone: String,
    /// Lifecycle state, EC2's where it is not `running`, and target health.
    pub state: String,
    /// Whether users are served by it.
    pub serves: bool,
    /// Since when.
    pub from: f64,
    /// Until when; null when to the end of the test.
    pub to: Option<f64>,
}

/// Whose test it was.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The deployment.
    pub deployment: String,
    /// Its region.
    pub region: String,
    /// The site's domain.
    pub domain: String,
}

impl Report {
    /// The report of `course`, which ended at `now` and whose harm began at `started`.
    pub fn new(
        subject: Subject,
        course: &Course,
        started: SystemTime,
        now: Duration,
        interrupted: bool,
    ) -> Self {
        let plan = course.plan();
        let began = course.began();
        let since = |at: Duration| seconds(at, began);
        let mut problems = course.problems(now);
        if interrupted {
            problems = vec![format!("stopped on request after {:.1} s", since(now))];
        }
        let timeline: Vec<Line> =
            course.timeline().iter().map(|line| Line::new(line, began)).collect();
        let first = |kind: Kind| timeline.iter().find(|line| line.kind == kind).map(|line| line.at);
        let absence = |what| absence(&course.outages(what), course.count(what), began, now);
        Self {
            harm: plan.harm.to_string(),
            started: humantime::format_rfc3339_millis(started).to_string(),
            passed: problems.is_empty(),
            problems,
            interrupted,
            within: plan.within.as_secs_f64(),
            back: course.steady().map(since),
            lasted: since(now),
            before: Place {
                instance: plan.victim.instance_id.clone(),
                zone: plan.victim.zone.clone(),
            },
            after: course
                .successor()
                .map(|(id, member)| Place { instance: id.to_owned(), zone: member.zone.clone() }),
            without_meetings: absence(What::Meeting),
            without_http: absence(What::Request),
            notice: course.noticed().map(|(at, what)| Told { at: since(*at), what: what.clone() }),
            phases: Phases {
                first_failed_request: first(Kind::RequestFailed),
                first_failed_meeting: first(Kind::MeetingFailed),
                termination_seen: first(Kind::TerminationSeen),
                launched: first(Kind::Launched),
                running: first(Kind::Running),
                installs: first(Kind::Installs),
                configures: first(Kind::Configures),
                proves: first(Kind::Proves),
                in_service: first(Kind::InService),
                target_healthy: first(Kind::TargetHealthy),
                first_good_request: first(Kind::RequestGood),
                first_good_meeting: first(Kind::MeetingGood),
            },
            instances: course
                .stays()
                .iter()
                .map(|stay| Stay {
                    instance: stay.instance.clone(),
                    zone: stay.zone.clone(),
                    state: stay.state.clone(),
                    serves: stay.serves,
                    from: since(stay.from),
                    to: stay.to.map(since),
                })
                .collect(),
            timeline,
            deployment: subject.deployment,
            region: subject.region,
            domain: subject.domain,
        }
    }

    /// The figures for a person, two lines, and what is wrong.
    pub fn text(&self, style: Style) -> String {
        let mut text = format!(
            "{}   {}\n{}",
            self.without_meetings.text("meetings"),
            self.without_http.text("HTTP"),
            self.without_http.counted("requests"),
        );
        let parts =
            [self.without_meetings.counted("meetings"), self.moved(style.arrow()), self.told()];
        for part in parts.iter().filter(|part| !part.is_empty()) {
            text.push_str("   ");
            text.push_str(part);
        }
        for problem in &self.problems {
            text = format!("{text}\n{} {problem}", style.mark(Mark::Failed));
        }
        text
    }

    /// `eu-central-1a → eu-central-1b`.
    pub fn moved(&self, arrow: &str) -> String {
        let zone = |place: &Place| place.zone.clone();
        match &self.after {
            Some(after) if after.instance == self.before.instance => "same instance".to_owned(),
            Some(after) => format!("{} {arrow} {}", self.before.zone, zone(after)),
            None => format!("{} {arrow} nowhere", self.before.zone),
        }
    }

    /// `mail after 6.3 s`.
    pub fn told(&self) -> String {
        self.notice.as_ref().map_or_else(String::new, |told| {
            let how = told.what.split([' ', ':']).next().unwrap_or_default();
            format!("{how} after {:.1} s", told.at)
        })
    }
}

impl Line {
    /// `milestone` as of a harm that was asked for at `began`.
    pub fn new(milestone: &Milestone, began: Duration) -> Self {
        Self {
            at: seconds(milestone.at, began),
            kind: milestone.kind,
            tone: milestone.kind.tone(),
            text: milestone.text.clone(),
            instance: milestone.instance.clone(),
        }
    }
}

impl Absence {
    /// `without meetings 52.8 s (at least 50.9 s)`.
    fn text(&self, what: &str) -> String {
        if self.outages.is_empty() {
            return format!("never without {what}");
        }
        format!("without {what} {:.1} s (at least {:.1} s)", self.seconds, self.at_least)
    }

    /// `207 of 1,064 requests failed`.
    pub fn counted(&self, what: &str) -> String {
        format!("{} of {} {what} failed", grouped(self.failed), grouped(self.attempts))
    }
}

fn absence(
    outages: &[Outage],
    (failed, attempts): (usize, usize),
    began: Duration,
    now: Duration,
) -> Absence {
    let least: Duration = outages.iter().map(|outage| outage.shortest(now)).sum();
    Absence {
        seconds: seconds(total(outages, now), Duration::ZERO),
        at_least: seconds(least, Duration::ZERO),
        failed,
        attempts,
        outages: outages
            .iter()
            .map(|outage| Span {
                from: seconds(outage.from, began),
                to: outage.to.map(|to| seconds(to, began)),
                reason: outage.reason.clone(),
            })
            .collect(),
    }
}

/// Seconds from `began` to `at`, to the millisecond; negative before.
fn seconds(at: Duration, began: Duration) -> f64 {
    ((at.as_secs_f64() - began.as_secs_f64()) * 1000.0).round() / 1000.0
}

/// `1,064`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::{
        super::{course::Seen, harm::Harm, html, scenario::Scenario},
        *,
    };

    fn report(test: &Scenario, interrupted: bool) -> Report {
        let subject = Subject {
            deployment: "jitsi".into(),
            region: "eu-central-1".into(),
            domain: "meet.example.org".into(),
        };
        let started = UNIX_EPOCH + Duration::from_secs(1_795_169_730);
        Report::new(subject, &test.course, started, test.at(), interrupted)
    }

    fn passed() -> Report {
        let mut test = Scenario::replaced(super::super::course::Notice::Mail, "b");
        test.go(64, &(0..0));
        report(&test, false)
    }

    #[test]
    fn a_passed_test_as_text_json_and_page() {
        let report = passed();
        assert!(report.passed && report.phases.first_good_meeting == Some(50.1));
        insta::assert_snapshot!("passed_text", report.text(Style::PLAIN));
        insta::assert_snapshot!("passed_json", serde_json::to_string_pretty(&report).unwrap());
        insta::assert_snapshot!("passed_page", html::page(&report).unwrap());
    }

    #[test]
    fn what_somebody_else_wrote_is_escaped() {
        let page = html::page(&passed()).unwrap();
        assert!(page.contains("503 &lt;b&gt;") && !page.contains("503 <b>"));
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));
    }

    #[test]
    fn a_failed_and_an_interrupted_test_say_why() {
        let mut test = Scenario::new(Harm::Instance, super::super::course::Notice::Mail);
        test.see(Seen::Blind("throttled".into()));
        test.go(121, &(1..200));
        insta::assert_snapshot!("failed_text", report(&test, false).text(Style::PLAIN));
        let interrupted = report(&test, true);
        assert_eq!(interrupted.problems, ["stopped on request after 121.0 s"]);
        assert!(!interrupted.passed);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([7, 207, 1064, 1_234_567].map(grouped), ["7", "207", "1,064", "1,234,567"]);
    }
}
