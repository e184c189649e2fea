//! `plan`: what `setup` would do, and nothing else.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
    writing,
};
use crate::{
    args::PlanStage,
    config::Config,
    engine::{self, Change, Key, Planned, Stage},
    invocation::{as_admin, as_deployer, command},
    ui::{Mark, Style, changes, drift_object, table},
};

pub(super) async fn run(env: &Env, stage: Option<PlanStage>) -> Result<Exit> {
    let stages: &[Stage] = match stage {
        None => &Stage::ALL,
        Some(PlanStage::Iam) => &[Stage::Iam],
        Some(PlanStage::Instances) => &[Stage::Instances],
        Some(PlanStage::Lb) => &[Stage::Lb],
        Some(PlanStage::Monitoring) => &[Stage::Monitoring],
    };
    let words = stage.map_or("plan".to_owned(), |_| format!("plan {}", stages[0].word()));
    let config = preflight::load(env, stages).await?;
    let mut session = Session::open(env, &config, Role::Deployer).await?;
    // They are a part of stage 00, which whoever plans another stage does not see.
    if session.is_deployer() || !stages.contains(&Stage::Iam) {
        session.look_at_rights().await.map_err(|error| session.explain(error, &words))?;
    }
    let at_work = writing::say_who_is_at_work(env, &session).await?;
    let planned = engine::plan(&session.catalog, stages, &session.cx).await;
    let planned = planned.map_err(|error| session.explain(error, &words))?;
    let todo = Todo::count(&planned);
    env.ui.document("plan", &document(&planned, &todo, &at_work));
    let cost = cost(&config, &planned).map(|cost| format!("\n{cost}\n")).unwrap_or_default();
    env.ui.result(&format!("{}{cost}", render(env.ui.style(), &planned)));
    if todo.is_empty() {
        env.ui.say(if planned.iter().any(|line| !line.warnings.is_empty()) {
            "nothing for jitsi-aws to do; what somebody else's does, see above"
        } else if planned.iter().any(|line| line.remark.is_some()) {
            "nothing to do: all is configured as it should be; what runs is not yet, see above"
        } else {
            "nothing to do: everything is as it should be"
        });
        return Ok(Exit::Done);
    }
    env.ui.say(&todo.to_string());
    if todo.conflicts > 0 {
        return Ok(Exit::Yours);
    }
    next(env, &session, stages, &todo);
    Ok(Exit::Changes)
}

/// The command that does what was planned, after the one that gives the deployer the rights for it.
fn next(env: &Env, session: &Session, stages: &[Stage], todo: &Todo) {
    let stage = if stages.len() == 1 { stages[0].word() } else { "all" };
    let setup = format!("setup {stage}");
    let rights = if todo.unknown > 0 { session.rights.clone() } else { session.rights.of(stages) };
    let iam = as_admin("setup iam");
    if stages.contains(&Stage::Iam) {
        if todo.unknown > 0 {
            env.ui.say(&format!(
                "the deployer may not look at everything before its rights change ({rights}); to see the rest of \
                 the plan, run `{iam}` first; to do all of it:"
            ));
        }
        // Of which a part is the administrator's.
        env.ui.next(&if session.is_deployer() { as_admin(&setup) } else { command(&setup) });
    } else if rights.are_right() {
        env.ui.next(&command(&setup));
    } else {
        env.ui.say(&format!(
            "the deployer's rights must change first ({rights}): run `{iam}`; after that:"
        ));
        let words = if todo.unknown > 0 { format!("plan {stage}") } else { setup };
        env.ui.next(&if session.is_deployer() { command(&words) } else { as_deployer(&words) });
    }
}

/// What of the things that would be made costs by the hour. Prices differ from region to region and change, so
/// the only figure is the one the documents explain, and it is said what it is of.
fn cost(config: &Config, planned: &[Planned]) -> Option<String> {
    let makes =
        |key: &Key| planned.iter().any(|line| line.key == *key && line.change == Change::Create);
    let mut paid = Vec::new();
    if makes(&Key::AutoScalingGroup) {
        let instance = &config.instance;
        paid.push(format!("a {} with {} GiB", instance.instance_type, instance.disk_gib));
        paid.push("its public address".to_owned());
    }
    if makes(&Key::LoadBalancer) {
        paid.push("a load balancer with two public addresses".to_owned());
    }
    let last = paid.pop()?;
    let all = if paid.is_empty() { last } else { format!("{} and {last}", paid.join(", ")) };
    let Config { region, instance, .. } = config;
    let known = region.as_str() == "eu-central-1" && instance.instance_type.as_str() == "t3.large";
    let figure = if known {
        "about 110 USD a month before traffic, by AWS's list prices in Frankfurt".to_owned()
    } else {
        format!(
            "jitsi-aws does not know the price of a {} in {region}; with a t3.large in Frankfurt (eu-central-1) all of it \
             is about 110 USD a month before traffic",
            instance.instance_type
        )
    };
    Some(format!(
        "cost: {all}, by the hour, and traffic\n      {figure}; your own: https://calculator.aws"
    ))
}

/// How much there is to do.
#[derive(Debug, Default)]
pub(super) struct Todo {
    pub create: usize,
    pub update: usize,
    pub delete: usize,
    pub conflicts: usize,
    pub unknown: usize,
}

impl Todo {
    pub(super) fn count<'a>(planned: impl IntoIterator<Item = &'a Planned>) -> Self {
        let mut todo = Self::default();
        for line in planned {
            match line.change {
                Change::Create => todo.create += 1,
                Change::Update(_) => todo.update += 1,
                Change::Delete => todo.delete += 1,
                Change::Conflict(_) => todo.conflicts += 1,
                Change::Unknown(_) => todo.unknown += 1,
                Change::Keep => {}
            }
        }
        todo
    }

    pub(super) fn is_empty(&self) -> bool {
        self.create + self.update + self.delete + self.conflicts + self.unknown == 0
    }
}

impl std::fmt::Display for Todo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = [
            (self.create, "to create"),
            (self.update, "to change"),
            (self.delete, "to delete"),
            (self.conflicts, "in the way"),
            (self.unknown, "not known yet"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        f.write_str(&parts.join(", "))
    }
}

/// One line per resource that is not as it should be; what users will feel, what to do about it and what
/// stays for now stands below it.
fn render(style: Style, planned: &[Planned]) -> String {
    let (mut rows, mut below) = (Vec::new(), Vec::new());
    for line in planned {
        let mut fields = Vec::new();
        let (mark, what) = match &line.change {
            Change::Keep if line.remark.is_some() => (Mark::Waiting, "runs as it was".to_owned()),
            Change::Keep if line.warnings.is_empty() => continue,
            Change::Keep => (Mark::Waiting, "as it should be, but".to_owned()),
            Change::Create => (Mark::Create, line.detail.clone()),
            Change::Delete if !line.detail.is_empty() => (Mark::Delete, line.detail.clone()),
            Change::Delete => (Mark::Delete, line.id.clone().unwrap_or_default()),
            Change::Conflict(why) => (Mark::Failed, why.clone()),
            Change::Unknown(_) => (Mark::Waiting, "not known yet".to_owned()),
            Change::Update(drift) => {
                let changes = changes(style, drift);
                fields = changes.below;
                (Mark::Changed, changes.beside)
            }
        };
        let mark = format!(" {}", style.mark(mark));
        rows.push(vec![mark, line.key.title().to_owned(), line.name.clone(), what]);
        fields.extend(remarks(line));
        below.push(fields);
    }
    let mut text = String::new();
    for (row, remarks) in table(&rows).lines().zip(below) {
        text.push_str(row);
        text.push('\n');
        for remark in remarks {
            text.push_str("     ");
            text.push_str(&remark);
            text.push('\n');
        }
    }
    text
}

fn remarks(line: &Planned) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Change::Update(drift) = &line.change {
        // Several fields may have the same effect.
        for effect in drift.iter().filter_map(|drift| drift.effect.as_ref()) {
            let effect = format!("users: {effect}");
            if !remarks.contains(&effect) {
                remarks.push(effect);
            }
        }
    }
    remarks.extend(line.remark.clone());
    remarks.extend(line.warnings.clone());
    remarks.extend(line.hint.as_ref().map(|hint| format!("hint: {hint}")));
    remarks
}

fn document(planned: &[Planned], todo: &Todo, at_work: &Value) -> Value {
    let resources: Vec<Value> = planned
        .iter()
        .map(|line| {
            let (change, changes, reason) = match &line.change {
                Change::Keep => ("keep", Vec::new(), None),
                Change::Create => ("create", Vec::new(), None),
                Change::Delete => ("delete", Vec::new(), None),
                Change::Conflict(why) => ("conflict", Vec::new(), Some(why)),
                Change::Unknown(why) => ("unknown", Vec::new(), Some(why)),
                Change::Update(drift) => ("update", drift.iter().map(drift_object).collect(), None),
            };
            json!({
                "resource": line.key.to_string(), "stage": line.key.stage().word(),
                "type": line.key.title(), "name": line.name, "id": line.id, "detail": line.detail,
                "change": change, "changes": changes, "reason": reason,
                "hint": line.hint, "remark": line.remark, "warnings": line.warnings,
            })
        })
        .collect();
    json!({
        "resources": resources,
        "create": todo.create, "update": todo.update, "delete": todo.delete, "conflicts": todo.conflicts,
        "unknown": todo.unknown, "at_work": at_work,
    })
}
