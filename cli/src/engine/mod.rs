//! Declared resources and one small engine that makes AWS agree with them. It keeps no state file:
//! what exists is found by name or tag each time, and nothing here knows any AWS service.

mod apply;
mod check;
mod delete;
mod differences;
mod event;
mod graph;
mod key;
mod patience;
mod plan;
mod twins;
mod unseen;

use anyhow::Result;
use async_trait::async_trait;

pub use apply::{apply, apply_one, foresee};
pub use check::check;
pub use delete::{Doomed, Survey, delete, inventory, occupied, survey};
pub use differences::{Difference, differences};
pub use event::{Event, Listener, Outcome, Summary};
pub use key::{Key, Stage};
pub(crate) use patience::patiently;
pub use plan::{Change, Planned, plan};
pub use twins::{Verdict, twins};

use crate::{
    cx::Cx,
    error::{ANOTHER_NAME, Hinted},
    invocation::{as_admin, command},
    names::Names,
    policy::Permission,
    tags::{Foreign, Owner},
};

/// One row of the catalog.
pub struct Entry {
    /// Its name in the graph.
    pub key: Key,
    /// What must exist before it, and must not be deleted before it.
    pub needs: Vec<Key>,
    /// How it is found, made, changed and deleted.
    pub resource: Box<dyn Resource>,
}

/// Something AWS keeps for us.
#[async_trait]
pub trait Resource: Send + Sync {
    /// The name a person knows it by.
    fn name(&self, cx: &Cx) -> String;

    /// What the calls below need to be allowed, on what.
    fn permissions(&self, names: &Names) -> Vec<Permission>;

    /// Whether the configuration asks for it at all.
    fn wanted(&self, _cx: &Cx) -> bool {
        true
    }

    /// What is asked for, in a few words with its values, for whoever reads a plan.
    fn intent(&self, _cx: &Cx) -> String {
        String::new()
    }

    /// Whether AWS has what the configuration names for it, asked before anything is written and whatever
    /// exists. What it has not is the user's to mend: [`crate::error::Hinted`].
    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    /// What uses this one of two, in words, if anything does.
    async fn used_by(&self, _cx: &Cx, _found: &Found) -> Result<Option<String>> {
        Ok(None)
    }

    /// Why it can be neither made nor used beside what was found, if so; asked before anything is changed.
    fn refuse(&self, _cx: &Cx, _all: &[Found]) -> Option<Hinted> {
        None
    }

    /// All that exists of it: by its name, else by our owner tag. Empty when there is none or its
    /// parent is absent. Only the service's own named way of saying "no such thing" means absent.
    async fn find(&self, cx: &Cx) -> Result<Vec<Found>>;

    /// Makes it, tagged in the same call where AWS can, and returns its id. Must not be repeated
    /// blindly below the engine: a lost answer must not leave a twin.
    async fn create(&self, cx: &Cx) -> Result<String>;

    /// Mends its drift.
    async fn update(&self, cx: &Cx, found: &Found) -> Result<()>;

    /// What somebody else has put into it, which deleting it would destroy: a line for each. Asked before
    /// anything is deleted.
    async fn occupants(&self, _cx: &Cx, _found: &Found) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Deletes it; already gone is fine.
    async fn delete(&self, cx: &Cx, found: &Found) -> Result<()>;

    /// Waits, bounded, until others can build on it.
    async fn wait(&self, _cx: &Cx, _id: &str) -> Result<()> {
        Ok(())
    }
}

/// Something that exists.
#[derive(Clone, Debug)]
pub struct Found {
    /// What others refer to it by: an id (`vpc-…`), an ARN or a name, whichever the API takes.
    pub id: String,
    /// Whose it is.
    pub owner: Owner,
    /// Its own name, where that of the resource stands for several.
    pub name: Option<String>,
    /// Where it differs from the configuration.
    pub drift: Vec<Drift>,
    /// Ours, but no longer wanted: deleted once everything else is as it should be.
    pub stale: bool,
    /// Ours, and somebody else's to use: left alone, and deleted with the rest.
    pub spare: bool,
    /// The id of the network it lies in, or is attached to.
    pub within: Option<String>,
    /// One line for a person: address range, zone, number of instances.
    pub detail: String,
    /// What will go wrong soon, though nothing differs: a certificate that expires.
    pub expiring: Option<String>,
    /// Fields that AWS cannot change in place.
    pub fixed: Vec<Fixed>,
    /// What stays other than configured though nothing is left to do about it here, and until when.
    pub remark: Option<String>,
    /// What somebody else has put beside it, or laid on it, that does harm and is not ours to take away: what
    /// it does, and the command that shows or removes it.
    pub warnings: Vec<String>,
}

/// A field that AWS cannot change in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The field, as its [`Drift`] names it.
    pub field: &'static str,
    /// The key of `jitsi.toml` it comes from, `[network] cidr`; `None` when it comes from none.
    pub key: Option<&'static str>,
}

impl Found {
    /// As it should be.
    pub fn new(id: impl Into<String>, owner: Owner) -> Self {
        Self {
            id: id.into(),
            owner,
            name: None,
            drift: Vec::new(),
            stale: false,
            spare: false,
            within: None,
            detail: String::new(),
            expiring: None,
            fixed: Vec::new(),
            remark: None,
            warnings: Vec::new(),
        }
    }

    /// Adds a line for a person.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Gives it a name of its own.
    #[must_use]
    pub fn called(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Marks it as no longer wanted.
    #[must_use]
    pub fn stale(mut self, stale: bool) -> Self {
        self.stale = stale;
        self
    }

    /// Says in which network it lies, or to which it is attached.
    #[must_use]
    pub fn within(mut self, network: Option<&str>) -> Self {
        self.within = network.map(str::to_owned);
        self
    }

    /// Marks it as somebody else's to use.
    #[must_use]
    pub fn spare(mut self) -> Self {
        self.spare = true;
        self
    }

    /// Compares one field; a difference becomes drift.
    #[expect(clippy::needless_pass_by_value, reason = "text, numbers and flags, mostly literals")]
    pub fn compare(
        &mut self,
        field: &'static str,
        actual: impl ToString,
        wanted: impl ToString,
    ) -> &mut Self {
        let (actual, wanted) = (actual.to_string(), wanted.to_string());
        if actual != wanted {
            self.drift.push(Drift { field, actual, wanted, effect: None });
        }
        self
    }

    /// Says that AWS cannot change `field` in place: where it differs, nothing is done.
    pub fn fixed(&mut self, field: &'static str, key: Option<&'static str>) -> &mut Self {
        self.fixed.push(Fixed { field, key });
        self
    }

    /// Whether `field` differs.
    pub fn drifted(&self, field: &str) -> bool {
        self.drift.iter().any(|drift| drift.field == field)
    }
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The field, in AWS's words: "instance type".
    pub field: &'static str,
    /// What it is.
    pub actual: String,
    /// What the configuration asks for.
    pub wanted: String,
    /// What users will feel of the change, where it is not nothing.
    pub effect: Option<String>,
}

impl Entry {
    /// What a person knows this one by.
    fn name_of(&self, cx: &Cx, found: &Found) -> String {
        found.name.clone().unwrap_or_else(|| self.resource.name(cx))
    }

    /// The one thing of this kind that is wanted, out of all that was found. More than one of ours
    /// is refused: nobody can tell which one the others refer to.
    fn current(&self, cx: &Cx, found: &[Found]) -> Result<Option<Found>> {
        let current = || found.iter().filter(|found| !found.stale && !found.spare);
        let foreign = current().find_map(|found| match &found.owner {
            Owner::Foreign(why) => Some((&found.id, why)),
            Owner::Ours | Owner::Borrowed => None,
        });
        if let Some((id, why)) = foreign {
            // Whoever reads this is told its name beside it.
            let it = if *id == self.resource.name(cx) { "it" } else { id };
            let hint = match why {
                // Of one that may be in use, nothing is to be removed.
                Foreign::Of(_) => format!(
                    "choose another [deployment] name in jitsi.toml; `{}` shows those there are",
                    command("list")
                ),
                Foreign::OfAnotherAccount => ANOTHER_NAME.to_owned(),
                Foreign::InTheWay { hint, .. } => hint.clone(),
                Foreign::Untagged | Foreign::Other(_) => {
                    "choose another [deployment] name in jitsi.toml, or remove it yourself"
                        .to_owned()
                }
            };
            return Err(
                Hinted::user(format!("{it} exists already and is not ours: {why}"), hint).into()
            );
        }
        if let Some(why) = self.resource.refuse(cx, found) {
            return Err(why.into());
        }
        let first = current().next().cloned();
        if let (Some(first), Some(second)) = (&first, current().nth(1)) {
            return Err(Hinted::user(
                format!("there are two: {} and {}", first.id, second.id),
                format!(
                    "`{}` shows which one is in use, and deletes the other",
                    command("setup repair")
                ),
            )
            .into());
        }
        if let Some(found) = first.as_ref().filter(|found| found.owner == Owner::Ours)
            && let Some(refusal) = self.unchangeable(cx, found)
        {
            return Err(refusal.into());
        }
        Ok(first)
    }

    /// Why it cannot become what the configuration asks for, and what can be done.
    fn unchangeable(&self, cx: &Cx, found: &Found) -> Option<Hinted> {
        let differs = |fixed: &Fixed| found.drift.iter().find(|drift| drift.field == fixed.field);
        let (key, drift) =
            found.fixed.iter().find_map(|fixed| Some((fixed.key, differs(fixed)?)))?;
        let Drift { field, actual, wanted, .. } = drift;
        let anew =
            format!("start anew: `{}`, then `{}`", as_admin("setup delete"), command("setup all"));
        let (asked, hint) = match key {
            Some(key) => (
                format!("{key} asks for {wanted}"),
                format!("set {key} in jitsi.toml back, or {anew}"),
            ),
            None => (format!("it must be {wanted}"), anew),
        };
        let name = self.resource.name(cx);
        let what = format!(
            "AWS cannot change the {field} of the {} `{name}`: it is {actual}, {asked}",
            self.key.title()
        );
        Some(Hinted::user(what, hint))
    }
}
