//! Deleting along the same edges, reversed: everything of ours that can be found, twins included.

use std::{collections::BTreeMap, sync::Mutex};

use anyhow::Result;

use super::{
    Entry, Found, Key, Outcome, Stage, Summary,
    apply::report,
    graph::{Direction, walk},
    patience::patiently,
    plan::locate,
};
use crate::{
    cx::Cx,
    shared::{lock, unlocked},
    tags::Owner,
};

/// Something that would be deleted.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// Which resource.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// What exists of it.
    pub found: Found,
}

impl Doomed {
    /// Whether both are the same thing. A subscription gets its id when its address confirms it.
    pub fn is(&self, other: &Self) -> bool {
        let same = self.found.id == other.found.id || matches!(self.key, Key::EmailSubscription(_));
        self.key == other.key && same
    }
}

/// All that exists under our names.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Ours, in catalog order.
    pub ours: Vec<Doomed>,
    /// Somebody else's: never touched.
    pub foreign: Vec<Doomed>,
    /// The account's, or the operator's own: used, and not ours to delete.
    pub borrowed: Vec<Doomed>,
}

/// Looks for all that exists of `stages`.
pub async fn survey(catalog: &[Entry], stages: &[Stage], cx: &Cx) -> Result<Survey> {
    let entries: Vec<&Entry> =
        catalog.iter().filter(|entry| stages.contains(&entry.key.stage())).collect();
    let mut found = locate(&entries, cx).await?;
    let mut survey = Survey::default();
    for entry in entries {
        for found in found.remove(&entry.key).unwrap_or_default() {
            let whose = match found.owner {
                Owner::Ours => &mut survey.ours,
                Owner::Foreign(_) => &mut survey.foreign,
                Owner::Borrowed => &mut survey.borrowed,
            };
            let name = entry.name_of(cx, &found);
            whose.push(Doomed { key: entry.key.clone(), name, found });
        }
    }
    Ok(survey)
}

/// All that exists of `stages` and is ours, in catalog order.
pub async fn inventory(catalog: &[Entry], stages: &[Stage], cx: &Cx) -> Result<Vec<Doomed>> {
    Ok(survey(catalog, stages, cx).await?.ours)
}

/// What of `doomed` holds something of somebody else's, and what.
pub async fn occupied<'a>(
    catalog: &[Entry],
    doomed: &'a [Doomed],
    cx: &Cx,
) -> Result<Vec<(&'a Doomed, Vec<String>)>> {
    let mut occupied = Vec::new();
    for one in doomed {
        let Some(entry) = catalog.iter().find(|entry| entry.key == one.key) else { continue };
        let occupants = patiently(cx, &one.key, || entry.resource.occupants(cx, &one.found));
        let occupants = occupants.await?;
        if !occupants.is_empty() {
            occupied.push((one, occupants));
        }
    }
    Ok(occupied)
}

/// Deletes `doomed`, dependants first.
pub async fn delete(catalog: &[Entry], doomed: &[Doomed], cx: &Cx) -> Result<Summary> {
    let mut by_key: BTreeMap<&Key, Vec<&Found>> = BTreeMap::new();
    for Doomed { key, found, .. } in doomed {
        by_key.entry(key).or_default().push(found);
    }
    // All entries stay in the graph: the order between two may run through one that does not exist.
    let entries: Vec<&Entry> = catalog.iter().collect();
    let summary = Mutex::new(Summary::default());
    walk(cx, &entries, Direction::Tear, |entry| {
        let (by_key, summary) = (&by_key, &summary);
        async move {
            for found in by_key.get(&entry.key).into_iter().flatten() {
                report(cx, entry, entry.name_of(cx, found), async {
                    patiently(cx, &entry.key, || entry.resource.delete(cx, found)).await?;
                    Ok(Some((found.id.clone(), Outcome::Deleted)))
                })
                .await?;
                lock(summary).count(&Outcome::Deleted);
            }
            Ok(())
        }
    })
    .await?;
    Ok(unlocked(summary))
}
