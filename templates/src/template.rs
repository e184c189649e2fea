//! The templates, built into the program, and the one place they are rendered.

use std::sync::LazyLock;

use serde::Serialize;
use tera::{Context, Tera};

use crate::{Error, Result, filters};

macro_rules! templates {
    ($($variant:ident = $file:literal,)*) => {
        /// Every template.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Template { $($variant),* }

        impl Template {
            /// File name below `templates/files`.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $file),* }
            }
        }

        const SOURCES: &[(&str, &str)] =
            &[$(($file, include_str!(concat!("../files/", $file)))),*];
    };
}

templates! {
    AgentUnit = "agent.service.tera",
    InstallUnit = "agent-install.service.tera",
    SsmAgentUnit = "agent-ssm.service.tera",
    Debconf = "debconf.tera",
    JicofoConfig = "jicofo.conf.tera",
    JicofoEnvironment = "jicofo.env.tera",
    JicofoUnit = "jicofo.service.tera",
    LobbyModule = "mod_lobby_by_default.lua.tera",
    MaintenancePage = "maintenance.html.tera",
    MeetConfig = "config.js.tera",
    Needrestart = "needrestart.conf.tera",
    MetadataRules = "metadata.nft.tera",
    MetadataUnit = "metadata.service.tera",
    NginxDropIn = "nginx.dropin.tera",
    NginxMain = "nginx.conf.tera",
    NginxSite = "site.nginx.conf.tera",
    Pins = "jitsi.pref.tera",
    ProsodyConfig = "prosody.cfg.lua.tera",
    ProsodyDropIn = "prosody.dropin.tera",
    ProsodySite = "site.cfg.lua.tera",
    Repository = "repository.sources.tera",
    SwapUnit = "swap.unit.tera",
    Sysctl = "sysctl.conf.tera",
    UnattendedUpgrades = "unattended-upgrades.conf.tera",
    UserData = "user-data.py.tera",
    VideobridgeConfig = "jvb.conf.tera",
    VideobridgeDropIn = "videobridge.dropin.tera",
    VideobridgeEnvironment = "jvb.env.tera",
}

/// What several templates include.
const PARTS: [(&str, &str); 2] = [
    ("hardening.tera", include_str!("../files/hardening.tera")),
    ("service.dropin.tera", include_str!("../files/service.dropin.tera")),
];

static ENGINE: LazyLock<tera::TeraResult<Tera>> = LazyLock::new(|| {
    let mut engine = Tera::new();
    filters::register(&mut engine);
    engine.add_raw_templates(SOURCES.iter().copied().chain(PARTS))?;
    Ok(engine)
});

/// Renders `template`. A variable the context lacks is an error, as is text printed without a filter.
pub(crate) fn render<C: Serialize + ?Sized>(template: Template, context: &C) -> Result<String> {
    let name = template.name();
    let engine = ENGINE.as_ref().map_err(|error| Error::template(name, error))?;
    Context::from_serialize(context)
        .and_then(|context| engine.render(name, &context))
        .map_err(|error| Error::template(name, &error))
}
