//! Loading, overriding, and the way from answers to a file and back.

use std::{fs, path::PathBuf};

use jitsi_templates::settings::Authentication;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    template::{Answers, CertificateAnswer, render},
    *,
};

const MINIMAL: &str = r#"
[deployment]
name = "jitsi"
region = "eu-central-1"
[site]
domain = "meet.example.org"
[certificate]
mode = "request"
"#;

fn written(text: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("jitsi.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn loaded(text: &str) -> Loaded {
    let (_dir, path) = written(text);
    load(&path, &Overrides::default(), Files::default()).unwrap()
}

fn keys(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.key.as_str()).collect()
}

#[test]
fn four_settings_are_enough() {
    let Loaded { config, warnings, certificate, .. } = loaded(MINIMAL);
    assert_eq!(config.network.cidr.to_string(), "10.20.0.0/16");
    assert_eq!(config.network.zones, None);
    assert_eq!(config.instance.instance_type.as_str(), "t3.large");
    assert_eq!(config.instance.disk_gib, 20);
    assert_eq!(config.drain, Duration::from_mins(30));
    assert!(config.agent.ends_with("jitsi-agent-x86_64"));
    assert_eq!(keys(&warnings), ["monitoring.emails"]);
    assert!(certificate.is_none());
}

#[test]
fn everything_can_be_set() {
    let text = format!(
        "{MINIMAL}hosted_zone = \"Z1\"\n{}",
        r#"
[dns]
hosted_zone = "/hostedzone/Z2"
[network]
cidr = "192.168.8.0/22"
zones = ["eu-central-1b", "eu-central-1a"]
ssh_from = ["203.0.113.0/24", "198.51.100.7"]
tcp_fallback = true
[instance]
type = "c7g.xlarge"
image = "ami-0123456789abcdef0"
disk_gib = 40
max_age = "14d"
[meetings]
drain = "1h"
[monitoring]
emails = ["ops@example.org"]
[agent]
binary = "../agent"
[jitsi]
lobby = true
[jitsi.authentication]
mode = "secure-domain"
users_path = "/jitsi/users"
[watch]
strikes = 4
"#
    );
    let (dir, path) = written(&text);
    let Loaded { config, warnings, .. } =
        load(&path, &Overrides::default(), Files::default()).unwrap();
    assert_eq!(config.instance.max_age, Some(Duration::from_hours(14 * 24)));
    let zone = |id| HostedZoneId::parse(id).ok();
    assert_eq!(config.certificate, Certificate::Request { hosted_zone: zone("Z1") });
    assert_eq!(config.hosted_zone, zone("Z2"));
    let zones = config.network.zones.as_ref().unwrap().each_ref().map(Zone::as_str);
    assert_eq!(zones, ["eu-central-1b", "eu-central-1a"]);
    assert_eq!(config.network.ssh_from[1].to_string(), "198.51.100.7/32");
    assert_eq!(config.agent, dir.path().join("../agent"));
    assert_eq!(keys(&warnings), ["network.tcp_fallback"]);
    let settings = config.instance_settings("group", ["launch", "terminate"]);
    assert_eq!(settings.drain, Duration::from_hours(1));
    assert_eq!(settings.watch.strikes, 4);
    assert_eq!(
        settings.jitsi.authentication,
        Authentication::SecureDomain { users_path: "/jitsi/users".into() }
    );
    assert_eq!(InstanceSettings::from_json(&settings.to_json().unwrap()), Ok(settings));
}

#[test]
fn a_requested_certificate_is_validated_in_the_sites_zone() {
    let text = format!("{MINIMAL}[dns]\nhosted_zone = \"Z2\"\n");
    let zone = HostedZoneId::parse("Z2").ok();
    assert_eq!(loaded(&text).config.certificate, Certificate::Request { hosted_zone: zone });
}

#[test]
fn subnets_lie_in_the_range_and_hold_a_load_balancer() {
    for (cidr, subnets) in [
        ("10.20.0.0/16", ["10.20.0.0/20", "10.20.16.0/20"]),
        ("10.20.0.0/23", ["10.20.0.0/27", "10.20.0.32/27"]),
        ("10.20.4.0/24", ["10.20.4.0/27", "10.20.4.32/27"]),
    ] {
        let config = loaded(&format!("{MINIMAL}[network]\ncidr = \"{cidr}\"\n")).config;
        assert_eq!(config.network.subnets().map(|subnet| subnet.to_string()), subnets);
    }
}

#[test]
fn a_flag_beats_the_file_and_is_named_in_messages() {
    let (_dir, path) = written(MINIMAL);
    let region = |value: &str| {
        Overrides::default().set("deployment", "region", "--region", Some(value.into()))
    };
    let config = load(&path, &region("us-gov-west-1"), Files::default()).unwrap().config;
    assert_eq!(config.region.partition().id, "aws-us-gov");
    let invalid = load(&path, &region("mars"), Files::default()).unwrap_err();
    assert_eq!(keys(&invalid.problems), ["--region"]);
}

#[test]
fn the_environment_fills_in_what_the_file_leaves_out() {
    let environment = Overrides::default().default_to(
        "deployment",
        "region",
        "AWS_REGION",
        Some("us-east-1".into()),
    );
    let (_dir, path) = written(MINIMAL);
    let config = load(&path, &environment, Files::default()).unwrap().config;
    assert_eq!(config.region.as_str(), "eu-central-1");
    let (_dir, path) = written(&MINIMAL.replace("region = \"eu-central-1\"", ""));
    let config = load(&path, &environment, Files::default()).unwrap().config;
    assert_eq!(config.region.as_str(), "us-east-1");
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("jitsi.toml");
    let invalid = load(&path, &Overrides::default(), Files::default()).unwrap_err();
    assert!(invalid.hint.contains("jitsi-aws init"), "{}", invalid.hint);
}

#[test]
fn an_agent_that_is_not_there_is_told_only_when_needed() {
    let (_dir, path) = written(&format!("{MINIMAL}[agent]\nbinary = \"nowhere\"\n"));
    assert!(load(&path, &Overrides::default(), Files::default()).is_ok());
    let files = Files { agent: true, ..Files::default() };
    let invalid = load(&path, &Overrides::default(), files).unwrap_err();
    assert_eq!(keys(&invalid.problems), ["agent.binary"]);
}

#[test]
fn certificate_problems_come_together_with_the_others() {
    let text = MINIMAL.replace(
        "mode = \"request\"",
        "mode = \"import\"\ncertificate = \"c\"\nprivate_key = \"k\"",
    );
    let (_dir, path) = written(&text.replace("jitsi", "Jitsi"));
    let files = Files { certificate: Some(SystemTime::UNIX_EPOCH), agent: false };
    let invalid = load(&path, &Overrides::default(), files).unwrap_err();
    assert_eq!(
        keys(&invalid.problems),
        ["deployment.name", "certificate.private_key", "certificate.certificate"]
    );
}

fn answers() -> impl Strategy<Value = Answers> {
    let path = || "[a-z./ '\"\\\\#é-]{1,12}".prop_map(|name| PathBuf::from(format!("x{name}")));
    let arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1f";
    let certificate = prop_oneof![
        (path(), path(), prop::option::of(path())).prop_map(|(certificate, private_key, chain)| {
            CertificateAnswer::Import { certificate, private_key, chain }
        }),
        Just(CertificateAnswer::Existing { arn: CertificateArn::parse(arn, None).unwrap() }),
        prop::option::of("Z[A-Z0-9]{1,20}".prop_map(|id| HostedZoneId::parse(&id).unwrap()))
            .prop_map(|hosted_zone| CertificateAnswer::Request { hosted_zone }),
    ];
    let emails = prop::collection::btree_set("[a-z]{1,9}@[a-z]{1,9}\\.org", 0..3);
    ("[a-z][a-z0-9]{2,19}", certificate, emails).prop_map(|(name, certificate, emails)| Answers {
        name: DeploymentName::parse(&name).unwrap(),
        region: Region::parse("eu-central-1").unwrap(),
        domain: Domain::parse("meet.example.org").unwrap(),
        certificate,
        emails: emails.iter().map(|email| Email::parse(email).unwrap()).collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_init_writes_loads_to_what_was_answered(answers in answers()) {
        let (dir, path) = written(&render(&answers));
        let config = load(&path, &Overrides::default(), Files::default()).unwrap().config;
        prop_assert_eq!(config.name, answers.name);
        prop_assert_eq!(config.domain, answers.domain);
        prop_assert_eq!(config.emails, answers.emails);
        match (config.certificate, answers.certificate) {
            (Certificate::Import(paths), CertificateAnswer::Import { certificate, private_key, chain }) => {
                prop_assert_eq!(paths.certificate, dir.path().join(certificate));
                prop_assert_eq!(paths.private_key, dir.path().join(private_key));
                prop_assert_eq!(paths.chain, chain.map(|chain| dir.path().join(chain)));
            }
            (Certificate::Existing { arn }, CertificateAnswer::Existing { arn: answered }) => {
                prop_assert_eq!(arn, answered);
            }
            (Certificate::Request { hosted_zone }, CertificateAnswer::Request { hosted_zone: answered }) => {
                prop_assert_eq!(hosted_zone, answered);
            }
            (loaded, answered) => prop_assert!(false, "{:?} became {:?}", answered, loaded),
        }
    }
}

fn example(emails: &[&str]) -> String {
    render(&Answers {
        name: DeploymentName::parse("jitsi").unwrap(),
        region: Region::parse("eu-central-1").unwrap(),
        domain: Domain::parse("meet.example.org").unwrap(),
        certificate: CertificateAnswer::Import {
            certificate: "cert.pem".into(),
            private_key: "privkey.pem".into(),
            chain: None,
        },
        emails: emails.iter().map(|email| Email::parse(email).unwrap()).collect(),
    })
}

#[test]
fn the_written_file_reads_well() {
    insta::assert_snapshot!(example(&["ops@example.org"]));
}

/// The file with every commented setting switched on: no key in a comment is unknown or refused.
#[test]
fn every_commented_key_can_be_switched_on() {
    let on: String = example(&[])
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting)
                if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let (_dir, path) = written(&on);
    let invalid = load(&path, &Overrides::default(), Files::default()).unwrap_err();
    // Only what belongs to another mode of authentication than the one shown is refused.
    assert_eq!(
        keys(&invalid.problems),
        ["app_id", "secret_parameter", "users_path"]
            .map(|key| format!("jitsi.authentication.{key}"))
    );
    let plain: String = on
        .split_inclusive('\n')
        .filter(|line| !line.contains("  # jwt: ") && !line.contains("  # secure-domain: "))
        .collect();
    let switched_on = loaded(&plain).config;
    let by_default = loaded(&example(&[])).config;
    assert_eq!(switched_on.watch, by_default.watch);
    assert_eq!(switched_on.jitsi.apt, by_default.jitsi.apt);
    assert_eq!(switched_on.drain, by_default.drain);
    assert_eq!(switched_on.network.cidr, by_default.network.cidr);
    assert_eq!(switched_on.instance.instance_type, by_default.instance.instance_type);
}
