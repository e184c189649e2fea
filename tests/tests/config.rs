//! What an operator is told about a configuration or certificate that cannot be used: a table of
//! mistakes, each with its whole message as a snapshot. Nothing here can reach AWS: loading takes no client.

#![expect(clippy::unwrap_used, reason = "a test's helpers may fail as the test itself does")]

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use jitsi_aws::config::{self, Files, Overrides};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ED25519, SignatureAlgorithm, date_time_ymd,
};
use tempfile::TempDir;

const DOMAIN: &str = "meet.example.org";

const GOOD: &str = r#"[deployment]
name = "jitsi"
region = "eu-central-1"

[site]
domain = "meet.example.org"

[certificate]
mode = "import"
certificate = "cert.pem"
private_key = "privkey.pem"
chain = "chain.pem"

[network]
cidr = "10.20.0.0/16"
zones = ["eu-central-1a", "eu-central-1b"]
ssh_from = ["203.0.113.0/24"]

[instance]
type = "t3.large"
disk_gib = 20

[meetings]
drain = "30m"

[monitoring]
emails = ["ops@example.org"]

[agent]
binary = "jitsi-agent"
"#;

/// A mistake: what it is, and the lines of the good file it replaces.
type Mistake = (&'static str, &'static [(&'static str, &'static str)]);

const MISTAKES: &[Mistake] = &[
    ("not TOML", &[("region = \"eu-central-1\"", "region = eu-central-1"), ("[site]", "[site")]),
    (
        "a private key in place of its path, with its line breaks",
        &[(
            "\"privkey.pem\"",
            "\"-----BEGIN PRIVATE KEY-----\nMIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCsecret1\n\
             secret2/secret2+secret2secret2secret2secret2secret2secret2secret\nsecret3=\n\
             -----END PRIVATE KEY-----\n\"",
        )],
    ),
    (
        "a private key without its first line",
        &[(
            "\"privkey.pem\"",
            "\"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsecret4secret4secret4\"",
        )],
    ),
    (
        "a password in an address that does not end",
        &[(
            "[agent]",
            "[jitsi.apt.jitsi]\nurl = \"https://bob:secret5@mirror\nsuite = \"stable/\"\n[agent]",
        )],
    ),
    ("a key of a secret's name", &[("[deployment]", "[deployment]\npassword = \"secret6\"")]),
    ("a key twice", &[("[site]", "[site]\ndomain = \"a.example.org\"")]),
    ("nothing in it", &[(GOOD, "[agent]\nbinary = \"jitsi-agent\"")]),
    ("a misspelt key", &[("region =", "regoin =")]),
    ("a misspelt table", &[("[site]", "[sites]")]),
    ("a key from another table", &[("[deployment]", "[deployment]\ndomain = \"a.example.org\"")]),
    ("a key nobody knows", &[("[deployment]", "[deployment]\ncolour = \"blue\"")]),
    ("a value where a table belongs", &[("[deployment]", "jitsi = true\n[deployment]")]),
    ("upper case in the name", &[("\"jitsi\"", "\"Jitsi\"")]),
    ("too long a name", &[("\"jitsi\"", "\"video-conferences-of-us\"")]),
    ("a name that ends in a hyphen", &[("\"jitsi\"", "\"jitsi-\"")]),
    ("a name AWS keeps", &[("\"jitsi\"", "\"internal-meet\"")]),
    ("a name too short for a launch template", &[("\"jitsi\"", "\"sg\"")]),
    ("a name no security group may have", &[("\"jitsi\"", "\"sg-meet\"")]),
    ("a name no bucket may have, and too long", &[("\"jitsi\"", "\"amzn-s3-demo-meetings-\"")]),
    ("a number as name", &[("\"jitsi\"", "7")]),
    ("a region's common name", &[("\"eu-central-1\"", "\"Frankfurt\"")]),
    ("a region of the sovereign cloud", &[("\"eu-central-1\"", "\"eusc-de-east-1\"")]),
    ("a region of no partition", &[("\"eu-central-1\"", "\"eur-central-1\"")]),
    ("a zone as region", &[("\"eu-central-1\"", "\"eu-central-1a\"")]),
    ("an address as domain", &[("\"meet.example.org\"", "\"https://meet.example.org/\"")]),
    ("an IP address as domain", &[("\"meet.example.org\"", "\"203.0.113.7\"")]),
    ("localhost as domain", &[("\"meet.example.org\"", "\"localhost\"")]),
    ("one word as domain", &[("\"meet.example.org\"", "\"meet\"")]),
    ("a wildcard as domain", &[("\"meet.example.org\"", "\"*.example.org\"")]),
    ("an underscore in the domain", &[("\"meet.example.org\"", "\"my_meet.example.org\"")]),
    ("no mode", &[("mode = \"import\"\n", "")]),
    ("an unknown mode", &[("\"import\"", "\"imported\"")]),
    ("keys of another mode", &[("\"import\"", "\"existing\"")]),
    (
        "an ARN of another region",
        &[(
            "mode = \"import\"\ncertificate = \"cert.pem\"\nprivate_key = \"privkey.pem\"\nchain = \"chain.pem\"",
            "mode = \"existing\"\narn = \"arn:aws:acm:us-east-1:123456789012:certificate/1f0c\"",
        )],
    ),
    (
        "an ARN of IAM",
        &[(
            "mode = \"import\"\ncertificate = \"cert.pem\"\nprivate_key = \"privkey.pem\"\nchain = \"chain.pem\"",
            "mode = \"existing\"\narn = \"arn:aws:iam::123456789012:server-certificate/meet\"",
        )],
    ),
    (
        "a zone's name as hosted zone",
        &[(
            "mode = \"import\"\ncertificate = \"cert.pem\"\nprivate_key = \"privkey.pem\"\nchain = \"chain.pem\"",
            "mode = \"request\"\nhosted_zone = \"example.org\"",
        )],
    ),
    (
        "the private key itself as path",
        &[("\"privkey.pem\"", "\"-----BEGIN PRIVATE KEY-----\\nMIIsecret\"")],
    ),
    ("a home directory", &[("\"cert.pem\"", "\"~/cert.pem\"")]),
    ("too large a network", &[("10.20.0.0/16", "10.0.0.0/8")]),
    ("too small a network", &[("10.20.0.0/16", "10.20.0.0/28")]),
    ("a public network", &[("10.20.0.0/16", "203.0.0.0/16")]),
    ("a network that begins in the middle", &[("10.20.0.0/16", "10.20.1.0/16")]),
    ("an IPv6 network", &[("10.20.0.0/16", "fd00::/48")]),
    ("the same zone twice", &[("eu-central-1b", "eu-central-1a")]),
    ("one zone", &[(", \"eu-central-1b\"", "")]),
    ("zones elsewhere", &[("eu-central-1b", "eu-west-1b"), ("eu-central-1a", "euc1-az1")]),
    ("SSH from a host name", &[("203.0.113.0/24", "office.example.org")]),
    ("SSH from one place twice", &[("203.0.113.0/24", "203.0.113.7\", \"203.0.113.7/32")]),
    ("SSH as text", &[("[\"203.0.113.0/24\"]", "\"203.0.113.0/24\"")]),
    ("no instance type", &[("t3.large", "large")]),
    ("no AMI", &[("disk_gib = 20", "disk_gib = 20\nimage = \"ubuntu-24.04\"")]),
    ("a disk with a unit", &[("disk_gib = 20", "disk_gib = \"20 GiB\"")]),
    ("too small a disk", &[("disk_gib = 20", "disk_gib = 4")]),
    ("too long a drain", &[("\"30m\"", "\"2h\"")]),
    ("too old an age", &[("disk_gib = 20", "max_age = \"366d\"")]),
    ("too young an age", &[("disk_gib = 20", "max_age = \"1h\"")]),
    ("a negative age", &[("disk_gib = 20", "max_age = \"-30d\"")]),
    ("an age for ever", &[("disk_gib = 20", "max_age = \"forever\"")]),
    ("an age in months or minutes", &[("disk_gib = 20", "max_age = \"30M\"")]),
    ("a negative drain", &[("\"30m\"", "-5")]),
    ("a drain in months or minutes", &[("\"30m\"", "\"30M\"")]),
    ("half a GiB", &[("disk_gib = 20", "disk_gib = 20.5")]),
    ("no number", &[("disk_gib = 20", "disk_gib = nan")]),
    ("a drain as a bare number", &[("drain = \"30m\"", "drain = 30")]),
    ("an age as a bare number", &[("disk_gib = 20", "disk_gib = 20\nmax_age = 30")]),
    ("a drain without a unit", &[("\"30m\"", "\"30\"")]),
    ("no e-mail address", &[("ops@example.org", "ops.example.org")]),
    ("an e-mail address with a name", &[("ops@example.org", "Ops <ops@example.org>")]),
    (
        "an e-mail address twice",
        &[(
            "[\"ops@example.org\"]",
            "[\"ops@example.org\", \"OPS@example.org\", \"boss@localhost\"]",
        )],
    ),
    ("no agent", &[("\"jitsi-agent\"", "\"target/jitsi-agent\"")]),
    (
        "tokens without a secret",
        &[("[agent]", "[jitsi.authentication]\nmode = \"jwt\"\napp_id = \"my app\"\n\n[agent]")],
    ),
    (
        "a mirror with a password",
        &[(
            "[agent]",
            "[jitsi.apt.jitsi]\nurl = \"https://me:word@mirror.example.org\"\n\n[agent]",
        )],
    ),
    (
        "everything at once",
        &[
            ("\"jitsi\"", "\"Jitsi Meet\""),
            ("\"meet.example.org\"", "\"meet\""),
            ("t3.large", "t3"),
            ("emails =", "email ="),
            ("\"privkey.pem\"", "\"nowhere.pem\""),
        ],
    ),
];

const WARNED: &[Mistake] = &[
    (
        "a region nobody knows",
        &[("\"eu-central-1\"", "\"eu-centrall-1\""), ("zones =", "# zones =")],
    ),
    (
        "an international domain",
        &[
            ("\"meet.example.org\"", "\"bücher.example\""),
            ("\"import\"", "\"request\""),
            ("certificate =", "# "),
            ("private_key =", "# "),
            ("chain =", "# "),
        ],
    ),
    ("SSH from everywhere", &[("203.0.113.0/24", "0.0.0.0/0")]),
    ("tcp/4443", &[("[network]", "[network]\ntcp_fallback = true")]),
    ("little memory and disk", &[("t3.large", "t2.micro"), ("disk_gib = 20", "disk_gib = 10")]),
    ("nobody to tell", &[("\"ops@example.org\"", "")]),
];

/// A deployment's directory in which all is well.
struct Directory {
    dir: TempDir,
    key: KeyPair,
    authority: Issuer<'static, KeyPair>,
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

/// An authority's certificate and what it signs with.
fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

impl Directory {
    fn new() -> Self {
        let (pem, authority) = authority("Our Authority");
        let directory =
            Self { dir: TempDir::new().unwrap(), key: KeyPair::generate().unwrap(), authority };
        directory.write("jitsi.toml", GOOD);
        directory.write("jitsi-agent", "");
        directory.write("chain.pem", &pem);
        directory.write("privkey.pem", &directory.key.serialize_pem());
        directory.certify(&[DOMAIN], |_| {});
        directory
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a certificate for these names, made different by `change`.
    fn certify(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let mut params = params(DOMAIN, names);
        change(&mut params);
        self.write("cert.pem", &params.signed_by(&self.key, &self.authority).unwrap().pem());
    }

    /// A key of this kind and a certificate for it.
    fn key_of(&mut self, algorithm: &'static SignatureAlgorithm) {
        self.key = KeyPair::generate_for(algorithm).unwrap();
        self.write("privkey.pem", &self.key.serialize_pem());
        self.certify(&[DOMAIN], |_| {});
    }

    /// What a person sees: the error as the program prints it, or the warnings.
    fn message(&self) -> String {
        // 1 January 2030
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(21_915 * 24);
        let files = Files { certificate: Some(now), agent: true };
        let mut message = String::new();
        match config::load(&self.path("jitsi.toml"), &Overrides::default(), files) {
            Ok(loaded) => {
                for warning in loaded.warnings {
                    writeln!(message, "warning: {warning}").unwrap();
                }
            }
            Err(invalid) => {
                writeln!(message, "error: {invalid}").unwrap();
                for problem in &invalid.problems {
                    writeln!(message, "  {problem}").unwrap();
                }
                writeln!(message, "hint: {}", invalid.hint).unwrap();
            }
        }
        message.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

/// What stands in the mistakes where a secret would.
fn secrets() -> impl Iterator<Item = String> {
    (1..=6).map(|number| format!("secret{number}"))
}

fn told(mistakes: &[Mistake], as_what: &str) -> String {
    let directory = Directory::new();
    let mut all = String::new();
    for (title, changes) in mistakes {
        let mut text = GOOD.to_owned();
        for (from, to) in *changes {
            assert!(text.contains(from), "{title}: {from}");
            text = text.replacen(from, to, 1);
        }
        directory.write("jitsi.toml", &text);
        let message = directory.message();
        assert!(message.starts_with(as_what), "{title}: {message}");
        for secret in ["MIIsecret", "me:word"].map(str::to_owned).into_iter().chain(secrets()) {
            assert!(!message.contains(&secret), "{title}: {message}");
        }
        writeln!(all, "## {title}\n{message}").unwrap();
    }
    all
}

fn snapshot(name: &str, messages: &str) {
    insta::with_settings!({ snapshot_path => "config", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, messages);
    });
}

#[test]
fn the_good_file_is_good() {
    assert_eq!(Directory::new().message(), "");
}

#[test]
fn mistakes_in_the_file_are_told() {
    snapshot("mistakes", &told(MISTAKES, "error: "));
}

#[test]
fn what_should_be_thought_about_is_told() {
    snapshot("warnings", &told(WARNED, "warning: "));
}

#[test]
fn a_missing_file_is_told() {
    let directory = Directory::new();
    fs::remove_file(directory.path("jitsi.toml")).unwrap();
    snapshot("missing", &directory.message());
}

/// What is done to a good directory's certificate.
type Spoil = (&'static str, fn(&mut Directory));

const SPOILT: &[Spoil] = &[
    ("no such files", |it| {
        for name in ["cert.pem", "privkey.pem", "chain.pem"] {
            fs::remove_file(it.path(name)).unwrap();
        }
    }),
    ("certificate and key swapped", |it| {
        fs::rename(it.path("cert.pem"), it.path("other")).unwrap();
        fs::rename(it.path("privkey.pem"), it.path("cert.pem")).unwrap();
        fs::rename(it.path("other"), it.path("privkey.pem")).unwrap();
    }),
    ("no PEM", |it| fs::write(it.path("cert.pem"), b"\x30\x82\xff\xfe").unwrap()),
    ("a PEM file cut off", |it| {
        let text = fs::read_to_string(it.path("cert.pem")).unwrap();
        it.write("cert.pem", &text[..text.len() / 2]);
    }),
    ("the key of another certificate", |it| {
        it.write("privkey.pem", &KeyPair::generate().unwrap().serialize_pem());
    }),
    ("an encrypted key", |it| {
        it.write(
            "privkey.pem",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
    }),
    ("an SSH key", |it| {
        it.write(
            "privkey.pem",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        );
    }),
    ("a key the load balancer does not take", |it| it.key_of(&PKCS_ED25519)),
    ("another domain's certificate", |it| {
        it.certify(&["example.org", "*.meet.example.org"], |_| {});
    }),
    ("a certificate without names", |it| it.certify(&[], |_| {})),
    ("a certificate of an address", |it| it.certify(&["192.0.2.1"], |_| {})),
    ("an expired certificate", |it| {
        it.certify(&[DOMAIN], |params| params.not_after = date_time_ymd(2029, 12, 31));
    }),
    ("a certificate of tomorrow", |it| {
        it.certify(&[DOMAIN], |params| params.not_before = date_time_ymd(2030, 1, 2));
    }),
    ("a client's certificate", |it| {
        it.certify(&[DOMAIN], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
    }),
    ("a chain without the issuer", |it| it.write("chain.pem", &authority("A Stranger").0)),
    ("a chain with a stranger", |it| {
        let chain = fs::read_to_string(it.path("chain.pem")).unwrap();
        it.write("chain.pem", &(chain + &authority("A Stranger").0));
    }),
    ("a chain with another key", |it| it.write("chain.pem", &authority("Our Authority").0)),
    ("an authority's certificate as the site's", |it| {
        let authority = fs::read_to_string(it.path("chain.pem")).unwrap();
        let site = fs::read_to_string(it.path("cert.pem")).unwrap();
        it.write("cert.pem", &(authority + &site));
    }),
];

const SPOILT_A_LITTLE: &[Spoil] = &[
    ("a certificate that ends soon", |it| {
        it.certify(&[DOMAIN], |params| params.not_after = date_time_ymd(2030, 1, 21));
    }),
    ("a self-signed certificate", |it| {
        it.write("cert.pem", &params(DOMAIN, &[DOMAIN]).self_signed(&it.key).unwrap().pem());
        it.write("jitsi.toml", &GOOD.replace("chain = \"chain.pem\"\n", ""));
    }),
    ("a key others can read", |it| {
        fs::set_permissions(it.path("privkey.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    }),
];

fn told_of_certificates(spoilt: &[Spoil], as_what: &str) -> String {
    let mut all = String::new();
    for (title, spoil) in spoilt {
        let mut directory = Directory::new();
        spoil(&mut directory);
        let message = directory.message();
        assert!(message.starts_with(as_what), "{title}: {message}");
        writeln!(all, "## {title}\n{message}").unwrap();
    }
    all
}

#[test]
fn mistakes_with_certificates_are_told() {
    snapshot("certificates", &told_of_certificates(SPOILT, "error: "));
}

#[test]
fn certificates_that_should_be_thought_about_are_told() {
    snapshot("certificate-warnings", &told_of_certificates(SPOILT_A_LITTLE, "warning: "));
}
