//! What `setup delete` leaves as it is, because it is somebody else's, and how that is told.

use anyhow::Result;

use super::session::Session;
use crate::{
    engine::{self, Doomed, Key, Stage},
    error::Hinted,
    invocation::command,
    leftovers,
    tags::{self, Owner},
    ui::counted,
};

/// So many objects of somebody else's are named for each thing they lie in.
const NAMED: usize = 10;

/// What `setup delete` leaves as it is: a line for each.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What has one of our names without our tag, or our tag without one of our names.
    theirs: Vec<String>,
    /// DNS records of ours where these credentials have no rights.
    out_of_reach: Vec<String>,
}

impl Told {
    pub(super) fn is_empty(&self) -> bool {
        self.theirs.is_empty() && self.out_of_reach.is_empty()
    }
}

/// Looks for it; `foreign` was met on the way.
pub(super) async fn told(
    session: &Session,
    stages: &[Stage],
    doomed: &[Doomed],
    foreign: &[Doomed],
) -> Result<Told> {
    let mut told = Told::default();
    for one in foreign {
        match one.key {
            // That the domain leads elsewhere is not for a deletion to tell.
            Key::AliasRecord => {}
            Key::FormerAliasRecords => told.out_of_reach.push(line(one)),
            _ => told.theirs.push(line(one)),
        }
    }
    let strangers = leftovers::strangers(&session.catalog, stages, doomed, &session.cx).await?;
    told.theirs.extend(strangers.into_iter().map(|arn| {
        format!("{arn}: it has our tag `{}`, but is not what jitsi-aws makes", tags::DEPLOYMENT)
    }));
    Ok(told)
}

fn line(Doomed { key, name, found }: &Doomed) -> String {
    let why = match &found.owner {
        Owner::Foreign(why) => why.to_string(),
        Owner::Ours | Owner::Borrowed => String::new(),
    };
    match key {
        Key::FormerAliasRecords => why, // which says its name
        _ => format!("{} `{name}`: {why}", key.title()),
    }
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
        lines.push(format!("{} `{name}`:", key.title()));
        occupants.truncate(NAMED);
        lines.extend(occupants.into_iter().map(|occupant| format!("  {occupant}")));
        if more > 0 {
            lines.push(format!("  and {more} more"));
        }
    }
    Err(Hinted::user(
        "what would be deleted has something of somebody else's in it or depending on it; nothing was deleted",
        format!("move, detach or delete that, then run `{}` again", command("setup delete")),
    )
    .with(lines)
    .into())
}

/// The error for what was left. `deleted`: how much of ours is gone.
pub(super) fn kept(deleted: usize, told: Told) -> Hinted {
    let Told { theirs, out_of_reach } = told;
    let (mut left, mut hints) = (Vec::new(), Vec::new());
    match out_of_reach.len() {
        0 => left.push("0 of ours are left".to_owned()),
        many => left.push(format!(
            "{} of ours may be left where these credentials have no rights",
            counted(many, "DNS record")
        )),
    }
    if !out_of_reach.is_empty() {
        hints.push("delete the DNS records now, with the command beside each: nothing will tell of them again".to_owned());
    }
    if !theirs.is_empty() {
        left.push(format!(
            "{} of somebody else's stayed as they were",
            counted(theirs.len(), "thing")
        ));
        hints.push(format!(
            "leave what belongs to another deployment, `{}` shows those there are; delete by hand only what you \
             know to be a rest of this one",
            command("list")
        ));
    }
    Hinted::user(format!("deleted {deleted}, and {}", left.join("; ")), hints.join("; "))
        .with(out_of_reach.into_iter().chain(theirs))
}
