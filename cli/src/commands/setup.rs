//! `setup iam|instances|lb|monitoring|all`: bring stages to what the configuration asks for.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
    writing,
};
use crate::{
    args::Setup,
    config::Config,
    engine::{self, Change, Key, Planned, Stage, Summary},
    error::{Hinted, Interrupted},
    invocation::{as_admin, as_deployer, command, with_other_profile},
    lease::Lease,
    local::CredentialsFile,
    resources::load_balancer,
    site_record::SiteRecord,
    ui::elapsed,
};

pub(super) async fn run(env: &Env, stage: &Setup) -> Result<Exit> {
    let (word, stages): (&str, &[Stage]) = match stage {
        Setup::Iam(_) => ("iam", &[Stage::Iam]),
        Setup::Instances => ("instances", &[Stage::Instances]),
        Setup::Lb => ("lb", &[Stage::Lb]),
        Setup::Monitoring => ("monitoring", &[Stage::Monitoring]),
        Setup::All(_) | Setup::Delete(_) | Setup::Repair | Setup::Unlock => ("all", &Stage::ALL),
    };
    let take_over = match stage {
        Setup::Iam(keys) | Setup::All(keys) => keys.take_over.clone(),
        _ => None,
    };
    let config = preflight::load(env, stages).await?;
    let start = Instant::now();
    let mut lease = None;
    let work = Work { stages, word, take_over };
    let result = Box::pin(work.run(env, &config, &mut lease)).await;
    let Done { summary, address, next } = writing::end(env, lease, result).await?;
    if !env.ui.json() {
        env.ui.remark(&format!("{summary} in {}", elapsed(start.elapsed())));
    }
    finish(env, &config, word, &summary, address.as_deref());
    env.ui.next(&next.unwrap_or_else(|| {
        command(match word {
            "instances" => "setup lb",
            "lb" => "setup monitoring",
            _ => "probe",
        })
    }));
    Ok(Exit::Done)
}

/// What a run has done.
struct Done {
    summary: Summary,
    /// The load balancer's, when its stage was among them.
    address: Option<String>,
    /// The command to go on with, where it takes a look to know.
    next: Option<String>,
}

/// What a run is to do.
struct Work<'a> {
    stages: &'a [Stage],
    word: &'a str,
    take_over: Option<String>,
}

impl Work<'_> {
    /// Under one lease, which is left in `lease`.
    async fn run(
        &self,
        env: &Env,
        config: &Arc<Config>,
        lease: &mut Option<Lease>,
    ) -> Result<Done> {
        let begun = Instant::now();
        let mut summary = Summary::default();
        let (mut address, mut next) = (None, None);
        // The IAM stage makes the deployer the others work as, so it is a run of its own.
        let (iam, others): (Vec<Stage>, Vec<Stage>) =
            self.stages.iter().partition(|s| **s == Stage::Iam);
        let after_iam = others.clone();
        // What is named for later stages is looked at before the first one writes.
        let mut ahead = self.stages;
        for (stages, role) in [(iam, Role::Admin), (others, Role::Deployer)] {
            if stages.is_empty() {
                continue;
            }
            let mut session = Session::open(env, config, role).await?;
            refuse_deployer(&session, &stages)?;
            session.cx.take_over.clone_from(&self.take_over);
            if let Some(lease) = lease {
                lease.keep_with(&session.cx.aws, &session.cx.names);
            } else {
                let words = format!("setup {}", self.word);
                // Otherwise they are set right first.
                if session.is_deployer() {
                    let looked = session.look_at_rights().await;
                    looked.map_err(|error| session.explain(error, &words))?;
                }
                let taken = self.begin(env, &session, role, &after_iam, &words).await;
                let (made, taken) = taken.map_err(|error| session.explain(error, &words))?;
                summary.add(&made);
                *lease = Some(taken);
            }
            if let Some(lease) = lease {
                lease.gate(&session.cx.aws);
            }
            // Made before the lease could be taken.
            session.catalog.retain(|entry| entry.key != Key::LeaseBucket);
            let later: &[Stage] = if role == Role::Admin { &after_iam } else { &[] };
            let ahead = std::mem::take(&mut ahead);
            let done = apply(env, &session, [&stages, later, ahead], self.word).await?;
            if role == Role::Admin && done.created + done.changed > 0 {
                // The next command knows by this that services may not have heard of it yet.
                CredentialsFile::standard()?.note_change(&session.cx.names.profile())?;
            }
            summary.add(&done);
            if self.word == "iam" {
                next = Some(next_after_iam(&session, begun).await);
            }
            if stages.contains(&Stage::Lb) {
                address = Some(load_balancer::dns_name(&session.cx).await?);
            }
        }
        Ok(Done { summary, address, next })
    }

    /// Takes the lease. Its own bucket is made for it first, unless anything is in the way of the rest.
    async fn begin(
        &self,
        env: &Env,
        session: &Session,
        role: Role,
        later: &[Stage],
        words: &str,
    ) -> Result<(Summary, Lease)> {
        let mut made = Summary::default();
        if role == Role::Admin {
            if !writing::is_prepared(session).await? {
                engine::check(&session.catalog, self.stages, &session.cx).await?;
                engine::foresee(&session.catalog, &[Stage::Iam], later, &session.cx).await?;
            }
            made = writing::prepare(session, role).await?;
        }
        let lease = writing::begin(env, session, role, words, made.created > 0).await?;
        Ok((made, lease))
    }
}

fn refuse_deployer(session: &Session, stages: &[Stage]) -> Result<()> {
    if session.is_deployer() && stages.contains(&Stage::Iam) {
        return Err(Hinted::user(
            "the deployer may not change its own rights",
            format!("use admin credentials, for example `{}`", with_other_profile("setup iam")),
        )
        .into());
    }
    Ok(())
}

/// Brings `stages` to what is asked for. What is in the way of `later` ones, and what is named for those
/// `ahead`, is told before.
async fn apply(
    env: &Env,
    session: &Session,
    [stages, later, ahead]: [&[Stage]; 3],
    word: &str,
) -> Result<Summary> {
    let title: Vec<String> =
        stages.iter().map(|stage| format!("{} {}", stage.number(), stage.word())).collect();
    env.ui.remark(&format!("{}   as {}", title.join(", "), session.who()));
    let words = format!("setup {word}");
    let applied = async {
        engine::check(&session.catalog, ahead, &session.cx).await?;
        engine::apply(&session.catalog, stages, later, &session.cx).await
    };
    let applied = applied.await;
    env.ui.unchanged();
    applied.map_err(|error| {
        if error.is::<Interrupted>() {
            let again = format!(
                "continue with `{}`, or undo with `{}`",
                command(&words),
                as_admin("setup delete")
            );
            // What a wait had to tell is still true: a DNS record to be made by hand.
            let told = error.downcast_ref::<Hinted>().map(Hinted::details).unwrap_or_default();
            return Hinted::stopped("stopped on request; what exists is kept", again)
                .with(told.to_vec())
                .into();
        }
        session.explain(error, &words)
    })
}

fn finish(env: &Env, config: &Arc<Config>, word: &str, summary: &Summary, address: Option<&str>) {
    let record = address.map(|address| SiteRecord::new(config, address));
    env.ui.document(
        "setup",
        &json!({
            "stages": word,
            "created": summary.created, "changed": summary.changed,
            "unchanged": summary.unchanged, "deleted": summary.deleted,
            "domain": config.domain.as_str(), "load_balancer": address,
            "dns": record.as_ref().map(SiteRecord::document),
        }),
    );
    if let Some(record) = record {
        if record.by_hand() && !env.ui.json() {
            env.ui.say("the DNS record people need, unless it is there already:");
        }
        env.ui.result(&record.line());
        if let Some(remark) = record.remark() {
            env.ui.say(&remark);
        }
    }
}

/// The first stage with something to do. Of a deployment that is new since `start` that needs no look, and of
/// one that cannot be looked at it is left to `plan`.
async fn next_after_iam(session: &Session, start: Instant) -> String {
    // Whoever may change IAM need not be allowed to look at the rest.
    const LIMIT: Duration = Duration::from_secs(30);
    let cx = &session.cx;
    if cx.recent.made_since(&Key::DeployerUser, start) {
        return as_deployer("setup instances");
    }
    let later = [Stage::Instances, Stage::Lb, Stage::Monitoring];
    let planned = timeout(LIMIT, engine::plan(&session.catalog, &later, cx)).await;
    let Ok(Ok(planned)) = planned else { return as_deployer("plan") };
    as_deployer(&match planned.iter().find(|line| line.change != Change::Keep) {
        Some(Planned { change: Change::Conflict(_), .. }) => "plan".to_owned(),
        Some(line) => format!("setup {}", line.key.stage().word()),
        None => "probe".to_owned(),
    })
}
