//! Making AWS agree with the catalog: find, then create or mend, then sweep what is no longer wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use anyhow::Result;
use tokio::time::Instant;

use super::{
    Entry, Event, Found, Key, Outcome, Stage, Summary,
    check::told_at_once,
    graph::{Direction, closure, walk},
    patience::{Patience, listed, patiently},
    plan::{locate, spares, tell_of_spare},
};
use crate::{
    aws::{AwsError, Fate, NotYet},
    cx::{Cx, missing},
    error::Interrupted,
    shared::{lock, unlocked},
    tags::Owner,
};

/// Brings every resource of `stages` to what the configuration asks for. Resources of other stages
/// are only looked up; one that is missing is an error that names the stage to run. What is in the way is
/// found before the first write, also that of the stages `later`, with which the run goes on.
pub async fn apply(
    catalog: &[Entry],
    stages: &[Stage],
    later: &[Stage],
    cx: &Cx,
) -> Result<Summary> {
    let chosen: BTreeSet<&Key> = catalog
        .iter()
        .map(|entry| &entry.key)
        .filter(|key| stages.contains(&key.stage()))
        .collect();
    bring(catalog, &chosen, later, cx).await
}

/// Fails with what is in the way of `stages` and of those `later`, and writes nothing.
pub async fn foresee(catalog: &[Entry], stages: &[Stage], later: &[Stage], cx: &Cx) -> Result<()> {
    let entries: Vec<&Entry> =
        catalog.iter().filter(|entry| stages.contains(&entry.key.stage())).collect();
    nothing_in_the_way(catalog, &entries, later, cx).await.map(drop)
}

/// As [`apply`], for one resource.
pub async fn apply_one(catalog: &[Entry], key: &Key, cx: &Cx) -> Result<Summary> {
    bring(catalog, &BTreeSet::from([key]), &[], cx).await
}

async fn bring(
    catalog: &[Entry],
    chosen: &BTreeSet<&Key>,
    later: &[Stage],
    cx: &Cx,
) -> Result<Summary> {
    let needed = closure(catalog, chosen);
    let (entries, earlier): (Vec<&Entry>, Vec<&Entry>) =
        needed.into_iter().partition(|entry| chosen.contains(&entry.key));
    walk(cx, &earlier, Direction::Build, |entry| async move {
        let all = patiently(cx, &entry.key, || entry.resource.find(cx)).await?;
        match entry.current(cx, &all)? {
            Some(found) => cx.put(&entry.key, found.id),
            // A stale one serves until its own stage is run again.
            None if !entry.resource.wanted(cx) || !all.is_empty() => {}
            None => return Err(missing(&entry.key).into()),
        }
        Ok(())
    })
    .await?;

    let seen = nothing_in_the_way(catalog, &entries, later, cx).await?;
    let summary = Mutex::new(Summary::default());
    let swept: Mutex<Vec<(&Entry, Found)>> = Mutex::default();
    let changed: Mutex<BTreeSet<&Key>> = Mutex::default();
    walk(cx, &entries, Direction::Build, |entry| {
        let (summary, swept, changed, seen) = (&summary, &swept, &changed, &seen);
        report(cx, entry, entry.resource.name(cx), async move {
            // What was right, and builds on nothing that has changed since, is so still.
            let still = !entry.needs.iter().any(|need| lock(changed).contains(need));
            let all = match seen.get(&entry.key).filter(|all| still && are_right(all)) {
                Some(all) => all.clone(),
                None => patiently(cx, &entry.key, || entry.resource.find(cx)).await?,
            };
            tell_of_spare(cx, entry, &all);
            let stale = all.iter().filter(|found| found.stale && found.owner == Owner::Ours);
            lock(swept).extend(stale.map(|found| (entry, found.clone())));
            let Some((id, outcome)) = converge(cx, entry, &all).await? else { return Ok(None) };
            cx.put(&entry.key, id.clone());
            // Made together with what it is a part of: a group has its hooks from the beginning.
            let was_absent = seen.get(&entry.key).is_some_and(|all| own(all).next().is_none());
            let outcome = if was_absent { Outcome::Created } else { outcome };
            if !still || outcome != Outcome::Unchanged {
                lock(changed).insert(&entry.key);
            }
            lock(summary).count(&outcome);
            Ok(Some((id, outcome)))
        })
    })
    .await?;

    let mut summary = unlocked(summary);
    for entry in &entries {
        for spare in spares(seen.get(&entry.key).map(Vec::as_slice).unwrap_or_default()) {
            let (key, name, id) = (entry.key.clone(), entry.resource.name(cx), spare.id.clone());
            let outcome = Outcome::Unchanged;
            summary.count(&outcome);
            cx.tell(Event::Finished { key, name, id, outcome, took: Duration::ZERO });
        }
    }
    // Dependants were mended above, so nothing refers to these any more.
    for (entry, found) in unlocked(swept) {
        report(cx, entry, entry.name_of(cx, &found), async {
            patiently(cx, &entry.key, || entry.resource.delete(cx, &found)).await?;
            Ok(Some((found.id.clone(), Outcome::Deleted)))
        })
        .await?;
        summary.count(&Outcome::Deleted);
    }
    Ok(summary)
}

/// Finds all of `entries`, and, where something is going to be written, all of the stages `later`: whatever is
/// in the way is told at once, and before that.
async fn nothing_in_the_way(
    catalog: &[Entry],
    entries: &[&Entry],
    later: &[Stage],
    cx: &Cx,
) -> Result<BTreeMap<Key, Vec<Found>>> {
    let seen = locate(entries, cx).await?;
    let mut conflicts = conflicts(entries, &seen, cx);
    let right = |entry: &&Entry| seen.get(&entry.key).is_some_and(|all| are_right(all));
    if !later.is_empty() && !entries.iter().all(right) {
        let ahead: Vec<&Entry> =
            catalog.iter().filter(|entry| later.contains(&entry.key.stage())).collect();
        match locate(&ahead, cx).await {
            Ok(seen) => conflicts.extend(self::conflicts(&ahead, &seen, cx)),
            // Those stages look again by themselves, as whoever makes them.
            Err(error) if error.downcast_ref::<AwsError>().is_some_and(AwsError::is_denied) => {}
            Err(error) => return Err(error),
        }
    }
    told_at_once(conflicts, "things are in the way")?;
    Ok(seen)
}

/// Whether there is one, as it should be, and nothing to sweep.
fn are_right(all: &[Found]) -> bool {
    let mut own = all.iter().filter(|found| !found.spare);
    matches!((own.next(), own.next()), (Some(only), None) if only.drift.is_empty() && !only.stale)
}

/// Those in use or to be used.
fn own(all: &[Found]) -> impl Iterator<Item = &Found> {
    all.iter().filter(|found| !found.spare && !found.stale)
}

fn conflicts(entries: &[&Entry], seen: &BTreeMap<Key, Vec<Found>>, cx: &Cx) -> Vec<anyhow::Error> {
    let conflict = |entry: &&Entry| {
        let all = seen.get(&entry.key).map(Vec::as_slice).unwrap_or_default();
        let what = || format!("{} `{}`", entry.key.title(), entry.resource.name(cx));
        entry.current(cx, all).err().map(|conflict| conflict.context(what()))
    };
    entries.iter().filter_map(conflict).collect()
}

/// One resource: create or mend, then wait. `None`: neither there nor wanted.
async fn converge(cx: &Cx, entry: &Entry, all: &[Found]) -> Result<Option<(String, Outcome)>> {
    let resource = &entry.resource;
    let current = entry.current(cx, all)?;
    for told in current.iter().flat_map(|found| found.remark.iter().chain(&found.warnings)) {
        cx.note(&entry.key, told);
    }
    let (id, outcome) = match current {
        None if !resource.wanted(cx) => return Ok(None),
        None => (create(cx, entry).await?, Outcome::Created),
        Some(found) if found.drift.is_empty() || found.owner == Owner::Borrowed => {
            (found.id, Outcome::Unchanged)
        }
        Some(found) => {
            patiently(cx, &entry.key, || resource.update(cx, &found)).await?;
            (found.id, Outcome::Changed(found.drift))
        }
    };
    patiently(cx, &entry.key, || resource.wait(cx, &id)).await?;
    Ok(Some((id, outcome)))
}

// A lost answer, or AWS failing inside, says nothing about what happened. New things take a moment
// to show up in Describe calls (EC2 "Eventual consistency"), so look a few times before trying again.
const ATTEMPTS: u32 = 4;
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// Creates, and never believes a failure before having looked: what a lost answer left behind, or
/// another run made meanwhile, is adopted if it is ours.
async fn create(cx: &Cx, entry: &Entry) -> Result<String> {
    let mut patience = Patience::new();
    let mut attempt = 1;
    loop {
        let began = Instant::now();
        let error = match entry.resource.create(cx).await {
            Ok(id) => {
                cx.recent.note(&entry.key);
                listed(cx, entry, false).await?;
                return Ok(id);
            }
            Err(error) => error,
        };
        let aws = error.downcast_ref::<AwsError>();
        let fate = aws.map_or(Fate::NotSent, |error| error.fate);
        let listing = aws.and_then(AwsError::not_yet) == Some(NotYet::Listing);
        let exists = attempt > 1 && listing || cx.recent.made_since(&entry.key, began);
        if exists {
            // It was made, and failed after that: making another would leave a twin.
            return listed(cx, entry, true).await?.ok_or(error);
        }
        // What is said to exist already may be ours: the SDK sent the call again after a lost answer.
        let looks = match fate {
            Fate::NotSent => return Err(error),
            Fate::Throttled | Fate::Refused if !listing => 1,
            Fate::Throttled | Fate::Refused | Fate::Unknown => LOOKS,
        };
        if let Some(id) = adopt(cx, entry, looks).await? {
            return Ok(id);
        }
        if fate == Fate::Unknown {
            if attempt == ATTEMPTS {
                return Err(error);
            }
            cx.waiting(&entry.key, &format!("trying again: {error:#}"));
            cx.pause(PAUSE * 2_u32.pow(attempt)).await?;
        } else {
            patience.again(cx, &entry.key, error).await?;
        }
        attempt += 1;
    }
}

/// Looks for what a create that failed may have left behind, and brings it to its end.
async fn adopt(cx: &Cx, entry: &Entry, looks: u32) -> Result<Option<String>> {
    for look in 0..looks {
        if look > 0 {
            cx.pause(PAUSE * look).await?;
        }
        let all = patiently(cx, &entry.key, || entry.resource.find(cx)).await?;
        if let Some(found) = entry.current(cx, &all)? {
            if !found.drift.is_empty() {
                patiently(cx, &entry.key, || entry.resource.update(cx, &found)).await?;
            }
            return Ok(Some(found.id));
        }
    }
    Ok(None)
}

/// Tells the listener how a step goes that is about what has this `name`.
pub(super) async fn report(
    cx: &Cx,
    entry: &Entry,
    name: String,
    step: impl Future<Output = Result<Option<(String, Outcome)>>>,
) -> Result<()> {
    let key = entry.key.clone();
    let start = Instant::now();
    cx.tell(Event::Started { key: key.clone(), name: name.clone() });
    match step.await {
        Ok(Some((id, outcome))) => {
            cx.tell(Event::Finished { key, name, id, outcome, took: start.elapsed() });
            Ok(())
        }
        Ok(None) => {
            cx.tell(Event::Passed { key, name });
            Ok(())
        }
        Err(error) => {
            let why = (!error.is::<Interrupted>()).then(|| format!("{error:#}"));
            cx.tell(Event::Failed { key, name, took: start.elapsed(), why });
            Err(error)
        }
    }
}
