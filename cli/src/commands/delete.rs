//! `setup delete`: everything, in one run, and proof that nothing is left.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::{
    Env, Exit, foreign, list, preflight,
    session::{Role, Session, excused},
};
use crate::{
    args, deployments,
    engine::{self, Doomed, Stage, Survey},
    error::{Hinted, Interrupted},
    leftovers,
    ui::{elapsed, table},
};

// Seconds as a rule (EC2 user guide, "Eventual consistency").
const LISTED_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(env: &Env, options: &args::Delete) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let role = if options.keep_iam { Role::Deployer } else { Role::Admin };
    let mut session = Session::open(env, &config, role).await?;
    session.cx.drain = options.drain;
    let stages = if options.keep_iam { &Stage::ALL[1..] } else { &Stage::ALL[..] };
    if session.is_deployer() && !options.keep_iam {
        return Err(Hinted::user(
            "the deployer cannot delete the IAM part: that is its own user",
            "use admin credentials, for example `jitsi-aws setup delete --profile ADMIN`, \
             or leave the IAM part: `jitsi-aws setup delete --keep-iam`",
        )
        .into());
    }
    let Survey { ours: doomed, foreign } =
        engine::survey(&session.catalog, stages, &session.cx).await?;
    let foreign = foreign::told(&session, stages, &doomed, &foreign).await?;
    foreign::refuse_occupied(&session, &doomed).await?;
    if doomed.is_empty() && foreign.is_empty() {
        return nothing(env, &session, stages).await;
    }
    if !doomed.is_empty() {
        confirm(env, &session, &doomed)?;
    }
    let start = Instant::now();
    let summary = engine::delete(&session.catalog, &doomed, &session.cx).await.map_err(again)?;
    if stages.contains(&Stage::Instances) {
        leftovers::delete_volumes(&session.cx).await?;
    }
    let left = look_again(&session, stages).await?;
    if left.is_empty() && !foreign.is_empty() {
        return Err(foreign::kept(summary.deleted, foreign).into());
    }
    env.ui.document("delete", &json!({ "deleted": summary.deleted, "left": left }));
    if !left.is_empty() {
        return Err(leftover(summary.deleted, left).into());
    }
    env.ui.result(&format!(
        "deleted {} in {}; looked again by name, by id and by tag: 0 left",
        summary.deleted,
        elapsed(start.elapsed()),
    ));
    if options.keep_iam {
        env.ui.next("jitsi-aws setup delete   # with admin credentials, for the IAM part");
    }
    Ok(Exit::Done)
}

/// There is nothing of this name: says what there is instead, for a name or a region may have been changed
/// in `jitsi.toml` while the deployment ran.
async fn nothing(env: &Env, session: &Session, stages: &[Stage]) -> Result<Exit> {
    let (names, aws) = (&session.cx.names, &session.cx.aws);
    leftovers::delete_volumes(&session.cx).await?;
    let left = leftovers::by_tag(&session.catalog, stages, &session.cx).await?;
    if !left.is_empty() {
        return Err(leftover(0, left).into());
    }
    let mut others =
        excused(env, &session.cx.recent, || deployments::find(aws, names.region())).await?;
    // Of which the IAM part may be left on purpose.
    others.deployments.retain(|other| other.name != names.deployment());
    env.ui.document(
        "delete",
        &json!({ "deleted": 0, "left": left, "others": list::document(&others) }),
    );
    let place = format!("in {} of account {}", names.region(), names.account());
    let iam = if stages.contains(&Stage::Iam) { "" } else { "; its IAM part was left out" };
    let name = names.deployment();
    env.ui.result(&format!("nothing to delete: there is no deployment \"{name}\" {place}{iam}"));
    if !others.is_empty() {
        env.ui.say("but there are these; should one have been this, give it its name or region back in jitsi.toml:");
        for line in list::text(&others, names.region()).lines() {
            env.ui.say(line);
        }
    }
    Ok(Exit::Done)
}

fn leftover(deleted: usize, left: Vec<String>) -> Hinted {
    Hinted::ours(
        format!("deleted {deleted}, but {} are left", left.len()),
        "run `jitsi-aws setup delete` again; what stays then must be deleted by hand",
    )
    .with(left)
}

/// Shows what will go, and asks for the deployment's name.
fn confirm(env: &Env, session: &Session, doomed: &[Doomed]) -> Result<()> {
    let names = &session.cx.names;
    let (deployment, region) = (names.deployment(), names.region());
    env.ui.say(&format!(
        "This deletes deployment \"{deployment}\" in {region} for good. There is no way back."
    ));
    let rows: Vec<Vec<String>> = doomed
        .iter()
        .map(|doomed| {
            let id = if doomed.found.id == doomed.name {
                String::new()
            } else {
                doomed.found.id.clone()
            };
            let detail = doomed.found.detail.clone();
            vec![format!(" {}", doomed.key.title()), doomed.name.clone(), id, detail]
        })
        .collect();
    for line in table(&rows).lines() {
        env.ui.say(line);
    }
    if env.global.yes {
        return Ok(());
    }
    let count = doomed.len();
    let question = format!("{count} resources. Type the deployment's name to go on:");
    match env.ui.ask(&question) {
        Some(answer) if answer == deployment => Ok(()),
        Some(_) => Err(Hinted::user("that is not its name; nothing was deleted", "").into()),
        None => Err(Hinted::user(
            format!("{count} resources would be deleted, and there is nobody to ask"),
            "say so beforehand: `jitsi-aws setup delete --yes`",
        )
        .into()),
    }
}

/// Every resource's own finding, until nothing is found, and the tagging API. What is deleted may be
/// listed for a moment longer.
async fn look_again(session: &Session, stages: &[Stage]) -> Result<Vec<String>> {
    let start = Instant::now();
    let found = loop {
        let found = engine::inventory(&session.catalog, stages, &session.cx).await?;
        if found.is_empty() || start.elapsed() >= LISTED_LIMIT {
            break found;
        }
        session.cx.pause(PAUSE).await?;
    };
    let mut left: Vec<String> = found
        .into_iter()
        .map(|doomed| format!("{} {} {}", doomed.key.title(), doomed.name, doomed.found.id))
        .collect();
    left.extend(leftovers::by_tag(&session.catalog, stages, &session.cx).await?);
    Ok(left)
}

fn again(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Interrupted>() {
        let hint = "delete the rest with `jitsi-aws setup delete`";
        return Hinted::user("stopped on request; some of it is gone", hint).into();
    }
    error
}
