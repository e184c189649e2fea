//! `setup repair`: of two of a kind, delete the one that is not in use.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Env, Exit,
    confirm::{self, Question, Yes},
    delete::unfinished,
    preflight,
    session::{Role, Session},
    writing,
};
use crate::{
    engine::{self, Doomed, Summary, Verdict},
    invocation::command,
    ui::{counted, table},
};

pub(super) async fn run(env: &Env) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let session = Session::open(env, &config, Role::Deployer).await?;
    let shown = engine::twins(&session.catalog, &session.cx).await?;
    if shown.is_empty() {
        env.ui.document("repair", &json!({ "deleted": 0, "twins": [] }));
        env.ui.result("nothing to repair: there is one of each");
        return Ok(Exit::Done);
    }
    confirm(env, &session, &shown)?;
    let lease = writing::begin(env, &session, Role::Deployer, "setup repair", false).await?;
    lease.gate(&session.cx.aws);
    let result = Box::pin(delete(&session, &shown)).await;
    let summary = writing::end(env, Some(lease), result).await?;
    let twins: Vec<Value> = shown.iter().map(document).collect();
    env.ui.document("repair", &json!({ "deleted": summary.deleted, "twins": twins }));
    env.ui.result(&format!("deleted {}", summary.deleted));
    env.ui.next(&command("plan"));
    Ok(Exit::Done)
}

/// Deletes what was shown as unused, and nothing else: it is looked at again now that it is our turn.
async fn delete(session: &Session, shown: &[Verdict]) -> Result<Summary> {
    let verdicts = engine::twins(&session.catalog, &session.cx).await?;
    let same = |one: &Verdict, other: &Verdict| {
        one.key == other.key && one.found.id == other.found.id && one.stays == other.stays
    };
    let doomed: Vec<Doomed> = verdicts
        .into_iter()
        .filter(|now| !now.stays && shown.iter().any(|before| same(before, now)))
        .map(|verdict| Doomed { key: verdict.key, name: verdict.name, found: verdict.found })
        .collect();
    let deleted = engine::delete(&session.catalog, &doomed, &session.cx).await;
    deleted.map_err(|error| unfinished(session, error, "setup repair"))
}

/// Shows what stays and what goes, and asks.
fn confirm(env: &Env, session: &Session, shown: &[Verdict]) -> Result<()> {
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|verdict| {
            let what = match (verdict.stays, &verdict.used_by) {
                (true, Some(used_by)) => format!("stays, used by {used_by}"),
                (true, None) => "stays".to_owned(),
                (false, _) => "is deleted: nothing uses it".to_owned(),
            };
            let title = format!(" {}", verdict.key.title());
            vec![title, verdict.name.clone(), verdict.found.id.clone(), what]
        })
        .collect();
    for line in table(&rows).lines() {
        env.ui.say(line);
    }
    let count = shown.iter().filter(|verdict| !verdict.stays).count();
    let question = Question {
        deployment: session.cx.names.deployment(),
        before: format!("{count} to delete. "),
        unasked: format!(
            "{} would be deleted, and there is nobody to ask",
            counted(count, "resource")
        ),
        untouched: "nothing was deleted",
        words: "setup repair".to_owned(),
        yes: Yes::Named,
    };
    confirm::by_name(env, &question)
}

fn document(verdict: &Verdict) -> Value {
    json!({
        "resource": verdict.key.to_string(), "type": verdict.key.title(), "name": verdict.name,
        "id": verdict.found.id, "used_by": verdict.used_by, "stays": verdict.stays,
    })
}
