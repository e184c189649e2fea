//! What the configuration names and AWS does not have, or would refuse: told before the first write.

use anyhow::Result;

use super::{Entry, Stage, patience::patiently};
use crate::{cx::Cx, error::Hinted};

/// Asks every resource of `stages`; what is the user's to mend is told all at once.
pub async fn check(catalog: &[Entry], stages: &[Stage], cx: &Cx) -> Result<()> {
    let mut refused: Vec<anyhow::Error> = Vec::new();
    for entry in catalog.iter().filter(|entry| stages.contains(&entry.key.stage())) {
        // Two resources may take the same thing.
        if let Some(refusal) = refusal(entry, cx).await?
            && refused.iter().all(|known| known.to_string() != refusal.to_string())
        {
            refused.push(refusal);
        }
    }
    told_at_once(refused, "things that jitsi.toml names cannot be used")
}

/// What is the user's to mend as one error, with what can be done about each: `what` follows their number.
pub(super) fn told_at_once(mut refused: Vec<anyhow::Error>, what: &str) -> Result<()> {
    if refused.len() < 2 {
        return refused.pop().map_or(Ok(()), Err);
    }
    let mut hints: Vec<&str> = Vec::new();
    for hint in refused.iter().filter_map(|error| error.downcast_ref::<Hinted>()).map(Hinted::hint)
    {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    let what = format!("{} {what}; nothing was changed", refused.len());
    let details = refused.iter().map(|error| format!("{error:#}"));
    Err(Hinted::user(what, hints.join("; ")).with(details).into())
}

/// Why what `entry` takes cannot be used; an error that is not the user's to mend is one here, too.
pub(super) async fn refusal(entry: &Entry, cx: &Cx) -> Result<Option<anyhow::Error>> {
    match patiently(cx, &entry.key, || entry.resource.check(cx)).await {
        Ok(()) => Ok(None),
        Err(error) if error.is::<Hinted>() => Ok(Some(error)),
        Err(error) => {
            Err(error.context(format!("{} `{}`", entry.key.title(), entry.resource.name(cx))))
        }
    }
}
