//! apt and dpkg: unattended, patient with other users of their locks, and never guessing.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jitsi_templates::Versions;
use jitsi_templates::settings::Repository;

use super::keys::HELPER;
use super::os::Os;
use crate::advice::Advice;
use crate::system::{Command, System};

/// Unattended upgrades and cloud-init hold the lock for minutes on a fresh instance.
const LOCK_WAIT: &str = "DPkg::Lock::Timeout=600";
/// A clock that is behind finds lists from the future, which prove nothing bad; apt's default forgives
/// 10 s. What guards against old lists, `Valid-Until`, stays (apt.conf(5), `Acquire::Max-FutureTime`).
const FUTURE: &str = "Acquire::Max-FutureTime=86400";
/// Longer than the lock wait and a slow mirror together.
const LIMIT: Duration = Duration::from_mins(25);
/// What the rest of the installation needs and a minimal image may lack.
const PREREQUISITES: [&str; 4] = ["ca-certificates", "gpg", "nftables", "openssl"];
/// Named beside Jitsi's packages so that apt does not choose another alternative of their dependencies.
const NGINX: &str = "nginx";
/// Brings security updates every day; Debian's and Ubuntu's images have it, others may not.
const UPGRADES: &str = "unattended-upgrades";
/// The Java versions Jitsi's packages take, the one they are built for first; a distribution has few.
const JAVA: [&str; 2] = ["openjdk-17-jre-headless", "openjdk-21-jre-headless"];

fn get<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let options = ["-q", "-y", "-o", LOCK_WAIT, "-o", "Acquire::Retries=3"];
    Command::new("apt-get", options.into_iter().chain(arguments))
        .environment("DEBIAN_FRONTEND", "noninteractive")
        .environment("APT_LISTCHANGES_FRONTEND", "none")
        .environment("NEEDRESTART_SUSPEND", "1")
        .limit(LIMIT)
}

fn get_install<'a>(packages: impl IntoIterator<Item = &'a str>) -> Command {
    let options = [
        "install",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
    ];
    get(options.into_iter().chain(packages))
}

pub(super) async fn run(system: &dyn System, command: Command) -> Result<String> {
    Ok(system.run(&command).await?.success(&command)?.stdout)
}

/// Whether every package is installed and held, in the pinned version if there is one.
pub(super) async fn is_complete(
    system: &dyn System,
    wanted: &[&str],
    version: Option<&str>,
) -> Result<bool> {
    let states = states(system, wanted).await?;
    Ok(wanted.iter().all(|name| {
        states.iter().any(|state| {
            state.name == *name
                && state.installed
                && state.held
                && (*name != "jitsi-meet" || version.is_none_or(|version| state.version == version))
        })
    }))
}

struct PackageState {
    name: String,
    installed: bool,
    held: bool,
    version: String,
}

async fn states(system: &dyn System, names: &[&str]) -> Result<Vec<PackageState>> {
    const FORMAT: &str = "${Package} ${db:Status-Status} ${db:Status-Want} ${Version}\\n";
    let arguments = ["-W", "-f", FORMAT].into_iter().chain(names.iter().copied());
    // Exit code 1 only means that some of them are unknown.
    let output = system.run(&Command::new("dpkg-query", arguments)).await?;
    Ok(output.stdout.lines().filter_map(state).collect())
}

fn state(line: &str) -> Option<PackageState> {
    let mut fields = line.split_whitespace();
    Some(PackageState {
        name: fields.next()?.to_owned(),
        installed: fields.next()? == "installed",
        held: fields.next()? == "hold",
        version: fields.next().unwrap_or_default().to_owned(),
    })
}

/// Installs a package that was fetched, with what it depends on.
pub(super) async fn install_file(system: &dyn System, path: &str) -> Result<()> {
    run(system, get_install([path])).await.map(drop)
}

/// Ends what a killed installation left half done.
pub(super) async fn repair(system: &dyn System) -> Result<()> {
    let audit = Command::new("dpkg", ["--audit"]);
    if run(system, audit).await?.trim().is_empty() {
        return Ok(());
    }
    tracing::warn!("an earlier installation was interrupted: finishing it");
    let configure =
        Command::new("dpkg", ["--configure", "-a", "--force-confdef", "--force-confold"])
            .environment("DEBIAN_FRONTEND", "noninteractive")
            .limit(LIMIT);
    let output = system.run(&configure).await?;
    if !output.ok() {
        // The lock may be taken, or a package half unpacked: apt's own repair comes next.
        tracing::warn!("`{configure}`: {}", output.last_words());
        run(system, get(["-f", "install"])).await?;
    }
    Ok(())
}

/// Fetches the package lists; a repository that fails is an error, not a remark.
pub(super) async fn update(system: &dyn System) -> Result<()> {
    run(system, get(["-o", "APT::Update::Error-Mode=any", "-o", FUTURE, "update"])).await.map(drop)
}

/// Tools the installation itself needs, from the distribution.
pub(super) async fn install_prerequisites(system: &dyn System, os: &Os) -> Result<()> {
    let states = states(system, &PREREQUISITES).await?;
    let installed = |name: &&str| states.iter().any(|s| s.name == **name && s.installed);
    let missing: Vec<&str> = PREREQUISITES.into_iter().filter(|name| !installed(name)).collect();
    if missing.is_empty() && !os.ubuntu {
        return Ok(());
    }
    // Without error mode: sources of ours may be there from an earlier attempt, with a key missing.
    run(system, get(["-o", FUTURE, "update"])).await?;
    if os.ubuntu && !offers(system, "ruby-hocon").await? {
        tracing::info!("adding Ubuntu's universe");
        run(system, Command::new("add-apt-repository", ["-y", "universe"]).limit(LIMIT)).await?;
    }
    if !missing.is_empty() {
        run(system, get_install(missing)).await?;
    }
    Ok(())
}

/// Whether a repository has a suite for this distribution. No index in one place may be a mirror
/// that is being renewed or a proxy's mistake: only a repository that answers well for another of its
/// files and has neither form of the index (Debian's wiki, `DebianRepository/Format`) has no suite.
pub(super) async fn has_suite(
    system: &dyn System,
    repository: &Repository,
    codename: &str,
) -> Result<bool> {
    let suite = repository.suite.replace("{codename}", codename);
    let base = repository.url.trim_end_matches('/');
    let folder = match suite.strip_suffix('/') {
        Some(flat) => format!("{base}/{flat}"),
        None => format!("{base}/dists/{suite}"),
    };
    for index in ["InRelease", "Release"] {
        if is_there(system, &format!("{folder}/{index}")).await? {
            return Ok(true);
        }
    }
    // The key lies beside the repository, and has to be fetched anyway.
    if is_there(system, &repository.key_url).await? {
        return Ok(false);
    }
    bail!(Advice::new(
        format!(
            "{folder} and {} are both missing: the repository itself is away",
            repository.key_url
        ),
        format!("curl -fI {}", repository.key_url),
    ))
}

/// False when the server says that there is no such file.
async fn is_there(system: &dyn System, url: &str) -> Result<bool> {
    let command = Command::new(HELPER, ["download-file", url, "/var/lib/jitsi-agent/looked-for"])
        .limit(LIMIT);
    let output = system.run(&command).await?;
    if output.ok() {
        return Ok(true);
    }
    let said = format!("{}{}", output.stdout, output.stderr);
    // apt's HTTP method prints the status line: `E: Failed to fetch URL  404  Not Found [IP: …]`.
    if said.contains(" 404  ") {
        return Ok(false);
    }
    output
        .success(&command)
        .map(drop)
        .with_context(|| Advice::new(format!("looking for {url}"), format!("curl -fI {url}")))?;
    Ok(false)
}

/// Whether some repository offers `package`.
pub(super) async fn offers(system: &dyn System, package: &str) -> Result<bool> {
    let listed = run(system, Command::new("apt-cache", ["madison", package])).await?;
    Ok(!listed.trim().is_empty())
}

/// Installs the site's packages in these versions, and what they rest on.
pub(super) async fn install(
    system: &dyn System,
    wanted: &[&str],
    versions: &Versions,
) -> Result<()> {
    // A pattern is the pins' affair: apt-get takes whole versions.
    let named: Vec<String> = wanted
        .iter()
        .map(|name| match versions.get(*name).filter(|version| !version.ends_with('*')) {
            Some(version) => format!("{name}={version}"),
            None => (*name).to_owned(),
        })
        .collect();
    let java = if offers(system, JAVA[0]).await? { JAVA[0] } else { JAVA[1] };
    // An image may bring other versions, and hold them.
    let packages = ["--allow-downgrades", "--allow-change-held-packages", java, NGINX, UPGRADES]
        .into_iter()
        .chain(named.iter().map(String::as_str));
    run(system, get_install(packages)).await.map(drop)
}

/// The versions of those that are installed.
pub(super) async fn versions(system: &dyn System, wanted: &[&str]) -> Result<Versions> {
    let installed = states(system, wanted).await?.into_iter().filter(|state| state.installed);
    Ok(installed.map(|state| (state.name, state.version)).collect())
}

/// Keeps upgrades away: a new set of modules would run with the old set's configuration.
pub(super) async fn hold(system: &dyn System, wanted: &[&str]) -> Result<()> {
    run(system, Command::new("apt-mark", ["hold"].into_iter().chain(wanted.iter().copied())))
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::fake::Fake;

    const WANTED: [&str; 2] = ["prosody", "jitsi-meet"];

    #[tokio::test]
    async fn complete_means_installed_held_and_of_the_pinned_version() {
        let system = Fake::default();
        system.answer(
            "dpkg-query",
            0,
            "prosody installed hold 13.0.1-1\njitsi-meet installed hold 2.0.9584-1\n",
        );
        assert!(is_complete(&system, &WANTED, None).await.unwrap());
        assert!(is_complete(&system, &WANTED, Some("2.0.9584-1")).await.unwrap());
        assert!(!is_complete(&system, &WANTED, Some("2.0.1-1")).await.unwrap());
        system.answer("dpkg-query", 1, "prosody installed hold 13.0.1-1\n");
        assert!(!is_complete(&system, &WANTED, None).await.unwrap());
        system.answer(
            "dpkg-query",
            0,
            "prosody half-configured hold 13\njitsi-meet installed install 2\n",
        );
        assert!(!is_complete(&system, &WANTED, None).await.unwrap());
    }

    #[tokio::test]
    async fn only_a_repository_that_answers_can_lack_a_suite() {
        const GONE: &str = "E: Failed to fetch http://x/404  404  Not Found [IP: 1.2.3.4 80]";
        let system = Fake::default();
        let repository = Repository {
            url: "https://packages.prosody.im/debian/".into(),
            suite: "{codename}".into(),
            key_url: "https://prosody.im/files/key".into(),
            key_fingerprint: String::new(),
        };
        assert!(has_suite(&system, &repository, "noble").await.unwrap());
        let folder =
            format!("{HELPER} download-file https://packages.prosody.im/debian/dists/noble");
        assert!(system.ran()[0].starts_with(&format!("{folder}/InRelease ")));
        system.answer(&format!("{folder}/InRelease"), 100, GONE);
        assert!(has_suite(&system, &repository, "noble").await.unwrap(), "there is a Release");
        system.answer(&format!("{folder}/"), 100, GONE);
        assert!(!has_suite(&system, &repository, "noble").await.unwrap());
        system.answer(HELPER, 100, GONE);
        let error = has_suite(&system, &repository, "noble").await.unwrap_err();
        assert!(format!("{error:#}").contains("the repository itself is away"), "{error:#}");
        system.answer(HELPER, 100, "E: Failed to fetch http://x/404  503  Service Unavailable");
        assert!(has_suite(&system, &repository, "noble").await.is_err());
    }

    #[tokio::test]
    async fn every_package_is_named_with_its_version() {
        let system = Fake::default();
        system.answer("apt-cache", 0, " openjdk-17-jre-headless | 17.0.16 | x\n");
        let versions = Versions::from([
            ("jitsi-meet".into(), "2.0.9584-1".into()),
            ("prosody".into(), "13.*".into()),
        ]);
        install(&system, &WANTED, &versions).await.unwrap();
        let ran = system.ran();
        let line = ran.last().unwrap();
        assert!(line.ends_with(
            "openjdk-17-jre-headless nginx unattended-upgrades prosody jitsi-meet=2.0.9584-1"
        ));
        assert!(line.contains("--no-install-recommends") && line.contains("--allow-downgrades"));
        assert!(line.contains("DPkg::Lock::Timeout=600") && line.contains("--force-confold"));
    }

    #[tokio::test]
    async fn a_distribution_without_the_older_java_gets_the_newer() {
        let system = Fake::default(); // Debian 13 offers no openjdk-17
        install(&system, &WANTED, &Versions::new()).await.unwrap();
        assert!(system.ran().last().unwrap().contains(" openjdk-21-jre-headless nginx "));
    }

    #[tokio::test]
    async fn an_interrupted_installation_is_finished_first() {
        let system = Fake::default();
        repair(&system).await.unwrap();
        assert_eq!(system.ran(), ["dpkg --audit"]);
        system.answer("dpkg --audit", 0, "The following packages are only half configured");
        system.answer("dpkg --configure", 1, "dpkg: error");
        repair(&system).await.unwrap();
        assert!(system.ran().last().unwrap().ends_with("-f install"));
    }

    // apt 2.6 says `Release file for … is not valid yet` without it.
    #[tokio::test]
    async fn a_clock_that_is_behind_keeps_no_list_away() {
        let system = Fake::default();
        update(&system).await.unwrap();
        install_prerequisites(&system, &Os { codename: "noble".into(), ubuntu: true })
            .await
            .unwrap();
        let ran = system.ran();
        let mut updates = ran.iter().filter(|line| line.ends_with(" update"));
        assert!(updates.all(|line| line.contains("Acquire::Max-FutureTime=86400")), "{ran:?}");
    }
}
