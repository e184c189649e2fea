//! From a bare instance to installed packages: sources whose keys were checked, answers to the
//! packages' questions, pinned versions, held afterwards. A golden image passes in one look.

mod apt;
mod keys;
mod os;
mod set;
mod ssm_agent;
mod starts;
mod swap;
mod unit;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jitsi_templates::settings::{Authentication, InstanceSettings};
use jitsi_templates::{Consumer, InstallContext, Memory, OwnedFile, Secrets, Versions, layout};

use crate::advice::Advice;
use crate::retry::{Hopeless, retry};
use crate::system::{Command, Owner, System, memory_mib};
use crate::{certificate, system};

pub(crate) use set::{line, unavailable};
pub use ssm_agent::ensure as ensure_ssm_agent;
pub(crate) use ssm_agent::start_installing as start_installing_ssm_agent;
pub use unit::{ensure, leave_word};

/// Longest time for everything that needs the network: repositories were seen to be away for
/// minutes, and the launch hook is kept waiting by heartbeats meanwhile.
const NETWORK_LIMIT: Duration = Duration::from_mins(20);
/// Packages, Java among them, and their unpacked files need about 1.5 GB.
const LEAST_FREE: u64 = 2 << 30;

/// Installs whatever is missing, in the versions that were proven if there are any.
pub async fn install(
    system: &dyn System,
    settings: &InstanceSettings,
    secrets: &Secrets,
    proven: Option<&Versions>,
) -> Result<()> {
    let wanted = wanted(&settings.jitsi.authentication);
    let os = os::detect(system)?;
    check_hardware(system)?;
    swap::make(system).await?;
    certificate::ensure(system, settings.domain.as_str()).await?;
    // Before the repair, too: it configures what an earlier attempt unpacked.
    starts::forbid(system).await?;
    retry("installing prerequisites", NETWORK_LIMIT, || async {
        apt::repair(system).await?;
        apt::install_prerequisites(system, &os).await
    })
    .await?;
    let repositories = &settings.jitsi.apt;
    let ((), prosody_repository) = tokio::try_join!(
        retry("fetching Jitsi's signing key", NETWORK_LIMIT, || async {
            keys::fetch(system, &repositories.jitsi, layout::JITSI_KEYRING).await
        }),
        retry("looking for Prosody's repository", NETWORK_LIMIT, || async {
            apt::has_suite(system, &repositories.prosody, &os.codename).await
        }),
    )?;
    if prosody_repository {
        retry("fetching Prosody's signing key", NETWORK_LIMIT, || async {
            keys::fetch(system, &repositories.prosody, layout::PROSODY_KEYRING).await
        })
        .await?;
    } else {
        tracing::warn!(
            "Prosody's repository has nothing for {}: taking the distribution's Prosody",
            os.codename
        );
    }
    let render = |versions: &Versions| {
        let context = InstallContext {
            settings,
            codename: &os.codename,
            secrets,
            versions,
            prosody_repository,
        };
        jitsi_templates::render_install(&context).context(Hopeless::new("rendering apt's files"))
    };
    let mut files = render(&Versions::new())?;
    // Asked when packages are unpacked: telling debconf once is enough, and takes a third of a second.
    files.retain(|file| file.consumer != Consumer::Debconf);
    write(system, &files).await?;
    // An earlier choice would hide what the repositories have now.
    system.remove(Path::new(layout::APT_PINS))?;
    retry("updating package lists", NETWORK_LIMIT, || apt::update(system)).await?;
    let versions = set::choose(system, &wanted, settings.jitsi.version.as_deref(), proven).await?;
    write(system, &render(&versions)?).await?;
    let installed = retry("installing packages", NETWORK_LIMIT, || async {
        // A full disk leaves packages half installed, and apt touches nothing else before.
        apt::repair(system).await?;
        apt::install(system, &wanted, &versions).await
    });
    let installed = installed.await;
    // Before the packages are held: what is complete is not looked at again.
    starts::allow(system).await?;
    installed?;
    apt::hold(system, &wanted).await
}

/// The versions of the site's packages on this machine.
pub(crate) async fn versions(system: &dyn System, settings: &InstanceSettings) -> Result<Versions> {
    apt::versions(system, &wanted(&settings.jitsi.authentication)).await
}

/// The distribution's code name, `trixie`.
pub(crate) fn codename(system: &dyn System) -> Result<String> {
    Ok(os::detect(system)?.codename)
}

/// Whether nothing is to be installed.
pub async fn is_complete(system: &dyn System, settings: &InstanceSettings) -> Result<bool> {
    let wanted = wanted(&settings.jitsi.authentication);
    apt::is_complete(system, &wanted, settings.jitsi.version.as_deref()).await
}

/// The packages of a site. Dependencies name the rest in exactly matching versions.
fn wanted(authentication: &Authentication) -> Vec<&'static str> {
    let mut packages = vec![
        "prosody",
        "jitsi-meet",
        "jitsi-meet-web",
        "jitsi-meet-web-config",
        "jitsi-meet-prosody",
        "jitsi-videobridge2",
        "jicofo",
    ];
    if let Authentication::Jwt { .. } = authentication {
        packages.push("jitsi-meet-tokens");
    }
    packages
}

fn check_hardware(system: &dyn System) -> Result<()> {
    let memory = memory_mib(system)?;
    Memory::for_total(memory << 20).context(Hopeless::new("checking memory"))?;
    if memory < 3500 {
        tracing::warn!(
            "{memory} MiB of memory serve small meetings only: 4 GiB are the least advised"
        );
    }
    if system.processors() < 2 {
        tracing::warn!("one processor serves tests only: two are the least advised");
    }
    let free = system.free_bytes(std::path::Path::new("/var"))?;
    if free < LEAST_FREE {
        anyhow::bail!(Advice::new(
            format!("{} MiB are free on /var, {} are needed", free >> 20, LEAST_FREE >> 20),
            "set instance.disk_gib to 20 or more, or free space: du -xh -d2 /var",
        ));
    }
    Ok(())
}

/// Puts files in place; answers for debconf go to debconf and nowhere else.
async fn write(system: &dyn System, files: &[OwnedFile]) -> Result<()> {
    for file in files {
        if file.consumer == Consumer::Debconf {
            let command =
                Command::new("debconf-set-selections", [""; 0]).input(file.contents.clone());
            system.run(&command).await?.success(&command)?;
            continue;
        }
        let owner = Owner { user: file.owner, group: file.group };
        if system::differs(system, &file.path, file.contents.as_bytes(), file.mode, owner)? {
            system.write(&file.path, file.contents.as_bytes(), file.mode, owner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::Instant;

    use super::*;
    use crate::config;
    use crate::retry::is_hopeless;
    use crate::secrets;
    use crate::system::fake::Fake;

    /// Debian 12 as its cloud image is.
    fn machine() -> Fake {
        let system = Fake::with(&[
            ("/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n"),
            ("/proc/meminfo", "MemTotal: 8061000 kB\n"),
            (layout::NGINX_CERTIFICATE, "certificate"),
            (layout::NGINX_KEY, "key"),
            ("/var/lib/jitsi-agent/keys/keyring", "binary key"),
        ]);
        let repositories = config::example().jitsi.apt;
        let keys = [repositories.jitsi, repositories.prosody].map(|repository| {
            format!("pub:-:4096:1:\nfpr:::::::::{}:\n", repository.key_fingerprint)
        });
        system.answer("gpg", 0, &keys.concat());
        let there = ["ca-certificates", "gpg", "nftables", "openssl"]
            .map(|name| format!("{name} installed install 1\n"));
        system.answer("dpkg-query", 1, &there.concat());
        system.answer("apt-cache show", 0, "Package: jitsi-meet\nVersion: 2.0.1-1\n");
        system
    }

    /// Lets the first `count` runs of what starts so fail with these words.
    fn fail(system: &Fake, start: &str, count: u32, words: &'static str) {
        let left = AtomicU32::new(count);
        system.answer_by(start, move |_| {
            let fails = left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
            if fails { (100, words.to_owned()) } else { (0, String::new()) }
        });
    }

    async fn install_on(system: &Fake) -> Result<()> {
        let secrets = secrets::load_or_make(system, "i-1")?;
        install(system, &config::example(), &secrets, None).await
    }

    fn held(system: &Fake) -> bool {
        system.ran().last().is_some_and(|line| line.starts_with("apt-mark hold prosody jitsi-meet"))
    }

    #[tokio::test(start_paused = true)]
    async fn repositories_and_names_that_are_away_for_minutes_are_waited_for() {
        let system = machine();
        fail(&system, "/usr/lib/apt/apt-helper", 8, "E: Temporary failure resolving 'x.example'");
        fail(&system, "apt-get", 8, "E: Failed to fetch http://x  503  Service Unavailable");
        let start = Instant::now();
        install_on(&system).await.unwrap();
        assert!(held(&system));
        assert!(start.elapsed() > Duration::from_mins(2), "{:?}", start.elapsed());
        let ran = system.ran();
        let answers = ran.iter().filter(|line| line.starts_with("debconf-set-selections")).count();
        assert_eq!(answers, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_was_full_leaves_nothing_half_installed() {
        let system = machine();
        let full = "dpkg: error: failed to write (No space left on device)";
        fail(
            &system,
            "apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 install",
            1,
            full,
        );
        // Whole before, half installed once, whole after the repair.
        let looks = AtomicU32::new(0);
        system.answer_by("dpkg --audit", move |_| {
            let half = looks.fetch_add(1, Ordering::SeqCst) == 2;
            (0, if half { "The following packages are only half installed" } else { "" }.to_owned())
        });
        install_on(&system).await.unwrap();
        assert!(held(&system));
        let ran = system.ran();
        let at = |words: &str| ran.iter().position(|line| line.contains(words)).unwrap();
        let last = ran.iter().rposition(|line| line.contains(" install ")).unwrap();
        assert!(at(" install ") < at("--configure -a") && at("--configure -a") < last, "{ran:#?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_away_is_given_up_with_its_last_words() {
        let system = machine();
        fail(&system, "apt-get", u32::MAX, "E: Unable to connect to mirror.example:80");
        let start = Instant::now();
        let error = install_on(&system).await.unwrap_err();
        assert!(start.elapsed() <= NETWORK_LIMIT);
        assert!(!is_hopeless(&error), "the whole is tried again while there is time");
        let words = format!("{error:#}");
        assert!(words.starts_with("updating package lists: gave up after "), "{words}");
        assert!(words.ends_with("E: Unable to connect to mirror.example:80"), "{words}");
    }
}
