//! From a bare instance to installed packages: sources whose keys were checked, answers to the
//! packages' questions, pinned versions, held afterwards. A golden image passes in one look.

mod apt;
mod keys;
mod os;
mod swap;

use std::time::Duration;

use anyhow::{Context as _, Result};
use jitsi_templates::settings::{Authentication, InstanceSettings};
use jitsi_templates::{Consumer, InstallContext, Memory, OwnedFile, Secrets, Versions, layout};

use crate::advice::Advice;
use crate::retry::{Hopeless, retry};
use crate::system::{Command, Owner, System, memory_mib};
use crate::{certificate, system};

/// Longest time for everything that needs the network: repositories were seen to be away for
/// minutes, and the launch hook is kept waiting by heartbeats meanwhile.
const NETWORK_LIMIT: Duration = Duration::from_mins(20);
/// Packages, Java among them, and their unpacked files need about 1.5 GB.
const LEAST_FREE: u64 = 2 << 30;

/// Installs whatever is missing; true when something was.
pub async fn install(
    system: &dyn System,
    settings: &InstanceSettings,
    secrets: &Secrets,
) -> Result<bool> {
    let wanted = wanted(&settings.jitsi.authentication);
    if apt::is_complete(system, &wanted, settings.jitsi.version.as_deref()).await? {
        tracing::info!("install: every package is there and held");
        return Ok(false);
    }
    let os = os::detect(system)?;
    check_hardware(system)?;
    swap::make(system).await?;
    certificate::ensure(system, settings.domain.as_str()).await?;
    apt::repair(system).await?;
    retry("installing prerequisites", NETWORK_LIMIT, || async {
        apt::install_prerequisites(system, &os).await
    })
    .await?;
    let repositories = &settings.jitsi.apt;
    retry("fetching Jitsi's signing key", NETWORK_LIMIT, || async {
        keys::fetch(system, &repositories.jitsi, layout::JITSI_KEYRING).await
    })
    .await?;
    let prosody_repository = retry("looking for Prosody's repository", NETWORK_LIMIT, || async {
        apt::has_suite(system, &repositories.prosody, &os.codename).await
    })
    .await?;
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
    let mut versions = Versions { jitsi_meet: settings.jitsi.version.clone(), prosody: None };
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
    write(system, &render(&versions)?).await?;
    retry("updating package lists", NETWORK_LIMIT, || apt::update(system)).await?;
    // Jitsi insists on Prosody 13; pinned only where there is one, or nothing could be installed.
    if apt::offers(system, "prosody", "13.").await? {
        versions.prosody = Some("13.*".to_owned());
    } else {
        tracing::warn!("no repository offers Prosody 13: taking what there is");
    }
    write(system, &render(&versions)?).await?;
    retry("installing packages", NETWORK_LIMIT, || async {
        apt::install(system, &wanted, versions.jitsi_meet.as_deref()).await
    })
    .await?;
    apt::hold(system, &wanted).await?;
    Ok(true)
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
