//! `setup delete`: everything, in one run, and proof that nothing is left.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::{
    Env, Exit,
    confirm::{self, Question, Yes},
    foreign, list, preflight,
    session::{Role, Session, excused},
    writing,
};
use crate::{
    args, deployments,
    engine::{self, Doomed, Key, Stage, Summary, Survey},
    error::{Hinted, Interrupted},
    invocation::{as_admin, command, with_other_profile},
    lease::{Held, Lease},
    leftovers,
    ui::{counted, elapsed, line},
};

// Seconds as a rule (EC2 user guide, "Eventual consistency").
const LISTED_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(env: &Env, options: &args::Delete) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let role = if options.keep_iam { Role::Deployer } else { Role::Admin };
    let mut session = Session::open(env, &config, role).await?;
    session.cx.drain = options.drain;
    let stages = stages(role);
    if session.is_deployer() && !options.keep_iam {
        return Err(Hinted::user(
            "the deployer cannot delete the IAM part: that is its own user",
            format!(
                "use admin credentials, for example `{}`, or leave the IAM part: `{}`",
                with_other_profile("setup delete"),
                command("setup delete --keep-iam")
            ),
        )
        .into());
    }
    if session.is_deployer() {
        let looked = session.look_at_rights().await;
        looked.map_err(|error| session.explain(error, &words(options)))?;
    }
    let survey = engine::survey(&session.catalog, stages, &session.cx).await;
    let Survey { ours: doomed, foreign, borrowed } =
        survey.map_err(|error| session.explain(error, &words(options)))?;
    let borrowed: Vec<String> =
        borrowed.iter().map(|one| format!("{} {}", one.key.title(), one.name)).collect();
    let foreign = foreign::told(&session, stages, &doomed, &foreign).await?;
    foreign::refuse_occupied(&session, &doomed).await?;
    if doomed.is_empty() && foreign.is_empty() {
        return nothing(env, options, &session, stages).await;
    }
    if !doomed.is_empty() {
        show(env, &session, &doomed, &borrowed);
        confirm(env, options, &session, &doomed)?;
    }
    let start = Instant::now();
    let mut summary = Summary::default();
    if !doomed.is_empty() {
        let mut lease = None;
        let result = Box::pin(tear_down(env, options, &session, role, &doomed, &mut lease)).await;
        summary = writing::end(env, lease, result).await?;
        // Empty as soon as the lease is given back.
        let bucket = writing::bucket(&session);
        let doomed = engine::inventory(bucket, stages, &session.cx).await?;
        let deleted = engine::delete(bucket, &doomed, &session.cx).await;
        summary.add(&deleted.map_err(|error| unfinished(&session, error, &words(options)))?);
    }
    env.ui.busy("looking again whether anything is left");
    let left = look_again(&session, stages).await?;
    if left.is_empty() && !foreign.is_empty() {
        return Err(foreign::kept(summary.deleted, foreign).into());
    }
    env.ui
        .document("delete", &json!({ "deleted": summary.deleted, "kept": borrowed, "left": left }));
    if !left.is_empty() {
        return Err(leftover(options, summary.deleted, left).into());
    }
    env.ui.result(&format!(
        "deleted {} in {}; looked again by name, by id and by tag: 0 left",
        summary.deleted,
        elapsed(start.elapsed()),
    ));
    if options.keep_iam {
        env.ui.say("the IAM part is left: deleting it takes an administrator's credentials");
        env.ui.next(&as_admin("setup delete"));
    }
    Ok(Exit::Done)
}

/// There is nothing of this name: says what there is instead, for a name or a region may have been changed
/// in `jitsi.toml` while the deployment ran.
async fn nothing(
    env: &Env,
    options: &args::Delete,
    session: &Session,
    stages: &[Stage],
) -> Result<Exit> {
    let (names, aws) = (&session.cx.names, &session.cx.aws);
    leftovers::delete_volumes(&session.cx).await?;
    let left = leftovers::by_tag(&session.catalog, stages, &session.cx).await?;
    if !left.is_empty() {
        return Err(leftover(options, 0, left).into());
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
        env.ui.say("there are these; if one of them was meant, put its name and region back into jitsi.toml:");
        for line in list::text(&others, names.region()).lines() {
            env.ui.say(line);
        }
    }
    Ok(Exit::Done)
}

fn leftover(options: &args::Delete, deleted: usize, left: Vec<String>) -> Hinted {
    let again = command(&words(options));
    Hinted::ours(
        format!("deleted {deleted}, but {} are left", left.len()),
        format!("run `{again}` again; what stays then must be deleted by hand"),
    )
    .with(left)
}

/// The command with its own options.
fn words(options: &args::Delete) -> String {
    let given = [(options.keep_iam, " --keep-iam"), (options.drain, " --drain")];
    let flags = given.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag);
    format!("setup delete{}", flags.collect::<String>())
}

/// Deletes all that was `shown` but the lease's own bucket, under the lease, which is left in `lease`. What
/// has come since must be agreed to as well.
async fn tear_down(
    env: &Env,
    options: &args::Delete,
    session: &Session,
    role: Role,
    shown: &[Doomed],
    lease: &mut Option<Lease>,
) -> Result<Summary> {
    let made = writing::prepare(session, role).await?;
    let taken = writing::begin(env, session, role, "setup delete", made.created > 0).await?;
    taken.gate(&session.cx.aws);
    let after = taken.after().map(Held::told);
    *lease = Some(taken);
    let stages = stages(role);
    // Somebody may have worked on it since it was shown.
    let mut doomed = engine::inventory(&session.catalog, stages, &session.cx).await?;
    doomed.retain(|doomed| doomed.key != Key::LeaseBucket);
    let is_new = |one: &&Doomed| !shown.iter().any(|shown| shown.is(one));
    let new: Vec<&Doomed> = doomed.iter().filter(is_new).collect();
    let asked = env.global.yes.is_none() && env.ui.can_ask();
    if !asked && (after.is_some() || !new.is_empty()) {
        return Err(came_between(options, session, after, &new).into());
    }
    foreign::refuse_occupied(session, &doomed).await?;
    if !new.is_empty() {
        env.ui.say("Meanwhile somebody has made more. This is what there is now:");
        show(env, session, &doomed, &[]);
        confirm(env, options, session, &doomed)?;
    }
    let summary = engine::delete(&session.catalog, &doomed, &session.cx).await;
    let summary = summary.map_err(|error| unfinished(session, error, &words(options)))?;
    if stages.contains(&Stage::Instances) {
        leftovers::delete_volumes(&session.cx).await?;
    }
    Ok(summary)
}

/// The administrator deletes all, the deployer all but the IAM part.
fn stages(role: Role) -> &'static [Stage] {
    if role == Role::Deployer { &Stage::ALL[1..] } else { &Stage::ALL[..] }
}

/// The error for a list that nobody has seen: `after` whose run it has become another, and what is `new`.
fn came_between(
    options: &args::Delete,
    session: &Session,
    after: Option<String>,
    new: &[&Doomed],
) -> Hinted {
    let what = match after {
        Some(who) => format!("{who} was at work meanwhile; nothing was deleted"),
        None => "somebody has made more meanwhile; nothing was deleted".to_owned(),
    };
    let lines = new.iter().map(|Doomed { key, name, found }| {
        format!("{} `{name}` ({}) was not there before", key.title(), found.id)
    });
    let again = format!("{} --yes={}", words(options), session.cx.names.deployment());
    let hint = format!(
        "see what there is now with `{}`; if all of it is to be deleted: `{}`",
        command("plan"),
        command(&again)
    );
    Hinted::user(what, hint).with(lines)
}

/// Shows what will go. Who asked for quiet, and is asked a question all the same, is told how much of what; who
/// has said yes beforehand, nothing.
fn show(env: &Env, session: &Session, doomed: &[Doomed], borrowed: &[String]) {
    if env.ui.quiet() && (env.global.yes.is_some() || !env.ui.can_ask()) {
        return;
    }
    let names = &session.cx.names;
    let (deployment, region) = (names.deployment(), names.region());
    env.ui.say(&format!(
        "This deletes deployment \"{deployment}\" in {region} for good. There is no way back."
    ));
    if env.ui.quiet() {
        let of = |stage: &Stage| doomed.iter().filter(|one| one.key.stage() == *stage).count();
        let stages = Stage::ALL.iter().filter(|stage| of(stage) > 0);
        let stages =
            stages.map(|stage| format!("{} of {} {}", of(stage), stage.number(), stage.word()));
        let stages: Vec<String> = stages.collect();
        env.ui.say(&format!("{}; without --quiet, each is listed", stages.join(", ")));
    } else {
        for Doomed { key, name, found } in doomed {
            let id = if found.id == *name { "" } else { found.id.as_str() };
            let rest = [id, found.detail.as_str()];
            env.ui.say(&line(key.title(), name, &rest, env.ui.verbose()));
        }
    }
    if !borrowed.is_empty() {
        let belong = if borrowed.len() == 1 { "it belongs" } else { "they belong" };
        let borrowed = borrowed.join(", ");
        env.ui.say(&format!("Not deleted, because {belong} to the account: {borrowed}"));
    }
}

/// Asks for the deployment's name.
fn confirm(env: &Env, options: &args::Delete, session: &Session, doomed: &[Doomed]) -> Result<()> {
    let count = counted(doomed.len(), "resource");
    let question = Question {
        deployment: session.cx.names.deployment(),
        before: format!("{count}. "),
        unasked: format!("{count} would be deleted, and there is nobody to ask"),
        untouched: "nothing was deleted",
        words: words(options),
        yes: Yes::Named,
    };
    confirm::by_name(env, &question)
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

/// The error for a deletion that did not get to its end; `words` are those of the command.
pub(super) fn unfinished(session: &Session, error: anyhow::Error, words: &str) -> anyhow::Error {
    if error.is::<Interrupted>() {
        let hint = format!("delete the rest with `{}`", command(words));
        return Hinted::stopped("stopped on request; some of it is gone", hint).into();
    }
    session.explain(error, words)
}
