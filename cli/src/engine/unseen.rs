//! What may not be looked at because the deployer's rights are not those it needs: a plan tells of the rest.

use std::{collections::BTreeMap, sync::Mutex};

use super::{Entry, Key};
use crate::{aws::AwsError, cx::Cx, shared::lock};

/// What AWS refused to show, and with it all that needs it; why.
#[derive(Default)]
pub(super) struct Unseen(Mutex<BTreeMap<Key, String>>);

impl Unseen {
    /// Why this cannot be seen, if that is so.
    pub(super) fn why(&self, key: &Key) -> Option<String> {
        lock(&self.0).get(key).cloned()
    }

    /// Whether `entry` needs what could not be seen; then it cannot be seen either.
    pub(super) fn hides(&self, entry: &Entry) -> bool {
        let why = entry.needs.iter().find_map(|need| self.why(need));
        let hides = why.is_some();
        lock(&self.0).extend(why.map(|why| (entry.key.clone(), why)));
        hides
    }

    /// Takes note of a refusal that the deployer's rights explain; hands back any other error.
    pub(super) fn excuse(&self, cx: &Cx, key: &Key, error: anyhow::Error) -> anyhow::Result<()> {
        let denied = error
            .downcast_ref::<AwsError>()
            .is_some_and(|error| error.is_denied() && !error.is_denied_explicitly());
        if !denied || !cx.recent.rights_differ() {
            return Err(error);
        }
        lock(&self.0).insert(key.clone(), format!("{error:#}"));
        Ok(())
    }
}
