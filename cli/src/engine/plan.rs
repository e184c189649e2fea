//! What a run would do: the same finding as applying, and no other call.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use anyhow::Result;

use super::{
    Drift, Entry, Found, Key, Stage, check,
    graph::{Direction, closure, walk},
    patience::patiently,
    unseen::Unseen,
};
use crate::{
    cx::Cx,
    error::Hinted,
    shared::{lock, unlocked},
    tags::Owner,
};

/// What would be done to one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It would be made.
    Create,
    /// These fields would be changed.
    Update(Vec<Drift>),
    /// Nothing.
    Keep,
    /// It would be deleted: ours, but no longer wanted.
    Delete,
    /// Nothing can be done: why.
    Conflict(String),
    /// That is known once the deployer's rights are those it needs: why it cannot be seen.
    Unknown(String),
}

/// One line of a plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Which resource.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// Its id, when it exists.
    pub id: Option<String>,
    /// One line about it as it is, or as it would be made.
    pub detail: String,
    /// Whether it exists and belongs to the account, whatever becomes of the deployment.
    pub borrowed: bool,
    /// What will go wrong soon, though nothing differs.
    pub expiring: Option<String>,
    /// What would be done.
    pub change: Change,
    /// What to do about a [`Change::Conflict`].
    pub hint: Option<String>,
    /// What stays other than configured though nothing is to do, and until when.
    pub remark: Option<String>,
    /// What somebody else's does to it.
    pub warnings: Vec<String>,
}

/// What applying `stages` would do, in catalog order. Where the deployer's rights are known to differ from
/// those it needs, what it may not look at is [`Change::Unknown`] and no error.
pub async fn plan(catalog: &[Entry], stages: &[Stage], cx: &Cx) -> Result<Vec<Planned>> {
    let chosen: BTreeSet<&Key> = catalog
        .iter()
        .map(|entry| &entry.key)
        .filter(|key| stages.contains(&key.stage()))
        .collect();
    let entries = closure(catalog, &chosen);
    let unseen = Unseen::default();
    let found = locate_but(&entries, cx, Some(&unseen)).await?;
    let mut planned = Vec::new();
    for entry in entries.into_iter().filter(|entry| chosen.contains(&entry.key)) {
        let all = found.get(&entry.key).map(Vec::as_slice).unwrap_or_default();
        tell_of_spare(cx, entry, all);
        let line = |id: Option<String>, detail: String, change| Planned {
            key: entry.key.clone(),
            name: entry.resource.name(cx),
            id,
            detail,
            borrowed: false,
            expiring: None,
            change,
            hint: None,
            remark: None,
            warnings: Vec::new(),
        };
        let refusal = match unseen.why(&entry.key) {
            Some(_) => Ok(None),
            None => check::refusal(entry, cx).await,
        };
        let refusal = match refusal {
            Ok(refusal) => refusal,
            Err(error) => {
                unseen.excuse(cx, &entry.key, error)?;
                None
            }
        };
        if let Some(why) = unseen.why(&entry.key) {
            planned.push(line(None, String::new(), Change::Unknown(why)));
            continue;
        }
        let current = match refusal {
            Some(refusal) => Err(refusal),
            None => entry.current(cx, all),
        };
        match current {
            Err(conflict) => {
                let hint = conflict.downcast_ref::<Hinted>().map(|hinted| hinted.hint().to_owned());
                let conflict = Change::Conflict(format!("{conflict:#}"));
                planned.push(Planned { hint, ..line(None, String::new(), conflict) });
            }
            Ok(None) if entry.resource.wanted(cx) => {
                planned.push(line(None, entry.resource.intent(cx), Change::Create));
            }
            Ok(None) => {}
            Ok(Some(Found { id, detail, drift, owner, expiring, remark, warnings, .. })) => {
                let borrowed = owner == Owner::Borrowed;
                let keep = drift.is_empty() || borrowed;
                let change = if keep { Change::Keep } else { Change::Update(drift) };
                let line = line(Some(id), detail, change);
                planned.push(Planned { borrowed, expiring, remark, warnings, ..line });
            }
        }
        for other in spares(all) {
            planned.push(line(Some(other.id.clone()), other.detail.clone(), Change::Keep));
        }
        for stale in all.iter().filter(|found| found.stale && found.owner == Owner::Ours) {
            let line = line(Some(stale.id.clone()), stale.detail.clone(), Change::Delete);
            planned.push(Planned { name: entry.name_of(cx, stale), ..line });
        }
    }
    Ok(planned)
}

/// Those of ours that are somebody else's to use: left as they are, and counted with the rest.
pub(super) fn spares(all: &[Found]) -> impl Iterator<Item = &Found> {
    all.iter().filter(|found| found.spare && found.owner == Owner::Ours)
}

/// Says of what is left alone why, and what can be done about it.
pub(super) fn tell_of_spare(cx: &Cx, entry: &Entry, all: &[Found]) {
    for remark in all.iter().filter(|found| found.spare).filter_map(|found| found.remark.as_ref()) {
        cx.note(&entry.key, remark);
    }
}

/// Finds everything, parents first, and remembers the ids for those who need them.
pub(super) async fn locate(entries: &[&Entry], cx: &Cx) -> Result<BTreeMap<Key, Vec<Found>>> {
    locate_but(entries, cx, None).await
}

/// As [`locate`]; what may not be looked at goes to `unseen` where there is one.
async fn locate_but(
    entries: &[&Entry],
    cx: &Cx,
    unseen: Option<&Unseen>,
) -> Result<BTreeMap<Key, Vec<Found>>> {
    let located = Mutex::new(BTreeMap::new());
    walk(cx, entries, Direction::Build, |entry| {
        let located = &located;
        async move {
            if unseen.is_some_and(|unseen| unseen.hides(entry)) {
                return Ok(());
            }
            let all = match patiently(cx, &entry.key, || entry.resource.find(cx)).await {
                Ok(all) => all,
                Err(error) => {
                    let Some(unseen) = unseen else { return Err(error) };
                    return unseen.excuse(cx, &entry.key, error);
                }
            };
            let usable = |found: &&Found| {
                !found.stale && !found.spare && !matches!(found.owner, Owner::Foreign(_))
            };
            // Looking again after deleting must not go by what was there before.
            match all.iter().find(usable) {
                Some(found) => cx.put(&entry.key, found.id.clone()),
                None => cx.forget(&entry.key),
            }
            lock(located).insert(entry.key.clone(), all);
            Ok(())
        }
    })
    .await?;
    Ok(unlocked(located))
}
