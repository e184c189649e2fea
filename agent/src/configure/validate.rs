//! The programs' own checks, before any of them is restarted with new files.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use jitsi_templates::{Consumer, OwnedFile};

use crate::advice::Advice;
use crate::system::{Command, System};

/// The parser Jitsi's packages bring along.
const HOCON: &str = "/usr/bin/hocon";

/// Keys without which a Java service runs and serves nobody, with the kind of value it takes. A wrong
/// type leaves a process that never serves and never exits.
const KEYS: [(Consumer, &str, Kind); 9] = [
    (Consumer::Videobridge, "videobridge.apis.xmpp-client.configs.shard.PASSWORD", Kind::Text),
    (Consumer::Videobridge, "videobridge.apis.xmpp-client.configs.shard.MUC_JIDS", Kind::Text),
    (Consumer::Videobridge, "videobridge.apis.rest.enabled", Kind::True),
    (Consumer::Videobridge, "videobridge.rest.shutdown.enabled", Kind::True),
    (Consumer::Videobridge, "videobridge.ice.udp.port", Kind::Port),
    (Consumer::Videobridge, "ice4j.harvest.mapping.static-mappings", Kind::Any),
    (Consumer::Jicofo, "jicofo.xmpp.client.password", Kind::Text),
    (Consumer::Jicofo, "jicofo.bridge.brewery-jid", Kind::Text),
    (Consumer::Jicofo, "jicofo.health.enabled", Kind::True),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Any,
    Text,
    True,
    Port,
}

impl Kind {
    /// Whether `json` is of this kind.
    fn takes(self, json: &str) -> bool {
        let json = json.trim();
        match self {
            Self::Any => !json.is_empty(),
            Self::Text => json.len() > 2 && json.starts_with('"'),
            Self::True => json == "true",
            Self::Port => json.parse::<u16>().is_ok_and(|port| port > 0),
        }
    }
}

/// Checks the sets of everybody who will be told.
pub(super) async fn all(
    system: &dyn System,
    files: &[OwnedFile],
    told: &BTreeSet<Consumer>,
) -> Result<()> {
    if told.contains(&Consumer::Prosody) {
        prosody(system).await?;
    }
    for consumer in [Consumer::Jicofo, Consumer::Videobridge] {
        let hocon = |file: &&OwnedFile| {
            file.consumer == consumer && file.path.extension().is_some_and(|ext| ext == "conf")
        };
        if told.contains(&consumer)
            && let Some(file) = files.iter().find(hocon)
        {
            hocon_file(system, file).await?;
        }
    }
    if told.contains(&Consumer::Nginx) {
        let command = Command::new("nginx", ["-t", "-q"]);
        system
            .run(&command)
            .await?
            .success(&command)
            .context(Advice::new("checking nginx's configuration", "nginx -t"))?;
    }
    Ok(())
}

/// Exit code 2 stands for mere deprecations as well as for warnings, 1 for a syntax error.
async fn prosody(system: &dyn System) -> Result<()> {
    let command = Command::new("prosodyctl", ["check", "config"]);
    let output = system.run(&command).await?;
    if output.code == Some(2) {
        tracing::debug!("`{command}`: {}", output.last_words());
        return Ok(());
    }
    output
        .success(&command)
        .map(drop)
        .context(Advice::new("checking Prosody's configuration", "prosodyctl check config"))
}

async fn hocon_file(system: &dyn System, file: &OwnedFile) -> Result<()> {
    if !system.exists(Path::new(HOCON)) {
        tracing::warn!("{HOCON} is missing: {} goes unchecked", file.path.display());
        return Ok(());
    }
    let path = file.path.to_string_lossy();
    for (_, key, kind) in KEYS.iter().filter(|(consumer, ..)| *consumer == file.consumer) {
        let command = Command::new("hocon", ["-j", "-f", &path, "get", key]);
        let output = system.run(&command).await?;
        if !output.ok() {
            // A Ruby program: what it has to say is in the first line, the rest is where.
            let said = output.stderr.lines().next().unwrap_or("it said nothing").to_owned();
            bail!(Advice::new(
                format!("checking {path}: {key}: {said}"),
                format!("hocon -f {path} get {key}")
            ));
        }
        ensure!(kind.takes(&output.stdout), "checking {path}: {key} has a value of the wrong kind");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configure::tests::file;
    use crate::system::fake::Fake;

    fn told(consumer: Consumer) -> BTreeSet<Consumer> {
        BTreeSet::from([consumer])
    }

    #[tokio::test]
    async fn deprecations_pass_and_errors_do_not() {
        let system = Fake::default();
        for (code, passes) in [(0, true), (1, false), (2, true)] {
            system.answer("prosodyctl check config", code, "");
            let result = all(&system, &[], &told(Consumer::Prosody)).await;
            assert_eq!(result.is_ok(), passes, "exit code {code}");
        }
        system.answer("nginx -t", 1, "nginx: [emerg] unknown directive");
        assert!(all(&system, &[], &told(Consumer::Jicofo)).await.is_ok(), "nobody told nginx");
        assert!(all(&system, &[], &told(Consumer::Nginx)).await.is_err());
    }

    #[tokio::test]
    async fn a_value_of_the_wrong_kind_is_named_and_never_shown() {
        let system = Fake::with(&[(HOCON, "")]);
        let file = file("/etc/jitsi/jicofo/jicofo.conf", Consumer::Jicofo);
        system.answer("hocon", 0, "\"a\"\n");
        system.answer("hocon -j -f /etc/jitsi/jicofo/jicofo.conf get jicofo.health", 0, "true\n");
        let files = [file];
        all(&system, &files, &told(Consumer::Jicofo)).await.unwrap();
        system.answer("hocon -j -f /etc/jitsi/jicofo/jicofo.conf get jicofo.health", 0, "\"yes\"");
        let error = all(&system, &files, &told(Consumer::Jicofo)).await.unwrap_err().to_string();
        assert!(error.contains("jicofo.health.enabled") && !error.contains("yes"));
    }
}
