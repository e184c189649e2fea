//! Which Prosody modules the site loads: Jitsi adds and deletes modules between versions, and
//! Prosody starts with an unknown one and only logs an error, so each is looked up on disk first.

use serde::Serialize;

use crate::settings::Authentication;
use crate::{Error, ProsodyModules, Result};

/// The modules of each entity, in the order they are written.
#[derive(Debug, Serialize)]
pub(crate) struct Modules {
    site: Vec<&'static str>,
    guest: Vec<&'static str>,
    auth: Vec<&'static str>,
    conference: Vec<&'static str>,
    internal: Vec<&'static str>,
    breakout: Vec<&'static str>,
    lobby: Vec<&'static str>,
}

/// A component that is one module: `host.D`.
#[derive(Debug, Serialize)]
pub(crate) struct Component {
    host: &'static str,
    module: &'static str,
}

/// What of Prosody's configuration depends on the installed modules.
#[derive(Debug, Serialize)]
pub(crate) struct Entities {
    modules: Modules,
    components: Vec<Component>,
    has_lobby: bool,
    has_breakout: bool,
}

const OPTIONAL_COMPONENTS: [Component; 5] = [
    Component { host: "speakerstats", module: "speakerstats_component" },
    Component { host: "endconference", module: "end_conference" },
    Component { host: "avmoderation", module: "av_moderation_component" },
    Component { host: "metadata", module: "room_metadata_component" },
    Component { host: "polls", module: "polls_component" },
];

impl Entities {
    /// Chooses from `installed`. Fails when a module is missing without which meetings are not
    /// possible, or not for those the site says they are for.
    pub(crate) fn choose(
        installed: &ProsodyModules,
        authentication: &Authentication,
        lobby: bool,
    ) -> Result<Self> {
        let require = |modules: &[&str], purpose| {
            modules.iter().find(|module| !installed.contains(module)).map_or(Ok(()), |module| {
                Err(Error::MissingModule { module: (*module).to_owned(), purpose })
            })
        };
        let with = |mut modules: Vec<&'static str>, optional: &[&'static str]| {
            modules.extend(optional.iter().filter(|module| installed.contains(module)));
            modules
        };

        require(&["bosh", "websocket", "smacks", "ping", "limits"], "browsers cannot connect")?;
        require(&["muc", "muc_meeting_id"], "there are no meetings")?;
        require(&["muc_hide_all"], "anybody could list the rooms")?;
        match authentication {
            Authentication::Open => require(&["auth_jitsi-anonymous"], "nobody can log in")?,
            Authentication::Jwt { .. } => require(
                &["auth_token", "token_verification"],
                "tokens would not be checked (package jitsi-meet-prosody)",
            )?,
            Authentication::SecureDomain { .. } => {
                require(&["auth_jitsi-anonymous"], "guests cannot log in")?;
                require(&["client_proxy"], "jicofo cannot tell who asks for a meeting")?;
            }
        }
        if lobby {
            require(&["muc_lobby_rooms"], "new rooms would have no lobby")?;
        }

        let has_lobby = installed.contains("muc_lobby_rooms");
        let has_breakout = installed.contains("muc_breakout_rooms");
        let mut conference = with(
            vec!["muc_meeting_id", "muc_hide_all"],
            &["muc_rate_limit", "muc_password_whitelist"],
        );
        if matches!(authentication, Authentication::Jwt { .. }) {
            conference.push("token_verification");
        }
        if lobby {
            conference.push("lobby_by_default");
        }
        let modules = Modules {
            site: with(
                vec!["bosh", "websocket", "smacks", "ping"],
                &[
                    "features_identity",
                    "conference_duration",
                    "muc_lobby_rooms",
                    "muc_breakout_rooms",
                ],
            ),
            guest: vec!["smacks", "ping"],
            auth: with(vec!["smacks", "ping"], &["limits_exception"]),
            conference,
            internal: with(vec!["muc_hide_all", "ping"], &["muc_filter_access"]),
            breakout: with(vec!["muc_meeting_id", "muc_hide_all"], &["muc_rate_limit"]),
            lobby: with(vec!["muc_hide_all"], &["muc_rate_limit"]),
        };
        let components = [Component { host: "focus", module: "client_proxy" }]
            .into_iter()
            .chain(OPTIONAL_COMPONENTS)
            .filter(|component| installed.contains(component.module))
            .collect();
        Ok(Self { modules, components, has_lobby, has_breakout })
    }
}
