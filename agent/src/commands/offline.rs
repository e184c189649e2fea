//! `render`: all files of a configuration, without an instance and without touching the machine.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use jitsi_templates::{
    Discovered, InstallContext, ProsodyModules, Secret, Secrets, SiteContext, Versions,
    render_install, render_site,
};

use crate::config;
use crate::node::Machine;
use crate::system::{Host, Owner, System as _};

/// From the range set aside for documentation (RFC 5737).
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 7);

/// Prosody modules of the packages the templates were written for.
const MODULES: &str = "auth_jitsi-anonymous auth_token av_moderation_component bosh client_proxy \
    end_conference features_identity limits limits_exception muc muc_breakout_rooms \
    muc_filter_access muc_hide_all muc_lobby_rooms muc_meeting_id muc_password_whitelist \
    muc_rate_limit muc_resource_validate ping polls_component room_metadata_component smacks \
    speakerstats_component token_verification websocket";

/// Writes the files below `out`; their number.
pub(super) fn render(machine: &Machine, config: Option<&Path>, out: &Path) -> Result<usize> {
    let settings = config::load(&*machine.system, config)?;
    let secret = || Secret::new("0".repeat(32));
    let secrets =
        Secrets { focus: secret(), jvb: secret(), probe: secret(), token: Some(secret()) };
    let jitsi = settings.jitsi.version.clone().map(|version| ("jitsi-meet".to_owned(), version));
    let versions: Versions =
        [("prosody".to_owned(), "13.*".to_owned())].into_iter().chain(jitsi).collect();
    let mut files = render_install(&InstallContext {
        settings: &settings,
        codename: "noble",
        secrets: &secrets,
        versions: &versions,
        prosody_repository: true,
    })?;
    files.extend(render_site(&SiteContext {
        settings: &settings,
        discovered: &Discovered {
            instance_id: "i-0123456789abcdef0".to_owned(),
            private_ipv4: PRIVATE,
            public_ipv4: PUBLIC,
            total_memory: 8 << 30,
        },
        secrets: &secrets,
        prosody_modules: &MODULES.split_whitespace().collect::<ProsodyModules>(),
    })?);
    let folder = Host::new(out);
    for file in &files {
        folder
            .write(&file.path, file.contents.as_bytes(), file.mode, Owner::ROOT)
            .with_context(|| format!("below {}", out.display()))?;
    }
    Ok(files.len())
}
