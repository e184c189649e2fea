//! Every key of jicofo.conf and jvb.conf exists upstream: the programs accept unknown ones in silence.

use std::collections::BTreeSet;

use crate::fixture::{Fixture, text};
use crate::parse;
use serde_json::Value;

fn known(files: &[&'static str]) -> BTreeSet<&'static str> {
    files.iter().flat_map(|file| file.lines()).filter(|line| !line.starts_with('#')).collect()
}

fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.insert(path.clone());
                keys(value, &path, found);
            }
        }
        Value::Array(list) => {
            for value in list {
                keys(value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

fn unknown(text: &str, known: &BTreeSet<&str>) -> Vec<String> {
    let mut found = BTreeSet::new();
    keys(&parse::hocon(text), "", &mut found);
    assert!(found.len() > 10, "hardly any key was read: {found:?}");
    found.into_iter().filter(|key| !known.contains(key.as_str())).collect()
}

#[test]
fn jicofo_and_the_bridge_know_every_key() {
    let jicofo = known(&[include_str!("data/jicofo.keys")]);
    let videobridge = known(&[
        include_str!("data/jitsi-videobridge.keys"),
        include_str!("data/ice4j.keys"),
        include_str!("data/jicoco.keys"),
    ]);
    for fixture in [Fixture::open(), Fixture::jwt(), Fixture::secure_domain(), Fixture::least()] {
        let files = fixture.site().unwrap();
        assert_eq!(unknown(text(&files, "/jicofo.conf"), &jicofo), [""; 0]);
        assert_eq!(unknown(text(&files, "/jvb.conf"), &videobridge), [""; 0]);
    }
}

#[test]
fn a_misspelt_key_is_noticed() {
    let jicofo = known(&[include_str!("data/jicofo.keys")]);
    let files = Fixture::open().site().unwrap();
    let text = text(&files, "/jicofo.conf").replace("client-proxy", "client-prxy");
    assert_eq!(unknown(&text, &jicofo), ["jicofo.xmpp.client.client-prxy"]);
}
