//! The files that make the installed packages one site.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::context::{Mode, SiteContext};
use crate::owned::{Consumer, OwnedFile};
use crate::prosody::Entities;
use crate::settings::Authentication;
use crate::template::{Template, render};
use crate::{Memory, Result, layout};

#[derive(Serialize)]
struct Site<'a> {
    domain: &'a str,
    #[serde(flatten)]
    mode: Mode<'a>,
    /// Whether browsers ask jicofo for a meeting over HTTP. With accounts it must be told who asks,
    /// and HTTP does not tell it.
    conference_request: bool,
    #[serde(flatten)]
    entities: Entities,
    vpc_cidr: Ipv4Net,
    drain_seconds: u64,
    idle_seconds: u32,
    instance_id: &'a str,
    private_ipv4: Ipv4Addr,
    public_ipv4: Ipv4Addr,
    memory: Memory,
    focus_password: &'a str,
    jvb_password: &'a str,
    agent_socket: &'static str,
    health_port: u16,
    inside_port: u16,
    jicofo_port: u16,
    videobridge_port: u16,
    prosody_http_port: u16,
    prosody_c2s_port: u16,
    media_port: u16,
    config_js: &'a str,
    nginx_key: &'static str,
    nginx_certificate: &'static str,
    prosody_key: &'static str,
    prosody_certificate: &'static str,
    own_plugins: &'static str,
    jitsi_plugins: &'static str,
    maintenance_root: &'static str,
    swap_file: &'static str,
    metadata_unit: &'static str,
    metadata_rules: &'static str,
    service_users: [&'static str; 4],
}

/// The files that make the installed packages one site, in the order they are written.
/// Fails when a required Prosody module is missing or the memory is too small.
pub fn render_site(context: &SiteContext<'_>) -> Result<Vec<OwnedFile>> {
    let SiteContext { settings, discovered, secrets, prosody_modules } = context;
    let authentication = &settings.jitsi.authentication;
    let domain = settings.domain.as_str();
    let config_js = format!("/etc/jitsi/meet/{domain}-config.js");
    let site = Site {
        domain,
        mode: Mode::new(authentication, secrets)?,
        conference_request: !matches!(authentication, Authentication::SecureDomain { .. }),
        entities: Entities::choose(prosody_modules, authentication, settings.jitsi.lobby)?,
        vpc_cidr: settings.vpc_cidr,
        drain_seconds: settings.drain.as_secs(),
        idle_seconds: layout::IDLE_SECONDS,
        instance_id: &discovered.instance_id,
        private_ipv4: discovered.private_ipv4,
        public_ipv4: discovered.public_ipv4,
        memory: Memory::for_total(discovered.total_memory)?,
        focus_password: secrets.focus.expose(),
        jvb_password: secrets.jvb.expose(),
        agent_socket: layout::AGENT_SOCKET,
        health_port: layout::HEALTH_PORT,
        inside_port: layout::INSIDE_PORT,
        jicofo_port: layout::JICOFO_PORT,
        videobridge_port: layout::VIDEOBRIDGE_PORT,
        prosody_http_port: layout::PROSODY_HTTP_PORT,
        prosody_c2s_port: layout::PROSODY_C2S_PORT,
        media_port: layout::MEDIA_PORT,
        config_js: &config_js,
        nginx_key: layout::NGINX_KEY,
        nginx_certificate: layout::NGINX_CERTIFICATE,
        prosody_key: layout::PROSODY_KEY,
        prosody_certificate: layout::PROSODY_CERTIFICATE,
        own_plugins: layout::OWN_PLUGINS,
        jitsi_plugins: layout::JITSI_PLUGINS,
        maintenance_root: layout::MAINTENANCE_ROOT,
        swap_file: layout::SWAP_FILE,
        metadata_unit: layout::METADATA_UNIT,
        metadata_rules: layout::METADATA_RULES,
        service_users: layout::SERVICE_USERS,
    };

    let mut files = system(&site)?;
    files.extend(prosody(&site, settings.jitsi.lobby)?);
    files.extend(java(&site)?);
    files.extend(web(&site)?);
    Ok(files)
}

fn file(site: &Site<'_>, path: &str, to: Consumer, template: Template) -> Result<OwnedFile> {
    Ok(OwnedFile::new(path, to, render(template, site)?))
}

fn system(site: &Site<'_>) -> Result<Vec<OwnedFile>> {
    let unit = |path: &str, template| {
        file(site, &format!("/etc/systemd/system/{path}"), Consumer::Systemd, template)
    };
    let mut files = vec![
        file(site, "/etc/sysctl.d/60-jitsi-agent.conf", Consumer::Sysctl, Template::Sysctl)?,
        file(site, layout::METADATA_RULES, Consumer::Metadata, Template::MetadataRules)?,
        unit(layout::METADATA_UNIT, Template::MetadataUnit)?,
        unit("jicofo.service", Template::JicofoUnit)?,
    ];
    for (service, template) in [
        ("prosody", Template::ProsodyDropIn),
        ("jitsi-videobridge2", Template::VideobridgeDropIn),
        ("nginx", Template::NginxDropIn),
    ] {
        files.push(unit(&format!("{service}.service.d/jitsi-agent.conf"), template)?);
    }
    if site.memory.swap_mib > 0 {
        files.push(unit(layout::SWAP_UNIT, Template::SwapUnit)?);
    }
    Ok(files)
}

fn prosody(site: &Site<'_>, lobby: bool) -> Result<Vec<OwnedFile>> {
    let owned = |path: &str, template| file(site, path, Consumer::Prosody, template);
    let name = format!("{}.cfg.lua", site.domain);
    let mut files = Vec::new();
    if lobby {
        let path = format!("{}/mod_lobby_by_default.lua", layout::OWN_PLUGINS);
        files.push(owned(&path, Template::LobbyModule)?);
    }
    files.push(
        owned("/etc/prosody/prosody.cfg.lua", Template::ProsodyConfig)?.owned_by("root", "prosody"),
    );
    files.push(
        owned(&format!("/etc/prosody/conf.avail/{name}"), Template::ProsodySite)?
            .owned_by("root", "prosody")
            .secret(0o640)
            .linked(format!("/etc/prosody/conf.d/{name}")),
    );
    Ok(files)
}

/// Both users are of the group `jitsi`: each reads its own password only because the mode says so.
fn java(site: &Site<'_>) -> Result<Vec<OwnedFile>> {
    use Consumer::{Jicofo, Videobridge};
    let jicofo = |path: &str, template| -> Result<_> {
        Ok(file(site, path, Jicofo, template)?.owned_by("jicofo", "jitsi"))
    };
    let videobridge = |path: &str, template| -> Result<_> {
        Ok(file(site, path, Videobridge, template)?.owned_by("jvb", "jitsi"))
    };
    Ok(vec![
        jicofo("/etc/jitsi/jicofo/config", Template::JicofoEnvironment)?,
        jicofo("/etc/jitsi/jicofo/jicofo.conf", Template::JicofoConfig)?.secret(0o600),
        videobridge("/etc/jitsi/videobridge/config", Template::VideobridgeEnvironment)?,
        videobridge("/etc/jitsi/videobridge/jvb.conf", Template::VideobridgeConfig)?.secret(0o600),
    ])
}

fn web(site: &Site<'_>) -> Result<Vec<OwnedFile>> {
    let page = format!("{}/maintenance.html", layout::MAINTENANCE_ROOT);
    let name = format!("{}.conf", site.domain);
    Ok(vec![
        file(site, site.config_js, Consumer::Nobody, Template::MeetConfig)?,
        file(site, &page, Consumer::Nobody, Template::MaintenancePage)?,
        file(site, "/etc/nginx/nginx.conf", Consumer::Nginx, Template::NginxMain)?,
        file(
            site,
            &format!("/etc/nginx/sites-available/{name}"),
            Consumer::Nginx,
            Template::NginxSite,
        )?
        .linked(format!("/etc/nginx/sites-enabled/{name}")),
    ])
}
