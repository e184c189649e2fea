//! What the files say, read by their own parsers: the points of the reference that a change could lose.

use crate::fixture::{self, Fixture, text};
use crate::parse;
use jitsi_templates::{Error, Memory, ProsodyModules, USER_DATA_LIMIT};
use serde_json::json;

#[test]
fn a_missing_required_module_is_named() {
    let without = |mut fixture: Fixture, name: &str| {
        fixture.modules = fixture::ALL_MODULES.iter().copied().filter(|m| *m != name).collect();
        match fixture.site() {
            Err(Error::MissingModule { module, .. }) => module == name,
            _ => false,
        }
    };
    for module in ProsodyModules::LEAST {
        assert!(without(Fixture::open(), module) || module == "auth_jitsi-anonymous", "{module}");
    }
    assert!(without(Fixture::open(), "auth_jitsi-anonymous"));
    assert!(without(Fixture::jwt(), "token_verification"));
    assert!(without(Fixture::jwt(), "auth_token"));
    assert!(without(Fixture::secure_domain(), "client_proxy"));
    assert!(without(Fixture::lobby(), "muc_lobby_rooms"));
}

#[test]
fn only_modules_on_disk_are_written() {
    let mut fixture = Fixture::lobby();
    for gone in fixture::ALL_MODULES {
        let installed: Vec<_> =
            fixture::ALL_MODULES.iter().copied().filter(|m| m != gone).collect();
        fixture.modules = installed.iter().copied().collect();
        let Ok(files) = fixture.site() else { continue };
        let site = parse::prosody(text(&files, "/conf.avail/meet.example.org.cfg.lua"));
        for (host, options) in site.as_object().unwrap() {
            let modules = options["modules_enabled"].as_array().into_iter().flatten();
            for module in modules.chain(options.get("module")).map(|m| m.as_str().unwrap()) {
                assert!(
                    installed.contains(&module) || module == "lobby_by_default",
                    "{host} loads {module}, which is not there"
                );
            }
        }
    }
}

#[test]
fn modules_are_found_wherever_prosody_looks() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["mod_bosh.lua", "muc/mod_muc.lua", "mod_ping/mod_ping.lua", "mod_x/x/mod_x.lua"]
        .into_iter()
        .chain(["mod_notes.txt", "ldap.lib.lua", "mod_empty/README", "adhoc/adhoc.lib.lua"])
    {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let missing = directory.path().join("missing");
    let found = ProsodyModules::on_disk(&[directory.path(), &missing]).unwrap();
    assert_eq!(found, ["bosh", "muc", "ping", "x"].into_iter().collect());
}

#[test]
fn prosody_lets_in_whom_the_mode_says() {
    let site = |fixture: Fixture| {
        let files = fixture.site().unwrap();
        parse::prosody(text(&files, "/conf.avail/meet.example.org.cfg.lua"))
    };
    let open = site(Fixture::open());
    assert_eq!(open["meet.example.org"]["authentication"], "jitsi-anonymous");
    assert!(open.get("guest.meet.example.org").is_none());

    let jwt = site(Fixture::jwt());
    let host = &jwt["meet.example.org"];
    assert_eq!(host["authentication"], "token");
    assert_eq!(host["app_secret"], "token-secret");
    assert_eq!(host["allow_empty_token"], false);
    let modules = jwt["conference.meet.example.org"]["modules_enabled"].as_array().unwrap();
    assert!(modules.contains(&json!("token_verification")));

    let secure = site(Fixture::secure_domain());
    assert_eq!(secure["meet.example.org"]["authentication"], "internal_hashed");
    assert_eq!(secure["guest.meet.example.org"]["authentication"], "jitsi-anonymous");
    assert_eq!(secure["focus.meet.example.org"]["target_address"], "focus@auth.meet.example.org");
    for site in [open, jwt, secure] {
        assert_eq!(site["auth.meet.example.org"]["authentication"], "internal_hashed");
        assert_eq!(site["conference.meet.example.org"]["restrict_room_creation"], true);
    }
}

#[test]
fn jicofo_authenticates_with_accounts_only() {
    let jicofo = |fixture: Fixture| {
        let files = fixture.site().unwrap();
        parse::hocon(text(&files, "/jicofo.conf"))["jicofo"].clone()
    };
    assert!(jicofo(Fixture::open()).get("authentication").is_none());
    assert!(jicofo(Fixture::jwt()).get("authentication").is_none());
    let secure = jicofo(Fixture::secure_domain());
    assert_eq!(
        secure["authentication"],
        json!({ "enabled": true, "type": "XMPP", "login-url": "meet.example.org" })
    );
    assert_eq!(secure["health"]["enabled"], true);
}

#[test]
fn the_bridge_advertises_the_public_address_and_asks_nobody() {
    let files = Fixture::open().site().unwrap();
    let jvb = parse::hocon(text(&files, "/jvb.conf"));
    assert_eq!(
        jvb["ice4j"]["harvest"]["mapping"],
        json!({
            "aws": { "enabled": false },
            "stun": { "addresses": [] },
            "static-mappings": [{ "local-address": "10.20.3.7",
                                  "public-address": "203.0.113.9", "name": "ec2" }],
        })
    );
    assert_eq!(jvb["videobridge"]["http-servers"]["private"]["host"], "127.0.0.1");
    assert_eq!(jvb["videobridge"]["http-servers"]["public"]["port"], -1);
}

#[test]
fn browsers_are_told_the_public_name() {
    let config = |fixture: Fixture| {
        let files = fixture.site().unwrap();
        parse::config_js(text(&files, "-config.js"))
    };
    let open = config(Fixture::open());
    assert_eq!(open["websocket"], "wss://meet.example.org/xmpp-websocket");
    assert_eq!(open["conferenceRequestUrl"], "https://meet.example.org/conference-request/v1");
    assert_eq!(open["bridgeChannel"]["preferSctp"], true);
    let secure = config(Fixture::secure_domain());
    assert_eq!(secure["hosts"]["anonymousdomain"], "guest.meet.example.org");
    // jicofo could not tell who asks over HTTP.
    assert!(secure.get("conferenceRequestUrl").is_none());
}

#[test]
fn memory_follows_the_instance() {
    let sizes = |mib: u64| {
        Memory::for_total(mib << 20).map(|m| (m.videobridge_mib, m.jicofo_mib, m.swap_mib)).ok()
    };
    assert_eq!(sizes(950), None, "t3.micro");
    assert_eq!(sizes(1_910), Some((512, 256, 2048)), "t3.small");
    assert_eq!(sizes(3_850), Some((1536, 512, 0)), "t3.medium");
    assert_eq!(sizes(7_750), Some((3072, 1024, 0)), "c7i.xlarge");
    assert_eq!(sizes(15_600), Some((4096, 2048, 0)), "m7i.xlarge");
    // The resident size exceeds the heaps: a quarter of memory and swap stays free of heap.
    for mib in (1_900..40_000).step_by(50) {
        let (videobridge, jicofo, swap) = sizes(mib).unwrap();
        assert!(u64::from(videobridge + jicofo) * 4 <= (mib + u64::from(swap)) * 3, "{mib} MiB");
    }
}

#[test]
fn too_little_memory_says_what_to_take() {
    let mut fixture = Fixture::open();
    fixture.discovered.total_memory = 950 << 20;
    let error = fixture.site().unwrap_err().to_string();
    assert!(error.contains("950 MiB") && error.contains("2048 MiB"), "{error}");
}

#[test]
fn jwt_without_its_secret_names_the_parameter() {
    let mut fixture = Fixture::jwt();
    fixture.secrets.token = None;
    let error = fixture.site().unwrap_err().to_string();
    assert!(error.contains("/jitsi/token"), "{error}");
}

#[test]
fn files_with_secrets_are_marked_and_closed() {
    for fixture in [Fixture::open(), Fixture::jwt(), Fixture::secure_domain()] {
        for file in fixture.install().unwrap().into_iter().chain(fixture.site().unwrap()) {
            let holds = ["focus-password", "jvb-password", "probe-password", "token-secret"]
                .iter()
                .any(|secret| file.contents.contains(secret));
            assert!(!holds || file.secret, "{}", file.path.display());
            assert!(!file.secret || file.mode.trailing_zeros() >= 3, "{}", file.path.display());
            assert!(!format!("{file:?}").contains("password"), "{file:?}");
        }
    }
}

#[test]
fn user_data_holds_no_secret_and_fits() {
    for fixture in [Fixture::open(), Fixture::jwt(), Fixture::secure_domain()] {
        let text = fixture.user_data().unwrap();
        for secret in ["focus-password", "jvb-password", "probe-password", "token-secret"] {
            assert!(!text.contains(secret));
        }
        // AWS takes 16 KiB; the aim is a script one can read.
        assert!(text.len() <= 4 * 1024, "{} bytes", text.len());
    }
    let mut fixture = Fixture::open();
    fixture.key = "k".repeat(USER_DATA_LIMIT);
    assert!(matches!(
        fixture.user_data(),
        Err(Error::UserDataTooLarge { limit: USER_DATA_LIMIT, .. })
    ));
}
