//! The watch: components every few seconds, a meeting every minute and after every change. Restarts,
//! looks at the metadata service and meetings run beside the rounds, so that whatever hangs, the
//! verdict does not get old.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use meeting_probe::{Prober, Report, StepName};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::board::{MeetingStatus, Phase, now};
use crate::crowd::{Crowd, received_datagrams};
use crate::cure::cure;
use crate::heal::{Healer, Symptoms};
use crate::health::{self, Bridge, Component, Processes, Round};
use crate::imds::Identity;
use crate::mail;
use crate::meeting;
use crate::metrics::{self, Metrics};
use crate::progress::LastVerdict;
use crate::rhythm::Rhythm;
use crate::run::Life;
use crate::service;
use crate::task::Task;
use crate::verdict::{Change, Evidence, Policy, Proof, Verdict};

/// Between two looks at the services' processes, so that one that died is known before the next round.
const GLANCE_INTERVAL: Duration = Duration::from_secs(1);
/// So long after a meeting of ours the bridge's figures may still show it: they are those of the last 5 s,
/// gathered every 5 s.
const AFTERGLOW: Duration = Duration::from_secs(10);
/// Between two meetings that are held because a component doubts itself.
const DOUBT_INTERVAL: Duration = Duration::from_secs(10);
/// Minutes between two comparisons of the files with what was rendered.
const DRIFT_MINUTES: u64 = 10;
/// Minutes between two looks at who has an account: a removed person keeps it no longer.
const PEOPLE_MINUTES: u64 = 5;

/// See the module.
pub(crate) struct Watch<'a> {
    life: &'a Life,
    rhythm: Rhythm,
    deadline: Instant,
    proven: bool,
    verdict: Verdict,
    healer: Healer,
    metrics: Metrics,
    prober: Arc<Prober>,
    meeting: Task<Report>,
    meeting_ended: Option<Instant>,
    proof: Proof,
    failed_step: Option<StepName>,
    faults: Vec<String>,
    cure: Task<Result<Vec<Component>>>,
    look: Task<Result<Identity>>,
    renewal: Task<Result<bool>>,
    people_changed: bool,
    processes: Processes,
    crowd: Crowd,
    doubtful: bool,
    minutes: u64,
}

impl<'a> Watch<'a> {
    /// A watch that gives up when no meeting could be held within `limit`.
    pub(crate) fn new(life: &'a Life, limit: Duration) -> Result<Self> {
        let settings = &life.node.settings;
        let interval = Duration::from_secs(settings.watch.component_interval);
        let policy = Policy {
            tolerance: interval * settings.watch.strikes,
            media_grace: Duration::from_secs(settings.watch.media_grace),
        };
        let last = life.board.status();
        let mut healer = Healer::default();
        // Configuring has just started what did not run.
        healer.started(Instant::now(), &Component::ALL);
        Ok(Self {
            life,
            rhythm: Rhythm::new(interval),
            deadline: Instant::now() + limit,
            proven: false,
            verdict: Verdict::new(policy, last.ready, last.kept),
            healer,
            metrics: Metrics::new(&life.node.sdk, &settings.deployment),
            prober: Arc::new(life.node.prober()?),
            meeting: Task::default(),
            meeting_ended: None,
            proof: Proof::None,
            failed_step: None,
            faults: Vec::new(),
            cure: Task::default(),
            look: Task::default(),
            renewal: Task::default(),
            people_changed: false,
            processes: Processes::new(life.node.system()),
            crowd: Crowd::default(),
            doubtful: false,
            minutes: 0,
        })
    }

    /// Watches; ends only with the error that no first meeting could be held.
    pub(crate) async fn run(mut self) -> anyhow::Error {
        let mut minutes = interval(metrics::INTERVAL);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut glances = interval(GLANCE_INTERVAL);
        glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_round = Instant::now();
        loop {
            tokio::select! {
                report = self.meeting.ended() => self.meeting_ended(report),
                cured = self.cure.ended() => self.cured(cured),
                identity = self.look.ended() => self.looked(identity),
                changed = self.renewal.ended() => self.renewed(changed),
                _ = minutes.tick() => self.every_minute(),
                _ = glances.tick() => {
                    if self.processes.lost(self.life.node.system()) {
                        next_round = next_round.min(Instant::now());
                    }
                }
                () = sleep_until(next_round) => {
                    self.round().await;
                    let well = self.faults.is_empty() && self.proof == Proof::Held;
                    // A meeting that fails is not held more often: that is work for those who start.
                    let pause = if self.proven || self.faults.is_empty() {
                        self.rhythm.pause(well)
                    } else {
                        self.rhythm.start_pause()
                    };
                    next_round = Instant::now() + pause;
                    service::beat();
                }
            }
            if !self.proven && Instant::now() >= self.deadline {
                service::rest();
                let missing = self.life.board.status().missing.join("; ");
                return anyhow!("no meeting could be held: {missing}");
            }
        }
    }

    async fn round(&mut self) {
        let node = &self.life.node;
        let limit = self.rhythm.answer_limit();
        let bridge = Bridge { local: node.identity().private_ipv4 };
        let domain = node.settings.domain.as_str();
        let round =
            health::round(&node.machine.endpoints, domain, &bridge, node.system(), limit).await;
        self.life.board.note_round(&round, |component| self.healer.restarts(component));
        self.doubt_what_was_restarted();
        self.faults = round.faults().map(|(part, why)| format!("{part}: {why}")).collect();
        self.doubtful = round.is_doubtful();
        let media_flows = self.media_flows(&round);
        self.note_traffic(&round);
        self.judge(media_flows);
        self.heal(&round, media_flows);
        self.start_meeting();
    }

    /// systemd restarts what dies, sometimes faster than a round sees it dead.
    fn doubt_what_was_restarted(&mut self) {
        let replaced = self.processes.replaced(self.life.node.system());
        if replaced.is_empty() || self.cure.runs() {
            return;
        }
        // What a cure restarted is in doubt already.
        if self.proof == Proof::Held {
            tracing::info!("started anew: {replaced:?}");
        }
        self.healer.started(Instant::now(), &replaced);
        // A jicofo that outlived its Prosody is restarted with it, as a cure does (see the remedies).
        let outlived = replaced.contains(&Component::Prosody)
            && !replaced.contains(&Component::Jicofo)
            && self.proven;
        // Whoever restarted it may have changed its configuration before.
        self.cure(if outlived { &[Component::Jicofo] } else { &[] });
    }

    fn forget_meeting(&mut self) {
        self.meeting.abort();
        self.proof = Proof::None;
    }

    /// A doubt is in people's favour.
    fn media_flows(&mut self, round: &Round) -> bool {
        let datagrams = received_datagrams(self.life.node.system());
        let probing = self.is_probing();
        let now = Instant::now();
        self.crowd.look(now, round.traffic.as_ref(), datagrams, probing);
        self.crowd.is_anybody_inside(now)
    }

    /// Whether figures may show our own meeting.
    fn is_probing(&self) -> bool {
        self.meeting.runs() || self.meeting_ended.is_some_and(|ended| ended.elapsed() < AFTERGLOW)
    }

    /// Figures taken while our own meeting runs would count it as people.
    fn note_traffic(&self, round: &Round) {
        if !self.is_probing() {
            self.life.board.update(|status| status.traffic = round.traffic);
        }
    }

    fn judge(&mut self, media_flows: bool) {
        let evidence =
            Evidence { faults: self.faults.clone(), proof: self.proof.clone(), media_flows };
        let change = self.verdict.weigh(Instant::now(), &evidence);
        match &change {
            Some(Change::Ready) => tracing::info!("ready: a meeting can be held"),
            Some(Change::Unready(faults)) => {
                tracing::error!("unready, visitors are turned away: {}", faults.join("; "));
                self.tell_of_the_network();
            }
            Some(Change::GivenUp(faults)) => {
                tracing::error!("given up, to be replaced: {}", faults.join("; "));
            }
            Some(Change::Waiting(faults, left)) => tracing::warn!(
                "would be given up ({}), but people are talking: waiting up to {} s",
                faults.join("; "),
                left.as_secs()
            ),
            None => {}
        }
        let held = self.proof == Proof::Held && self.verdict.ready();
        let first = held && !self.proven;
        self.proven |= held;
        self.life.board.update(|status| {
            status.ready = self.verdict.ready();
            status.kept = self.verdict.kept();
            status.waiting_for_media = self.verdict.waiting();
            status.missing = evidence.missing();
        });
        if first {
            self.life.enter(Phase::Watch);
            self.life.report_ready();
        }
        if first || change.is_some() {
            self.note_verdict();
        }
    }

    /// Somebody has to mend what no restart mends.
    fn tell_of_the_network(&self) {
        if let Proof::Cut(reason) = &self.proof {
            let (node, imds) = (Arc::clone(&self.life.node), self.life.imds.clone());
            let mail = mail::cut_off(&node, reason);
            tokio::spawn(async move { mail::send(&node, &imds, &mail).await });
        }
    }

    /// For a successor of this process.
    fn note_verdict(&self) {
        if self.proven {
            let (ready, kept) = (self.verdict.ready(), self.verdict.kept());
            let verdict = LastVerdict { ready, kept, at: now() };
            self.life.note(|progress| progress.verdict = Some(verdict));
        }
    }

    fn heal(&mut self, round: &Round, media_flows: bool) {
        if self.cure.runs() {
            return;
        }
        let ill = round.faults().map(|(component, _)| component).collect();
        // A program that is starting does not listen yet.
        let runs = |component| self.processes.runs(self.life.node.system(), component);
        let silent = round.checks.iter().filter(|check| check.dead).map(|check| check.component);
        let dead = silent.filter(|component| !runs(*component));
        let symptoms = Symptoms {
            ill,
            dead: dead.collect(),
            meeting: self.failed_step.take(),
            network: matches!(self.proof, Proof::Cut(_)),
            media_flows,
            last_chance: self.verdict.last_chance(Instant::now()),
        };
        let components = self.healer.decide(Instant::now(), &symptoms);
        if !components.is_empty() {
            let names: Vec<_> = components.iter().map(ToString::to_string).collect();
            let faults = if self.faults.is_empty() { "meeting" } else { &*self.faults.join("; ") };
            tracing::warn!("restarting {}: {faults}", names.join(" and "));
            self.verdict.cured(Instant::now());
            self.cure(components);
        }
    }

    /// What was proven before is worth nothing now.
    fn cure(&mut self, components: &'static [Component]) {
        let node = Arc::clone(&self.life.node);
        self.forget_meeting();
        self.cure.start(async move { cure(&node, components).await });
    }

    fn cured(&mut self, cured: Result<Result<Vec<Component>>>) {
        match cured.and_then(|cured| cured) {
            Ok(restarted) => self.healer.started(Instant::now(), &restarted),
            Err(error) => tracing::error!("{error:#}"),
        }
        self.tell_of_people();
    }

    fn start_meeting(&mut self) {
        let idle = !self.meeting.runs() && !self.cure.runs() && self.faults.is_empty();
        if !idle || !self.meeting_is_due() {
            return;
        }
        let prober = Arc::clone(&self.prober);
        self.meeting.start(async move { prober.hold_meeting(&mut ()).await });
    }

    fn meeting_is_due(&self) -> bool {
        let interval = Duration::from_secs(self.life.node.settings.watch.meeting_interval);
        match self.proof {
            Proof::None | Proof::Failed(_) | Proof::Cut(_) => true,
            Proof::Held => {
                let interval = if self.doubtful { DOUBT_INTERVAL.min(interval) } else { interval };
                self.meeting_ended.is_none_or(|ended| ended.elapsed() >= interval)
            }
        }
    }

    fn meeting_ended(&mut self, report: Result<Report>) {
        self.meeting_ended = Some(Instant::now());
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                tracing::error!("the meeting probe ended unexpectedly: {error:#}");
                return;
            }
        };
        if report.held() {
            self.proof = Proof::Held;
            self.healer.meeting_held();
            if self.faults.is_empty() {
                // Not counted as a round: nothing new is known of the components.
                self.judge(false);
            }
        } else {
            let reason = meeting::reason(&report);
            let proof = if meeting::is_cut(&report) {
                Proof::Cut(format!("{reason}; it answers on this machine, so nothing is restarted"))
            } else {
                Proof::Failed(reason.clone())
            };
            if self.proof != proof {
                tracing::warn!("no meeting: {reason}");
            }
            self.proof = proof;
            self.failed_step = report.failed_step;
            if matches!(report.failed_step, Some(StepName::Offer | StepName::Media)) {
                self.look_at_addresses();
            }
        }
        let status = MeetingStatus { at: now(), report };
        self.life.board.update(|board| board.meeting = Some(status));
    }

    fn every_minute(&mut self) {
        if self.proven {
            self.metrics.send(&self.life.board.status());
            self.note_verdict();
        }
        self.look_at_addresses();
        if self.minutes.is_multiple_of(PEOPLE_MINUTES) && !self.renewal.runs() {
            let node = Arc::clone(&self.life.node);
            self.renewal.start(async move { node.renew_people().await });
        }
        if self.minutes.is_multiple_of(DRIFT_MINUTES) {
            match self.life.node.drift() {
                Ok(drift) => self.life.board.update(|status| status.drift = drift),
                Err(error) => tracing::warn!("comparing files: {error:#}"),
            }
        }
        self.minutes += 1;
    }

    fn renewed(&mut self, changed: Result<Result<bool>>) {
        match changed.and_then(|changed| changed) {
            Ok(changed) => self.people_changed |= changed,
            Err(error) => tracing::warn!("looking at who has an account: {error:#}"),
        }
        self.life.board.update(|status| status.warnings = self.life.node.warnings());
        self.tell_of_people();
    }

    /// Nothing is restarted for it. A cure that runs may have begun before the change.
    fn tell_of_people(&mut self) {
        if self.people_changed && !self.cure.runs() {
            self.people_changed = false;
            tracing::info!("the people with an account changed");
            self.cure(&[]);
        }
    }

    fn look_at_addresses(&mut self) {
        if !self.look.runs() {
            let imds = self.life.imds.clone();
            self.look.start(async move { imds.identity().await });
        }
    }

    fn looked(&mut self, identity: Result<Result<Identity>>) {
        let identity = match identity.and_then(|identity| identity) {
            Ok(identity) => identity,
            Err(error) => {
                tracing::warn!("looking at the addresses: {error:#}");
                return;
            }
        };
        let before = self.life.node.identity();
        if identity == before || self.cure.runs() {
            return;
        }
        tracing::warn!(
            "the addresses changed: {} behind {}, before {} behind {}",
            identity.private_ipv4,
            identity.public_ipv4,
            before.private_ipv4,
            before.public_ipv4
        );
        self.life.node.set_identity(identity.clone());
        self.life.board.update(|status| status.identity = Some(identity));
        match self.life.node.prober() {
            Ok(prober) => self.prober = Arc::new(prober),
            Err(error) => tracing::error!("{error:#}"),
        }
        self.cure(&[]);
    }
}
