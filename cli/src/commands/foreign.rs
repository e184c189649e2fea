//! What `setup delete` leaves as it is, because it is somebody else's, and how that is told.

use anyhow::Result;

use super::session::Session;
use crate::{
    engine::{self, Doomed, Key, Stage},
    error::Hinted,
    invocation::command,
    leftovers,
    tags::{self, Owner},
};

/// So many objects of somebody else's are named for each thing they lie in.
const NAMED: usize = 10;

/// A line for each thing that has one of our names without our tag, or our tag without one of our names.
pub(super) async fn told(
    session: &Session,
    stages: &[Stage],
    doomed: &[Doomed],
    foreign: &[Doomed],
) -> Result<Vec<String>> {
    // That the domain leads elsewhere is not for a deletion to tell.
    let named = foreign.iter().filter(|one| one.key != Key::AliasRecord);
    let mut told: Vec<String> = named.map(line).collect();
    let strangers = leftovers::strangers(&session.catalog, stages, doomed, &session.cx).await?;
    told.extend(strangers.into_iter().map(|arn| {
        format!("{arn}: it has our tag `{}`, but is not what jitsi-aws makes", tags::DEPLOYMENT)
    }));
    Ok(told)
}

fn line(Doomed { key, name, found }: &Doomed) -> String {
    let why = match &found.owner {
        Owner::Foreign(why) => why.to_string(),
        Owner::Ours | Owner::Borrowed => String::new(),
    };
    format!("{} `{name}`: {why}", key.title())
}

/// Refuses to delete what somebody else has put something into, before anything is deleted.
pub(super) async fn refuse_occupied(session: &Session, doomed: &[Doomed]) -> Result<()> {
    let occupied = engine::occupied(&session.catalog, doomed, &session.cx).await?;
    if occupied.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for (Doomed { key, name, .. }, mut occupants) in occupied {
        let more = occupants.len().saturating_sub(NAMED);
        lines.push(format!("{} `{name}` holds:", key.title()));
        occupants.truncate(NAMED);
        lines.extend(occupants.into_iter().map(|occupant| format!("  {occupant}")));
        if more > 0 {
            lines.push(format!("  and {more} more"));
        }
    }
    Err(Hinted::user(
        "somebody else has put something into what would be deleted; nothing was deleted",
        format!("move or delete that, then run `{}` again", command("setup delete")),
    )
    .with(lines)
    .into())
}

/// The error for what was left. `deleted`: how much of ours is gone.
pub(super) fn kept(deleted: usize, lines: Vec<String>) -> Hinted {
    let things =
        if lines.len() == 1 { "1 thing".to_owned() } else { format!("{} things", lines.len()) };
    Hinted::user(
        format!("deleted {deleted}, and 0 of ours are left; {things} of somebody else's stayed as they were"),
        format!(
            "leave what belongs to another deployment, `{}` shows those there are; delete by hand only what you \
             know to be a rest of this one",
            command("list")
        ),
    )
    .with(lines)
}
