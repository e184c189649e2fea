//! The files that must be there before the packages are installed.

use serde::Serialize;

use crate::OwnedFile;
use crate::context::{InstallContext, Mode};
use crate::owned::Consumer;
use crate::settings::Repository;
use crate::template::{Template, render};
use crate::{Result, layout};

#[derive(Serialize)]
struct Install<'a> {
    domain: &'a str,
    #[serde(flatten)]
    mode: Mode<'a>,
    /// By name: the template engine's maps have no order, and a file that changes by itself is drift.
    versions: Vec<(&'a str, &'a str)>,
    focus_password: &'a str,
    jvb_password: &'a str,
    /// What `jitsi-meet-tokens` writes, with `sed`, into a file that is replaced before anybody can
    /// reach it. It refuses quotes and slashes, so it is not given the secret of the site.
    unused_secret: &'a str,
    nginx_key: &'static str,
    nginx_certificate: &'static str,
}

#[derive(Serialize)]
struct Source<'a> {
    url: &'a str,
    suite: String,
    flat: bool,
    keyring: &'static str,
}

fn source(
    name: &str,
    from: &Repository,
    codename: &str,
    keyring: &'static str,
) -> Result<OwnedFile> {
    let suite = from.suite.replace("{codename}", codename);
    let source = Source { url: &from.url, flat: suite.ends_with('/'), suite, keyring };
    let text = render(Template::Repository, &source)?;
    Ok(OwnedFile::new(format!("/etc/apt/sources.list.d/{name}.sources"), Consumer::Apt, text))
}

/// The files that must be there before the packages are installed: apt sources, pins, the
/// exclusion from unattended upgrades, the debconf answers.
pub fn render_install(context: &InstallContext<'_>) -> Result<Vec<OwnedFile>> {
    let InstallContext { settings, secrets, versions, codename, .. } = context;
    let apt = &settings.jitsi.apt;
    let values = Install {
        domain: settings.domain.as_str(),
        mode: Mode::new(&settings.jitsi.authentication, secrets)?,
        versions: versions.iter().map(|(name, version)| (&**name, &**version)).collect(),
        focus_password: secrets.focus.expose(),
        jvb_password: secrets.jvb.expose(),
        unused_secret: secrets.probe.expose(),
        nginx_key: layout::NGINX_KEY,
        nginx_certificate: layout::NGINX_CERTIFICATE,
    };
    let file = |path: &str, template| -> Result<OwnedFile> {
        Ok(OwnedFile::new(path, Consumer::Apt, render(template, &values)?))
    };

    let mut files = vec![source("jitsi", &apt.jitsi, codename, layout::JITSI_KEYRING)?];
    if context.prosody_repository {
        files.push(source("prosody", &apt.prosody, codename, layout::PROSODY_KEYRING)?);
    }
    if !versions.is_empty() {
        files.push(file(layout::APT_PINS, Template::Pins)?);
    }
    files.push(file("/etc/apt/apt.conf.d/60jitsi-agent", Template::UnattendedUpgrades)?);
    files.push(file("/etc/needrestart/conf.d/jitsi-agent.conf", Template::Needrestart)?);
    files.push(
        OwnedFile::new(
            "/run/jitsi-agent/debconf",
            Consumer::Debconf,
            render(Template::Debconf, &values)?,
        )
        .secret(0o600),
    );
    Ok(files)
}
