//! The keys of other operators: whose they are, by a tag of the user for each key, and when they were made
//! and last used. They are kept: their secrets are on machines we know nothing of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use aws_sdk_iam::{
    primitives::{DateTime, DateTimeFormat},
    types::{AccessKeyMetadata, Tag},
};

use super::super::iam::{ABSENT, settled};
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Key},
    error::Hinted,
    invocation::as_admin,
    lease,
};

// A run that is killed leaves a key behind whose secret nobody knows.
pub(super) const NEVER: &str = "never used: perhaps the rest of a run that was killed";

// Before the key's id, in the name of a tag of the user.
const OWNER: &str = "jitsi-aws:key/";
// In place of the id, while a key is being made: who makes it, and the keys that were there before.
const MAKING: &str = "jitsi-aws:making-key";
// IAM's quota, which cannot be raised ("IAM and AWS STS quotas", access keys per user).
const MOST: usize = 2;

/// What the tags of the user say of its keys.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Whose each key is, by its id.
    pub(super) owners: BTreeMap<String, String>,
    /// What a run noted before it made a key, and has not taken away since.
    making: Option<String>,
}

impl Notes {
    /// Whether a run of this operator made this key and was ended before it could write down the secret, which
    /// nobody knows then: one run at a time makes keys, so it is the one that was not there before.
    pub(super) fn is_rest_of_ours(&self, id: &str) -> bool {
        let Some((who, before)) = self.making.as_deref().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        !self.owners.contains_key(id)
            && who == one_word(&lease::who())
            && before.split(' ').all(|known| known != id)
    }
}

/// Reads them.
pub(super) async fn notes(cx: &Cx, user: &str) -> Result<Notes> {
    let answer = cx.aws.iam.get_user().user_name(user).send().await;
    let answer = answer.unless(ABSENT, format!("reading the tags of IAM user `{user}`"))?;
    let user = answer.and_then(|answer| answer.user);
    let tags = user.iter().flat_map(|user| user.tags());
    let mut notes = Notes::default();
    for tag in tags {
        if let Some(id) = tag.key().strip_prefix(OWNER) {
            notes.owners.insert(id.to_owned(), tag.value().to_owned());
        } else if tag.key() == MAKING {
            notes.making = Some(tag.value().to_owned());
        }
    }
    Ok(notes)
}

/// Notes that this operator is about to make a key beside those that are there.
pub(super) async fn announce(cx: &Cx, user: &str, before: &BTreeSet<String>) -> Result<()> {
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    // Blanks at the end of a value need not stay.
    let before = if before.is_empty() { "none".to_owned() } else { before.join(" ") };
    let text = format!("{} {before}", one_word(&lease::who()));
    let tag = Tag::builder().key(MAKING).value(value(&text)).build()?;
    settled(cx, &Key::AccessKey, || async {
        let answer = cx.aws.iam.tag_user().user_name(user).tags(tag.clone()).send().await;
        answer.doing(format!("noting at IAM user `{user}` that an access key is being made"))
    })
    .await?;
    Ok(())
}

/// The key is made and written down, or was never made.
pub(super) async fn done(cx: &Cx, user: &str) -> Result<()> {
    settled(cx, &Key::AccessKey, || async {
        let answer = cx.aws.iam.untag_user().user_name(user).tag_keys(MAKING).send().await;
        answer.doing(format!("noting at IAM user `{user}` that the access key is made"))
    })
    .await?;
    Ok(())
}

/// Short enough to leave room for two keys' ids, which have 20 characters (IAM user guide, "IAM identifiers").
fn one_word(who: &str) -> String {
    value(who).replace(' ', "-").chars().take(200).collect()
}

/// Notes that a key is this operator's.
pub(super) async fn own(cx: &Cx, user: &str, id: &str) -> Result<()> {
    let tag = Tag::builder().key(format!("{OWNER}{id}")).value(value(&lease::who())).build()?;
    let answer = cx.aws.iam.tag_user().user_name(user).tags(tag).send().await;
    answer.doing(format!("noting at IAM user `{user}` whose access key {id} is"))?;
    Ok(())
}

/// Forgets whose a key was.
pub(super) async fn disown(cx: &Cx, user: &str, id: &str) -> Result<()> {
    let answer =
        cx.aws.iam.untag_user().user_name(user).tag_keys(format!("{OWNER}{id}")).send().await;
    answer.unless(ABSENT, format!("forgetting whose access key {id} of `{user}` was"))?;
    Ok(())
}

/// `bob@desk, made 2026-01-31`.
pub(super) fn told(key: &AccessKeyMetadata, owner: Option<&String>) -> String {
    let owner = owner.map_or("of an unknown operator", String::as_str);
    match key.create_date().and_then(day) {
        Some(day) => format!("{owner}, made {day}"),
        None => owner.to_owned(),
    }
}

/// When it was last used, and for what; asking takes a right that only the administrator has.
pub(super) async fn last_used(cx: &Cx, id: &str) -> Result<String> {
    let answer = cx.aws.iam.get_access_key_last_used().access_key_id(id).send().await;
    let answer = match answer.doing(format!("asking when access key {id} was last used")) {
        Err(error) if error.is_denied() => return Ok("last use not known".to_owned()),
        answer => answer?,
    };
    let used = answer.access_key_last_used;
    // A key that was never used has no date, and `N/A` for the rest (IAM API, `AccessKeyLastUsed`).
    let Some(day) = used.as_ref().and_then(|used| used.last_used_date()).and_then(day) else {
        return Ok(NEVER.to_owned());
    };
    let service = used.as_ref().map_or("", |used| used.service_name());
    Ok(format!("last used {day} for {service}"))
}

/// Why this operator gets no key, if so. Told before anything is changed.
pub(super) fn refusal(cx: &Cx, all: &[Found], in_iam: impl Fn(&Found) -> bool) -> Option<Hinted> {
    let lines =
        || all.iter().filter(|key| key.spare).map(|key| format!("{}: {}", key.id, key.detail));
    if let Some(wanted) = &cx.take_over {
        let here = all.iter().find(|key| !key.spare && in_iam(key) && key.id != *wanted);
        if let Some(here) = here {
            return Some(Hinted::user(
                format!("this machine has access key {} already, so none is taken over", here.id),
                "leave out --take-over",
            ));
        }
        if all.iter().all(|key| key.id != *wanted) {
            let what = format!("the deployer has no access key {wanted}");
            return Some(
                Hinted::user(what, "name one of these, or leave out --take-over").with(lines()),
            );
        }
        return None;
    }
    let others = all.iter().filter(|key| key.spare).count();
    let usable = all.iter().any(|key| !key.spare && in_iam(key));
    (others >= MOST && !usable).then(|| {
        Hinted::user(
            "both access keys that IAM allows the deployer are other operators'",
            format!(
                "ask whose key is no longer needed, then replace it: `{}`",
                as_admin("setup iam --take-over KEYID")
            ),
        )
        .with(lines())
    })
}

fn day(date: &DateTime) -> Option<String> {
    let text = date.fmt(DateTimeFormat::DateTime).ok()?;
    text.get(..10).map(str::to_owned)
}

/// As a tag's value takes it: letters, digits, spaces and `_.:/=+-@`, at most 256 (IAM API, `Tag`).
fn value(who: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    who.chars().map(|c| if allowed(c) { c } else { '-' }).take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_killed_run_is_the_key_that_was_not_there_before() {
        let notes = |who: &str| Notes {
            owners: BTreeMap::from([("AKIA2".to_owned(), "ann@desk".to_owned())]),
            making: Some(format!("{} AKIA1", one_word(who))),
        };
        let ours = notes(&lease::who());
        assert!(ours.is_rest_of_ours("AKIA3"));
        assert!(!ours.is_rest_of_ours("AKIA1"), "it was there before");
        assert!(!ours.is_rest_of_ours("AKIA2"), "it is somebody's");
        assert!(!notes("somebody@else where").is_rest_of_ours("AKIA3"));
        assert!(!Notes::default().is_rest_of_ours("AKIA3"));
        let alone =
            Notes { making: Some(format!("{} none", one_word(&lease::who()))), ..Notes::default() };
        assert!(alone.is_rest_of_ours("AKIA3"), "there was none before");
    }

    #[test]
    fn a_tag_takes_any_name() {
        assert_eq!(value("ann@desk-1.example.org"), "ann@desk-1.example.org");
        assert_eq!(value("DOMAIN\\jörg@büro, links"), "DOMAIN-jörg@büro- links");
        assert_eq!(value(&"x".repeat(300)).len(), 256);
    }
}
