//! Signing keys of the repositories: fetched by apt's own downloader (its proxy and certificates
//! apply), checked against the pinned fingerprint, and kept as a binary keyring that holds that one
//! key and no other.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use jitsi_templates::settings::Repository;

use crate::advice::Advice;
use crate::retry::Hopeless;
use crate::system::{Command, Owner, System};

/// apt's downloader, part of the package `apt`.
pub(super) const HELPER: &str = "/usr/lib/apt/apt-helper";
const FOLDER: &str = "/var/lib/jitsi-agent/keys";

/// Puts the repository's key into `keyring`.
pub(super) async fn fetch(
    system: &dyn System,
    repository: &Repository,
    keyring: &str,
) -> Result<()> {
    let fresh = Command::new("rm", ["-rf", FOLDER]);
    system.run(&fresh).await?.success(&fresh)?;
    let folder = Command::new("install", ["-d", "-m", "0700", FOLDER]);
    system.run(&folder).await?.success(&folder)?;
    let (downloaded, exported) = (format!("{FOLDER}/key"), format!("{FOLDER}/keyring"));
    let download = Command::new(HELPER, ["download-file", &repository.key_url, &downloaded]);
    system.run(&download).await?.success(&download).with_context(|| {
        Advice::new(
            format!("fetching {}", repository.key_url),
            format!("curl -fI {}", repository.key_url),
        )
    })?;
    let import = gpg(["--import", &downloaded]);
    system.run(&import).await?.success(&import)?;
    let list = gpg(["--with-colons", "--list-keys"]);
    let listed = system.run(&list).await?.success(&list)?.stdout;
    let wanted = normal(&repository.key_fingerprint);
    let found = primary_fingerprints(&listed);
    if !found.contains(&wanted) {
        let mistake = if found.is_empty() {
            // A page somebody put in the way, a file cut off: the next try may see the key.
            anyhow!("it holds no key at all, not {wanted}")
        } else {
            anyhow!(Hopeless::new(format!("it holds {}, not {wanted}", found.join(", "))))
        };
        return Err(mistake).context(Advice::new(
            format!("checking the key from {}", repository.key_url),
            "if the repository has a new key, verify it and set key_fingerprint",
        ));
    }
    let export = gpg(["--yes", "--output", &exported, "--export", &wanted]);
    system.run(&export).await?.success(&export)?;
    let key =
        system.read(Path::new(&exported))?.ok_or_else(|| anyhow!("`{export}` wrote nothing"))?;
    system.write(Path::new(keyring), &key, 0o644, Owner::ROOT)
}

fn gpg<const N: usize>(arguments: [&str; N]) -> Command {
    Command::new(
        "gpg",
        ["--homedir", FOLDER, "--batch", "--no-tty", "--quiet", "--no-autostart"]
            .into_iter()
            .chain(arguments),
    )
}

fn normal(fingerprint: &str) -> String {
    fingerprint.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_uppercase()
}

/// The `fpr` record that follows each `pub` record (`doc/DETAILS` of `GnuPG`); subkeys have their own.
fn primary_fingerprints(listed: &str) -> Vec<String> {
    let mut primary = false;
    let mut found = Vec::new();
    for line in listed.lines() {
        let mut fields = line.split(':');
        match fields.next() {
            Some("pub") => primary = true,
            Some("fpr") if std::mem::take(&mut primary) => {
                found.extend(fields.nth(8).map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::is_hopeless;
    use crate::system::fake::Fake;

    const LISTED: &str = "tru::1:1:0:3:1:5\npub:-:4096:1:B4D2D216F1FD7806:1:::-:::scESC::::::23::0:\n\
        fpr:::::::::FFD65A0DA2BEBDEB73D44C8BB4D2D216F1FD7806:\nuid:-::::1::AB::Jitsi <x>::::::::::0:\n\
        sub:-:4096:1:CB:1::::::e::::::23:\nfpr:::::::::0000000000000000000000000000000000000000:\n";

    fn repository(fingerprint: &str) -> Repository {
        Repository {
            url: "https://download.jitsi.org".into(),
            suite: "stable/".into(),
            key_url: "https://download.jitsi.org/jitsi-key.gpg.key".into(),
            key_fingerprint: fingerprint.into(),
        }
    }

    fn machine() -> Fake {
        let system = Fake::with(&[("/var/lib/jitsi-agent/keys/keyring", "binary key")]);
        system.answer(
            "gpg --homedir /var/lib/jitsi-agent/keys --batch --no-tty --quiet --no-autostart --with",
            0,
            LISTED,
        );
        system
    }

    #[tokio::test]
    async fn keeps_the_pinned_key() {
        let system = machine();
        let pinned = repository("ffd6 5a0d a2be bdeb 73d4 4c8b b4d2 d216 f1fd 7806");
        fetch(&system, &pinned, layout_keyring()).await.unwrap();
        assert_eq!(system.text(layout_keyring()).unwrap(), "binary key");
        let ran = system.ran();
        assert!(ran[2].starts_with("/usr/lib/apt/apt-helper download-file https://"));
        assert!(ran.last().unwrap().ends_with("--export FFD65A0DA2BEBDEB73D44C8BB4D2D216F1FD7806"));
    }

    #[tokio::test]
    async fn refuses_another_key_even_when_a_subkey_matches() {
        for pinned in ["AAAA", "0000000000000000000000000000000000000000"] {
            let system = machine();
            let error = fetch(&system, &repository(pinned), layout_keyring()).await.unwrap_err();
            assert!(is_hopeless(&error));
            assert!(
                format!("{error:#}").contains("it holds FFD65A0DA2BEBDEB73D44C8BB4D2D216F1FD7806")
            );
            assert_eq!(system.text(layout_keyring()), None);
        }
    }

    #[tokio::test]
    async fn a_failed_or_cut_off_download_may_be_tried_again() {
        let system = machine();
        system.answer("gpg", 0, "tru::1:1:0:3:1:5\n");
        let error = fetch(&system, &repository("AAAA"), layout_keyring()).await.unwrap_err();
        assert!(
            !is_hopeless(&error) && format!("{error:#}").contains("no key at all"),
            "{error:#}"
        );
        system.answer(HELPER, 100, "E: Failed to fetch");
        let error = fetch(&system, &repository("AAAA"), layout_keyring()).await.unwrap_err();
        assert!(!is_hopeless(&error));
    }

    fn layout_keyring() -> &'static str {
        jitsi_templates::layout::JITSI_KEYRING
    }
}
