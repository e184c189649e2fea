//! Bare `setup`: the stages with their state.

use anyhow::Result;
use serde_json::json;

use super::{
    Env, Exit,
    plan::Todo,
    preflight,
    session::{Role, Session},
};
use crate::{
    engine::{self, Change, Planned, Stage},
    invocation::command,
    ui::{change, table},
};

pub(super) async fn run(env: &Env) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let session = Session::open(env, &config, Role::Deployer).await?;
    let planned = engine::plan(&session.catalog, &Stage::ALL, &session.cx).await;
    let planned = planned.map_err(|error| session.explain(error, "setup"))?;
    let style = env.ui.style();
    let mut rows = Vec::new();
    let mut states = Vec::new();
    let mut next = None;
    for stage in Stage::ALL {
        let lines: Vec<&Planned> = planned.iter().filter(|l| l.key.stage() == stage).collect();
        let todo = Todo::count(lines.iter().copied());
        let exists = lines.iter().filter(|line| line.id.is_some()).count();
        let first_drift = lines.iter().find_map(|line| match &line.change {
            Change::Update(drift) => {
                Some(format!("{}: {}", line.key.title(), change(style, drift.first()?)))
            }
            Change::Conflict(why) => Some(why.clone()),
            _ => None,
        });
        let (state, painted, detail) = if todo.is_empty() {
            ("ready", style.done("ready"), format!("{exists} resources"))
        } else if exists == 0 {
            ("not made", style.dim("not made"), todo.to_string())
        } else if let Some(drift) = first_drift {
            ("drift", style.waiting("drift"), drift)
        } else {
            ("half made", style.waiting("half made"), todo.to_string())
        };
        if state != "ready" && next.is_none() {
            next = Some(stage);
        }
        rows.push(vec![format!(" {}", stage.number()), stage.word().to_owned(), painted, detail]);
        states.push(json!({
            "number": stage.number(), "stage": stage.word(), "state": state, "existing": exists,
            "create": todo.create, "update": todo.update, "delete": todo.delete, "conflicts": todo.conflicts,
        }));
    }
    let remarks: Vec<&String> = planned.iter().filter_map(|line| line.remark.as_ref()).collect();
    env.ui.document(
        "stages",
        &json!({
            "deployment": config.name.as_str(), "region": config.region.as_str(),
            "domain": config.domain.as_str(), "account": session.caller.account, "stages": states,
            "remarks": remarks,
        }),
    );
    env.ui.result(&format!(
        "{}   {}   {}   account {}\n\n{}",
        config.name,
        config.region,
        config.domain,
        session.caller.account,
        table(&rows)
    ));
    for remark in remarks {
        env.ui.say(remark);
    }
    match next {
        None => env.ui.next(&command("probe")),
        Some(stage) if rows.len() == 4 && stage != Stage::Iam => {
            env.ui.next(&command(&format!("plan {}", stage.word())));
        }
        Some(_) => env.ui.next(&command("setup all")),
    }
    Ok(Exit::Done)
}
