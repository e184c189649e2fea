//! Walking the graph: every step as soon as what it waits for is done, several at once; after a
//! failure nothing new is started and what runs may finish.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use anyhow::{Context, Result, ensure};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{Entry, Key};
use crate::{
    cx::Cx,
    error::{Hinted, Interrupted},
};

// Enough to keep every independent resource of a stage going, few enough for EC2's request buckets
// (EC2 API throttling: mutating calls refill at 5 a second).
const AT_ONCE: usize = 12;

/// Which way the edges are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// What is needed comes first.
    Build,
    /// What needs others goes first.
    Tear,
}

/// Runs `step` for every entry. Needs outside `entries` count as met.
pub(super) async fn walk<'a, F>(
    cx: &Cx,
    entries: &[&'a Entry],
    direction: Direction,
    step: impl Fn(&'a Entry) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let mut waits = prerequisites(entries, direction);
    let mut running = FuturesUnordered::new();
    let mut done = BTreeSet::new();
    let mut failure = None;
    loop {
        for entry in entries {
            let stop = failure.is_some() || cx.stopped() || running.len() >= AT_ONCE;
            let ready = waits.get(&entry.key).is_some_and(|waits| waits.is_subset(&done));
            if ready && !stop {
                waits.remove(&entry.key);
                let work = step(entry);
                running.push(async move { (*entry, work.await) });
            }
        }
        match running.next().await {
            Some((entry, Ok(()))) => {
                done.insert(&entry.key);
            }
            Some((entry, Err(error))) => {
                let error =
                    error.context(format!("{} `{}`", entry.key.title(), entry.resource.name(cx)));
                // The first failure is the cause; an interruption is never one, but may have to tell
                // what was being waited for.
                let better = |first: &anyhow::Error| {
                    first.is::<Interrupted>()
                        && !(first.is::<Hinted>() && error.is::<Interrupted>())
                };
                if failure.as_ref().is_none_or(better) {
                    failure = Some(error);
                }
            }
            None => break,
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if cx.stopped() && !waits.is_empty() {
        return Err(Interrupted).context("stopped before everything was done");
    }
    ensure!(waits.is_empty(), "the catalog has a cycle: {:?}", waits.keys());
    Ok(())
}

fn prerequisites<'a>(
    entries: &[&'a Entry],
    direction: Direction,
) -> BTreeMap<&'a Key, BTreeSet<&'a Key>> {
    let mut waits: BTreeMap<&Key, BTreeSet<&Key>> =
        entries.iter().map(|entry| (&entry.key, BTreeSet::new())).collect();
    for entry in entries {
        for need in &entry.needs {
            let Some((need, _)) = waits.get_key_value(need) else { continue };
            let need = *need;
            let (waiter, awaited) = match direction {
                Direction::Build => (&entry.key, need),
                Direction::Tear => (need, &entry.key),
            };
            if let Some(set) = waits.get_mut(waiter) {
                set.insert(awaited);
            }
        }
    }
    waits
}

/// All that `keys` need, directly or not, themselves included, in catalog order.
pub(super) fn closure<'a>(catalog: &'a [Entry], keys: &BTreeSet<&Key>) -> Vec<&'a Entry> {
    let mut wanted: BTreeSet<&Key> = keys.clone();
    // The catalog lists what is needed first, so one pass from the end suffices.
    for entry in catalog.iter().rev() {
        if wanted.contains(&entry.key) {
            wanted.extend(&entry.needs);
        }
    }
    catalog.iter().filter(|entry| wanted.contains(&entry.key)).collect()
}
