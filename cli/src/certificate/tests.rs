//! Certificates of every kind an operator may bring. What rcgen cannot make lies in `testdata`.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
    date_time_ymd,
};
use tempfile::TempDir;

use super::*;

const DOMAIN: &str = "meet.example.org";
/// 1 January 2030, in the middle of what [`params`] makes valid.
const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const TODAY: Duration = Duration::from_hours(21_915 * 24);

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// An authority and its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn root(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }
}

/// A root, an intermediate, and the files of a site: what each test spoils in one place.
struct Site {
    dir: TempDir,
    root: Authority,
    intermediate: Authority,
    key: KeyPair,
    paths: CertificatePaths,
}

impl Site {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let root = Authority::root("Root");
        let intermediate = root.below(authority_params("Intermediate"));
        let paths = CertificatePaths {
            certificate: dir.path().join("cert.pem"),
            private_key: dir.path().join("privkey.pem"),
            chain: Some(dir.path().join("chain.pem")),
        };
        let site = Self { root, intermediate, key: KeyPair::generate().unwrap(), paths, dir };
        site.write_key(site.key.serialize_pem());
        site.write_leaf(&params(DOMAIN, &[DOMAIN]));
        site.write_chain(site.intermediate.pem());
        site
    }

    fn leaf(&self, params: &CertificateParams) -> String {
        params.signed_by(&self.key, &self.intermediate.issuer).unwrap().pem()
    }

    fn write_leaf(&self, params: &CertificateParams) {
        self.write_certificate(self.leaf(params));
    }

    fn write_certificate(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.paths.certificate, text).unwrap();
    }

    fn write_key(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.paths.private_key, text).unwrap();
        protect(&self.paths.private_key, 0o600);
    }

    fn write_chain(&self, text: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join("chain.pem"), text).unwrap();
    }

    fn trust(&self) -> Trust {
        Trust::Roots(vec![self.root.certificate.der().to_vec()])
    }

    fn check(&self) -> Result<Checked, Vec<Problem>> {
        self.check_with(&self.trust())
    }

    fn check_with(&self, trust: &Trust) -> Result<Checked, Vec<Problem>> {
        check(&self.paths, &Domain::parse(DOMAIN).unwrap(), trust, NOW + TODAY)
    }

    /// Key and reason of the only problem, without the directory's name.
    fn problem(&self) -> String {
        let problems = self.check().unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        self.short(&problems[0])
    }

    fn warnings(&self) -> Vec<String> {
        self.check().unwrap().warnings.iter().map(|warning| self.short(warning)).collect()
    }

    fn short(&self, problem: &Problem) -> String {
        let key = problem.key.strip_prefix("certificate.").unwrap();
        let directory = format!("{}/", self.dir.path().display());
        format!("{key}: {}", problem.reason.replace(&directory, ""))
    }
}

#[cfg(unix)]
fn protect(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn protect(_: &Path, _: u32) {}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/certificate/testdata").join(name);
    fs::read(path).unwrap()
}

#[test]
fn good_files_come_out_as_acm_wants_them() {
    let site = Site::new();
    let Checked { files, warnings } = site.check().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(files.certificate.matches("BEGIN CERTIFICATE").count(), 1);
    assert_eq!(files.chain.as_deref(), Some(site.intermediate.pem().replace('\r', "").as_str()));
    assert_eq!(files.private_key.pem(), site.key.serialize_pem());
    assert_eq!(files.subject_alt_names, [DOMAIN]);
    assert_eq!(files.not_after, NOW + TODAY + Duration::from_hours(365 * 24));
    assert_eq!(files.sha256.len(), 64);
    assert!(!format!("{files:?}").contains("BEGIN PRIVATE"), "{files:?}");
}

#[test]
fn a_certificate_file_that_holds_the_chain_is_split() {
    let mut site = Site::new();
    let leaf = site.leaf(&params(DOMAIN, &[DOMAIN]));
    site.write_certificate(format!("Bag Attributes\n{leaf}{}", site.intermediate.pem()));
    // A chain file beside it may repeat any of it.
    site.write_chain(format!("{leaf}{}", site.intermediate.pem()));
    assert_eq!(site.check().unwrap().files.chain.unwrap().matches("BEGIN").count(), 1);
    site.paths.chain = None;
    let files = site.check().unwrap().files;
    assert_eq!(files.certificate.matches("BEGIN").count(), 1);
    assert_eq!(files.chain.unwrap().matches("BEGIN").count(), 1);
}

#[test]
fn an_authority_of_ones_own_brings_its_root() {
    let site = Site::new();
    let stranger = Trust::Roots(vec![Authority::root("Stranger").certificate.der().to_vec()]);
    site.write_chain(site.intermediate.pem() + &site.root.pem());
    assert!(site.check_with(&stranger).is_ok());
    site.write_chain(site.intermediate.pem());
    assert!(site.check_with(&stranger).is_err());
}

#[test]
fn a_machine_without_roots_asks_for_an_intermediate() {
    let mut site = Site::new();
    let nothing = Trust::Roots(Vec::new());
    assert!(site.check_with(&nothing).is_ok());
    site.paths.chain = None;
    assert!(site.check_with(&nothing).is_err());
}

#[test]
fn a_missing_intermediate_is_named() {
    let mut site = Site::new();
    site.paths.chain = None;
    assert_eq!(
        site.problem(),
        "certificate: lacks \"Intermediate\", which issued \"meet.example.org\"; append it (your \
         authority's intermediate certificate, or its root if the authority is your own)"
    );
}

#[test]
fn a_chain_out_of_order_is_told_the_order() {
    let site = Site::new();
    site.write_chain(site.root.pem() + &site.intermediate.pem());
    assert_eq!(
        site.problem(),
        "chain: is not in order; after the site's certificate must come \"Intermediate\", then \"Root\""
    );
}

#[test]
fn what_does_not_belong_to_the_chain_is_named() {
    let site = Site::new();
    site.write_chain(site.intermediate.pem() + &Authority::root("Stranger").pem());
    assert_eq!(site.problem(), "chain: holds what is not part of the chain: \"Stranger\"");
}

#[test]
fn an_issuer_of_the_same_name_is_not_the_issuer() {
    let site = Site::new();
    let twin = site.root.below(authority_params("Intermediate"));
    site.write_chain(twin.pem());
    assert!(site.problem().contains("same name, other key"), "{}", site.problem());
}

#[test]
fn issuers_must_be_valid_authorities() {
    let mut site = Site::new();
    let mut expired = authority_params("Intermediate");
    expired.not_after = date_time_ymd(2029, 6, 1);
    site.intermediate = site.root.below(expired);
    site.write_leaf(&params(DOMAIN, &[DOMAIN]));
    site.write_chain(site.intermediate.pem());
    assert_eq!(site.problem(), "chain: \"Intermediate\" expired on 2029-06-01; renew it");

    site.intermediate = site.root.below(params("Intermediate", &[]));
    site.write_leaf(&params(DOMAIN, &[DOMAIN]));
    site.write_chain(site.intermediate.pem());
    assert!(site.problem().contains("not an authority's certificate"), "{}", site.problem());
}

#[test]
fn dates_are_checked_against_the_given_time() {
    let site = Site::new();
    let valid = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        let mut params = params(DOMAIN, &[DOMAIN]);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        site.write_leaf(&params);
    };
    valid((2029, 1, 1), (2030, 1, 1));
    assert_eq!(site.problem(), "certificate: expired on 2030-01-01; renew it");
    valid((2030, 1, 2), (2031, 1, 1));
    assert!(site.problem().contains("valid only from 2030-01-02"), "{}", site.problem());
    valid((2029, 1, 1), (2030, 1, 30));
    assert_eq!(site.warnings(), ["certificate: expires on 2030-01-30, in 29 days; renew it soon"]);
    valid((2029, 1, 1), (2030, 1, 31));
    assert_eq!(site.warnings(), [""; 0]);
}

#[test]
fn names_cover_as_browsers_see_it() {
    let site = Site::new();
    for (names, covered) in [
        (&["MEET.example.org"][..], true),
        (&["www.example.org", "*.example.org"], true),
        (&["example.org"], false),
        (&["*.meet.example.org"], false),
        (&["*.org"], false),
        (&["www.example.org"], false),
    ] {
        site.write_leaf(&params(DOMAIN, names));
        assert_eq!(site.check().is_ok(), covered, "{names:?}");
    }
    assert_eq!(
        site.problem(),
        "certificate: does not cover meet.example.org: it names www.example.org"
    );
    site.write_leaf(&params(DOMAIN, &[]));
    assert!(site.problem().contains("no subject alternative names"), "{}", site.problem());
    let many: Vec<String> = (0..8).map(|n| format!("h{n}.example.org")).collect();
    site.write_leaf(&params(DOMAIN, &many.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(site.problem().ends_with("h4.example.org and 3 more"), "{}", site.problem());
}

#[test]
fn a_self_signed_certificate_works_with_a_warning() {
    let mut site = Site::new();
    site.paths.chain = None;
    let mut own = params(DOMAIN, &[DOMAIN]);
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained); // as `openssl req -x509` makes them
    site.write_certificate(own.self_signed(&site.key).unwrap().pem());
    let Checked { files, warnings } = site.check().unwrap();
    assert_eq!(files.chain, None);
    assert!(warnings[0].reason.contains("self-signed"), "{warnings:?}");
}

#[test]
fn the_same_names_do_not_make_a_certificate_self_signed() {
    let mut site = Site::new();
    site.intermediate = site.root.below(authority_params("Twin"));
    site.write_leaf(&params("Twin", &[DOMAIN]));
    site.write_chain(site.intermediate.pem());
    assert!(site.check().is_ok());
}

#[test]
fn an_authority_in_the_sites_place_is_told() {
    let site = Site::new();
    let leaf = site.leaf(&params(DOMAIN, &[DOMAIN]));
    site.write_certificate(site.intermediate.pem() + &leaf);
    let problems = site.check().unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.reason.contains("must stand first")),
        "{problems:#?}"
    );
}

#[test]
fn a_client_certificate_is_refused() {
    let site = Site::new();
    let mut client = params(DOMAIN, &[DOMAIN]);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    site.write_leaf(&client);
    assert!(site.problem().contains("not for web servers"), "{}", site.problem());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let site = Site::new();
    site.write_key(KeyPair::generate().unwrap().serialize_pem());
    assert_eq!(site.problem(), "private_key: does not belong to cert.pem: the public keys differ");
}

#[test]
fn keys_are_read_in_every_common_form() {
    let mut site = Site::new();
    for (key, forms) in [
        ("rsa2048.key", &["rsa2048.key", "rsa2048.pkcs1.key"]),
        ("p256.key", &["p256.key", "p256.sec1.key"]),
    ] {
        site.key = KeyPair::from_pem(std::str::from_utf8(&fixture(key)).unwrap()).unwrap();
        site.write_leaf(&params(DOMAIN, &[DOMAIN]));
        for form in forms {
            site.write_key(fixture(form));
            let files = site.check().unwrap().files;
            assert!(files.private_key.pem().contains("PRIVATE KEY-----"), "{form}");
            assert!(!files.private_key.pem().contains("PARAMETERS"), "{form}");
        }
    }
}

#[test]
fn keys_acm_refuses_are_refused_first() {
    let site = Site::new();
    for (text, reason) in [
        (fixture("encrypted.key"), "is encrypted"),
        (fixture("encrypted.pkcs1.key"), "is encrypted"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
                .to_vec(),
            "SSH key",
        ),
        (
            b"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n".to_vec(),
            "DSA PRIVATE KEY",
        ),
        (
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec(),
            "writes it anew",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nAAA".to_vec(), "damaged PEM"),
        (b"hello".to_vec(), "holds no private key"),
        (b"\x30\x82\xff\xfe".to_vec(), "is not PEM"),
        (fs::read(&site.paths.certificate).unwrap(), "swapped"),
    ] {
        site.write_key(text);
        assert!(site.problem().contains(reason), "{reason}: {}", site.problem());
    }
}

#[test]
fn files_that_hold_no_certificate_are_told_apart() {
    let site = Site::new();
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, reason) in [
        (site.key.serialize_pem(), "swapped"),
        (String::new(), "holds no certificate"),
        (damaged.to_owned(), "damaged certificate"),
    ] {
        site.write_certificate(text);
        assert!(site.problem().contains(reason), "{}", site.problem());
    }
    fs::remove_file(&site.paths.certificate).unwrap();
    assert_eq!(site.problem(), "certificate: does not exist");
    fs::create_dir(&site.paths.certificate).unwrap();
    assert_eq!(site.problem(), "certificate: is a directory");
}

fn with_key(algorithm: &'static SignatureAlgorithm) -> Site {
    let mut site = Site::new();
    site.key = KeyPair::generate_for(algorithm).unwrap();
    site.write_key(site.key.serialize_pem());
    site.write_leaf(&params(DOMAIN, &[DOMAIN]));
    site
}

#[test]
fn only_keys_an_alb_takes_are_taken() {
    assert!(with_key(&PKCS_ECDSA_P256_SHA256).check().is_ok());
    assert!(with_key(&PKCS_ECDSA_P384_SHA384).check().is_ok());
    assert!(
        with_key(&PKCS_ED25519)
            .problem()
            .contains("has an Ed25519 key; the load balancer takes RSA")
    );
    let mut site = Site::new();
    site.paths.chain = None;
    for (name, what) in [
        ("rsa1024", "RSA key of 1024 bits"),
        ("p521", "EC key on P-521"),
        (
            "pss",
            "RSA-PSS key (rsassaPss), which ACM does not know; the load balancer takes RSA of 2048",
        ),
    ] {
        site.write_certificate(fixture(&format!("{name}.pem")));
        site.write_key(fixture(&format!("{name}.key")));
        assert!(site.problem().contains(what), "{}", site.problem());
    }
}

#[test]
fn a_signature_that_acm_may_refuse_is_worth_a_warning() {
    let mut site = Site::new();
    site.paths.chain = None;
    site.write_certificate(fixture("pss-signed.pem"));
    site.write_key(fixture("rsa2048.key"));
    let warnings = site.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("signed with RSA-PSS")), "{warnings:?}");
}

#[test]
fn a_signature_browsers_refuse_is_refused() {
    let mut site = Site::new();
    site.paths.chain = None;
    site.write_certificate(fixture("sha1.pem"));
    site.write_key(fixture("rsa2048.key"));
    let problems = site.check().unwrap_err();
    assert!(problems.iter().any(|problem| problem.reason.contains("SHA-1")), "{problems:#?}");
}

#[cfg(unix)]
#[test]
fn a_key_others_can_read_is_worth_a_warning() {
    let site = Site::new();
    protect(&site.paths.private_key, 0o640);
    assert_eq!(
        site.check().unwrap().warnings[0].reason,
        format!("can be read by others; run `chmod 600 {}`", site.paths.private_key.display())
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    let site = Site::new();
    let mut bad = params(DOMAIN, &["www.example.org"]);
    bad.not_after = date_time_ymd(2029, 6, 1);
    site.write_leaf(&bad);
    site.write_key(KeyPair::generate().unwrap().serialize_pem());
    site.write_chain(Authority::root("Stranger").pem());
    let problems = site.check().unwrap_err();
    insta::assert_snapshot!(
        problems.iter().map(|problem| site.short(problem)).collect::<Vec<_>>().join("\n")
    );
}
