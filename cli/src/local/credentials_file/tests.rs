//! Whatever else is in the file stays, byte for byte.

use std::fs;

use aws_config::{profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use proptest::{collection::vec, prelude::*};

use super::*;

const OURS: &str = "jitsi-aws-jitsi";

fn profile() -> Profile {
    Profile::new("123456789012", "AKIAEXAMPLE", "not/a+secret")
}

#[test]
fn a_profile_says_whose_it_is() {
    let ours = Names::new("jitsi", "eu-central-1", "123456789012");
    let told = |profile: Profile| profile.foreign(&ours).map(|whose| whose.to_string());
    assert_eq!((told(profile()), profile().is_of(&ours)), (None, false), "of an early version");
    let here = profile().for_region("eu-central-1");
    assert_eq!((told(here.clone()), here.is_of(&ours)), (None, true));
    let elsewhere = profile().for_region("eu-west-1");
    assert!(!elsewhere.is_of(&ours));
    assert_eq!(
        told(elsewhere).as_deref(),
        Some("it belongs to the deployment `jitsi in eu-west-1`")
    );
    let other = Profile::new("999999999999", "AKIAEXAMPLE", "not/a+secret");
    assert_eq!(
        told(other.for_region("eu-west-1")).as_deref(),
        Some("it belongs to the deployment `jitsi in eu-west-1 of account 999999999999`")
    );
    assert_eq!(
        told(Profile([(KEY_ID.to_owned(), "AKIA".to_owned())].into())).as_deref(),
        Some("jitsi-aws did not make it")
    );
}

fn write_to(text: &[u8]) -> Vec<u8> {
    edited(text, OURS, &profile().lines(OURS))
}

fn remove_from(text: &[u8]) -> Vec<u8> {
    edited(text, OURS, &[])
}

#[test]
fn a_new_profile_comes_last_and_goes_without_a_trace() {
    for before in [
        "",
        "[default]\naws_access_key_id = A\n",
        "[default]\r\naws_access_key_id=A\r\n\r\n# the end\r\n",
        "[default]\naws_access_key_id = A",
        "[default]\r\naws_access_key_id = A",
        "\n\n",
    ] {
        let after = write_to(before.as_bytes());
        assert!(after.starts_with(before.as_bytes()));
        assert_eq!(parse(&after, OURS), Some(profile()), "{before:?}");
        assert_eq!(remove_from(&after), before.as_bytes(), "{before:?}");
    }
}

#[test]
fn a_profile_is_replaced_where_it_stands_in_its_own_line_ending() {
    let before = "# mine\r\n[a]\r\nx=1\r\n[ jitsi-aws-jitsi ] # made\r\naws_access_key_id=OLD\r\n\
                  # between\r\nregion = eu-central-1\r\n\r\n# about b\r\n[b]\r\ny = 2";
    let after = "# mine\r\n[a]\r\nx=1\r\n[jitsi-aws-jitsi]\r\naws_access_key_id = AKIAEXAMPLE\r\n\
                 aws_account_id = 123456789012\r\naws_secret_access_key = not/a+secret\r\n\
                 \r\n# about b\r\n[b]\r\ny = 2";
    assert_eq!(String::from_utf8(write_to(before.as_bytes())).unwrap(), after);
}

#[test]
fn two_sections_of_our_name_become_one() {
    let before = "[jitsi-aws-jitsi]\naws_access_key_id=1\n[a]\nx=1\n[jitsi-aws-jitsi]\naws_secret_access_key=2";
    assert_eq!(parse(before.as_bytes(), OURS).unwrap().key_id(), Some("1"));
    let after = write_to(before.as_bytes());
    assert_eq!(sections(&after, OURS).len(), 1);
    assert!(after.ends_with(b"[a]\nx=1"));
}

#[test]
fn names_that_only_begin_like_ours_are_not_ours() {
    let others = "[jitsi-aws-jitsi-2]\na=1\n[profile jitsi-aws-jitsi]\nb=2\n";
    assert_eq!(parse(others.as_bytes(), OURS), None);
    assert_eq!(remove_from(others.as_bytes()), others.as_bytes());
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?} {:?}", profile(), profile().credentials());
    assert!(shown.contains("AKIAEXAMPLE") && !shown.contains("not/a+secret"), "{shown}");
}

#[test]
fn a_file_of_ours_alone_is_made_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let file = CredentialsFile { path: home.path().join("aws/credentials") };
    assert_eq!(file.read(OURS).unwrap(), None);
    file.remove(OURS).unwrap();
    file.write(OURS, &profile()).unwrap();
    assert_eq!(file.read(OURS).unwrap(), Some(profile()));
    file.remove(OURS).unwrap();
    assert_eq!(fs::read_dir(home.path().join("aws")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_sdk_reads_what_was_written() {
    let home = tempfile::tempdir().unwrap();
    let file = CredentialsFile { path: home.path().join("credentials") };
    fs::write(&file.path, "[default]\naws_access_key_id = A\naws_secret_access_key = B").unwrap();
    file.write(OURS, &profile()).unwrap();
    let http = jitsi_http::client(None).unwrap(); // wanted, never used
    let calling = ProviderConfig::default().with_http_client(http);
    let files =
        EnvConfigFiles::builder().with_file(EnvConfigFileKind::Credentials, &file.path).build();
    for (name, key) in [("default", ("A", "B")), (OURS, ("AKIAEXAMPLE", "not/a+secret"))] {
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&calling)
            .profile_files(files.clone())
            .profile_name(name)
            .build();
        let read = provider.provide_credentials().await.unwrap();
        assert_eq!((read.access_key_id(), read.secret_access_key()), key);
    }
}

/// A line of somebody else's, with its ending; headers never bear our name.
fn line() -> impl Strategy<Value = String> {
    let ending = prop_oneof![Just("\n"), Just("\r\n"), Just(" \n")];
    let text = prop_oneof![
        "[ \t]{0,2}\\[[ ]?[a-z][a-z -]{0,12}[ ]?\\][ ]?(#[a-z]{0,5})?",
        "[a-z_]{1,12}[ \t]{0,3}=[ \t]{0,3}[A-Za-z0-9/+=# ;]{0,20}",
        "[ \t]{1,4}[a-z]{1,5} = [a-z]{0,5}",
        "[ \t]{0,2}[#;][^\r\n]{0,20}",
        "[ \t]{0,3}",
        "\\PC{0,20}",
    ]
    .prop_filter("our own name", |text| header(text.as_bytes()) != Some(OURS.as_bytes()));
    (text, ending).prop_map(|(text, ending)| format!("{text}{ending}"))
}

/// A file of other people's profiles whose last line may be open.
fn others() -> impl Strategy<Value = Vec<u8>> {
    (vec(line(), 0..12), any::<bool>(), vec(any::<u8>(), 0..3)).prop_map(|(lines, open, bytes)| {
        let mut text = lines.concat().into_bytes();
        if open {
            text.extend(bytes.into_iter().filter(|byte| !b"\n\r[".contains(byte)));
        }
        text
    })
}

/// A section of ours as somebody may have edited it, every line closed.
fn ours() -> impl Strategy<Value = String> {
    let header = prop_oneof![
        Just("[jitsi-aws-jitsi]"),
        Just("[ jitsi-aws-jitsi\t]"),
        Just("[jitsi-aws-jitsi] ; x")
    ];
    let property = prop_oneof![
        Just("aws_access_key_id=A"),
        Just("AWS_SECRET_ACCESS_KEY = B # c"),
        Just("\tcontinued"),
        Just("# said\nregion = x"),
    ];
    (header, vec(property, 0..4), prop_oneof![Just("\n"), Just("\r\n")]).prop_map(
        |(header, properties, ending)| {
            let lines = iter::once(header).chain(properties);
            lines.flat_map(|line| [line, ending]).collect()
        },
    )
}

proptest! {
    #[test]
    fn adding_and_removing_leaves_every_byte(text in others()) {
        let added = write_to(&text);
        prop_assert!(added.starts_with(&text));
        prop_assert_eq!(parse(&added, OURS), Some(profile()));
        prop_assert_eq!(write_to(&added), added.clone());
        prop_assert_eq!(remove_from(&added), text.clone());
        prop_assert_eq!(remove_from(&text), text);
    }

    #[test]
    fn replacing_and_removing_leave_what_stands_around(
        before in vec(line(), 0..8), section in ours(), after in vec(line(), 0..8),
    ) {
        // What follows begins with a header, a comment or a blank line; a property would be ours.
        let after: Vec<String> = after
            .into_iter()
            .skip_while(|line| header(line.as_bytes()).is_none())
            .collect();
        let (before, after) = (before.concat(), after.concat());
        let text = format!("{before}{section}{after}");
        let replaced = write_to(text.as_bytes());
        prop_assert!(replaced.starts_with(before.as_bytes()));
        prop_assert!(replaced.ends_with(after.as_bytes()));
        prop_assert_eq!(parse(&replaced, OURS), Some(profile()));
        let rest = format!("{before}{after}").into_bytes();
        prop_assert_eq!(remove_from(text.as_bytes()), rest.clone());
        prop_assert_eq!(remove_from(&replaced), rest);
    }
}
