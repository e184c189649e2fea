//! `jitsi-agent run`: the life of an instance, from boot to its end. What ends one part begins the
//! next; every part can be killed and begun again.

use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::board::{Board, Phase, now};
use crate::drain::Cause;
use crate::failures::{self, Failure};
use crate::http;
use crate::imds::Imds;
use crate::journal::Journal;
use crate::lifecycle::{HEARTBEAT, Lifecycle, Outcome, Told};
use crate::node::{Machine, Node};
use crate::patience::OLD_VERDICT;
use crate::progress::Progress;
use crate::retry::{is_hopeless, retry};
use crate::watch::Watch;
use crate::{advice, aws, config, departure, mail, notices, proven, service, upkeep};

/// From the agent's first start to the first meeting. Everything that needs the network gives up
/// earlier; an instance that took longer is given up for a new one.
const BOOT_LIMIT: Duration = Duration::from_mins(45);
/// What a late process gets all the same: everything may be there but the meeting.
const LEAST_BOOT: Duration = Duration::from_mins(5);
/// The metadata service answers within seconds of boot or not at all.
const DISCOVER_LIMIT: Duration = Duration::from_mins(5);
/// How long AWS may be away before the launch hook is left to its own timeout.
const COMPLETE_LIMIT: Duration = Duration::from_mins(15);
/// Between two boots of an instance that is not given up, or not yet.
const NEXT_BOOT: Duration = Duration::from_mins(1);
/// Between two answers to a launch hook that has not said yet that one counted.
const NEXT_ANSWER: Duration = Duration::from_secs(15);
/// How long nothing may have waited for an answer until the hook is taken to be over: it may begin after
/// the instance is ready, and AWS forgets no hook that waits.
const NOTHING_WAITED: Duration = Duration::from_mins(15);
/// How long an agent that cannot even begin still answers, unready.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// Log lines shown with a failed boot.
const LAST_LINES: usize = 15;

/// Runs until the service is told to stop.
pub async fn run(machine: Machine, config: Option<&Path>, journal: Journal) -> Result<()> {
    let mut stop = service::stop_signal()?;
    let board = Board::new();
    let socket = machine.agent_socket();
    let listener = http::bind(&socket).await?;
    tokio::spawn(http::serve(listener, board.clone()));
    tokio::spawn(service::feed_watchdog());
    service::ready();
    tracing::info!("jitsi-agent {} answers on {}", env!("CARGO_PKG_VERSION"), socket.display());
    tokio::select! {
        Err(error) = live(machine, config, &journal, board) => {
            // systemd starts the agent again at once: a mistake that stays should not fill the log.
            sleep(LAST_WORDS).await;
            Err(error)
        }
        _ = stop.wait_for(|stopping| *stopping) => {
            tracing::info!("stopping; the services go on");
            Ok(())
        }
    }
}

/// An instance with its hooks and what it has to remember.
pub(crate) struct Life {
    pub(crate) node: Arc<Node>,
    pub(crate) board: Board,
    pub(crate) imds: Imds,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) notices: Receiver<Option<Cause>>,
    progress: Arc<Mutex<Progress>>,
}

async fn live(
    machine: Machine,
    config: Option<&Path>,
    journal: &Journal,
    board: Board,
) -> Result<()> {
    // Before it is known who this instance is: the metadata service may be silent.
    if let Some(progress) = Progress::of_this_boot(&*machine.system)? {
        take_over(&board, &progress);
    }
    let old = board.clone();
    tokio::spawn(async move {
        sleep(OLD_VERDICT).await;
        old.forget_old_verdict();
    });
    let settings = config::load(&*machine.system, config)?;
    let imds = Imds::of(&machine.root)?;
    let identity = retry("asking who this instance is", DISCOVER_LIMIT, || imds.identity()).await?;
    tracing::info!(
        "{} ({}) in {}, {} behind {}",
        identity.instance_id,
        identity.instance_type,
        identity.zone,
        identity.private_ipv4,
        identity.public_ipv4
    );
    let progress = Progress::load(&*machine.system, &identity.instance_id)?;
    board.update(|status| status.identity = Some(identity.clone()));
    take_over(&board, &progress);
    let group = settings.auto_scaling_group.clone();
    let instance_id = identity.instance_id.clone();
    let pause = Duration::from_secs(settings.watch.component_interval);
    let sdk = aws::load(&settings.region).await?;
    let node = Arc::new(Node::new(machine, settings, sdk, identity));
    let lifecycle = Lifecycle::new(&node.sdk, &group, &instance_id);
    let life = Life {
        board,
        lifecycle,
        notices: notices::watch(imds.clone(), pause),
        progress: Arc::new(Mutex::new(progress)),
        imds,
        node,
    };
    tokio::spawn(upkeep::keep_looking(Arc::clone(&life.node), life.board.clone()));
    // A process that was killed while draining, or an instance that dies young: nothing is begun.
    match notices::look(&life.imds).await {
        Ok(Some(cause)) => return departure::depart(&life, cause).await,
        Ok(None) => {}
        Err(error) => tracing::warn!("looking for notices: {error:#}"),
    }
    life.boot_and_watch(journal).await
}

/// Goes on with what an earlier process found.
fn take_over(board: &Board, progress: &Progress) {
    let (ready, kept) = progress.last_verdict(now());
    board.update(|status| (status.ready, status.kept) = (ready, kept));
}

impl Life {
    /// Enters a phase, for the world and for a successor of this process.
    pub(crate) fn enter(&self, phase: Phase) {
        self.board.enter(phase);
        service::status(&phase.to_string());
        self.note(|progress| progress.phase = phase);
    }

    /// What a full disk forgets is found out again.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        if let Err(error) = progress.save(self.node.system()) {
            tracing::warn!("{error:#}");
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn boot_and_watch(&self, journal: &Journal) -> Result<()> {
        // A spot instance that was stopped and is back has another end before it.
        self.note(|progress| progress.terminate = None);
        let mut notices = self.notices.clone();
        // The hook is kept waiting between two boots, too.
        tokio::select! {
            biased;
            cause = announced(&mut notices) => departure::depart(self, cause).await,
            () = self.boot_again_and_again(journal) => unreachable!("boots never end"),
            () = self.keep_launch_hook_waiting() => unreachable!("heartbeats never end"),
        }
    }

    async fn boot_again_and_again(&self, journal: &Journal) {
        loop {
            let error = self.boot().await;
            self.give_up(&error, journal).await;
            if self.progress().launch == Some(Outcome::Abandon) {
                tracing::info!("waiting to be terminated");
                pending::<()>().await;
            }
            tracing::info!("trying again in {} s", NEXT_BOOT.as_secs());
            sleep(NEXT_BOOT).await;
        }
    }

    /// Installs, configures, and watches; ends only with the reason why it could not.
    async fn boot(&self) -> anyhow::Error {
        // A reboot of a serving instance is proven in its own time, not since its birth.
        let since_birth = self.progress().launch.is_none();
        let age =
            if since_birth { self.progress().age(self.node.system()) } else { Duration::ZERO };
        let deadline = Instant::now() + BOOT_LIMIT.saturating_sub(age).max(LEAST_BOOT);
        let left = || deadline.saturating_duration_since(Instant::now());
        let watch = async {
            self.prepare(left()).await?;
            self.enter(Phase::Prove);
            Watch::new(self, left())
        };
        match watch.await {
            Ok(watch) => watch.run().await,
            Err(error) => error,
        }
    }

    async fn prepare(&self, limit: Duration) -> Result<()> {
        retry("boot", limit, || async {
            self.enter(Phase::Install);
            self.node.read_secrets().await.context("reading secrets")?;
            self.node.ensure_installed().await.context("install")?;
            self.enter(Phase::Configure);
            let outcome = self.node.converge(None).await.context("configure")?;
            tracing::info!(
                "configured: {} files written, {} services restarted",
                outcome.written.len(),
                outcome.restarted.len()
            );
            Ok(())
        })
        .await
    }

    async fn keep_launch_hook_waiting(&self) {
        let hook = &self.node.settings.launch_hook;
        let mut ticks = interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.progress().launch.is_none() {
            ticks.tick().await;
            match self.lifecycle.heartbeat(hook).await {
                Ok(Told::Now) => {
                    let phase = self.board.status().phase;
                    tracing::info!("heartbeat to the launch hook: {phase}");
                }
                Ok(Told::NothingWaits) => {}
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
        pending::<()>().await;
    }

    /// A meeting was held for the first time: the instance may join its group. Told until AWS says that
    /// it counted, or nothing waits for it any more; in the background, because the watch goes on.
    pub(crate) fn report_ready(&self) {
        if self.progress().launch.is_some() {
            return;
        }
        let (lifecycle, node) = (self.lifecycle.clone(), Arc::clone(&self.node));
        let progress = Arc::clone(&self.progress);
        tokio::spawn(async move {
            let hook = &node.settings.launch_hook;
            let told = tell_ready(&lifecycle, hook).await;
            let saved = {
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.launch = Some(Outcome::Continue);
                progress.save(node.system())
            };
            if let Err(error) = saved {
                tracing::warn!("{error:#}");
            }
            log_told("CONTINUE", hook, told);
            failures::forget(&lifecycle).await;
            proven::remember(&node).await;
        });
    }

    /// This failure beside those of launches before it: counted and mailed once for an instance, mailed
    /// only when it is another one than the launch before met.
    async fn count_failure(&self, step: Phase, error: &anyhow::Error) -> Failure {
        let cause = format!("{step}: {error:#}");
        let counted = self.progress().failure.filter(|counted| counted.is_of(&cause));
        if let Some(counted) = counted {
            return counted;
        }
        let failure = failures::count(&self.lifecycle, &cause).await;
        if failure.times == 1 {
            let mail = mail::gave_up(&self.node, step, error);
            mail::send(&self.node, &self.imds, &mail).await;
        } else {
            tracing::info!("no mail: the launch before failed the same way, and was mailed");
        }
        self.note(|progress| progress.failure = Some(failure.clone()));
        failure
    }

    /// The boot failed for good: the group shall replace this instance, and whoever reads the log or
    /// the console shall know why.
    async fn give_up(&self, error: &anyhow::Error, journal: &Journal) {
        let step = self.board.status().phase;
        let lines = journal.last_lines(LAST_LINES);
        self.enter(Phase::Failed);
        self.board.update(|status| status.missing = vec![format!("boot: {step}: {error:#}")]);
        tracing::error!("boot failed in {step}: {error:#}");
        if let Some(next) = advice::next_step(error) {
            tracing::error!("next: {next}");
        }
        for line in lines {
            tracing::error!("before that: {line}");
        }
        if self.progress().launch.is_some() && !is_hopeless(error) {
            return;
        }
        let failure = self.count_failure(step, error).await;
        let left = failure.patience().saturating_sub(self.progress().age(self.node.system()));
        if !left.is_zero() {
            tracing::warn!(
                "launch {} that fails this way: trying on for {} min before the group launches \
                 another; to stop that: {}",
                failure.times,
                left.as_secs().div_ceil(60),
                failures::how_to_stop(&self.node.settings.auto_scaling_group)
            );
            return;
        }
        let hook = &self.node.settings.launch_hook;
        let told = retry("giving the instance up", COMPLETE_LIMIT, || async {
            self.lifecycle.complete(hook, Outcome::Abandon).await
        });
        match told.await {
            Ok(told) => {
                if told == Told::Now {
                    self.note(|progress| progress.launch = Some(Outcome::Abandon));
                }
                log_told("ABANDON", hook, told);
            }
            Err(error) => tracing::error!("{error:#}"),
        }
    }
}

/// Tells the launch hook CONTINUE until that counted. A hook that runs out unheard would have a ready
/// instance replaced, so no error ends this.
async fn tell_ready(lifecycle: &Lifecycle, hook: &str) -> Told {
    let mut nothing_since: Option<Instant> = None;
    let mut last_words = String::new();
    loop {
        let words = match lifecycle.complete(hook, Outcome::Continue).await {
            Ok(Told::Now) => return Told::Now,
            Ok(Told::NothingWaits) => {
                if nothing_since.get_or_insert_with(Instant::now).elapsed() >= NOTHING_WAITED {
                    return Told::NothingWaits;
                }
                format!("the hook {hook} waits for nothing: asking it again")
            }
            Err(error) => {
                nothing_since = None;
                format!("{error:#}")
            }
        };
        if words != last_words {
            tracing::warn!("{words}");
            last_words = words;
        }
        sleep(NEXT_ANSWER).await;
    }
}

pub(crate) fn log_told(outcome: &str, hook: &str, told: Told) {
    match told {
        Told::Now => tracing::info!("told the hook {hook}: {outcome}"),
        Told::NothingWaits => tracing::info!("the hook {hook} waits for nothing"),
    }
}

/// The next announcement of the instance's end.
pub(crate) async fn announced(notices: &mut Receiver<Option<Cause>>) -> Cause {
    loop {
        if let Some(cause) = notices.borrow_and_update().clone() {
            return cause;
        }
        if notices.changed().await.is_err() {
            // The watcher of notices lives as long as the program.
            pending::<()>().await;
        }
    }
}
