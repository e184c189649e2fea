//! Commands that change a deployment take turns: they begin with its lease and end by giving it back.
//! The others say who is at work.

use std::cell::Cell;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Env,
    session::{Role, Session},
};
use crate::{
    engine::{self, Entry, Key, Stage, Summary},
    error::{Hinted, Interrupted},
    invocation::{as_admin, command},
    lease::{self, Held, Lease, Told},
};

/// Whether what the lease is kept in is there already.
pub(super) async fn is_prepared(session: &Session) -> Result<bool> {
    Ok(!engine::inventory(bucket(session), &[Stage::Iam], &session.cx).await?.is_empty())
}

/// The catalog's row of what the lease is kept in.
pub(super) fn bucket(session: &Session) -> &[Entry] {
    let row = session.catalog.iter().find(|entry| entry.key == Key::LeaseBucket);
    row.map(std::slice::from_ref).unwrap_or_default()
}

/// Makes what the lease is kept in; only an administrator may.
pub(super) async fn prepare(session: &Session, role: Role) -> Result<Summary> {
    if role == Role::Deployer {
        return Ok(Summary::default());
    }
    match engine::apply_one(&session.catalog, &Key::LeaseBucket, &session.cx).await {
        Err(error) if error.is::<Interrupted>() => {
            Err(stopped(session, is_prepared(session).await.unwrap_or(true)))
        }
        made => made,
    }
}

/// The error for a run that was stopped before it had the lease. `bucket`: whether its bucket may be new.
fn stopped(session: &Session, bucket: bool) -> anyhow::Error {
    if !bucket {
        return Hinted::stopped("stopped on request; nothing was changed", "").into();
    }
    let name = session.cx.names.lease_bucket();
    Hinted::stopped(
        format!("stopped on request; the bucket `{name}`, which tells who is at work, is there; nothing else was changed"),
        format!("the next run uses it; if there is to be none: `{}`", as_admin("setup delete")),
    )
    .into()
}

/// Takes the lease for the command of these `words`, or says who has it. `new`: whether this run
/// has made the lease's bucket.
pub(super) async fn begin(
    env: &Env,
    session: &Session,
    role: Role,
    words: &str,
    new: bool,
) -> Result<Lease> {
    let said = Cell::new(false);
    let tell = |told: Told<'_>| match told {
        Told::Waiting(what) if said.replace(true) => env.ui.watching(what),
        Told::Waiting(what) | Told::Done(what) => env.ui.say(what),
    };
    let arn = &session.caller.arn;
    let taken = Lease::take(&session.cx, arn, words, role == Role::Admin, tell).await;
    taken.map_err(|error| {
        let error = session.explain(error, words);
        if error.is::<Interrupted>() {
            return stopped(session, new);
        }
        error
    })
}

/// Gives the lease back, if there is one. What failed because it was lost is told as that.
pub(super) async fn end<T>(env: &Env, lease: Option<Lease>, result: Result<T>) -> Result<T> {
    let Some(lease) = lease else { return result };
    let lost = lease.lost();
    if let Err(error) = lease.give_back().await {
        env.ui.warn(&format!("{error:#}; others may begin in {} s", lease::LIFE.as_secs()));
    }
    match (result, lost) {
        (Err(_), Some(why)) => Err(Hinted::user(
            format!("stopped, for {why}; what exists is kept"),
            format!(
                "see what there is with `{}`, and run the same command again when nobody is at work",
                command("plan")
            ),
        )
        .into()),
        (result, _) => result,
    }
}

/// Says who is at work, if anybody; the same for programs.
pub(super) async fn say_who_is_at_work(env: &Env, session: &Session) -> Result<Value> {
    let Some(held) = lease::at_work(&session.cx).await? else { return Ok(Value::Null) };
    env.ui.warn(&format!("{} is at work: what is seen here may change", held.told()));
    Ok(document(&held))
}

/// Who has, or had, the lease, for programs.
pub(super) fn document(held: &Held) -> Value {
    match &held.record {
        Some(record) => json!({
            "who": record.who, "arn": record.arn, "command": record.command,
            "since": record.since, "renewed_s_ago": held.age.as_secs(),
        }),
        None => json!({ "renewed_s_ago": held.age.as_secs() }),
    }
}
