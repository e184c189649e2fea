//! The `Name` tag of what has no other name. Who changes it by hand takes the thing out of sight of everybody who
//! looks by name; its other tags, written by the call that made it, still tell that it is ours, and it gets its
//! name back.

use anyhow::Result;
use aws_sdk_ec2::types::Tag;

use super::ec2::owner;
use crate::{
    aws::Answer,
    cx::Cx,
    engine::{Found, Stage},
    tags::{NAME, Owner, REGION, STAGE, VERSION},
};

const FIELD: &str = "Name tag";

/// Those of `all` that are called `name`. Where there is none, those of our making that are called what none of
/// `ours` is, and are `like` what is looked for.
pub(super) fn called<T>(
    cx: &Cx,
    all: Vec<T>,
    tags: impl Fn(&T) -> &[Tag],
    name: &str,
    ours: &[String],
    like: impl Fn(&T) -> bool,
) -> Vec<T> {
    let named = |one: &T| name_of(tags(one)) == name;
    let renamed = |one: &T| {
        let tags = tags(one);
        !ours.iter().any(|ours| ours == name_of(tags)) && is_of_our_making(cx, tags) && like(one)
    };
    let any = all.iter().any(named);
    all.into_iter().filter(|one| if any { named(one) } else { renamed(one) }).collect()
}

/// Compares the name of what was found.
pub(super) fn compare(found: &mut Found, tags: &[Tag], name: &str) {
    found.compare(FIELD, name_of(tags), name);
}

/// Writes the name again where it differs.
pub(super) async fn mend(cx: &Cx, found: &Found, name: &str) -> Result<()> {
    if !found.drifted(FIELD) {
        return Ok(());
    }
    let tag = Tag::builder().key(NAME).value(name).build();
    let call = cx.aws.ec2.create_tags().resources(&found.id).tags(tag);
    call.send().await.doing(format!("giving {} its name `{name}` back", found.id))?;
    Ok(())
}

/// Who puts our owner tag on a thing of their own has no reason to put the others there.
fn is_of_our_making(cx: &Cx, tags: &[Tag]) -> bool {
    let value = |key| tags.iter().find(|tag| tag.key() == Some(key)).and_then(Tag::value);
    owner(&cx.names, tags) == Owner::Ours
        && value(REGION) == Some(cx.names.region())
        && value(STAGE) == Some(Stage::Instances.word())
        && value(VERSION).is_some()
}

fn name_of(tags: &[Tag]) -> &str {
    let name = tags.iter().find(|tag| tag.key() == Some(NAME)).and_then(Tag::value);
    name.unwrap_or("none")
}
