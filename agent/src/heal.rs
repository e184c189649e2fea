//! Which service to restart, and when: a pure state machine. It looks for the cause among the
//! symptoms, because jicofo and the bridge report a dead Prosody as their own illness and recover by
//! themselves. What is dead is started at once; what is ill gets the time of [`crate::patience`], which is
//! longer while people talk.

use std::collections::BTreeMap;
use std::time::Duration;

use meeting_probe::StepName;
use tokio::time::Instant;

use crate::health::Component;
use crate::patience::{
    CURED_AFTER, FAILED_MEETINGS, LONGEST_PAUSE, LONGEST_PAUSE_OF_THE_DEAD, SETTLING, STARTING,
    affected_by, remedy,
};

/// What is wrong.
#[derive(Clone, Debug, Default)]
pub struct Symptoms {
    /// Components that are not well.
    pub ill: Vec<Component>,
    /// Those among them that do not run: nobody listens for them, and no process is left.
    pub dead: Vec<Component>,
    /// The step at which the newest meeting failed, once per attempt.
    pub meeting: Option<StepName>,
    /// Whether it failed on the way to the bridge, which answers on this machine: no restart mends that.
    pub network: bool,
    /// Whether people's media flows, past the bridge included.
    pub media_flows: bool,
    /// Whether a replacement comes next.
    pub last_chance: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct History {
    ill_since: Option<Instant>,
    restarts: u32,
    /// Of itself, or of one it depends on.
    last_restart: Option<Instant>,
    /// When it was started itself, until it is well for the first time.
    starting_since: Option<Instant>,
}

impl History {
    fn may_restart(&self, now: Instant, dead: bool) -> bool {
        let longest = if dead { LONGEST_PAUSE_OF_THE_DEAD } else { LONGEST_PAUSE };
        let pause = SETTLING.saturating_mul(1 << self.restarts.saturating_sub(1).min(8));
        let starting = self.starting_since.is_some_and(|since| now < since + STARTING);
        (dead || !starting) && self.last_restart.is_none_or(|last| now >= last + pause.min(longest))
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
    /// The services to restart now, the ill one first; mostly none.
    pub fn decide(&mut self, now: Instant, symptoms: &Symptoms) -> &'static [Component] {
        self.remember(now, symptoms);
        let Some(patient) = self
            .dead(now, symptoms)
            .or_else(|| self.ill(now, symptoms))
            .or_else(|| self.suspected_by_meeting(now, symptoms))
        else {
            return &[];
        };
        let restarts = remedy(patient).restarts;
        self.histories.entry(patient).or_default().restarts += 1;
        self.started(now, restarts);
        restarts
    }

    /// Told when components were started: they get their time, and so do those that depend on them.
    pub fn started(&mut self, now: Instant, components: &[Component]) {
        self.failed_meetings = 0;
        for component in components {
            self.histories.entry(*component).or_default().starting_since = Some(now);
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
            history.starting_since = None;
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

    fn history(&self, component: Component) -> History {
        self.histories.get(&component).copied().unwrap_or_default()
    }

    fn dead(&self, now: Instant, symptoms: &Symptoms) -> Option<Component> {
        let dead = by_cause(&symptoms.dead);
        dead.into_iter().find(|component| self.history(*component).may_restart(now, true))
    }

    fn ill(&self, now: Instant, symptoms: &Symptoms) -> Option<Component> {
        let cause = by_cause(&symptoms.ill).into_iter().next()?;
        if symptoms.dead.contains(&cause) {
            return None;
        }
        let careful = symptoms.media_flows && !symptoms.last_chance;
        let remedy = remedy(cause);
        let patience = if careful { remedy.ill_inside? } else { remedy.ill };
        let history = self.history(cause);
        let ill_long = history.ill_since.is_some_and(|since| now >= since + patience);
        (ill_long && history.may_restart(now, false)).then_some(cause)
    }

    /// All components are green and no meeting is possible: the step that failed names the suspects,
    /// and each gets its turn.
    fn suspected_by_meeting(&self, now: Instant, symptoms: &Symptoms) -> Option<Component> {
        use Component::{Jicofo, Nginx, Prosody, Videobridge};
        let suspects: &[Component] = match symptoms.meeting? {
            StepName::Resolve | StepName::Leave => return None,
            StepName::Connect => &[Nginx],
            StepName::LogIn | StepName::Join => &[Prosody, Nginx],
            StepName::ConferenceRequest => &[Jicofo, Prosody],
            StepName::Offer => &[Jicofo, Videobridge, Prosody],
            StepName::Accept => &[Jicofo, Videobridge],
            // Media, and whatever a meeting does with it.
            _ => &[Videobridge],
        };
        let settling =
            |history: &History| history.last_restart.is_some_and(|last| now < last + SETTLING);
        if symptoms.network
            || !symptoms.ill.is_empty()
            || self.failed_meetings < FAILED_MEETINGS
            || self.histories.values().any(settling)
        {
            return None;
        }
        let careful = symptoms.media_flows && !symptoms.last_chance;
        let failing = self.failing_since.map_or(Duration::ZERO, |since| now - since);
        let may = |suspect: &Component| {
            !careful || remedy(*suspect).suspected_inside.is_some_and(|wait| failing >= wait)
        };
        let suspects = suspects.iter().copied().filter(may);
        suspects.min_by_key(|suspect| self.restarts(*suspect))
    }
}

/// Whose illness explains that of those after it.
fn by_cause(ill: &[Component]) -> Vec<Component> {
    const BY_CAUSE: [Component; 4] =
        [Component::Nginx, Component::Prosody, Component::Videobridge, Component::Jicofo];
    BY_CAUSE.into_iter().filter(|component| ill.contains(component)).collect()
}

#[cfg(test)]
mod tests {
    use Component::{Jicofo, Nginx, Prosody, Videobridge};

    use super::*;

    const NOBODY: &[Component] = &[];

    fn ill(components: &[Component]) -> Symptoms {
        Symptoms { ill: components.to_vec(), ..Symptoms::default() }
    }

    fn dead(component: Component) -> Symptoms {
        Symptoms { dead: vec![component], ..ill(&[component]) }
    }

    fn failed(step: StepName) -> Symptoms {
        Symptoms { meeting: Some(step), ..Symptoms::default() }
    }

    fn after(seconds: u64, start: Instant) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// The first second in which `symptoms`, shown every second, have somebody restarted.
    fn first_restart(symptoms: &Symptoms) -> Option<(u64, &'static [Component])> {
        let (mut healer, start) = (Healer::default(), Instant::now());
        (0..600).find_map(|second| {
            let restarted = healer.decide(after(second, start), symptoms);
            (!restarted.is_empty()).then_some((second, restarted))
        })
    }

    #[test]
    fn restarts_the_cause_and_gives_its_symptoms_time() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let all = ill(&[Prosody, Jicofo, Videobridge]);
        assert_eq!(healer.decide(start, &all), NOBODY, "one lost answer is no illness");
        assert_eq!(healer.decide(after(5, start), &all), [Prosody, Jicofo]);
        for second in 6..35 {
            let symptoms = ill(&[Jicofo, Videobridge]);
            assert_eq!(healer.decide(after(second, start), &symptoms), NOBODY);
        }
        let bridge = healer.decide(after(35, start), &ill(&[Jicofo, Videobridge]));
        assert_eq!(bridge, [Videobridge]);
    }

    #[test]
    fn what_is_dead_is_started_at_once_whoever_talks() {
        for component in Component::ALL {
            for media_flows in [false, true] {
                let symptoms = Symptoms { media_flows, ..dead(component) };
                assert_eq!(first_restart(&symptoms), Some((0, remedy(component).restarts)));
            }
        }
        // Also beside one that is ill and has to wait for those inside.
        let both = Symptoms {
            ill: vec![Videobridge, Jicofo],
            dead: vec![Jicofo],
            media_flows: true,
            ..Symptoms::default()
        };
        assert_eq!(first_restart(&both), Some((0, &[Jicofo][..])));
    }

    #[test]
    fn what_is_ill_gets_the_time_of_the_table() {
        for component in Component::ALL {
            let symptoms = |media_flows, last_chance| Symptoms {
                media_flows,
                last_chance,
                ..ill(&[component])
            };
            let remedy = remedy(component);
            let alone = Some((remedy.ill.as_secs(), remedy.restarts));
            assert_eq!(first_restart(&symptoms(false, false)), alone);
            assert_eq!(first_restart(&symptoms(true, true)), alone);
            let inside = remedy.ill_inside.map(|wait| (wait.as_secs(), remedy.restarts));
            assert_eq!(first_restart(&symptoms(true, false)), inside);
        }
    }

    #[test]
    fn jicofo_recovers_by_itself_from_a_bridge_that_stalled() {
        // Found after up to 45 s, 10 s of `failure-reset-threshold`, up to 10 s until its health moves.
        let (mut healer, start) = (Healer::default(), Instant::now());
        let symptoms = Symptoms { media_flows: true, ..ill(&[Jicofo]) };
        for second in 0..=70 {
            assert_eq!(healer.decide(after(second, start), &symptoms), NOBODY, "second {second}");
        }
    }

    #[test]
    fn what_was_just_started_gets_its_time() {
        let start = Instant::now();
        let mut healer = Healer::default();
        healer.started(start, &Component::ALL);
        assert_eq!(healer.decide(after(29, start), &dead(Jicofo)), NOBODY);
        assert_eq!(healer.decide(after(30, start), &dead(Jicofo)), [Jicofo]);
    }

    #[test]
    fn what_runs_and_is_not_well_yet_is_starting() {
        let start = Instant::now();
        let mut healer = Healer::default();
        healer.started(start, &[Videobridge]);
        for second in 0..90 {
            let symptoms = ill(&[Videobridge, Jicofo]);
            assert_eq!(healer.decide(after(second, start), &symptoms), NOBODY, "second {second}");
        }
        let mut slow = Healer::default();
        slow.started(start, &[Videobridge]);
        assert_eq!(healer.decide(after(90, start), &ill(&[Videobridge])), [Videobridge]);
        // Once it was well it is no longer starting.
        assert_eq!(slow.decide(after(34, start), &ill(&[])), NOBODY);
        assert_eq!(slow.decide(after(35, start), &ill(&[Videobridge])), NOBODY);
        assert_eq!(slow.decide(after(40, start), &ill(&[Videobridge])), [Videobridge]);
    }

    #[test]
    fn pauses_grow_and_illness_is_forgotten_after_long_health() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let mut restarted = Vec::new();
        for second in (0..500).step_by(5) {
            if !healer.decide(after(second, start), &ill(&[Nginx])).is_empty() {
                restarted.push(second);
            }
        }
        assert_eq!(restarted, [5, 95, 185, 305], "alive, and never well");
        assert_eq!(healer.decide(after(1100, start), &ill(&[])), NOBODY);
        assert_eq!(healer.restarts(Nginx), 0);
    }

    #[test]
    fn a_failed_meeting_behind_green_lights_names_its_suspect() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let offer = failed(StepName::Offer);
        assert_eq!(healer.decide(start, &offer), NOBODY);
        assert_eq!(healer.decide(after(5, start), &offer), [Jicofo]);
        for second in 6..35 {
            assert_eq!(healer.decide(after(second, start), &offer), NOBODY, "it starts");
        }
        assert_eq!(healer.decide(after(35, start), &offer), [Videobridge]);
        for second in 36..65 {
            assert_eq!(healer.decide(after(second, start), &offer), NOBODY);
        }
        assert_eq!(healer.decide(after(65, start), &offer), [Prosody, Jicofo]);
        healer.meeting_held();
        assert_eq!(healer.decide(after(105, start), &failed(StepName::Media)), NOBODY);
    }

    #[test]
    fn while_people_talk_a_failed_meeting_alone_restarts_late_and_never_the_bridge() {
        let talking = |step| Symptoms { media_flows: true, ..failed(step) };
        assert_eq!(first_restart(&talking(StepName::Connect)), Some((1, &[Nginx][..])));
        assert_eq!(first_restart(&talking(StepName::Offer)), Some((120, &[Jicofo][..])));
        assert_eq!(first_restart(&talking(StepName::Media)), None);
        let last = Symptoms { last_chance: true, ..talking(StepName::Media) };
        assert_eq!(first_restart(&last), Some((1, &[Videobridge][..])));
    }

    #[test]
    fn nothing_is_restarted_for_the_network() {
        let blocked = Symptoms { network: true, ..failed(StepName::Media) };
        assert_eq!(first_restart(&blocked), None);
    }

    #[test]
    fn what_is_kept_from_running_is_started_soon_after_it_may() {
        let start = Instant::now();
        let mut healer = Healer::default();
        let starts: Vec<u64> = (0..200)
            .filter(|second| !healer.decide(after(*second, start), &dead(Prosody)).is_empty())
            .collect();
        assert_eq!(starts, [0, 30, 60, 90, 120, 150, 180]);
    }
}
