//! Bare `setup`: the stages with their state.

use anyhow::Result;
use serde_json::json;

use super::{
    Env, Exit,
    plan::Todo,
    preflight,
    session::{Role, Session},
    writing,
};
use crate::{
    engine::{self, Change, Planned, Stage},
    invocation::{as_admin, command},
    ui::{Style, change, counted, table},
};

/// What can be said of a stage in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everything is as it should be, and will be for a while.
    Ready,
    /// Everything is as it should be, but something runs out.
    Expiring,
    /// Something differs, or is there no longer wanted.
    Drift,
    /// Something is missing.
    HalfMade,
    /// Nothing of the deployment's own is there.
    NotMade,
    /// Something is in the way that is not ours to change.
    Conflict,
    /// The deployer may not look at all of it.
    Unknown,
}

impl State {
    fn of(lines: &[&Planned], todo: &Todo) -> Self {
        let own = lines.iter().any(|line| line.id.is_some() && !line.borrowed);
        if todo.conflicts > 0 {
            Self::Conflict
        } else if todo.unknown > 0 {
            Self::Unknown
        } else if todo.is_empty() {
            let expires = lines.iter().any(|line| line.expiring.is_some());
            if expires { Self::Expiring } else { Self::Ready }
        } else if !own {
            Self::NotMade
        } else if todo.create > 0 {
            Self::HalfMade
        } else {
            Self::Drift
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Expiring => "expiring",
            Self::Drift => "drift",
            Self::HalfMade => "half made",
            Self::NotMade => "not made",
            Self::Conflict => "conflict",
            Self::Unknown => "not known",
        }
    }

    fn painted(self, style: Style) -> String {
        match self {
            Self::Ready => style.done(self.word()),
            Self::NotMade => style.dim(self.word()),
            Self::Conflict => style.failed(self.word()),
            Self::Expiring | Self::Drift | Self::HalfMade | Self::Unknown => {
                style.waiting(self.word())
            }
        }
    }
}

/// The first thing that makes it so, else how many.
fn detail(style: Style, state: State, lines: &[&Planned], todo: &Todo, exists: usize) -> String {
    let first = lines.iter().find_map(|line| match (state, &line.change) {
        (State::Conflict, Change::Conflict(why)) => Some(why.clone()),
        (State::Drift, Change::Update(drift)) => {
            Some(format!("{}: {}", line.key.title(), change(style, drift.first()?)))
        }
        (State::Expiring, _) => line.expiring.clone(),
        _ => None,
    });
    first.unwrap_or_else(|| match state {
        State::Ready | State::Expiring => counted(exists, "resource"),
        _ => todo.to_string(),
    })
}

pub(super) async fn run(env: &Env) -> Result<Exit> {
    let config = preflight::load(env, &[]).await?;
    let mut session = Session::open(env, &config, Role::Deployer).await?;
    if session.is_deployer() {
        session.look_at_rights().await.map_err(|error| session.explain(error, "setup"))?;
    }
    let at_work = writing::say_who_is_at_work(env, &session).await?;
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
        let state = State::of(&lines, &todo);
        let detail = detail(style, state, &lines, &todo, exists);
        let painted = state.painted(style);
        let state = state.word();
        if state != "ready" && next.is_none() {
            next = Some(stage);
        }
        rows.push(vec![format!(" {}", stage.number()), stage.word().to_owned(), painted, detail]);
        states.push(json!({
            "number": stage.number(), "stage": stage.word(), "state": state, "existing": exists,
            "create": todo.create, "update": todo.update, "delete": todo.delete, "conflicts": todo.conflicts,
            "unknown": todo.unknown,
        }));
    }
    let told = planned.iter().flat_map(|line| line.remark.iter().chain(&line.warnings));
    let remarks: Vec<&String> = told.collect();
    env.ui.document(
        "stages",
        &json!({
            "deployment": config.name.as_str(), "region": config.region.as_str(),
            "domain": config.domain.as_str(), "account": session.caller.account, "stages": states,
            "remarks": remarks, "at_work": at_work,
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
    if planned.iter().any(|line| matches!(line.change, Change::Unknown(_))) {
        env.ui.say(&format!("the deployer's rights are not those it needs: {}", session.rights));
    }
    env.ui.next(&match next {
        None => command("probe"),
        Some(stage) if stage != Stage::Iam => command(&format!("plan {}", stage.word())),
        Some(_) if session.is_deployer() => as_admin("setup all"),
        Some(_) => command("setup all"),
    });
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Drift, Key};

    fn line(key: Key, id: Option<&str>, change: Change) -> Planned {
        Planned {
            key,
            name: "x".into(),
            id: id.map(str::to_owned),
            detail: String::new(),
            borrowed: false,
            expiring: None,
            change,
            hint: None,
            remark: None,
            warnings: Vec::new(),
        }
    }

    fn state(lines: &[Planned]) -> &'static str {
        let lines: Vec<&Planned> = lines.iter().collect();
        State::of(&lines, &Todo::count(lines.iter().copied())).word()
    }

    #[test]
    fn each_word_means_one_thing() {
        let drift = || {
            Change::Update(vec![Drift {
                field: "size",
                actual: "1".into(),
                wanted: "2".into(),
                effect: None,
            }])
        };
        let made = || line(Key::DeployerUser, Some("user"), Change::Keep);
        let absent = || line(Key::KeyPair, None, Change::Create);
        let borrowed = Planned {
            borrowed: true,
            ..line(Key::AutoScalingServiceRole, Some("role"), Change::Keep)
        };
        let expiring = Planned {
            expiring: Some("soon".into()),
            ..line(Key::Certificate, Some("arn"), Change::Keep)
        };
        assert_eq!(state(&[made()]), "ready");
        assert_eq!(state(&[borrowed.clone(), absent()]), "not made");
        assert_eq!(state(&[made(), absent()]), "half made");
        assert_eq!(state(&[made(), line(Key::KeyPair, Some("key"), drift())]), "drift");
        assert_eq!(state(&[made(), line(Key::KeyPair, Some("key"), Change::Delete)]), "drift");
        assert_eq!(state(&[made(), expiring]), "expiring");
        let theirs = line(Key::KeyPair, None, Change::Conflict("not ours".into()));
        assert_eq!(state(&[made(), theirs]), "conflict");
        let unseen = line(Key::KeyPair, None, Change::Unknown("denied".into()));
        assert_eq!(state(&[made(), unseen, absent()]), "not known");
    }
}
