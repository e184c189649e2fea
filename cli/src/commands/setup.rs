//! `setup iam|instances|lb|monitoring|all`: bring stages to what the configuration asks for.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use serde_json::json;

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
};
use crate::{
    args::Setup,
    config::Config,
    engine::{self, Stage, Summary},
    error::{Hinted, Interrupted},
    invocation::{as_admin, as_deployer, command, with_other_profile},
    local::CredentialsFile,
    resources::load_balancer,
    site_record::SiteRecord,
    ui::elapsed,
};

pub(super) async fn run(env: &Env, stage: &Setup) -> Result<Exit> {
    let (word, stages): (&str, &[Stage]) = match stage {
        Setup::Iam => ("iam", &[Stage::Iam]),
        Setup::Instances => ("instances", &[Stage::Instances]),
        Setup::Lb => ("lb", &[Stage::Lb]),
        Setup::Monitoring => ("monitoring", &[Stage::Monitoring]),
        Setup::All | Setup::Delete(_) => ("all", &Stage::ALL),
    };
    let config = preflight::load(env, stages).await?;
    let start = Instant::now();
    let mut summary = Summary::default();
    let mut address = None;
    // The IAM stage makes the deployer the others work as, so it is a run of its own.
    let (iam, others): (Vec<Stage>, Vec<Stage>) = stages.iter().partition(|s| **s == Stage::Iam);
    let after_iam = others.clone();
    // What is named for later stages is looked at before the first one writes.
    let mut ahead = stages;
    for (stages, role) in [(iam, Role::Admin), (others, Role::Deployer)] {
        if stages.is_empty() {
            continue;
        }
        let session = Session::open(env, &config, role).await?;
        let later: &[Stage] = if role == Role::Admin { &after_iam } else { &[] };
        let ahead = std::mem::take(&mut ahead);
        let done = apply(env, &session, [&stages, later, ahead], word).await?;
        if role == Role::Admin && done.created + done.changed > 0 {
            // The next command knows by this that services may not have heard of it yet.
            CredentialsFile::standard()?.note_change(&session.cx.names.profile())?;
        }
        summary.add(&done);
        if stages.contains(&Stage::Lb) {
            address = Some(load_balancer::dns_name(&session.cx).await?);
        }
    }
    if !env.ui.json() {
        env.ui.remark(&format!("{summary} in {}", elapsed(start.elapsed())));
    }
    finish(env, &config, word, &summary, address.as_deref());
    Ok(Exit::Done)
}

/// Brings `stages` to what is asked for. What is in the way of `later` ones, and what is named for those
/// `ahead`, is told before.
async fn apply(
    env: &Env,
    session: &Session,
    [stages, later, ahead]: [&[Stage]; 3],
    word: &str,
) -> Result<Summary> {
    if session.is_deployer() && stages.contains(&Stage::Iam) {
        return Err(Hinted::user(
            "the deployer may not change its own rights",
            format!("use admin credentials, for example `{}`", with_other_profile("setup iam")),
        )
        .into());
    }
    let of_stages = |entry: &&engine::Entry| {
        stages.contains(&entry.key.stage()) && entry.resource.wanted(&session.cx)
    };
    let count = session.catalog.iter().filter(of_stages).count();
    let title: Vec<String> =
        stages.iter().map(|stage| format!("{} {}", stage.number(), stage.word())).collect();
    env.ui.remark(&format!("{}   {count} resources, as {}", title.join(", "), session.who()));
    let words = format!("setup {word}");
    let applied = async {
        engine::check(&session.catalog, ahead, &session.cx).await?;
        engine::apply_before(&session.catalog, stages, later, &session.cx).await
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
    env.ui.next(&match word {
        "iam" => as_deployer("setup instances"),
        "instances" => command("setup lb"),
        "lb" => command("setup monitoring"),
        _ => command("probe"),
    });
}
