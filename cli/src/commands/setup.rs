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
    local::CredentialsFile,
    resources::load_balancer,
    ui::elapsed,
};

pub(super) async fn run(env: &Env, stage: &Setup) -> Result<Exit> {
    let (command, stages): (&str, &[Stage]) = match stage {
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
    for (stages, role) in [(iam, Role::Admin), (others, Role::Deployer)] {
        if stages.is_empty() {
            continue;
        }
        let session = Session::open(env, &config, role).await?;
        let later: &[Stage] = if role == Role::Admin { &after_iam } else { &[] };
        let done = apply(env, &session, &stages, later, command).await?;
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
        env.ui.say(&format!("{summary} in {}", elapsed(start.elapsed())));
    }
    finish(env, &config, command, &summary, address.as_deref());
    Ok(Exit::Done)
}

async fn apply(
    env: &Env,
    session: &Session,
    stages: &[Stage],
    later: &[Stage],
    command: &str,
) -> Result<Summary> {
    if session.is_deployer() && stages.contains(&Stage::Iam) {
        return Err(Hinted::user(
            "the deployer may not change its own rights",
            "run `jitsi-aws setup iam` with admin credentials, for example `--profile ADMIN`",
        )
        .into());
    }
    let of_stages = |entry: &&engine::Entry| stages.contains(&entry.key.stage());
    let count = session.catalog.iter().filter(of_stages).count();
    let title: Vec<String> =
        stages.iter().map(|stage| format!("{} {}", stage.number(), stage.word())).collect();
    env.ui.say(&format!("{}   {count} resources, as {}", title.join(", "), session.who()));
    let applied = engine::apply_before(&session.catalog, stages, later, &session.cx).await;
    applied.map_err(|error| {
        if error.is::<Interrupted>() {
            let again = format!(
                "continue with `jitsi-aws setup {command}`, or undo with `jitsi-aws setup delete`"
            );
            return Hinted::user("stopped on request; what exists is kept", again).into();
        }
        error
    })
}

fn finish(
    env: &Env,
    config: &Arc<Config>,
    command: &str,
    summary: &Summary,
    address: Option<&str>,
) {
    env.ui.document(
        "setup",
        &json!({
            "stages": command,
            "created": summary.created, "changed": summary.changed,
            "unchanged": summary.unchanged, "deleted": summary.deleted,
            "domain": config.domain.as_str(), "load_balancer": address,
        }),
    );
    if let Some(address) = address {
        if !env.ui.json() {
            env.ui.say("the DNS record people need, unless it is there already:");
        }
        env.ui.result(&load_balancer::dns_record(config, address));
    }
    env.ui.next(match command {
        "iam" => "jitsi-aws setup instances",
        "instances" => "jitsi-aws setup lb",
        "lb" => "jitsi-aws setup monitoring",
        _ => "jitsi-aws probe",
    });
}
