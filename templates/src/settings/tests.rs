//! The settings read back what they write, and report everything that is wrong at once.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const MINIMAL: &str = r#"
deployment = "jitsi"
region = "eu-central-1"
domain = "meet.example.org"
vpc_cidr = "10.20.0.0/16"
auto_scaling_group = "jitsi"
launch_hook = "jitsi-launch"
terminate_hook = "jitsi-terminate"
drain = "30m"
"#;

fn minimal() -> InstanceSettings {
    InstanceSettings::from_toml(MINIMAL).unwrap()
}

fn problems(extra: &str) -> Vec<String> {
    let text = format!("{MINIMAL}{extra}");
    InstanceSettings::from_toml(&text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_fill_what_is_absent() {
    let settings = minimal();
    assert_eq!(settings.drain, Duration::from_mins(30));
    assert_eq!(settings.jitsi, Jitsi::default());
    assert_eq!(settings.watch, Watch::default());
    assert_eq!(settings.jitsi.apt.jitsi.key_fingerprint.len(), 40);
    assert_eq!(settings.jitsi.apt.prosody.key_fingerprint.len(), 40);
}

#[test]
fn json_is_small_and_reads_back() {
    let settings = minimal();
    let json = settings.to_json().unwrap();
    assert_eq!(
        json,
        r#"{"auto_scaling_group":"jitsi","deployment":"jitsi","domain":"meet.example.org","drain":1800,"launch_hook":"jitsi-launch","region":"eu-central-1","terminate_hook":"jitsi-terminate","vpc_cidr":"10.20.0.0/16"}"#
    );
    assert_eq!(InstanceSettings::from_json(&json), Ok(settings));
}

#[test]
fn every_setting_survives_the_way_through_user_data() {
    let mut settings = minimal();
    settings.jitsi.version = Some("2.0.10741-1".into());
    settings.jitsi.lobby = true;
    settings.jitsi.apt.jitsi.url = "http://mirror.example.org/jitsi".into();
    settings.jitsi.apt.prosody.key_fingerprint = "A".repeat(40);
    settings.watch.strikes = 5;
    for authentication in [
        Authentication::Open,
        Authentication::Jwt { app_id: "app".into(), secret_parameter: "/jitsi/jwt-secret".into() },
        Authentication::SecureDomain { users_path: "/jitsi/users".into() },
    ] {
        settings.jitsi.authentication = authentication;
        let json = settings.to_json().unwrap();
        assert_eq!(InstanceSettings::from_json(&json).as_ref(), Ok(&settings), "{json}");
    }
    let json: serde_json::Value = serde_json::from_str(&settings.to_json().unwrap()).unwrap();
    assert_eq!(json["jitsi"]["apt"]["jitsi"], json!({"url": "http://mirror.example.org/jitsi"}));
    assert_eq!(json["watch"], json!({"strikes": 5}));
}

#[test]
fn all_problems_come_at_once() {
    let found = problems(
        r#"
[jitsi]
version = "newest"
looby = true
[jitsi.authentication]
mode = "jtw"
users_path = "jitsi/users"
[jitsi.apt.jitsi]
url = "https://user:word@mirror.example.org"
key_fingerprint = "66A9"
[watch]
strikes = 0
media_grace = "long"
"#,
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn each_mode_of_authentication_asks_for_its_own_keys() {
    insta::assert_snapshot!(
        problems("[jitsi.authentication]\nmode = \"jwt\"\nusers_path = \"/u\"\n").join("\n")
    );
    insta::assert_snapshot!(
        problems("[jitsi.authentication]\nmode = \"secure-domain\"\n").join("\n")
    );
}

#[test]
fn text_that_is_no_toml_is_placed() {
    let found =
        InstanceSettings::from_toml("deployment = \"a\"\nregion = eu\n[watch\n").unwrap_err();
    assert_eq!(found[0].key, "line 2, column 10");
    assert!(found.iter().any(|problem| problem.key.starts_with("line 3")), "{found:?}");
    let found = InstanceSettings::from_json("{\"deployment\": }").unwrap_err();
    assert_eq!(found[0].key, "line 1, column 16");
    assert_eq!(InstanceSettings::from_json("[]").unwrap_err().len(), 1);
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let found = problems("[jitsi]\nversion = \"-----BEGIN PRIVATE KEY-----\\nMIIsecret\"\n");
    assert!(!found.concat().contains("MIIsecret"), "{found:?}");
    let found = problems("[jitsi.apt.jitsi]\nurl = \"https://user:word@mirror.example.org\"\n");
    assert!(!found.concat().contains("word@"), "{found:?}");
}

#[test]
fn a_key_under_the_wrong_table_is_told_where_it_belongs() {
    let found = problems("strikes = 4\n");
    assert_eq!(found, ["strikes = 4: unknown key here; `strikes` belongs under [watch]"]);
}

#[test]
fn a_misspelt_required_key_is_one_problem() {
    let text = MINIMAL.replace("region", "regoin");
    let found = InstanceSettings::from_toml(&text).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].reason.contains("did you mean `region`?"));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,80}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("\\PC{0,12}|mode|apt|jitsi", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_unknown_key_is_always_named(key in "[a-z_]{1,20}") {
        let known = ["deployment", "region", "domain", "vpc_cidr", "auto_scaling_group",
            "launch_hook", "terminate_hook", "drain", "jitsi", "watch"];
        prop_assume!(!known.contains(&key.as_str()));
        let found = InstanceSettings::from_toml(&format!("{key} = 1\n{MINIMAL}")).unwrap_err();
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].key, &key);
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised(
        key in prop::sample::select(vec!["deployment", "region", "domain", "vpc_cidr", "auto_scaling_group",
            "launch_hook", "terminate_hook", "drain"]),
        place in any::<prop::sample::Index>(),
    ) {
        let mut slipped: Vec<char> = key.chars().collect();
        let place = place.index(slipped.len() - 1);
        slipped.swap(place, place + 1);
        let slipped: String = slipped.into_iter().collect();
        prop_assume!(slipped != key);
        let found = InstanceSettings::from_toml(&MINIMAL.replace(key, &slipped)).unwrap_err();
        prop_assert_eq!(found.len(), 1, "{:?}", found);
        prop_assert_eq!(&found[0].key, &slipped);
        prop_assert!(found[0].reason.ends_with(&format!("did you mean `{key}`?")), "{}", found[0]);
    }

    #[test]
    fn any_value_of_any_key_is_read_or_explained(
        key in prop::sample::select(vec!["deployment", "region", "domain", "vpc_cidr", "drain", "jitsi", "watch"]),
        value in any_json(),
    ) {
        let mut table = toml_table(MINIMAL).unwrap();
        table.insert(key.into(), value);
        let text = serde_json::Value::Object(table).to_string();
        match InstanceSettings::from_json(&text) {
            Ok(settings) => {
                let json = settings.to_json().unwrap();
                prop_assert_eq!(InstanceSettings::from_json(&json), Ok(settings));
            }
            Err(found) => {
                prop_assert!(!found.is_empty());
                for problem in found {
                    prop_assert!(problem.key.starts_with(key), "{problem}");
                    prop_assert!(!problem.reason.is_empty());
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}|([a-z]{1,8} = ?[\"\\[{]?[a-z0-9\n]{0,8}){0,6}") {
        drop(InstanceSettings::from_toml(&text));
        drop(InstanceSettings::from_json(&text));
    }
}
