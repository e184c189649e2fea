//! The set: Jitsi's packages and Prosody in versions that belong together. `jitsi-meet` depends on
//! the others in exact versions, and apt prefers the newest of each: once a release is out, asking
//! for `jitsi-meet` of the one before ends in "held broken packages" unless each of them is named
//! with its version (Jitsi's forum and tracker know it as "unmet dependencies" of old versions).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use jitsi_templates::Versions;

use super::apt;
use crate::advice::Advice;
use crate::retry::Hopeless;
use crate::system::{Command, System};

/// The package that names the others.
const META: &str = "jitsi-meet";
/// Versions of Prosody the rendered configuration is written for.
const PROSODY: &str = "13.";

/// Decides what to install of `wanted`: what was asked for, else what was proven, else the newest.
pub(super) async fn choose(
    system: &dyn System,
    wanted: &[&str],
    asked: Option<&str>,
    proven: Option<&Versions>,
) -> Result<Versions> {
    let offers = Offers::of(system, wanted).await?;
    let mut noted = proven.cloned();
    if let Some(noted) = &mut noted {
        add_tokens(noted, wanted);
    }
    if let Some(proven) = &noted {
        let missing = offers.lacks(wanted, proven);
        if missing.is_empty() {
            tracing::info!("installing the set that held a meeting: {}", line(proven));
            let of_site = |(name, _): &(&String, &String)| wanted.contains(&name.as_str());
            return Ok(proven
                .iter()
                .filter(of_site)
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect());
        }
        tracing::warn!(
            "the repositories no longer have {} of the set that held a meeting",
            missing.join(", ")
        );
    }
    let asked = asked.filter(|asked| {
        // One that was proven was no mistake: a site with newer packages is better than none.
        let gone = proven.is_some() && !offers.has(META, asked);
        if gone {
            tracing::warn!("the repositories no longer have {META} {asked}: taking the newest");
        }
        !gone
    });
    let mut set = with_dependencies(system, wanted, asked).await.with_context(|| {
        Advice::new(
            format!("looking for {META} {}", asked.unwrap_or_default()),
            format!(
                "set version in [jitsi] to one of {}",
                offers.0.get(META).map(|all| all.join(", ")).unwrap_or_default()
            ),
        )
    })?;
    let prosody = proven.and_then(|proven| proven.get("prosody"));
    if let Some(exact) = prosody.filter(|version| offers.has("prosody", version)) {
        set.insert("prosody".to_owned(), exact.clone());
    } else if offers.0.get("prosody").is_some_and(|all| all.iter().any(|v| v.starts_with(PROSODY)))
    {
        set.insert("prosody".to_owned(), format!("{PROSODY}*"));
    } else {
        // Pinned only where there is one, or nothing could be installed.
        tracing::warn!("no repository offers Prosody 13: taking what there is");
    }
    tracing::info!("installing {}", line(&set));
    Ok(set)
}

/// `jicofo 1.0-1170-1, …`.
pub(crate) fn line(set: &Versions) -> String {
    let each = set.iter().map(|(name, version)| format!("{name} {version}"));
    each.collect::<Vec<_>>().join(", ")
}

/// What of `set` the repositories no longer have.
pub(crate) async fn unavailable(system: &dyn System, set: &Versions) -> Result<Vec<String>> {
    let names: Vec<&str> = set.keys().map(String::as_str).collect();
    Ok(Offers::of(system, &names).await?.lacks(&names, set))
}

/// Every version the repositories have, by package.
struct Offers(BTreeMap<String, Vec<String>>);

impl Offers {
    async fn of(system: &dyn System, wanted: &[&str]) -> Result<Self> {
        let arguments = ["madison"].into_iter().chain(wanted.iter().copied());
        let listed = apt::run(system, Command::new("apt-cache", arguments)).await?;
        let mut offers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // ` prosody | 13.0.1-1 | http://… bookworm/main amd64 Packages`
        for line in listed.lines() {
            let mut fields = line.split('|').map(str::trim);
            if let (Some(name), Some(version)) = (fields.next(), fields.next()) {
                offers.entry(name.to_owned()).or_default().push(version.to_owned());
            }
        }
        Ok(Self(offers))
    }

    fn has(&self, name: &str, version: &str) -> bool {
        self.0.get(name).is_some_and(|all| all.iter().any(|offered| offered == version))
    }

    /// What of `set` is not to be had, or what it does not know of `wanted`.
    fn lacks(&self, wanted: &[&str], set: &Versions) -> Vec<String> {
        let lacking = |name: &&&str| !set.get(**name).is_some_and(|v| self.has(name, v));
        let named = |name: &&str| match set.get(*name) {
            Some(version) => format!("{name} {version}"),
            None => format!("any {name}"),
        };
        wanted.iter().filter(lacking).map(named).collect()
    }
}

/// `jitsi-meet` in the version asked for, or the newest, and everything it names exactly.
async fn with_dependencies(
    system: &dyn System,
    wanted: &[&str],
    asked: Option<&str>,
) -> Result<Versions> {
    let which = asked.map_or(META.to_owned(), |version| format!("{META}={version}"));
    let show = Command::new("apt-cache", ["show", "--no-all-versions", which.as_str()]);
    let record = apt::run(system, show).await?;
    // apt finds a version that is not there no mistake, and says nothing.
    let version = field(&record, "Version").ok_or_else(|| match asked {
        Some(_) => anyhow!(Hopeless::new("the repositories do not have it")),
        None => anyhow!("the repositories have none"),
    })?;
    let mut set = exact_dependencies(&record, wanted);
    set.insert(META.to_owned(), version.to_owned());
    add_tokens(&mut set, wanted);
    Ok(set)
}

/// The token modules are built from one source with Prosody's other modules, and no package says so. A
/// set that was proven on an open site has none.
fn add_tokens(set: &mut Versions, wanted: &[&str]) {
    const TOKENS: &str = "jitsi-meet-tokens";
    if let Some(modules) = set.get("jitsi-meet-prosody").cloned()
        && wanted.contains(&TOKENS)
    {
        set.entry(TOKENS.to_owned()).or_insert(modules);
    }
}

/// `Depends: jicofo (= 1.0-1170-1), …`, and `Pre-Depends`.
fn exact_dependencies(record: &str, wanted: &[&str]) -> Versions {
    ["Pre-Depends", "Depends"]
        .into_iter()
        .filter_map(|name| field(record, name))
        .flat_map(|value| value.split(','))
        .filter_map(|dependency| {
            let (name, version) = dependency.trim().split_once(" (= ")?;
            let version = version.strip_suffix(')')?;
            wanted.contains(&name).then(|| (name.to_owned(), version.to_owned()))
        })
        .collect()
}

/// A field of the first record; apt does not wrap these.
fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::next_step;
    use crate::retry::is_hopeless;
    use crate::system::fake::Fake;

    const WANTED: [&str; 4] = ["prosody", META, "jicofo", "jitsi-meet-tokens"];
    const OLD: &str = "Package: jitsi-meet\nVersion: 2.0.1-1\nPre-Depends: jitsi-videobridge2 (= 2.3-1)\n\
        Depends: jicofo (= 1.0-1-1), jitsi-meet-prosody (= 1.0.1-1), debconf (>= 0.5)\n\nVersion: 9\n";

    /// A repository with two releases.
    fn machine() -> Fake {
        let system = Fake::default();
        let offers = "jitsi-meet | 2.0.2-1 | x\n jitsi-meet | 2.0.1-1 | x\n jicofo | 1.0-2-1 | x\n \
            jicofo | 1.0-1-1 | x\n prosody | 0.12.3-1 | x\n prosody | 13.0.1-1 | y\n \
            jitsi-meet-tokens | 1.0.1-1 | x\n";
        system.answer("apt-cache madison", 0, offers);
        let newest = OLD.replace("1-1", "2-1");
        system.answer_by("apt-cache show", move |_| (0, newest.clone()));
        system.answer_by("apt-cache show --no-all-versions jitsi-meet=", |_| (0, String::new()));
        system.answer("apt-cache show --no-all-versions jitsi-meet=2.0.1-1", 0, OLD);
        system
    }

    fn proven() -> Versions {
        [(META, "2.0.1-1"), ("jicofo", "1.0-1-1"), ("prosody", "13.0.1-1")]
            .into_iter()
            .chain([("jitsi-meet-tokens", "1.0.1-1"), ("jitsi-videobridge2", "2.3-1")])
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect()
    }

    #[tokio::test]
    async fn an_older_version_brings_its_own_dependencies() {
        let set = choose(&machine(), &WANTED, Some("2.0.1-1"), None).await.unwrap();
        let wanted = "jicofo 1.0-1-1, jitsi-meet 2.0.1-1, prosody 13.*";
        assert_eq!(line(&set), wanted, "tokens follow the modules only where those are wanted");
        let wanted = [WANTED.as_slice(), &["jitsi-meet-prosody"]].concat();
        let set = choose(&machine(), &wanted, Some("2.0.1-1"), None).await.unwrap();
        assert_eq!(set["jitsi-meet-tokens"], "1.0.1-1");
    }

    #[tokio::test]
    async fn what_held_a_meeting_comes_before_what_is_new() {
        let set = choose(&machine(), &WANTED, None, Some(&proven())).await.unwrap();
        assert_eq!(
            line(&set),
            "jicofo 1.0-1-1, jitsi-meet 2.0.1-1, jitsi-meet-tokens 1.0.1-1, prosody 13.0.1-1"
        );
        assert_eq!(choose(&machine(), &WANTED, None, None).await.unwrap()[META], "2.0.2-1");
    }

    #[tokio::test]
    async fn a_set_of_an_open_site_serves_one_with_tokens() {
        let mut open = proven();
        open.remove("jitsi-meet-tokens");
        open.insert("jitsi-meet-prosody".to_owned(), "1.0.1-1".to_owned());
        let set = choose(&machine(), &WANTED, None, Some(&open)).await.unwrap();
        assert_eq!((&*set["jitsi-meet-tokens"], &*set[META]), ("1.0.1-1", "2.0.1-1"));
    }

    #[tokio::test]
    async fn a_proven_set_that_is_gone_is_followed_by_the_newest() {
        let mut gone = proven();
        gone.insert(META.to_owned(), "2.0.0-1".to_owned());
        for asked in [None, Some("2.0.0-1")] {
            let set = choose(&machine(), &WANTED, asked, Some(&gone)).await.unwrap();
            assert_eq!((&*set[META], &*set["prosody"]), ("2.0.2-1", "13.0.1-1"));
        }
    }

    #[tokio::test]
    async fn a_version_that_never_was_is_named_with_those_there_are() {
        let error = choose(&machine(), &WANTED, Some("2.0.7-1"), None).await.unwrap_err();
        assert!(is_hopeless(&error));
        assert_eq!(next_step(&error), Some("set version in [jitsi] to one of 2.0.2-1, 2.0.1-1"));
    }

    #[tokio::test]
    async fn without_prosody_13_none_is_pinned() {
        let system = machine();
        system.answer("apt-cache madison", 0, " prosody | 0.12.3-1 | x\n");
        let set = choose(&system, &WANTED, None, None).await.unwrap();
        assert!(!set.contains_key("prosody"));
    }
}
