//! Which service to restart, and when: a pure state machine. It looks for the cause among the
//! symptoms, because jicofo and the bridge report a dead Prosody as their own illness and recover by
//! themselves; and it leaves the bridge alone while people talk through it.

use std::collections::BTreeMap;
use std::time::Duration;

use meeting_probe::StepName;
use tokio::time::Instant;

use crate::health::Component;

/// How long a component must be ill before it is restarted: one lost answer is no illness, but a
/// process that is gone is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Failed meetings in a row before the suspect is restarted.
const FAILED_MEETINGS: u32 = 2;
/// The first pause after a restart: jicofo needs 11 s until it sees its bridge.
const FIRST_PAUSE: Duration = Duration::from_secs(20);
/// The longest pause between two restarts.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The same for what is not running at all: starting it once more cuts nobody, and what kept it away
/// may have passed.
const LONGEST_PAUSE_OF_THE_DEAD: Duration = Duration::from_secs(30);
/// How long meetings must have failed behind green lights while people talk: restarting the suspect
/// may cut what still works for them.
const PATIENCE_WITH_PEOPLE: Duration = Duration::from_mins(1);
/// Being well this long after a restart makes the next illness a new one.
const CURED_AFTER: Duration = Duration::from_mins(10);

/// What is wrong.
#[derive(Clone, Debug, Default)]
pub struct Symptoms {
    /// Components that are not well.
    pub ill: Vec<Component>,
    /// Those among them that nobody listens for any more.
    pub dead: Vec<Component>,
    /// The step at which the newest meeting failed, once per attempt.
    pub meeting: Option<StepName>,
    /// Whether people's media flows.
    pub media_flows: bool,
    /// Whether the grace for flowing media has run out.
    pub grace_over: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct History {
    ill_since: Option<Instant>,
    restarts: u32,
    last_restart: Option<Instant>,
}

impl History {
    fn may_restart(&self, now: Instant, dead: bool) -> bool {
        let longest = if dead { LONGEST_PAUSE_OF_THE_DEAD } else { LONGEST_PAUSE };
        let pause = FIRST_PAUSE.saturating_mul(1 << self.restarts.saturating_sub(1).min(8));
        self.last_restart.is_none_or(|last| now >= last + pause.min(longest))
    }
}

/// The state machine.
#[derive(Debug, Default)]
pub struct Healer {
    histories: BTreeMap<Component, History>,
    failed_meetings: u32,
    failing_since: Option<Instant>,
}

impl Healer {
    /// The service to restart now, if any.
    pub fn decide(&mut self, now: Instant, symptoms: &Symptoms) -> Option<Component> {
        self.remember(now, symptoms);
        let suspect =
            root_cause(&symptoms.ill).or_else(|| self.suspected_by_meeting(now, symptoms))?;
        let cuts_people =
            suspect == Component::Videobridge && symptoms.media_flows && !symptoms.grace_over;
        let history = self.histories.entry(suspect).or_default();
        let dead = symptoms.dead.contains(&suspect);
        let patient = history.ill_since.is_some_and(|since| now < since + PATIENCE) && !dead;
        if cuts_people || patient || !history.may_restart(now, dead) {
            return None;
        }
        history.restarts += 1;
        self.started(now, &[suspect]);
        Some(suspect)
    }

    /// Told when components were started: they get their time, and so do those that depend on them.
    pub fn started(&mut self, now: Instant, components: &[Component]) {
        self.failed_meetings = 0;
        for component in components {
            for affected in affected_by(*component) {
                let history = self.histories.entry(*affected).or_default();
                history.last_restart = Some(now);
                history.ill_since = None;
            }
        }
    }

    /// Restarts so far, per component.
    pub fn restarts(&self, component: Component) -> u32 {
        self.histories.get(&component).map_or(0, |history| history.restarts)
    }

    fn remember(&mut self, now: Instant, symptoms: &Symptoms) {
        for component in Component::ALL {
            let history = self.histories.entry(component).or_default();
            if symptoms.ill.contains(&component) {
                history.ill_since.get_or_insert(now);
                continue;
            }
            history.ill_since = None;
            if history.last_restart.is_some_and(|last| now >= last + CURED_AFTER) {
                *history = History::default();
            }
        }
        if symptoms.meeting.is_some() {
            self.failed_meetings += 1;
            self.failing_since.get_or_insert(now);
        }
    }

    /// Told when a meeting was held.
    pub fn meeting_held(&mut self) {
        self.failed_meetings = 0;
        self.failing_since = None;
    }

    /// All components are green and no meeting is possible: the step that failed names the suspects,
    /// and each gets its turn.
    fn suspected_by_meeting(&self, now: Instant, symptoms: &Symptoms) -> Option<Component> {
        use Component::{Jicofo, Nginx, Prosody, Videobridge};
        let suspects: &[Component] = match symptoms.meeting? {
            StepName::Connect => &[Nginx],
            StepName::LogIn | StepName::Join => &[Prosody, Nginx],
            StepName::ConferenceRequest => &[Jicofo, Prosody],
            StepName::Offer => &[Jicofo, Videobridge, Prosody],
            StepName::Media => &[Videobridge],
            _ => return None,
        };
        let settling =
            |history: &History| history.last_restart.is_some_and(|last| now < last + FIRST_PAUSE);
        let waits_for_people = symptoms.media_flows
            && !symptoms.grace_over
            && self.failing_since.is_none_or(|since| now < since + PATIENCE_WITH_PEOPLE);
        if self.failed_meetings < FAILED_MEETINGS
            || waits_for_people
            || self.histories.values().any(settling)
        {
            return None;
        }
        suspects.iter().copied().min_by_key(|suspect| self.restarts(*suspect))
    }
}

/// Itself and whoever is ill while it is away: both Java programs log in anew 6 s after Prosody is
/// back, and jicofo looks for bridges every 10 s.
fn affected_by(component: Component) -> &'static [Component] {
    use Component::{Jicofo, Nginx, Prosody, Videobridge};
    match component {
        Prosody => &[Prosody, Jicofo, Videobridge],
        Videobridge => &[Videobridge, Jicofo],
        Jicofo => &[Jicofo],
        Nginx => &[Nginx],
    }
}

/// The one whose illness explains the others'.
fn root_cause(ill: &[Component]) -> Option<Component> {
    const BY_CAUSE: [Component; 4] =
        [Component::Nginx, Component::Prosody, Component::Videobridge, Component::Jicofo];
    BY_CAUSE.into_iter().find(|component| ill.contains(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ill(components: &[Component]) -> Symptoms {
        Symptoms { ill: components.to_vec(), ..Symptoms::default() }
    }

    fn after(seconds: u64, start: Instant) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn restarts_the_cause_and_gives_its_symptoms_time() {
        use Component::{Jicofo, Prosody, Videobridge};
        let start = Instant::now();
        let mut healer = Healer::default();
        let all = ill(&[Prosody, Jicofo, Videobridge]);
        assert_eq!(healer.decide(start, &all), None, "one lost answer is no illness");
        assert_eq!(healer.decide(after(5, start), &all), Some(Prosody));
        for second in 6..25 {
            assert_eq!(healer.decide(after(second, start), &ill(&[Jicofo, Videobridge])), None);
        }
        assert_eq!(
            healer.decide(after(25, start), &ill(&[Jicofo, Videobridge])),
            Some(Videobridge)
        );
    }

    #[test]
    fn a_dead_process_is_restarted_at_once() {
        let mut healer = Healer::default();
        let dead = Symptoms { dead: vec![Component::Jicofo], ..ill(&[Component::Jicofo]) };
        assert_eq!(healer.decide(Instant::now(), &dead), Some(Component::Jicofo));
    }

    #[test]
    fn what_was_just_started_gets_its_time() {
        let start = Instant::now();
        let mut healer = Healer::default();
        healer.started(start, &Component::ALL);
        let dead = Symptoms { dead: vec![Component::Jicofo], ..ill(&[Component::Jicofo]) };
        assert_eq!(healer.decide(after(19, start), &dead), None);
        assert_eq!(healer.decide(after(20, start), &dead), Some(Component::Jicofo));
    }

    #[test]
    fn pauses_grow_and_illness_is_forgotten_after_long_health() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let mut restarted = Vec::new();
        for second in (0..400).step_by(5) {
            if healer.decide(after(second, start), &ill(&[Component::Nginx])).is_some() {
                restarted.push(second);
            }
        }
        assert_eq!(restarted, [5, 25, 65, 145, 305]);
        assert_eq!(healer.decide(after(1000, start), &ill(&[])), None);
        assert_eq!(healer.restarts(Component::Nginx), 0);
    }

    #[test]
    fn leaves_the_bridge_alone_while_people_talk() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let talking =
            Symptoms { media_flows: true, ..ill(&[Component::Videobridge, Component::Jicofo]) };
        for second in 0..20 {
            assert_eq!(healer.decide(after(second, start), &talking), None);
        }
        let over = Symptoms { grace_over: true, ..talking };
        assert_eq!(healer.decide(after(30, start), &over), Some(Component::Videobridge));
    }

    #[test]
    fn a_failed_meeting_behind_green_lights_names_its_suspect() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let failed = |step| Symptoms { meeting: Some(step), ..Symptoms::default() };
        assert_eq!(healer.decide(start, &failed(StepName::Offer)), None);
        assert_eq!(
            healer.decide(after(5, start), &failed(StepName::Offer)),
            Some(Component::Jicofo)
        );
        assert_eq!(healer.decide(after(10, start), &failed(StepName::Offer)), None, "it starts");
        assert_eq!(healer.decide(after(15, start), &failed(StepName::Offer)), None);
        assert_eq!(
            healer.decide(after(30, start), &failed(StepName::Offer)),
            Some(Component::Videobridge),
            "restarting jicofo did not help"
        );
        for second in 31..50 {
            assert_eq!(healer.decide(after(second, start), &failed(StepName::Offer)), None);
        }
        assert_eq!(
            healer.decide(after(50, start), &failed(StepName::Offer)),
            Some(Component::Prosody),
            "nor did restarting the bridge"
        );
        healer.meeting_held();
        assert_eq!(healer.decide(after(90, start), &failed(StepName::Media)), None);
    }

    #[test]
    fn while_people_talk_a_failed_meeting_alone_restarts_nothing_for_a_minute() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let talking =
            Symptoms { meeting: Some(StepName::Offer), media_flows: true, ..Symptoms::default() };
        for second in 0..60 {
            assert_eq!(healer.decide(after(second, start), &talking), None);
        }
        assert_eq!(healer.decide(after(60, start), &talking), Some(Component::Jicofo));
    }

    #[test]
    fn what_is_kept_from_running_is_started_soon_after_it_may() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let away = Symptoms { dead: vec![Component::Prosody], ..ill(&[Component::Prosody]) };
        let starts: Vec<u64> = (0..200)
            .filter(|second| healer.decide(after(*second, start), &away).is_some())
            .collect();
        assert_eq!(starts, [0, 20, 50, 80, 110, 140, 170]);
    }
}
