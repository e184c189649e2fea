//! Systems Manager's own agent, which sessions and commands over Systems Manager need: Ubuntu's images
//! bring it, Debian's do not. It is fetched from AWS's bucket of the region by a unit of its own once the
//! instance serves, and installed only with AWS's signature. Nothing waits for it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jitsi_templates::layout::SSM_AGENT_UNIT;

use super::apt;
use super::keys::HELPER;
use crate::imds::Imds;
use crate::system::{Command, Owner, System};

/// `SSM Agent <ssm-agent-signer@amazon.com>`, RSA 4096, from 2026-06-04 to 2027-11-25 (Systems Manager user
/// guide, "Verifying the signature of SSM Agent"). AWS takes another one every year and a half: what that
/// one signs is refused until this is renewed.
const KEY: Key = Key {
    text: include_str!("ssm-agent.asc"),
    fingerprint: "1C5B395CBE5E74E2F1CA21592784DBF388D19D46",
};
/// The package's unit, and that of Ubuntu's snap.
const UNITS: [&str; 2] =
    ["amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"];
const FOLDER: &str = "/var/lib/jitsi-agent/ssm-agent";
/// For 35 MB over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(5);

struct Key {
    text: &'static str,
    fingerprint: &'static str,
}

/// Starts the unit that installs it, where the image lacks it.
pub(crate) async fn start_installing(system: &dyn System) -> Result<()> {
    if is_there(system).await? {
        return Ok(());
    }
    let unit = Path::new(SSM_AGENT_UNIT).file_stem().unwrap_or_default().to_string_lossy();
    let start = Command::new("systemctl", ["start", "--no-block", &*unit]);
    system.run(&start).await?.success(&start)?;
    Ok(())
}

/// Installs it where the image lacks it; false when there was nothing to do.
pub async fn ensure(system: &dyn System, region: &str, imds: &Imds) -> Result<bool> {
    if is_there(system).await? {
        return Ok(false);
    }
    let base = match std::env::var("AWS_ENDPOINT_URL") {
        Ok(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        Err(_) => format!("https://s3.{region}.{}", imds.services_domain().await?),
    };
    install(system, &format!("{base}/amazon-ssm-{region}/latest"), &KEY).await?;
    Ok(true)
}

async fn is_there(system: &dyn System) -> Result<bool> {
    let list =
        Command::new("systemctl", ["list-unit-files", "--no-legend"].into_iter().chain(UNITS));
    // Exit code 1 only means that there is none.
    Ok(!system.run(&list).await?.stdout.trim().is_empty())
}

async fn install(system: &dyn System, releases: &str, key: &Key) -> Result<()> {
    let architecture = apt::run(system, Command::new("dpkg", ["--print-architecture"])).await?;
    let architecture = architecture.trim();
    if !["amd64", "arm64"].contains(&architecture) {
        bail!("AWS has no Systems Manager agent for {architecture}");
    }
    let clean = Command::new("rm", ["-rf", FOLDER]);
    apt::run(system, clean.clone()).await?;
    apt::run(system, Command::new("install", ["-d", "-m", "0700", FOLDER])).await?;
    let package = format!("{FOLDER}/amazon-ssm-agent.deb");
    let signature = format!("{package}.sig");
    let url = format!("{releases}/debian_{architecture}/amazon-ssm-agent.deb");
    for (from, to) in [(url.clone(), &package), (format!("{url}.sig"), &signature)] {
        let fetch = Command::new(HELPER, ["download-file", &*from, to]).limit(DOWNLOAD_LIMIT);
        apt::run(system, fetch).await.with_context(|| format!("fetching {from}"))?;
    }
    verify(system, Path::new(FOLDER), key, &package, &signature)
        .await
        .with_context(|| format!("checking the signature of {url}"))?;
    apt::install_file(system, &package).await?;
    apt::run(system, clean).await.map(drop)
}

/// Whether the file is signed by this very key, which is good today; nobody else's signature counts.
async fn verify(
    system: &dyn System,
    folder: &Path,
    key: &Key,
    file: &str,
    signature: &str,
) -> Result<()> {
    let home = folder.display().to_string();
    let gpg = |arguments: &[&str]| {
        let common = ["--homedir", &home, "--batch", "--no-tty", "--quiet", "--no-autostart"];
        Command::new("gpg", common.into_iter().chain(arguments.iter().copied()))
    };
    let text = folder.join("key.asc");
    system.write(&text, key.text.as_bytes(), 0o600, Owner::ROOT)?;
    apt::run(system, gpg(&["--import", &text.to_string_lossy()])).await?;
    let check = gpg(&["--status-fd", "1", "--verify", signature, file]);
    let said = system.run(&check).await?;
    // `[GNUPG:] VALIDSIG FINGERPRINT DATE … PRIMARY-FINGERPRINT` (GnuPG's doc/DETAILS); for a key that has
    // expired since there is no GOODSIG.
    let status = |word: &str| {
        let mut lines = said.stdout.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
        lines.find(|line| line.split(' ').next() == Some(word)).map(str::to_owned)
    };
    let signer = status("VALIDSIG");
    let signer = signer.as_deref().and_then(|line| line.rsplit(' ').next());
    if said.ok() && status("GOODSIG").is_some() && signer == Some(key.fingerprint) {
        return Ok(());
    }
    bail!("it is not signed by {}: {}", key.fingerprint, said.last_words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Host;
    use crate::system::fake::Fake;

    const LIST: &str = "systemctl list-unit-files";
    const CHECK: &str = "gpg --homedir /var/lib/jitsi-agent/ssm-agent --batch --no-tty --quiet \
                         --no-autostart --status-fd";
    const RELEASES: &str = "https://s3.eu-central-1.amazonaws.com/amazon-ssm-eu-central-1/latest";

    fn debian(signer: &str) -> Fake {
        let system = Fake::default();
        system.answer("dpkg --print-architecture", 0, "arm64\n");
        let said = format!(
            "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 2784DBF388D19D46 SSM Agent\n\
             [GNUPG:] VALIDSIG {signer} 2026-06-24 1782293037 0 4 0 1 8 00 {signer}\n"
        );
        system.answer(CHECK, 0, &said);
        system
    }

    #[tokio::test]
    async fn what_the_image_brings_is_left_alone() {
        let ubuntu = Fake::default();
        ubuntu.answer(LIST, 0, "snap.amazon-ssm-agent.amazon-ssm-agent.service enabled enabled\n");
        start_installing(&ubuntu).await.unwrap();
        assert_eq!(ubuntu.ran().len(), 1);
        let debian = Fake::default();
        debian.answer(LIST, 1, "");
        start_installing(&debian).await.unwrap();
        assert_eq!(debian.ran()[1], "systemctl start --no-block jitsi-agent-ssm");
    }

    #[tokio::test]
    async fn what_aws_signed_is_installed() {
        let system = debian(KEY.fingerprint);
        install(&system, RELEASES, &KEY).await.unwrap();
        let ran = system.ran();
        let at = |words: &str| ran.iter().position(|line| line.contains(words)).unwrap();
        let url = format!("{RELEASES}/debian_arm64/amazon-ssm-agent.deb");
        assert!(at(&format!("download-file {url} ")) < at(&format!("download-file {url}.sig ")));
        assert!(at("--verify") < at(" install --no-install-recommends"), "{ran:#?}");
    }

    #[tokio::test]
    async fn what_somebody_else_signed_is_not() {
        let system = debian("0000000000000000000000000000000000000000");
        let error = install(&system, RELEASES, &KEY).await.unwrap_err();
        assert!(format!("{error:#}").contains("it is not signed by 1C5B395C"), "{error:#}");
        assert!(!system.ran().iter().any(|line| line.starts_with("apt-get")));
    }

    /// The real gpg, with AWS's key and a signature by another.
    #[tokio::test]
    async fn gpg_itself_tells_a_signature_of_the_key_from_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let system = Host::new(Path::new("/"));
        let run = async |program: &str, arguments: &[&str]| {
            let command = Command::new(program, arguments.iter().copied());
            apt::run(&system, command).await.unwrap()
        };
        let name = |file: &str| folder.path().join(file).display().to_string();
        let (home, file, signature) = (name("own"), name("package"), name("package.sig"));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(&file, "a package").unwrap();
        let own =
            ["--homedir", &home, "--batch", "--quiet", "--no-tty", "--passphrase", "", "--yes"];
        let gpg = async |arguments: &[&str]| run("gpg", &[&own[..], arguments].concat()).await;
        gpg(&["--quick-generate-key", "Somebody", "ed25519", "sign", "never"]).await;
        gpg(&["--output", &signature, "--detach-sign", &file]).await;
        let listed = gpg(&["--with-colons", "--list-keys"]).await;
        let fingerprint =
            listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
        let text: &'static str = gpg(&["--armor", "--export"]).await.leak();
        let fingerprint: &'static str = fingerprint.trim_end_matches(':').to_owned().leak();
        let somebodys = Key { text, fingerprint };
        let checks = |folder: &'static str, key: Key| {
            let home = name(folder);
            std::fs::create_dir(&home).unwrap();
            let (file, signature, system) = (file.clone(), signature.clone(), &system);
            async move { verify(system, Path::new(&home), &key, &file, &signature).await }
        };
        checks("good", somebodys).await.unwrap();
        let error = checks("aws", KEY).await.unwrap_err();
        assert!(format!("{error:#}").contains(KEY.fingerprint), "{error:#}");
        assert!(
            checks("named", Key { text, ..KEY }).await.is_err(),
            "a good signature of another key"
        );
        std::fs::write(&file, "another package").unwrap();
        assert!(checks("changed", Key { text, fingerprint }).await.is_err());
        run("gpgconf", &["--homedir", &home, "--kill", "all"]).await;
        let listed = run("gpg", &["--homedir", &name("aws"), "--with-colons", "--list-keys"]).await;
        assert!(listed.contains(&format!("fpr:::::::::{}:", KEY.fingerprint)), "{listed}");
    }
}
