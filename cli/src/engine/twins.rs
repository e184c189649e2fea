//! Two of a kind, as two runs at once once left them: which one is in use, and what goes. Nothing in use
//! ever does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{Entry, Found, Key, plan::locate};
use crate::{cx::Cx, error::Hinted, invocation::as_admin, tags::Owner};

/// What is to become of one of two.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which resource.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// What was found.
    pub found: Found,
    /// What uses it, if anything does.
    pub used_by: Option<String>,
    /// Whether it stays.
    pub stays: bool,
}

/// Everything there are two of, and what lies in a network that goes. Empty when there are no twins; an
/// error when both are in use.
pub async fn twins(catalog: &[Entry], cx: &Cx) -> Result<Vec<Verdict>> {
    let entries: Vec<&Entry> = catalog.iter().collect();
    let mut located = locate(&entries, cx).await?;
    let mut all = Vec::new();
    for entry in entries {
        for found in located.remove(&entry.key).unwrap_or_default() {
            if found.owner == Owner::Ours && !found.stale && !found.spare {
                let (key, name) = (entry.key.clone(), entry.resource.name(cx));
                all.push((entry, Verdict { key, name, found, used_by: None, stays: true }));
            }
        }
    }
    let networks: BTreeSet<String> = ids(all.iter().map(|(_, this)| this), &Key::Vpc);
    let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
    for (_, this) in &all {
        *counts.entry(this.key.clone()).or_default() += 1;
    }
    for (entry, this) in &mut all {
        let twin = counts.get(&this.key).is_some_and(|count| *count > 1);
        let in_twin = networks.len() > 1 && this.within(&networks);
        if twin || in_twin {
            this.used_by = entry.resource.used_by(cx, &this.found).await?;
        }
    }
    decide(all.into_iter().map(|(_, this)| this).collect())
}

impl Verdict {
    fn within(&self, networks: &BTreeSet<String>) -> bool {
        self.found.within.as_ref().is_some_and(|network| networks.contains(network))
    }
}

fn ids<'a>(all: impl Iterator<Item = &'a Verdict>, key: &Key) -> BTreeSet<String> {
    all.filter(|this| this.key == *key).map(|this| this.found.id.clone()).collect()
}

fn decide(mut all: Vec<Verdict>) -> Result<Vec<Verdict>> {
    let networks = ids(all.iter(), &Key::Vpc);
    // The network that stays is the one in use, else the one that most lies in.
    let lies_in = |network: &Verdict| {
        all.iter().filter(|this| this.found.within.as_ref() == Some(&network.found.id)).count()
    };
    let of_kind: Vec<&Verdict> = all.iter().filter(|this| this.key == Key::Vpc).collect();
    let home = choose(&of_kind, lies_in)?.map(|network| network.found.id.clone());
    let gone: BTreeSet<String> =
        networks.into_iter().filter(|network| home.as_ref() != Some(network)).collect();
    for this in &mut all {
        this.stays = !(this.within(&gone) || gone.contains(&this.found.id));
    }
    let keys: BTreeSet<Key> = all.iter().map(|this| this.key.clone()).collect();
    let mut chosen = BTreeSet::new();
    for key in &keys {
        let left: Vec<&Verdict> =
            all.iter().filter(|this| this.key == *key && this.stays).collect();
        // What is attached to the network that stays, before what is attached to nothing.
        let attached = |this: &Verdict| usize::from(this.found.within == home && home.is_some());
        if let Some(one) = choose(&left, attached)? {
            chosen.insert((key.clone(), one.found.id.clone()));
        }
    }
    for this in &mut all {
        this.stays &= chosen.contains(&(this.key.clone(), this.found.id.clone()));
    }
    if let Some(used) = all.iter().find(|this| !this.stays && this.used_by.is_some()) {
        return Err(both_in_use(&[used]));
    }
    let told: BTreeSet<Key> =
        all.iter().filter(|this| !this.stays).map(|this| this.key.clone()).collect();
    all.retain(|this| told.contains(&this.key));
    Ok(all)
}

/// The one in use; of those that are not, the one that scores most, then the one whose id comes first.
fn choose<'a>(
    all: &[&'a Verdict],
    score: impl Fn(&Verdict) -> usize,
) -> Result<Option<&'a Verdict>> {
    let used: Vec<&Verdict> = all.iter().copied().filter(|this| this.used_by.is_some()).collect();
    match used.as_slice() {
        [] => {}
        [one] => return Ok(Some(*one)),
        more => return Err(both_in_use(more)),
    }
    let best = all
        .iter()
        .copied()
        .min_by_key(|this| (std::cmp::Reverse(score(this)), this.found.id.clone()));
    Ok(best)
}

fn both_in_use(all: &[&Verdict]) -> anyhow::Error {
    let lines = all.iter().map(|this| {
        let used_by = this.used_by.as_deref().unwrap_or("nothing");
        format!("{} {}: used by {used_by}", this.key.title(), this.found.id)
    });
    Hinted::user(
        "more than one is in use, or what would have to go is; nothing was deleted",
        format!(
            "end what uses the one that should go, or start anew: `{}` removes all of it",
            as_admin("setup delete")
        ),
    )
    .with(lines)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: Key, id: &str, within: Option<&str>, used_by: Option<&str>) -> Verdict {
        let mut found = Found::new(id, Owner::Ours);
        found.within = within.map(str::to_owned);
        let (name, used_by) = ("jitsi".to_owned(), used_by.map(str::to_owned));
        Verdict { key, name, found, used_by, stays: true }
    }

    /// Ids that go.
    fn gone(all: Vec<Verdict>) -> Vec<String> {
        let verdicts = decide(all).unwrap();
        verdicts.into_iter().filter(|this| !this.stays).map(|this| this.found.id).collect()
    }

    #[test]
    fn without_twins_nothing_goes() {
        let all = vec![
            one(Key::Vpc, "vpc-1", None, None),
            one(Key::SubnetA, "subnet-1", Some("vpc-1"), None),
            one(Key::SubnetB, "subnet-2", Some("vpc-1"), None),
        ];
        assert_eq!(decide(all).unwrap().len(), 0);
    }

    #[test]
    fn the_network_in_use_stays_and_takes_nothing_of_the_other_with_it() {
        let all = vec![
            one(Key::Vpc, "vpc-1", None, None),
            one(Key::Vpc, "vpc-2", None, Some("eni-1")),
            one(Key::InternetGateway, "igw-1", Some("vpc-1"), None),
            one(Key::InternetGateway, "igw-2", Some("vpc-2"), None),
            // Only in the one that goes: the next run makes it anew.
            one(Key::RouteTable, "rtb-1", Some("vpc-1"), None),
            one(Key::SubnetA, "subnet-2", Some("vpc-2"), Some("eni-1")),
        ];
        assert_eq!(gone(all), ["vpc-1", "igw-1", "rtb-1"]);
    }

    #[test]
    fn of_two_unused_networks_the_fuller_one_stays() {
        let all = vec![
            one(Key::Vpc, "vpc-1", None, None),
            one(Key::Vpc, "vpc-2", None, None),
            one(Key::InternetGateway, "igw-1", None, None),
            one(Key::InternetGateway, "igw-2", Some("vpc-2"), None),
        ];
        assert_eq!(gone(all), ["vpc-1", "igw-1"]);
    }

    #[test]
    fn of_two_certificates_the_one_in_use_stays() {
        let all = vec![
            one(Key::Certificate, "arn:1", None, None),
            one(Key::Certificate, "arn:2", None, Some("the load balancer")),
        ];
        assert_eq!(gone(all), ["arn:1"]);
    }

    #[test]
    fn nothing_in_use_goes() {
        let both = vec![
            one(Key::Vpc, "vpc-1", None, Some("eni-1")),
            one(Key::Vpc, "vpc-2", None, Some("eni-2")),
        ];
        assert!(decide(both).unwrap_err().to_string().contains("nothing was deleted"));
        let inside = vec![
            one(Key::Vpc, "vpc-1", None, Some("eni-1")),
            one(Key::Vpc, "vpc-2", None, None),
            one(Key::AlbSecurityGroup, "sg-2", Some("vpc-2"), Some("eni-3")),
        ];
        assert!(decide(inside).is_err());
    }
}
