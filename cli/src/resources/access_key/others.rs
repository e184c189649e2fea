//! The keys of other operators: whose they are, by a tag of the user for each key, and when they were made
//! and last used. They are kept: their secrets are on machines we know nothing of.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_iam::{
    primitives::{DateTime, DateTimeFormat},
    types::{AccessKeyMetadata, Tag},
};

use super::super::iam::ABSENT;
use crate::{aws::Answer, cx::Cx, engine::Found, error::Hinted, invocation::as_admin, lease};

// Before the key's id, in the name of a tag of the user.
const OWNER: &str = "jitsi-aws:key/";
// IAM's quota, which cannot be raised ("IAM and AWS STS quotas", access keys per user).
const MOST: usize = 2;

/// Whose each key is, by its id.
pub(super) async fn owners(cx: &Cx, user: &str) -> Result<BTreeMap<String, String>> {
    let answer = cx.aws.iam.get_user().user_name(user).send().await;
    let answer = answer.unless(ABSENT, format!("reading the tags of IAM user `{user}`"))?;
    let user = answer.and_then(|answer| answer.user);
    let tags = user.iter().flat_map(|user| user.tags());
    let owner =
        |tag: &Tag| tag.key().strip_prefix(OWNER).map(|id| (id.to_owned(), tag.value().to_owned()));
    Ok(tags.filter_map(owner).collect())
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
        return Ok("never used".to_owned());
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
    fn a_tag_takes_any_name() {
        assert_eq!(value("ann@desk-1.example.org"), "ann@desk-1.example.org");
        assert_eq!(value("DOMAIN\\jörg@büro, links"), "DOMAIN-jörg@büro- links");
        assert_eq!(value(&"x".repeat(300)).len(), 256);
    }
}
