//! The verdicts alone, and together with the cures over every course a fault may take.

use meeting_probe::StepName;

use super::*;
use crate::heal::{Healer, Symptoms};
use crate::health::Component;

const POLICY: Policy =
    Policy { tolerance: Duration::from_secs(15), media_grace: Duration::from_mins(10) };

fn evidence(fault: Option<&str>, proof: Proof, media_flows: bool) -> Evidence {
    Evidence { faults: fault.into_iter().map(str::to_owned).collect(), proof, media_flows }
}

fn clean() -> Evidence {
    evidence(None, Proof::Held, false)
}

fn new() -> Verdict {
    Verdict::new(POLICY, false, false)
}

fn ready() -> (Verdict, Instant) {
    let now = Instant::now();
    let mut verdict = new();
    assert_eq!(verdict.weigh(now, &clean()), Some(Change::Ready));
    (verdict, now)
}

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn first_greens_are_not_believed() {
    let start = Instant::now();
    let mut verdict = new();
    for second in 0..100 {
        let green = evidence(None, Proof::None, false);
        assert_eq!(verdict.weigh(at(start, second), &green), None);
        assert!(!verdict.ready() && !verdict.kept());
    }
}

#[test]
fn a_held_meeting_beside_a_dead_component_is_not_ready() {
    let mut verdict = new();
    let round = evidence(Some("jvb: HTTP 500"), Proof::Held, false);
    assert_eq!(verdict.weigh(Instant::now(), &round), None);
    assert!(!verdict.ready());
}

#[test]
fn visitors_are_turned_away_early_and_the_instance_stays() {
    let (mut verdict, start) = ready();
    let bad = evidence(Some("nginx: refused"), Proof::Held, false);
    assert_eq!(verdict.weigh(at(start, 0), &bad), None);
    assert_eq!(verdict.weigh(at(start, 14), &bad), None);
    assert_eq!(verdict.weigh(at(start, 15), &clean()), None);
    assert_eq!(verdict.weigh(at(start, 16), &bad), None);
    assert_eq!(verdict.weigh(at(start, 30), &bad), None);
    let unready = Change::Unready(vec!["nginx: refused".into()]);
    assert_eq!(verdict.weigh(at(start, 31), &bad), Some(unready));
    assert_eq!(verdict.weigh(at(start, 32), &bad), None, "said once");
    assert!(!verdict.ready() && verdict.kept());
    assert_eq!(verdict.weigh(at(start, 33), &clean()), Some(Change::Ready));
}

#[test]
fn a_restart_that_proves_nothing_in_time_is_unready() {
    let (mut verdict, start) = ready();
    let failed = evidence(None, Proof::Failed("no bridge".into()), false);
    assert_eq!(verdict.weigh(start, &failed), None);
    let restarted = evidence(None, Proof::None, false);
    assert_eq!(verdict.weigh(at(start, 14), &restarted), None);
    let unready = Change::Unready(vec!["meeting: none held yet".into()]);
    assert_eq!(verdict.weigh(at(start, 15), &restarted), Some(unready));
}

#[test]
fn somebody_elses_restart_alone_is_no_fault() {
    let (mut verdict, start) = ready();
    for second in 0..100 {
        let unproven = evidence(None, Proof::None, false);
        assert_eq!(verdict.weigh(at(start, second), &unproven), None);
    }
    assert!(verdict.ready());
}

/// The second in which the instance is given up, when the same evidence comes every second.
fn given_up(verdict: &mut Verdict, start: Instant, bad: &Evidence) -> Option<u64> {
    (0..2000).find(|s| matches!(verdict.weigh(at(start, *s), bad), Some(Change::GivenUp(_))))
}

#[test]
fn it_is_given_up_after_the_cures_or_without_any_in_bounded_time() {
    let bad = evidence(Some("jicofo: HTTP 500"), Proof::None, false);
    for (cures, expected) in [(0, HOPELESS_ANYHOW), (CURES - 1, HOPELESS_ANYHOW), (CURES, HOPELESS)]
    {
        let (mut verdict, start) = ready();
        for _ in 0..cures {
            verdict.cured(start);
        }
        assert_eq!(given_up(&mut verdict, start, &bad), Some(expected.as_secs()));
        assert!(!verdict.kept());
        assert_eq!(verdict.weigh(at(start, 3000), &clean()), Some(Change::Ready));
        assert!(verdict.kept());
    }
}

#[test]
fn while_media_flows_the_instance_stays_for_the_grace_and_no_longer() {
    let talking = evidence(Some("jicofo: refused"), Proof::Held, true);
    let (mut verdict, start) = ready();
    for _ in 0..CURES {
        verdict.cured(start);
    }
    assert_eq!(verdict.weigh(start, &talking), None);
    assert!(matches!(verdict.weigh(at(start, 15), &talking), Some(Change::Unready(_))));
    let left = POLICY.media_grace.saturating_sub(HOPELESS);
    let waiting = Change::Waiting(vec!["jicofo: refused".into()], left);
    assert_eq!(verdict.weigh(at(start, 120), &talking), Some(waiting));
    assert!(!verdict.last_chance(at(start, 479)) && verdict.last_chance(at(start, 480)));
    assert_eq!(verdict.weigh(at(start, 599), &talking), None, "said once");
    assert!(verdict.kept() && verdict.waiting());
    assert!(matches!(verdict.weigh(at(start, 600), &talking), Some(Change::GivenUp(_))));

    // Once they have gone, cures that cut nobody any more get their time.
    let (mut verdict, start) = ready();
    for _ in 0..CURES {
        verdict.cured(start);
    }
    verdict.weigh(start, &talking);
    verdict.weigh(at(start, 400), &talking);
    let alone = evidence(Some("jicofo: refused"), Proof::Held, false);
    verdict.weigh(at(start, 401), &alone);
    assert_eq!(verdict.weigh(at(start, 520), &alone), None);
    assert!(matches!(verdict.weigh(at(start, 521), &alone), Some(Change::GivenUp(_))));
}

#[test]
fn a_matter_of_the_network_turns_visitors_away_and_replaces_nothing() {
    let cut = evidence(None, Proof::Cut("198.51.100.7 does not answer".into()), false);
    let (mut verdict, start) = ready();
    assert_eq!(given_up(&mut verdict, start, &cut), None);
    assert!(!verdict.ready() && verdict.kept());
}

#[test]
fn an_earlier_verdict_is_believed_until_this_process_knows_better() {
    let start = Instant::now();
    let mut verdict = Verdict::new(POLICY, true, true);
    let unproven = evidence(None, Proof::None, false);
    assert_eq!(verdict.weigh(start, &unproven), None);
    assert!(verdict.ready() && verdict.kept());
    let bad = evidence(Some("jicofo: refused"), Proof::None, false);
    verdict.weigh(at(start, 1), &bad);
    assert!(matches!(verdict.weigh(at(start, 16), &bad), Some(Change::Unready(_))));
    // After a reboot visitors have to wait, and the instance stays.
    let mut verdict = Verdict::new(POLICY, false, true);
    assert_eq!(given_up(&mut verdict, start, &bad), Some(HOPELESS_ANYHOW.as_secs()));
}

#[test]
fn media_makes_nothing_ready() {
    let start = Instant::now();
    let mut verdict = new();
    let round = evidence(Some("jicofo: refused"), Proof::None, true);
    for second in 0..100 {
        assert_eq!(verdict.weigh(at(start, second), &round), None);
    }
    assert!(!verdict.ready());
}

/// How a component fails in [`Course`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nobody listens.
    Dead,
    /// It answers, and not well.
    Ill,
    /// Everything is green, and meetings fail at this step.
    Hidden(StepName),
}

/// A fault of one component and what ends it.
#[derive(Clone, Copy, Debug)]
struct Course {
    component: Component,
    way: Way,
    /// Restarts of it until it is well.
    restarts: u32,
    /// Seconds a restart takes until meetings can be held again.
    slow: u64,
    /// When it is over without anybody's doing.
    passes: Option<u64>,
    /// Until when people's media flows.
    people_until: u64,
}

/// What became of a course: seconds until well, and whether the instance was given up before.
fn live(course: Course, limit: u64) -> (Option<u64>, Option<u64>) {
    let (mut verdict, start) = ready();
    let mut healer = Healer::default();
    healer.meeting_held();
    let (mut restarts, mut up_at) = (0, 0);
    let mut given_up = None;
    for second in 0..limit {
        let now = at(start, second);
        let over = restarts >= course.restarts || course.passes.is_some_and(|at| second >= at);
        let starting = second < up_at;
        // Restarting the bridge ends its media.
        let cut = restarts > 0 && course.component == Component::Videobridge;
        let media_flows = second < course.people_until && !cut;
        let shown = (!over && !matches!(course.way, Way::Hidden(_))) || starting;
        let faults = shown.then(|| format!("{}: ill", course.component));
        // A meeting takes seconds to fail.
        let failed = match course.way {
            Way::Hidden(step) if !over && !starting && second % 8 == 7 => Some(step),
            _ => None,
        };
        let proof = match course.way {
            Way::Hidden(_) if !over => Proof::Failed("no".into()),
            _ if over && !starting => Proof::Held,
            _ => Proof::None,
        };
        let round = Evidence { faults: faults.into_iter().collect(), proof, media_flows };
        match verdict.weigh(now, &round) {
            Some(Change::GivenUp(_)) => {
                given_up.get_or_insert(second);
            }
            _ if over && !starting => return (Some(second), given_up),
            _ => {}
        }
        let ill = if shown { vec![course.component] } else { Vec::new() };
        let dead = if course.way == Way::Dead && shown && !starting { ill.clone() } else { vec![] };
        let symptoms = Symptoms {
            ill,
            dead,
            meeting: failed,
            network: false,
            media_flows,
            last_chance: verdict.last_chance(now),
        };
        let restarted = healer.decide(now, &symptoms);
        if !restarted.is_empty() {
            verdict.cured(now);
            up_at = second + course.slow;
        }
        if restarted.contains(&course.component) {
            restarts += 1;
        }
    }
    (None, given_up)
}

fn courses(restarts: u32) -> Vec<Course> {
    let mut courses = Vec::new();
    for component in Component::ALL {
        let step = match component {
            Component::Nginx => StepName::Connect,
            Component::Prosody => StepName::Join,
            Component::Jicofo => StepName::ConferenceRequest,
            Component::Videobridge => StepName::Media,
        };
        for way in [Way::Dead, Way::Ill, Way::Hidden(step), Way::Hidden(StepName::Offer)] {
            if way == Way::Hidden(StepName::Offer) && component == Component::Nginx {
                continue; // It has no part in an offer.
            }
            for slow in [2, 10, 34, 80] {
                for people_until in [0, 5, 60, 300, u64::MAX] {
                    let course =
                        Course { component, way, restarts, slow, passes: None, people_until };
                    courses.push(course);
                }
            }
        }
    }
    courses
}

#[test]
fn what_a_restart_heals_never_ends_in_a_replacement() {
    for course in courses(1) {
        let (well, given_up) = live(course, 2000);
        assert!(well.is_some(), "never well: {course:?}");
        assert_eq!(given_up, None, "well after {well:?} s: {course:?}");
    }
}

#[test]
fn what_passes_by_itself_within_a_minute_never_ends_in_a_replacement() {
    for course in courses(u32::MAX) {
        let course = Course { passes: Some(75), ..course };
        let (well, given_up) = live(course, 2000);
        assert!(well.is_some() && given_up.is_none(), "{well:?} {given_up:?} {course:?}");
    }
}

#[test]
fn what_nothing_heals_is_given_up_in_bounded_time_and_not_before_its_cures() {
    for course in courses(u32::MAX) {
        let (well, given_up) = live(course, 2000);
        assert_eq!(well, None);
        let quiet_from = course.people_until;
        let latest = (quiet_from.saturating_add(HOPELESS_ANYHOW.as_secs()))
            .min(POLICY.media_grace.as_secs() + HOPELESS_ANYHOW.as_secs());
        let given_up = given_up.unwrap_or_else(|| panic!("never given up: {course:?}"));
        assert!(given_up <= latest, "{given_up} s: {course:?}");
        assert!(given_up >= HOPELESS.as_secs(), "{given_up} s: {course:?}");
    }
}
