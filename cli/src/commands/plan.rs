//! `plan`: what `setup` would do, and nothing else.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Env, Exit, preflight,
    session::{Role, Session},
};
use crate::{
    args::PlanStage,
    engine::{self, Change, Planned, Stage},
    ui::{Mark, Style, Ui, change, drift_object, table},
};

pub(super) async fn run(env: &Env, stage: Option<PlanStage>) -> Result<Exit> {
    let stages: &[Stage] = match stage {
        None => &Stage::ALL,
        Some(PlanStage::Iam) => &[Stage::Iam],
        Some(PlanStage::Instances) => &[Stage::Instances],
        Some(PlanStage::Lb) => &[Stage::Lb],
        Some(PlanStage::Monitoring) => &[Stage::Monitoring],
    };
    let config = preflight::load(env, stages).await?;
    let session = Session::open(env, &config, Role::Deployer).await?;
    let planned = engine::plan(&session.catalog, stages, &session.cx).await?;
    let todo = Todo::count(&planned);
    env.ui.document("plan", &document(&planned, &todo));
    env.ui.result(&render(env.ui.style(), &planned));
    if todo.is_empty() {
        env.ui.say("nothing to do: everything is as it should be");
        return Ok(Exit::Done);
    }
    let command = stage.map_or("all", |_| stages[0].word());
    summarize(&env.ui, &todo, command);
    Ok(Exit::Changes)
}

fn summarize(ui: &Ui, todo: &Todo, command: &str) {
    ui.say(&todo.to_string());
    if todo.conflicts == 0 {
        ui.next(&format!("jitsi-aws setup {command}"));
    }
}

/// How much there is to do.
#[derive(Debug, Default)]
pub(super) struct Todo {
    pub create: usize,
    pub update: usize,
    pub delete: usize,
    pub conflicts: usize,
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
                Change::Keep => {}
            }
        }
        todo
    }

    pub(super) fn is_empty(&self) -> bool {
        self.create + self.update + self.delete + self.conflicts == 0
    }
}

impl std::fmt::Display for Todo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = [
            (self.create, "to create"),
            (self.update, "to change"),
            (self.delete, "to delete"),
            (self.conflicts, "in the way"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        f.write_str(&parts.join(", "))
    }
}

/// One line per resource that is not as it should be; what users will feel stands below it.
fn render(style: Style, planned: &[Planned]) -> String {
    let mut rows = Vec::new();
    for line in planned {
        let (mark, what) = match &line.change {
            Change::Keep => continue,
            Change::Create => (Mark::Create, String::new()),
            Change::Delete => (Mark::Delete, line.id.clone().unwrap_or_default()),
            Change::Conflict(why) => (Mark::Failed, why.clone()),
            Change::Update(drift) => {
                let fields: Vec<String> = drift.iter().map(|drift| change(style, drift)).collect();
                (Mark::Changed, fields.join(", "))
            }
        };
        let mark = format!(" {}", style.mark(mark));
        rows.push(vec![mark, line.key.title().to_owned(), line.name.clone(), what]);
        if let Change::Update(drift) = &line.change {
            for effect in drift.iter().filter_map(|drift| drift.effect.as_ref()) {
                rows.push(vec![String::new(), String::new(), format!("users: {effect}")]);
            }
        }
    }
    table(&rows)
}

fn document(planned: &[Planned], todo: &Todo) -> Value {
    let resources: Vec<Value> = planned
        .iter()
        .map(|line| {
            let (change, changes, reason) = match &line.change {
                Change::Keep => ("keep", Vec::new(), None),
                Change::Create => ("create", Vec::new(), None),
                Change::Delete => ("delete", Vec::new(), None),
                Change::Conflict(why) => ("conflict", Vec::new(), Some(why)),
                Change::Update(drift) => ("update", drift.iter().map(drift_object).collect(), None),
            };
            json!({
                "resource": line.key.to_string(), "stage": line.key.stage().word(),
                "type": line.key.title(), "name": line.name, "id": line.id,
                "change": change, "changes": changes, "reason": reason,
            })
        })
        .collect();
    json!({
        "resources": resources,
        "create": todo.create, "update": todo.update, "delete": todo.delete, "conflicts": todo.conflicts,
    })
}
