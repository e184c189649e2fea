//! One look at a few resources, without patience: how they differ from what is asked for at this moment.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::{Drift, Entry, Key};
use crate::cx::Cx;

/// A resource that is missing or differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which.
    pub key: Key,
    /// Its name.
    pub name: String,
    /// Where it differs; nothing when it is missing.
    pub drift: Vec<Drift>,
}

/// What of `keys` is missing or differs. What is in the way of one is no difference: whoever plans or sets
/// up its stage is told.
pub async fn differences(catalog: &[Entry], keys: &[Key], cx: &Cx) -> Result<Vec<Difference>> {
    let entries = catalog.iter().filter(|entry| keys.contains(&entry.key));
    let looks = entries.map(|entry| async move {
        let found = entry.resource.find(cx).await?;
        let drift = match entry.current(cx, &found) {
            Ok(None) => Vec::new(),
            Ok(Some(found)) if !found.drift.is_empty() => found.drift,
            Ok(Some(_)) | Err(_) => return anyhow::Ok(None),
        };
        Ok(Some(Difference { key: entry.key.clone(), name: entry.resource.name(cx), drift }))
    });
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}
